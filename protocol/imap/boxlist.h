/*
 * boxlist: every mailbox as clients call it, in one pass over what the daemon lists, with
 * the levels above that are no mailboxes. Parents come before what is below them.
 */
#ifndef IMAP_BOXLIST_H
#define IMAP_BOXLIST_H

#include "protocol/imap/imap.h"

#define BOXLIST_TOP SIZE_MAX /* no parent */

struct boxnode {
	struct span text; /* the client's name, UTF-8 */
	struct span path; /* in the tree; empty: only a level of names */
	size_t parent;    /* index, or BOXLIST_TOP */
	bool exists;
	bool leaf; /* nothing can lie below it */
	bool subscribed;
	bool children; /* something below exists */
	unsigned use;  /* enum view_use: stored, or configured */
};

struct boxlist { /* all memory is the arena's */
	struct boxnode *node;
	size_t n, cap;
};

/* -1 errno. *list must be empty before. */
int boxlist_take(struct imap *, struct boxlist *list);

#endif
