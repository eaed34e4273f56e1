/*
 * shellvars: files of variables that a shell would read, such as Courier's: bytes in,
 * assignments out. Nothing is ever run. Pure; owns no descriptor.
 *
 *	NAME=value  # a comment
 *	NAME="with $OTHER and ${OTHER}"   NAME='as it is'   export NAME=value
 */
#ifndef SERVER_SHELLVARS_H
#define SERVER_SHELLVARS_H

#include <stdint.h>

#include "storage/base/buf.h"

#define SHELLVARS_VALUE_MAX    16384     /* octets of a value */
#define SHELLVARS_MAX          1000      /* variables of a file */
#define SHELLVARS_EXPANDED_MAX (4 << 20) /* octets of all values that `$` brought in */

enum shellvars_ev {
	SHELLVARS_SET, /* name = value, which later `$name` mean */
	SHELLVARS_BAD, /* why says what is wrong; go on calling */
	SHELLVARS_END,
};

struct shellvars_item {
	struct span name, value; /* borrowed until the next call */
	unsigned line;           /* from 1; where the assignment begins */
	const char *why;         /* BAD */
};

struct shellvar {
	char *name, *value; /* owned; value holds no NUL */
	unsigned line;      /* of the last assignment */
};

struct shellvars {
	struct span rest; /* the caller's; set it before the first call */
	struct shellvar *var;
	size_t n;
	/* private from here, zero at the start */
	unsigned line; /* lines that are done */
	size_t expanded;
	struct buf value;
};

enum shellvars_ev shellvars_next(struct shellvars *, struct shellvars_item *);
/* The variable as it is now, or NULL. */
const struct shellvar *shellvars_get(const struct shellvars *, struct span name);
void shellvars_free(struct shellvars *);

#endif
