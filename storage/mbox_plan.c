/* mbox_plan: from the list of messages to a journal that has been carried out. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/grow.h"
#include "storage/mbox_plan.h"

/* ---- a plan ------------------------------------------------------------------------------------------ */

static int
items_by_off(const void *a, const void *b)
{
	const struct mbox_item *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

void
mbox_plan_end(struct mbox_plan *p)
{
	mbox_end_writing(&p->w);
	free(p->v);
	mbox_patches_free(&p->patches);
	p->v = NULL;
	p->patches = (struct mbox_patches){0};
}

int
mbox_plan_begin(struct mbox *m, struct mbox_plan *p)
{
	struct stat st;

	*p = (struct mbox_plan){.from = UINT64_MAX};
	if (mbox_begin_writing(m, false, &p->w) == -1)
		return -1;
	if ((p->v = calloc(m->nrow + 1, sizeof *p->v)) == NULL ||
	    fstat(p->w.fd, &st) == -1) {
		mbox_plan_end(p);
		return -1;
	}
	for (uint32_t row = 0; row < m->nrow; row++)
		if (!m->row[row].held && m->row[row].off != MBOX_NOWHERE)
			p->v[p->n++] =
			    (struct mbox_item){.row = row,
			                       .off = m->row[row].off,
			                       .flags = m->box->rec[row].flags,
			                       .keywords = m->box->rec[row].keywords};
	if (p->n > 0)
		qsort(p->v, p->n, sizeof *p->v, items_by_off);
	for (size_t i = 0; i < p->n; i++)
		p->v[i].next = i + 1 < p->n ? p->v[i + 1].off : (uint64_t)st.st_size;
	p->base = p->n;
	return 0;
}

static void
meta_of(const struct mbox_plan *p, const struct mbox_item *it,
        const struct mbox_header *h, struct mbox_meta *a)
{
	const struct mbox *m = p->w.m;
	struct mt_record r;

	pthread_rwlock_rdlock(&m->box->lock); /* sizes are counted meanwhile */
	r = m->box->rec[it->row];
	pthread_rwlock_unlock(&m->box->lock);
	*a = (struct mbox_meta){.uid = r.uid,
	                        .flags = it->flags,
	                        .old = !(r.bits & MT_RECENT),
	                        .keywords = it->keywords,
	                        .more_keywords = buf_span(&h->more),
	                        .base_keywords = buf_span(&h->base)};
	if (it == &p->v[p->base] && p->base < p->n) {
		a->uidvalidity = m->uidvalidity;
		a->last_uid = m->uidnext - 1;
	}
}

/* In place, or not. */
static int
settle_item(struct mbox_plan *p, struct mbox_item *it)
{
	struct mbox_meta a;
	struct mbox_header h;
	int rc;

	if (mbox_header_read(p->w.m, p->w.fd, it->off, &h) == -1) {
		mbox_header_free(&h);
		return -1;
	}
	meta_of(p, it, &h, &a);
	rc = mbox_patches_place(&h, &a, &p->patches);
	it->rewrite = rc == 0;
	mbox_header_free(&h);
	return rc == -1 ? -1 : 0;
}

/*
 * The UIDs are written as soon as anything is; who tells the last one is the first message
 * that stays, unless what comes before it in the file does.
 */
static int
settle_base(struct mbox_plan *p)
{
	struct mbox *m = p->w.m;
	size_t first = 0;
	int rc;

	while (first < p->n && p->v[first].gone)
		first++;
	if (!m->based) {
		p->base = first;
		return 0;
	}
	if (p->n > 0 && p->v[0].off == 0 &&
	    first > 0) { /* it goes with the first one */
		p->base = first;
		return 0;
	}
	if (m->uidnext - 1 <= m->base_last &&
	    (mbox_all_keywords(m) & ~m->base_named) == 0)
		return 0;
	if ((rc = mbox_patches_base(&p->w, m->uidnext - 1, &p->patches)) == -1)
		return -1;
	p->base_patched = rc == 1;
	if (rc == 0 && p->n > 0 && p->v[0].off == 0)
		p->base = 0; /* no room for the number */
	return 0;
}

int
mbox_plan_settle(struct mbox_plan *p)
{
	struct mbox *m = p->w.m;

	if (settle_base(p) == -1)
		return -1;
	for (size_t i = 0; i < p->n; i++) {
		struct mbox_item *it = &p->v[i];

		if (it->gone)
			;
		else if (i == p->base || !m->based || !m->row[it->row].has_uid)
			it->rewrite = true;
		else if (it->change && settle_item(p, it) == -1)
			return -1;
		if ((it->gone || it->rewrite) && p->from == UINT64_MAX)
			p->from = it->off;
	}
	if (m->based && p->base == p->n && p->from == 0 && !p->v[0].gone) {
		p->base = 0; /* written anew, it tells the last UID anew */
		p->base_patched = false;
	}
	return 0;
}

/* ---- the new end of the file ------------------------------------------------------------------------- */

/* Octets of the empty line that ends the header, when the message has one. */
static int
blank_of(const struct mbox_plan *p, const struct mbox_header *h, uint64_t end,
         unsigned *n)
{
	char t[3] = {0};

	*n = 0;
	if (h->msg.body > end || h->msg.body < h->msg.header + 1)
		return 0;
	if (io_pread_full(p->w.fd, t, 3, (off_t)h->msg.body - 3) != 3) {
		errno = EIO;
		return -1;
	}
	if (t[2] == '\n')
		*n = t[1] == '\n' ? 1 : t[1] == '\r' && t[0] == '\n' ? 2 : 0;
	return 0;
}

static int
add_eol_if_none(const struct mbox_plan *p, struct mbox_journal *j, uint64_t at)
{
	char last = '\n';

	if (io_pread_full(p->w.fd, &last, 1, (off_t)at - 1) != 1) {
		errno = EIO;
		return -1;
	}
	return last == '\n' ? 0 : mbox_journal_data(j, SPAN("\n"));
}

/* From_ line, fields that stay, ours, and the rest up to the next message. */
static int
journal_rewritten(const struct mbox_plan *p, const struct mbox_item *it,
                  struct mbox_journal *j)
{
	const struct mbox *m = p->w.m;
	uint64_t end = m->row[it->row].end, at = it->off, stop;
	struct mbox_meta a;
	struct buf fields = {0};
	struct mbox_header h;
	unsigned blank;
	int rc = -1;

	if (mbox_header_read(m, p->w.fd, it->off, &h) == -1 ||
	    blank_of(p, &h, end, &blank) == -1)
		goto out;
	stop = h.msg.body <= end ? h.msg.body - blank : end;
	for (size_t i = 0; i < h.n; i++) {
		if (h.v[i].name ==
		    MBOX_CONTENT_LENGTH) /* others may need it to find the end */
			continue;
		if (mbox_journal_copy(j, p->w.fd, at, h.v[i].off - at) == -1)
			goto out;
		at = h.v[i].off + h.v[i].size;
	}
	meta_of(p, it, &h, &a);
	if ((at < stop && mbox_journal_copy(j, p->w.fd, at, stop - at) == -1) ||
	    add_eol_if_none(p, j, stop) == -1 ||
	    mbox_print_meta(m, &a, h.msg.crlf, &fields) == -1 ||
	    mbox_journal_data(j, buf_span(&fields)) == -1)
		goto out;
	rc = mbox_journal_copy(j, p->w.fd, stop, it->next - stop);
out:
	buf_free(&fields);
	mbox_header_free(&h);
	return rc;
}

static int
journal_tail(const struct mbox_plan *p, struct mbox_journal *j)
{
	uint64_t kept = 0,
	         kept_end = 0; /* neighbours that stay as they are: copied in one go */
	int rc = 0;

	if (p->from == UINT64_MAX)
		return 0;
	if (mbox_journal_patch(j, p->from, (uint64_t)j->before.st_size - p->from) == -1)
		return -1;
	for (size_t i = 0; i < p->n && rc == 0; i++) {
		const struct mbox_item *it = &p->v[i];

		if (it->off < p->from || it->gone)
			continue;
		if (!it->rewrite && kept_end == it->off) {
			kept_end = it->next;
			continue;
		}
		rc = mbox_journal_copy(j, p->w.fd, kept, kept_end - kept);
		kept = kept_end = 0;
		if (rc == 0 && it->rewrite)
			rc = journal_rewritten(p, it, j);
		else if (rc == 0)
			kept = it->off, kept_end = it->next;
	}
	return rc == 0 ? mbox_journal_copy(j, p->w.fd, kept, kept_end - kept) : -1;
}

/* Changes that fit their place, but behind the point from which all is written anew. */
static void
rewrite_behind(struct mbox_plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].off >= p->from && p->v[i].change && !p->v[i].gone)
			p->v[i].rewrite = true;
}

static int
by_uid(const void *a, const void *b)
{
	const struct mbox_uid *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* The file will not tell the last UID any more: the index folder has to. What it has told
 * so far stays until the file is changed. */
static int
keep_uids(const struct mbox_plan *p)
{
	struct mbox *m = p->w.m;
	struct mbox_uids all = {0};
	int rc = 0;

	if (p->base < p->n || (m->based && !(p->n > 0 && p->v[0].off == 0)))
		return 0;
	for (size_t i = 0; i < p->n; i++)
		if (!p->v[i].gone)
			return 0;
	for (size_t i = 0; i < p->n && rc == 0; i++) {
		const struct mbox_row *r = &m->row[p->v[i].row];
		const struct mt_record *rec = &m->box->rec[p->v[i].row];

		if (r->has_uid)
			continue;
		if ((rc = GROW(all.v, all.n, all.cap)) == 0)
			all.v[all.n++] = (struct mbox_uid){
			    .ident = r->ident, .date = rec->date, .uid = rec->uid};
	}
	if (all.n > 0)
		qsort(all.v, all.n, sizeof *all.v, by_uid);
	if (rc == 0)
		rc = mbox_uids_write(m, &all);
	mbox_uids_free(&all);
	return rc;
}

int
mbox_plan_run(struct mbox_plan *p)
{
	struct mbox_journal j;
	int rc = -1;

	rewrite_behind(p);
	if (keep_uids(p) == 0 && mbox_journal_begin(&j, p->w.m, p->w.fd) == 0) {
		if (mbox_patches_journal(&j, &p->patches, p->from) == 0 &&
		    journal_tail(p, &j) == 0)
			rc = mbox_journal_run(&j);
		mbox_journal_end(&j);
	}
	if (rc == 0 && p->base_patched) {
		if (p->w.m->uidnext - 1 > p->w.m->base_last)
			p->w.m->base_last = p->w.m->uidnext - 1;
		p->w.m->base_named = mbox_all_keywords(p->w.m);
	}
	return rc;
}

/* Both ascend by row, but the items are in the file's order: one index for all. */
struct mbox_item **
mbox_plan_index(struct mbox_plan *p)
{
	struct mbox_item **at = calloc(p->w.m->nrow + 1, sizeof(struct mbox_item *));

	for (size_t i = 0; at != NULL && i < p->n; i++)
		at[p->v[i].row] = &p->v[i];
	return at;
}

bool
mbox_plan_changes(const struct mbox_plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].change || p->v[i].gone)
			return true;
	return false;
}

/* The rows behind `from` lie elsewhere now: nobody goes by them before they are told where. */
int
mbox_plan_take(struct mbox_plan *p)
{
	struct mbox *m = p->w.m;

	if (p->from == UINT64_MAX) {
		mbox_take_stamp(&p->w);
		return 0;
	}
	pthread_rwlock_wrlock(&m->box->lock);
	m->known = false;
	pthread_rwlock_unlock(&m->box->lock);
	return mbox_sync_from(m, p->w.fd, p->from);
}
