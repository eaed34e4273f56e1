/* child: mailtree-auth and mailtree-login as their parent sees them: started again. */
#ifndef SERVER_CHILD_H
#define SERVER_CHILD_H

#include <stdint.h>
#include <sys/types.h>

#include "protocol/server/config.h"

#define RESTART_LEAST_MS 1000  /* between two starts of what keeps dying, */
#define RESTART_MOST_MS  30000 /* doubling up to this */

/* When to start something again: at once after a first death, then later and later. */
struct restart {
	int64_t started; /* clock_ms of its last start */
	int64_t again;   /* clock_ms from which on to start it again */
	int64_t wait;    /* ms after the next death */
};

void restart_started(struct restart *);
void restart_ended(struct restart *);

struct child {
	const char *name; /* the program */
	uint64_t caps;    /* capabilities that it is left with */
	pid_t pid;        /* 0: does not run */
	int sock;         /* SEQPACKET, our end, non-blocking; -1: none */
	struct restart restart;
	bool told; /* to end: its death is no news */
};

/*
 * Start it with the settings, `nnumber` numbers, a socket to us, and the descriptors. 0, or -1 after logging why: restart.again says when to try again.
 */
int child_start(struct child *, const struct config *, const unsigned *number,
                size_t nnumber, const int *fds, size_t n);

void child_tell(struct child *);  /* SIGTERM, when it runs */

/*
 * Told to end when it has nothing left to do, and no longer this child: another one may be
 * started beside it. Its pid, of which the caller will hear; 0: it did not run.
 */
pid_t child_retire(struct child *);

void child_kill(struct child *);  /* it broke the rules: SIGKILL, with a log line */
void child_close(struct child *); /* our end of its socket */
void child_ended(struct child *, int status); /* it has been reaped */

/* How a process ended, in words. */
const char *child_how(int status, char room[static 64]);

#endif
