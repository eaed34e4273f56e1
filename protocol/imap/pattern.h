/*
 * pattern: a LIST pattern over names of mailboxes as text: `*` is any octets, `%` any but
 * the separator (RFC 9051 section 6.3.9). INBOX, and as the first level above others, has
 * no case. Matching takes at most octets of the pattern x octets of the name steps,
 * whatever the wildcards.
 */
#ifndef IMAP_PATTERN_H
#define IMAP_PATTERN_H

#include <stdint.h>

#include "storage/base/arena.h"

struct pattern {          /* all memory is the arena's */
	struct span text; /* of wildcards side by side one is left */
	size_t least;     /* octets that a name has at least */
	char separator;
	bool *at;       /* private: at[i], the octets so far match text up to i */
	uint64_t steps; /* that matching took until now */
};

/* -1: no memory. */
int pattern_make(struct arena *, struct span text, char separator, struct pattern *);

bool pattern_matches(struct pattern *, struct span name);

#endif
