/* mountd: mailtreed as the server runs it: one mount for all users. */
#ifndef SERVER_MOUNTD_H
#define SERVER_MOUNTD_H

#include <sys/types.h>

#include "protocol/server/config.h"

#define MOUNTD_READY_MS 45000 /* it must have mounted by then; it waits for the one before */
#define MOUNTD_LEAVE_MS 5000  /* a mount of a killed server's goes away within */
#define MOUNTD_END_MS   10000 /* and unmounted, when told to end */

struct mountd {
	pid_t pid;    /* 0: does not run */
	int users;    /* SEQPACKET socket on which it asks who a user is; -1: none */
	dev_t device; /* of the mount */
};

/*
 * Start it and wait until it has mounted. The mount point is made when it is not there;
 * what a daemon that died left there is detached. 0, or -1 after logging why.
 */
int mountd_start(struct mountd *, const struct config *);

/* It has ended by itself: detach what it left. */
void mountd_ended(struct mountd *, const struct config *);

/* Ask it to end and wait; kill it and detach the mount when it does not. */
void mountd_stop(struct mountd *, const struct config *);

#endif
