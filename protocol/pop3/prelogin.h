/*
 * prelogin: POP3 before login (RFC 1939 AUTHORIZATION state, RFC 2449, 3206, 6856) as
 * a pure state machine: octets in, replies out, no descriptor, no clock, no memory but
 * the struct itself (under 1 KB) and, during a SASL dialogue, ANSWER_MAX octets. The caller
 * owns the connection and asks whoever knows the passwords.
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
#include "protocol/prelogin.h"

#include "storage/base/line.h"

#include <stdint.h>

enum { PRELOGIN_STAMP_MAX = 96 }; /* octets */

struct prelogin {
	const struct prelogin_conf *conf;
	struct line line;
	char room[COMMAND_MAX];
	char user[PRELOGIN_USER_MAX]; /* no NUL, blank or control character in it */
	uint16_t user_size;           /* 0: no USER yet */
	uint8_t bad, refused;
	struct prelogin_talk talk;
	struct line answer; /* of the dialogue: the client's answer, on the heap */
	bool answering;     /* the next line is one */
	char stamp[PRELOGIN_STAMP_MAX]; /* APOP's, in the greeting; NUL-terminated */
	bool utf8;      /* the client asked for UTF-8 mode: option -8 of the session */
	enum lang lang; /* option -l of the session, by lang_tag() */
	struct span password; /* LOGIN: borrowed from room; never empty, no NUL */
};

/*
 * Begin a connection: the greeting goes to `out`. `p` need not be initialised. `stamp`:
 * `<octets@host>` that were never used before, for APOP; NULL: without it.
 */
void prelogin_open(struct prelogin *p, const struct prelogin_conf *, const char *stamp,
                   struct buf *out);

/*
 * Consume octets of *in. `out` has room for PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX
 * octets (a failed add means CLOSE). After LOGIN what is left in *in was pipelined
 * behind PASS: it belongs to the session when the login succeeds.
 */
enum prelogin_ev prelogin_push(struct prelogin *, struct span *in, struct buf *out);

/*
 * TLS is on now: forget what was said before (RFC 2595 section 4), but not how often it was
 * nonsense. There is no second greeting.
 */
void prelogin_restart(struct prelogin *, const struct prelogin_conf *);

static inline struct span
prelogin_user(const struct prelogin *p)
{
	return (struct span){p->user, p->user_size};
}

/* BEGIN or ANSWER was not the end: what the client is told. MORE or CLOSE. */
enum prelogin_ev prelogin_challenge(struct prelogin *, struct span, struct buf *out);

/*
 * The verdict on a LOGIN, BEGIN or ANSWER was no. The reply goes to `out`; MORE or CLOSE. A yes has no
 * call: the session, not login, says `+OK` once it holds the maildrop (option -g).
 */
enum prelogin_ev prelogin_refuse(struct prelogin *, enum prelogin_why, struct buf *out);

void prelogin_wipe(struct prelogin *); /* no secret is left in memory */

#endif
