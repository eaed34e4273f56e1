/*
 * keywords: the text of `dovecot-keywords`: lines `NUMBER NAME`, number 0-25 for the
 * letters a-z in file names. Lines that make no sense are passed over and kept.
 *
 * Dovecot reads its file again only when the mtime, in whole seconds, is another than
 * the last time: whoever writes it sets an mtime later than the one before.
 */
#ifndef STORAGE_KEYWORDS_H
#define STORAGE_KEYWORDS_H

#include <stdint.h>

#include "fs/abi.h"
#include "storage/base/buf.h"

#define KEYWORDS_FILE "dovecot-keywords"

struct keywords { /* {0} is an empty table */
	char name[MT_NKEYWORD][MT_KEYWORD_MAX + 1]; /* NUL-padded; "" is an unused row */
	uint32_t reserved; /* rows that foreign lines claim: not given to others */
	unsigned bad;	   /* lines passed over; `foreign` has their text */
	size_t bad_line;   /* the first of them, from 1; 0: none */
	struct buf foreign; /* owned; whole lines, printed behind the others */
};

/*
 * Read the whole text (bounded by the caller). A line is bad when its number is not
 * 0-25 or taken already, or its name is empty, too long, taken already (letters
 * without case, as RFC 9051 section 2.3.2 compares keywords) or no atom. -1: ENOMEM.
 */
int keywords_parse(struct span text, struct keywords *);

/* Lines in ascending order, then the foreign ones as they were. */
int keywords_print(const struct keywords *, struct buf *);

/* The row of a name, letters without case; -1 when it is not there. */
int keywords_find(const struct keywords *, struct span name);

/*
 * Put a name into the lowest free row and return that. EEXIST; ENOSPC: all 26 are
 * taken; EINVAL: not a keyword that IMAP can carry, or longer than MT_KEYWORD_MAX.
 */
int keywords_add(struct keywords *, struct span name);

/* An atom of RFC 9051 without a leading backslash, of 1-MT_KEYWORD_MAX octets. */
bool keywords_valid(struct span name);

void keywords_free(struct keywords *);

#endif
