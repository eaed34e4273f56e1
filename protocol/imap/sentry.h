/*
 * sentry: watches for the client while the session sits in a blocking read of `events`.
 * News come the shortest way so: the daemon answers that read, and nobody has asked
 * before whether there is anything to be read, nor asks again afterwards, which counts
 * where hundreds of sessions wait for one mailbox. A thread, for as long as IDLE lasts;
 * it waits for a descriptor, interrupts the read and ends, and touches nothing else.
 */
#ifndef IMAP_SENTRY_H
#define IMAP_SENTRY_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

struct sentry { /* embed it; {0} is ready */
	bool posted;
	pthread_t thread, session;
	int input, events, dismiss;
	int timeout_ms, ready; /* as of poll(2) */
	_Atomic bool called;
};

/* Once: the signal that interrupts the read. It is blocked while no sentry is posted. */
void sentry_init(void);

/*
 * From now on `events` (O_NONBLOCK until now) blocks, until `input` is readable or was not
 * for `timeout_ms`. -1 errno: no thread is to be had, nothing has changed.
 */
int sentry_post(struct sentry *, int input, int events, int timeout_ms);

/* Has it called? Only then the read may have ended without news. */
bool sentry_called(const struct sentry *);

/* End it, if it is posted; `events` does not block any more. As poll(2): 1 input, 0 time is
 * up, -1 errno. Before `events` is closed. */
int sentry_dismiss(struct sentry *);

#endif
