/*
 * pwhash: passwords against stored ones, `{SCHEME}rest` as Dovecot writes them:
 * {PLAIN} {CLEARTEXT} {CRYPT} {DES-CRYPT} {MD5-CRYPT} {SHA256-CRYPT} {SHA512-CRYPT}
 * {BLF-CRYPT} {YESCRYPT} (names without regard to case). Blocks as long as the hash
 * was made to take.
 */
#ifndef SERVER_PWHASH_H
#define SERVER_PWHASH_H

#include "storage/base/buf.h"

#define PWHASH_PASSWORD_MAX 512 /* octets of a password */
#define PWHASH_DEFAULT      "SHA512-CRYPT"

enum pwhash_is {
	PWHASH_RIGHT,
	PWHASH_WRONG,
	PWHASH_UNUSABLE, /* no such scheme, or a hash that nothing matches */
};

/*
 * Take `{SCHEME}` off the front of *stored into *scheme, which stays as it is when there
 * is none.
 */
void pwhash_split(struct span *stored, struct span *scheme);

/* Is a password stored under this scheme as it is? */
bool pwhash_is_plain(struct span scheme);

/*
 * Compare, in a time that tells nothing about where they differ. `scheme` is meant
 * where `stored` has no prefix. An empty stored password matches nothing.
 */
enum pwhash_is pwhash_verify(struct span password, struct span stored,
                             struct span scheme);

/* The name of a scheme that pwhash_make() knows, in its own spelling; NULL: none. */
const char *pwhash_scheme(struct span name);

/* Make `{SCHEME}hash` with fresh salt. 0, or -1: EINVAL scheme or NUL, or errno. */
int pwhash_make(struct span password, const char *scheme, struct buf *out);

/* Equal, looking at every octet whatever happens. */
bool pwhash_same(struct span, struct span);

#endif
