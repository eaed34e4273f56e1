/*
 * io: whole reads and writes, and opening below a directory without following
 * what a user may have planted there. All: 0 or -1 with errno; EINTR is retried.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <sys/types.h>
#include <sys/uio.h>

#include "storage/base/buf.h"

int io_write_all(int fd, struct span);
int io_pwrite_all(int fd, struct span, off_t);
int io_writev_all(int fd, struct iovec *, int n); /* changes the iovecs */

/* Up to n octets at off; fewer only at the end of the file. -1 on error. */
ssize_t io_pread_full(int fd, void *, size_t n, off_t off);

/* Add the whole file to the buffer, which has its ceiling (EMSGSIZE past it). */
int io_slurp(int fd, struct buf *);

/*
 * Open `path` beneath directory `dir`: no symlink is followed anywhere, no mount
 * crossed, no way up (openat2). `mode` counts with O_CREAT only. O_CLOEXEC is added.
 */
int io_open_beneath(int dir, const char *path, int flags, mode_t mode);

/*
 * A regular file beneath `dir`, opened for reading, with exactly one name unless
 * `links` allows more, owned by `owner` unless that is (uid_t)-1. ELOOP, EXDEV,
 * EMLINK, EPERM when it is something else: never a silent guess.
 */
int io_open_regular(int dir, const char *path, int flags, uid_t owner, bool links);

/* Durably replace dir/name by `text`, through dir/tmp, which is the caller's. */
int io_replace(int dir, const char *name, const char *tmp, struct span text, mode_t);

int io_fsync_dir(int dir, const char *path); /* "." for dir itself */

/* One descriptor over a Unix socket, with the bytes that go along (1 or more). */
int io_send_fd(int sock, int fd, struct span with);
ssize_t io_recv_fd(int sock, int *fd, void *, size_t cap); /* *fd -1: none came */

#endif
