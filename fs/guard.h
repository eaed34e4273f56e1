/*
 * guard: a small process beside the daemon, which sees to it that a daemon that dies takes
 * its mount's requests with it (everybody gets ENOTCONN, or ECONNABORTED at first).
 *
 * As a rule the kernel does that: with the last thread goes the last descriptor of
 * /dev/fuse. But a thread that tells the kernel to forget a name or a page may wait in the
 * kernel for a lock that somebody's request holds, where it cannot be killed, while that
 * request waits for an answer: for ever, once the other threads are dead. Then the guard
 * aborts the connection; as root, or where /sys/fs/fuse/connections is mounted.
 */
#ifndef FS_GUARD_H
#define FS_GUARD_H

#include <sys/types.h>

/* Begins to guard the mount that is at `point`; by the main thread. 0 when it cannot. */
pid_t guard_start(const char *point);
void guard_end(pid_t); /* of a mount that is gone; 0: nothing to do */

#define GUARD_OPTION "--guard=" /* this process is the guard: the rest is for guard_run */
int guard_run(const char *arg);

#endif
