/*
 * prelogin: what POP3 and IMAP before login have in common: pop3/prelogin.h and
 * imap/prelogin.h are the machines.
 */
#ifndef PROTOCOL_PRELOGIN_H
#define PROTOCOL_PRELOGIN_H

#include "protocol/mech.h"
#include "storage/base/buf.h"

/* What an outsider can push against. */
enum {
	PRELOGIN_BAD_MAX = 10,    /* bad commands, then -ERR and CLOSE */
	PRELOGIN_REFUSED_MAX = 5, /* refused logins, then CLOSE */
	PRELOGIN_USER_MAX =
	    249, /* octets of a user name: what a line of POP3 carries */
	PRELOGIN_REPLY_MAX = 512,  /* octets that one command adds to `out` at most */
	PRELOGIN_OUT_ENOUGH = 2048 /* push stops for the caller to send `out` */
};

/* Shared by all connections in the same condition; borrowed for their lives. */
struct prelogin_conf {
	const char *greeting; /* after `OK `; NULL: the usual one. No `<`, CR, LF */
	bool plaintext;       /* passwords are allowed as the connection is now */
	bool secured;         /* TLS is on */
	bool starttls;        /* it can be begun; never with `secured` */
	unsigned mechs;       /* of mech.h: to be had as the connection is now */
	const char *refusal;  /* passwords are not allowed: why; NULL: no TLS is on */
};

static inline const char *
prelogin_refusal(const struct prelogin_conf *c)
{
	return c->refusal != NULL ? c->refusal
	                          : "Plaintext authentication disallowed on "
	                            "non-secure (SSL/TLS) connections.";
}

/* Can a password be sent as it is: is it allowed here, and wanted at all? */
static inline bool
prelogin_takes_passwords(const struct prelogin_conf *c)
{
	return c->plaintext && (c->mechs & MECH_CLEAR);
}

enum prelogin_ev {
	PRELOGIN_MORE, /* send out; if *in is not empty push it again, else read more */
	PRELOGIN_LOGIN, /* user and password wait for a verdict; push nothing until then */
	PRELOGIN_BEGIN,  /* a SASL dialogue begins: its first step waits, as LOGIN does */
	PRELOGIN_ANSWER, /* its next step waits likewise */
	PRELOGIN_CLOSE, /* send out, then close: QUIT, or too much nonsense */
	/*
	 * Send out, shake hands, then restart. *in is empty: what came in clear text behind
	 * the command is dropped, as anybody may have put it there.
	 */
	PRELOGIN_STARTTLS,
};

/* A SASL dialogue. */
struct prelogin_talk {
	unsigned mech;      /* of mech.h; 0: there is none, or no more */
	bool given;         /* BEGIN: the client sent an answer with its command */
	struct span answer; /* BEGIN, ANSWER: octets; borrowed from the machine */
};

enum prelogin_why {
	PRELOGIN_WRONG,       /* unknown user, wrong password, not allowed: one reply */
	PRELOGIN_LATER,       /* something of ours failed for now */
	PRELOGIN_UNAVAILABLE, /* something of ours fails until somebody mends it */
};

/* What a user name may be for either; longer ones and such with blanks are nobody's. */
static inline bool
prelogin_is_name(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return false;
	return s.n > 0 && s.n <= PRELOGIN_USER_MAX;
}

#endif
