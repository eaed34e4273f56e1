/*
 * arena: memory that is given back all at once: what one command needs, reset after its
 * reply. {.max = N} is an empty arena that never holds more than N octets; {0} has no
 * ceiling. A reset keeps at most ARENA_KEEP octets allocated.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "storage/base/span.h"

#define ARENA_KEEP 65536 /* octets that stay allocated over a reset */

struct arena {
	struct arena_block *blocks; /* owned; the newest first */
	size_t used;		    /* octets handed out since the last reset */
	size_t max;
};

/* Zeroed, aligned for any type. NULL with ENOMEM, or EMSGSIZE past the ceiling. */
void *arena_alloc(struct arena *, size_t n);

/* A copy of the octets; p is NULL on failure (also of an empty span it is not NULL). */
struct span arena_copy(struct arena *, struct span);

void arena_reset(struct arena *);
void arena_free(struct arena *);
void arena_wipe(struct arena *); /* arena_free that leaves no secret in memory */

#endif
