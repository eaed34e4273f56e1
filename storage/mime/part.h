/*
 * part: the MIME structure of a message (RFC 2045, 2046), found in one pass over its wire
 * octets, without recursion: time is linear, memory is the arena's.
 */
#ifndef MIME_PART_H
#define MIME_PART_H

#include "storage/base/arena.h"
#include "storage/mime/envelope.h"
#include "storage/mime/header.h"
#include "storage/mime/param.h"

/* What an outsider can push against. Past them a part is PART_OPAQUE: not looked into. */
enum {
	MIME_DEPTH_MAX = 100,     /* parts within parts */
	MIME_PARTS_MAX = 10000,   /* of a message */
	MIME_FIELD_MAX = 1 << 20, /* octets of one field that are looked at */
	MIME_BOUNDARY_MAX = 80,   /* octets of a boundary that count; RFC 2046 allows 70 */
};

enum part_kind {
	PART_LEAF,
	PART_MULTIPART, /* children: its parts; there may be none */
	PART_MESSAGE, /* message/rfc822, message/global: one child, the message within */
	PART_OPAQUE,  /* one of these two, but past a ceiling: to be shown as a leaf of
			   application/octet-stream */
};

/* Everything that it points to lies in the arena. A span whose p is NULL: not given. */
struct part {
	struct part *parent, *next, *child;
	enum part_kind kind;
	/* Octets from the beginning of the message; a header has its empty line with it. */
	uint64_t header_off, header_size;
	uint64_t body_off, body_size;
	uint64_t header_lines, body_lines; /* LFs in them */
	struct content_type content; /* never NULL: text/plain or, in multipart/digest,
					      message/rfc822 when the header says nothing */
	struct span id, description, md5, location; /* unfolded */
	struct span encoding;                       /* as written */
	struct span disposition;
	struct param *disposition_params;
	struct param *languages;   /* names only */
	struct envelope *envelope; /* of a message: the root, the child of PART_MESSAGE;
				      NULL of any other part */
};

struct mime; /* a parse that is under way */

/* NULL: ENOMEM. The arena is borrowed until mime_end; what is found is there. */
struct mime *mime_init(struct arena *);

/* Wire octets of the message, from its first on. 0, or -1 ENOMEM. A full arena (EMSGSIZE)
 * is no failure: what finds no room there is left out. */
int mime_push(struct mime *, struct span);

/* The top header is complete: after mime_end the root's envelope and fields will be right
 * though nothing more is pushed. */
bool mime_header_done(const struct mime *);

/* The root; NULL with ENOMEM. Frees the parse, which may be NULL then. */
struct part *mime_end(struct mime *);
void mime_free(struct mime *); /* gives up; NULL is fine */

/*
 * The part that IMAP's section numbers name (RFC 9051 section 6.4.5.1), NULL: there is
 * none. Its body is what `BODY[numbers]` is, its header what `.MIME` is. Part 1 of a message
 * that is no multipart is the message itself; n == 0 is the root.
 */
const struct part *part_find(const struct part *root, const uint32_t *numbers,
                             size_t n);

/*
 * The message whose `HEADER` and `TEXT` these numbers name: the root for none, else the
 * message within a part that is one; NULL when it is none.
 */
const struct part *part_message(const struct part *root, const uint32_t *numbers,
                                size_t n);

#endif
