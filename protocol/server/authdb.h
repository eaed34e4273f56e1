/*
 * authdb: the password and user databases of a configuration, asked in their order.
 * Every call may block (files, PAM, name services), so only workers of mailtree-auth
 * make them. What goes wrong is logged here; the password never is.
 */
#ifndef SERVER_AUTHDB_H
#define SERVER_AUTHDB_H

#include "protocol/server/config.h"
#include "protocol/server/msg.h"
#include "protocol/server/username.h"

enum authdb_is {
	AUTHDB_FOUND,
	AUTHDB_NOBODY, /* no such user; or the password is wrong */
	AUTHDB_FAILED, /* cannot tell now, or the user's record cannot be used */
};

/* A user's record with the room that it points into. {0} at the start; reusable. */
struct authdb_user {
	struct record record;
	char name[USERNAME_MAX + 1];
	struct buf groups, home, location;
};

/*
 * Is this the password of that user? Then who is it: passdbs, then userdbs. `protocol` is
 * pop3 or imap: the name of PAM's service for those who want it so.
 */
enum authdb_is authdb_check(const struct config *, struct span user,
                            struct span password, struct span address,
                            struct span protocol, struct authdb_user *);

/* The record of a user whom nobody asked a password of; the name as it is written. */
enum authdb_is authdb_find(const struct config *, struct span user,
                           struct authdb_user *);

/*
 * The names that can be listed cheaply, a blank between them, as many as fit into `out`:
 * those of passwd-files. -1: out of memory.
 */
int authdb_names(const struct config *, struct buf *out);

void authdb_user_free(struct authdb_user *);

/* pam.c: ask PAM's `service`. */
enum authdb_is authdb_pam(const char *service, const char *user, struct span password,
                          struct span address);

#endif
