/* mbox: opening stores and mailboxes, reading messages, and the table of the driver. */
#include "storage/mbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/grow.h"

int64_t
mbox_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const char *
mbox_who(const struct mbox *m)
{
	static _Thread_local char text[512];

	snprintf(text, sizeof text, "%s/%s", m->box->store->name, m->box->path);
	return text;
}

/* ---- stores and mailboxes ------------------------------------------------------------------ */

static int
open_store(struct store *s)
{
	return mbox_tree_open(s);
}

static void
close_store(struct store *s)
{
	mbox_tree_close(s);
}

int
mbox_open_file(const struct mbox *m, int flags)
{
	/* O_NOATIME: what looks whether there is new mail goes by it */
	uid_t owner = mbox_spool_owner(m);
	int fd = io_open_regular(m->dir, m->name, flags | O_NOATIME, owner, false);

	if (fd == -1 && errno == EPERM) /* not ours, or not regular */
		fd = io_open_regular(m->dir, m->name, flags, owner, false);
	return fd;
}

static void
free_box(struct mbox *m)
{
	if (m->dir != -1)
		close(m->dir);
	if (m->spool != -1)
		close(m->spool);
	free(m->name);
	free(m->row);
	free(m);
}

static bool
is_writable(const struct mbox *m)
{
	if (m->box->store->readonly)
		return false;
	if (faccessat(m->dir, m->name, W_OK, AT_EACCESS) == 0)
		return true;
	return errno == ENOENT && (faccessat(m->dir, ".", W_OK, AT_EACCESS) == 0 ||
	                           mbox_spool_may_make(m));
}

static int
open_box(struct box *b)
{
	struct mbox *m = calloc(1, sizeof *m);
	int saved;

	if (m == NULL)
		return -1;
	m->box = b;
	m->dir = m->spool = -1;
	if (mbox_tree_find(b->store, b->path, &m->dir, &m->name) == -1)
		goto fail;
	m->writable = is_writable(m);
	b->drv = m;
	if (m->writable && mbox_recover(m) == -1)
		goto fail;
	return 0;
fail:
	saved = errno;
	log_error("%s: cannot open the mailbox: %m", mbox_who(m));
	b->drv = NULL;
	free_box(m);
	errno = saved;
	return -1;
}

static void
close_box(struct box *b)
{
	mbox_places_write(mbox_of(b));
	free_box(mbox_of(b));
	b->drv = NULL;
}

static size_t
watch_dirs(struct box *b, int fds[4])
{
	fds[0] = mbox_of(b)->dir;
	return 1;
}

static bool
is_changed(struct box *b)
{
	struct mbox *m = mbox_of(b);
	struct file_stamp now;
	struct stat st;
	int rc, why;

	cred_enter(b->store);
	rc = fstatat(m->dir, m->name, &st, AT_SYMLINK_NOFOLLOW);
	why = errno;
	cred_leave(b->store);
	if (rc == -1)
		return why != ENOENT || m->exists || !m->known;
	now = file_stamp(&st);
	return !m->known || !m->exists || !file_stamp_eq(&now, &m->stamp) ||
	       (m->dirty && mbox_now_ms() - m->dirty_ms > MBOX_DOUBT_MS);
}

static bool
is_small(const struct box *b)
{
	const struct mbox *m = b->drv;

	return (uint64_t)m->stamp.size < mboxconf.min_index_size;
}

/* ---- reading ---------------------------------------------------------------------------------- */

struct cut {
	uint64_t off, size;
};

struct cuts { /* the hidden fields of a message, in order */
	struct cut *v;
	size_t n, cap;
	bool nomem;
};

static void
on_field(void *arg, const struct mboxscan_field *f)
{
	struct cuts *c = arg;

	if (GROW(c->v, c->n, c->cap) == -1)
		c->nomem = true;
	else
		c->v[c->n++] = (struct cut){f->off, f->size};
}

/* What lies between them. False: in more pieces than a source has. */
static bool
fill_ranges(struct source *s, const struct cuts *c, uint64_t at, uint64_t end)
{
	for (size_t i = 0; i <= c->n; i++) {
		uint64_t to = i < c->n ? c->v[i].off : end;

		if (to > at && s->nrange == ARRAY_LEN(s->range))
			return false;
		if (to > at) {
			s->range[s->nrange].off = at;
			s->range[s->nrange++].size = to - at;
			s->stored_size += to - at;
		}
		if (i < c->n)
			at = c->v[i].off + c->v[i].size;
	}
	return true;
}

static bool
is_as_looked_at(const struct mbox *m, const struct stat *st)
{
	struct file_stamp now = file_stamp(st);

	return m->known && file_stamp_eq(&now, &m->stamp);
}

/* A message in more pieces than a source has, or quoted, as a file of its own that has no
 * name. */
static int
copy_out(struct mbox *m, const struct cuts *c, uint64_t from, uint64_t end, bool quoted,
         struct source *src)
{
	struct mbox_unquote u = {.quoted = quoted};
	uint64_t at = from;
	unsigned depth = cred_suspend(m->box->store);
	int fd =
	    openat(box_index_dir(m->box), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int rc = fd == -1 ? -1 : 0, saved;
	struct stat st;

	u.to = fd;
	for (size_t i = 0; i <= c->n && rc == 0; i++) {
		uint64_t to = i < c->n ? c->v[i].off : end;

		if (to > at)
			rc = mbox_unquote_copy(&u, src->fd, at, to - at);
		at = i < c->n ? c->v[i].off + c->v[i].size : end;
	}
	if (rc == 0)
		rc = mbox_unquote_end(&u);
	saved = errno;
	cred_resume(m->box->store, depth);
	if (fstat(src->fd, &st) == -1 || !is_as_looked_at(m, &st)) {
		rc = -1; /* it changed under the copying, which may have failed by that */
		saved = ENOENT;
	}
	if (rc == -1) {
		if (fd != -1)
			close(fd);
		errno = saved;
		return -1;
	}
	close(src->fd);
	*src = (struct source){
	    .fd = fd, .stored_size = u.size, .date = src->date, .nrange = u.size > 0};
	src->range[0].size = u.size;
	return 0;
}

/* The file is open in src->fd. ENOENT: it is another than that of the last look. */
static int
fill_source(struct mbox *m, const struct mbox_row *r, struct source *src)
{
	struct cuts c = {0};
	struct mboxscan_msg msg;
	struct stat st;
	int rc = -1;

	/* and again: what is hidden was found in a file that may have been written to meanwhile */
	if (fstat(src->fd, &st) == -1 || !is_as_looked_at(m, &st) ||
	    mbox_scan_header(src->fd, r->off, (uint64_t)st.st_size, r->off == 0, &msg,
	                     on_field, &c) == -1 ||
	    msg.head != r->head || fstat(src->fd, &st) == -1 || !is_as_looked_at(m, &st))
		errno = ENOENT;
	else if (c.nomem)
		errno = ENOMEM;
	else {
		src->date = msg.date;
		src->shared = true;
		src->stamp = m->stamp;
		rc = 0;
		if (msg.quoted || !fill_ranges(src, &c, msg.header, r->end))
			rc = copy_out(m, &c, msg.header, r->end, msg.quoted, src);
	}
	free(c.v);
	return rc;
}

static int
held_source(const struct mbox *m, const struct mbox_row *r, struct source *src)
{
	int fd = fcntl(m->spool, F_DUPFD_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	*src = (struct source){
	    .fd = fd, .stored_size = r->end - r->off, .nrange = r->end > r->off};
	src->range[0].off = r->off;
	src->range[0].size = r->end - r->off;
	return 0;
}

int
mbox_source(struct box *b, uint32_t row, struct source *src)
{
	struct mbox *m = mbox_of(b);
	const struct mbox_row *r = &m->row[row];
	int saved;

	if (r->off == MBOX_NOWHERE) {
		errno = ENOENT;
		return -1;
	}
	if (r->held)
		return held_source(m, r, src);
	*src = (struct source){.fd = mbox_open_file(m, O_RDONLY)};
	if (src->fd == -1)
		return -1;
	if (fill_source(m, r, src) == 0)
		return 0;
	saved = errno;
	close(src->fd);
	errno = saved;
	return -1;
}

/* ---- names --------------------------------------------------------------------------------------- */

/* No file of its own: the ident and the UID, which no other message of it shares. */
static int
base_name(struct box *b, uint32_t row, struct buf *out)
{
	return buf_addf(out, "%016llx.%u",
	                (unsigned long long)mbox_of(b)->row[row].ident,
	                b->rec[row].uid);
}

static int
uidl(struct box *b, uint32_t row, struct buf *out)
{
	(void)b, (void)row, (void)out;
	errno = ENOENT;
	return -1;
}

const struct driver mbox_driver = {
    .name = "mbox",
    .leaves = true,
    .journal = MBOX_JOURNAL,
    .store_open = open_store,
    .store_close = close_store,
    .list = mbox_list,
    .list_changed = mbox_list_changed,
    .create = mbox_create,
    .remove = mbox_remove,
    .rename = mbox_rename,
    .erase = mbox_erase,
    .discard = mbox_discard,
    .use = mbox_use,
    .subscriptions = mbox_subscriptions,
    .subscribe = mbox_subscribe,
    .open = open_box,
    .close = close_box,
    .watch_dirs = watch_dirs,
    .changed = is_changed,
    .small = is_small,
    .sync = mbox_sync,
    .source = mbox_source,
    .base_name = base_name,
    .uidl = uidl,
    .set_flags = mbox_set_flags,
    .add_keyword = mbox_add_keyword,
    .expunge = mbox_expunge,
    .unhold = mbox_unhold,
    .deliver = mbox_deliver,
    .set_date = mbox_set_date,
    .copy = mbox_copy,
    .claim_recent = mbox_claim_recent,
    .stage_open = mbox_stage_open,
    .stage_keep = mbox_stage_keep,
    .stage_discard = mbox_stage_discard,
};
