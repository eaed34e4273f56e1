/*
 * prelogin: POP3 before login (RFC 1939 AUTHORIZATION state, RFC 2449, 3206, 6856) as
 * a pure state machine: octets in, replies out, no descriptor, no clock, no memory but
 * the struct itself (under 1 KB). The caller owns the connection and asks whoever knows
 * the passwords.
 *
 *	prelogin_open(&p, &conf, &out);			send out
 *	ev = prelogin_push(&p, &in, &out);		send out, then act on ev
 *	  LOGIN: ask; then prelogin_refuse(), or hand the socket and the rest of `in` over
 *	prelogin_wipe(&p);
 */
#ifndef POP3_PRELOGIN_H
#define POP3_PRELOGIN_H

#include "protocol/pop3/command.h"
#include "protocol/pop3/lang.h"

#include "storage/base/buf.h"
#include "storage/base/line.h"

#include <stdint.h>

/* What an outsider can push against. */
enum {
	PRELOGIN_BAD_MAX = 10,    /* bad commands, then -ERR and CLOSE */
	PRELOGIN_REFUSED_MAX = 5, /* refused logins, then CLOSE */
	PRELOGIN_USER_MAX = 249,  /* octets of a user name: what a line carries */
	PRELOGIN_REPLY_MAX = 512,  /* octets that one command adds to `out` at most */
	PRELOGIN_OUT_ENOUGH = 2048 /* push stops for the caller to send `out` */
};

/* Shared by all connections of a listener; borrowed for their lives. */
struct prelogin_conf {
	const char *greeting; /* after `+OK `; NULL: the usual one. No `<`, CR, LF */
	bool plaintext;       /* USER and PASS are allowed as the connection is now */
};

enum prelogin_ev {
	PRELOGIN_MORE, /* send out; if *in is not empty push it again, else read more */
	PRELOGIN_LOGIN, /* user and password wait for a verdict; push nothing until then */
	PRELOGIN_CLOSE, /* send out, then close: QUIT, or too much nonsense */
};

enum prelogin_why {
	PRELOGIN_WRONG,       /* unknown user, wrong password, not allowed: one reply */
	PRELOGIN_LATER,       /* something of ours failed for now */
	PRELOGIN_UNAVAILABLE, /* something of ours fails until somebody mends it */
};

struct prelogin {
	const struct prelogin_conf *conf;
	struct line line;
	char room[COMMAND_MAX];
	char user[PRELOGIN_USER_MAX]; /* no NUL, blank or control character in it */
	uint16_t user_size;           /* 0: no USER yet */
	uint8_t bad, refused;
	bool utf8;      /* the client asked for UTF-8 mode: option -8 of the session */
	enum lang lang; /* option -l of the session, by lang_tag() */
	struct span password; /* LOGIN: borrowed from room; never empty, no NUL */
};

/* Begin a connection: the greeting goes to `out`. `p` need not be initialised. */
void prelogin_open(struct prelogin *p, const struct prelogin_conf *, struct buf *out);

/*
 * Consume octets of *in. `out` has room for PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX
 * octets (a failed add means CLOSE). After LOGIN what is left in *in was pipelined
 * behind PASS: it belongs to the session when the login succeeds.
 */
enum prelogin_ev prelogin_push(struct prelogin *, struct span *in, struct buf *out);

static inline struct span
prelogin_user(const struct prelogin *p)
{
	return (struct span){p->user, p->user_size};
}

/*
 * The verdict on a LOGIN was no. The reply goes to `out`; MORE or CLOSE. A yes has no
 * call: the session, not login, says `+OK` once it holds the maildrop (option -g).
 */
enum prelogin_ev prelogin_refuse(struct prelogin *, enum prelogin_why, struct buf *out);

void prelogin_wipe(struct prelogin *); /* no secret is left in memory */

#endif
