/*
 * crlf: stored bytes in, wire bytes out. Wire: an LF without a CR before it gets one;
 * a non-empty message that does not end in CR LF gets CR LF; nothing else changes.
 * A line ends at each LF; a CR alone ends nothing.
 */
#ifndef STORAGE_CRLF_H
#define STORAGE_CRLF_H

#include <stdint.h>

#include "storage/base/span.h"

/*
 * The whole state: a copy of it and the stored offset at which it was taken are a
 * checkpoint, from which conversion goes on as if it had never stopped.
 */
struct crlf {	       /* embed it; {0} is ready; nothing to free */
	uint64_t wire; /* wire octets produced so far */
	char last;     /* last wire octet produced, 0 at the start */
};

/*
 * Convert `in` (borrowed for this call) into out[0..cap), cap >= 2. *used gets
 * the stored octets taken; pass the rest next time. Returns wire octets; cannot fail.
 * `in` and `out` must not overlap. Stops only when `in` is used up or fewer than two
 * octets of room are left.
 */
size_t crlf_push(struct crlf *, struct span in, char *out, size_t cap, size_t *used);

/* Completes an unended last line: returns 0 or 2 octets. Nothing may be pushed after. */
size_t crlf_end(struct crlf *, char out[static 2]);

/*
 * As crlf_push without output: go over `in` while the wire offset stays at or below
 * `wire_off`, and return the stored octets taken. It stops one short of `wire_off`
 * when that lies between an added CR and its LF: convert on and drop one octet.
 */
size_t crlf_skip(struct crlf *, struct span in, uint64_t wire_off);

/* What is to be known of a message before anyone is told of it. */
struct wire_count {	      /* {0} is ready; nothing to free */
	uint64_t stored;      /* stored octets pushed */
	uint64_t wire;	      /* wire octets; final after wire_count_end */
	uint32_t header_size; /* wire octets up to and with the first empty line, all of
				 the message when it has none; UINT32_MAX when more.
				 Valid after wire_count_end. */
	uint16_t bits;	      /* MT_DOT, MT_NUL, MT_8BIT (fs/abi.h) */
	char last;	      /* last stored octet */
	uint8_t line;	      /* its own: what the current header line has so far */
	bool in_body;	      /* its own: the empty line was seen */
};

void wire_count_push(struct wire_count *, struct span stored);
void wire_count_end(struct wire_count *);

#endif
