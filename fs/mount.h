/* mount: the mount point: what may be mounted where, mounting, tuning, unmounting. */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include "fs/fs.h"
#include "fs/options.h"

/*
 * May `source` (NULL: many users) be shown at `point`? 0, or -1 having said why not: the
 * point is no directory, a dead mount or one of ours, or the source lies in a mount of
 * ours, perhaps this very one.
 */
int mount_check(const char *source, const char *point);

/* The session, mounted; NULL having said what is wrong. */
struct fuse_session *mount_session(struct fs *, const struct options *, const char *point);

/* More read-ahead, where that is permitted. The loop must be running. */
void mount_tune(const char *point);

/*
 * Unmount now: 0; -1 with EBUSY when somebody uses it. `lazily`: take it out of the tree and
 * leave it to those who use it. Unlike fuse_session_unmount this leaves the device open, on
 * which threads read and answer as long as the loop runs.
 */
int mount_end(const char *point, bool lazily);

#endif
