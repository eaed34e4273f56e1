/*
 * lex: the words of structured header fields (RFC 5322 section 3.2 with the obsolete forms,
 * RFC 2045 section 5.1), from a value that is still folded. Lenient: octets from 128 on are
 * letters; what does not end, ends with the value.
 *
 * Words are appended to the caller's buffer, unquoted and without folds. Blanks and
 * comments after a word are passed over.
 */
#ifndef MIME_LEX_H
#define MIME_LEX_H

#include "storage/base/buf.h"

enum lex_ret {
	LEX_BAD,  /* no such word here, or it did not end */
	LEX_END,  /* done, and so is the value */
	LEX_MORE, /* done; *p is the next octet */
};

struct lex { /* {.p, .end} is ready */
	const char *p, *end;
	struct buf *comment; /* gets the last comment's text; may be NULL */
	bool nomem;          /* some of it is missing */
};

static inline bool
lex_at(const struct lex *l, char c)
{
	return l->p < l->end && *l->p == c;
}

/* Append to a buffer, or set nomem. */
void lex_add(struct lex *, struct buf *, struct span);

bool lex_atext(char); /* of an atom */

enum lex_ret lex_blanks(struct lex *); /* blanks, folds, comments */
enum lex_ret lex_atom(struct lex *, struct buf *);
enum lex_ret lex_dot_atom(struct lex *,
                          struct buf *); /* blanks around dots are dropped */
enum lex_ret lex_quoted(struct lex *, struct buf *); /* at a `"` */
enum lex_ret lex_phrase(struct lex *, struct buf *); /* words, one space between */
enum lex_ret lex_domain(struct lex *, struct buf *); /* at the `@` before it */
enum lex_ret lex_token(struct lex *, struct buf *);  /* of MIME; it may be empty */

#endif
