/*
 * octets: what is true of the wire bytes of one message, found out octet by octet and
 * sharing no code with those who produced them: check's witness.
 */
#ifndef COMMAND_OCTETS_H
#define COMMAND_OCTETS_H

#include <stdint.h>

#include "storage/base/span.h"

struct octets { /* {0} is ready; nothing to free */
	uint64_t n;
	uint64_t header; /* octets up to and with the empty line; 0: none came yet */
	uint64_t bare;   /* offset of the first LF without CR, plus 1; 0: none */
	uint16_t bits;   /* MT_DOT, MT_NUL, MT_8BIT as seen */
	char last[2];    /* the last two octets, oldest first */
	bool in_line;    /* the octet before was not an LF: we are within a line */
	bool other;      /* the line has something else than a first CR */
};

void octets_push(struct octets *, struct span);

/* Does it end as the wire rule wants: not at all, or in CR LF? */
bool octets_ended(const struct octets *);

/* Octets of the header: all of the message when it has no empty line. */
uint64_t octets_header(const struct octets *);

#endif
