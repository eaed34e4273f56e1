/* mounts: which of the mounts of this process are ours, from /proc/self/mountinfo. */
#ifndef COMMAND_MOUNTS_H
#define COMMAND_MOUNTS_H

#include <limits.h>
#include <stdbool.h>

#define MOUNTS_FSTYPE "fuse.mailtree"

/*
 * The real path of `path`, which may be a mount point whose daemon is dead or hangs:
 * it is not asked. 0 or -1 with errno.
 */
int mounts_path(const char *path, char out[static PATH_MAX]);

/* Is the mount on top at exactly this real path ours? 1, 0: no mount or not ours, -1. */
int mounts_at(const char *path);

/*
 * The mount point that holds `path` (real): into point, and whether it is ours. 0, or
 * -1 with errno.
 */
int mounts_holder(const char *path, char point[static PATH_MAX], bool *ours);

#endif
