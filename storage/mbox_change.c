/*
 * mbox_change: flags, expunges, dates. What fits its place is patched there; the rest makes
 * the file be written anew from the first message on that does not fit. The first change of
 * all, and one after messages arrived, writes the UIDs too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/grow.h"
#include "storage/mbox_journal.h"
#include "storage/message.h"

#define TRIES 5 /* at a file that others write to without minding the locks */

/* ---- beginning and ending --------------------------------------------------------------------- */

/* The locks of writing from the start: nobody waits for another's with one in hand. */
static int
lock_and_look(struct mbox_writing *w)
{
	struct stat mine, there;

	if (mbox_lock_write(w->m, w->fd, MBOX_LOCK_MS, &w->lock) == -1)
		return -1;
	if (fstat(w->fd, &mine) == 0 &&
	    fstatat(w->m->dir, w->m->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
		return mbox_sync_locked(w->m, w->fd);
	errno = EAGAIN; /* another file took its place while we waited */
	return -1;
}

int
mbox_begin_writing(struct mbox *m, bool create, struct mbox_writing *w)
{
	int saved, fd;

	*w = (struct mbox_writing){.m = m, .fd = -1, .lock = {.fd = -1}};
	if (!m->writable) {
		errno = EROFS;
		return -1;
	}
	w->fd = mbox_open_file(m, O_RDWR);
	if (w->fd == -1 && errno == ENOENT &&
	    create) { /* an INBOX that nobody wrote to yet */
		fd = openat(m->dir, m->name,
		            O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd != -1)
			close(fd);
		w->fd = mbox_open_file(m, O_RDWR);
	}
	if (w->fd == -1)
		return -1;
	if (lock_and_look(w) == 0)
		return 0;
	saved = errno;
	mbox_end_writing(w);
	errno = saved;
	return -1;
}

void
mbox_end_writing(struct mbox_writing *w)
{
	int saved = errno;

	mbox_unlock(&w->lock);
	if (w->fd != -1)
		close(w->fd);
	w->fd = -1;
	errno = saved;
}

void
mbox_take_stamp(struct mbox_writing *w)
{
	struct mbox *m = w->m;
	struct stat st;

	pthread_rwlock_wrlock(&m->box->lock);
	if (fstat(w->fd, &st) == 0)
		m->stamp = file_stamp(&st);
	else
		m->known = false;
	pthread_rwlock_unlock(&m->box->lock);
}

void
mbox_recover(struct mbox *m)
{
	struct mbox_lock lock;
	int fd;

	if (!mbox_journal_is_there(m) || (fd = mbox_open_file(m, O_RDWR)) == -1)
		return;
	if (mbox_lock_write(m, fd, MBOX_LOCK_MS, &lock) == 0) {
		(void)mbox_journal_recover(m, fd);
		mbox_unlock(&lock);
	}
	close(fd);
}

/* ---- a message's header as it stands ------------------------------------------------------------ */

struct field {
	enum mboxscan_name name;
	uint64_t off, size, value_off;
	uint32_t room;
};

struct header {
	struct mboxscan_msg msg;
	struct field *v;
	size_t n, cap;
	const struct mbox *m;
	struct buf more, base; /* keywords without numbers; those of X-IMAPbase */
	bool nomem;
};

static void
take_more(struct header *h, struct span value)
{
	struct span w;

	while (mboxscan_keyword(&value, &w)) {
		bool known = false;

		for (unsigned i = 0; i < h->m->nkeyword && !known; i++)
			known = span_caseeq(span_of(h->m->keyword[i]), w);
		if (!known &&
		    (buf_addc(&h->more, ' ') == -1 || buf_add(&h->more, w) == -1))
			h->nomem = true;
	}
}

static void
take_base(struct header *h, struct span value)
{
	struct span w;

	for (unsigned i = 0; span_word(&value, &w); i++)
		if (i >= 2 &&
		    (buf_addc(&h->base, ' ') == -1 || buf_add(&h->base, w) == -1))
			h->nomem = true;
}

static void
on_field(void *arg, const struct mboxscan_field *f)
{
	struct header *h = arg;

	if (GROW(h->v, h->n, h->cap) == -1) {
		h->nomem = true;
		return;
	}
	h->v[h->n++] =
	    (struct field){f->name, f->off, f->size, f->value_off, f->value_room};
	if (f->name == MBOX_X_KEYWORDS)
		take_more(h, f->value);
	if (f->name == MBOX_X_IMAPBASE && h->base.n == 0)
		take_base(h, f->value);
}

static void
free_header(struct header *h)
{
	free(h->v);
	buf_free(&h->more);
	buf_free(&h->base);
}

static int
read_header(const struct mbox *m, int fd, uint64_t off, struct header *h)
{
	struct stat st;

	*h = (struct header){.m = m};
	if (fstat(fd, &st) == -1 ||
	    mbox_scan_header(fd, off, (uint64_t)st.st_size, off == 0, &h->msg, on_field,
	                     h) == -1)
		return -1;
	if (!h->nomem)
		return 0;
	errno = ENOMEM;
	return -1;
}

/* The one field of that name, that can be written over; NULL: none, several, or folded. */
static const struct field *
the_field(const struct header *h, enum mboxscan_name name)
{
	const struct field *found = NULL;

	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].name == name) {
			if (found != NULL || h->v[i].room == 0)
				return NULL;
			found = &h->v[i];
		}
	return found;
}

static bool
has_field(const struct header *h, enum mboxscan_name name)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].name == name)
			return true;
	return false;
}

/* ---- patches in place ---------------------------------------------------------------------------- */

struct patch {
	uint64_t off;
	uint32_t n;
	size_t text; /* in the patches' texts */
};

struct patches {
	struct patch *v;
	size_t n, cap;
	struct buf text;
};

static void
free_patches(struct patches *p)
{
	free(p->v);
	buf_free(&p->text);
}

/* ` VALUE` and blanks up to the end of the line. */
static int
add_patch(struct patches *p, const struct field *f, struct span value)
{
	if (GROW(p->v, p->n, p->cap) == -1)
		return -1;
	p->v[p->n++] = (struct patch){f->value_off, f->room, p->text.n};
	if (buf_addc(&p->text, ' ') == -1 || buf_add(&p->text, value) == -1)
		return -1;
	for (size_t i = value.n + 1; i < f->room; i++)
		if (buf_addc(&p->text, ' ') == -1)
			return -1;
	return 0;
}

/* 1: the value has a place; 0: it has none; a value that is empty needs none. */
static int
place(const struct header *h, enum mboxscan_name name, struct span value,
      struct patches *p)
{
	const struct field *f = the_field(h, name);

	if (f == NULL)
		return value.n == 0 && !has_field(h, name) ? 1 : 0;
	if (value.n + 1 > f->room)
		return 0;
	return add_patch(p, f, value) == 0 ? 1 : -1;
}

static int
place_all(const struct header *h, const struct mbox_meta *a, struct patches *p)
{
	char status[3], xstatus[5];
	struct buf keywords = {0};
	size_t n = p->n, text = p->text.n;
	int rc;

	mbox_print_status(a->flags, a->old, status);
	mbox_print_xstatus(a->flags, xstatus);
	if (mbox_print_keywords(h->m, a->keywords, a->more_keywords, &keywords) == -1)
		rc = -1;
	else if ((rc = place(h, MBOX_STATUS, span_of(status), p)) == 1 &&
	         (rc = place(h, MBOX_X_STATUS, span_of(xstatus), p)) == 1)
		rc = place(h, MBOX_X_KEYWORDS, buf_span(&keywords), p);
	if (rc != 1) {
		p->n = n;
		p->text.n = text;
	}
	buf_free(&keywords);
	return rc;
}

static int
by_off(const void *a, const void *b)
{
	const struct patch *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

static int
journal_patches(struct mbox_journal *j, struct patches *p, uint64_t below)
{
	if (p->n > 0)
		qsort(p->v, p->n, sizeof *p->v, by_off);
	for (size_t i = 0; i < p->n && p->v[i].off < below; i++)
		if (mbox_journal_patch(j, p->v[i].off, p->v[i].n) == -1 ||
		    mbox_journal_data(
		        j, (struct span){p->text.p + p->v[i].text, p->v[i].n}) == -1)
			return -1;
	return 0;
}

/* ---- X-IMAPbase ------------------------------------------------------------------------------------ */

/* The first message of the file, be it none of ours, tells the last UID in ten digits, as
 * a rule: they can be written over. */
static int
find_base(struct mbox_writing *w, uint32_t last, struct patches *p)
{
	char text[64];
	struct header h;
	const struct field *f;
	int n, rc = 0;

	if (!w->m->based || last <= w->m->base_last)
		return 0;
	if (read_header(w->m, w->fd, 0, &h) == 0) {
		struct buf value = {0};

		f = the_field(&h, has_field(&h, MBOX_X_IMAPBASE) ? MBOX_X_IMAPBASE
		                                                 : MBOX_X_IMAP);
		n = snprintf(text, sizeof text, "%010u %010u", w->m->uidvalidity, last);
		if (f != NULL && buf_add(&value, (struct span){text, (size_t)n}) == 0 &&
		    buf_add(&value, buf_span(&h.base)) == 0 && value.n + 1 <= f->room)
			rc = add_patch(p, f, buf_span(&value)) == 0 ? 1 : -1;
		buf_free(&value);
	} else
		rc = -1;
	free_header(&h);
	return rc;
}

int
mbox_patch_base(struct mbox_writing *w, struct mbox_journal *j, uint32_t last)
{
	struct patches p = {0};
	int rc = find_base(w, last, &p);

	if (rc == 1 && journal_patches(j, &p, UINT64_MAX) == -1)
		rc = -1;
	free_patches(&p);
	return rc;
}

/* ---- a plan ------------------------------------------------------------------------------------------ */

/* What is to become of each message of the file, in the file's order. */
struct item {
	uint32_t row;
	uint64_t off, next;
	bool rewrite; /* its hidden fields are written anew */
	bool change;  /* flags or keywords become others */
	bool gone;
	uint16_t flags;
	uint32_t keywords;
};

struct plan {
	struct mbox_writing w;
	struct item *v;
	size_t n;
	size_t base;   /* the item that gets X-IMAPbase; n: none */
	uint64_t from; /* what lies behind is written anew */
	struct patches patches;
	bool base_patched;
};

static int
items_by_off(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

static void
end_plan(struct plan *p)
{
	mbox_end_writing(&p->w);
	free(p->v);
	free_patches(&p->patches);
	p->v = NULL;
	p->patches = (struct patches){0};
}

static int
begin_plan(struct mbox *m, struct plan *p)
{
	struct stat st;

	*p = (struct plan){.from = UINT64_MAX};
	if (mbox_begin_writing(m, false, &p->w) == -1)
		return -1;
	if ((p->v = calloc(m->nrow + 1, sizeof *p->v)) == NULL ||
	    fstat(p->w.fd, &st) == -1) {
		end_plan(p);
		return -1;
	}
	for (uint32_t row = 0; row < m->nrow; row++)
		if (!m->row[row].held && m->row[row].off != MBOX_NOWHERE)
			p->v[p->n++] =
			    (struct item){.row = row,
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

static struct item *
item_of(struct plan *p, uint32_t row)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].row == row)
			return &p->v[i];
	return NULL;
}

static void
meta_of(const struct plan *p, const struct item *it, const struct header *h,
        struct mbox_meta *a)
{
	const struct mbox *m = p->w.m;
	const struct mt_record *r = &m->box->rec[it->row];

	*a = (struct mbox_meta){.uid = r->uid,
	                        .flags = it->flags,
	                        .old = !(r->bits & MT_RECENT),
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
settle_item(struct plan *p, struct item *it)
{
	struct mbox_meta a;
	struct header h;
	int rc;

	if (read_header(p->w.m, p->w.fd, it->off, &h) == -1) {
		free_header(&h);
		return -1;
	}
	meta_of(p, it, &h, &a);
	rc = place_all(&h, &a, &p->patches);
	it->rewrite = rc == 0;
	free_header(&h);
	return rc == -1 ? -1 : 0;
}

/*
 * The UIDs are written as soon as anything is; who tells the last one is the first message
 * that stays, unless what comes before it in the file does.
 */
static int
settle_base(struct plan *p)
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
	if (m->uidnext - 1 <= m->base_last)
		return 0;
	if ((rc = find_base(&p->w, m->uidnext - 1, &p->patches)) == -1)
		return -1;
	p->base_patched = rc == 1;
	if (rc == 0 && p->n > 0 && p->v[0].off == 0)
		p->base = 0; /* no room for the number */
	return 0;
}

static int
settle(struct plan *p)
{
	struct mbox *m = p->w.m;

	if (settle_base(p) == -1)
		return -1;
	for (size_t i = 0; i < p->n; i++) {
		struct item *it = &p->v[i];

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
blank_of(const struct plan *p, const struct header *h, uint64_t end, unsigned *n)
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
add_eol_if_none(const struct plan *p, struct mbox_journal *j, uint64_t at)
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
journal_rewritten(const struct plan *p, const struct item *it, struct mbox_journal *j)
{
	const struct mbox *m = p->w.m;
	uint64_t end = m->row[it->row].end, at = it->off, stop;
	struct mbox_meta a;
	struct buf fields = {0};
	struct header h;
	unsigned blank;
	int rc = -1;

	if (read_header(m, p->w.fd, it->off, &h) == -1 ||
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
	free_header(&h);
	return rc;
}

static int
journal_tail(const struct plan *p, struct mbox_journal *j)
{
	uint64_t kept = 0,
	         kept_end = 0; /* neighbours that stay as they are: copied in one go */
	int rc = 0;

	if (p->from == UINT64_MAX)
		return 0;
	if (mbox_journal_patch(j, p->from, (uint64_t)j->before.st_size - p->from) == -1)
		return -1;
	for (size_t i = 0; i < p->n && rc == 0; i++) {
		const struct item *it = &p->v[i];

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
rewrite_behind(struct plan *p)
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
keep_uids(const struct plan *p)
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

static int
run_plan(struct plan *p)
{
	struct mbox_journal j;
	int rc = -1;

	rewrite_behind(p);
	if (keep_uids(p) == 0 && mbox_journal_begin(&j, p->w.m, p->w.fd) == 0) {
		if (journal_patches(&j, &p->patches, p->from) == 0 &&
		    journal_tail(p, &j) == 0)
			rc = mbox_journal_run(&j);
		mbox_journal_end(&j);
	}
	if (rc == 0 && p->base_patched)
		p->w.m->base_last = p->w.m->uidnext - 1;
	return rc;
}

/* ---- flags -------------------------------------------------------------------------------------------- */

/* What to change in one row: absolute flags would undo what others changed between the
 * caller's look and ours. */
struct turn {
	uint32_t row;
	uint16_t on, off;
	uint32_t kon, koff;
};

static struct turn *
turns_of(const struct box *b, const struct flag_edit *e, size_t n)
{
	struct turn *t = reallocarray(NULL, n + 1, sizeof *t);

	for (size_t i = 0; t != NULL && i < n; i++) {
		const struct mt_record *was = &b->rec[e[i].row];

		t[i] = (struct turn){.row = e[i].row,
		                     .on = (uint16_t)(e[i].flags & ~was->flags),
		                     .off = (uint16_t)(was->flags & ~e[i].flags),
		                     .kon = e[i].keywords & ~was->keywords,
		                     .koff = was->keywords & ~e[i].keywords};
	}
	return t;
}

/* Both ascend by row, but the items are in the file's order: one index for all. */
static struct item **
index_items(struct plan *p)
{
	struct item **at = calloc(p->w.m->nrow + 1, sizeof(struct item *));

	for (size_t i = 0; at != NULL && i < p->n; i++)
		at[p->v[i].row] = &p->v[i];
	return at;
}

static int
turn_items(struct plan *p, const struct turn *t, size_t n)
{
	struct item **at = index_items(p);

	if (at == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct item *it = at[t[i].row];
		uint16_t flags;
		uint32_t keywords;

		if (it == NULL) /* expunged meanwhile: no error */
			continue;
		flags = (uint16_t)((it->flags | t[i].on) & ~t[i].off);
		keywords = (it->keywords | t[i].kon) & ~t[i].koff;
		it->change = flags != it->flags || keywords != it->keywords;
		it->flags = flags;
		it->keywords = keywords;
	}
	free(at);
	return 0;
}

static bool
changes_anything(const struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].change || p->v[i].gone)
			return true;
	return false;
}

static void
tell_flags(const struct plan *p)
{
	struct box *b = p->w.m->box;

	box_begin(b);
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].change)
			box_edit_flags(b, p->v[i].row, p->v[i].flags, p->v[i].keywords);
	box_commit(b);
}

/* The rows behind `from` lie elsewhere now. */
static int
take_result(struct plan *p)
{
	mbox_take_stamp(&p->w);
	if (p->from == UINT64_MAX)
		return 0;
	return mbox_sync_from(p->w.m, p->w.fd, p->from);
}

static int
try_flags(struct mbox *m, const struct turn *t, size_t n)
{
	struct plan p;
	int rc = -1;

	if (begin_plan(m, &p) == -1)
		return -1;
	if (turn_items(&p, t, n) == 0) {
		if (!changes_anything(&p))
			rc = 0;
		else if (settle(&p) == 0 && (rc = run_plan(&p)) == 0) {
			tell_flags(&p);
			rc = take_result(&p);
		}
	}
	if (rc == -1)
		m->known = false;
	end_plan(&p);
	return rc;
}

int
mbox_set_flags(struct box *b, const struct flag_edit *e, size_t n)
{
	struct mbox *m = mbox_of(b);
	struct turn *t = turns_of(b, e, n);
	int rc = -1, saved;

	for (int i = 0; t != NULL && i < TRIES; i++)
		if ((rc = try_flags(m, t, n)) == 0 || errno != EAGAIN)
			break;
	saved = errno;
	free(t);
	if (rc == -1)
		log_error("%s: cannot change flags: %s", mbox_who(m), strerror(saved));
	errno = saved;
	return rc;
}

int
mbox_add_keyword(struct box *b, struct span name, unsigned *number)
{
	struct mbox *m = mbox_of(b);
	int n = mbox_keyword(m, name);

	if (n == -1) {
		errno = keywords_valid(name) ? ENOSPC : EINVAL;
		return -1;
	}
	if (mbox_uids_append_keyword(m, name) == -1) {
		m->nkeyword = (unsigned)n;
		return -1;
	}
	*number = (unsigned)n;
	box_begin(b);
	box_edit_keyword(b, *number, name);
	box_commit(b);
	return 0;
}

/* The file is not written for that: its next change tells it. */
int
mbox_claim_recent(struct box *b, const uint32_t *rows, size_t n)
{
	struct mbox *m = mbox_of(b);

	box_begin(b);
	for (size_t i = 0; i < n; i++) {
		box_edit_recent(b, rows[i], false);
		if (b->rec[rows[i]].uid > m->claimed)
			m->claimed = b->rec[rows[i]].uid;
	}
	box_commit(b);
	m->uids_written = false; /* with the next that is written */
	return 0;
}

/* ---- expunge ------------------------------------------------------------------------------------------ */

/* For readers: the message goes to the end of the spool. Its place there, or -1. */
static int
spool(struct mbox *m, uint32_t row, uint64_t *off, uint64_t *end)
{
	char room[65536];
	struct source src;
	unsigned depth;
	int rc = 0, saved;

	if (m->spool == -1) {
		depth = cred_suspend(m->box->store);
		m->spool = openat(box_index_dir(m->box), ".",
		                  O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		saved = errno;
		cred_resume(m->box->store, depth);
		errno = saved;
		m->spool_end = 0;
	}
	if (m->spool == -1 || mbox_source(m->box, row, &src) == -1)
		return -1;
	*off = *end = m->spool_end;
	for (uint64_t at = 0; at < src.stored_size && rc == 0;) {
		size_t n = src.stored_size - at < sizeof room
		               ? (size_t)(src.stored_size - at)
		               : sizeof room;

		rc = source_read(&src, at, room, n);
		if (rc == 0)
			rc = io_pwrite_all(m->spool, (struct span){room, n},
			                   (off_t)*end);
		at += n;
		*end += n;
	}
	saved = errno;
	close(src.fd);
	errno = saved;
	if (rc == 0)
		m->spool_end = *end;
	return rc;
}

struct hold {
	uint64_t off, end;
	bool held;
};

/* What cannot be held is expunged all the same: readers get an error then, not wrong octets. */
static void
hold_rows(struct plan *p, struct hold *h)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].gone)
			h[i].held =
			    spool(p->w.m, p->v[i].row, &h[i].off, &h[i].end) == 0;
}

static void
tell_gone(const struct plan *p, const struct hold *h)
{
	struct mbox *m = p->w.m;

	box_begin(m->box);
	for (size_t i = 0; i < p->n; i++) {
		struct mbox_row *r = &m->row[p->v[i].row];

		if (!p->v[i].gone)
			continue;
		r->held = h[i].held;
		r->off = h[i].held ? h[i].off : MBOX_NOWHERE;
		r->end = h[i].end;
		m->nheld += h[i].held;
		box_edit_gone(m->box, p->v[i].row, h[i].held);
	}
	box_commit(m->box);
}

static int
try_expunge(struct mbox *m, const uint32_t *rows, size_t n, bool hold)
{
	struct hold *h = NULL;
	struct item **at = NULL;
	struct plan p;
	int rc = -1;

	if (begin_plan(m, &p) == -1)
		return -1;
	if ((at = index_items(&p)) == NULL || (h = calloc(p.n + 1, sizeof *h)) == NULL)
		goto out;
	for (size_t i = 0; i < n; i++)
		if (at[rows[i]] != NULL)
			at[rows[i]]->gone = true;
	if (!changes_anything(&p))
		rc = 0;
	else if (settle(&p) == 0) {
		if (hold)
			hold_rows(&p, h);
		if ((rc = run_plan(&p)) == 0) {
			tell_gone(&p, h);
			rc = take_result(&p);
		}
	}
out:
	if (rc == -1)
		m->known = false;
	free(at);
	free(h);
	end_plan(&p);
	return rc;
}

int
mbox_expunge(struct box *b, const uint32_t *rows, size_t n, bool hold)
{
	struct mbox *m = mbox_of(b);
	int rc = -1, saved;

	for (int i = 0; i < TRIES; i++)
		if ((rc = try_expunge(m, rows, n, hold)) == 0 || errno != EAGAIN)
			break;
	saved = errno;
	if (rc == -1)
		log_error("%s: cannot expunge: %s", mbox_who(m), strerror(saved));
	errno = saved;
	return rc;
}

void
mbox_unhold(struct box *b, uint32_t row)
{
	struct mbox *m = mbox_of(b);

	if (row >= m->nrow || !m->row[row].held)
		return;
	pthread_rwlock_wrlock(&b->lock);
	m->row[row].held = false;
	m->row[row].off = MBOX_NOWHERE;
	if (--m->nheld == 0) {
		close(m->spool);
		m->spool = -1;
	}
	pthread_rwlock_unlock(&b->lock);
}

/* ---- dates -------------------------------------------------------------------------------------------- */

static int
try_date(struct mbox *m, uint32_t row, int64_t date)
{
	char text[MBOXFROM_DATE + 1];
	struct mbox_journal j;
	struct plan p;
	struct header h;
	int rc = -1;

	if (begin_plan(m, &p) == -1)
		return -1;
	if (item_of(&p, row) == NULL)
		errno = ENOENT;
	else if (read_header(m, p.w.fd, m->row[row].off, &h) == 0) {
		mboxfrom_print_date(date, text);
		if (h.msg.date_off == 0)
			errno = ENOTSUP; /* another form of date: it is left as it is */
		else if (mbox_journal_begin(&j, m, p.w.fd) == 0) {
			if (mbox_journal_patch(&j, h.msg.off + h.msg.date_off,
			                       MBOXFROM_DATE) == 0 &&
			    mbox_journal_data(&j, (struct span){text, MBOXFROM_DATE}) ==
			        0)
				rc = mbox_journal_run(&j);
			mbox_journal_end(&j);
		}
		free_header(&h);
	}
	if (rc == 0) {
		mbox_take_stamp(&p.w);
		box_begin(m->box);
		box_edit_date(m->box, row, date);
		box_commit(m->box);
	} else if (errno == EAGAIN)
		m->known = false;
	end_plan(&p);
	return rc;
}

int
mbox_set_date(struct box *b, uint32_t row, int64_t date)
{
	int rc = -1;

	for (int i = 0; i < TRIES; i++)
		if ((rc = try_date(mbox_of(b), row, date)) == 0 || errno != EAGAIN)
			break;
	return rc;
}
