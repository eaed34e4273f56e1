/*
 * stores: opens users' top directories for the mount, each in a child that becomes the
 * user first and may hang or die without harm.
 */
#ifndef SERVER_STORES_H
#define SERVER_STORES_H

#include <poll.h>
#include <sys/types.h>

#include "protocol/server/msg.h"

/* What an outsider could push against. */
#define STORES_OPENING_MAX 32    /* children at a time */
#define STORES_WAITING_MAX 1000  /* further ones are told `later` */
#define STORES_TIMEOUT_MS  10000 /* a child has so long */

/* One store was opened (fd is the callee's) or could not be (fd -1). */
typedef void stores_done(void *arg, uint64_t id, const struct record *, int fd);

struct stores {
	stores_done *done;
	void *arg;
	struct opening *first, **last; /* private: waiting ones */
	size_t nwaiting;
	struct opening *open[STORES_OPENING_MAX];
};

void stores_init(struct stores *, stores_done *, void *arg);

/* Open the store of that record, and call done, perhaps at once. `mount` is our own. */
void stores_open(struct stores *, uint64_t id, const struct record *, dev_t mount);

/* Fill in p[0..STORES_OPENING_MAX) before poll(2), and act on it afterwards. */
void stores_poll(const struct stores *, struct pollfd *p);
void stores_polled(struct stores *, const struct pollfd *p);
int64_t stores_due(const struct stores *); /* clock_ms of the next time-out */

/* That child has ended: true when it was one of these. */
bool stores_ended(struct stores *, pid_t);

#endif
