/*
 * again: a session's process serves further clients of its user when the first is gone. It has
 * given up everything but that user's mail by then, so it can serve nobody else, and starting a
 * program costs more than all else of a login. Between it and the server lies a SOCK_SEQPACKET
 * pair: the process says that it is free, the server sends a client.
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

/* The server's part: `fd` (borrowed) is the next client. 0, or -1 errno. */
int again_offer(int sock, int fd, const struct again_client *);

/* 1: it has said that it is free; 0: it says nothing; -1: it is gone, or said something else. */
int again_heard(int sock);

/*
 * The session's part: all of the client before is closed. Say so and wait for the next one, whose
 * descriptor is returned; texts lie in `room`, and tag and lang end in a NUL there. -1: there will
 * be none.
 */
int again_wait(int sock, char room[static AGAIN_PACKET_MAX], struct again_client *);

#endif
