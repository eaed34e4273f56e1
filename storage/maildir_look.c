/*
 * maildir_look: what became of a mailbox's rows, of the records of its uidlist, and of
 * the files in new/ and cur/.
 *
 * One look: read the uidlist if it changed, then the directories that changed. In this
 * order, because whoever adds a record has put its file in place before; so a record
 * that was read and whose file is not found was expunged. Everything that is to be
 * written (UIDs for new files, records of dead ones dropped) happens in a second look
 * under the uidlist's lock.
 *
 * A record whose file is not found holds up those above it until a look under the lock
 * has told whether it is dead: below a row there is no place for another one.
 *
 * A row goes when a stable scan does not show its file, or when somebody else took its
 * UID out of the uidlist. Rows are never inserted: what appears gets a UID above all.
 */
#include "storage/maildir_look.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/base/log.h"
#include "storage/grow.h"

void
look_free(struct look *l)
{
	md_scan_free(&l->scan);
	md_list_free(&l->list);
	free(l->found);
	free(l->fresh);
	free(l->fate);
	free(l->file);
}

/* ---- comparing ------------------------------------------------------------------- */

uint32_t
look_last_uid(const struct look *l)
{
	const struct box *b = l->m->box;

	return look_loaded(l) && b->head.nrecord > 0 ? b->rec[b->head.nrecord - 1].uid : 0;
}

/* The first record above the last row. */
static size_t
first_above(const struct look *l)
{
	uint32_t last = look_last_uid(l);
	size_t i = l->list.n;

	while (i > 0 && l->list.e[i - 1].uid > last)
		i--;
	return i;
}

/* For md_scan: is a file there for everything that should have one? */
static bool
nothing_missing(const struct md_scan *s, void *arg)
{
	const struct look *l = arg;
	const struct names *t = &l->m->names;

	for (size_t i = first_above(l); i < l->list.n; i++)
		if (md_scan_find(s, md_entry_base(&l->list, &l->list.e[i])) == NULL)
			return false;
	for (uint32_t row = 0; row < t->nrow; row++) {
		enum md_where w = names_where(t, row);

		if (w < MD_HELD && s->read[w] && md_scan_find(s, names_base(t, row)) == NULL)
			return false;
	}
	return true;
}

/* Rows whose UID the uidlist now gives to something else, or to nothing, are gone. */
static void
compare_rows(struct look *l)
{
	const struct box *b = l->m->box;
	const struct names *t = &l->m->names;
	size_t i = 0;

	if (!l->have_list || !l->m->uids.exists)
		return;
	for (uint32_t row = 0; row < t->nrow; row++) {
		if (names_where(t, row) >= MD_HELD)
			continue;
		while (i < l->list.n && l->list.e[i].uid < b->rec[row].uid)
			i++;
		if (i < l->list.n && l->list.e[i].uid == b->rec[row].uid &&
		    span_eq(md_entry_base(&l->list, &l->list.e[i]), names_base(t, row)))
			continue;
		l->fate[row] = FATE_GONE;
		l->ngone++;
	}
}

/* The file that a row has now: its own one when that is still there, be there a twin. */
static struct md_file *
file_of_row(const struct look *l, uint32_t row)
{
	const struct names *t = &l->m->names;
	struct md_file *f = md_scan_find(&l->scan, names_base(t, row)), *own;

	if (f == NULL || !f->has_twin)
		return f;
	own = md_scan_exact(&l->scan, names_where(t, row), span_of(names_get(t, row)));
	if (own == NULL)
		return f;
	f->taken = true; /* its twin has the row: it stays out of sight */
	return own;
}

static void
match_rows(struct look *l)
{
	const struct names *t = &l->m->names;

	for (uint32_t row = 0; row < t->nrow; row++) {
		enum md_where w = names_where(t, row);
		struct md_file *f;

		if (l->fate[row] == FATE_GONE || w >= MD_HELD || !l->scan.read[w])
			continue;
		if ((f = file_of_row(l, row)) == NULL) {
			if (l->scan.stable) {
				l->fate[row] = FATE_GONE;
				l->ngone++;
			}
			continue;
		}
		f->taken = true;
		f->uid = l->m->box->rec[row].uid;
		if (f->where == w &&
		    span_eq(md_file_name(&l->scan, f), span_of(names_get(t, row))))
			continue;
		l->fate[row] = FATE_NAMED;
		l->file[row] = f;
		l->nnamed++;
	}
}

/* The file of a record above the last row; of two with one base name the later counts. */
static struct md_file *
file_of_record(const struct look *l, size_t i)
{
	struct span base = md_entry_base(&l->list, &l->list.e[i]);
	struct md_file *f = md_scan_find(&l->scan, base);

	return f != NULL && f->uid == l->list.e[i].uid ? f : NULL;
}

static int
match_records(struct look *l)
{
	size_t first = first_above(l);
	bool certain = l->locked && l->scan.stable;

	l->blocked = false;
	for (size_t i = first; i < l->list.n; i++) {
		struct md_file *f = md_scan_find(&l->scan, md_entry_base(&l->list, &l->list.e[i]));

		if (f != NULL && (!f->taken || f->uid > look_last_uid(l))) {
			f->taken = true;
			f->uid = l->list.e[i].uid;
		}
	}
	for (size_t i = first; i < l->list.n && !l->blocked; i++) {
		struct md_file *f = file_of_record(l, i);
		bool doubtful = f == NULL && !certain &&
				md_scan_find(&l->scan,
					     md_entry_base(&l->list, &l->list.e[i])) == NULL;

		if (f == NULL && !doubtful)
			continue;
		if (doubtful && !l->locked) {
			l->blocked = true;
			break;
		}
		if (GROW(l->found, l->nfound, l->found_cap) == -1)
			return -1;
		l->found[l->nfound++] = (struct found){&l->list.e[i], f};
	}
	if (l->have_list)
		l->m->uids.pending = l->blocked;
	return 0;
}

static int
collect_fresh(struct look *l)
{
	for (size_t i = 0; i < l->scan.n; i++) {
		struct md_file *f = &l->scan.file[i];

		if (f->twin || f->taken || f->old)
			continue;
		if (GROW(l->fresh, l->nfresh, l->fresh_cap) == -1)
			return -1;
		l->fresh[l->nfresh++] = f;
	}
	return 0;
}

/*
 * A file that is new in a directory that was read may still belong to a row: one in a
 * directory that was not (a twin), or an expunged one (it came back and gets another
 * UID). Few files and many rows: a bitmap sorts nearly all rows out.
 */
static void
match_fresh(struct look *l)
{
	const struct box *b = l->m->box;
	const struct names *t = &l->m->names;
	uint64_t seen[1024] = {0};
	size_t kept = 0;

	if (l->nfresh == 0)
		return;
	for (size_t i = 0; i < l->nfresh; i++) {
		struct span base = md_file_base(&l->scan, l->fresh[i]);
		uint32_t h = hash_check(base.p, base.n) & 0xffff;

		seen[h / 64] |= 1ull << h % 64;
	}
	for (uint32_t row = 0; row < t->nrow; row++) {
		uint32_t h = b->rec[row].name_hash & 0xffff;
		struct md_file *f;

		if (!(seen[h / 64] >> h % 64 & 1) ||
		    (f = md_scan_find(&l->scan, names_base(t, row))) == NULL || f->taken)
			continue;
		if (l->fate[row] != FATE_GONE && names_where(t, row) < MD_HELD)
			f->taken = true;
		else
			l->reborn = true;
	}
	for (size_t i = 0; i < l->nfresh; i++)
		if (!l->fresh[i]->taken)
			l->fresh[kept++] = l->fresh[i];
	l->nfresh = kept;
	/* one that has a record without a row must not get a second record */
	for (size_t i = 0; i < l->list.n && l->nfresh > 0 && !l->reborn; i++) {
		const struct md_file *f =
		    md_scan_find(&l->scan, md_entry_base(&l->list, &l->list.e[i]));

		l->reborn = f != NULL && !f->taken;
	}
}

/* What became of rows, records and files, from nothing but the scan and the list. */
static int
settle(struct look *l)
{
	size_t nrow = l->m->names.nrow;

	free(l->fate);
	free(l->file);
	l->fate = calloc(nrow + 1, sizeof *l->fate);
	l->file = calloc(nrow + 1, sizeof *l->file);
	if (l->fate == NULL || l->file == NULL)
		return -1;
	l->nfound = l->nfresh = l->ngone = l->nnamed = 0;
	l->reborn = false;
	for (size_t i = 0; i < l->scan.n; i++) {
		l->scan.file[i].taken = false;
		l->scan.file[i].uid = 0;
	}
	compare_rows(l);
	match_rows(l);
	if (match_records(l) == -1 || collect_fresh(l) == -1)
		return -1;
	match_fresh(l);
	return 0;
}

/* ---- looking --------------------------------------------------------------------- */

/* The first load of a mailbox that nobody with an uidlist has looked at yet. */
static int
first_sight(struct look *l)
{
	struct maildir *m = l->m;
	int rc = 0;

	if (!m->writable)
		rc = md_uids_seed(m, &l->list);
	if (rc == 0)
		rc = md_courier_read(m, &l->list);
	return rc == -1 ? -1 : 0;
}

int
look_read_list(struct look *l)
{
	struct maildir *m = l->m;
	uint32_t before = m->uids.uidvalidity;

	md_list_free(&l->list);
	if (md_uids_read(m, &l->list) == -1)
		return -1;
	l->have_list = true;
	if (!m->uids.exists)
		return look_loaded(l) ? 0 : first_sight(l);
	if (look_loaded(l) && before != m->uids.uidvalidity) {
		log_warn("%s: UIDVALIDITY changed from %u to %u", md_who(m), before,
			 m->uids.uidvalidity);
		return md_kill(m);
	}
	return 0;
}

int
look_take(struct look *l, bool locked)
{
	struct maildir *m = l->m;
	bool first = !look_loaded(l) && !l->have_list;
	bool dead = m->uids.pending || m->uids.rowless > 0;

	l->locked = locked;
	if ((first || md_uids_changed(m) || (locked && dead && !l->have_list)) &&
	    look_read_list(l) == -1)
		return -1;
	if (md_scan(m, &l->scan, first || m->deferred, nothing_missing, l) == -1)
		return -1;
	return settle(l);
}
