#include "protocol/server/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "protocol/server/clock.h"
#include "storage/base/span.h"

struct kept_row {
	pid_t pid;
	int sock;
	unsigned turns;
	bool free;
	int64_t since; /* clock_ms() when it became free */
	char *key;
	size_t nkey;
};

int
kept_open(struct kept *k)
{
	*k = (struct kept){.epoll = epoll_create1(EPOLL_CLOEXEC)};
	return k->epoll == -1 ? -1 : 0;
}

/* Its socket ends, and with it the process as soon as it has no client. */
static void
let_go(struct kept *k, size_t i)
{
	struct kept_row *r = &k->row[i];

	/* children that have not become another program yet hold it open, too */
	epoll_ctl(k->epoll, EPOLL_CTL_DEL, r->sock, NULL);
	close(r->sock);
	free(r->key);
	k->nfree -= r->free;
	*r = k->row[--k->n];
}

void
kept_retire(struct kept *k)
{
	while (k->n > 0)
		let_go(k, k->n - 1);
}

void
kept_close(struct kept *k)
{
	kept_retire(k);
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
kept_add(struct kept *k, struct span key, pid_t pid, int sock)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uint64_t)pid};
	struct kept_row *row = realloc(k->row, (k->n + 1) * sizeof *row);
	struct kept_row r = {.pid = pid, .sock = sock, .turns = 1, .nkey = key.n};

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

	if (r != NULL)
		let_go(k, (size_t)(r - k->row));
}

bool
kept_is_free(const struct kept *k, pid_t pid)
{
	const struct kept_row *r = find(k, pid);

	return r != NULL && r->free;
}

/* The one that has waited longest. */
static void
let_oldest_go(struct kept *k)
{
	size_t oldest = SIZE_MAX;

	for (size_t i = 0; i < k->n; i++)
		if (k->row[i].free &&
		    (oldest == SIZE_MAX || k->row[i].since < k->row[oldest].since))
			oldest = i;
	let_go(k, oldest);
}

/* What it says is believed once for each client: more could have it take two at a time. */
static void
hear(struct kept *k, struct kept_row *r)
{
	int heard = again_heard(r->sock);

	if (heard == 0)
		return;
	if (heard == -1 || r->free || r->turns >= KEPT_TURNS) {
		let_go(k, (size_t)(r - k->row));
		return;
	}
	r->free = true;
	r->since = clock_ms();
	if (++k->nfree > KEPT_FREE_MAX)
		let_oldest_go(k);
}

void
kept_heard(struct kept *k)
{
	struct epoll_event e[64];
	int n = epoll_wait(k->epoll, e, ARRAY_LEN(e), 0);

	for (int i = 0; i < n; i++) {
		struct kept_row *r = find(k, (pid_t)e[i].data.u64);

		if (r != NULL)
			hear(k, r);
	}
}

pid_t
kept_offer(struct kept *k, struct span key, int client, const struct again_client *c)
{
	pid_t pid;

	kept_heard(k);
	for (size_t i = 0; i < k->n;) {
		struct kept_row *r = &k->row[i];

		if (!r->free || !span_eq((struct span){r->key, r->nkey}, key)) {
			i++;
			continue;
		}
		pid = r->pid;
		if (again_offer(r->sock, client, c) == 0) {
			r->free = false;
			r->turns++;
			k->nfree--;
			return pid;
		}
		let_go(k, i);
	}
	return 0;
}

void
kept_expire(struct kept *k, int64_t now_ms)
{
	kept_heard(k);
	for (size_t i = 0; i < k->n;)
		if (k->row[i].free && now_ms - k->row[i].since >= KEPT_FREE_MS)
			let_go(k, i);
		else
			i++;
}
