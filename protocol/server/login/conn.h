/*
 * conn: one client. Its life: SHAKING when it is to speak TLS, TALKING until a password has
 * come, or a step of a SASL dialogue, ASKING while mailtree-auth decides, then TALKING again,
 * or gone to a session with its socket, or, with TLS, RELAYING for that session.
 */
#ifndef LOGIN_CONN_H
#define LOGIN_CONN_H

#include <stdint.h>

#include "protocol/server/login/dialect.h"
#include "protocol/server/login/relay.h"

enum conn_state {
	CONN_TALKING,
	CONN_ASKING,  /* nothing is read meanwhile */
	CONN_UPGRADING, /* the reply to STARTTLS goes out in clear text */
	CONN_SHAKING,   /* hands, of TLS */
	CONN_CLOSING,   /* replies go out, then it is closed */
	CONN_RELAYING,  /* it has logged in: octets go between it and its session */
	CONN_LINGERING, /* everything is said; what it still sends is dropped */
};

struct conn {
	int fd;
	uint32_t slot;
	uint64_t id;
	enum conn_state state;
	int64_t due;                /* clock_ms by which it must have logged in */
	struct conn *older, *newer; /* those with a deadline, in the order of it */
	bool listed;                /* is among them, namely those of this: */
	enum conn_wait { CONN_TO_LOGIN, CONN_TO_SHAKE, CONN_TO_END, CONN_WAITS } wait;
	bool talking;               /* mailtree-auth has a SASL dialogue with it */
	bool asks;                  /* ASKING: a question has come that nobody looked at yet */
	bool anew;                  /* it is none of the dialogue that mailtree-auth has */
	bool unsent;                /* ASKING, but the question did not go out yet */
	bool secured;               /* TLS is on */
	uint8_t looks;              /* at its first octets of TLS */
	bool opened;                /* it has been greeted */
	struct tls *tls; /* NULL until the first octet of a handshake */
	struct relay relay;
	uint32_t watched, session_watched; /* what epoll is to tell of; session 0: nothing */
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

/* A last word, if the socket takes it at once. */
void conn_say(struct conn *, const char *text);

/* Take in octets (the state is TALKING) and do what they say; `rest` is kept in ahead. */
void conn_push(struct conn *, struct span in);

/*
 * Read what there is: once, and on while TLS holds octets of which the socket tells nothing.
 * -1: the client is gone.
 */
int conn_read(struct conn *);

/* mailtree-auth wants to hear more of a SASL dialogue: on with the octets that wait. */
void conn_challenge(struct conn *, struct span);

/* The verdict was no: on with the octets that wait. */
void conn_refuse(struct conn *, enum prelogin_why);

#endif
