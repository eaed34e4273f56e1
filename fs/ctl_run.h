/* ctl_run: do what a command of ctl.h says. */
#ifndef FS_CTL_RUN_H
#define FS_CTL_RUN_H

#include "fs/fs.h"

/*
 * Run one command on a mailbox. `reply` (its ceiling CTL_TEXT_MAX, emptied first) gets
 * data lines and the status line; 0 for `ok` and `more`, else the errno of the error
 * line. `req` is only asked whether it was interrupted.
 */
int ctl_run(fuse_req_t req, struct box *, struct span text, struct buf *reply);

#endif
