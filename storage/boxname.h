/*
 * boxname: names of mailboxes, as the store has them and as the tree shows them.
 * Maildir++ `.A.B` is `A/B`; the Maildir itself, store name "", is `INBOX`. Every
 * store name has a tree name of its own, and goes back to exactly itself.
 *
 * One level, store to tree:
 *   - modified UTF-7 (RFC 3501 section 5.1.3) becomes UTF-8 when it is strictly that:
 *     canonical, no control characters within;
 *   - any other name stays as it is; when it could be mistaken for the UTF-8 of
 *     another name (it is UTF-8 itself), its '&' and octets above 0x7f are escaped;
 *   - escaped as %XX, an octet of the store: control characters, a '%' that two
 *     hexadecimal digits follow, a '.' at the beginning, the first digit of what looks
 *     like a message (`12.eml`), the I of a folder `.INBOX` (`.INBOX.A` is `INBOX/A`);
 *   - an empty level is `%`, and a level `%` is `%25`.
 * Tree to store takes only what store to tree gives: `%41` is refused, since it is `A`.
 */
#ifndef STORAGE_BOXNAME_H
#define STORAGE_BOXNAME_H

#include "storage/base/buf.h"
#include "storage/base/treename.h"

#define BOXNAME_MAX   TREENAME_MAX /* octets of a level in the tree, and of a store name */
#define BOXNAME_INBOX "INBOX"

enum boxname_error {
	BOXNAME_OK,
	BOXNAME_EMPTY,	   /* no name, or an empty level */
	BOXNAME_DOT,	   /* `.` or `..`, or it begins with a dot */
	BOXNAME_SEPARATOR, /* '/' or the store's separator within a level */
	BOXNAME_LONG,	   /* a level or the store name is longer than BOXNAME_MAX */
	BOXNAME_ESCAPE,	   /* not how the tree would show it */
	BOXNAME_STORE,	   /* no store has it: NUL or '/' inside; Maildir++: no dot first */
	BOXNAME_MEMORY,
};

int boxname_errno(enum boxname_error); /* EINVAL, ENAMETOOLONG, ENOMEM; 0 for OK */
const char *boxname_strerror(enum boxname_error);

/* Both append to *out, and on an error leave it as it was. */

/* `.A.B` to `A/B`, "" to `INBOX`. The names `.` and `..` are BOXNAME_DOT. */
enum boxname_error boxname_to_tree(struct span store, struct buf *out);

/* `A/B` to `.A.B`, `INBOX` to "". */
enum boxname_error boxname_to_store(struct span tree, struct buf *out);

/* The same for one level. `sep` cannot be in a level of the store ('.'; 0: none). */
enum boxname_error boxname_level_to_tree(struct span store, struct buf *out);
enum boxname_error boxname_level_to_store(struct span tree, char sep, struct buf *out);

#endif
