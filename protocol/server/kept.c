#include "protocol/server/kept.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "protocol/server/clock.h"
#include "storage/base/span.h"

struct kept_row {
	pid_t pid;
	int sock; /* -1: let go */
	enum { BUSY, OWES, IDLE } state;
	uint32_t left; /* clients that it may still get; UINT32_MAX: any number */
	int64_t since; /* clock_ms() of its state, or when it was let go */
	char *key;
	size_t nkey;
};

/* Behind the last one; there may be no array yet. */
static struct kept_row *
rows_end(const struct kept *k)
{
	return k->n == 0 ? k->row : k->row + k->n;
}

int
kept_open(struct kept *k)
{
	*k = (struct kept){.epoll = epoll_create1(EPOLL_CLOEXEC)};
	return k->epoll == -1 ? -1 : 0;
}

static bool
is_free(const struct kept_row *r)
{
	return r->state == IDLE && r->sock != -1;
}

/* Its socket ends, and with it the process as soon as it has no client. */
static void
let_go(struct kept *k, struct kept_row *r)
{
	/* children that have not become another program yet hold it open, too */
	epoll_ctl(k->epoll, EPOLL_CTL_DEL, r->sock, NULL);
	close(r->sock);
	k->nfree -= is_free(r);
	r->sock = -1;
	r->since = clock_ms();
}

/* One that owes may have read its client by now, and must be able to say so. */
void
kept_retire(struct kept *k)
{
	for (struct kept_row *r = k->row; r < rows_end(k); r++)
		if (r->state == OWES)
			r->left = 0;
		else if (r->sock != -1)
			let_go(k, r);
}

void
kept_close(struct kept *k)
{
	while (k->n > 0)
		kept_forget(k, k->row[0].pid);
	free(k->row);
	if (k->epoll != -1)
		close(k->epoll);
}

static struct kept_row *
find(const struct kept *k, pid_t pid)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->row[i].pid == pid)
			return &k->row[i];
	return NULL;
}

void
kept_add(struct kept *k, struct span key, pid_t pid, int sock, uint32_t clients)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uint64_t)pid};
	struct kept_row *row = realloc(k->row, (k->n + 1) * sizeof *row);
	struct kept_row r = {.pid = pid,
	                     .sock = sock,
	                     .left = clients == 0 ? UINT32_MAX : clients - 1,
	                     .nkey = key.n};

	if (row != NULL)
		k->row = row;
	if (row == NULL || (r.key = malloc(key.n + 1)) == NULL ||
	    epoll_ctl(k->epoll, EPOLL_CTL_ADD, sock, &e) == -1) {
		free(r.key);
		close(sock); /* it will serve this client only */
		return;
	}
	memcpy(r.key, key.p, key.n);
	k->row[k->n++] = r;
}

void
kept_forget(struct kept *k, pid_t pid)
{
	struct kept_row *r = find(k, pid);

	if (r == NULL)
		return;
	if (r->sock != -1)
		let_go(k, r);
	free(r->key);
	*r = k->row[--k->n];
}

bool
kept_owes(const struct kept *k, pid_t pid)
{
	const struct kept_row *r = find(k, pid);

	return r != NULL && r->state == OWES;
}

bool
kept_is_idle(const struct kept *k, pid_t pid)
{
	const struct kept_row *r = find(k, pid);

	return r != NULL && r->state == IDLE;
}

size_t
kept_idle(const struct kept *k, struct span key)
{
	size_t n = 0;

	for (const struct kept_row *r = k->row; r < rows_end(k); r++)
		n += r->state == IDLE && r->nkey >= key.n &&
		     memcmp(r->key, key.p, key.n) == 0;
	return n;
}

/* The one that has waited longest. */
static void
let_oldest_go(struct kept *k)
{
	struct kept_row *oldest = NULL;

	for (struct kept_row *r = k->row; r < rows_end(k); r++)
		if (is_free(r) && (oldest == NULL || r->since < oldest->since))
			oldest = r;
	if (oldest != NULL)
		let_go(k, oldest);
}

static void
become(struct kept_row *r, int state)
{
	r->state = state;
	r->since = clock_ms();
}

static void
become_idle(struct kept *k, struct kept_row *r)
{
	become(r, IDLE);
	k->nfree++;
	if (r->left == 0)
		let_go(k, r);
	else if (k->nfree > KEPT_FREE_MAX)
		let_oldest_go(k);
}

/* All that it says. That ends: taken, free, and any word more is one too many. */
static void
hear(struct kept *k, struct kept_row *r)
{
	enum again_word word;

	while (r->sock != -1 && (word = again_heard(r->sock)) != AGAIN_NOTHING)
		if (word == AGAIN_TAKEN && r->state == OWES)
			become(r, BUSY);
		else if (word == AGAIN_FREE && r->state == BUSY)
			become_idle(k, r);
		else
			let_go(k, r);
}

void
kept_heard(struct kept *k)
{
	struct epoll_event e[64];
	int n;

	do {
		n = epoll_wait(k->epoll, e, ARRAY_LEN(e), 0);
		for (int i = 0; i < n; i++) {
			struct kept_row *r = find(k, (pid_t)e[i].data.u64);

			if (r != NULL)
				hear(k, r);
		}
	} while (n == (int)ARRAY_LEN(e));
}

pid_t
kept_offer(struct kept *k, struct span key, int client, const struct again_client *c)
{
	kept_heard(k);
	for (struct kept_row *r = k->row; r < rows_end(k); r++) {
		if (!is_free(r) || !span_eq((struct span){r->key, r->nkey}, key))
			continue;
		if (again_offer(r->sock, client, c) == -1) {
			let_go(k, r);
			continue;
		}
		k->nfree--;
		become(r, OWES);
		r->left -= r->left != UINT32_MAX;
		return r->pid;
	}
	return 0;
}

/* It is neither counted nor does it end; or somebody waits for it. */
static bool
is_overdue(const struct kept_row *r, int64_t now_ms)
{
	if (r->sock == -1)
		return r->state != BUSY && now_ms - r->since >= KEPT_END_MS;
	return r->state == OWES && now_ms - r->since >= KEPT_READ_MS &&
	       again_unread(r->sock);
}

void
kept_expire(struct kept *k, int64_t now_ms)
{
	kept_heard(k);
	for (struct kept_row *r = k->row; r < rows_end(k); r++) {
		if (is_free(r) && now_ms - r->since >= KEPT_FREE_MS)
			let_go(k, r);
		if (is_overdue(r, now_ms))
			kill(r->pid, SIGKILL);
	}
}

bool
kept_has_dues(const struct kept *k)
{
	for (const struct kept_row *r = k->row; r < rows_end(k); r++)
		if (r->state != BUSY)
			return true;
	return false;
}
