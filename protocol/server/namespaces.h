/*
 * namespaces: what `namespace` blocks of a configuration come to: one private namespace, how
 * its names are written, and its mailboxes with special uses. Pure.
 */
#ifndef SERVER_NAMESPACES_H
#define SERVER_NAMESPACES_H

#include "protocol/server/config.h"

#define NAMESPACES_MAILBOXES_MAX 64 /* of one; as many special uses */

/* Note what is wrong with the blocks, and which of them are passed over. */
void namespaces_check(struct config *);

/* The one that is served, or NULL: none is configured, so the usual one is. */
const struct conf_namespace *namespaces_served(const struct config *);

/*
 * It as options of mailtree-imap(8), each with its NUL, appended to *out; *n is how many.
 * -1 ENOMEM. The configuration has no mistakes.
 */
int namespaces_options(const struct config *, struct buf *out, size_t *n);

#endif
