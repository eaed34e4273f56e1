/*
 * pwhash: passwords against stored ones, `{SCHEME}rest` as Dovecot writes them (names without
 * regard to case). The schemes are the table of pwhash.c. `.hex`, `.b64` and `.b64url` behind
 * a name say how the octets of what follows are written. Blocks as long as the hash was made
 * to take.
 */
#ifndef SERVER_PWHASH_H
#define SERVER_PWHASH_H

#include "storage/base/buf.h"

#define PWHASH_PASSWORD_MAX 512  /* octets of a password */
#define PWHASH_STORED_MAX   1024 /* octets of what is stored, without its {SCHEME} */
#define PWHASH_DEFAULT      "SHA512-CRYPT"

enum pwhash_is {
	PWHASH_RIGHT,
	PWHASH_WRONG,
	PWHASH_UNUSABLE, /* nothing matches it: it is none of its scheme, or empty */
	PWHASH_UNKNOWN,  /* there is no such scheme */
};

/* Somebody says that this is that user's password. Borrowed. */
struct pwhash_claim {
	struct span user, password; /* user: with its domain */
};

/*
 * Take `{SCHEME}` off the front of *stored into *scheme, which stays as it is when there
 * is none.
 */
void pwhash_split(struct span *stored, struct span *scheme);

/*
 * Compare, in a time that tells nothing about where they differ. `scheme` is meant
 * where `stored` has no prefix. An empty stored password matches nothing.
 */
enum pwhash_is pwhash_verify(const struct pwhash_claim *, struct span stored,
                             struct span scheme);

/*
 * The mechanisms (of enum mech) that can use what is stored under this scheme without being
 * told the password. 0: none, or there is no such scheme.
 */
unsigned pwhash_serves(struct span scheme);

/*
 * What `mech` compares with: *text gets the password, or the mechanism's own form of it as
 * its scheme writes that, and *form 0 or `mech`. `scheme` as for pwhash_verify(). UNUSABLE
 * when this scheme does not serve it; else as there, RIGHT when it can be used.
 */
enum pwhash_is pwhash_secret(struct span stored, struct span scheme, unsigned mech,
                             struct buf *text, unsigned *form);

/* The name of a scheme that pwhash_make() knows, in its own spelling; NULL: none. */
const char *pwhash_scheme(struct span name);

/* All of them, a blank between: for the help. -1: *b is full. */
int pwhash_list(struct buf *);

/* Make `{SCHEME}hash` with fresh salt. 0, or -1: EINVAL scheme or NUL, or errno. */
int pwhash_make(struct span password, const char *scheme, struct buf *out);

/* Equal, looking at every octet whatever happens. */
bool pwhash_same(struct span, struct span);

#endif
