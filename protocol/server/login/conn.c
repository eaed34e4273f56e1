#include "protocol/server/login/conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int
conn_flush(struct conn *c)
{
	while (c->out.n > 0) {
		ssize_t n =
		    send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
		buf_drop(&c->out, (size_t)n);
	}
	buf_free(&c->out); /* idle connections hold no buffer */
	return 1;
}

/* Keep octets for later. They fit: they came from one read. */
static void
keep(struct conn *c, struct span in)
{
	if (in.n > sizeof c->ahead) {
		c->state = CONN_CLOSING;
		return;
	}
	memmove(c->ahead, in.n > 0 ? in.p : c->ahead, in.n);
	c->nahead = (uint16_t)in.n;
}

void
conn_push(struct conn *c, struct span in)
{
	enum prelogin_ev ev = PRELOGIN_MORE;

	/* a client that does not read its replies is not listened to */
	while (in.n > 0 && ev == PRELOGIN_MORE) {
		ev = c->dialect->push(&c->speaker, &in, &c->out);
		if (conn_flush(c) != 1)
			break;
	}
	if (ev == PRELOGIN_LOGIN)
		c->state = CONN_ASKING;
	else if (ev == PRELOGIN_CLOSE)
		c->state = CONN_CLOSING;
	keep(c, in);
}

int
conn_read(struct conn *c)
{
	char room[sizeof c->ahead];
	ssize_t n;

	while ((n = recv(c->fd, room, sizeof room, MSG_DONTWAIT)) == -1 &&
	       errno == EINTR)
		;
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n <= 0)
		return -1;
	conn_push(c, (struct span){room, (size_t)n});
	explicit_bzero(room, (size_t)n); /* it may have been a password */
	return 0;
}

void
conn_refuse(struct conn *c, enum prelogin_why why)
{
	if (c->dialect->refuse(&c->speaker, why, &c->out) == PRELOGIN_CLOSE) {
		c->state = CONN_CLOSING;
		return;
	}
	c->state = CONN_TALKING;
	if (conn_flush(c) == 1 && c->nahead > 0)
		conn_push(c, (struct span){c->ahead, c->nahead});
}
