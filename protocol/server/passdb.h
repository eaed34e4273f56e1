/*
 * passdb: one password database: whether a password is a user's, what is stored of it, and
 * what else the database says of the user. Blocks. authdb.h asks them in their order.
 */
#ifndef SERVER_PASSDB_H
#define SERVER_PASSDB_H

#include "protocol/server/authdb.h"

#define PASSDB_EXTRA_MAX 4096 /* octets of extra fields */

/* What is known of a user whom a database has. {0} at the start; reusable. */
struct passdb_found {
	struct buf extra; /* words `userdb_home=/x`, as in a passwd-file */
};

/* Does this database have drivers by which it can be asked without a password? */
bool passdb_has_lookup(const struct conf_db *);

/* Is it the user's password? The same time for NOBODY, whether there is the user or not. */
enum authdb_is passdb_check(const struct conf_db *, const char *user,
                            struct span password, const struct authdb_peer *,
                            struct passdb_found *);

/*
 * Is there such a user? `mech` 0: no more than that, barred or not. Else *s gets what is stored, when the
 * mechanism can use it; NOBODY when it cannot. NOBODY also fills s->text, when it is empty,
 * with some secret of the database that such an answer could have had.
 */
enum authdb_is passdb_lookup(const struct conf_db *, const char *user, unsigned mech,
                             struct authdb_secret *s, struct passdb_found *);

/*
 * FOUND: the database has that user, with a restriction that this version does not check, so
 * that nobody is let in by it, whatever has proved who it is. NOBODY: it has none.
 */
enum authdb_is passdb_barred(const struct conf_db *, const char *user);

/* pam.c: ask PAM's `service`. */
enum authdb_is authdb_pam(const char *service, const char *user, struct span password,
                          struct span address);

#endif
