/*
 * uidlist: the text of `dovecot-uidlist`, version 3, and of version 1, which is also
 * Courier's `courierimapuiddb`. Pure: bytes in, records out, and back. No files, no
 * locks, no memory of records: who calls keeps what it wants.
 *
 *	3 V1252415028 N12 G1d8eed0f4cfa9a4a3d0d0000b4e1d8a3
 *	5 W1234 S1200 :1252415100.M1P2.host,S=1200
 *
 * Keys that we do not know are preserved verbatim. A record whose UID is at or above
 * N is an append that came after the header was written: it raises uidnext.
 */
#ifndef STORAGE_UIDLIST_H
#define STORAGE_UIDLIST_H

#include <stdint.h>

#include "storage/base/buf.h"
#include "storage/base/line.h"

#define UIDLIST_FILE	 "dovecot-uidlist"
#define UIDLIST_LINE_MAX 8192 /* octets of one line: a file name, and keys */

struct uidlist_header {
	unsigned version; /* 1 or 3 */
	uint32_t uidvalidity;
	uint32_t uidnext;
	bool has_guid;
	uint8_t guid[16];
	struct span extra; /* other fields, verbatim, single blanks between; or empty */
};

struct uidlist_record {
	uint32_t uid;
	struct span ext;  /* `W1234 S1200`, verbatim, single blanks between; or empty */
	struct span name; /* the file name last known: match it up to its info */
};

enum uidlist_error {
	UIDLIST_OK,
	UIDLIST_STOPPED,   /* a callback said so */
	UIDLIST_HEADER,	   /* the header is not one, or lacks V or N */
	UIDLIST_VERSION,   /* neither 1 nor 3 */
	UIDLIST_RECORD,	   /* a line is no record */
	UIDLIST_ORDER,	   /* UIDs do not ascend: the list is corrupt */
	UIDLIST_UID_RANGE, /* UID 0, 2^32-1 or more; in version 1 also nextuid or more */
	UIDLIST_NAME,	   /* empty, '/' or NUL in a file name: the list is corrupt */
	UIDLIST_LONG,	   /* a line longer than UIDLIST_LINE_MAX */
};

/* Callbacks borrow what they get until they return. Not 0: stop (UIDLIST_STOPPED). */
struct uidlist_parser {
	int (*header)(void *arg, const struct uidlist_header *); /* first, once */
	int (*record)(void *arg, const struct uidlist_record *); /* ascending by uid */
	void *arg;

	/* results, to read at any time */
	enum uidlist_error error;
	size_t lines;	  /* whole lines seen; at an error: the number of that line */
	uint64_t whole;	  /* octets up to the end of the last good line: append here */
	uint32_t last_uid; /* highest so far, 0: none */
	uint32_t uidnext; /* the header's, raised above every record's UID */

	/* its own */
	unsigned version;
	struct line line;
	char room[UIDLIST_LINE_MAX];
};

/* The callbacks and arg stay as they were set; everything else is made ready. */
void uidlist_begin(struct uidlist_parser *);

/* Any cut of the file gives the same. After an error further pushes do nothing. */
enum uidlist_error uidlist_push(struct uidlist_parser *, struct span);

/*
 * The file ended. *torn: it ended within a line, which was not reported: an append
 * that was cut off (cut the file to `whole` before appending). An empty file is
 * UIDLIST_HEADER.
 */
enum uidlist_error uidlist_end(struct uidlist_parser *, bool *torn);

/* `UIDs do not ascend` and such, for the log; never NULL. */
const char *uidlist_strerror(enum uidlist_error);

/* The value of a record's key (`P`, `W`); false when `ext` has none. Borrowed. */
bool uidlist_ext(struct span ext, char key, struct span *value);

/* Writers, version 3 always, each with its LF. EINVAL: not printable as a line. */
int uidlist_print_header(const struct uidlist_header *, struct buf *);
int uidlist_print_record(const struct uidlist_record *, struct buf *);

#endif
