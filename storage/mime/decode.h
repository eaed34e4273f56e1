/*
 * decode: Content-Transfer-Encoding undone (RFC 2045 section 6), octets in, octets out.
 * Nothing is an error: what is broken gives the best answer there is, and `broken` says
 * that there was something. The same output however the input was cut.
 */
#ifndef MIME_DECODE_H
#define MIME_DECODE_H

#include <stdint.h>

#include "storage/base/span.h"

enum encoding {
	ENCODING_NONE, /* 7bit, 8bit, binary, or no such field */
	ENCODING_BASE64,
	ENCODING_QP,
	ENCODING_UNKNOWN, /* passed through; BINARY answers UNKNOWN-CTE */
};

/* Of the field's value, in whatever case, blanks and comments around it. Empty: NONE. */
enum encoding encoding_of(struct span value);

enum { DECODE_HELD_MAX = 128 };

struct decode {
	enum encoding encoding;
	bool broken; /* octets that the encoding does not have, or an end too early */
	/* private from here on */
	uint8_t state;
	uint8_t nheld;        /* QP: what waits for the octets behind it */
	uint8_t from, nready; /* what is decided but found no room yet */
	uint32_t bits;        /* base64: of the quantum so far */
	char held
	    [DECODE_HELD_MAX]; /* QP: blanks perhaps at the end of a line, `=`, CR */
	char ready[DECODE_HELD_MAX];
};

void decode_init(struct decode *, enum encoding);

/*
 * Consume octets of *in, write at most cap (>= 1) to out; returns octets written. Stops
 * only when *in is empty and all that is decided was written, or out is full: call again
 * while it returned cap. `in` and `out` must not overlap.
 */
size_t decode_push(struct decode *, struct span *in, char *out, size_t cap);

/* The end of the input: what is left. Call again while it returned cap. */
size_t decode_end(struct decode *, char *out, size_t cap);

#endif
