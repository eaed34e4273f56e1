/* envelope: the text of ENVELOPE (RFC 9051 section 7.5.2), with its parentheses. */
#ifndef IMAP_ENVELOPE_H
#define IMAP_ENVELOPE_H

#include "storage/base/buf.h"
#include "storage/mime/envelope.h"

/* Append it; NULL prints as an envelope of NILs. 0, or -1 with buf_add's errno and the
 * buffer as it was. */
int envelope_print(const struct envelope *, struct buf *);

#endif
