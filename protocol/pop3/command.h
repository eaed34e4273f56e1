/*
 * command: one POP3 command line (RFC 2449 section 3) cut into verb and argument, and
 * what a row of a command table says about the argument. Knows no verb itself.
 */
#ifndef POP3_COMMAND_H
#define POP3_COMMAND_H

#include "storage/base/span.h"

/* 255 octets with CR LF (RFC 2449 section 4); the room for a line needs no LF. */
enum { COMMAND_MAX = 254 };

enum arity {
	ARG_NONE,  /* blanks at most */
	ARG_MAYBE, /* trimmed; may be empty */
	ARG_MUST,  /* trimmed, not empty */
	ARG_REST, /* everything after the first blank, as it is, not empty (passwords) */
};

/*
 * Cut `line` (without CR LF) at its first blank. False when it holds a NUL, CR or LF:
 * no verb, no argument, nobody's terminator.
 */
bool command_cut(struct span line, struct span *verb, struct span *arg);

/* Bring *arg into the form that the arity promises; false when it cannot be. */
bool command_arg(enum arity, struct span *arg);

#endif
