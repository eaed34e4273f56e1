/*
 * entry: what the kernel is told about a file of the tree: node id, attributes and how
 * long it may believe them. The attributes of a message follow from the message alone,
 * so that they are the same after a change of flags, a restart, on another machine.
 */
#ifndef FS_ENTRY_H
#define FS_ENTRY_H

#include "fs/fs.h"

#define ENTRY_DIR_MODE	   (S_IFDIR | 0700)
#define ENTRY_MESSAGE_MODE (S_IFREG | 0600) /* 0400 would make rm ask */

/* Inode number of a thing of a mailbox: low is the lower half of its node id. */
ino_t entry_inode(const struct mt_header *, uint32_t low);

/* Directories go by their path, so that listing them does not load each mailbox. `user`
 * is "" in a mount of one user. 0: ENOMEM. */
ino_t entry_path_inode(const char *user, const char *path);
ino_t entry_dir_inode(struct fs *, struct box *);

int entry_dir(struct fs *, struct box *, struct fuse_entry_param *);
void entry_root(struct fs *, struct fuse_entry_param *); /* of many users */

/* `h` saves looking it up for each of many; a size that is not known yet is 0 and
 * believed for no time. */
void entry_message(struct box *, const struct mt_header *h, const struct mt_record *,
		   struct fuse_entry_param *);

/* STATE, HIDDEN, NEW, EVENTS, CTL, CACHE, LOCK, WIRE, INDEX. */
void entry_hidden(struct box *, enum node_kind, struct fuse_entry_param *);

#endif
