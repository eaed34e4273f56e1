/*
 * relay: after login, between a client that speaks TLS and its session, which holds the other
 * end of a socket pair. It moves octets both ways, RELAY_CHUNK at a time, and holds at most
 * that many each way: who does not read is not read for. Either side may end first; what was
 * said before that arrives.
 */
#ifndef LOGIN_RELAY_H
#define LOGIN_RELAY_H

#include "protocol/server/login/tls.h"
#include "storage/base/buf.h"

#define RELAY_CHUNK                                                                    \
	16384          /* octets that wait in one direction at most; a record of TLS */
#define RELAY_TURNS 16 /* chunks in one call: then others have their turn */

struct relay {
	struct tls *tls;     /* borrowed; has shaken hands */
	int session;         /* our end of the pair, owned; -1: none */
	struct buf up, down; /* what the session, the client did not take yet */
	bool
	    up_over; /* the client says nothing more, or the session hears nothing more */
	bool down_over; /* the session has said all */
	bool
	    read_wants_out; /* to read, the client's socket has to take something first */
};

void relay_open(struct relay *, struct tls *, int session);
void relay_close(struct relay *);

enum relay_ev {
	RELAY_ON, /* wait for relay_*_wants() */
	RELAY_ENDED, /* all that the session said is with the client's socket, with the end */
	RELAY_BROKEN, /* the client is gone */
};

/* Move what can be moved now. */
enum relay_ev relay_pump(struct relay *);

/* EPOLLIN, EPOLLOUT: what to wait for. 0 of the session: do not watch it at all. */
uint32_t relay_client_wants(const struct relay *);
uint32_t relay_session_wants(const struct relay *);

#endif
