/* flags: the flags of STORE and APPEND (RFC 9051 section 2.3.2), as ctl takes them. */
#ifndef IMAP_FLAGS_H
#define IMAP_FLAGS_H

#include "protocol/imap/args.h"
#include "storage/base/buf.h"

/*
 * Append the atoms from `a` on to *out, a comma between them. False with *why (static): a
 * system flag that there is not, \Recent, or what cannot be a keyword.
 */
bool flags_parse(const struct arg *a, struct buf *out, const char **why);

#endif
