/*
 * waiting: the connections that have a deadline. Those that have the same to do by then have
 * equally long for it, so each kind is a queue in the order of arrival, which is sorted.
 */
#ifndef LOGIN_WAITING_H
#define LOGIN_WAITING_H

#include "protocol/server/login/conn.h"

struct waiting {
	struct waiting_queue {
		struct conn *oldest, *newest;
		int64_t patience_ms; /* set by the owner */
	} queue[CONN_WAITS];
};

/* It has as long from now on as what it does now may take. It is in no queue. */
void waiting_add(struct waiting *, struct conn *);

/* It has no deadline any more, if it had one. */
void waiting_remove(struct waiting *, struct conn *);

/* It begins or ends to shake hands: its time begins anew, in another queue. */
void waiting_anew(struct waiting *, struct conn *);

/* Who has waited longest of all, or NULL. */
struct conn *waiting_oldest(const struct waiting *);

/* Who is late by `now` (clock_ms), or NULL. */
struct conn *waiting_late(const struct waiting *, int64_t now);

/* clock_ms when the next one is late, or INT64_MAX. */
int64_t waiting_due(const struct waiting *);

#endif
