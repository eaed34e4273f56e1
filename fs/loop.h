/*
 * loop: threads that read requests and answer them. One leads: it reads, and answers what
 * is answered at once itself; before it waits for anything it hands over, and a watchdog
 * takes over from one that takes long all the same. So there is always a thread that
 * reads, up to a ceiling, whatever the others wait for; and requests are read one after
 * the other, so that a RELEASE that was read before another request of the same mailbox
 * is done before it.
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

/*
 * Called by a thread that answers a request, before it may have to wait (a disk, a lock
 * that is held over disk accesses, somebody else): another thread reads meanwhile. Cheap
 * when done already; nothing in other threads.
 */
void loop_yield(void);

/* All threads have ended: the session was unmounted, or loop_stop. False: not within
 * timeout_ms. */
bool loop_wait(struct loop *, int timeout_ms);
void loop_stop(struct loop *);	/* end without waiting for the kernel */
void loop_close(struct loop *); /* after loop_wait said so */

#endif
