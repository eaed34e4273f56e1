#include "protocol/server/login/login.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/server/clock.h"
#include "protocol/server/login/conn.h"
#include "protocol/server/msg.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

_Static_assert(sizeof(struct conn) + IMAP_PRELOGIN_ARENA + PRELOGIN_OUT_ENOUGH +
                       PRELOGIN_REPLY_MAX <=
                   LOGIN_MEMORY_MAX / 8 * 7,
               "a connection keeps to its ceiling");

/* What an event is about, when it is not a connection's id (those are above 2^48). */
enum tag { TAG_PARENT, TAG_AUTH, TAG_SIGNAL, TAG_LISTENER };

struct login {
	const struct login_params *p;
	int epoll, signal, auth; /* auth -1: none at present */
	struct conn **slot;      /* NULL: free */
	uint32_t nslot, nused;   /* slots there are; connections */
	uint32_t *spare;         /* stack of free slots */
	uint32_t serial;
	struct conn *oldest, *newest; /* those with a deadline */
	uint32_t nunsent;             /* questions that auth's socket had no room for */
	struct prelogin_conf clear,
	    closed; /* passwords allowed in clear text, or not */
	bool stop;
};

/* ---- deadlines: all are equally long, so a list in order of arrival is sorted --------- */

static void
unlist(struct login *l, struct conn *c)
{
	if (!c->listed)
		return;
	*(c->older ? &c->older->newer : &l->oldest) = c->newer;
	*(c->newer ? &c->newer->older : &l->newest) = c->older;
	c->listed = false;
}

static void
list(struct login *l, struct conn *c)
{
	c->due = clock_ms() + LOGIN_DEADLINE_MS;
	c->older = l->newest;
	c->newer = NULL;
	*(l->newest ? &l->newest->newer : &l->oldest) = c;
	l->newest = c;
	c->listed = true;
}

/* ---- the life of a connection --------------------------------------------------------- */

static void
drop(struct login *l, struct conn *c)
{
	unlist(l, c);
	if (c->unsent)
		l->nunsent--;
	l->slot[c->slot] = NULL;
	l->spare[l->nslot - l->nused--] = c->slot;
	close(c->fd);
	buf_free(&c->out);
	c->dialect->wipe(&c->speaker);
	explicit_bzero(c, sizeof *c); /* passwords may have been in it */
	free(c);
}

static struct conn *
add(struct login *l, int fd, const struct dialect *dialect)
{
	struct conn *c;

	if (l->nused == l->nslot && l->oldest != NULL)
		drop(l, l->oldest);
	if (l->nused == l->nslot || (c = calloc(1, sizeof *c)) == NULL)
		return NULL;
	c->fd = fd;
	c->dialect = dialect;
	c->slot = l->spare[l->nslot - ++l->nused];
	c->out.max = PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX;
	l->slot[c->slot] = c;
	/* never twice the same while the parent might remember the first */
	c->id = (uint64_t)l->p->number << 48 | (uint64_t)++l->serial << 16 | c->slot;
	list(l, c);
	return c;
}

/* What is to be waited for now. */
static void
watch(struct login *l, struct conn *c, int op)
{
	/* by id, not by slot: an event may be older than what lies there now */
	struct epoll_event e = {.data.u64 = c->id};

	if (c->out.n > 0)
		e.events = EPOLLOUT;
	else if (c->state == CONN_TALKING)
		e.events = EPOLLIN;
	if (epoll_ctl(l->epoll, op, c->fd, &e) == -1)
		log_error("epoll: %s", strerror(errno));
}

static void
ask(struct login *l, struct conn *c)
{
	char id[24];
	int rc = -1;

	snprintf(id, sizeof id, "%" PRIu64, c->id);
	if (c->unsent)
		l->nunsent--;
	c->unsent = false;
	if (l->auth != -1)
		rc = MSG_SEND(l->auth, -1, MSG_AUTH, span_of(id),
		              c->dialect->user(&c->speaker),
		              c->dialect->password(&c->speaker), span_of(c->address),
		              span_of(c->dialect->name));
	if (rc == -1 && (l->auth == -1 || errno == EAGAIN)) {
		c->unsent = true; /* when there is room, or a new mailtree-auth */
		l->nunsent++;
	} else if (rc == -1) {
		conn_refuse(c,
		            PRELOGIN_WRONG); /* octets that no name or password has */
	}
}

static void
watch_auth(struct login *l)
{
	struct epoll_event e = {.data.u64 = TAG_AUTH,
	                        .events = EPOLLIN | (l->nunsent > 0 ? EPOLLOUT : 0u)};

	if (l->auth != -1)
		epoll_ctl(l->epoll, EPOLL_CTL_MOD, l->auth, &e);
}

/* Do what its state demands until it has to wait; may end it. */
static void
settle(struct login *l, struct conn *c)
{
	if (c->state == CONN_ASKING && c->listed) {
		unlist(l, c);
		ask(l, c);
		watch_auth(l);
	}
	if (c->state != CONN_ASKING && !c->listed)
		list(l, c);
	if (conn_flush(c) == -1 || (c->state == CONN_CLOSING && c->out.n == 0)) {
		drop(l, c);
		return;
	}
	watch(l, c, EPOLL_CTL_MOD);
}

static struct conn *
by_id(struct login *l, uint64_t id)
{
	uint32_t slot = id & 0xffff;

	return slot < l->nslot && l->slot[slot] != NULL && l->slot[slot]->id == id
	           ? l->slot[slot]
	           : NULL;
}

static void
on_client(struct login *l, uint64_t id, uint32_t events)
{
	struct conn *c = by_id(l, id);

	if (c == NULL)
		return;
	if (events & (EPOLLERR | EPOLLHUP) ||
	    (events & EPOLLOUT && conn_flush(c) == -1)) {
		drop(l, c);
		return;
	}
	/* what came before the replies were taken comes first */
	if (c->state == CONN_TALKING && c->out.n == 0 && c->nahead > 0)
		conn_push(c, (struct span){c->ahead, c->nahead});
	if (events & EPOLLIN && c->state == CONN_TALKING && c->out.n == 0 &&
	    c->nahead == 0 && conn_read(c) == -1) {
		drop(l, c);
		return;
	}
	settle(l, c);
}

/* ---- accepting ------------------------------------------------------------------------ */

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage room;
};

static const void *
ip_of(const union address *a, size_t *n)
{
	if (a->sa.sa_family == AF_INET6) {
		*n = sizeof a->in6.sin6_addr;
		return &a->in6.sin6_addr;
	}
	*n = sizeof a->in.sin_addr;
	return &a->in.sin_addr;
}

/* Does the client sit on this machine? Then nobody can listen on the way. */
static bool
is_local(int fd, const union address *peer)
{
	union address own = {0};
	socklen_t size = sizeof own;
	size_t n, m;
	const void *a = ip_of(peer, &n), *b;

	if (getsockname(fd, &own.sa, &size) == -1)
		return false;
	b = ip_of(&own, &m);
	return own.sa.sa_family == peer->sa.sa_family && memcmp(a, b, n) == 0;
}

static bool
clear_allowed(const struct config *c, int fd, const union address *peer)
{
	if (c->num[CONF_SSL] == CONF_SSL_REQUIRED)
		return false;
	return !c->num[CONF_DISABLE_PLAINTEXT_AUTH] || is_local(fd, peer);
}

static void
begin(struct login *l, int fd, const union address *peer, const struct dialect *dialect)
{
	struct conn *c = add(l, fd, dialect);
	int room = LOGIN_UNREAD_MAX;
	size_t n;

	if (c == NULL) {
		close(fd);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	inet_ntop(peer->sa.sa_family, ip_of(peer, &n), c->address, sizeof c->address);
	dialect->open(&c->speaker,
	              clear_allowed(l->p->conf, fd, peer) ? &l->clear : &l->closed,
	              &c->out);
	if (conn_flush(c) == -1) {
		drop(l, c);
		return;
	}
	watch(l, c, EPOLL_CTL_ADD);
}

/* So many at a time, so that those who are connected have their turn. */
static void
on_listener(struct login *l, size_t i)
{
	const struct dialect *dialect = i < l->p->npop3 ? &dialect_pop3 : &dialect_imap;

	for (int n = 0; n < 64; n++) {
		union address peer = {0};
		socklen_t size = sizeof peer;
		int fd = accept4(l->p->listener[i], &peer.sa, &size,
		                 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd == -1 &&
		    (errno == EMFILE || errno == ENFILE || errno == ENOMEM) &&
		    l->oldest != NULL)
			drop(l, l->oldest); /* the next turn has room */
		if (fd == -1)
			return;
		begin(l, fd, &peer, dialect);
	}
}

/* ---- verdicts ------------------------------------------------------------------------- */

static int
hand_over(struct login *l, struct conn *c, struct span id)
{
	struct dialect_start s = c->dialect->start(&c->speaker);

	return MSG_SEND(l->p->parent, c->fd, MSG_START, id, span_of(c->dialect->name),
	                s.tag, s.lang, s.utf8, ((struct span){c->ahead, c->nahead}));
}

static struct conn *
asking(struct login *l, struct span id)
{
	struct conn *c;
	uint64_t n;

	return num_u64(id, &n) == 0 && (c = by_id(l, n)) != NULL &&
	               c->state == CONN_ASKING
	           ? c
	           : NULL;
}

static void
no_auth(struct login *l)
{
	close(l->auth);
	l->auth = -1;
	/* what it was asked is lost: those who wait are told to try again */
	for (uint32_t i = 0; i < l->nslot; i++)
		if (l->slot[i] != NULL && l->slot[i]->state == CONN_ASKING &&
		    !l->slot[i]->unsent) {
			conn_refuse(l->slot[i], PRELOGIN_LATER);
			settle(l, l->slot[i]);
		}
}

static void
on_verdict(struct login *l, const struct msg *m)
{
	struct conn *c = asking(l, m->f[0]);

	if (c == NULL)
		return; /* the client has left meanwhile */
	if (m->type == MSG_OK) {
		/* who does not read replies to commands will not read mail either */
		if (conn_flush(c) != 1 || hand_over(l, c, m->f[0]) == 0) {
			drop(l, c); /* the parent holds the socket now */
			return;
		}
		log_error("cannot hand a client over: %s", strerror(errno));
		conn_refuse(c, PRELOGIN_LATER);
	} else {
		conn_refuse(c, span_eq(m->f[1], SPAN("later")) ? PRELOGIN_LATER
		                                               : PRELOGIN_WRONG);
	}
	settle(l, c);
}

static void
ask_again(struct login *l)
{
	for (uint32_t i = 0; i < l->nslot && l->nunsent > 0; i++)
		if (l->slot[i] != NULL && l->slot[i]->unsent) {
			ask(l, l->slot[i]);
			if (l->slot[i]->unsent)
				break; /* full again */
			settle(l, l->slot[i]);
		}
	watch_auth(l);
}

static void
on_auth(struct login *l, uint32_t events)
{
	char room[512];
	struct msg m;
	int fd, rc;

	while (l->auth != -1 && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		rc =
		    msg_recv(l->auth, MSG_AUTHD, MSG_LOGIN, room, sizeof room, &m, &fd);
		if (rc == 1)
			on_verdict(l, &m);
		else if (rc == -1 && errno == EAGAIN)
			break;
		else
			no_auth(l);
	}
	if (events & EPOLLOUT)
		ask_again(l);
}

static void
use_auth(struct login *l, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = TAG_AUTH};

	if (l->auth != -1)
		no_auth(l);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	l->auth = fd;
	epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e);
	ask_again(l);
}

static void
on_parent(struct login *l)
{
	char room[512];
	struct msg m;
	int fd;

	if (msg_recv(l->p->parent, MSG_PARENT, MSG_LOGIN, room, sizeof room, &m, &fd) !=
	    1)
		l->stop = true;
	else
		use_auth(l, fd);
}

/* ---- the loop ------------------------------------------------------------------------- */

/* A last word, if the socket takes it. */
static void
dismiss(struct login *l, struct conn *c, const char *text)
{
	if (text[0] != '\0' && c->out.n == 0)
		(void)send(c->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	drop(l, c);
}

static void
end_late(struct login *l)
{
	int64_t now = clock_ms();

	while (l->oldest != NULL && l->oldest->due <= now)
		dismiss(l, l->oldest, l->oldest->dialect->late);
}

static void
turn(struct login *l)
{
	struct epoll_event e[128];
	int n = epoll_wait(l->epoll, e, ARRAY_LEN(e),
	                   clock_until(l->oldest ? l->oldest->due : INT64_MAX));

	for (int i = 0; i < n; i++) {
		uint64_t what = e[i].data.u64;

		if (what > UINT32_MAX)
			on_client(l, what, e[i].events);
		else if (what == TAG_AUTH)
			on_auth(l, e[i].events);
		else if (what == TAG_PARENT)
			on_parent(l);
		else if (what == TAG_SIGNAL)
			l->stop = true;
		else
			on_listener(l, what - TAG_LISTENER);
	}
	end_late(l);
}

static int
watch_fd(struct login *l, int fd, uint32_t tag)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = tag};

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e);
}

/* As many connections as the table says, or as descriptors allow. */
static uint32_t
how_many(void)
{
	struct rlimit r = {LOGIN_CONNECTIONS_MAX + 128, LOGIN_CONNECTIONS_MAX + 128},
	              now;

	if (setrlimit(RLIMIT_NOFILE, &r) == 0)
		return LOGIN_CONNECTIONS_MAX;
	if (getrlimit(RLIMIT_NOFILE, &now) == -1)
		return 512;
	now.rlim_cur = now.rlim_max < r.rlim_max ? now.rlim_max : r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &now);
	return now.rlim_cur > 256 ? (uint32_t)now.rlim_cur - 128 : 128;
}

static int
set_up(struct login *l)
{
	sigset_t stop;

	l->nslot = how_many();
	l->slot = calloc(l->nslot, sizeof *l->slot);
	l->spare = calloc(l->nslot, sizeof *l->spare);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->signal = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->slot == NULL || l->spare == NULL || l->epoll == -1 || l->signal == -1)
		return -1;
	for (uint32_t i = 0; i < l->nslot; i++)
		l->spare[i] = l->nslot - 1 - i;
	for (size_t i = 0; i < l->p->nlistener; i++)
		if (watch_fd(l, l->p->listener[i], TAG_LISTENER + (uint32_t)i) == -1)
			return -1;
	if (watch_fd(l, l->p->parent, TAG_PARENT) == -1 ||
	    watch_fd(l, l->signal, TAG_SIGNAL) == -1)
		return -1;
	use_auth(l, l->p->auth);
	return 0;
}

static void
say_goodbye(struct login *l)
{
	for (uint32_t i = 0; i < l->nslot; i++)
		if (l->slot[i] != NULL)
			dismiss(l, l->slot[i], l->slot[i]->dialect->stop);
}

int
login_run(const struct login_params *p)
{
	static struct login l;
	const char *greeting = p->conf->text[CONF_LOGIN_GREETING];

	l = (struct login){.p = p, .auth = -1, .epoll = -1, .signal = -1};
	l.clear = (struct prelogin_conf){.greeting = greeting, .plaintext = true};
	l.closed = (struct prelogin_conf){.greeting = greeting};
	if (set_up(&l) == -1) {
		log_error("cannot begin: %s", strerror(errno));
		return 1;
	}
	while (!l.stop)
		turn(&l);
	say_goodbye(&l);
	return 0;
}
