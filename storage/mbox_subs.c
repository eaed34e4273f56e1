/*
 * mbox_subs: the store's `.subscriptions`, where Dovecot has them for mboxes: read as a
 * whole, written anew under `.subscriptions.lock`. Levels are in modified UTF-7.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/boxname.h"
#include "storage/mbox.h"
#include "storage/subscriptions.h"

#define FILE_NAME "." SUBSCRIPTIONS_FILE
#define TMP_NAME  FILE_NAME ".mailtree-tmp" /* the lock is held: it is ours */
#define FILE_MAX  (4u << 20)
#define STALE_S   30 /* as Dovecot has it for this file */
#define SEP       '/'

/* ---- names -------------------------------------------------------------------------- */

static int
each_level(struct span name, enum boxname_error (*turn)(struct span, struct buf *),
           struct buf *out)
{
	enum boxname_error why = BOXNAME_OK;
	struct span level;
	bool first = true;

	while (why == BOXNAME_OK && span_cut(&name, SEP, &level)) {
		if (!first && buf_addc(out, SEP) == -1)
			return -1;
		first = false;
		why = turn(level, out);
	}
	if (why == BOXNAME_OK)
		return 0;
	errno = boxname_errno(why);
	return -1;
}

static enum boxname_error
level_to_disk(struct span level, struct buf *out)
{
	return boxname_level_to_store(level, 0, out);
}

/* ---- the file ----------------------------------------------------------------------- */

/* Into an empty list; no file is an empty one. *mode: what the file has or is to get. */
static int
read_list(struct store *s, struct subscriptions *list, mode_t *mode)
{
	struct buf text = {.max = FILE_MAX};
	struct stat st;
	int fd, rc, saved;

	*list = (struct subscriptions){.version = 1, .sep = SEP};
	*mode = 0600;
	fd = io_open_regular(s->root, FILE_NAME, O_RDONLY, (uid_t)-1, false);
	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	if (fstat(fd, &st) == 0)
		*mode = (st.st_mode & 0666) | 0600;
	rc = io_slurp(fd, &text);
	if (rc == 0)
		rc = subscriptions_parse(buf_span(&text), SEP, list);
	saved = errno;
	close(fd);
	buf_free(&text);
	errno = saved;
	return rc;
}

int
mbox_subscriptions(struct store *s, int (*each)(void *, const char *), void *arg)
{
	struct subscriptions list;
	struct buf path = {0};
	mode_t mode;
	int rc = 0;

	if (s->inbox_only) /* the directory is not this user's */
		return 0;
	if (read_list(s, &list, &mode) == -1)
		return -1;
	for (size_t i = 0; i < list.n && rc == 0; i++) {
		buf_reset(&path);
		if (!list.list[i].opaque &&
		    each_level(span_of(list.list[i].name), boxname_level_to_tree,
		               &path) == 0 &&
		    buf_addc(&path, '\0') == 0)
			rc = each(arg, path.p);
	}
	buf_free(&path);
	subscriptions_free(&list);
	return rc;
}

/* ---- changing ------------------------------------------------------------------------ */

/* Lock held. */
static int
change(struct store *s, struct span name, bool on)
{
	struct subscriptions list;
	struct buf text = {.max = FILE_MAX};
	mode_t mode;
	int rc;

	if (read_list(s, &list, &mode) == -1)
		return -1;
	rc = on ? subscriptions_add(&list, name) : subscriptions_remove(&list, name);
	if (rc == 1) {
		rc = subscriptions_print(&list, &text);
		if (rc == 0)
			rc = io_replace(s->root, FILE_NAME, TMP_NAME, buf_span(&text),
			                mode);
	}
	buf_free(&text);
	subscriptions_free(&list);
	return rc;
}

static int
locked_change(struct store *s, struct span name, bool on)
{
	struct dotlock lock;
	struct buf holder = {0};
	int rc, saved;

	if (dotlock_take_stale(s->root, FILE_NAME, mbox_lock_ms(), STALE_S, &lock,
	                       &holder) == -1) {
		saved = errno;
		if (saved == EAGAIN)
			log_error("%s: " FILE_NAME ".lock is held by %.*s", s->name,
			          (int)holder.n, holder.n > 0 ? holder.p : "");
		buf_free(&holder);
		errno = saved;
		return -1;
	}
	rc = change(s, name, on);
	saved = errno;
	(void)dotlock_drop(&lock);
	buf_free(&holder);
	errno = saved;
	return rc;
}

int
mbox_subscribe(struct store *s, const char *path, bool on)
{
	struct buf name = {0};
	int rc = -1, saved;

	if (s->inbox_only)
		errno = ENOTSUP;
	else if ((rc = each_level(span_of(path), level_to_disk, &name)) == 0 &&
	         (rc = locked_change(s, buf_span(&name), on)) == -1 && errno != EINVAL)
		log_error("%s: cannot change its subscriptions: %m", s->name);
	saved = errno;
	buf_free(&name);
	errno = saved;
	return rc;
}
