#include "storage/subsfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/box.h"
#include "storage/dotlock.h"

#define FILE_MAX (4u << 20)
#define STALE_S  30 /* as Dovecot has it for this file */

/* ---- reading ------------------------------------------------------------------------- */

/* *mode: what the file has or is to get. */
static int
read_list(struct store *s, const struct subsfile *f, struct subscriptions *list,
          mode_t *mode)
{
	struct buf text = {.max = FILE_MAX};
	struct stat st;
	int fd, rc, saved;

	*list = (struct subscriptions){.version = 1, .sep = f->sep};
	*mode = 0600;
	if (f->as_top && fstat(s->root, &st) == 0)
		*mode = (st.st_mode & 0666) | 0600;
	fd = io_open_regular(s->root, f->name, O_RDONLY, (uid_t)-1, false);
	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	if (fstat(fd, &st) == 0)
		*mode = (st.st_mode & 0666) | 0600;
	rc = io_slurp(fd, &text);
	if (rc == 0)
		rc = subscriptions_parse(buf_span(&text), f->sep, list);
	saved = errno;
	close(fd);
	buf_free(&text);
	errno = saved;
	return rc;
}

int
subsfile_read(struct store *s, const struct subsfile *f, struct subscriptions *list)
{
	mode_t mode;

	return read_list(s, f, list, &mode);
}

/* ---- changing ------------------------------------------------------------------------ */

/* Lock held. */
static int
change(struct store *s, const struct subsfile *f, struct span name, bool on)
{
	struct subscriptions list;
	struct buf text = {.max = FILE_MAX};
	char tmp[64];
	mode_t mode;
	int rc;

	if (read_list(s, f, &list, &mode) == -1)
		return -1;
	snprintf(tmp, sizeof tmp, "%s.mailtree-tmp", f->name);
	rc = on ? subscriptions_add(&list, name) : subscriptions_remove(&list, name);
	if (rc == 1) {
		rc = subscriptions_print(&list, &text);
		if (rc == 0)
			rc = io_replace(s->root, f->name, tmp, buf_span(&text), mode);
	}
	buf_free(&text);
	subscriptions_free(&list);
	return rc;
}

static int
locked_change(struct store *s, const struct subsfile *f, struct span name, bool on)
{
	struct dotlock lock;
	struct buf holder = {0};
	int rc, saved;

	if (dotlock_take_stale(s->root, f->name, f->lock_ms, STALE_S, &lock, &holder) ==
	    -1) {
		saved = errno;
		if (saved == EAGAIN)
			log_error("%s: %s.lock is held by %.*s", s->name, f->name,
			          (int)holder.n, holder.n > 0 ? holder.p : "");
		buf_free(&holder);
		errno = saved;
		return -1;
	}
	rc = change(s, f, name, on);
	saved = errno;
	(void)dotlock_drop(&lock);
	buf_free(&holder);
	errno = saved;
	return rc;
}

int
subsfile_change(struct store *s, const struct subsfile *f, struct span name, bool on)
{
	int rc = locked_change(s, f, name, on), saved = errno;

	if (rc == -1 && saved != EINVAL)
		log_error("%s: cannot change its subscriptions: %s", s->name,
		          strerror(saved));
	errno = saved;
	return rc;
}
