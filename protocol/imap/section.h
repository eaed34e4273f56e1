/* section: what BODY[...], BINARY[...] and RFC822 name (RFC 9051 section 6.4.5, RFC 3516). */
#ifndef IMAP_SECTION_H
#define IMAP_SECTION_H

#include <stdint.h>

#include "protocol/imap/args.h"
#include "storage/base/arena.h"
#include "storage/base/buf.h"

enum { SECTION_DEPTH_MAX = 100 }; /* part numbers in one section */

struct section {
	enum section_kind {
		SECTION_ALL, /* the message, or the body of the part */
		SECTION_HEADER,
		SECTION_FIELDS,
		SECTION_FIELDS_NOT,
		SECTION_TEXT,
		SECTION_MIME,
	} kind;
	bool peek;		 /* \Seen is not set */
	bool binary;		 /* decoded */
	bool size;		 /* BINARY.SIZE: only how many octets */
	const uint32_t *numbers; /* of the part */
	size_t n;
	const struct arg *fields; /* names of FIELDS and FIELDS_NOT */
	const struct span *names; /* the same, sorted */
	size_t nnames;
	bool partial;
	uint64_t from, count; /* octets, when partial */
	struct span label;    /* how the reply calls it */
	struct section *next;
};

/* `BODY[1.2.HEADER.FIELDS (From)]<0.100>` and its kin. False with *why. */
bool section_parse(const struct arg *, struct arena *, struct section *, const char **why);

/* Is that one of the names? */
bool section_names(const struct section *, struct span name);

/* RFC822, RFC822.HEADER, RFC822.TEXT. False: it is none. */
bool section_rfc822(const struct arg *, struct section *);

#endif
