/*
 * conn: one client that has not logged in yet. Its life: TALKING until a password has
 * come, ASKING while mailtree-auth decides, then TALKING again or gone.
 */
#ifndef LOGIN_CONN_H
#define LOGIN_CONN_H

#include <stdint.h>

#include "protocol/server/login/dialect.h"

enum conn_state {
	CONN_TALKING,
	CONN_ASKING,  /* nothing is read meanwhile */
	CONN_CLOSING, /* replies go out, then it is closed */
};

struct conn {
	int fd;
	uint32_t slot;
	uint64_t id;
	enum conn_state state;
	int64_t due;                /* clock_ms by which it must have logged in */
	struct conn *older, *newer; /* those with a deadline, in the order of it */
	bool listed;                /* is among them */
	bool unsent;                /* ASKING, but the question did not go out yet */
	bool secured;               /* TLS is on */
	char *cert_name; /* of the client's certificate, which is good; NULL: none; owned */
	char address[48];
	const struct dialect *dialect;
	union speaker speaker;
	char ahead[1024]; /* octets that came behind the login */
	uint16_t nahead;
	struct buf out; /* replies that the socket did not take yet */
};

/* Move replies to the socket. 1: all gone; 0: some wait; -1: the client is gone. */
int conn_flush(struct conn *);

/* Take in octets (the state is TALKING) and do what they say; `rest` is kept in ahead. */
void conn_push(struct conn *, struct span in);

/* Read what there is, once. -1: the client is gone. */
int conn_read(struct conn *);

/* The verdict was no: on with the octets that wait. */
void conn_refuse(struct conn *, enum prelogin_why);

#endif
