/*
 * mech: the mechanisms by which a client can prove who it is: their names, and what is
 * to be known of each by those who offer them. Sets of them are words of bits.
 */
#ifndef PROTOCOL_MECH_H
#define PROTOCOL_MECH_H

#include "storage/base/buf.h"

enum mech {
	MECH_PLAIN = 1,          /* RFC 4616 */
	MECH_LOGIN = 2,          /* two lines, never a standard */
	MECH_CRAM_MD5 = 4,       /* RFC 2195 */
	MECH_DIGEST_MD5 = 8,     /* RFC 2831 */
	MECH_SCRAM_SHA_1 = 16,   /* RFC 5802 */
	MECH_SCRAM_SHA_256 = 32, /* RFC 7677 */
	MECH_EXTERNAL = 64,      /* RFC 4422: the client's certificate says it */
	MECH_ANONYMOUS = 128,    /* RFC 4505 */
	MECH_APOP = 256,         /* RFC 1939: a command of POP3, no SASL */
};

/* They send the password as it is: never in clear text where that is forbidden. */
#define MECH_CLEAR (MECH_PLAIN | MECH_LOGIN)

/* They need the password as it is, or the form of it that is their own. */
#define MECH_STORED                                                                    \
	(MECH_CRAM_MD5 | MECH_DIGEST_MD5 | MECH_SCRAM_SHA_1 | MECH_SCRAM_SHA_256 |     \
	 MECH_APOP)

/* By its name, without regard to case; 0: there is none. */
unsigned mech_named(struct span name);

/* The name of one. Static. */
const char *mech_name(unsigned mech);

/* The names of those of a set that are SASL's, each after `before`. -1: *b is full. */
int mech_list(unsigned set, const char *before, struct buf *b);

#endif
