/*
 * address: lists of addresses in header fields (RFC 5322 section 3.4 with the obsolete forms
 * of 4.4), as ENVELOPE wants them (RFC 9051 section 7.5.2). Anything is taken, and shown as
 * Dovecot shows it: MISSING_MAILBOX, MISSING_DOMAIN, SYNTAX_ERROR and INVALID_ROUTE stand
 * where an address has a hole. Linear time, no recursion.
 */
#ifndef MIME_ADDRESS_H
#define MIME_ADDRESS_H

#include "storage/base/arena.h"

/*
 * An address, or the begin of a group (only mailbox: the group's name), or the end of one
 * (nothing). A span whose p is NULL is NIL. Strings are unquoted, and still encoded
 * (RFC 2047).
 */
struct address {
	struct address *next;
	struct span name; /* the phrase before <>, else the comment after the address */
	struct span adl;  /* the route: `@a,@b` */
	struct span mailbox;
	struct span host;
};

struct address_list { /* {0} is empty */
	struct address *first, *last;
};

/*
 * Append what `value` (raw, still folded) lists; the strings are copies in the arena. 0, or
 * -1 when the arena is full or out of memory: what came before stays in the list.
 */
int address_parse(struct span value, struct arena *, struct address_list *);

#endif
