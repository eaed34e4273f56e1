/*
 * fold: text in UTF-8 to the form in which two texts are the same that differ in case or
 * only in compatibility (i;unicode-casemap, RFC 5051): titlecase, then decomposed. Without
 * utf8proc it is ASCII upper case. Octets that are not UTF-8 become U+FFFD each.
 *
 * match: does a text hold a needle, both folded? Linear, whatever the needle, and the same
 * answer however the text was cut.
 */
#ifndef MIME_FOLD_H
#define MIME_FOLD_H

#include <stdint.h>

#include "storage/base/arena.h"
#include "storage/base/buf.h"

enum {
	FOLD_READY_MAX = 128
}; /* more than the longest decomposition of one character */

struct fold { /* {0} is ready */
	uint8_t nheld;
	uint8_t from, nready;
	char held[4];
	char ready[FOLD_READY_MAX];
};

/* As decode_push() and decode_end(). */
size_t fold_push(struct fold *, struct span *in, char *out, size_t cap);
size_t fold_end(struct fold *, char *out, size_t cap);

/* All of a text at once, appended to *out. -1: ENOMEM, EMSGSIZE. */
int fold_text(struct span text, struct buf *out);

struct match {
	struct span needle;   /* folded; borrowed */
	const uint32_t *back; /* borrowed: for each prefix, its longest border */
	size_t at;            /* octets of the needle that the text so far ends in */
	bool found;
};

/* The needle (UTF-8, not yet folded) is copied into the arena. -1: as arena_alloc(). An
 * empty needle is found in whatever text, the empty one too. */
int match_make(struct arena *, struct span needle, struct match *);

void match_begin(struct match *);                    /* a new text */
bool match_push(struct match *, struct span folded); /* found, now or earlier */

#endif
