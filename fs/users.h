/*
 * users: the root of a mount of many users. Who a name is, is asked of the server's
 * parent over a socket and answered later by a thread of its own: no request thread
 * ever waits for a user database. Packets are text:
 *
 *	to the parent	lookup ID NAME | list ID
 *	from it		user ID NAME UID GID G1,G2,...|- LOCATION, with the descriptor of
 *			the store's top directory | nouser ID | later ID
 *			names ID NAME ...
 */
#ifndef FS_USERS_H
#define FS_USERS_H

#include "fs/fs.h"

/* `sock` (SOCK_SEQPACKET) is taken over. Starts the thread. */
int users_open(struct fs *, int sock);
void users_close(struct fs *); /* after the session; closes every store */

/* Both answer the request, perhaps later. */
void users_lookup(fuse_req_t, const char *name);
void users_opendir(fuse_req_t, struct fuse_file_info *);

/* The user whose store this is; "" when there is only one. */
void users_name_of(struct fs *, const struct store *, char out[static 256]);

/* A user's directory could not be reached any more: give up requests that wait too
 * long. Called now and then. */
void users_sweep(struct fs *);

#endif
