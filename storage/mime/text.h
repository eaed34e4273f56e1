/*
 * text: what can be read in a message, in one pass over its wire octets: header fields with
 * their words decoded, and the bodies of its text parts, all in UTF-8. Multiparts and
 * messages within it are looked into; what is neither text nor message is passed over
 * (RFC 9051 section 6.4.4 allows that of SEARCH).
 *
 * Linear time, bounded memory: nothing but boundaries, the two fields that describe a body,
 * and what a decoder holds is kept, however long a line, a field or a message is. The same
 * calls with the same octets however they were cut, only that pieces may be cut otherwise.
 */
#ifndef MIME_TEXT_H
#define MIME_TEXT_H

#include <stdint.h>

#include "storage/base/span.h"

enum {
	TEXT_DEPTH_MAX =
	    100, /* multiparts within multiparts; deeper ones are passed over */
	TEXT_NAME_MAX = 1000, /* octets of a field's name; a longer one is no name */
	TEXT_FIELD_MAX =
	    1 << 16, /* octets that are looked at of a field that describes a body */
};

/* Which header or body it is. */
enum text_place {
	TEXT_TOP,    /* the message's own */
	TEXT_PART,   /* of a part of a multipart */
	TEXT_WITHIN, /* of a message within */
};

/* Called while octets are pushed; spans are borrowed for the call. */
struct text_sink {
	void *arg;
	/*
	 * A field begins; `name` is without blanks, empty for a line without a colon, which is
	 * all value then. False: its value is not wanted.
	 */
	bool (*field)(void *arg, enum text_place, struct span name);
	void (*value)(void *arg, struct span utf8);
	void (*field_end)(void *arg);
	/* A text body begins. False: it is not wanted. */
	bool (*body)(void *arg);
	void (*text)(void *arg, struct span utf8);
	void (*body_end)(void *arg);
};

struct text; /* for any number of messages, one after the other */

struct text *text_new(const struct text_sink *); /* NULL: ENOMEM. The sink is copied */
void text_free(struct text *);                   /* NULL is fine */

void text_begin(struct text *); /* a message; one that is under way is forgotten */
/* -1: ENOMEM; then no more of this message. */
int text_push(struct text *, struct span);
int text_end(struct text *);

#endif
