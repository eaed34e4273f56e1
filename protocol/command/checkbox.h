/*
 * checkbox: one mailbox of a mount, verified from outside: the index against the names,
 * the files, `wire` and `.mailbox`. A mailbox that changes meanwhile is looked at again.
 */
#ifndef COMMAND_CHECKBOX_H
#define COMMAND_CHECKBOX_H

#include <stdbool.h>
#include <stdint.h>

struct check {
	uint64_t violations, messages, mailboxes;
	bool progress; /* a line on stderr that says how far it is */
};

/* One violation: a line on stdout. */
void check_say(struct check *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Verify the mailbox at `path`. -1 with errno when it could not be looked at. */
int checkbox(struct check *, const char *path);

#endif
