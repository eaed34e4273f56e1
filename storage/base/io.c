#include "storage/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int
io_write_all(int fd, struct span s)
{
	struct iovec v = {(void *)s.p, s.n};

	return io_writev_all(fd, &v, 1);
}

int
io_pwrite_all(int fd, struct span s, off_t off)
{
	while (s.n > 0) {
		ssize_t n = pwrite(fd, s.p, s.n, off);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		s = span_from(s, (size_t)n);
		off += n;
	}
	return 0;
}

int
io_writev_all(int fd, struct iovec *v, int n)
{
	while (n > 0) {
		ssize_t done = writev(fd, v, n);

		if (done == -1 && errno == EINTR)
			continue;
		if (done == -1)
			return -1;
		while (n > 0 && (size_t)done >= v->iov_len) {
			done -= (ssize_t)v->iov_len;
			v++, n--;
		}
		if (n > 0) {
			v->iov_base = (char *)v->iov_base + done;
			v->iov_len -= (size_t)done;
		}
	}
	return 0;
}

ssize_t
io_pread_full(int fd, void *out, size_t n, off_t off)
{
	size_t got = 0;

	while (got < n) {
		ssize_t k = pread(fd, (char *)out + got, n - got, off + (off_t)got);

		if (k == -1 && errno == EINTR)
			continue;
		if (k == -1)
			return -1;
		if (k == 0)
			break;
		got += (size_t)k;
	}
	return (ssize_t)got;
}

int
io_slurp(int fd, struct buf *b)
{
	struct stat st;
	size_t room = 65536;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	    (b->max == 0 || (size_t)st.st_size <= b->max - b->n))
		room = (size_t)st.st_size + 1;
	for (;;) {
		char one, *at;
		ssize_t n;

		if (b->max != 0 && b->n + room > b->max)
			room = b->max - b->n;
		if (room == 0) { /* full: only the end of the file may follow */
			while ((n = read(fd, &one, 1)) == -1 && errno == EINTR)
				;
			if (n == 1)
				errno = EMSGSIZE;
			return n == 0 ? 0 : -1;
		}
		if ((at = buf_room(b, room)) == NULL)
			return -1;
		while ((n = read(fd, at, room)) == -1 && errno == EINTR)
			;
		if (n <= 0)
			return (int)n;
		b->n += (size_t)n;
		room = 65536;
	}
}

int
io_open_beneath(int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
	    .flags = (unsigned)flags | O_CLOEXEC,
	    .mode = flags & O_CREAT ? mode : 0,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV |
		       RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	do
		fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
	while (fd == -1 && (errno == EINTR || errno == EAGAIN));
	return (int)fd;
}

int
io_open_regular(int dir, const char *path, int flags, uid_t owner, bool links)
{
	struct stat st;
	int fd, why = 0;

	/* O_NONBLOCK: a fifo that somebody planted must not hold us up */
	if ((fd = io_open_beneath(dir, path, flags | O_NONBLOCK | O_NOCTTY, 0)) == -1)
		return -1;
	if (fstat(fd, &st) == -1)
		why = errno;
	else if (!S_ISREG(st.st_mode))
		why = S_ISDIR(st.st_mode) ? EISDIR : EPERM;
	else if (!links && st.st_nlink > 1)
		why = EMLINK;
	else if (owner != (uid_t)-1 && st.st_uid != owner)
		why = EPERM;
	if (why != 0) {
		close(fd);
		errno = why;
		return -1;
	}
	return fd;
}

int
io_replace(int dir, const char *name, const char *tmp, struct span text, mode_t mode)
{
	int fd, saved;

	/* Not over what is there: somebody may have planted a link to another file. */
	if (unlinkat(dir, tmp, 0) == -1 && errno != ENOENT)
		return -1;
	if ((fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			 mode)) == -1)
		return -1;
	if (io_write_all(fd, text) == -1 || fsync(fd) == -1 ||
	    renameat(dir, tmp, dir, name) == -1)
		goto undo;
	close(fd);
	return io_fsync_dir(dir, "."); /* the name is durable too */
undo:
	saved = errno;
	unlinkat(dir, tmp, 0);
	close(fd);
	errno = saved;
	return -1;
}

int
io_fsync_dir(int dir, const char *path)
{
	int fd, rc, saved;

	if ((fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -1;
	rc = fsync(fd);
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

union fd_control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int))];
};

int
io_send_fd(int sock, int fd, struct span with)
{
	union fd_control ctl = {0};
	struct iovec v = {(void *)with.p, with.n};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = ctl.room,
			   .msg_controllen = sizeof ctl.room};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	ssize_t n;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	while ((n = sendmsg(sock, &m, MSG_NOSIGNAL)) == -1 && errno == EINTR)
		;
	if (n == -1)
		return -1;
	if ((size_t)n != with.n) { /* only a stream socket can do this */
		errno = EMSGSIZE;
		return -1;
	}
	return 0;
}

ssize_t
io_recv_fd(int sock, int *fd, void *out, size_t cap)
{
	union fd_control ctl = {0};
	struct iovec v = {out, cap};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = ctl.room,
			   .msg_controllen = sizeof ctl.room};
	ssize_t n;

	*fd = -1;
	while ((n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC)) == -1 && errno == EINTR)
		;
	if (n == -1)
		return -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(fd, CMSG_DATA(c), sizeof *fd);
	return n;
}
