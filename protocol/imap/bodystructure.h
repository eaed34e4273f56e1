/*
 * bodystructure: the texts of BODY (not extensible) and BODYSTRUCTURE (extensible), with
 * their parentheses (RFC 9051 section 7.5.2).
 */
#ifndef IMAP_BODYSTRUCTURE_H
#define IMAP_BODYSTRUCTURE_H

#include "storage/base/buf.h"
#include "storage/mime/part.h"

/* Append it. 0, or -1 with buf_add's errno and the buffer as it was. */
int bodystructure_print(const struct part *root, bool extensible, struct buf *);

#endif
