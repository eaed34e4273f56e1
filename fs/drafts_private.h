/*
 * drafts_private: what the table of drafts (drafts.c) and the life of each one (draft.c)
 * share.
 */
#ifndef FS_DRAFTS_PRIVATE_H
#define FS_DRAFTS_PRIVATE_H

#include "fs/draft.h"

/* Into the table, under its name. EEXIST, ENFILE. */
int drafts_enter(struct fs *, struct draft *);

/* With d->lock held: */

/* A name that an ALIAS may not have, or any name of what is GONE, resolves no longer. */
void drafts_set_state(struct fs *, struct draft *, enum draft_state);

/* `name` is taken over. */
void drafts_set_name(struct fs *, struct draft *, struct box *to, bool in_new, char *name);

/* Out of the table once nothing can lead to it; the caller has a reference of its own. */
void drafts_leave_if_unused(struct fs *, struct draft *);

void draft_forget(struct fs *, struct draft *);
bool draft_is_deliverable(const struct draft *); /* lacks it nothing that a message needs? */
bool draft_is_append(const struct draft *);
int draft_deliver(struct fs *, struct draft *);	 /* nobody has it open; logs a failure */

/* At the end of the daemon: what was promised is delivered; where that cannot be, its file
 * stays for recovery. */
void draft_keep_promise(struct fs *, struct draft *);

#endif
