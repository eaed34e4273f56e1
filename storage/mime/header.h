/*
 * header: a push parser over the header of a message or of a body part (RFC 5322 section
 * 2.2): wire octets in, fields out, each with its place. A line ends at its LF; the header
 * ends after the first line that is empty (a CR before the LF is allowed), or where the
 * octets end. A line that begins with a blank continues a field. A line without a colon is
 * a field without a name and ends nothing.
 *
 * Linear time; holds one field, and of that no more than the ceiling.
 */
#ifndef MIME_HEADER_H
#define MIME_HEADER_H

#include <stdint.h>

#include "storage/base/buf.h"

enum { HEADER_FIELD_MAX = 1 << 20 }; /* octets of a field that are held by default */

enum header_ev {
	HEADER_MORE,  /* `in` is used up */
	HEADER_FIELD, /* h->field is valid until the next call */
	HEADER_END,   /* the empty line is taken; what is left of `in` is the body */
	HEADER_NOMEM,
};

struct field {
	struct span
	    name; /* without blanks before the colon; empty: there is no colon */
	struct span value; /* after the colon and blanks, still folded, without the last
			      line end; all of the line when there is no colon */
	uint64_t off;      /* where it begins, counted from the first octet pushed */
	uint64_t size;     /* octets of it in the message, with its last line end */
	bool cut;          /* it was longer than what is held */
};

struct header {     /* {0} is ready */
	size_t max; /* octets of a field that are held; 0: HEADER_FIELD_MAX */
	struct field field;
	uint64_t
	    size; /* octets taken so far: after HEADER_END all of the header with its
			   empty line */
	uint64_t lines; /* LFs taken so far */
	/* its own */
	struct buf held; /* the field under way, up to max */
	uint64_t begin;	 /* where it begins */
	enum {
		HEADER_START, /* a line begins */
		HEADER_CR,    /* likewise, and a CR has come, which is not yet held */
		HEADER_LINE,
		HEADER_DONE,
	} state;
	bool open; /* a field is under way */
	bool told; /* h->field was handed out: forget it with the next call */
};

enum header_ev header_push(struct header *, struct span *in);

/* The octets end here: HEADER_FIELD once more when a field was begun, then HEADER_END. */
enum header_ev header_finish(struct header *);

void header_reset(struct header *); /* for the next header; memory is kept */
void header_free(struct header *);

/*
 * The value without its folds, as Dovecot shows it in ENVELOPE: line ends go, the blanks
 * after them stay, and a CR alone is a blank. In place or to a place of at least v.n octets; returns octets.
 */
size_t header_unfold(struct span v, char *out);

#endif
