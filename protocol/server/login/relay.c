#include "protocol/server/login/relay.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* One for all: nothing stays in it between two calls. */
static char chunk[RELAY_CHUNK];

void
relay_open(struct relay *r, struct tls *tls, int session)
{
	*r = (struct relay){.tls = tls, .session = session};
	r->up.max = r->down.max = RELAY_CHUNK;
}

void
relay_close(struct relay *r)
{
	if (r->session != -1)
		close(r->session);
	buf_free(&r->up);
	buf_free(&r->down);
	r->session = -1;
}

static bool
is_busy(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK;
}

/* ---- from the client to the session --------------------------------------------------- */

/* The session may still say something: only what it hears is over. */
static void
end_up(struct relay *r)
{
	r->up_over = true;
	buf_free(&r->up);
	(void)shutdown(r->session, SHUT_WR);
}

/* Octets that the session took; it may be gone, and take none for ever. */
static size_t
give_session(struct relay *r, const char *p, size_t n)
{
	size_t given = 0;

	while (given < n && !r->up_over) {
		ssize_t sent =
		    send(r->session, p + given, n - given, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent >= 0)
			given += (size_t)sent;
		else if (errno != EINTR && is_busy())
			break;
		else if (errno != EINTR)
			end_up(r);
	}
	return given;
}

static int
take_client(struct relay *r)
{
	ssize_t n = tls_read(r->tls, chunk, sizeof chunk);
	size_t given;

	r->read_wants_out = n == -1 && is_busy() && tls_wants_out(r->tls);
	if (n == -1)
		return is_busy() ? 0 : -1;
	if (n == 0) {
		end_up(r);
		return 0;
	}
	given = give_session(r, chunk, (size_t)n);
	if (given < (size_t)n && !r->up_over &&
	    buf_add(&r->up, (struct span){chunk + given, (size_t)n - given}) == -1)
		return -1;
	return 1;
}

/* -1: the client is gone. */
static int
pump_up(struct relay *r)
{
	int rc = 1;

	if (r->up.n > 0)
		buf_drop(&r->up, give_session(r, r->up.p, r->up.n));
	if (r->up.n == 0)
		buf_free(&r->up);
	for (int i = 0; i < RELAY_TURNS && rc == 1 && !r->up_over && r->up.n == 0; i++)
		rc = take_client(r);
	return rc;
}

/* ---- from the session to the client --------------------------------------------------- */

/* Octets that the client's socket took. -1: the client is gone. */
static ssize_t
give_client(struct relay *r, const char *p, size_t n)
{
	size_t given = 0;

	while (given < n) {
		ssize_t sent = tls_write(r->tls, p + given, n - given);

		if (sent == -1)
			return is_busy() ? (ssize_t)given : -1;
		given += (size_t)sent;
	}
	return (ssize_t)given;
}

static int
take_session(struct relay *r)
{
	ssize_t n, given;

	while ((n = recv(r->session, chunk, sizeof chunk, MSG_DONTWAIT)) == -1 &&
	       errno == EINTR)
		;
	if (n == -1 && is_busy())
		return 0;
	if (n <=
	    0) { /* ended; perhaps with octets unread, which nobody will read now */
		r->down_over = true;
		return 0;
	}
	if ((given = give_client(r, chunk, (size_t)n)) == -1)
		return -1;
	if (given < n &&
	    buf_add(&r->down, (struct span){chunk + given, (size_t)(n - given)}) == -1)
		return -1;
	return 1;
}

/* -1: the client is gone. */
static int
pump_down(struct relay *r)
{
	ssize_t given = 0;
	int rc = 1;

	if (r->down.n > 0 && (given = give_client(r, r->down.p, r->down.n)) == -1)
		return -1;
	buf_drop(&r->down, (size_t)given);
	if (r->down.n == 0)
		buf_free(&r->down);
	for (int i = 0; i < RELAY_TURNS && rc == 1 && !r->down_over && r->down.n == 0;
	     i++)
		rc = take_session(r);
	return rc;
}

enum relay_ev
relay_pump(struct relay *r)
{
	if (pump_up(r) == -1 || pump_down(r) == -1)
		return RELAY_BROKEN;
	if (!r->down_over || r->down.n > 0)
		return RELAY_ON;
	if (tls_end(r->tls) == 0)
		return RELAY_ENDED;
	return is_busy() ? RELAY_ON : RELAY_BROKEN;
}

/* ---- what to wait for ----------------------------------------------------------------- */

uint32_t
relay_client_wants(const struct relay *r)
{
	uint32_t events = 0;

	if (!r->up_over && r->up.n == 0)
		events |= r->read_wants_out ? EPOLLOUT : EPOLLIN;
	if (r->down.n > 0 || r->down_over)
		events |= EPOLLOUT;
	return events;
}

uint32_t
relay_session_wants(const struct relay *r)
{
	uint32_t events = 0;

	if (r->up.n > 0)
		events |= EPOLLOUT;
	if (!r->down_over && r->down.n == 0)
		events |= EPOLLIN;
	return events;
}
