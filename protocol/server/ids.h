/* ids: becoming a user, once and for good, in a child that has just been forked. */
#ifndef SERVER_IDS_H
#define SERVER_IDS_H

#include "protocol/server/msg.h"

/*
 * Groups, gid and uid of the record, real, effective and saved; then verified: there is
 * no way back. When we are not root, the uid must be ours already. 0, or -1 errno.
 */
int ids_become(const struct record *);

#endif
