/*
 * words: the value of a header field as text in UTF-8: unfolded, its encoded words decoded
 * (RFC 2047, RFC 2231 section 5), adjacent ones joined, also where a character was cut in
 * two between them. A word that is broken stays as it is. A line that goes on behind a tab
 * goes on behind a blank, as its writer meant. The same output however the input was cut.
 */
#ifndef MIME_WORDS_H
#define MIME_WORDS_H

#include "storage/base/buf.h"
#include "storage/mime/charset.h"

enum {
	WORDS_MAX = 2048
}; /* octets of an encoded word (RFC: 75), or of blanks between two */

struct words {
	/* private */
	uint8_t state;
	bool after; /* what stands before is an encoded word */
	bool fold;  /* the octet before ended a line */
	bool done;
	uint16_t nheld, nblank;
	uint16_t from, nready;
	struct charset text; /* what is being converted: text as it is, or words */
	uint8_t nname;       /* of its charset; 0: text as it is */
	char name[CHARSET_NAME_MAX];
	char held[WORDS_MAX];      /* what may become a word */
	char blank[WORDS_MAX];     /* white space behind a word */
	char ready[8 * WORDS_MAX]; /* a word in UTF-8 that found no room yet */
};

void words_init(struct words *);

/* As decode_push() and decode_end(), value of one field after the colon with its line ends. */
size_t words_push(struct words *, struct span *in, char *out, size_t cap);
size_t words_end(struct words *, char *out, size_t cap);
void words_drop(struct words *); /* nothing more is wanted; twice is fine */

/* All of a value at once, appended to *out. -1: ENOMEM, EMSGSIZE. */
int words_text(struct span value, struct buf *out);

#endif
