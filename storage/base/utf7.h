/*
 * utf7: modified UTF-7, in which IMAP and Maildir++ spell names of mailboxes (RFC 3501
 * section 5.1.3), and the UTF-8 that it stands for.
 */
#ifndef BASE_UTF7_H
#define BASE_UTF7_H

#include "storage/base/buf.h"

/*
 * Both append to *out; -1 leaves it as it was. Decoding takes only the one canonical
 * spelling: EINVAL for ASCII within a run, runs side by side, bits left over, octets that
 * are not printable ASCII. Encoding: EINVAL for what is not UTF-8.
 */
int utf7_decode(struct span utf7, struct buf *out);
int utf7_encode(struct span utf8, struct buf *out);

/* Strictly UTF-8 (RFC 3629): no surrogates, no overlong forms, at most U+10FFFF. */
bool utf8_is_valid(struct span);

#endif
