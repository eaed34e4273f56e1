/*
 * base64: RFC 4648 section 4 as SASL wants it: nothing but the alphabet, whole groups of
 * four, and no bits that say nothing.
 */
#ifndef IMAP_BASE64_H
#define IMAP_BASE64_H

#include "storage/base/span.h"

/* Decode into out[0..cap). Octets, or -1: it is no base64, or does not fit. */
ptrdiff_t base64_decode(struct span, char *out, size_t cap);

#endif
