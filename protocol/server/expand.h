/*
 * expand: variables in settings, in Dovecot's syntax: `%u` the user's name, `%n` its
 * part before the @, `%d` the part after it, `%h` the home, `%%`; modifiers between:
 * `L` `U` lower and upper case, `5` at most so many octets, `2.3` from octet 2 at most
 * 3. Also `%{user}`, `%{username}`, `%{domain}`, `%{home}` and version 2.4's filters
 * `%{user | username | lower}`. Pure.
 */
#ifndef SERVER_EXPAND_H
#define SERVER_EXPAND_H

#include "storage/base/buf.h"

struct expand_vars {
	struct span user; /* whole name */
	struct span home; /* empty: not known; a template that wants it fails */
};

/* NULL when expand() would understand it, else what is wrong (static). */
const char *expand_check(struct span template);

/*
 * Expand into *out (its ceiling counts). 0, or -1: EINVAL template, ENOENT it
 * wants a home and there is none, ENOMEM, EMSGSIZE.
 */
int expand(struct span template, const struct expand_vars *, struct buf *out);

/* A path: expand, then `~` or `~/` at its beginning is the home. */
int expand_path(struct span template, const struct expand_vars *, struct buf *out);

#endif
