/*
 * again: a session's process serves further clients of its user when the first is gone. It has
 * given up everything but that user's mail by then, so it can serve nobody else, and starting a
 * program costs more than all else of a login. Between it and the server lies a SOCK_SEQPACKET
 * pair: the process says that it is free, the server sends a client, the process says that it
 * has taken it. Until then the client has been told nothing, and the server keeps it: when the
 * process ends instead, another one serves it.
 */
#ifndef PROTOCOL_AGAIN_H
#define PROTOCOL_AGAIN_H

#include "storage/base/span.h"

#define AGAIN_PACKET_MAX                                                               \
	2048 /* octets; what the client sent behind its login is among them */

/* As mailtree-login tells it of a client that has logged in. */
struct again_client {
	struct span tag; /* of IMAP's LOGIN */
	struct span lang;
	bool utf8;
	struct span rest; /* what it sent already */
};

/* What a process says. */
enum again_word {
	AGAIN_NOTHING,
	AGAIN_FREE,  /* it has no client */
	AGAIN_TAKEN, /* it serves the one that it was sent */
	AGAIN_GONE,  /* nothing any more; or it said something else */
};

/*
 * The server's part, whose end of the pair does not block. `fd` (borrowed) is the next client. 0,
 * or -1 errno.
 */
int again_offer(int sock, int fd, const struct again_client *);

enum again_word again_heard(int sock);

/* Has it not even read what it was sent? */
bool again_unread(int sock);

/*
 * The session's part: all of the client before is closed. Say so and wait for the next one, whose
 * descriptor is returned; texts lie in `room`, and tag and lang end in a NUL there. -1: there will
 * be none.
 */
int again_wait(int sock, char room[static AGAIN_PACKET_MAX], struct again_client *);

/*
 * It can be served: say so before it is told anything. -1: somebody else serves it. A process that
 * cannot serve it ends without a word: it may be its own fault, and a new one tells the client.
 */
int again_take(int sock);

#endif
