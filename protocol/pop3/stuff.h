/*
 * stuff: byte-stuffing of multi-line replies (RFC 1939 section 3): a line that begins
 * with a dot gets one more in front. Pushes octets through whatever their cuts.
 */
#ifndef POP3_STUFF_H
#define POP3_STUFF_H

#include "storage/base/span.h"

struct stuff {        /* {0} is ready for the first octet of a message */
	bool midline; /* the last octet seen did not end a line */
	bool dotted;  /* the extra dot of the octet that comes next was asked for */
};

/*
 * How many octets of `in` go out before an extra dot must: in.n when none must. Send
 * them, then the dot if fewer than in.n, and call again with the rest.
 */
size_t stuff_run(struct stuff *, struct span in);

#endif
