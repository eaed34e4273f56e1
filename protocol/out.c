#include "protocol/out.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void
out_open(struct out *o, int fd, int timeout_ms)
{
	struct stat st;

	o->fd = fd;
	o->timeout_ms = timeout_ms;
	o->write_max = SIZE_MAX;
	o->is_socket = o->broken = false;
	o->ncopy = 0;
	o->niov = 0;
	o->sent = 0;
	if (fstat(fd, &st) == -1)
		return;
	o->is_socket = S_ISSOCK(st.st_mode);
	if (!o->is_socket && !S_ISREG(st.st_mode))
		o->write_max = PIPE_BUF;
}

/* ---- sending ----------------------------------------------------------------------------- */

static int
wait_writable(const struct out *o)
{
	struct pollfd p = {.fd = o->fd, .events = POLLOUT};
	int n;

	while ((n = poll(&p, 1, o->timeout_ms)) == -1 && errno == EINTR)
		;
	if (n == 0)
		errno = ETIMEDOUT;
	return n > 0 ? 0 : -1;
}

/* A pipe or terminal that others share must not be made non-blocking for us. */
static ssize_t
write_some(const struct out *o, struct iovec *iov, int n)
{
	struct iovec first = iov[0];

	if (wait_writable(o) == -1)
		return -1;
	if (o->write_max == SIZE_MAX)
		return writev(o->fd, iov, n);
	if (first.iov_len > o->write_max)
		first.iov_len = o->write_max;
	return writev(o->fd, &first, 1);
}

static ssize_t
send_some(const struct out *o, struct iovec *iov, int n)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n};
	ssize_t sent;

	if (!o->is_socket)
		return write_some(o, iov, n);
	while ((sent = sendmsg(o->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL)) == -1 &&
	       (errno == EAGAIN || errno == EINTR))
		if (errno == EAGAIN && wait_writable(o) == -1)
			return -1;
	return sent;
}

int
out_flush(struct out *o)
{
	struct iovec *iov = o->iov;
	int left = o->niov;

	while (left > 0 && !o->broken) {
		ssize_t n = send_some(o, iov, left);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			o->broken = true;
			break;
		}
		o->sent += (uint64_t)n;
		for (; left > 0 && (size_t)n >= iov->iov_len; iov++, left--)
			n -= (ssize_t)iov->iov_len;
		if (left > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	o->niov = 0;
	o->ncopy = 0;
	return o->broken ? -1 : 0;
}

/* ---- gathering --------------------------------------------------------------------------- */

static int
add_piece(struct out *o, const char *p, size_t n)
{
	struct iovec *last = o->iov + o->niov - 1;

	if (o->niov > 0 && (const char *)last->iov_base + last->iov_len == p) {
		last->iov_len += n;
		return 0;
	}
	if (o->niov == OUT_IOV_MAX && out_flush(o) == -1)
		return -1;
	o->iov[o->niov++] =
	    (struct iovec){.iov_base = (char *)(uintptr_t)p, .iov_len = n};
	return 0;
}

/* Room for n octets of copies, n <= OUT_COPY_MAX, and for the piece that they are. */
static int
make_room(struct out *o, size_t n)
{
	if (o->broken)
		return -1;
	if (n <= sizeof o->copy - o->ncopy && o->niov < OUT_IOV_MAX)
		return 0;
	return out_flush(o);
}

int
out_copy(struct out *o, struct span s)
{
	while (s.n > 0) {
		size_t n = s.n < sizeof o->copy ? s.n : sizeof o->copy;

		if (make_room(o, n) == -1)
			return -1;
		memcpy(o->copy + o->ncopy, s.p, n);
		if (add_piece(o, o->copy + o->ncopy, n) == -1)
			return -1;
		o->ncopy += n;
		s = span_from(s, n);
	}
	return o->broken ? -1 : 0;
}

int
out_printf(struct out *o, const char *fmt, ...)
{
	char text[OUT_LINE_MAX + 1];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof text) {
		errno = EMSGSIZE;
		o->broken = true; /* a cut line would be taken for a whole one */
		return -1;
	}
	return out_copy(o, (struct span){text, (size_t)n});
}

int
out_ref(struct out *o, struct span s)
{
	if (o->broken)
		return -1;
	return s.n == 0 ? 0 : add_piece(o, s.p, s.n);
}
