/*
 * maildir_record: numbering new files, and the records of the uidlist: appended as a
 * rule; the whole list is written anew when there is none, when it is of another kind,
 * and when records of the dead are to go.
 */
#include <errno.h>

#include "storage/base/log.h"
#include "storage/maildir_look.h"

#define DEAD_RECORDS 512 /* so many may stay in the uidlist, or a quarter of all */

static size_t
live_after(const struct look *l)
{
	size_t live = look_loaded(l) ? (size_t)l->m->box->head.nmessage : 0;

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
	       ((!look_loaded(l) && dead > 0) || (dead > DEAD_RECORDS && dead > u->nrecord / 4));
}

bool
look_out_of_uids(const struct look *l)
{
	return l->m->uids.uidnext > MD_UID_MAX;
}

int
look_start_over(struct look *l)
{
	struct maildir *m = l->m;

	log_warn("%s: no UIDs are left under UIDVALIDITY %u: it gets a new one", md_who(m),
		 m->uids.uidvalidity);
	m->uids.uidvalidity = md_uidvalidity_next(m);
	m->uids.uidnext = 1;
	if (md_uids_replace(m, (struct span){"", 0}, 0) == -1)
		return -1;
	if (look_loaded(l))
		return md_kill(m);
	look_free(l);
	*l = (struct look){.m = m};
	m->uids.known = false;
	return look_take(l, true);
}

bool
look_must_write(const struct look *l)
{
	return look_out_of_uids(l) || l->nfresh > 0 || (l->blocked && !l->locked) || must_replace(l);
}

bool
look_only_appends(const struct look *l)
{
	return look_loaded(l) && l->nfresh > 0 && !l->blocked && !look_out_of_uids(l) &&
	       !must_replace(l);
}

static int
give_uids(struct look *l)
{
	struct maildir *m = l->m;
	struct box *b = m->box;
	uint32_t next = m->uids.uidnext, known;

	if (m->uids.uidvalidity == 0)
		m->uids.uidvalidity = md_uidvalidity_next(m);
	known = look_loaded(l) ? b->head.uidnext : box_known_uidnext(b, m->uids.uidvalidity);
	if (next < known)
		next = known;
	if (next == 0)
		next = 1;
	if (next > MD_UID_MAX || l->nfresh > MD_UID_MAX - next) {
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
	uint32_t last = look_last_uid(l);
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
	return l->have_list || !l->m->uids.exists ? 0 : look_read_list(l);
}

int
look_write(struct look *l)
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

void
look_count_rowless(struct look *l)
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
