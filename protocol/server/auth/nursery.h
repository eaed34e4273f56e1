/*
 * nursery: where the workers of mailtree-auth are born and ended. The process that talks to
 * mailtree-login has given up the files and system calls that PAM needs, and so could start
 * no worker that has them; this one, forked before, has them and is told nothing but to fork
 * and to kill.
 */
#ifndef AUTH_NURSERY_H
#define AUTH_NURSERY_H

#include <sys/types.h>

#include "protocol/server/config.h"

/* Start it; once in a process. 0, or -1 errno. It ends when this process does. */
int nursery_open(const struct config *);

/* A new worker (worker.h). *sock is the end to ask at; the caller closes it. -1 errno. */
pid_t nursery_worker(int *sock);

/* Kill a worker and reap it. */
void nursery_end(pid_t);

#endif
