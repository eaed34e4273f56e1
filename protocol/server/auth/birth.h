/* birth: a child of mailtree-auth that has one socket and nothing else of its parent's. */
#ifndef AUTH_BIRTH_H
#define AUTH_BIRTH_H

#include <sys/types.h>

#define BIRTH_SOCKET 3 /* where the child has its end */

/*
 * Fork. The parent: the child's pid, and *sock, its own end (close-on-exec, the caller closes
 * it); -1 errno. The child, which dies with its parent: 0, and no descriptor above
 * BIRTH_SOCKET.
 */
pid_t birth(int *sock);

#endif
