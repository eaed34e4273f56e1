/*
 * mdname: names of messages in a Maildir: `BASE:2,FLAGS`. BASE identifies the message;
 * flag letters may come in any order, lower-case ones are keywords, letters that we do
 * not know and whatever follows a second comma are preserved when the name changes.
 */
#ifndef STORAGE_MDNAME_H
#define STORAGE_MDNAME_H

#include <stdint.h>

#include "storage/base/buf.h"

#define MDNAME_MAX     255	  /* octets of a file name */
#define MDNAME_NO_HINT UINT64_MAX /* the name holds no such hint */

struct mdname { /* spans are borrowed from the name that was parsed */
	struct span base;
	char sep;	     /* ':' or ';' before the info; 0: the name has no info */
	uint16_t flags;	     /* enum mt_flag */
	uint32_t keywords;   /* bit n: letter 'a' + n */
	struct span letters; /* all flag letters as they stand */
	struct span rest;    /* second comma and what follows; or empty */
	uint64_t hint_size;  /* `,S=` of the base: stored octets. Never believe it. */
	uint64_t hint_wire;  /* `,W=` of the base: wire octets. Never believe it. */
};

/*
 * Cannot fail: a name without proper info is a base without flags. The base ends at
 * the first ':'; in a name without ':' at the first `;2,` (stores kept on file systems
 * that cannot have ':').
 */
void mdname_parse(struct span name, struct mdname *);

/*
 * The name that `m` has with these flags and keywords: base, separator (':' when
 * there was none), `2,`, letters in ASCII order with the unknown ones among them, the
 * rest. Appends; ENAMETOOLONG past MDNAME_MAX leaves *out unchanged.
 */
int mdname_print(const struct mdname *, uint16_t flags, uint32_t keywords, struct buf *out);

/* The info that a new message gets: `:2,FLAGS`, to put behind its base name. */
int mdname_print_info(uint16_t flags, uint32_t keywords, struct buf *out);

/*
 * Append a base name that nobody has had: `SECONDS.MusecPpidQn.HOST`, n rising within
 * the process; HOST is this machine's name with '/', ':' and ',' written as octal.
 */
int mdname_unique(struct buf *out);

/* Append `base,S=stored_size,W=wire_size`, which Dovecot and Courier quotas like. */
int mdname_sized(struct span base, uint64_t stored_size, uint64_t wire_size,
		 struct buf *out);

/* One file name, not `.` or `..`, without '/', NUL and LF, at most MDNAME_MAX octets. */
bool mdname_valid(struct span name);

#endif
