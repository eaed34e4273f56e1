/*
 * penalty: who has failed to log in from where, so that the next attempt from the same
 * network (an IPv4 address, a /64 of IPv6) is looked at later. A table that does not grow:
 * of networks that fall on one place the last to fail has it.
 */
#ifndef AUTH_PENALTY_H
#define AUTH_PENALTY_H

#include <stdint.h>

#include "storage/base/hash.h"

#define PENALTY_PLACES 4096
#define PENALTY_MAX_MS 15000  /* the longest wait */
#define PENALTY_AGE_MS 300000 /* then failures are forgotten */

struct penalties {
	struct hash_key key; /* outsiders choose the addresses */
	struct penalty {
		uint64_t network; /* hashed; 0: free */
		int64_t last;     /* clock_ms of the last failure */
		unsigned n;       /* failures */
	} at[PENALTY_PLACES];
};

void penalty_init(struct penalties *);

/* One more failure from there. */
void penalty_add(struct penalties *, const char *address);

/* How long the next attempt from there waits: unit_ms, doubled for each failure. */
int64_t penalty_ms(const struct penalties *, const char *address, int64_t unit_ms);

#endif
