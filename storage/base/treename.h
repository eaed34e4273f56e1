/*
 * treename: one level of a mailbox's name as the tree shows it. A level is text, the UTF-8
 * that its modified UTF-7 in the store stands for, or foreign: octets of the store that are
 * no such UTF-7. Which octets are escaped as %XX, and why: storage/boxname.h.
 */
#ifndef BASE_TREENAME_H
#define BASE_TREENAME_H

#include "storage/base/buf.h"

#define TREENAME_MAX   255 /* octets of a level, as a directory's name */
#define TREENAME_EMPTY "%" /* how an empty level is shown */

/* Both append; -1 ENOMEM, and what was appended is to be dropped. `in` is not empty. */
int treename_escape(struct span in, bool foreign, struct buf *out);

/* The escapes taken out, and which of both it is. Also of what no level is shown as:
 * only what escapes to the same again is a name. */
int treename_unescape(struct span tree, struct buf *out, bool *foreign);

/* C0 and DEL: no text has them. */
bool treename_has_control(struct span);

/* Whether the octet, when it had to be escaped, tells that a level is foreign. */
bool treename_is_foreign(unsigned char);

/* The octet that an escape at the beginning of s stands for, or -1. */
int treename_escaped(struct span s);

#endif
