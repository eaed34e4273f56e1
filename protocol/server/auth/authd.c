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
#include "protocol/server/auth/penalty.h"
#include "protocol/server/auth/talks.h"
#include "protocol/server/auth/worker.h"
#include "protocol/server/clock.h"
#include "protocol/server/msg.h"
#include "protocol/server/username.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

enum kind { CHECK, BEGIN, STEP, FIND, ALL };

/* One question. */
struct request {
	struct request *next; /* in the queue, or among the refusals */
	enum kind kind;
	uint64_t id;
	uint32_t login;     /* CHECK, BEGIN, STEP: which login process asked */
	int64_t asked;      /* clock_ms */
	int64_t not_before; /* clock_ms: its address has to wait so long */
	bool later;         /* a refusal for now, not for good */
	char *text;         /* owned: its fields, each with its NUL; secret */
	size_t size;
	struct span f[MSG_FIELDS_MAX];
	size_t n;
	char remote[64];  /* address of the client */
	char address[64]; /* the same, but "" when it is this machine */
};

struct login {
	uint32_t number; /* 0: free */
	int sock;
};

struct worker {
	pid_t pid; /* 0: free */
	int sock;
	struct request *at;            /* what it answers now; NULL: idle */
	int64_t due;                   /* by then, or it is killed */
	unsigned answers;              /* given so far */
	struct request *first, **last; /* further steps of its dialogues */
};

struct authd {
	const struct config *conf;
	int parent;
	struct login login[AUTHD_LOGINS_MAX];
	size_t nlogin; /* rows of it that were ever used */
	struct worker worker[AUTHD_WORKERS_MAX];
	size_t nworker;                /* how many there may be */
	struct request *first, **last; /* the queue */
	struct request *refused;       /* waiting for their time */
	size_t nrequest;
	struct talks talks;
	struct penalties penalties;
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

static size_t
number_of(const struct authd *a, const struct worker *w)
{
	return (size_t)(w - a->worker);
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
	for (size_t i = 0; i < a->nlogin; i++)
		if (number != 0 && a->login[i].number == number)
			return &a->login[i];
	return NULL;
}

static void
drop_login(struct authd *a, struct login *l)
{
	talks_kill_login(&a->talks, l->number);
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
		drop_login(a, l);
	}
}

static bool
is_login(enum kind k)
{
	return k == CHECK || k == BEGIN || k == STEP;
}

/* Refusals of logins wait for their time, so that it tells nothing. */
static void
refuse(struct authd *a, struct request *q, bool later)
{
	char room[24];

	if (is_login(q->kind)) {
		if (!later && q->address[0] != '\0')
			penalty_add(&a->penalties, q->address);
		talks_end(&a->talks, q->id);
		q->later = later;
		q->next = a->refused;
		a->refused = q;
		return;
	}
	tell_parent(a, later ? MSG_LATER : MSG_NOUSER,
	            (struct span[]){print_id(q->id, room)}, 1);
	request_free(a, q);
}

/* The log says who it was said to be, and from where. */
static void
refuse_name(struct authd *a, struct request *q, struct span name)
{
	if (is_login(q->kind))
		log_info("login of %.*s from %s refused", (int)name.n, name.p,
		         q->remote[0] != '\0' ? q->remote : "?");
	refuse(a, q, false);
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
	tell_parent(a, is_login(q->kind) ? MSG_SESSION : MSG_USER, f,
	            1 + RECORD_FIELDS);
	if (is_login(q->kind))
		tell_login(a, q, NULL);
	talks_end(&a->talks, q->id);
	request_free(a, q);
}

/* On with the client, if it is still there. */
static void
answer_challenge(struct authd *a, struct request *q, const struct msg *m)
{
	struct talk *d = talks_find(&a->talks, q->id);
	struct login *l = find_login(a, q->login);
	char room[24];

	if (q->kind != BEGIN && q->kind != STEP) {
		refuse(a, q, true);
		return;
	}
	if (d == NULL) { /* it has been pushed out, or was too slow */
		refuse(a, q, true);
		return;
	}
	if (l != NULL &&
	    MSG_SEND(l->sock, -1, MSG_CHALLENGE, print_id(q->id, room), m->f[0]) ==
	        -1) {
		log_error("cannot answer mailtree-login: %s", strerror(errno));
		drop_login(a, l);
	}
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
	struct request *q = w->at, *next = w->first;
	pid_t pid = w->pid;

	close(w->sock);
	talks_forget(&a->talks, number_of(a, w));
	*w = (struct worker){0};
	nursery_end(pid);
	if (q != NULL)
		refuse(a, q, true);
	for (q = next; q != NULL; q = next) {
		next = q->next;
		refuse(a, q, true);
	}
}

static int
ask_worker(struct worker *w, const struct request *q)
{
	static const enum msg_type type[] = {[CHECK] = MSG_CHECK,
	                                     [BEGIN] = MSG_SAY,
	                                     [STEP] = MSG_GO_ON,
	                                     [FIND] = MSG_FIND,
	                                     [ALL] = MSG_ALL};

	return msg_send(w->sock, -1, type[q->kind], q->f, q->n);
}

/* Dialogues that are over without its doing. -1: it is gone. */
static int
tell_of_dead(struct authd *a, struct worker *w)
{
	struct talk *d;
	char room[24];

	while ((d = talks_dead(&a->talks, number_of(a, w))) != NULL) {
		if (MSG_SEND(w->sock, -1, MSG_DROP, print_id(d->id, room)) == -1)
			return -1;
		talks_told(&a->talks, d);
	}
	return 0;
}

static void
give(struct worker *w, struct request *q)
{
	w->at = q;
	w->due = clock_ms() + AUTHD_TIMEOUT_MS;
}

/* A worker that is idle: on with its own dialogues first. */
static void
go_on_with(struct authd *a, struct worker *w)
{
	struct request *q = w->first;

	if (tell_of_dead(a, w) == -1 || (q != NULL && ask_worker(w, q) == -1)) {
		end_worker(a, w);
		return;
	}
	if (q == NULL)
		return;
	if ((w->first = q->next) == NULL)
		w->last = &w->first;
	give(w, q);
}

/* An idle worker, or a new one. NULL: all are busy. */
static struct worker *
idle_worker(struct authd *a, enum kind kind)
{
	struct worker *none = NULL;

	for (size_t i = 0; i < a->nworker; i++) {
		struct worker *w = &a->worker[i];

		if (w->pid != 0 && w->at == NULL &&
		    (kind != BEGIN || talks_count(&a->talks, i) < WORKER_DIALOGS_MAX))
			return w;
		if (w->pid == 0 && none == NULL)
			none = w;
	}
	if (none == NULL)
		return NULL;
	if ((none->pid = nursery_worker(&none->sock)) == -1) {
		log_error("cannot start a worker: %s", strerror(errno));
		none->pid = 0;
		return NULL;
	}
	none->last = &none->first;
	return none;
}

/* A dialogue that has ended while its first step was waiting. */
static bool
is_in_vain(struct authd *a, struct request *q, struct worker *w)
{
	struct talk *d;

	if (q->kind != BEGIN)
		return false;
	if ((d = talks_find(&a->talks, q->id)) == NULL)
		return true;
	talks_give(&a->talks, d, number_of(a, w));
	return false;
}

static void
unqueue(struct authd *a, struct request *q, struct request **at)
{
	*at = q->next;
	if (a->last == &q->next)
		a->last = at;
}

/* The first question whose time has come. */
static struct request **
next_request(struct authd *a)
{
	int64_t now = clock_ms();
	struct request **at = &a->first;

	while (*at != NULL && (*at)->not_before > now)
		at = &(*at)->next;
	return *at != NULL ? at : NULL;
}

static void
dispatch(struct authd *a)
{
	struct request **at;
	struct worker *w;
	struct request *q;

	for (size_t i = 0; i < a->nworker; i++)
		if (a->worker[i].pid != 0 && a->worker[i].at == NULL)
			go_on_with(a, &a->worker[i]);
	while ((at = next_request(a)) != NULL &&
	       (w = idle_worker(a, (*at)->kind)) != NULL) {
		q = *at;
		if (is_in_vain(a, q, w)) {
			unqueue(a, q, at);
			refuse(a, q, true);
			continue;
		}
		/* one that ended after its last answer: the question stays for another */
		if (ask_worker(w, q) == -1) {
			end_worker(a, w);
			continue;
		}
		unqueue(a, q, at);
		give(w, q);
	}
}

/* It has answered much, and nobody is in a dialogue with it; or very much. */
static bool
is_worn(const struct authd *a, struct worker *w)
{
	w->answers++;
	return (w->answers >= AUTHD_ANSWERS_MAX && talks_count(&a->talks, number_of(a, w)) == 0 &&
	        w->first == NULL) ||
	       w->answers >= 8 * AUTHD_ANSWERS_MAX;
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
	case MSG_TURN:
		answer_challenge(a, q, &m);
		break;
	case MSG_NOBODY:
		refuse_name(a, q, m.f[0]);
		break;
	case MSG_ALLNAMES:
		answer_names(a, q, &m);
		break;
	default:
		refuse(a, q, m.type == MSG_FAILED);
		break;
	}
	if (is_worn(a, w))
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
	char *at;

	q->n = n;
	for (size_t i = 0; i < n; i++)
		q->size += f[i].n + 1;
	if (n == 0)
		return true;
	if ((at = q->text = malloc(q->size)) == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		memcpy(at, f[i].n > 0 ? f[i].p : "", f[i].n);
		at[f[i].n] = '\0';
		q->f[i] = (struct span){at, f[i].n};
		at += f[i].n + 1;
	}
	return true;
}

/* A question with its texts. NULL: there are too many. */
static struct request *
make(struct authd *a, enum kind kind, uint64_t id, const struct span *f, size_t n)
{
	struct request *q;

	if (a->nrequest == AUTHD_REQUESTS_MAX || (q = calloc(1, sizeof *q)) == NULL)
		return NULL;
	a->nrequest++;
	*q = (struct request){.kind = kind, .id = id, .asked = clock_ms()};
	if (!keep_text(q, f, n)) {
		request_free(a, q);
		return NULL;
	}
	return q;
}

static void
queue(struct authd *a, struct request *q)
{
	*a->last = q;
	a->last = &q->next;
}

/* Who has failed often from there waits before the next question is asked. */
static void
note_address(struct authd *a, struct request *q, const struct msg *m)
{
	int64_t unit = (int64_t)a->conf->num[CONF_AUTH_FAILURE_DELAY] * 1000;

	(void)span_cstr(m->f[MSG_F_REMOTE], q->remote, sizeof q->remote);
	/* programs on this machine speak for many people */
	if (!span_eq(m->f[MSG_F_REMOTE], m->f[MSG_F_LOCAL]))
		memcpy(q->address, q->remote, sizeof q->address);
	if (q->address[0] != '\0')
		q->not_before = q->asked + penalty_ms(&a->penalties, q->address, unit);
}

/* A step of a dialogue goes to the worker that has it. */
static bool
queue_step(struct authd *a, struct login *l, uint64_t id, const struct msg *m)
{
	struct talk *d = talks_find(&a->talks, id);
	struct request *q;
	struct worker *w;

	if (d == NULL || d->worker == -1 || d->login != l->number ||
	    (q = make(a, STEP, id, m->f, m->n)) == NULL)
		return false;
	q->login = l->number;
	memcpy(q->remote, d->remote, sizeof q->remote);
	memcpy(q->address, d->address, sizeof q->address);
	w = &a->worker[d->worker];
	*w->last = q;
	w->last = &q->next;
	return true;
}

/* A name with its password, or the first step of a dialogue. */
static bool
queue_login(struct authd *a, struct login *l, uint64_t id, const struct msg *m)
{
	struct request *q =
	    make(a, m->type == MSG_AUTH ? CHECK : BEGIN, id, m->f, m->n);
	struct talk *d;

	if (q == NULL)
		return false;
	q->login = l->number;
	note_address(a, q, m);
	/* who asks with a name and a password is in no dialogue any more */
	if (q->kind == CHECK && (d = talks_find(&a->talks, id)) != NULL)
		talks_kill(&a->talks, d);
	if (q->kind == BEGIN) {
		if ((d = talks_add(&a->talks, id, l->number)) == NULL) {
			request_free(a, q);
			return false;
		}
		memcpy(d->remote, q->remote, sizeof d->remote);
		memcpy(d->address, q->address, sizeof d->address);
	}
	queue(a, q);
	return true;
}

/* A login process may speak of its own connections only: its number is in their ids. */
static void
from_login(struct authd *a, struct login *l)
{
	static char room[MSG_PACKET_MAX];
	struct talk *d;
	struct msg m;
	uint64_t id;
	int fd;

	if (msg_recv(l->sock, MSG_LOGIN, MSG_AUTHD, room, sizeof room, &m, &fd) != 1 ||
	    num_u64(m.f[0], &id) == -1 || id >> 48 != l->number) {
		drop_login(a, l);
		return;
	}
	if (m.type == MSG_ABORT) {
		if ((d = talks_find(&a->talks, id)) != NULL)
			talks_kill(&a->talks, d);
	} else if (!(m.type == MSG_ANSWER ? queue_step(a, l, id, &m)
	                                  : queue_login(a, l, id, &m))) {
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
			if (i >= a->nlogin)
				a->nlogin = i + 1;
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
	struct request *q;
	struct msg m;
	uint64_t id;
	int fd;

	if (msg_recv(a->parent, MSG_PARENT, MSG_AUTHD, room, sizeof room, &m, &fd) != 1)
		exit(0); /* the server has ended */
	if (m.type == MSG_PEER_LOGIN) {
		add_login(a, m.f[0], fd);
		return;
	}
	if (num_u64(m.f[0], &id) == -1)
		return;
	q = m.type == MSG_LIST ? make(a, ALL, id, NULL, 0)
	                       : make(a, FIND, id, m.f + 1, 1);
	if (q != NULL)
		queue(a, q);
	else
		tell_parent(a, MSG_LATER, m.f, 1);
}

/* ---- the loop ------------------------------------------------------------------------- */

static int64_t
next_due(const struct authd *a)
{
	int64_t due = INT64_MAX, now = clock_ms();

	for (const struct request *q = a->refused; q != NULL; q = q->next)
		if (refusal_due(a, q) < due)
			due = refusal_due(a, q);
	for (size_t i = 0; i < a->nworker; i++)
		if (a->worker[i].at != NULL && a->worker[i].due < due)
			due = a->worker[i].due;
	for (const struct request *q = a->first; q != NULL; q = q->next)
		if (q->not_before > now && q->not_before < due)
			due = q->not_before;
	return due < talks_due(&a->talks) ? due : talks_due(&a->talks);
}

static void
turn(struct authd *a)
{
	static struct pollfd p[1 + AUTHD_WORKERS_MAX + AUTHD_LOGINS_MAX];
	struct pollfd *workers = p + 1, *logins = p + 1 + AUTHD_WORKERS_MAX;
	size_t nlogin = a->nlogin;

	p[0] = (struct pollfd){a->parent, POLLIN, 0};
	for (size_t i = 0; i < nlogin; i++)
		logins[i] = (struct pollfd){a->login[i].number ? a->login[i].sock : -1,
		                            POLLIN, 0};
	for (size_t i = 0; i < AUTHD_WORKERS_MAX; i++)
		workers[i] = (struct pollfd){a->worker[i].pid ? a->worker[i].sock : -1,
		                             POLLIN, 0};
	if (poll(p, 1 + AUTHD_WORKERS_MAX + nlogin, clock_until(next_due(a))) == -1 && errno != EINTR) {
		log_error("poll: %s", strerror(errno));
		exit(1);
	}
	for (size_t i = 0; i < AUTHD_WORKERS_MAX; i++)
		if (workers[i].revents && a->worker[i].pid != 0)
			from_worker(a, &a->worker[i]);
	if (p[0].revents)
		from_parent(a);
	for (size_t i = 0; i < nlogin; i++)
		if (logins[i].revents && a->login[i].number != 0)
			from_login(a, &a->login[i]);
	end_slow_workers(a);
	talks_kill_old(&a->talks, clock_ms());
	send_refusals(a);
	dispatch(a);
}

int
authd_run(const struct config *conf, int parent)
{
	static struct authd a;

	a = (struct authd){.conf = conf, .parent = parent};
	a.last = &a.first;
	penalty_init(&a.penalties);
	a.nworker = conf->num[CONF_AUTH_WORKER_MAX_COUNT];
	if (a.nworker == 0 || a.nworker > AUTHD_WORKERS_MAX)
		a.nworker = a.nworker == 0 ? 1 : AUTHD_WORKERS_MAX;
	for (;;)
		turn(&a);
}
