/*
 * maildir_names: for every row of a mailbox the name of its file, and where it lies.
 * Costs 5 octets a row beside the name itself (name + 3 octets, own UIDL + 1); room
 * of replaced names is taken back once it is a quarter of the whole.
 *
 * Not locked: who changes it holds box->lock for writing, who reads it for reading.
 */
#ifndef STORAGE_MAILDIR_NAMES_H
#define STORAGE_MAILDIR_NAMES_H

#include <stdint.h>

#include "storage/base/span.h"

enum md_where {
	MD_NEW,	 /* new/ */
	MD_CUR,	 /* cur/ */
	MD_HELD, /* expunged, its file waits in tmp/ for the last reader */
	MD_GONE, /* expunged; the name is kept while the uidlist may still have it */
};

struct names { /* {0} is empty */
	char *room;    /* entries: base length, UIDL length, name NUL, UIDL NUL */
	size_t n, cap; /* octets */
	size_t waste;  /* octets of entries that no row has any more */
	uint32_t *off; /* [nrow]: where a row's entry begins */
	uint8_t *where; /* [nrow]: enum md_where */
	size_t nrow, row_cap;
};

/* Append the next row. `uidl` may be empty. -1: ENOMEM, EMSGSIZE past 4 GB. */
int names_add(struct names *, enum md_where, struct span name, size_t base_len,
	      struct span uidl);

/* Another name for a row; its UIDL stays. On failure it is as it was. */
int names_set(struct names *, uint32_t row, enum md_where, struct span name,
	      size_t base_len);

/* Room for so many changes of up to 255 octets each: they cannot fail then. */
int names_reserve(struct names *, size_t nchange);

static inline enum md_where
names_where(const struct names *t, uint32_t row)
{
	return (enum md_where)t->where[row];
}

/* Borrowed until the next change. */
const char *names_get(const struct names *, uint32_t row);
struct span names_base(const struct names *, uint32_t row);
struct span names_uidl(const struct names *, uint32_t row); /* empty: none of its own */

void names_free(struct names *);

#endif
