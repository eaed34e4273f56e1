/*
 * notify: all that the kernel is told without having asked. Two threads: one follows
 * the mailboxes that somebody has open (pages of wire and index, attributes, pollers,
 * parked reads), one takes names away, which waits while somebody works in that
 * directory and so must not hold up the others. Neither answers requests that hold a
 * lock in the kernel, so waiting for the kernel is safe there and only there.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

#include "fs/fs.h"

struct notify;

int notify_open(struct fs *, struct notify **); /* starts the threads */
void notify_close(struct notify *);		/* ends them; before rooms_close */

/* Make the kernel forget a name of a directory. From any thread, after the reply. */
void notify_name(struct notify *, fuse_ino_t dir, const char *name);

#endif
