/*
 * mbox_window: octets of an mbox file, read ahead into one room that is used again and again.
 * Never mapped: who cuts the file short would kill the daemon. Private to storage/mbox*.c.
 */
#ifndef STORAGE_MBOX_WINDOW_H
#define STORAGE_MBOX_WINDOW_H

#include <stdint.h>

#include "storage/base/span.h"

#define MBOX_WINDOW 262144u /* octets read at a time: they stay in a core's own cache */
#define MBOX_PEEK   4096u   /* where only a few are wanted */

struct mbox_window {
	int fd;        /* borrowed */
	uint64_t size; /* of the file */
	char *p;
	uint64_t off;
	size_t n, cap;
	char peek[MBOX_PEEK];
};

/* Room for `cap` octets. -1 ENOMEM. mbox_window_close in any case. */
int mbox_window_open(struct mbox_window *, int fd, uint64_t size, size_t cap);
void mbox_window_close(struct mbox_window *);

/*
 * The octets at `off`, some; none at the end. `few`: the next ones will be wanted elsewhere.
 * Borrowed until the next call. -1 EIO: the file is shorter than it was.
 */
int mbox_window_at(struct mbox_window *, uint64_t off, bool few, struct span *out);

#endif
