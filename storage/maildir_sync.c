/*
 * maildir_sync: bringing a mailbox's rows in line with its files and its uidlist.
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
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "storage/base/log.h"
#include "storage/base/num.h"
#include "storage/grow.h"
#include "storage/maildir.h"

#define DEAD_RECORDS  512 /* so many may stay in the uidlist, or a quarter of all */

enum fate { FATE_KEEP, FATE_NAMED, FATE_GONE };

/* A record that has no row yet. */
struct found {
	const struct md_entry *entry; /* in the list */
	struct md_file *file;	      /* NULL: not found, but not known to be gone */
};

struct look {
	struct maildir *m;
	struct md_scan scan;
	struct md_list list;
	bool have_list; /* `list` is what m->uids was read from */
	bool locked;	/* by us */
	bool blocked;	/* there are records whose fate only a locked look can tell */
	bool replaced;	/* the uidlist holds only what lives now */
	bool reborn;	/* a new file has the base name of an expunged message */
	struct found *found; /* ascending */
	size_t nfound, found_cap;
	struct md_file **fresh; /* without UIDs; ascending once they have them */
	size_t nfresh, fresh_cap;
	uint8_t *fate;	   /* [names.nrow] */
	struct md_file **file; /* [names.nrow]: of FATE_NAMED */
	size_t ngone, nnamed;
};

static void
look_free(struct look *l)
{
	md_scan_free(&l->scan);
	md_list_free(&l->list);
	free(l->found);
	free(l->fresh);
	free(l->fate);
	free(l->file);
}

static bool
is_loaded(const struct look *l)
{
	return l->m->box->loaded;
}

/* ---- comparing -------------------------------------------------------------------------- */

static uint32_t
last_uid(const struct look *l)
{
	const struct box *b = l->m->box;

	return is_loaded(l) && b->head.nrecord > 0 ? b->rec[b->head.nrecord - 1].uid : 0;
}

/* The first record above the last row. */
static size_t
first_above(const struct look *l)
{
	uint32_t last = last_uid(l);
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

		if (f != NULL && (!f->taken || f->uid > last_uid(l))) {
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

/* ---- looking ------------------------------------------------------------------------------ */

static int
kill_box(struct maildir *m)
{
	m->killed = true;
	box_kill(m->box);
	errno = ESTALE;
	return -1;
}

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

static int
read_list(struct look *l)
{
	struct maildir *m = l->m;
	uint32_t before = m->uids.uidvalidity;

	md_list_free(&l->list);
	if (md_uids_read(m, &l->list) == -1)
		return -1;
	l->have_list = true;
	if (!m->uids.exists)
		return is_loaded(l) ? 0 : first_sight(l);
	if (is_loaded(l) && before != m->uids.uidvalidity) {
		log_warn("%s: UIDVALIDITY changed from %u to %u", md_who(m), before,
			 m->uids.uidvalidity);
		return kill_box(m);
	}
	return 0;
}

static int
take_look(struct look *l, bool locked)
{
	struct maildir *m = l->m;
	bool first = !is_loaded(l) && !l->have_list;
	bool dead = m->uids.pending || m->uids.rowless > 0;

	l->locked = locked;
	if ((first || md_uids_changed(m) || (locked && dead && !l->have_list)) &&
	    read_list(l) == -1)
		return -1;
	if (md_scan(m, &l->scan, first || m->deferred, nothing_missing, l) == -1)
		return -1;
	return settle(l);
}

/* ---- writing the uidlist -------------------------------------------------------------------- */

static size_t
live_after(const struct look *l)
{
	size_t live = is_loaded(l) ? (size_t)l->m->box->head.nmessage : 0;

	return live - l->ngone + l->nfound + l->nfresh;
}

/* Records without messages. */
static size_t
dead_records(const struct look *l)
{
	size_t all = (l->m->uids.exists ? l->m->uids.nrecord : l->list.n) + l->nfresh;
	size_t live = live_after(l);

	return all > live ? all - live : 0;
}

static bool
must_replace(const struct look *l)
{
	const struct md_uids *u = &l->m->uids;
	size_t dead = dead_records(l);

	if (!u->exists || u->rewrite || l->reborn)
		return true;
	return l->scan.stable &&
	       ((!is_loaded(l) && dead > 0) || (dead > DEAD_RECORDS && dead > u->nrecord / 4));
}

static bool
must_write(const struct look *l)
{
	return l->nfresh > 0 || (l->blocked && !l->locked) || must_replace(l);
}

static int
give_uids(struct look *l)
{
	struct maildir *m = l->m;
	struct box *b = m->box;
	uint32_t next = m->uids.uidnext, known;

	if (m->uids.uidvalidity == 0)
		m->uids.uidvalidity = md_uidvalidity_next(m);
	known = is_loaded(l) ? b->head.uidnext : box_known_uidnext(b, m->uids.uidvalidity);
	if (next < known)
		next = known;
	if (next == 0)
		next = 1;
	if (l->nfresh > MD_UID_MAX - next) {
		log_error("%s: no UIDs left", md_who(m));
		errno = EOVERFLOW;
		return -1;
	}
	md_scan_sort_new(&l->scan, l->fresh, l->nfresh);
	for (size_t i = 0; i < l->nfresh; i++)
		l->fresh[i]->uid = next++;
	m->uids.uidnext = next;
	return 0;
}

static int
print_record(struct buf *text, uint32_t uid, struct span ext, struct span base)
{
	return uidlist_print_record(
	    &(struct uidlist_record){.uid = uid, .ext = ext, .name = base}, text);
}

static int
print_fresh(const struct look *l, struct buf *text)
{
	for (size_t i = 0; i < l->nfresh; i++)
		if (print_record(text, l->fresh[i]->uid, (struct span){"", 0},
				 md_file_base(&l->scan, l->fresh[i])) == -1)
			return -1;
	return 0;
}

/* A row's record when the file lost it: all that we know of it is the UIDL. */
static int
print_row(const struct look *l, uint32_t row, struct buf *text)
{
	struct span uidl = names_uidl(&l->m->names, row);
	char ext[300];
	size_t n = 0;

	if (uidl.n > 0) {
		ext[n++] = 'P';
		memcpy(ext + n, uidl.p, uidl.n);
		n += uidl.n;
	}
	return print_record(text, l->m->box->rec[row].uid, (struct span){ext, n},
			    names_base(&l->m->names, row));
}

static int
print_entry(const struct look *l, const struct md_entry *e, struct buf *text)
{
	return print_record(text, e->uid, md_entry_ext(&l->list, e), md_entry_base(&l->list, e));
}

/* Is this record's message there, or at least not known to be gone? */
static bool
entry_lives(const struct look *l, const struct md_entry *e)
{
	struct md_file *f = md_scan_find(&l->scan, md_entry_base(&l->list, e));

	return f == NULL ? !l->scan.stable : f->uid == e->uid;
}

/* The records that stay: of live rows, then of files without rows yet. */
static int
print_old(const struct look *l, struct buf *text, size_t *n)
{
	const struct box *b = l->m->box;
	const struct md_list *list = &l->list;
	uint32_t last = last_uid(l);
	size_t i = 0;

	for (uint32_t row = 0; row < l->m->names.nrow; row++) {
		int rc;

		if (names_where(&l->m->names, row) >= MD_HELD || l->fate[row] == FATE_GONE)
			continue;
		while (i < list->n && list->e[i].uid < b->rec[row].uid)
			i++;
		rc = i < list->n && list->e[i].uid == b->rec[row].uid
			 ? print_entry(l, &list->e[i], text)
			 : print_row(l, row, text);
		if (rc == -1)
			return -1;
		++*n;
	}
	for (i = 0; i < list->n; i++) {
		if (list->e[i].uid <= last || !entry_lives(l, &list->e[i]))
			continue;
		if (print_entry(l, &list->e[i], text) == -1)
			return -1;
		++*n;
	}
	return 0;
}

static int
replace_list(struct look *l)
{
	struct buf text = {0};
	size_t n = 0;
	int rc = -1;

	if (print_old(l, &text, &n) == 0 && print_fresh(l, &text) == 0)
		rc = md_uids_replace(l->m, buf_span(&text), n + l->nfresh);
	l->replaced = rc == 0;
	buf_free(&text);
	return rc;
}

static int
append_list(struct look *l)
{
	struct buf text = {0};
	int rc = print_fresh(l, &text);

	if (rc == 0)
		rc = md_uids_append(l->m, buf_span(&text), l->nfresh,
				    l->fresh[l->nfresh - 1]->uid);
	buf_free(&text);
	return rc;
}

/* Keys of records that stay must be known before the file is replaced. */
static int
have_list(struct look *l)
{
	return l->have_list || !l->m->uids.exists ? 0 : read_list(l);
}

static int
write_list(struct look *l)
{
	bool replace = must_replace(l);

	if (replace && have_list(l) == -1)
		return -1;
	if (give_uids(l) == -1)
		return -1;
	if (!replace && append_list(l) == 0)
		return 0;
	if (!replace && (errno == ENOSPC || errno == EDQUOT || have_list(l) == -1))
		return -1;
	return replace_list(l);
}

/* Records that stay in the file without ever having got a row: should their files come
 * back, the list must be at hand. */
static void
count_rowless(struct look *l)
{
	const struct box *b = l->m->box;
	const struct names *t = &l->m->names;
	uint32_t row = 0;
	size_t f = 0;

	if (!l->have_list)
		return;
	l->m->uids.rowless = 0;
	for (size_t i = 0; i < l->list.n && !l->replaced; i++) {
		while (row < t->nrow && b->rec[row].uid < l->list.e[i].uid)
			row++;
		while (f < l->nfound && l->found[f].entry->uid < l->list.e[i].uid)
			f++;
		if ((row == t->nrow || b->rec[row].uid != l->list.e[i].uid) &&
		    (f == l->nfound || l->found[f].entry != &l->list.e[i]))
			l->m->uids.rowless++;
	}
}

/* The second look, under the lock. */
static int
look_and_write(struct look *l)
{
	if (take_look(l, true) == -1)
		return -1;
	if (!must_write(l) || write_list(l) == 0) {
		count_rowless(l);
		return 0;
	}
	log_error("%s: cannot write " UIDLIST_FILE ": %m", md_who(l->m));
	return -1;
}

/* New messages wait for the next look; what has a UID is shown. */
static int
defer(struct look *l)
{
	if (!is_loaded(l) && !l->m->uids.exists)
		return -1; /* without a UIDVALIDITY there is nothing to show */
	for (size_t i = 0; i < l->nfresh; i++)
		l->fresh[i]->uid = 0;
	l->nfresh = 0;
	l->m->deferred = true;
	return 0;
}

static int
look_twice(struct look *l)
{
	struct maildir *m = l->m;
	struct dotlock lock;
	int rc;

	if (take_look(l, false) == -1)
		return -1;
	m->deferred = false;
	if (!must_write(l)) {
		count_rowless(l);
		return 0;
	}
	if (md_uids_lock(m, MD_LOCK_SYNC_MS, &lock) == -1)
		return defer(l);
	rc = look_and_write(l);
	md_uids_unlock(m, &lock);
	return rc == 0 || m->box->dead ? rc : defer(l);
}

/* ---- telling the box ------------------------------------------------------------------------ */

/* When the file cannot be asked: most names begin with the time of delivery. */
static int64_t
date_by_name(struct span base)
{
	uint64_t t;
	size_t n = 0;

	while (n < base.n && base.p[n] >= '0' && base.p[n] <= '9')
		n++;
	return num_u64((struct span){base.p, n}, &t) == 0 && t < 1ull << 40 ? (int64_t)t
									  : time(NULL);
}

static void
fill_dates(const struct maildir *m, enum md_where where, const char *name, struct span base,
	   struct mt_record *r)
{
	struct stat st;

	if (fstatat(m->dir[where].fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		r->date = st.st_mtim.tv_sec;
		r->save_date = (uint32_t)st.st_ctim.tv_sec;
	} else {
		r->date = date_by_name(base);
		r->save_date = (uint32_t)r->date;
	}
}

void
md_fill_record(const struct maildir *m, enum md_where where, const char *name, uint32_t uid,
	       bool uidl, struct mt_record *r)
{
	struct mdname parsed;

	mdname_parse(span_of(name), &parsed);
	*r = (struct mt_record){
	    .uid = uid,
	    .flags = parsed.flags,
	    .keywords = parsed.keywords & m->keyword_mask,
	    .bits = (uint16_t)((where == MD_NEW ? MT_RECENT : 0) | (uidl ? MT_UIDL : 0)),
	    .date = INT64_MIN,
	    .name_hash = hash_check(parsed.base.p, parsed.base.n)};
	if (m->box->loaded || !box_known(m->box, uid, r->name_hash))
		fill_dates(m, where, name, parsed.base, r);
}

static struct span
uidl_of(const struct md_list *l, const struct md_entry *e)
{
	struct span uidl = {"", 0};

	if (!uidlist_ext(md_entry_ext(l, e), 'P', &uidl) || uidl.n > 255)
		uidl.n = 0;
	return uidl;
}

struct loading {
	struct names names;
	struct mt_record *rec;
	size_t n;
};

static int
load_one(const struct look *l, struct loading *to, uint32_t uid, enum md_where where,
	 struct span name, struct span base, struct span uidl)
{
	char text[MDNAME_MAX + 1];

	if (span_cstr(name, text, sizeof text) == -1 ||
	    names_add(&to->names, where, name, base.n, uidl) == -1)
		return -1;
	md_fill_record(l->m, where, text, uid, uidl.n > 0, &to->rec[to->n++]);
	return 0;
}

/*
 * Every record with a file, and when the scan was not stable those without one too: a
 * message that was missed now could not come back under its UID. The next stable scan
 * takes it out if it is really gone.
 */
static int
load_rows(const struct look *l, struct loading *to)
{
	for (size_t i = 0; i < l->list.n; i++) {
		const struct md_entry *e = &l->list.e[i];
		struct span base = md_entry_base(&l->list, e), uidl = uidl_of(&l->list, e);
		struct md_file *f = md_scan_find(&l->scan, base);

		if (f != NULL && f->uid == e->uid) {
			if (load_one(l, to, e->uid, f->where, md_file_name(&l->scan, f), base,
				     uidl) == -1)
				return -1;
		} else if (f == NULL && !l->scan.stable && base.n <= MDNAME_MAX &&
			   load_one(l, to, e->uid, MD_CUR, base, base, uidl) == -1)
			return -1;
	}
	for (size_t i = 0; i < l->nfresh; i++) {
		struct md_file *f = l->fresh[i];

		if (load_one(l, to, f->uid, f->where, md_file_name(&l->scan, f),
			     md_file_base(&l->scan, f), (struct span){"", 0}) == -1)
			return -1;
	}
	return 0;
}

static void
fill_head(const struct maildir *m, struct mt_header *h)
{
	*h = (struct mt_header){.uidvalidity = m->uids.uidvalidity, .uidnext = m->uids.uidnext};
	memcpy(h->guid, m->uids.guid, sizeof h->guid);
	for (unsigned i = 0; i < MT_NKEYWORD; i++) {
		memcpy(h->keyword[i], m->keywords.name[i], sizeof h->keyword[i]);
		if (m->keyword_mask >> i & 1)
			h->nkeyword = i + 1;
	}
}

static int
load(struct look *l)
{
	struct loading to = {0};
	struct mt_header *head = malloc(sizeof *head);
	int rc = -1;

	to.rec = reallocarray(NULL, l->list.n + l->nfresh + 1, sizeof *to.rec);
	if (head == NULL || to.rec == NULL || load_rows(l, &to) == -1) {
		names_free(&to.names);
		goto out;
	}
	fill_head(l->m, head);
	names_free(&l->m->names);
	l->m->names = to.names;
	if ((rc = box_load(l->m->box, head, to.rec, to.n)) == -1)
		names_free(&l->m->names);
out:
	free(to.rec);
	free(head);
	return rc;
}

static void
apply_rows(struct look *l)
{
	struct maildir *m = l->m;
	struct box *b = m->box;

	for (uint32_t row = 0; row < m->names.nrow; row++) {
		const struct md_file *f = l->file[row];
		struct mdname parsed;

		if (l->fate[row] == FATE_GONE && box_row_live(b, row)) {
			box_edit_gone(b, row, false);
			m->names.where[row] = MD_GONE;
		} else if (l->fate[row] == FATE_NAMED) {
			/* room was reserved: it cannot fail */
			(void)names_set(&m->names, row, (enum md_where)f->where,
					md_file_name(&l->scan, f), f->base);
			mdname_parse(md_file_name(&l->scan, f), &parsed);
			box_edit_flags(b, row, parsed.flags, parsed.keywords & m->keyword_mask);
			box_edit_recent(b, row, f->where == MD_NEW);
		}
	}
}

struct arrival {
	enum md_where where;
	struct span name, base, uidl;
	struct mt_record rec;
};

static struct arrival
arrival_of_file(const struct look *l, const struct md_file *f)
{
	return (struct arrival){.where = (enum md_where)f->where,
				.name = md_file_name(&l->scan, f),
				.base = md_file_base(&l->scan, f),
				.uidl = {"", 0}};
}

/* Without a file: under its base name, until a stable scan tells more. */
static struct arrival
arrival_of_record(const struct look *l, const struct found *f)
{
	struct span base = md_entry_base(&l->list, f->entry);
	struct arrival a = {.where = MD_CUR, .name = base, .base = base};

	if (f->file != NULL)
		a = arrival_of_file(l, f->file);
	a.uidl = uidl_of(&l->list, f->entry);
	return a;
}

/* Before box_begin, for it asks the files for their dates. The spans end in NULs. */
static struct arrival *
arrivals(const struct look *l, size_t *n)
{
	struct arrival *v = reallocarray(NULL, l->nfound + l->nfresh + 1, sizeof *v);

	*n = 0;
	for (size_t i = 0; v != NULL && i < l->nfound + l->nfresh; i++) {
		bool fresh = i >= l->nfound;
		struct arrival *a = &v[*n];

		*a = fresh ? arrival_of_file(l, l->fresh[i - l->nfound])
			   : arrival_of_record(l, &l->found[i]);
		if (a->name.n > MDNAME_MAX)
			continue;
		md_fill_record(l->m, a->where, a->name.p,
			       fresh ? l->fresh[i - l->nfound]->uid : l->found[i].entry->uid,
			       a->uidl.n > 0, &a->rec);
		++*n;
	}
	return v;
}

/* Rows and names grow together, or the rest waits. */
static int
apply_arrivals(struct look *l, const struct arrival *v, size_t n)
{
	struct maildir *m = l->m;

	for (size_t i = 0; i < n; i++) {
		if (names_add(&m->names, v[i].where, v[i].name, v[i].base.n, v[i].uidl) == -1)
			return -1;
		if (box_edit_add(m->box, &v[i].rec) == -1) {
			m->names.nrow--;
			return -1;
		}
	}
	return 0;
}

static int
apply(struct look *l, bool keywords, uint32_t old_mask)
{
	struct maildir *m = l->m;
	struct arrival *v;
	size_t n;
	int rc;

	if (!keywords && l->ngone + l->nnamed + l->nfound + l->nfresh == 0 &&
	    m->uids.uidnext <= m->box->head.uidnext)
		return 0;
	if ((v = arrivals(l, &n)) == NULL)
		return -1;
	box_begin(m->box);
	rc = names_reserve(&m->names, l->nnamed);
	if (rc == 0) {
		apply_rows(l);
		if (keywords)
			md_keywords_publish(m, old_mask);
		rc = apply_arrivals(l, v, n);
		box_edit_uidnext(m->box, m->uids.uidnext);
	}
	box_commit(m->box);
	free(v);
	return rc;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* The descriptors stay when the directories do not. */
static int
still_there(struct maildir *m)
{
	struct stat st;

	for (int w = MD_NEW; w <= MD_CUR; w++)
		if (fstat(m->dir[w].fd, &st) == -1 || st.st_nlink == 0)
			return kill_box(m);
	return 0;
}

static void
distrust(struct maildir *m)
{
	m->dir[MD_NEW].trust = m->dir[MD_CUR].trust = TRUST_NONE;
	m->uids.known = false;
}

static int
sync_with(struct maildir *m, int (*look)(struct look *))
{
	struct look l = {.m = m};
	uint32_t old_mask = m->keyword_mask;
	int keywords, rc = -1, saved;

	if (still_there(m) == -1)
		return -1;
	if ((keywords = md_keywords_refresh(m)) != -1 && look(&l) == 0)
		rc = m->box->loaded ? apply(&l, keywords == 1, old_mask) : load(&l);
	saved = errno;
	if (rc == -1)
		distrust(m);
	look_free(&l);
	errno = saved;
	return rc;
}

int
md_sync(struct box *b)
{
	return sync_with(md_of(b), look_twice);
}

int
md_sync_locked(struct maildir *m)
{
	return sync_with(m, look_and_write);
}
