/*
 * utf8: one character at a time (RFC 3629), strictly: no surrogates, nothing longer than
 * need be, nothing past U+10FFFF.
 */
#ifndef MIME_UTF8_H
#define MIME_UTF8_H

#include <stdint.h>

#include "storage/base/span.h"

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

enum { UTF8_BAD = -1, UTF8_MORE = 0 };

/* The character at the front of `s` (not empty): its octets; BAD: its first octet begins
 * none; MORE: all of `s` may begin one. */
int utf8_first(struct span s, uint32_t *character);

/* Octets written, 1..4. The character is one that utf8_first() gives. */
size_t utf8_print(uint32_t character, char out[static 4]);

/* Octets at the front of `s` that are ASCII. */
size_t utf8_ascii(struct span s);

#endif
