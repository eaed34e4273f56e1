#include "protocol/server/logins.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/server/caps.h"
#include "protocol/server/clock.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

#define WARN_AGAIN_MS 10000 /* between two lines that say the same of a pool */

/* ---- pools ---------------------------------------------------------------------------- */

static void
limit(struct login_pool *p, const struct config *c, enum conf_service s)
{
	uint32_t clients = confservice_value(c, s, CONF_CLIENT_LIMIT);

	p->service = s;
	p->count = confservice_value(c, s, CONF_SERVICE_COUNT);
	p->clients = clients < CONFSERVICE_CLIENTS_MAX ? clients : 0;
	p->processes = confservice_processes(c, s);
	p->ready = confservice_value(c, s, CONF_PROCESS_MIN_AVAIL);
	/* without an end of theirs one runs at all times, as it costs nothing */
	if (p->count == 0 && p->ready == 0)
		p->ready = 1;
	if (p->ready > p->processes)
		p->ready = p->processes;
}

static bool
is_plain(const struct login_pool *p)
{
	return p->count == 0 && p->clients == 0 && p->processes == 1;
}

void
logins_configure(struct logins *l, const struct config *c)
{
	struct login_pool *pop3 = &l->pool[0], *imap = &l->pool[1];

	*pop3 = *imap = (struct login_pool){0};
	limit(pop3, c, CONF_SERVICE_POP3_LOGIN);
	limit(imap, c, CONF_SERVICE_IMAP_LOGIN);
	pop3->on = config_serves(c, "pop3");
	imap->on = config_serves(c, "imap");
	pop3->kind[LISTEN_POP3] = pop3->kind[LISTEN_POP3S] = true;
	if (pop3->on && imap->on && is_plain(pop3) && is_plain(imap)) {
		imap->on = false; /* one process for both */
		pop3->kind[LISTEN_IMAP] = pop3->kind[LISTEN_IMAPS] = true;
	} else {
		imap->kind[LISTEN_IMAP] = imap->kind[LISTEN_IMAPS] = true;
	}
}

/* Not more often than it can be read. */
static bool
may_warn(struct login_pool *p)
{
	int64_t now = clock_ms();

	if (p->warned != 0 && now - p->warned < WARN_AGAIN_MS)
		return false;
	p->warned = now;
	return true;
}

static void
count(const struct logins *l, size_t pool, uint32_t *all, uint32_t *free_ones)
{
	*all = *free_ones = 0;
	for (size_t i = 0; i < l->n; i++)
		if (l->all[i]->pool == pool && !l->all[i]->retired) {
			++*all;
			*free_ones += l->all[i]->state == LOGINS_FREE;
		}
}

size_t
logins_running(const struct logins *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += !l->all[i]->retired;
	return n;
}

/* ---- starting ------------------------------------------------------------------------- */

static bool
has_number(const struct logins *l, uint32_t number)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->all[i]->number == number)
			return true;
	return false;
}

/* Give auth one end of a new socket pair; the other end, or -1. */
static int
introduce(struct child *auth, uint32_t number)
{
	char text[12];
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	snprintf(text, sizeof text, "%u", number);
	rc = MSG_SEND(auth->sock, pair[1], MSG_PEER_LOGIN, span_of(text));
	close(pair[1]);
	if (rc == 0)
		return pair[0];
	close(pair[0]);
	return -1;
}

void
logins_introduce(struct logins *l, struct child *auth)
{
	for (size_t i = 0; i < l->n; i++) {
		struct login_process *p = l->all[i];
		int fd;

		if (p->retired || p->child.sock == -1)
			continue;
		if ((fd = introduce(auth, p->number)) == -1 ||
		    MSG_SEND_NONE(p->child.sock, fd, MSG_PEER_AUTH) == -1)
			log_error(
			    "cannot introduce mailtree-auth to mailtree-login: %s",
			    strerror(errno));
		if (fd != -1)
			close(fd);
	}
}

/* Its numbers and descriptors, as login/main.c takes them. */
static int
run(struct login_process *p, const struct login_pool *pool,
    const struct logins_source *src, int auth)
{
	int fds[2 + LISTEN_MAX];
	unsigned number[4 + LISTEN_KINDS] = {p->number, pool->count, pool->clients,
	                                     pool->processes == 1 && pool->count == 0};
	size_t nfds = 0, at = 0;

	fds[nfds++] = auth;
	fds[nfds++] = src->keys;
	for (size_t k = 0; k < LISTEN_KINDS; at += src->listen->of[k], k++) {
		size_t n = pool->kind[k] ? src->listen->of[k] : 0;

		memcpy(fds + nfds, src->listen->fd + at, n * sizeof *fds);
		nfds += n;
		number[4 + k] = (unsigned)n;
	}
	return child_start(&p->child, src->conf, number, ARRAY_LEN(number), fds, nfds);
}

static int
start_one(struct logins *l, size_t pool, const struct logins_source *src)
{
	struct login_process *p = calloc(1, sizeof *p), **all;
	int auth = -1, rc = -1;

	if (p == NULL || (all = realloc(l->all, (l->n + 1) * sizeof *all)) == NULL) {
		free(p);
		return -1;
	}
	l->all = all;
	do
		l->number = l->number % 65535 + 1;
	while (has_number(l, l->number));
	p->number = l->number;
	p->age = l->age;
	p->pool = (uint8_t)pool;
	p->child =
	    (struct child){.name = "mailtree-login", .caps = CAPS_LOGIN, .sock = -1};
	if ((auth = introduce(src->auth, p->number)) != -1)
		rc = run(p, &l->pool[pool], src, auth);
	if (auth != -1)
		close(auth);
	if (rc == 0)
		l->all[l->n++] = p;
	else
		free(p);
	return rc;
}

void
logins_start(struct logins *l, const struct logins_source *src)
{
	for (size_t i = 0; i < LOGINS_POOLS; i++) {
		struct login_pool *pool = &l->pool[i];
		uint32_t all, ready;

		if (!pool->on || pool->restart.again > clock_ms())
			continue;
		count(l, i, &all, &ready);
		while (all < pool->processes &&
		       (ready < pool->ready || (pool->waits && ready == 0))) {
			restart_started(&pool->restart);
			if (start_one(l, i, src) == -1) {
				restart_ended(&pool->restart);
				break;
			}
			all++;
			ready++;
		}
		pool->waits = false;
	}
}

int64_t
logins_due(const struct logins *l)
{
	int64_t due = INT64_MAX, now = clock_ms();

	for (size_t i = 0; i < LOGINS_POOLS; i++) {
		const struct login_pool *pool = &l->pool[i];
		uint32_t all, ready;

		/* where none is to be ready a client starts one, who is not looked for before */
		count(l, i, &all, &ready);
		if (pool->on && all < pool->processes && pool->restart.again < due &&
		    (ready < pool->ready || (ready == 0 && pool->restart.again > now)))
			due = pool->restart.again;
	}
	return due;
}

/* ---- what happens --------------------------------------------------------------------- */

/* The one that has been full for longest, unless one of them is asked already. */
static struct login_process *
fullest(const struct logins *l, size_t pool)
{
	struct login_process *found = NULL;

	for (size_t i = 0; i < l->n; i++) {
		struct login_process *p = l->all[i];

		if (p->pool != pool || p->retired || p->state != LOGINS_FULL)
			continue;
		if (p->asked)
			return NULL;
		if (found == NULL)
			found = p; /* they are in the order of their starts */
	}
	return found;
}

/* Is it of use to know that a client waits? */
static bool
listens(const struct logins *l, size_t i)
{
	const struct login_pool *pool = &l->pool[i];
	uint32_t all, ready;

	if (!pool->on || pool->waits) /* it is known: none can be started now */
		return false;
	count(l, i, &all, &ready);
	if (ready > 0)
		return false;
	return all < pool->processes ? pool->restart.again <= clock_ms()
	                             : fullest(l, i) != NULL;
}

static void
add_listeners(struct logins *l, size_t i, const struct listen_set *set)
{
	size_t at = 0;

	l->pool[i].at = l->p + l->np;
	for (size_t k = 0; k < LISTEN_KINDS; at += set->of[k], k++)
		for (size_t n = 0; l->pool[i].kind[k] && n < set->of[k]; n++)
			l->p[l->np++] = (struct pollfd){set->fd[at + n], POLLIN, 0};
	l->pool[i].nat = (size_t)(l->p + l->np - l->pool[i].at);
}

const struct pollfd *
logins_poll(struct logins *l, const struct listen_set *set, size_t *n)
{
	struct pollfd *p = realloc(l->p, (l->n + LISTEN_MAX) * sizeof *p);

	if (p == NULL)
		return NULL;
	l->p = p;
	l->np = 0;
	for (size_t i = 0; i < l->n; i++) {
		l->all[i]->at = l->p + l->np;
		l->p[l->np++] = (struct pollfd){l->all[i]->child.sock, POLLIN, 0};
	}
	for (size_t i = 0; i < LOGINS_POOLS; i++) {
		l->pool[i].nat = 0;
		if (listens(l, i))
			add_listeners(l, i, set);
	}
	*n = l->np;
	return l->p;
}

static void
heard(struct login_process *p, struct span state)
{
	p->asked = false;
	p->state = span_eq(state, SPAN("free"))   ? LOGINS_FREE
	           : span_eq(state, SPAN("full")) ? LOGINS_FULL
	                                          : LOGINS_TAKEN;
}

/* Take one message: 1; else there is none. */
static int
from_process(struct logins *l, struct login_process *p)
{
	static char room[MSG_PACKET_MAX];
	struct msg m;
	uint64_t id;
	int fd, rc;

	rc = msg_recv(p->child.sock, MSG_LOGIN, MSG_PARENT, room, sizeof room, &m, &fd);
	if (rc == 0)
		child_close(&p->child);
	else if (rc == -1 && errno == EPROTO)
		child_kill(&p->child);
	if (rc != 1)
		return rc;
	if (m.type == MSG_CLIENTS)
		heard(p, m.f[0]);
	/* of its own connections only: one before it may have some that are still expected */
	else if (num_u64(m.f[0], &id) == 0 && id >> 48 == p->number)
		l->start(l->arg, p->age, &m, fd);
	else
		close(fd);
	return rc;
}

static void
make_room(struct logins *l, size_t i)
{
	struct login_pool *pool = &l->pool[i];
	struct login_process *p = fullest(l, i);

	if (may_warn(pool))
		log_warn(
		    "service(%s): process_limit (%u) reached, client connections are "
		    "being dropped: raise it in service %s",
		    confservice_name(pool->service), pool->processes,
		    confservice_name(pool->service));
	if (p != NULL && MSG_SEND_NONE(p->child.sock, -1, MSG_ROOM) == 0)
		p->asked = true;
}

static void
client_waits(struct logins *l, size_t i)
{
	uint32_t all, ready;

	count(l, i, &all, &ready);
	if (all < l->pool[i].processes)
		l->pool[i].waits = true;
	else if (ready == 0)
		make_room(l, i);
}

void
logins_polled(struct logins *l, const struct pollfd *came)
{
	size_t n = l->n;

	for (size_t i = 0; i < n; i++)
		if (came[l->all[i]->at - l->p].revents && l->all[i]->child.sock != -1)
			(void)from_process(l, l->all[i]);
	for (size_t i = 0; i < LOGINS_POOLS; i++)
		for (size_t k = 0; k < l->pool[i].nat; k++)
			if (came[(size_t)(l->pool[i].at - l->p) + k].revents) {
				client_waits(l, i);
				break;
			}
}

/* ---- ending --------------------------------------------------------------------------- */

void
logins_retire(struct logins *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct login_process *p = l->all[i];

		if (p->retired)
			continue;
		p->retired = p->child.told = true;
		/* one that cannot be told drains no more than by force */
		if (p->child.sock == -1 ||
		    MSG_SEND_NONE(p->child.sock, -1, MSG_RETIRE) == -1)
			kill(p->child.pid, SIGTERM);
	}
	l->age++;
}

bool
logins_drain(const struct logins *l, uint32_t age)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->all[i]->age == age && l->all[i]->child.sock != -1)
			return true;
	return false;
}

/* It does what it was started for, or it was told to. */
static bool
was_due(const struct logins *l, const struct login_process *p, int status)
{
	return (p->retired || l->pool[p->pool].count > 0) && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

bool
logins_ended(struct logins *l, pid_t pid, int status, bool quiet)
{
	struct login_process *p;
	char room[64];
	size_t i = 0;

	while (i < l->n && l->all[i]->child.pid != pid)
		i++;
	if (i == l->n)
		return false;
	p = l->all[i];
	p->child.pid = 0; /* it may be another's soon, and must not be signalled */
	/* its last words: it may have ended because it had no more to do */
	while (p->child.sock != -1 && from_process(l, p) == 1)
		;
	if (!quiet && !was_due(l, p, status)) {
		log_error("mailtree-login %d has ended (%s)", (int)pid,
		          child_how(status, room));
		if (!p->retired)
			restart_ended(&l->pool[p->pool].restart);
	}
	child_close(&p->child);
	memmove(l->all + i, l->all + i + 1, (l->n - i - 1) * sizeof *l->all);
	l->n--;
	free(p);
	return true;
}

void
logins_signal(struct logins *l, int sig)
{
	for (size_t i = 0; i < l->n; i++) {
		l->all[i]->child.told = true;
		kill(l->all[i]->child.pid, sig);
	}
}

void
logins_close(struct logins *l)
{
	for (size_t i = 0; i < l->n; i++) {
		child_close(&l->all[i]->child);
		free(l->all[i]);
	}
	free(l->all);
	free(l->p);
	*l = (struct logins){0};
}
