/*
 * username: which names of users are allowed at all, wherever they come from: a client,
 * a password file, a lookup of the mount. A name becomes a directory of the mount, part
 * of paths and a field of messages.
 */
#ifndef SERVER_USERNAME_H
#define SERVER_USERNAME_H

#include "storage/base/span.h"

#define USERNAME_MAX 255 /* octets: what a directory entry holds */

/*
 * 1 to 255 octets, no control character, blank or slash; neither the name nor its domain
 * begins with a dot, so that neither can lead upwards in a path.
 */
bool username_valid(struct span);

#endif
