/*
 * mailwhere: what a mail_location (or a userdb's `mail`) says: `DRIVER:PATH` and perhaps
 * `:NAME=VALUE` parts. Pure.
 */
#ifndef SERVER_MAILWHERE_H
#define SERVER_MAILWHERE_H

#include "storage/base/span.h"

struct mailwhere { /* borrows from the text */
	struct span driver, path;
	struct span inbox;   /* an mbox's INBOX elsewhere; empty: none */
	struct span refused; /* the part that cannot be had; empty: none */
	const char *why;     /* static */
	bool ignored;        /* there are parts that change nothing here */
};

/* Whether the driver is one of ours is the caller's to judge. */
void mailwhere_parse(struct span text, struct mailwhere *);

#endif
