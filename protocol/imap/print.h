/*
 * print: strings as IMAP sends them (RFC 9051 section 4.3): quoted when that can be, else
 * as literal. A NUL, which neither may hold, becomes 0x80. All append: 0, or -1 with
 * buf_add's errno and the buffer as it was.
 */
#ifndef IMAP_PRINT_H
#define IMAP_PRINT_H

#include "storage/base/buf.h"

enum { IMAP_QUOTED_MAX = 4096 }; /* octets that are quoted; longer ones are literals */

int imap_print_string(struct buf *, struct span);
int imap_print_nstring(struct buf *, struct span); /* NIL when p is NULL */

/* For people's eyes, as the phrase of an address: each run of blanks and line ends is one
 * space, none at the ends. NIL when p is NULL. */
int imap_print_text(struct buf *, struct span);

#endif
