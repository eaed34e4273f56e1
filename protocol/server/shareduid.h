/*
 * shareduid: users that have one uid are kept apart by the kernel's Landlock, from version 6 on
 * also their signals, which a filter of system calls does as well. Where that is missing, who
 * shares a uid is found out here, so that such users are let in only when the configuration
 * says so.
 */
#ifndef SERVER_SHAREDUID_H
#define SERVER_SHAREDUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHAREDUID_MAX                                                                  \
	65536 /* uids that are remembered; beyond them all count as shared */

struct shareduid {
	struct shareduid_row *row; /* private */
	size_t n;
};

/* Does this machine keep users of one uid apart? */
bool shareduid_kept_apart(void);

/* Remember whose uid that is. True: it is, or may be, another user's too. */
bool shareduid_seen(struct shareduid *, uint32_t uid, const char *user);

void shareduid_free(struct shareduid *);

#endif
