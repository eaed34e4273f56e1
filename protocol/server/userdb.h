/*
 * userdb: the user databases, and the record that they and the settings make of a user.
 * Blocks. authdb.h knows when they are asked.
 */
#ifndef SERVER_USERDB_H
#define SERVER_USERDB_H

#include "protocol/server/passdb.h"

/*
 * The record of u->name; `from`: what the passdb said of the user. Failures are logged.
 */
enum authdb_is userdb_find(const struct config *, struct authdb_user *u,
                           const struct passdb_found *from);

#endif
