/* mbox_window: large reads, and small ones where the scanner only looks at the end of a body. */
#include "storage/mbox_window.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/base/io.h"

int
mbox_window_open(struct mbox_window *w, int fd, uint64_t size, size_t cap)
{
	w->fd = fd;
	w->size = size;
	w->off = w->n = 0;
	w->cap = cap;
	w->p = malloc(cap);
	return w->p == NULL ? -1 : 0;
}

void
mbox_window_close(struct mbox_window *w)
{
	free(w->p);
	w->p = NULL;
}

static bool
is_in(const struct mbox_window *w, uint64_t off)
{
	return off >= w->off && off < w->off + w->n;
}

/* Up to `cap` octets into `room`: how many. */
static int
fill(const struct mbox_window *w, uint64_t off, char *room, size_t cap, size_t *n)
{
	size_t most = w->size - off < cap ? (size_t)(w->size - off) : cap;
	ssize_t got = io_pread_full(w->fd, room, most, (off_t)off);

	*n = got > 0 ? (size_t)got : 0;
	if (got == 0)
		errno = EIO;
	return got > 0 ? 0 : -1;
}

int
mbox_window_at(struct mbox_window *w, uint64_t off, bool few, struct span *out)
{
	size_t n;

	*out = (struct span){w->p, 0};
	if (off == w->size)
		return 0;
	if (off > w->size) { /* what is known is of a longer file */
		errno = EIO;
		return -1;
	}
	if (!is_in(w, off)) {
		if (few) {
			if (fill(w, off, w->peek, sizeof w->peek, &n) == -1)
				return -1;
			*out = (struct span){w->peek, n};
			return 0;
		}
		w->off = off;
		if (fill(w, off, w->p, w->cap, &w->n) == -1)
			return -1;
	}
	*out = (struct span){w->p + (off - w->off), w->off + w->n - off};
	return 0;
}
