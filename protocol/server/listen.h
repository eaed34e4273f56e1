/* listen: the sockets that a configuration asks for. */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include "protocol/server/config.h"

#define LISTEN_MAX         64   /* sockets */
#define LISTEN_BACKLOG     1024 /* connections that wait to be accepted */
#define LISTEN_PATIENCE_MS 2000 /* for a port that is in use to become free */

/* What is spoken on a socket: those of POP3 come first, and those with TLS from the start
   after the others of the protocol. */
enum listen_kind { LISTEN_POP3, LISTEN_POP3S, LISTEN_IMAP, LISTEN_IMAPS, LISTEN_KINDS };

struct listen_set {
	int fd[LISTEN_MAX]; /* owned; close-on-exec, non-blocking; in the order of kinds */
	size_t n, of[LISTEN_KINDS]; /* sockets; of them so many of each kind */
	struct listen_set *old;     /* private: while it is made, where to look before */
	bool kept[LISTEN_MAX];      /* private: taken from there */
};

/*
 * Open every socket for the protocols. TLS has its own while there is a certificate. What cannot be opened is logged, with its address and
 * port. 0, or -1 when any failed (an IPv6 wildcard on a machine without IPv6 does not
 * count) or when none is asked for.
 */
int listen_open(const struct config *, struct listen_set *);

/*
 * The same for another configuration: what *old has is taken from there. 0: *old is the new set,
 * and what is not asked for any more is closed. -1 after logging why: *old is as it was.
 */
int listen_reload(const struct config *, struct listen_set *old);

void listen_close(struct listen_set *);

#endif
