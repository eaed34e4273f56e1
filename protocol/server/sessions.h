/*
 * sessions: clients who have logged in. mailtree-auth says whom a connection belongs to,
 * mailtree-login brings the connection; only both together become a session, in a program
 * that runs as that user, and may have served clients of that user before (kept).
 */
#ifndef SERVER_SESSIONS_H
#define SERVER_SESSIONS_H

#include <sys/types.h>

#include "protocol/server/config.h"
#include "protocol/server/kept.h"
#include "protocol/server/msg.h"
#include "protocol/server/shareduid.h"

/* What an outsider could push against. */
#define SESSIONS_MAX         4096  /* at a time, whatever process_limit says */
#define SESSIONS_PENDING_MAX 10000 /* logged in, connection not here yet */
#define SESSIONS_PENDING_MS  30000 /* then it is forgotten */

enum sessions_protocol { SESSIONS_POP3, SESSIONS_IMAP, SESSIONS_PROTOCOLS };

struct sessions {
	const struct config *conf;       /* borrowed; may be changed for new sessions */
	int program[SESSIONS_PROTOCOLS]; /* mailtree-pop3, mailtree-imap; open, or -1 */
	struct pending *pending;         /* private */
	size_t npending;
	struct running *running; /* private: those that run */
	size_t n, nhanded;
	struct kept kept; /* processes that may serve another client */
	bool stopping;    /* nobody has a session any more */
	bool kept_apart; /* users of one uid are, on this machine */
	struct shareduid uids; /* used when they are not */
};

/* -1 errno: the program of a protocol that is to be served is not there. */
int sessions_open(struct sessions *, const struct config *);

/* auth's SESSION: who the connection `id` is. */
void sessions_expect(struct sessions *, uint64_t id, const struct record *);

/* Is there word of connection `id`? */
bool sessions_expected(const struct sessions *, uint64_t id);

/* login's START: `client` (taken over) becomes a session. Failures are told to it. */
void sessions_start(struct sessions *, const struct msg *, int client);

/* Forget what has waited too long. */
void sessions_expire(struct sessions *);

/* That child has ended: true when it was a session. */
bool sessions_ended(struct sessions *, pid_t);

/* All are told to end, and no client has a session any more: it is told so. */
void sessions_stop(struct sessions *);

void sessions_signal(const struct sessions *, int signal); /* to all */
void sessions_close(struct sessions *);

#endif
