/* fetch: what a FETCH asks for, and what its files share (RFC 9051 section 6.4.5). */
#ifndef IMAP_FETCH_H
#define IMAP_FETCH_H

#include "protocol/imap/blobs.h"
#include "protocol/imap/imap.h"
#include "protocol/imap/section.h"

enum fetch_item {
	FETCH_UID = 1,
	FETCH_FLAGS = 2,
	FETCH_DATE = 4,
	FETCH_SIZE = 8,
	FETCH_MODSEQ = 16,
	FETCH_ENVELOPE = 32,
	FETCH_BODY = 64,
	FETCH_BODYSTRUCTURE = 128,
	FETCH_SAVEDATE = 256,
};

struct fetch {
	struct imap *im;
	struct numset set; /* UIDs */
	unsigned items;	   /* enum fetch_item */
	unsigned nsection;
	struct section *sections, **end; /* end: where the next one goes */
	bool changedsince, vanished;
	uint64_t modseq; /* of changedsince */
	/* while it runs */
	struct blobs blobs;
	struct buf text; /* of the response that is being made */
	bool begun;	 /* octets of that response have been sent: it must be ended */
	struct arena ranges; /* of the section that is being printed */
	bool unmarked;	 /* \Seen could not be set */
	bool lost;	 /* a message's octets were removed by another program */
	bool unknown_cte;
};

/* What was asked for, for all messages. -1: the connection is broken. */
int fetch_run(struct fetch *);

/*
 * Begin with the message's octets; -1 when they cannot be had. What was handed to `out`
 * before is sent first when that is necessary.
 */
int fetch_begin(struct fetch *, const struct mt_record *);

/* The structure of the message; NULL with errno. Valid until the next message's. */
const struct part *fetch_structure(struct fetch *, const struct mt_record *);

/* Print a section: label and octets, behind what f->text holds, which goes out before.
 * -1: the connection is broken; 1: it cannot be had, and nothing of the response was sent. */
int fetch_section(struct fetch *, const struct mt_record *, const struct section *);

#endif
