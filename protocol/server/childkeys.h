/*
 * childkeys: how mailtree-login is given what tlskeys has read: as an open file, like the
 * settings (childconf), which nobody can change any more.
 */
#ifndef SERVER_CHILDKEYS_H
#define SERVER_CHILDKEYS_H

#include "protocol/server/tlskeys.h"

/* An open memfd with the octets of tlskeys_print(), which are wiped. -1 errno. */
int childkeys_make(struct buf *octets);

/* Those octets are not wanted after all. {0} is fine. */
void childkeys_wipe(struct buf *octets);

/* Read them and close it. The child exits with a message when they are none. */
void childkeys_read(struct tlskeys *, int fd, const char *program);

#endif
