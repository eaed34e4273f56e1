/*
 * hash: SipHash-2-4 (Aumasson and Bernstein, 2012). Keyed with random bytes where
 * an outsider chooses what is hashed; with a fixed key where a value must be the
 * same on every machine (inode numbers, record checks).
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "storage/base/span.h"

struct hash_key {
	uint64_t k0, k1;
};

extern const struct hash_key hash_fixed; /* all zero: the same everywhere */

void hash_random(struct hash_key *); /* from getrandom(2) */
uint64_t hash64(const struct hash_key *, struct span);

/* The check over our own records and blobs: low half of hash64 under hash_fixed. */
uint32_t hash_check(const void *, size_t);

#endif
