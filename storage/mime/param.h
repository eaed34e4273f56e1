/*
 * param: values of the fields that describe a body part: a token or two, then parameters
 * (RFC 2045 section 5.1, RFC 2183, RFC 2231). Continuations are joined; a value that names
 * a charset stays percent-encoded and keeps its `*` in the name, as BODYSTRUCTURE of
 * Dovecot has it.
 *
 * Values are raw and still folded; what is found is copied to the arena. All: 0, or -1 when
 * the arena is full or out of memory. A value that is broken is no failure: what could be
 * read of it stays.
 */
#ifndef MIME_PARAM_H
#define MIME_PARAM_H

#include "storage/base/arena.h"

enum { PARAM_MAX = 128 }; /* parameters of one field; more are not looked at */

struct param {
	struct param *next;
	struct span name, value;
};

/* `text/plain; charset=x`. type.p is NULL when there is no type to be seen. */
struct content_type {
	struct span type, subtype; /* as written */
	struct param *params;
};
int param_content_type(struct span value, struct arena *, struct content_type *);

/* `attachment; filename=x` */
int param_disposition(struct span value, struct arena *, struct span *,
                      struct param **);

/* The token of Content-Transfer-Encoding. */
int param_encoding(struct span value, struct arena *, struct span *);

/* The tags of Content-Language: params without values. */
int param_languages(struct span value, struct arena *, struct param **);

/* The value of the parameter `name`, without case; p NULL: there is none. */
struct span param_find(const struct param *, struct span name);

#endif
