/* mbox_write: a writer opens the file, locks it, looks at it. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/mbox_journal.h"

/* ---- beginning and ending --------------------------------------------------------------------- */

/* The locks of writing from the start: nobody waits for another's with one in hand. */
static int
lock_and_look(struct mbox_writing *w, bool all)
{
	struct stat mine, there;

	if (mbox_lock_write(w->m, w->fd, mbox_lock_ms(), &w->lock) == -1)
		return -1;
	if (fstat(w->fd, &mine) == 0 &&
	    fstatat(w->m->dir, w->m->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
		return mbox_sync_locked(w->m, w->fd, all);
	errno = EAGAIN; /* another file took its place while we waited */
	return -1;
}

/* One that nobody wrote to yet. Why it cannot be is told by who opens it next. */
static void
make_inbox(const struct mbox *m)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(m->dir, m->name, flags, 0600);

	if (fd == -1 && errno == EACCES && mbox_spool_enter(m)) {
		fd = openat(m->dir, m->name, flags, 0600);
		mbox_spool_leave(m);
	}
	if (fd != -1)
		close(fd);
}

int
mbox_begin_writing(struct mbox *m, bool append, struct mbox_writing *w)
{
	int saved;

	*w = (struct mbox_writing){.m = m, .fd = -1, .lock = {.fd = -1}};
	if (!m->writable) {
		errno = EROFS;
		return -1;
	}
	w->fd = mbox_open_file(m, O_RDWR);
	if (w->fd == -1 && errno == ENOENT && append) {
		make_inbox(m);
		w->fd = mbox_open_file(m, O_RDWR);
	}
	if (w->fd == -1)
		return -1;
	if (lock_and_look(w, !append) == 0)
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
