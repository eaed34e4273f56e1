/*
 * capability: what the server says that it can do (RFC 9051 section 6.1.1): one table for
 * all who say it.
 */
#ifndef IMAP_CAPABILITY_H
#define IMAP_CAPABILITY_H

#include <stdint.h>

#include "storage/base/buf.h"

/* When it is said. */
enum capability_when {
	CAPABILITY_LOGIN = 1,    /* before login, passwords are taken */
	CAPABILITY_CLOSED = 2,   /* before login, they are not */
	CAPABILITY_USER = 4,     /* after login */
	CAPABILITY_STARTTLS = 8, /* besides one of the first two: TLS can be begun */
};

/*
 * Append `CAPABILITY IMAP4rev1 ...`, without a CRLF: for the untagged response and for
 * the response code. append_max: APPENDLIMIT (RFC 7889), said after login; 0: no limit is
 * announced. mechs: those of mech.h that can be had. -1: *b is full.
 */
int capability_print(unsigned when, unsigned mechs, uint64_t append_max, struct buf *b);

#endif
