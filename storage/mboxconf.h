/*
 * mboxconf: the settings of mboxes, by the names and in the words that Dovecot has for them.
 * They are of the whole process, and set before any store is opened.
 */
#ifndef STORAGE_MBOXCONF_H
#define STORAGE_MBOXCONF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "storage/base/span.h"

enum mbox_lock_kind {
	MBOX_LOCK_NONE,
	MBOX_LOCK_DOTLOCK,
	MBOX_LOCK_DOTLOCK_TRY, /* done without where it cannot be made */
	MBOX_LOCK_FCNTL,
	MBOX_LOCK_FLOCK,
	MBOX_LOCK_LOCKF, /* on Linux the same lock as fcntl's */
};

#define MBOXCONF_NLOCK 3 /* dotlock, fcntl, flock: each once at most */

struct mboxconf {
	enum mbox_lock_kind read[MBOXCONF_NLOCK], write[MBOXCONF_NLOCK]; /* in order */
	unsigned lock_timeout_s;   /* for all locks of a change together */
	unsigned dotlock_change_s; /* after which an unchanged dotlock is stale */
	uint64_t min_index_size;   /* of the file; a smaller one gets no index file */
	bool dirty_syncs;       /* a file that grew is looked at from its end first */
	gid_t privileged_group; /* for dotlocks of an INBOX elsewhere; -1: the spool
	                               directory's own */
};

extern struct mboxconf mboxconf; /* has the defaults; then read only */

/* NULL; or why not (static): the name is none, or the value none of its. */
const char *mboxconf_set(struct mboxconf *, struct span name, struct span value);

#endif
