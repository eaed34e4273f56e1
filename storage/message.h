/* message: opening and reading stored messages as wire bytes. Private to storage/. */
#ifndef STORAGE_MESSAGE_H
#define STORAGE_MESSAGE_H

#include "storage/box_private.h"

/*
 * Open the file of a live message (or, with `any`, of a held one). ENOENT when it is gone
 * for good: renames of the moment are waited out by syncing the mailbox. io and lock not
 * held. The caller closes src->fd.
 */
int message_source(struct box *, uint32_t uid, bool any, struct mt_record *, struct source *);

/* n stored octets at off of the message, all or -1. EIO: the file is shorter now; ESTALE: it
 * holds other messages too and was changed: ask message_source again. */
int source_read(const struct source *, uint64_t off, void *, size_t n);

/* Does the file still have the size that was counted? A change of content shows there. */
bool source_matches(const struct source *, const struct mt_record *);

/* As message_open for a row that may be held. */
int message_open_row(struct box *, uint32_t uid, struct message **);

/* Whether it keeps its box alive, as it does at first. By someone with a reference. */
void message_hold_box(struct message *, bool);

void wire_forget(struct box *); /* closes what is kept open for `wire` */

#endif
