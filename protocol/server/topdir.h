/*
 * topdir: the top directory of a user's store, opened as that user. It may lie on
 * a file system that does not answer, or be whatever the user made of it.
 */
#ifndef SERVER_TOPDIR_H
#define SERVER_TOPDIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "protocol/server/msg.h"

/*
 * Become the user, then open the top directory of r->location: the Maildir, or the folders
 * of mboxes, made when they are not there and their parent is; of an mbox without folders,
 * or where the path is that of a file (*lone is set), the directory that it lies in. The home may be reached through symlinks (the admin's), what
 * lies below it may not (the user's). Refused: a directory that is not the user's
 * (EPERM), or on device `mount` (EDEADLK), which is our own mount. The descriptor, or -1
 * errno. To be called in a child: the ids do not come back.
 */
int topdir_open(const struct record *, dev_t mount, bool *lone);

#endif
