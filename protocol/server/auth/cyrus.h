/*
 * cyrus: the mechanisms that are never told a password, by Cyrus SASL. Its databases and
 * its configuration files are not asked: secrets come from authdb.h. Without the library
 * there are none of them, and cyrus_begin() fails.
 */
#ifndef AUTH_CYRUS_H
#define AUTH_CYRUS_H

#include "protocol/server/auth/dialog.h"

struct cyrus;

/*
 * Load what these mechanisms need; once, before workers are forked, so that what they
 * invent for unknown users is the same in all. -1 after a log line.
 */
int cyrus_prepare(unsigned mechs);

/* NULL: not to be had. */
struct cyrus *cyrus_begin(const struct config *, unsigned mech);

/* As dialog_push(); FOUND: it has proved that it is cyrus_user(). */
enum dialog_ev cyrus_push(struct cyrus *, const struct span *answer, struct buf *out);

/* As far as it has said. Borrowed. Nobody acts for somebody else but by a separator. */
struct span cyrus_user(const struct cyrus *);

void cyrus_end(struct cyrus *); /* NULL is fine */

#endif
