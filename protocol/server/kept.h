/*
 * kept: processes of sessions whose client has gone, and that wait for another of the same
 * user (protocol/again.h). A process is found again by its key, in which everything is that
 * it was started with; nobody else's client ever gets to it. Those that are free for long, or
 * are too many, are let go: they see the end of their socket, and end.
 *
 * A process may be no longer what it was when it began: it is never waited for, is believed to be
 * free once for each client, and is killed when it does not do what it must. So none lives on
 * that is not counted.
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
#define KEPT_END_MS   5000 /* in which one ends that was let go, */
#define KEPT_READ_MS  3000 /* and in which it reads what it is sent; else it is killed */

struct kept {
	int epoll; /* of their sockets; readable when one of them has said something */
	struct kept_row *row; /* until the process has been reaped */
	size_t n, nfree;
};

int kept_open(struct kept *); /* -1 errno */
void kept_close(struct kept *);

/*
 * `pid` was started for `key`, and serves so many clients, 0: any number, its first among them;
 * `sock` is the server's end of the pair, taken over.
 */
void kept_add(struct kept *, struct span key, pid_t pid, int sock, uint32_t clients);

/*
 * A free one of that key gets the client: its pid; 0: there is none. Until it has taken it,
 * it owes that, and the caller keeps the client for another process.
 */
pid_t kept_offer(struct kept *, struct span key, int client,
                 const struct again_client *);
bool kept_owes(const struct kept *, pid_t);

/* Has that process no client? It may have been let go, and end soon. */
bool kept_is_idle(const struct kept *, pid_t);

/* How many have none, of all whose key begins so. */
size_t kept_idle(const struct kept *, struct span key);

/* It has been reaped. */
void kept_forget(struct kept *, pid_t);

/* Listen to them. */
void kept_heard(struct kept *);

/*
 * Listen, let go of those that have been free for too long, and kill those that do not do what
 * they must. To be called each second while kept_has_dues().
 */
void kept_expire(struct kept *, int64_t now_ms);
bool kept_has_dues(const struct kept *);

/* The settings or the mount are others now: all end when they have no client. */
void kept_retire(struct kept *);

#endif
