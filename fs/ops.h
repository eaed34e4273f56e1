/*
 * ops: the requests of the kernel, by file. Each function answers its request exactly
 * once (or parks it); ops.c has the tables that lead here. The node that an operation is
 * about is already decoded, and is of the kind that the table says.
 */
#ifndef FS_OPS_H
#define FS_OPS_H

#include "fs/draft.h"
#include "storage/base/span.h"

/* What can be done with an open file, by the kind of its node. */
struct file_ops {
	void (*open)(fuse_req_t, struct node, struct fuse_file_info *);
	void (*read)(fuse_req_t, struct node, size_t, off_t, struct fuse_file_info *);
	void (*write)(fuse_req_t, struct node, struct span, off_t, struct fuse_file_info *);
	void (*release)(fuse_req_t, struct node, struct fuse_file_info *);
};

extern const struct file_ops message_ops, state_ops, wire_ops, index_ops, events_ops,
	ctl_ops, cache_ops, lock_ops, draft_ops;

extern const struct fuse_lowlevel_ops fs_ops; /* the table for libfuse */

/* tree.c: names and attributes */
void tree_lookup(fuse_req_t, fuse_ino_t parent, const char *name);
void tree_getattr(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void tree_statfs(fuse_req_t, fuse_ino_t);
int tree_attributes(struct fs *, struct node, struct fuse_entry_param *); /* of any node */

/* setattr.c */
void tree_setattr(fuse_req_t, fuse_ino_t, struct stat *, int to_set,
		  struct fuse_file_info *);

/* verbs.c: names come and go */
void verb_mkdir(fuse_req_t, fuse_ino_t parent, const char *name, mode_t);
void verb_rmdir(fuse_req_t, fuse_ino_t parent, const char *name);
void verb_unlink(fuse_req_t, fuse_ino_t parent, const char *name);
void verb_create(fuse_req_t, fuse_ino_t parent, const char *name, mode_t,
		 struct fuse_file_info *);

/* rename.c */
void verb_rename(fuse_req_t, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		 const char *newname, unsigned flags);

/* dir.c */
void dir_open(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void dir_read(fuse_req_t, fuse_ino_t, size_t, off_t, struct fuse_file_info *);
void dir_read_plus(fuse_req_t, fuse_ino_t, size_t, off_t, struct fuse_file_info *);
void dir_release(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
/* Open a directory whose names are those of `names` (each ended by a NUL, taken over):
 * the root of many users. */
void dir_open_names(fuse_req_t, struct fuse_file_info *, struct buf *names);

/* written.c: drafts as open files */
void written_flush(fuse_req_t, struct node);
void written_fsync(fuse_req_t, struct node);
void file_drop_message(struct fs *, void *message); /* file.c: for handle_put */
void file_forget_kept(void); /* file.c: messages that a mount without open keeps */

int written_truncate(struct fs *, struct draft *, uint64_t size);
void written_reserve(fuse_req_t, struct node, int mode, off_t off, off_t length);

/* events.c, ctl_run.c */
void events_poll(fuse_req_t, struct node, struct fuse_file_info *, struct fuse_pollhandle *);
void ctl_ioctl(fuse_req_t, struct node, unsigned cmd, struct fuse_file_info *,
	       unsigned flags, struct span in, size_t out_size);

#endif
