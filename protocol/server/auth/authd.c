#include "protocol/server/auth/authd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "protocol/server/auth/nursery.h"
#include "protocol/server/clock.h"
#include "protocol/server/msg.h"
#include "protocol/server/username.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

enum kind { CHECK, FIND, ALL };

/* One question. */
struct request {
	struct request *next; /* in the queue, or among the refusals */
	enum kind kind;
	uint64_t id;
	uint32_t login; /* CHECK: which login process asked */
	int64_t asked;  /* clock_ms */
	bool later;     /* a refusal for now, not for good */
	char *text;     /* owned: user to protocol, each with its NUL; secret */
	size_t size;
	struct span user, password, address, protocol;
};

struct login {
	uint32_t number; /* 0: free */
	int sock;
};

struct worker {
	pid_t pid; /* 0: free */
	int sock;
	struct request *at; /* what it answers now; NULL: idle */
	int64_t due;        /* by then, or it is killed */
	unsigned answers;   /* given so far */
};

struct authd {
	const struct config *conf;
	int parent;
	struct login login[AUTHD_LOGINS_MAX];
	struct worker worker[AUTHD_WORKERS_MAX];
	size_t nworker;                /* how many there may be */
	struct request *first, **last; /* the queue */
	struct request *refused;       /* waiting for their time */
	size_t nrequest;
};

static void
request_free(struct authd *a, struct request *q)
{
	if (q == NULL)
		return;
	if (q->text != NULL)
		explicit_bzero(q->text, q->size);
	free(q->text);
	free(q);
	a->nrequest--;
}

/* ---- answers -------------------------------------------------------------------------- */

static struct span
print_id(uint64_t id, char room[static 24])
{
	return (struct span){room, (size_t)snprintf(room, 24, "%" PRIu64, id)};
}

static struct login *
find_login(struct authd *a, uint32_t number)
{
	for (size_t i = 0; i < AUTHD_LOGINS_MAX; i++)
		if (number != 0 && a->login[i].number == number)
			return &a->login[i];
	return NULL;
}

static void
drop_login(struct login *l)
{
	close(l->sock);
	*l = (struct login){0};
}

/* The parent is gone or mad: nothing is left to be done here. */
static void
tell_parent(struct authd *a, enum msg_type type, const struct span *f, size_t n)
{
	if (msg_send(a->parent, -1, type, f, n) == 0)
		return;
	log_error("cannot answer mailtree serve: %s", strerror(errno));
	exit(1);
}

static void
tell_login(struct authd *a, const struct request *q, const char *no)
{
	struct login *l = find_login(a, q->login);
	char room[24];
	int rc;

	if (l == NULL)
		return;
	rc = no == NULL
	         ? MSG_SEND(l->sock, -1, MSG_OK, print_id(q->id, room))
	         : MSG_SEND(l->sock, -1, MSG_NO, print_id(q->id, room), span_of(no));
	if (rc == -1) {
		log_error("cannot answer mailtree-login: %s", strerror(errno));
		drop_login(l);
	}
}

/* Refusals of logins wait for their time, so that it tells nothing. */
static void
refuse(struct authd *a, struct request *q, bool later)
{
	char room[24];

	if (q->kind == CHECK) {
		if (!later)
			log_info("login of %.*s from %.*s refused", (int)q->user.n,
			         q->user.p, (int)q->address.n, q->address.p);
		q->later = later;
		q->next = a->refused;
		a->refused = q;
		return;
	}
	tell_parent(a, later ? MSG_LATER : MSG_NOUSER,
	            (struct span[]){print_id(q->id, room)}, 1);
	request_free(a, q);
}

static int64_t
refusal_due(const struct authd *a, const struct request *q)
{
	return q->asked + (int64_t)a->conf->num[CONF_AUTH_FAILURE_DELAY] * 1000;
}

static void
send_refusals(struct authd *a)
{
	int64_t now = clock_ms();

	for (struct request **at = &a->refused; *at != NULL;) {
		struct request *q = *at;

		if (refusal_due(a, q) > now) {
			at = &q->next;
			continue;
		}
		*at = q->next;
		tell_login(a, q, q->later ? "later" : "wrong");
		request_free(a, q);
	}
}

static void
answer_record(struct authd *a, struct request *q, const struct msg *m)
{
	struct span f[1 + RECORD_FIELDS];
	struct record r;
	char room[24];

	if (record_parse(m, 0, &r) == -1 || q->kind == ALL) {
		refuse(a, q, true);
		return;
	}
	f[0] = print_id(q->id, room);
	memcpy(f + 1, m->f, RECORD_FIELDS * sizeof *f);
	/* the parent first: it must know who this is before login brings the client */
	tell_parent(a, q->kind == CHECK ? MSG_SESSION : MSG_USER, f, 1 + RECORD_FIELDS);
	if (q->kind == CHECK)
		tell_login(a, q, NULL);
	request_free(a, q);
}

static void
answer_names(struct authd *a, struct request *q, const struct msg *m)
{
	char room[24];

	if (q->kind != ALL) {
		refuse(a, q, true);
		return;
	}
	tell_parent(a, MSG_NAMES, (struct span[]){print_id(q->id, room), m->f[0]}, 2);
	request_free(a, q);
}

/* ---- workers -------------------------------------------------------------------------- */

static void
end_worker(struct authd *a, struct worker *w)
{
	struct request *q = w->at;
	pid_t pid = w->pid;

	close(w->sock);
	*w = (struct worker){0};
	nursery_end(pid);
	if (q != NULL)
		refuse(a, q, true);
}

static int
ask_worker(struct worker *w, const struct request *q)
{
	switch (q->kind) {
	case CHECK:
		return MSG_SEND(w->sock, -1, MSG_CHECK, q->user, q->password,
		                q->address, q->protocol);
	case FIND:
		return MSG_SEND(w->sock, -1, MSG_FIND, q->user);
	case ALL:
		return msg_send(w->sock, -1, MSG_ALL, NULL, 0);
	}
	return -1;
}

/* An idle worker, or a new one. NULL: all are busy. */
static struct worker *
idle_worker(struct authd *a)
{
	struct worker *none = NULL;

	for (size_t i = 0; i < a->nworker; i++) {
		struct worker *w = &a->worker[i];

		if (w->pid != 0 && w->at == NULL)
			return w;
		if (w->pid == 0 && none == NULL)
			none = w;
	}
	if (none != NULL && (none->pid = nursery_worker(&none->sock)) == -1) {
		log_error("cannot start a worker: %s", strerror(errno));
		none->pid = 0;
		none = NULL;
	}
	return none;
}

static void
dispatch(struct authd *a)
{
	struct worker *w;
	struct request *q;

	while ((q = a->first) != NULL && (w = idle_worker(a)) != NULL) {
		/* one that ended after its last answer: the question stays for another */
		if (ask_worker(w, q) == -1) {
			end_worker(a, w);
			continue;
		}
		if ((a->first = q->next) == NULL)
			a->last = &a->first;
		w->at = q;
		w->due = clock_ms() + AUTHD_TIMEOUT_MS;
	}
}

static void
from_worker(struct authd *a, struct worker *w)
{
	static char room[MSG_PACKET_MAX];
	struct request *q;
	struct msg m;
	int fd;

	if (msg_recv(w->sock, MSG_WORKER, MSG_AUTHD, room, sizeof room, &m, &fd) != 1 ||
	    w->at == NULL) {
		end_worker(a, w);
		return;
	}
	q = w->at;
	w->at = NULL;
	switch (m.type) {
	case MSG_RECORD:
		answer_record(a, q, &m);
		break;
	case MSG_ALLNAMES:
		answer_names(a, q, &m);
		break;
	default:
		refuse(a, q, m.type == MSG_FAILED);
		break;
	}
	if (++w->answers == AUTHD_ANSWERS_MAX)
		end_worker(a, w);
}

static void
end_slow_workers(struct authd *a)
{
	int64_t now = clock_ms();

	for (size_t i = 0; i < a->nworker; i++)
		if (a->worker[i].at != NULL && a->worker[i].due <= now) {
			log_error("a password or user database did not answer in %d s",
			          AUTHD_TIMEOUT_MS / 1000);
			end_worker(a, &a->worker[i]);
		}
}

/* ---- questions ------------------------------------------------------------------------ */

static bool
keep_text(struct request *q, const struct span *f, size_t n)
{
	struct span *to[] = {&q->user, &q->password, &q->address, &q->protocol};
	char *at;

	for (size_t i = 0; i < n; i++)
		q->size += f[i].n + 1;
	if (n == 0)
		return true;
	if ((at = q->text = malloc(q->size)) == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		memcpy(at, f[i].n > 0 ? f[i].p : "", f[i].n);
		at[f[i].n] = '\0';
		*to[i] = (struct span){at, f[i].n};
		at += f[i].n + 1;
	}
	return true;
}

/* A question with its texts. False: there are too many. */
static bool
queue(struct authd *a, enum kind kind, uint64_t id, uint32_t login,
      const struct span *f, size_t n)
{
	struct request *q;

	if (a->nrequest == AUTHD_REQUESTS_MAX || (q = calloc(1, sizeof *q)) == NULL)
		return false;
	a->nrequest++;
	*q = (struct request){
	    .kind = kind, .id = id, .login = login, .asked = clock_ms()};
	if (!keep_text(q, f, n)) {
		request_free(a, q);
		return false;
	}
	*a->last = q;
	a->last = &q->next;
	return true;
}

/* A login process may speak of its own connections only: its number is in their ids. */
static void
from_login(struct authd *a, struct login *l)
{
	static char room[MSG_PACKET_MAX];
	struct msg m;
	uint64_t id;
	int fd;

	if (msg_recv(l->sock, MSG_LOGIN, MSG_AUTHD, room, sizeof room, &m, &fd) != 1 ||
	    num_u64(m.f[0], &id) == -1 || id >> 48 != l->number) {
		drop_login(l);
		return;
	}
	if (!queue(a, CHECK, id, l->number, m.f + 1, 4)) {
		struct request q = {.id = id, .login = l->number};

		tell_login(a, &q, "later");
	}
	explicit_bzero(room, sizeof room);
}

static void
add_login(struct authd *a, struct span number, int fd)
{
	struct timeval patience = {5, 0};
	uint32_t n;

	for (size_t i = 0; num_u32(number, &n) == 0 && i < AUTHD_LOGINS_MAX; i++)
		if (a->login[i].number == 0) {
			a->login[i] = (struct login){n, fd};
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
			           sizeof patience);
			return;
		}
	log_error("too many login processes");
	close(fd);
}

static void
from_parent(struct authd *a)
{
	static char room[MSG_PACKET_MAX];
	struct msg m;
	uint64_t id;
	bool taken;
	int fd;

	if (msg_recv(a->parent, MSG_PARENT, MSG_AUTHD, room, sizeof room, &m, &fd) != 1)
		exit(0); /* the server has ended */
	if (m.type == MSG_PEER_LOGIN) {
		add_login(a, m.f[0], fd);
		return;
	}
	if (num_u64(m.f[0], &id) == -1)
		return;
	taken = m.type == MSG_LIST ? queue(a, ALL, id, 0, NULL, 0)
	                           : queue(a, FIND, id, 0, m.f + 1, 1);
	if (!taken)
		tell_parent(a, MSG_LATER, m.f, 1);
}

/* ---- the loop ------------------------------------------------------------------------- */

static int64_t
next_due(const struct authd *a)
{
	int64_t due = INT64_MAX;

	for (const struct request *q = a->refused; q != NULL; q = q->next)
		if (refusal_due(a, q) < due)
			due = refusal_due(a, q);
	for (size_t i = 0; i < a->nworker; i++)
		if (a->worker[i].at != NULL && a->worker[i].due < due)
			due = a->worker[i].due;
	return due;
}

static void
turn(struct authd *a)
{
	struct pollfd p[1 + AUTHD_LOGINS_MAX + AUTHD_WORKERS_MAX];
	struct pollfd *logins = p + 1, *workers = p + 1 + AUTHD_LOGINS_MAX;

	p[0] = (struct pollfd){a->parent, POLLIN, 0};
	for (size_t i = 0; i < AUTHD_LOGINS_MAX; i++)
		logins[i] = (struct pollfd){a->login[i].number ? a->login[i].sock : -1,
		                            POLLIN, 0};
	for (size_t i = 0; i < AUTHD_WORKERS_MAX; i++)
		workers[i] = (struct pollfd){a->worker[i].pid ? a->worker[i].sock : -1,
		                             POLLIN, 0};
	if (poll(p, ARRAY_LEN(p), clock_until(next_due(a))) == -1 && errno != EINTR) {
		log_error("poll: %s", strerror(errno));
		exit(1);
	}
	for (size_t i = 0; i < AUTHD_WORKERS_MAX; i++)
		if (workers[i].revents && a->worker[i].pid != 0)
			from_worker(a, &a->worker[i]);
	if (p[0].revents)
		from_parent(a);
	for (size_t i = 0; i < AUTHD_LOGINS_MAX; i++)
		if (logins[i].revents && a->login[i].number != 0)
			from_login(a, &a->login[i]);
	end_slow_workers(a);
	send_refusals(a);
	dispatch(a);
}

int
authd_run(const struct config *conf, int parent)
{
	static struct authd a;

	a = (struct authd){.conf = conf, .parent = parent};
	a.last = &a.first;
	a.nworker = conf->num[CONF_AUTH_WORKER_MAX_COUNT];
	if (a.nworker == 0 || a.nworker > AUTHD_WORKERS_MAX)
		a.nworker = a.nworker == 0 ? 1 : AUTHD_WORKERS_MAX;
	for (;;)
		turn(&a);
}
