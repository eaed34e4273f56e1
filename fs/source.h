/* source: the store of a mount of one user, and where its index lies. */
#ifndef FS_SOURCE_H
#define FS_SOURCE_H

#include "storage/store.h"

/*
 * Open the store at `location`. A daemon of root's shows somebody else's files with
 * their owner's rights, not its own. `name` is for the log.
 */
int source_open(struct env *, const char *location, const char *name, bool readonly,
		struct store **);

/*
 * The index directory: `given`, or below $XDG_CACHE_HOME/mailtree, ~/.cache/mailtree or
 * (root) /var/lib/mailtree one folder per source, since each serves one daemon. Parents
 * are made. Caller frees; NULL with errno.
 */
char *source_index_path(const char *given, const char *location);

/* For many users: all of them in one. */
char *source_index_root(const char *given);

#endif
