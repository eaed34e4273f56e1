/*
 * wait: requests that wait for sizes to be counted. They wait in short pieces, so that
 * an interrupted one ends, and only so many at once that there are always threads left
 * for the others.
 */
#ifndef FS_WAIT_H
#define FS_WAIT_H

#include "fs/fs.h"

/* 1: the sizes of all messages of the set are known; 0: not within timeout_ms, or too
 * many wait already; -1: EINTR, or an error of the store. */
int wait_sizes(fuse_req_t, struct box *, const struct numset *, int timeout_ms);

#endif
