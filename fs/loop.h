/*
 * loop: threads that read requests and answer them. One reads at a time, so that the
 * order of requests is known where it matters: a RELEASE that was read before another
 * request of the same mailbox is done before it. There is always a thread left to read,
 * up to a ceiling, whatever the others wait for.
 */
#ifndef FS_LOOP_H
#define FS_LOOP_H

#include <signal.h>

#include "fs/fs.h"

/* Sent to the process when the last thread ends; whoever starts the loop blocks it. */
#define LOOP_ENDED SIGUSR2

struct loop;

int loop_open(struct fs *, struct loop **);
int loop_start(struct loop *); /* the first thread; the others follow by themselves */

/* All threads have ended: the session was unmounted, or loop_stop. False: not within
 * timeout_ms. */
bool loop_wait(struct loop *, int timeout_ms);
void loop_stop(struct loop *);	/* end without waiting for the kernel */
void loop_close(struct loop *); /* after loop_wait said so */

#endif
