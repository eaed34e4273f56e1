#include "protocol/server/login/login.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/answer.h"
#include "protocol/confine.h"
#include "protocol/seal.h"
#include "protocol/server/clock.h"
#include "protocol/server/hello.h"
#include "protocol/server/login/conn.h"
#include "protocol/server/login/tls.h"
#include "protocol/server/login/waiting.h"
#include "protocol/server/msg.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

_Static_assert(LOGIN_CONNECTIONS_MAX + LOGIN_RELAYS_MAX <= 1 << 15,
               "a slot and the side of a relay have 16 bits of an id");
_Static_assert(sizeof(struct conn) + IMAP_PRELOGIN_ARENA + PRELOGIN_OUT_ENOUGH +
                       PRELOGIN_REPLY_MAX <=
                   LOGIN_MEMORY_MAX / 8 * 7,
               "a connection keeps to its ceiling");

/* What an event is about, when it is not a connection's id (those are above 2^48). */
enum tag { TAG_PARENT, TAG_AUTH, TAG_SIGNAL, TAG_LISTENER };

/* In the id of an event, never in that of a connection: it is about the session's side. */
#define SESSION_SIDE (UINT64_C(1) << 15)

/* In which condition a connection is. */
enum condition {
	CLEAR,       /* no TLS; passwords are allowed */
	CLOSED,      /* no TLS; they are not */
	SECURED,     /* TLS; they are */
	CERTIFIED,   /* TLS, and the client has shown a certificate */
	UNCERTIFIED, /* TLS, but without the certificate that clients must have */
	CONDITIONS,
};

struct login {
	const struct login_params *p;
	int epoll, signal, auth; /* auth -1: none at present */
	struct conn **slot;      /* NULL: free */
	uint32_t nslot, nused;   /* slots there are; connections */
	uint32_t nrelay;         /* of them relay */
	uint32_t most, most_relays; /* others, relays that descriptors allow */
	uint32_t *spare;         /* stack of free slots */
	uint32_t serial;
	struct waiting waiting;
	uint32_t served; /* connections so far */
	bool listening;  /* listeners are watched */
	enum state { FREE, FULL, TAKEN } said; /* to the parent */
	bool asked;             /* by the parent: to make room; it wants to hear */
	int64_t drained;        /* clock_ms when the patience with those left ends; 0: no drain */
	int64_t warned;
	uint32_t nunsent;             /* questions that auth's socket had no room for */
	struct prelogin_conf conf[CONDITIONS];
	bool stop;
};

/* ---- the life of a connection --------------------------------------------------------- */

/* mailtree-auth forgets its dialogue with a client that has given it up. */
static void
abort_talk(struct login *l, struct conn *c)
{
	char id[24];

	snprintf(id, sizeof id, "%" PRIu64, c->id);
	c->talking = false;
	/* when this cannot be sent, time ends the dialogue */
	if (l->auth != -1)
		(void)MSG_SEND(l->auth, -1, MSG_ABORT, span_of(id));
}

static void
drop(struct login *l, struct conn *c)
{
	waiting_remove(&l->waiting, c);
	if (c->talking)
		abort_talk(l, c);
	if (c->unsent)
		l->nunsent--;
	l->slot[c->slot] = NULL;
	l->spare[l->nslot - l->nused--] = c->slot;
	if (c->relay.session != -1)
		l->nrelay--;
	relay_close(&c->relay);
	tls_close(c->tls);
	free(c->cert_name);
	close(c->fd);
	buf_free(&c->out);
	c->dialect->wipe(&c->speaker);
	explicit_bzero(c, sizeof *c); /* passwords may have been in it */
	free(c);
}

static bool
is_full(const struct login *l)
{
	return l->nused - l->nrelay >= l->most ||
	       (l->p->client_limit > 0 && l->nused >= l->p->client_limit);
}

/* The services whose listeners it has. */
static const char *
service(const struct login_params *p)
{
	bool pop3 = p->of[LISTEN_POP3] + p->of[LISTEN_POP3S] > 0;
	bool imap = p->of[LISTEN_IMAP] + p->of[LISTEN_IMAPS] > 0;

	return pop3 && imap ? "imap-login and pop3-login" : pop3 ? "pop3-login" : "imap-login";
}

/* Others wait: who has waited longest without logging in has had its chance. */
static void
make_room(struct login *l)
{
	int64_t now = clock_ms();

	if (waiting_oldest(&l->waiting) == NULL)
		return;
	if (l->p->alone && (l->warned == 0 || now - l->warned >= LOGIN_WARN_MS)) {
		log_warn("service(%s): client_limit (%u) reached, client connections are "
		         "being dropped: raise client_limit or process_limit in service %s",
		         service(l->p), l->p->client_limit > 0 ? l->p->client_limit : l->most,
		         service(l->p));
		l->warned = now;
	}
	drop(l, waiting_oldest(&l->waiting));
}

static struct conn *
add(struct login *l, int fd, const struct dialect *dialect, bool tls)
{
	struct conn *c;

	if (is_full(l))
		make_room(l);
	if (is_full(l) || l->nused == l->nslot || (c = calloc(1, sizeof *c)) == NULL)
		return NULL;
	c->fd = fd;
	c->relay.session = -1;
	c->dialect = dialect;
	c->state = tls ? CONN_SHAKING : CONN_TALKING;
	l->served++;
	c->slot = l->spare[l->nslot - ++l->nused];
	c->out.max = PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX;
	l->slot[c->slot] = c;
	/* never twice the same while the parent might remember the first */
	c->id = (uint64_t)l->p->number << 48 | (uint64_t)++l->serial << 16 | c->slot;
	waiting_add(&l->waiting, c);
	return c;
}

/* What is to be waited for now. */
static uint32_t
wants(const struct conn *c)
{
	if (c->state == CONN_RELAYING)
		return relay_client_wants(&c->relay);
	if (c->out.n > 0)
		return EPOLLOUT;
	if (c->state == CONN_SHAKING)
		return c->tls == NULL ? EPOLLIN | EPOLLRDHUP
		       : tls_wants_out(c->tls) ? EPOLLOUT : EPOLLIN;
	return c->state == CONN_TALKING || c->state == CONN_LINGERING ? EPOLLIN : 0;
}

static void
watch(struct login *l, struct conn *c, int op)
{
	/* by id, not by slot: an event may be older than what lies there now */
	struct epoll_event e = {.data.u64 = c->id, .events = wants(c)};

	if (op == EPOLL_CTL_MOD && e.events == c->watched)
		return;
	c->watched = e.events;
	if (epoll_ctl(l->epoll, op, c->fd, &e) == -1)
		log_error("epoll: %s", strerror(errno));
}

/* A socket of which nothing is wanted is not watched: it would tell of its end for ever. */
static void
watch_session(struct login *l, struct conn *c)
{
	struct epoll_event e = {.data.u64 = c->id | SESSION_SIDE,
	                        .events = relay_session_wants(&c->relay)};
	int op = c->session_watched == 0 ? EPOLL_CTL_ADD
	         : e.events == 0         ? EPOLL_CTL_DEL
	                                 : EPOLL_CTL_MOD;

	if (e.events == c->session_watched)
		return;
	c->session_watched = e.events;
	if (epoll_ctl(l->epoll, op, c->relay.session, &e) == -1)
		log_error("epoll: %s", strerror(errno));
}

/* The certificate may say it, whatever the client says. */
static struct span
who(const struct login *l, const struct conn *c)
{
	return l->p->conf->num[CONF_AUTH_SSL_USERNAME_FROM_CERT] && c->cert_name != NULL
	           ? span_of(c->cert_name)
	           : c->dialect->user(&c->speaker);
}

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

/* The address of our end, as that of the other end is written. */
static void
print_local(int fd, char out[static 48])
{
	union address own = {0};
	socklen_t size = sizeof own;
	size_t n;

	out[0] = '\0';
	if (getsockname(fd, &own.sa, &size) == 0)
		inet_ntop(own.sa.sa_family, ip_of(&own, &n), out, 48);
}

static int
send_begin(struct login *l, struct conn *c, struct span id, struct span local)
{
	const struct prelogin_talk *t = c->dialect->talk(&c->speaker);
	char answer[1 + ANSWER_MAX] = "=";
	int rc;

	if (t->given && t->answer.n > 0)
		memcpy(answer + 1, t->answer.p, t->answer.n);
	rc = MSG_SEND(l->auth, -1, MSG_BEGIN, id, span_of(c->dialect->name),
	              c->secured ? SPAN("1") : SPAN("0"), local, span_of(c->address),
	              c->cert_name != NULL ? span_of(c->cert_name) : SPAN(""),
	              span_of(mech_name(t->mech)),
	              ((struct span){answer, t->given ? 1 + t->answer.n : 0}));
	explicit_bzero(answer, sizeof answer);
	c->talking = rc == 0;
	return rc;
}

/* What it is that waits: a name with its password, or a step of a dialogue. */
static int
send_question(struct login *l, struct conn *c)
{
	const struct prelogin_talk *t = c->dialect->talk(&c->speaker);
	char id[24], local[48];

	snprintf(id, sizeof id, "%" PRIu64, c->id);
	if (t->mech != 0 && c->talking)
		return MSG_SEND(l->auth, -1, MSG_ANSWER, span_of(id), t->answer);
	print_local(c->fd, local);
	if (t->mech != 0)
		return send_begin(l, c, span_of(id), span_of(local));
	return MSG_SEND(l->auth, -1, MSG_AUTH, span_of(id), span_of(c->dialect->name),
	                c->secured ? SPAN("1") : SPAN("0"), span_of(local),
	                span_of(c->address), who(l, c),
	                c->dialect->password(&c->speaker));
}

static void
ask(struct login *l, struct conn *c)
{
	int rc = -1;

	if (c->unsent)
		l->nunsent--;
	c->unsent = c->asks = false;
	/* it was cancelled in the very octets that bring the next */
	if (c->talking && c->anew)
		abort_talk(l, c);
	if (l->auth != -1)
		rc = send_question(l, c);
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

/* ---- TLS ------------------------------------------------------------------------------ */

/*
 * Everything is said. To close at once could make the kernel drop what is on its way, when
 * the client still sends.
 */
static void
linger(struct login *l, struct conn *c)
{
	(void)shutdown(c->fd, SHUT_WR);
	if (c->relay.session != -1)
		l->nrelay--;
	relay_close(&c->relay);
	tls_close(c->tls);
	c->tls = NULL;
	c->secured = false;
	c->state = CONN_LINGERING;
}

/* What it still sends. -1: it has ended, too. */
static int
drop_input(struct conn *c)
{
	char room[4096];
	ssize_t n;

	for (int i = 0; i < 16; i++) {
		n = recv(c->fd, room, sizeof room, MSG_DONTWAIT);
		if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
			return -1;
		if (n == -1 && errno == EAGAIN)
			break;
	}
	return 0;
}

/* Does nobody log in without a certificate? Then not in clear text either. */
static bool
needs_cert(const struct config *c)
{
	return c->num[CONF_AUTH_SSL_REQUIRE_CLIENT_CERT] ||
	       c->num[CONF_AUTH_SSL_USERNAME_FROM_CERT];
}

/* Hands are shaken: greet it, or after STARTTLS let it begin anew. */
static void
secure(struct login *l, struct conn *c)
{
	const struct config *conf = l->p->conf;
	bool must = needs_cert(conf);
	const struct prelogin_conf *condition;
	char what[128];

	c->secured = true;
	c->state = CONN_TALKING;
	waiting_anew(&l->waiting, c);
	if (conf->num[CONF_SSL_VERIFY_CLIENT_CERT])
		c->cert_name = tls_cert_name(c->tls, conf);
	condition = &l->conf[c->cert_name != NULL ? CERTIFIED
	                     : must               ? UNCERTIFIED
	                                          : SECURED];
	if (c->opened)
		c->dialect->restart(&c->speaker, condition);
	else
		c->dialect->open(&c->speaker, condition, &c->out);
	c->opened = true;
	if (conf->num[CONF_VERBOSE_SSL]) {
		tls_describe(c->tls, what, sizeof what);
		log_info("%s: %s%s%s", c->address, what,
		         c->cert_name != NULL ? ", certificate of " : "",
		         c->cert_name != NULL ? c->cert_name : "");
	}
}

static void
shake(struct login *l, struct conn *c)
{
	const char *why = "this is no TLS";
	int rc = 1;

	if (c->tls == NULL && (rc = hello_look(c->fd, &c->looks)) == 1 &&
	    (c->tls = tls_open(l->p->tls, c->fd)) == NULL) {
		why = "no memory";
		rc = -1;
	}
	if (rc == 1)
		rc = tls_handshake(c->tls, &why);
	if (rc == 1)
		secure(l, c);
	if (rc != -1)
		return;
	if (l->p->conf->num[CONF_VERBOSE_SSL])
		log_info("%s: no TLS: %s", c->address, why);
	linger(l, c); /* an alert is on its way */
}

/* Move octets of a session; may end it. */
static void
relay(struct login *l, struct conn *c)
{
	switch (relay_pump(&c->relay)) {
	case RELAY_BROKEN:
		drop(l, c);
		return;
	case RELAY_ENDED:
		linger(l, c);
		break;
	case RELAY_ON:
		watch_session(l, c);
		break;
	}
	/* who takes a minute for the last of it is not there any more */
	if ((c->state == CONN_LINGERING || c->relay.down_over) && !c->listed)
		waiting_add(&l->waiting, c);
	watch(l, c, EPOLL_CTL_MOD);
}

/* ---- events of a client --------------------------------------------------------------- */

/* Do what its state demands until it has to wait; may end it. */
static void
settle(struct login *l, struct conn *c)
{
	if (c->secured && tls_has_more(c->tls) && conn_read(c) == -1) {
		drop(l, c);
		return;
	}
	/* a refusal lets in what waited behind it, which may be the next question */
	while (c->state == CONN_ASKING && c->asks) {
		waiting_remove(&l->waiting, c);
		ask(l, c);
		watch_auth(l);
	}
	if (c->state != CONN_ASKING && !c->listed)
		waiting_add(&l->waiting, c);
	if (c->talking && c->state != CONN_ASKING &&
	    c->dialect->talk(&c->speaker)->mech == 0)
		abort_talk(l, c);
	if (conn_flush(c) == -1) {
		drop(l, c);
		return;
	}
	if (c->state == CONN_UPGRADING && c->out.n == 0) {
		c->state = CONN_SHAKING;
		waiting_anew(&l->waiting, c);
	}
	if (c->state == CONN_CLOSING && c->out.n == 0) {
		if (c->secured)
			(void)tls_end(c->tls);
		drop(l, c);
		return;
	}
	watch(l, c, EPOLL_CTL_MOD);
}

static struct conn *
by_id(struct login *l, uint64_t id)
{
	uint32_t slot = id & 0xffff; /* none has SESSION_SIDE */

	return slot < l->nslot && l->slot[slot] != NULL && l->slot[slot]->id == id
	           ? l->slot[slot]
	           : NULL;
}

static void
on_relay(struct login *l, struct conn *c, bool gone)
{
	uint64_t id = c->id;

	relay(l, c);
	/* what it said before it went has been read */
	if (gone && (c = by_id(l, id)) != NULL)
		drop(l, c);
}

static void
on_client(struct login *l, uint64_t id, uint32_t events)
{
	struct conn *c = by_id(l, id & ~SESSION_SIDE);
	/* half a hello and an end would be told of for ever */
	bool gone = events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP) && !(id & SESSION_SIDE);

	if (c == NULL)
		return;
	if (c->state == CONN_RELAYING) {
		on_relay(l, c, gone);
		return;
	}
	if (c->state == CONN_SHAKING && !gone)
		shake(l, c);
	if (c->state == CONN_LINGERING && (gone || drop_input(c) == -1)) {
		drop(l, c);
		return;
	}
	if (gone ||
	    (events & EPOLLOUT && conn_flush(c) == -1)) {
		drop(l, c);
		return;
	}
	/* what came before the replies were taken comes first */
	if (c->state == CONN_TALKING && c->out.n == 0 && c->nahead > 0)
		conn_push(c, (struct span){c->ahead, c->nahead});
	if (events & EPOLLIN && c->state == CONN_TALKING && conn_read(c) == -1) {
		drop(l, c);
		return;
	}
	settle(l, c);
}

/* ---- accepting ------------------------------------------------------------------------ */

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
	if (c->num[CONF_SSL] == CONF_SSL_REQUIRED || needs_cert(c))
		return false;
	return !c->num[CONF_DISABLE_PLAINTEXT_AUTH] || is_local(fd, peer);
}

static void
greet(struct login *l, struct conn *c, const union address *peer)
{
	c->opened = true;
	c->dialect->open(
	    &c->speaker,
	    &l->conf[clear_allowed(l->p->conf, c->fd, peer) ? CLEAR : CLOSED], &c->out);
}

static void
begin(struct login *l, int fd, const union address *peer, const struct dialect *dialect,
      bool tls)
{
	struct conn *c = add(l, fd, dialect, tls);
	int room = LOGIN_UNREAD_MAX, one = 1;
	size_t n;

	if (c == NULL) {
		close(fd);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	inet_ntop(peer->sa.sa_family, ip_of(peer, &n), c->address, sizeof c->address);
	if (l->p->tls != NULL) /* several short records make one reply */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (!tls)
		greet(l, c, peer);
	if (conn_flush(c) == -1) {
		drop(l, c);
		return;
	}
	watch(l, c, EPOLL_CTL_ADD);
}

static enum listen_kind
kind_of(const struct login_params *p, size_t i)
{
	int k = 0;

	while (k < LISTEN_KINDS - 1 && i >= p->of[k])
		i -= p->of[k++];
	return (enum listen_kind)k;
}

/* May it have one more? */
static bool
accepts(const struct login *l)
{
	return l->drained == 0 &&
	       (l->p->service_count == 0 || l->served < l->p->service_count) &&
	       (!is_full(l) || (l->p->alone && waiting_oldest(&l->waiting) != NULL));
}

/* So many at a time, so that those who are connected have their turn. */
static void
on_listener(struct login *l, size_t i)
{
	enum listen_kind kind = kind_of(l->p, i);
	bool tls = kind == LISTEN_POP3S || kind == LISTEN_IMAPS;
	const struct dialect *dialect =
	    kind <= LISTEN_POP3S ? &dialect_pop3 : &dialect_imap;

	for (int n = 0; n < 64 && accepts(l); n++) {
		union address peer = {0};
		socklen_t size = sizeof peer;
		int fd = accept4(l->p->listener[i], &peer.sa, &size,
		                 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd == -1 &&
		    (errno == EMFILE || errno == ENFILE || errno == ENOMEM) &&
		    waiting_oldest(&l->waiting) != NULL)
			drop(l, waiting_oldest(&l->waiting)); /* the next turn has room */
		if (fd == -1)
			return;
		if (tls && l->p->tls == NULL) /* settings of before a reload */
			close(fd);
		else
			begin(l, fd, &peer, dialect, tls);
	}
}

/* ---- verdicts ------------------------------------------------------------------------- */

/* `fd` becomes the client of a session; what it sent behind the login goes along. */
static int
start(struct login *l, struct conn *c, int fd, struct span id)
{
	struct dialect_start s = c->dialect->start(&c->speaker);
	int room = LOGIN_SESSION_UNREAD;

	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	return MSG_SEND(l->p->parent, fd, MSG_START, id, span_of(c->dialect->name),
	                s.tag, s.lang, s.utf8, span_of(c->address),
	                ((struct span){c->ahead, c->nahead}));
}

/* The session gets one end of a pair, and what it says there is said by TLS. */
static int
begin_relay(struct login *l, struct conn *c, struct span id)
{
	int pair[2], one = 1;

	if (l->nrelay >= l->most_relays) {
		errno = EAGAIN;
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) ==
	    -1)
		return -1;
	if (start(l, c, pair[1], id) == -1) {
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	close(pair[1]);
	setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	tls_grow(c->tls);
	relay_open(&c->relay, c->tls, pair[0]);
	l->nrelay++;
	c->state = CONN_RELAYING;
	c->dialect->wipe(&c->speaker);
	explicit_bzero(c->ahead, sizeof c->ahead);
	c->nahead = 0;
	relay(l, c); /* TLS may hold what came behind the login */
	return 0;
}

/* 0: it has its session, and `c` may be gone. */
static int
hand_over(struct login *l, struct conn *c, struct span id)
{
	if (c->secured)
		return begin_relay(l, c, id);
	if (start(l, c, c->fd, id) == -1)
		return -1;
	/* the parent holds the socket now, and as long as it is open it is watched */
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	drop(l, c);
	return 0;
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
			l->slot[i]->talking = false;
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
	if (m->type == MSG_CHALLENGE) {
		conn_challenge(c, m->f[1]);
		settle(l, c);
		return;
	}
	c->talking = false;
	if (m->type == MSG_OK) {
		/* who does not read replies to commands will not read mail either */
		if (conn_flush(c) != 1) {
			drop(l, c);
			return;
		}
		if (hand_over(l, c, m->f[0]) == 0)
			return;
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
	char room[2048];
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

/* Others may have it open, too: until the last of them closes it, it would be watched. */
static void
forget_fd(struct login *l, int fd)
{
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
}

static void
forget_listeners(struct login *l)
{
	for (size_t i = 0; l->drained == 0 && i < l->p->nlistener; i++)
		forget_fd(l, l->p->listener[i]);
}

/*
 * There are other settings, and processes with them. Who is connected goes on here: to send
 * clients away because of a reload would be to fail logins that are right.
 */
static void
retire(struct login *l)
{
	if (l->drained != 0)
		return;
	forget_listeners(l);
	l->drained = clock_ms() + LOGIN_DRAIN_MS;
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
	else if (m.type == MSG_PEER_AUTH)
		use_auth(l, fd);
	else if (m.type == MSG_RETIRE)
		retire(l);
	else {
		make_room(l);
		l->asked = true;
	}
}

/* ---- how many it takes ---------------------------------------------------------------- */

static enum state
state_of(const struct login *l)
{
	return accepts(l) ? FREE : waiting_oldest(&l->waiting) != NULL ? FULL : TAKEN;
}

/* The parent starts others while this one takes no more, or asks it to make room. */
static void
tell_state(struct login *l)
{
	static const char *const names[] = {
	    [FREE] = "free", [FULL] = "full", [TAKEN] = "taken"};
	enum state now = state_of(l);

	if (l->drained != 0 || (now == l->said && !l->asked))
		return;
	if (MSG_SEND(l->p->parent, -1, MSG_CLIENTS, span_of(names[now])) == -1)
		log_error("cannot tell the parent: %s", strerror(errno));
	l->said = now;
	l->asked = false;
}

static int
watch_fd(struct login *l, int fd, uint32_t tag)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = tag};

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e);
}

/* A client that it would not take is for another process. */
static void
watch_listeners(struct login *l)
{
	bool want = accepts(l);

	if (want == l->listening || l->drained != 0)
		return;
	for (size_t i = 0; i < l->p->nlistener; i++)
		if (!want)
			epoll_ctl(l->epoll, EPOLL_CTL_DEL, l->p->listener[i], NULL);
		else if (watch_fd(l, l->p->listener[i], TAG_LISTENER + (uint32_t)i) == -1)
			log_error("epoll: %s", strerror(errno));
	l->listening = want;
}

/* Has everybody left, or got a session, on whom it waits before it ends? */
static bool
is_drained(const struct login *l)
{
	if (clock_ms() >= l->drained)
		return true;
	for (uint32_t i = 0; i < l->nslot; i++)
		if (l->slot[i] != NULL && l->slot[i]->state != CONN_RELAYING &&
		    l->slot[i]->state != CONN_LINGERING)
			return false;
	return true;
}

/* Is there nothing left to do for one that does not take clients for ever? */
static bool
is_done(const struct login *l)
{
	if (l->drained != 0)
		return is_drained(l);
	return l->p->service_count > 0 && l->served >= l->p->service_count &&
	       l->nused == 0;
}

/* ---- the loop ------------------------------------------------------------------------- */

/* A last word, if the socket takes it. */
static void
dismiss(struct login *l, struct conn *c, const char *text)
{
	conn_say(c, text);
	if (c->secured && c->state != CONN_RELAYING)
		(void)tls_end(c->tls);
	drop(l, c);
}

static void
end_late(struct login *l)
{
	int64_t now = clock_ms();
	struct conn *c;

	while ((c = waiting_late(&l->waiting, now)) != NULL) {
		if (c->state == CONN_SHAKING && l->p->conf->num[CONF_VERBOSE_SSL])
			log_info("%s: no TLS: the handshake took too long", c->address);
		dismiss(l, c, c->dialect->late);
	}
}

static int64_t
next_due(const struct login *l)
{
	int64_t due = waiting_due(&l->waiting);

	return l->drained != 0 && !l->stop && l->drained < due ? l->drained : due;
}

static void
turn(struct login *l)
{
	struct epoll_event e[128];
	int n = epoll_wait(l->epoll, e, ARRAY_LEN(e),
	                   clock_until(next_due(l)));

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

/* When it has retired, or taken all that it was to take. */
static void
after_turn(struct login *l)
{
	if (is_done(l)) {
		/* without a word: until its end it is one who makes room */
		l->stop = true;
		return;
	}
	watch_listeners(l);
	tell_state(l);
}

/* As many connections as the table says, or as descriptors allow: a relay has two. */
static void
count_descriptors(struct login *l)
{
	const rlim_t all = LOGIN_CONNECTIONS_MAX + 2 * LOGIN_RELAYS_MAX, others = 128;
	struct rlimit r = {all + others, all + others};
	rlim_t most = all;

	if (setrlimit(RLIMIT_NOFILE, &r) == -1 && getrlimit(RLIMIT_NOFILE, &r) == 0) {
		if (r.rlim_max < all + others)
			most = r.rlim_max > 2 * others ? r.rlim_max - others : others;
		r.rlim_cur = most + others < r.rlim_max ? most + others : r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	l->most = LOGIN_CONNECTIONS_MAX;
	l->most_relays = LOGIN_RELAYS_MAX;
	if (most < all) {
		l->most = (uint32_t)most / 2;
		l->most_relays = (uint32_t)most / 4;
	}
	l->nslot = l->most + l->most_relays;
}

static int
set_up(struct login *l)
{
	sigset_t stop;

	count_descriptors(l);
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
	watch_listeners(l);
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
		if (l->slot[i] != NULL && l->slot[i]->state != CONN_RELAYING &&
		    l->slot[i]->state != CONN_LINGERING)
			dismiss(l, l->slot[i], l->slot[i]->dialect->stop);
}

/* No new client, nobody to ask. */
static void
hang_up(struct login *l)
{
	forget_listeners(l);
	if (l->auth != -1)
		forget_fd(l, l->auth);
	l->auth = -1;
	forget_fd(l, l->p->parent);
	forget_fd(l, l->signal);
}

/* By others than these the name is part of the proof: no certificate can say another one. */
static unsigned
certified_mechanisms(const struct config *c)
{
	unsigned all = config_mechanisms(c);

	return c->num[CONF_AUTH_SSL_USERNAME_FROM_CERT]
	           ? all & (MECH_CLEAR | MECH_EXTERNAL)
	           : all;
}

/* The conditions in which a client may be. */
static void
set_conditions(struct login *l)
{
	const struct config *conf = l->p->conf;
	const char *greeting = conf->text[CONF_LOGIN_GREETING];
	unsigned all = certified_mechanisms(conf);
	unsigned without = all & ~(unsigned)MECH_EXTERNAL;
	bool tls = l->p->tls != NULL;
	unsigned closed = conf->num[CONF_SSL] == CONF_SSL_REQUIRED || needs_cert(conf)
	                      ? 0
	                      : without & ~(unsigned)MECH_CLEAR;

	l->conf[CLEAR] = (struct prelogin_conf){
	    .greeting = greeting, .plaintext = true, .starttls = tls, .mechs = without};
	l->conf[CLOSED] = (struct prelogin_conf){
	    .greeting = greeting, .starttls = tls, .mechs = closed};
	l->conf[SECURED] = (struct prelogin_conf){
	    .greeting = greeting, .plaintext = true, .secured = true, .mechs = without};
	l->conf[CERTIFIED] = (struct prelogin_conf){
	    .greeting = greeting, .plaintext = true, .secured = true, .mechs = all};
	l->conf[UNCERTIFIED] = (struct prelogin_conf){
	    .greeting = greeting,
	    .secured = true,
	    .refusal = "You need a client certificate that is valid here."};
}

/* All that it needs is open: from here on nothing new but clients, and sockets to auth. */
static void
shut_in(void)
{
	if (confine_to_nothing() == -1)
		log_debug("no Landlock: %s", strerror(errno));
	if (seal(SEAL_LOGIN, "mailtree-login", "clients before login") == -1)
		log_debug("not sealed: %s", strerror(errno));
}

int
login_run(const struct login_params *p)
{
	static struct login l;

	l = (struct login){.p = p, .auth = -1, .epoll = -1, .signal = -1};
	l.waiting.queue[CONN_TO_LOGIN].patience_ms =
	    (int64_t)p->conf->num[CONF_LOGIN_TIMEOUT] * 1000;
	l.waiting.queue[CONN_TO_SHAKE].patience_ms =
	    (int64_t)p->conf->num[CONF_LOGIN_HANDSHAKE_TIMEOUT] * 1000;
	l.waiting.queue[CONN_TO_END].patience_ms = LOGIN_LAST_MS;
	set_conditions(&l);
	if (set_up(&l) == -1) {
		log_error("cannot begin: %s", strerror(errno));
		return 1;
	}
	shut_in();
	while (!l.stop) {
		turn(&l);
		after_turn(&l);
	}
	say_goodbye(&l);
	hang_up(&l);
	while (l.nused > 0)
		turn(&l);
	return 0;
}
