/*
 * worker: a process that answers one question at a time by asking the databases, which
 * may block, and keeps the state of SASL dialogues between their steps. Its parent, mailtree-auth, kills it when it takes too long.
 */
#ifndef AUTH_WORKER_H
#define AUTH_WORKER_H

#include <sys/types.h>

#include "protocol/server/config.h"

#define WORKER_DIALOGS_MAX 256 /* whose state one keeps */

/*
 * Fork one. *sock is the end to ask at (close-on-exec, the caller closes it). The child
 * never returns. -1 errno.
 */
pid_t worker_start(const struct config *, int *sock);

#endif
