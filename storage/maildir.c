/* maildir: opening stores and mailboxes, reading messages, and the table of the driver. */
#include "storage/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/boxname.h"

int64_t
md_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const char *
md_who(const struct maildir *m)
{
	static _Thread_local char text[512];

	snprintf(text, sizeof text, "%s/%s", m->box->store->name, m->box->path);
	return text;
}

/* ---- stores ---------------------------------------------------------------------- */

/* Empty, or something of a Maildir in it: never make a Maildir of somebody's home. */
static bool
looks_like_maildir(int top)
{
	int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dp = fd == -1 ? NULL : fdopendir(fd);
	bool other = false, own = false;
	struct dirent *d;

	if (dp == NULL) {
		if (fd != -1)
			close(fd);
		return false;
	}
	while ((d = readdir(dp)) != NULL) {
		if (strcmp(d->d_name, "cur") == 0 || strcmp(d->d_name, "new") == 0 ||
		    strncmp(d->d_name, "dovecot", 7) == 0)
			own = true;
		else if (d->d_name[0] != '.')
			other = true;
	}
	closedir(dp);
	return own || !other;
}

static int
maildir_store_open(struct store *s)
{
	struct md_store *ms;

	if (!looks_like_maildir(s->root)) {
		log_error("%s: %s is no Maildir: it has neither cur/ nor new/", s->name,
			  s->location);
		errno = ENOTSUP;
		return -1;
	}
	if ((ms = calloc(1, sizeof *ms)) == NULL)
		return -1;
	s->drv = ms;
	if (faccessat(s->root, ".", W_OK, AT_EACCESS) == -1)
		s->readonly = true;
	if (!s->readonly)
		md_list_recover(s);
	return 0;
}

static void
maildir_store_close(struct store *s)
{
	free(s->drv);
	s->drv = NULL;
}

/* ---- mailboxes ------------------------------------------------------------------- */

int
md_open_top(struct store *s, const char *path)
{
	struct buf name = {0};
	enum boxname_error why = boxname_to_store(span_of(path), &name);
	int fd;

	if (why != BOXNAME_OK || buf_addc(&name, '\0') == -1) {
		buf_free(&name);
		errno = why != BOXNAME_OK ? boxname_errno(why) : ENOMEM;
		return -1;
	}
	fd = io_open_beneath(s->root, name.n == 1 ? "." : name.p, O_RDONLY | O_DIRECTORY, 0);
	buf_free(&name);
	return fd;
}

/* A directory of the mailbox, made when it is missing and may be. */
static int
open_part(struct maildir *m, const char *name)
{
	int fd = io_open_beneath(m->top, name, O_RDONLY | O_DIRECTORY, 0);
	struct stat st;

	if (fd != -1 || errno != ENOENT || !m->writable)
		return fd;
	if (fstat(m->top, &st) == -1 ||
	    (mkdirat(m->top, name, (st.st_mode & 0777) | 0700) == -1 && errno != EEXIST))
		return -1;
	return io_open_beneath(m->top, name, O_RDONLY | O_DIRECTORY, 0);
}

int
md_tmp(struct maildir *m)
{
	struct stat st;

	if (m->tmp != -1 && fstat(m->tmp, &st) == 0 && st.st_nlink > 0)
		return 0;
	if (m->tmp != -1)
		close(m->tmp);
	return (m->tmp = open_part(m, "tmp")) == -1 ? -1 : 0;
}

static void
free_box(struct maildir *m)
{
	const int fds[] = {m->top, m->dir[MD_NEW].fd, m->dir[MD_CUR].fd, m->tmp, m->holder};

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] != -1)
			close(fds[i]);
	free(m->uids.extra);
	keywords_free(&m->keywords);
	names_free(&m->names);
	free(m);
}

static int
open_parts(struct maildir *m, struct box *b)
{
	if ((m->top = md_open_top(b->store, b->path)) == -1)
		return -1;
	m->writable = !b->store->readonly && faccessat(m->top, ".", W_OK, AT_EACCESS) == 0;
	if ((m->dir[MD_NEW].fd = open_part(m, "new")) == -1 ||
	    (m->dir[MD_CUR].fd = open_part(m, "cur")) == -1)
		return -1;
	return 0;
}

static int
maildir_open(struct box *b)
{
	struct maildir *m = calloc(1, sizeof *m);
	int saved;

	if (m == NULL)
		return -1;
	m->box = b;
	m->top = m->dir[MD_NEW].fd = m->dir[MD_CUR].fd = m->tmp = m->holder = -1;
	if (open_parts(m, b) == -1) {
		saved = errno;
		log_error("%s: cannot open the mailbox: %m", md_who(m));
		free_box(m);
		errno = saved;
		return -1;
	}
	b->drv = m;
	if (m->writable)
		md_recover(m);
	return 0;
}

/* Records of expunged messages go out of the uidlist at the latest now: a file that
 * comes back must not get its old UID from whoever opens the mailbox next. */
static void
drop_dead_records(struct maildir *m)
{
	struct box *b = m->box;
	struct dotlock lock;

	if (!b->loaded || m->killed || !m->writable || m->uids.nrecord <= b->head.nmessage)
		return;
	if (md_uids_lock(m, MD_LOCK_CLOSE_MS, &lock) == -1)
		return;
	m->uids.rewrite = true;
	(void)md_sync_locked(m);
	md_uids_unlock(m, &lock);
}

static void
maildir_close(struct box *b)
{
	struct maildir *m = md_of(b);

	if (b->linked) /* else the mailbox was removed, or is no longer this one */
		drop_dead_records(m);
	md_holder_close(m);
	free_box(m);
	b->drv = NULL;
}

static size_t
maildir_watch_dirs(struct box *b, int fds[4])
{
	struct maildir *m = md_of(b);

	fds[0] = m->dir[MD_NEW].fd;
	fds[1] = m->dir[MD_CUR].fd;
	return 2; /* whoever changes the uidlist or the keywords changes these too */
}

static bool
keywords_changed(const struct maildir *m)
{
	struct md_stamp now = {0};
	struct stat st;

	if (fstatat(m->top, KEYWORDS_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0)
		now = md_stamp(&st);
	return !md_stamp_eq(&now, &m->keywords_stamp);
}

static bool
maildir_changed(struct box *b)
{
	struct maildir *m = md_of(b);
	bool yes;

	cred_enter(b->store);
	yes = m->deferred || md_scan_needed(m) || md_uids_changed(m) || keywords_changed(m);
	cred_leave(b->store);
	return yes;
}

/* ---- changes of our own ---------------------------------------------------------- */

unsigned
md_ours_begin(const struct maildir *m)
{
	unsigned same = 0;

	for (int w = MD_NEW; w <= MD_CUR; w++) {
		struct md_stamp now;
		struct stat st;

		if (m->dir[w].trust < TRUST_OURS || fstat(m->dir[w].fd, &st) == -1)
			continue;
		now = md_stamp(&st);
		if (md_stamp_eq(&now, &m->dir[w].stamp))
			same |= 1u << w;
	}
	return same;
}

/* Somebody else may have made a change between our two looks, so the directory is read
 * again before long; but not after every single change in a row. */
void
md_ours_end(struct maildir *m, unsigned before)
{
	for (int w = MD_NEW; w <= MD_CUR; w++) {
		struct md_dir *d = &m->dir[w];
		struct md_stamp now;
		struct stat st;

		if (!(before >> w & 1) || fstat(d->fd, &st) == -1)
			continue;
		now = md_stamp(&st);
		if (md_stamp_eq(&now, &d->stamp))
			continue;
		d->stamp = now;
		if (d->trust == TRUST_SURE)
			d->since_ms = md_now_ms();
		d->trust = TRUST_OURS;
	}
}

/* ---- reading --------------------------------------------------------------------- */

/*
 * A regular file with one name lies in the store and nowhere else, whoever owns it. One
 * with several names (Dovecot and we copy by link) must belong to the user: a link to
 * somebody else's file is not read.
 */
static int
maildir_source(struct box *b, uint32_t row, struct source *src)
{
	struct maildir *m = md_of(b);
	enum md_where where = names_where(&m->names, row);
	const char *name = names_get(&m->names, row);
	struct stat st;
	int fd, dir;

	if (where == MD_GONE || (dir = md_dirfd(m, where)) == -1) {
		errno = ENOENT;
		return -1;
	}
	if ((fd = io_open_regular(dir, name, O_RDONLY, (uid_t)-1, true)) == -1)
		return -1;
	if (fstat(fd, &st) == -1 || (st.st_nlink > 1 && st.st_uid != b->store->cred.uid)) {
		int saved = st.st_nlink > 1 ? EMLINK : errno;

		close(fd);
		errno = saved;
		return -1;
	}
	*src = (struct source){.fd = fd,
			       .stored_size = (uint64_t)st.st_size,
			       .date = st.st_mtim.tv_sec,
			       .nrange = 1};
	src->range[0].size = (uint64_t)st.st_size;
	return 0;
}

static int
maildir_base_name(struct box *b, uint32_t row, struct buf *out)
{
	return buf_add(out, names_base(&md_of(b)->names, row));
}

static int
maildir_uidl(struct box *b, uint32_t row, struct buf *out)
{
	struct span uidl = names_uidl(&md_of(b)->names, row);

	if (uidl.n == 0) {
		errno = ENOENT;
		return -1;
	}
	return buf_add(out, uidl);
}

const struct driver maildir_driver = {
    .name = "maildir",
    .store_open = maildir_store_open,
    .store_close = maildir_store_close,
    .list = md_list,
    .list_changed = md_list_changed,
    .listed = md_listed,
    .create = md_create,
    .remove = md_remove,
    .rename = md_rename_box,
    .erase = md_erase,
    .discard = md_discard,
    .use = md_use,
    .subscriptions = md_subscriptions,
    .subscribe = md_subscribe,
    .open = maildir_open,
    .close = maildir_close,
    .watch_dirs = maildir_watch_dirs,
    .changed = maildir_changed,
    .sync = md_sync,
    .source = maildir_source,
    .base_name = maildir_base_name,
    .uidl = maildir_uidl,
    .set_flags = md_set_flags,
    .add_keyword = md_add_keyword,
    .expunge = md_expunge,
    .unhold = md_unhold,
    .deliver = md_deliver,
    .set_date = md_set_date,
    .copy = md_copy,
    .claim_recent = md_claim_recent,
    .stage_open = md_stage_open,
    .stage_keep = md_stage_keep,
    .stage_discard = md_stage_discard,
};
