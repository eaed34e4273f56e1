/*
 * base64: RFC 4648 section 4 as SASL wants it: nothing but the alphabet, whole groups of
 * four, and no bits that say nothing.
 */
#ifndef PROTOCOL_BASE64_H
#define PROTOCOL_BASE64_H

#include "storage/base/buf.h"

/* Decode into out[0..cap). Octets, or -1: it is no base64, or does not fit. */
ptrdiff_t base64_decode(struct span, char *out, size_t cap); /* `out` may be the span's */

/* Append the text of some octets. -1: *b is full. */
int base64_encode(struct span, struct buf *b);

#endif
