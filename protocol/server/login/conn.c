#include "protocol/server/login/conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* As send and recv, by TLS when it is on. */
static ssize_t
put(struct conn *c, const char *p, size_t n)
{
	return c->secured ? tls_write(c->tls, p, n)
	                  : send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t
get(struct conn *c, char *p, size_t n)
{
	return c->secured ? tls_read(c->tls, p, n) : recv(c->fd, p, n, MSG_DONTWAIT);
}

int
conn_flush(struct conn *c)
{
	while (c->out.n > 0) {
		ssize_t n = put(c, c->out.p, c->out.n);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
		buf_drop(&c->out, (size_t)n);
	}
	buf_free(&c->out); /* idle connections hold no buffer */
	return 1;
}

void
conn_say(struct conn *c, const char *text)
{
	if (text[0] != '\0' && c->out.n == 0 && c->opened &&
	    (c->state == CONN_TALKING || c->state == CONN_ASKING ||
	     c->state == CONN_CLOSING))
		(void)put(c, text, strlen(text));
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
	if (ev == PRELOGIN_LOGIN || ev == PRELOGIN_BEGIN || ev == PRELOGIN_ANSWER) {
		c->state = CONN_ASKING;
		c->asks = true;
		c->anew = ev != PRELOGIN_ANSWER;
	} else if (ev == PRELOGIN_STARTTLS)
		c->state = CONN_UPGRADING; /* and nothing is left in `in` */
	else if (ev == PRELOGIN_CLOSE)
		c->state = CONN_CLOSING;
	keep(c, in);
}

static int
read_once(struct conn *c)
{
	char room[sizeof c->ahead];
	ssize_t n;

	while ((n = get(c, room, sizeof room)) == -1 && errno == EINTR)
		;
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n <= 0)
		return -1;
	conn_push(c, (struct span){room, (size_t)n});
	explicit_bzero(room, (size_t)n); /* it may have been a password */
	return 0;
}

static bool
listens(const struct conn *c)
{
	return c->state == CONN_TALKING && c->out.n == 0 && c->nahead == 0;
}

int
conn_read(struct conn *c)
{
	int rc = 0;

	if (listens(c))
		rc = read_once(c);
	while (rc == 0 && c->secured && listens(c) && tls_has_more(c->tls))
		rc = read_once(c);
	return rc;
}

static void
go_on(struct conn *c, enum prelogin_ev ev)
{
	if (ev == PRELOGIN_CLOSE) {
		c->state = CONN_CLOSING;
		return;
	}
	c->state = CONN_TALKING;
	if (conn_flush(c) == 1 && c->nahead > 0)
		conn_push(c, (struct span){c->ahead, c->nahead});
}

void
conn_challenge(struct conn *c, struct span octets)
{
	go_on(c, c->dialect->challenge(&c->speaker, octets, &c->out));
}

void
conn_refuse(struct conn *c, enum prelogin_why why)
{
	go_on(c, c->dialect->refuse(&c->speaker, why, &c->out));
}
