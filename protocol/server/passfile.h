/*
 * passfile: the args of a passwd-file database and the lookup in its file: for passdbs and
 * userdbs alike.
 */
#ifndef SERVER_PASSFILE_H
#define SERVER_PASSFILE_H

#include "protocol/server/config.h"
#include "protocol/server/passwdfile.h"

/* args: `scheme=CRYPT username_format=%n /path`. All but the path is optional. */
struct passfile {
	struct span scheme, format, path;
};

void passfile_args(const struct conf_db *, struct passfile *);

/* Open the file that serves this user. -1 errno (logged). */
int passfile_open(const struct passfile *, struct span user);

/*
 * Find the user. *e points into *f. `like` (NULL: not wanted) gets some password of the
 * file, to take as long over a user who is not there. 1, 0, -1 as passwdfile_find().
 */
int passfile_find(const struct conf_db *, struct span user, struct passwdfile *f,
                  struct passwdfile_entry *e, struct passfile *a, char *like,
                  size_t cap);

#endif
