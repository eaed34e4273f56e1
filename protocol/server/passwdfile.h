/*
 * passwdfile: password files in Dovecot's format, a line per user:
 *
 *	user:password:uid:gid:gecos:home:shell:extra fields
 *
 * The password may begin with {SCHEME}; fields from the right may be missing. Extra
 * fields are `name=value` words; those that the userdb gives begin with `userdb_`.
 * Empty lines and lines that begin with # are passed over.
 */
#ifndef SERVER_PASSWDFILE_H
#define SERVER_PASSWDFILE_H

#include "storage/base/buf.h"
#include "storage/base/line.h"

#define PASSWDFILE_LINE_MAX 8192 /* octets; longer lines name nobody */

/* One line, cut into its fields. All borrowed. */
struct passwdfile_entry {
	struct span user, password, uid, gid, home, extra;
};

/* Pure. False when the line is a comment, empty, or names no valid user. */
bool passwdfile_parse(struct span line, struct passwdfile_entry *);

/* The value of extra field `name`. False when it is not there (or has no `=`: empty). */
bool passwdfile_extra(const struct passwdfile_entry *, struct span name,
                      struct span *value);

/*
 * A field by which the admin restricts this login in a way that this version does not
 * check (allow_nets, proxy, nologin, ...): such a login must be refused. NULL: none.
 */
const char *passwdfile_restriction(const struct passwdfile_entry *);

/* Reads a file line by line. {.fd = an open file} is ready. */
struct passwdfile {
	int fd; /* the caller's */
	/* private, zero at the start */
	struct line line;
	char text[PASSWDFILE_LINE_MAX];
	char room[16384];
	struct span in;
	bool ended;
};

/* The next entry (borrowed until the next call): 1; 0 at the end, -1 errno. */
int passwdfile_next(struct passwdfile *, struct passwdfile_entry *);

/* The entry of `user` (the first counts): 1; 0 when there is none, -1 errno. */
int passwdfile_find(struct passwdfile *, struct span user, struct passwdfile_entry *);

/*
 * `text` with the password of `user` replaced by `hash`, or a line for the user added
 * at the end; every other octet stays. `hash` holds no colon and no LF. 0, or -1 errno.
 */
int passwdfile_set(struct span text, struct span user, struct span hash,
                   struct buf *out);

#endif
