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

/* The client, as mailtree-login, which is not trusted, describes it. */
struct authdb_peer {
	struct span protocol; /* pop3 or imap: PAM's service for those who want it so */
	struct span local, remote; /* addresses */
	struct span certificate;   /* whose it is; empty: none was shown */
	bool secured;              /* TLS is on */
};

/*
 * Is this the password of that user? Then who is it: passdbs, then userdbs. `as`: whom the
 * user wants to act for, empty for nobody else; a master user may.
 */
enum authdb_is authdb_check(const struct config *, struct span user, struct span as,
                            struct span password, const struct authdb_peer *,
                            struct authdb_user *);

/* What proves a password without being told it. */
struct authdb_secret {
	bool real; /* else invented: nothing proves it, and nobody sees that */
	unsigned
	    form; /* of enum mech: `text` is that mechanism's own; 0: the password */
	char text[1024];
};

/*
 * What `mech` compares with for that user; an invented secret for nobody, which looks like
 * the others. -1: cannot tell now.
 */
int authdb_secret(const struct config *, struct span user, unsigned mech,
                  struct authdb_secret *);

/* Who it is, when a mechanism has proved it by authdb_secret(). */
enum authdb_is authdb_proved(const struct config *, struct span user,
                             struct authdb_user *);

/*
 * Who it is when a certificate or nothing proves it: no passdb must know the user, but one that
 * denies it, or has it with a restriction (nologin, allow_nets), keeps it out.
 */
enum authdb_is authdb_trusted(const struct config *, struct span user,
                              struct authdb_user *);

/* The record of a user whom nobody asked a password of; the name as it is written. */
enum authdb_is authdb_find(const struct config *, struct span user,
                           struct authdb_user *);

/*
 * The names that can be listed cheaply, a blank between them, as many as fit into `out`:
 * those of passwd-files. -1: out of memory.
 */
int authdb_names(const struct config *, struct buf *out);

void authdb_user_free(struct authdb_user *);

#endif
