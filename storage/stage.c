/* stage: a message that is being written, until it is delivered or given up. */
#include "storage/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/driver.h"

int
stage_open(struct box *b, struct stage **out)
{
	struct stage *s;
	int rc, saved;

	if (b->kind != BOX_MAIL || b->store->readonly || b->dead) {
		errno = b->dead ? ESTALE : b->kind != BOX_MAIL ? EACCES : EROFS;
		return -1;
	}
	/* opens the driver's part of the mailbox if nobody looked into it before */
	if (box_refresh(b) == -1 || (s = calloc(1, sizeof *s)) == NULL)
		return -1;
	s->fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	box_ref(s->box = b);
	pthread_mutex_lock(&b->io);
	cred_enter(b->store);
	rc = b->store->driver->stage_open(b, s);
	saved = errno;
	cred_leave(b->store);
	pthread_mutex_unlock(&b->io);
	if (rc == -1) {
		stage_free(s);
		errno = saved;
		return -1;
	}
	*out = s;
	return 0;
}

void
stage_free(struct stage *s)
{
	if (s == NULL)
		return;
	if (s->fd != -1)
		close(s->fd);
	free(s->name);
	free(s->base);
	pthread_mutex_destroy(&s->lock);
	box_unref(s->box);
	free(s);
}

int
stage_write(struct stage *s, const void *p, size_t n, uint64_t off)
{
	int rc;

	if (off > INT64_MAX - n) {
		errno = EFBIG;
		return -1;
	}
	pthread_mutex_lock(&s->lock);
	rc = io_pwrite_all(s->fd, (struct span){p, n}, (off_t)off);
	if (rc == 0 && off + n > s->size)
		s->size = off + n;
	s->dirty = true;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int
stage_read(struct stage *s, void *p, size_t n, uint64_t off, size_t *got)
{
	ssize_t k = off > INT64_MAX ? 0 : io_pread_full(s->fd, p, n, (off_t)off);

	if (k == -1)
		return -1;
	*got = (size_t)k;
	return 0;
}

int
stage_truncate(struct stage *s, uint64_t size)
{
	int rc;

	if (size > INT64_MAX) {
		errno = EFBIG;
		return -1;
	}
	pthread_mutex_lock(&s->lock);
	if ((rc = ftruncate(s->fd, (off_t)size)) == 0)
		s->size = size;
	s->dirty = true;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int
stage_reserve(struct stage *s, uint64_t size)
{
	/* not posix_fallocate: it would write zeros where the file system cannot do it */
	return fallocate(s->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size);
}

uint64_t
stage_size(const struct stage *s)
{
	return s->size;
}

/* The driver's part, unless the mailbox has been closed: then there is nowhere to keep
 * it. The stage's lock may be held: box->io is taken after it. */
static int
keep(struct stage *s, bool deliverable)
{
	struct box *b = s->box;
	int rc = -1, saved = ESTALE;

	pthread_mutex_lock(&b->io);
	if (b->open) {
		cred_enter(b->store);
		rc = b->store->driver->stage_keep(s, deliverable);
		saved = errno;
		cred_leave(b->store);
	}
	pthread_mutex_unlock(&b->io);
	errno = saved;
	return rc;
}

int
stage_flush(struct stage *s, bool deliverable)
{
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (s->dirty || s->kept != s->size || s->deliverable != deliverable) {
		if (s->dirty)
			rc = fsync(s->fd);
		if (rc == 0) {
			s->dirty = false;
			rc = keep(s, deliverable);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void
stage_discard(struct stage *s)
{
	struct box *b;

	if (s == NULL)
		return;
	b = s->box;
	pthread_mutex_lock(&b->io);
	if (b->open) {
		cred_enter(b->store);
		b->store->driver->stage_discard(s);
		cred_leave(b->store);
	}
	pthread_mutex_unlock(&b->io);
	stage_free(s);
}

void
stage_leave(struct stage *s)
{
	stage_free(s);
}
