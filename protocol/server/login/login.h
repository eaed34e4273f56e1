/*
 * login: the event loop of mailtree-login: accepts, talks to clients that have not
 * logged in, asks mailtree-auth, and hands the client over to the parent.
 */
#ifndef LOGIN_LOGIN_H
#define LOGIN_LOGIN_H

#include "protocol/server/config.h"

/* What an outsider could push against. A connection takes at most LOGIN_MEMORY_MAX. */
#define LOGIN_CONNECTIONS_MAX 10000 /* then the oldest one that waits makes room */
#define LOGIN_DEADLINE_MS     60000 /* from accept, or the last refusal, to log in */
#define LOGIN_READ_MAX        1024  /* octets taken from a client at once */
#define LOGIN_MEMORY_MAX      16384 /* octets for one connection, its replies too */
#define LOGIN_UNREAD_MAX      8192  /* octets that the kernel holds for us to read */
#define LOGIN_LISTENERS_MAX   64

struct login_params {
	const struct config *conf; /* borrowed */
	uint32_t number; /* of this process, 1..65535: upper part of its ids */
	int parent;      /* SEQPACKET socket to mailtree serve */
	int auth;        /* SEQPACKET socket to mailtree-auth */
	int listener[LOGIN_LISTENERS_MAX];
	size_t nlistener;
	size_t npop3; /* the first so many are POP3's, the others IMAP's */
};

/* Serve until SIGTERM or until the parent is gone. Returns the exit status. */
int login_run(const struct login_params *);

#endif
