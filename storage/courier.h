/*
 * courier: what Courier leaves beside a Maildir, read on first sight so that UIDs and
 * POP3 UIDLs stay what clients know. Its sizes are wrong and not looked at.
 *
 *	courierimapuiddb	1 UIDVALIDITY NEXTUID, lines `UID BASENAME`
 *	courierpop3dsizelist	/3 NEXTUID UIDVALIDITY, lines `FILE SIZE UID:UIDV:ISUTF8`
 *				/2 without ISUTF8; /1 NEXTUID, `FILE SIZE UID`;
 *				version 0 has no header, `FILE SIZE`
 */
#ifndef STORAGE_COURIER_H
#define STORAGE_COURIER_H

#include <stdint.h>

#include "storage/base/buf.h"
#include "storage/base/line.h"

#define COURIER_UIDDB	 "courierimapuiddb"
#define COURIER_SIZELIST "courierpop3dsizelist"
#define COURIER_LINE_MAX 4096

struct courier_header {
	unsigned version;     /* uiddb: 1; size list: 0-3 */
	uint32_t uidvalidity; /* 0: it has none (size list 0 and 1) */
	uint32_t uidnext;     /* 0: it has none (size list 0) */
};

struct courier_record {
	uint32_t uid;	      /* of IMAP in uiddb; in the size list POP3 counts by itself.
				 0: it has none (size list 0) */
	uint32_t uidvalidity; /* the record's own in size list 2 and 3, else the header's */
	struct span base;     /* file name without info; borrowed */
	struct span uidl;     /* as Courier said it; empty in uiddb, and when it is not one
				 of RFC 1939 (more than 70 octets); borrowed */
};

enum courier_error {
	COURIER_OK,
	COURIER_STOPPED, /* a callback said so */
	COURIER_HEADER,	 /* not one that we know: the file is of no use */
};

/* Lines that are no records are counted and passed over. */
struct courier_parser {
	bool sizelist; /* which of the two files */
	int (*header)(void *arg, const struct courier_header *); /* first, once */
	int (*record)(void *arg, const struct courier_record *); /* in the file's order */
	void *arg;

	enum courier_error error;
	size_t lines;	 /* seen so far */
	size_t bad;	 /* of these no records */
	size_t bad_line; /* the first of them, from 1; 0: none */

	/* its own */
	struct courier_header head;
	struct line line;
	char room[COURIER_LINE_MAX];
};

/* The callbacks, arg and `sizelist` stay as set; everything else is made ready. */
void courier_begin(struct courier_parser *);
enum courier_error courier_push(struct courier_parser *, struct span);
enum courier_error courier_end(struct courier_parser *); /* also takes an unended line */

#endif
