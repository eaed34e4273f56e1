#include "protocol/server/login/waiting.h"

#include "protocol/server/clock.h"

static enum conn_wait
wait_of(const struct conn *c)
{
	if (c->state == CONN_RELAYING || c->state == CONN_LINGERING)
		return CONN_TO_END;
	return c->state == CONN_SHAKING ? CONN_TO_SHAKE : CONN_TO_LOGIN;
}

void
waiting_add(struct waiting *w, struct conn *c)
{
	struct waiting_queue *q = &w->queue[c->wait = wait_of(c)];

	c->due = clock_ms() + q->patience_ms;
	c->older = q->newest;
	c->newer = NULL;
	*(q->newest ? &q->newest->newer : &q->oldest) = c;
	q->newest = c;
	c->listed = true;
}

void
waiting_remove(struct waiting *w, struct conn *c)
{
	struct waiting_queue *q = &w->queue[c->wait];

	if (!c->listed)
		return;
	*(c->older ? &c->older->newer : &q->oldest) = c->newer;
	*(c->newer ? &c->newer->older : &q->newest) = c->older;
	c->listed = false;
}

void
waiting_anew(struct waiting *w, struct conn *c)
{
	waiting_remove(w, c);
	waiting_add(w, c);
}

struct conn *
waiting_oldest(const struct waiting *w)
{
	struct conn *found = NULL;
	int64_t since = INT64_MAX;

	for (const struct waiting_queue *q = w->queue; q < w->queue + CONN_WAITS; q++)
		if (q->oldest != NULL && q->oldest->due - q->patience_ms < since) {
			found = q->oldest;
			since = found->due - q->patience_ms;
		}
	return found;
}

struct conn *
waiting_late(const struct waiting *w, int64_t now)
{
	for (const struct waiting_queue *q = w->queue; q < w->queue + CONN_WAITS; q++)
		if (q->oldest != NULL && q->oldest->due <= now)
			return q->oldest;
	return NULL;
}

int64_t
waiting_due(const struct waiting *w)
{
	int64_t due = INT64_MAX;

	for (const struct waiting_queue *q = w->queue; q < w->queue + CONN_WAITS; q++)
		if (q->oldest != NULL && q->oldest->due < due)
			due = q->oldest->due;
	return due;
}
