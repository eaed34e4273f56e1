/*
 * top: the part of a message that TOP sends (RFC 1939 section 7): the header, the empty
 * line and so many lines of the body. Pushes octets through whatever their cuts.
 */
#ifndef POP3_TOP_H
#define POP3_TOP_H

#include <stdint.h>

#include "storage/base/span.h"

struct top {
	uint64_t lines; /* of the body, still to come */
	uint8_t width;  /* of the line so far: 0 nothing, 1 a CR, 2 more than that */
	bool in_body;
	bool done; /* nothing more of the message is wanted */
};

#define TOP_OF(n) ((struct top){.lines = (n)})

/* How many octets of `in` belong to it; all of them until `done`. */
size_t top_run(struct top *, struct span in);

#endif
