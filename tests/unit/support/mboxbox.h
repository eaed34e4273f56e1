/*
 * mboxbox: a store of mboxes in a scratch directory, opened, for tests of what lies between.
 * Any failure of its own fails the test.
 */
#ifndef TESTS_MBOXBOX_H
#define TESTS_MBOXBOX_H

#include "storage/store.h"

struct mboxbox {
	char scratch[64]; /* scratch/mail is the store, scratch/index the index_path */
	struct env *env;
	struct store *store;
	struct box *inbox;
	int top; /* scratch/mail; the INBOX is its `inbox` */
};

/* With that INBOX (empty: there is none), opened. */
void mboxbox_make(struct mboxbox *, struct span inbox);
void mboxbox_remove(struct mboxbox *); /* closes too */
void mboxbox_open(struct mboxbox *);
/* The same, but nobody has looked into the INBOX. */
void mboxbox_open_store(struct mboxbox *);
/* Is there a journal of a change that was cut off? */
bool mboxbox_is_unfinished(const struct mboxbox *);
void mboxbox_close(struct mboxbox *);

void mboxbox_put(struct mboxbox *, const char *name,
                 struct span octets); /* writes the file */
/* As an MDA does, under the lock of the file: nobody looks while it is half written. */
void mboxbox_append(struct mboxbox *, const char *name, struct span octets);
void mboxbox_add(struct mboxbox *, const char *name,
                 struct span octets); /* at its end */
/* The whole file, for the length of the test program or the next call. */
struct span mboxbox_get(struct mboxbox *, const char *name);

uint32_t mboxbox_deliver(struct box *, struct span octets);

#endif
