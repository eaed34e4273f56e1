/*
 * kept: processes of sessions whose client has gone, and that wait for another of the same
 * user (protocol/again.h). A process is found again by its key, in which everything is that
 * it was started with; nobody else's client ever gets to it. Those that are free for long, or
 * are too many, are let go: they see the end of their socket, and end.
 */
#ifndef SERVER_KEPT_H
#define SERVER_KEPT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol/again.h"

/* What an outsider could push against. */
#define KEPT_FREE_MAX 256  /* that wait; then the one that has waited longest goes */
#define KEPT_FREE_MS  5000 /* that one waits */
#define KEPT_TURNS    1000 /* clients of one process */

struct kept {
	int epoll; /* of their sockets */
	struct kept_row *row;
	size_t n, nfree;
};

int kept_open(struct kept *); /* -1 errno */
void kept_close(struct kept *);

/* `pid` was started for `key`; `sock` is the server's end of the pair, taken over. */
void kept_add(struct kept *, struct span key, pid_t pid, int sock);

/* A free one of that key gets the client: its pid; 0: there is none. */
pid_t kept_offer(struct kept *, struct span key, int client,
                 const struct again_client *);

/* Does that process wait? */
bool kept_is_free(const struct kept *, pid_t);

/* It has ended. */
void kept_forget(struct kept *, pid_t);

/* Listen to them. Nobody is woken for it: what they say is of use when a client comes. */
void kept_heard(struct kept *);

/* Listen, and let go of those that have been free for too long. To be called each second. */
void kept_expire(struct kept *, int64_t now_ms);

/* The settings or the mount are others now: all end when they have no client. */
void kept_retire(struct kept *);

#endif
