/* subsfile: a store's file of subscriptions, read as a whole and written anew under its lock. */
#ifndef STORAGE_SUBSFILE_H
#define STORAGE_SUBSFILE_H

#include <stdbool.h>

#include "storage/subscriptions.h"

struct store;

struct subsfile {
	const char
	    *name; /* in the top directory; NAME.mailtree-tmp is ours under the lock */
	char sep;  /* between the levels of version 1 */
	bool as_top; /* a new one gets the mode of the top directory, else 0600 */
	unsigned lock_ms;
};

/* Into an empty list, to be freed; no file is an empty one. */
int subsfile_read(struct store *, const struct subsfile *, struct subscriptions *);

/* Durable; logged when it fails. `name` as the list has it. */
int subsfile_change(struct store *, const struct subsfile *, struct span name, bool on);

#endif
