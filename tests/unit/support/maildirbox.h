/*
 * maildirbox: a Maildir in a scratch directory and the store opened on it, for tests of
 * what lies between. Any failure of its own fails the test.
 */
#ifndef TESTS_MAILDIRBOX_H
#define TESTS_MAILDIRBOX_H

#include "storage/store.h"

struct maildirbox {
	char scratch[64]; /* scratch/mail is the Maildir, scratch/index the index_path */
	struct env *env;
	struct store *store;
	struct box *inbox;
	int top; /* the Maildir */
	_Atomic unsigned woken;
};

void maildirbox_make(struct maildirbox *);   /* an empty Maildir, opened */
void maildirbox_remove(struct maildirbox *); /* closes too */
void maildirbox_open(struct maildirbox *);
void maildirbox_close(struct maildirbox *); /* as a daemon that ends in good order */

/* What an MDA does: a file written in tmp/, renamed into new/ under `name`. */
void maildirbox_drop(struct maildirbox *, const char *name, struct span octets);

/* What a client does: staged, flushed, delivered. The UID. */
uint32_t maildirbox_deliver(struct box *, struct span octets);

#endif
