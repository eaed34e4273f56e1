/*
 * names: what clients call a mailbox, and its path in the tree. A client's name is text
 * (UTF-8, on the wire modified UTF-7 unless UTF-8 was enabled): the levels as the store
 * means them, between separators, `12.eml` and `.x` too. Every path has one name, and every
 * name that is not refused leads to that path.
 *
 * What could not be said in such text is escaped as %XX with upper-case digits:
 *   - octets of a level that is no modified UTF-7 (`caf%E9`, `a%26b`), and the separator
 *     within a level (mbox: `a%2Eb`); an empty level is `%00`;
 *   - the first octet of a name that begins with `~`, and, where there is no prefix, of a
 *     first level `inbox` in other letters than INBOX, of which it is another one;
 *   - a '%' that would read as such an escape, as `%25`. `50%off` and `a%41` stay.
 * The mailboxes INBOX and what lies in it are called so in whatever case.
 */
#ifndef IMAP_NAMES_H
#define IMAP_NAMES_H

#include "protocol/imap/imap.h"

/* All append; what was there stays. */

/* The text of a tree's path. -1: ENOMEM. */
int name_of_path(const struct imap_names *, struct span path, struct buf *text);

/* The path of a text. NULL, or why there can be no such mailbox (static). */
const char *name_to_path(const struct imap_names *, struct span text, struct buf *path);

/* Octets as a client sent them to text. NULL, or why (static). */
const char *name_decode(bool utf8, struct span wire, struct buf *text);

/* Text as it is sent, quoted. -1: ENOMEM. */
int name_print(bool utf8, struct span text, struct buf *);

static inline bool
name_is_utf8(const struct imap *im)
{
	return im->enabled & (EN_UTF8 | EN_REV2);
}

#endif
