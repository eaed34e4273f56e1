/*
 * fs: the daemon's state, shared by all files of this folder. One struct fs per
 * process; set up by main before the first request, constant afterwards but for what
 * each module keeps behind its own lock.
 *
 * Lock order: a draft's own lock; drafts' table; rooms; the kernel is told things
 * (notify) with none of them held and never by the thread that answers a request.
 * storage/ is called with at most a draft's own lock held.
 */
#ifndef FS_FS_H
#define FS_FS_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <errno.h>

#include "fs/handle.h"
#include "fs/node.h"
#include "storage/base/log.h"
#include "storage/store.h"

struct fs {
	struct fuse_session *session;
	struct env *env;
	struct store *store; /* one user's; NULL when there are many */
	struct box *top;     /* one user's directory: the mount's root; NULL likewise */
	struct users *users; /* NULL when there is one */
	struct handles *handles;
	struct rooms *rooms;
	struct drafts *drafts;
	struct notify *notify;
	struct loop *loop;
	uid_t uid; /* who owns the root when there are many users */
	gid_t gid;
	int index_dir; /* statfs of the root is its */
	int64_t started;
	bool readonly; /* -o ro: no open, no ctl, no events, nothing written */
	bool xattr;
	bool detached; /* taken out of the tree while it was in use */
	_Atomic bool orphan; /* the server is gone: another one wants the mount point now */
};

/* How long the kernel may believe what it was told, in seconds. A name together with the
 * age of the look at the store that it came from stays below the promised second. */
#define FS_NAME_TIMEOUT	     0.7
#define FS_DIR_TIMEOUT	     1.0
#define FS_IMMUTABLE_TIMEOUT 3600.0

static inline struct fs *
fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The node behind an id: the one user's root is a DIR. */
struct node fs_node(const struct fs *, fuse_ino_t);

/* The id of a directory of the tree. */
fuse_ino_t fs_dir_ino(const struct fs *, const struct box *);

/*
 * errno, for an answer about a node: what is gone is ESTALE there, never ENOENT, since the
 * kernel then looks up the name again. Right after a rename it still takes the name for the
 * message that was moved away, and another one may have it now.
 */
static inline int
fs_node_error(int err)
{
	return err == ENOENT ? ESTALE : err;
}

/* The mailbox that a node belongs to, as a reference; NULL with ESTALE. */
struct box *fs_box(struct fs *, struct node);

/*
 * Take in what others changed in the store. Without `now`, what was looked at less
 * than a moment ago is believed.
 */
int fs_refresh(struct fs *, struct box *, bool now);

/* Room for the answer of one request: this thread's, until it asks again. ENOMEM. */
char *fs_scratch(size_t);

int64_t fs_now_ms(void); /* monotonic */

#endif
