/* ctl_private: what the files that run commands (ctl_run.c, ctl_boxes.c) share. */
#ifndef FS_CTL_PRIVATE_H
#define FS_CTL_PRIVATE_H

#include "fs/ctl.h"
#include "fs/fs.h"

#define RANGES_MOST 360 /* of at most 22 octets each, twice in one answer */
#define LINES_MOST  (CTL_TEXT_MAX - 64) /* leaves room for the status line */

struct run {
	fuse_req_t req;
	struct fs *fs;
	struct box *box;
	struct ctl cmd;
	struct buf *reply;
	const char *why; /* what to say about a failure, when strerror is not enough */
	uint32_t more;   /* 0: all was done */
	size_t npicked;  /* messages in the part of the set that is worked on */
};

static inline int
ctl_fail(struct run *r, int err, const char *why)
{
	r->why = why;
	errno = err;
	return -1;
}

/* What has that path from the user's directory on, as a reference. ENOENT. */
int ctl_find_box(struct run *, struct span path, struct box **);

/* Commands on mailboxes as a whole. */
int ctl_mailboxes(struct run *);
int ctl_create(struct run *);
int ctl_delete(struct run *);
int ctl_rename(struct run *);
int ctl_subscribe(struct run *); /* and unsubscribe */

#endif
