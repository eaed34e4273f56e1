/*
 * pwscheme: one row for each scheme by which passwords are stored, between pwhash.c, which
 * has the table, and those who compare and make what is stored: pwdigest.c, pwderive.c and
 * pwcrypt.c. Nobody else includes this.
 */
#ifndef SERVER_PWSCHEME_H
#define SERVER_PWSCHEME_H

#include "protocol/server/pwhash.h"

/* How the octets that are stored are written, unless the scheme's name ends in another. */
enum pwscheme_text {
	PWSCHEME_AS_IS,
	PWSCHEME_HEX,
	PWSCHEME_BASE64, /* but what has twice `size` digits is hexadecimal, too */
};

struct pwscheme {
	const char *name;
	enum pwscheme_text text;
	/* Is `stored`, not empty, made of it? */
	enum pwhash_is (*verify)(const struct pwscheme *, const struct pwhash_claim *,
	                         struct span stored);
	/* Append what is to be stored, as it is written. -1 errno. NULL: not made any more. */
	int (*make)(const struct pwscheme *, struct span password, struct buf *out);
	const char *by; /* OpenSSL's name of the digest, or the prefix of crypt(5) */
	size_t size;    /* octets of a digest that is stored alone, or 0 */
	unsigned
	    serves; /* of enum mech: those that can use what is stored, never told more */
};

/* The octets themselves. */
enum pwhash_is pwplain_verify(const struct pwscheme *, const struct pwhash_claim *,
                              struct span stored);
int pwplain_make(const struct pwscheme *, struct span password, struct buf *out);

/* pwdigest.c: a digest of the password and of the salt behind it, if there is any. */
enum pwhash_is pwdigest_verify(const struct pwscheme *, const struct pwhash_claim *,
                               struct span stored);
int pwdigest_make(const struct pwscheme *, struct span password, struct buf *out);

/* MD5 of `user:realm:password`; the realm is what stands behind the @ of the user. */
enum pwhash_is pwrealm_verify(const struct pwscheme *, const struct pwhash_claim *,
                              struct span stored);

/* The two states of MD5 within HMAC-MD5 after its key (RFC 2195), the outer one first. */
enum pwhash_is pwcram_verify(const struct pwscheme *, const struct pwhash_claim *,
                             struct span stored);
int pwcram_make(const struct pwscheme *, struct span password, struct buf *out);

/* pwderive.c: `iterations,salt,stored key,server key` (RFC 5802), all but the first base64. */
enum pwhash_is pwscram_verify(const struct pwscheme *, const struct pwhash_claim *,
                              struct span stored);
int pwscram_make(const struct pwscheme *, struct span password, struct buf *out);

/* `$1$salt$iterations$` and the key in hexadecimal digits (RFC 8018, HMAC-SHA1). */
enum pwhash_is pwpbkdf2_verify(const struct pwscheme *, const struct pwhash_claim *,
                               struct span stored);
int pwpbkdf2_make(const struct pwscheme *, struct span password, struct buf *out);

/* pwcrypt.c: what crypt(3) knows. */
enum pwhash_is pwcrypt_verify(const struct pwscheme *, const struct pwhash_claim *,
                              struct span stored);
int pwcrypt_make(const struct pwscheme *, struct span password, struct buf *out);

/* {MD5}: it has been written before both crypt(3)'s and a digest. */
enum pwhash_is pwmd5_verify(const struct pwscheme *, const struct pwhash_claim *,
                            struct span stored);

#ifdef MT_SODIUM
/* `$argon2id$...` or `$argon2i$...` (RFC 9106). */
enum pwhash_is pwargon_verify(const struct pwscheme *, const struct pwhash_claim *,
                              struct span stored);
int pwargon_make(const struct pwscheme *, struct span password, struct buf *out);
#endif

/* Append octets in hexadecimal digits. -1: *b is full. */
int pwscheme_hex(struct span, struct buf *);

/* What is in out[0..cap) of hexadecimal digits. Octets, or -1: they are none. */
ptrdiff_t pwscheme_unhex(struct span, char *out, size_t cap);

#endif
