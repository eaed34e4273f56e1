/*
 * expand: variables in settings, in Dovecot's syntax: `%u` the user's name, `%n` its
 * part before the @, `%d` the part after it, `%h` the home, `%%`; and `%{user}`,
 * `%{username}`, `%{domain}`, `%{home}`.
 *
 * Between the percent sign and the letter or brace: first a width, `5` at most so many
 * octets, `05` at least so many, filled up with zeros, `2.3` from octet 2 at most 3, `-2.1`
 * the offset from the end, `0.-1` all but the last; then what the text goes through, in
 * this order: `L` `U` lower and upper case, `R` reversed, `T` without blanks at the end, `E`
 * with \ before quotes and \, `D` with ,dc= for dots, `X` a number in hexadecimal, `M` its
 * MD5, `H` and `N` 32 bits of a hash, hexadecimal; of these the width is a modulus and the
 * offset a width: `%2.256Nu`.
 *
 * Version 2.4's filters: `%{user | username | lower}`, domain, upper, reverse, ldap_dn,
 * substr(offset, octets), truncate(octets), default(text), and md5, sha1, sha256 or sha512
 * with hexlify behind it. Pure.
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
