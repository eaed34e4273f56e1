/*
 * confscan: the syntax of a configuration file, and nothing of its meaning: bytes in,
 * items out. Pure; owns no descriptor. The language is Dovecot's:
 *
 *	key = value                # a comment
 *	key = "a \"quoted\" value, # and all"
 *	key = first part \
 *	      second part
 *	name { ... }      name argument { ... }      name "an argument" { ... }
 *	!include /etc/mailtree/conf.d/?*.conf        !include_try local.conf
 *
 * A block may lie on one line, `service x { inet_listener y { port = 110 } }`. Inside
 * one that has something behind its `{`, a value ends before a `}` that it did not open
 * itself, or where the next `name =` or `name {` begins.
 */
#ifndef SERVER_CONFSCAN_H
#define SERVER_CONFSCAN_H

#include <stdint.h>

#include "storage/base/buf.h"

#define CONFSCAN_LINE_MAX 65536 /* octets of a line with its continuations */
#define CONFSCAN_CUTS_MAX 256   /* lines that may continue one another */

enum confscan_ev {
	CONFSCAN_SET,         /* name = value */
	CONFSCAN_OPEN,        /* name [value] { */
	CONFSCAN_CLOSE,       /* } */
	CONFSCAN_INCLUDE,     /* value: a path, perhaps with wildcards */
	CONFSCAN_INCLUDE_TRY, /* the same, and its absence is no mistake */
	CONFSCAN_BAD,         /* why says what is wrong; go on calling */
	CONFSCAN_END,
};

struct confscan_item {
	struct span name;  /* borrowed until the next call */
	struct span value; /* likewise; without quotes and escapes */
	bool quoted;       /* the value stood in quotes: `<`, `$` are just characters */
	bool doubtful;     /* a `#` without a blank before it began the comment */
	unsigned line;     /* from 1 */
	unsigned col;      /* octet in the line, from 1 */
	const char *why;   /* BAD: what is wrong and how to mend it */
};

/* Where a logical line continues: text at `at` comes from this physical line. */
struct confscan_cut {
	size_t at;
	unsigned line, col;
};

struct confscan {
	struct span rest; /* the caller's; set it before the first call */
	/* private from here, zero at the start */
	unsigned line;   /* physical lines taken so far */
	struct buf text; /* the logical line */
	size_t at;       /* how much of it is done */
	unsigned depth;  /* blocks that are open */
	uint64_t loose;  /* bit n: something followed the { of block n on its line */
	struct confscan_cut cut[CONFSCAN_CUTS_MAX];
	size_t ncut;
	bool doubtful;
	struct buf value; /* an unescaped value */
};

enum confscan_ev confscan_next(struct confscan *, struct confscan_item *);
void confscan_free(struct confscan *);

#endif
