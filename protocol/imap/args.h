/*
 * args: the arguments of one IMAP command as a tree (RFC 9051 section 9). All memory is
 * the arena's in which the command was parsed, and goes with its tagged reply.
 */
#ifndef IMAP_ARGS_H
#define IMAP_ARGS_H

#include "storage/base/span.h"

enum arg_type {
	ARG_ATOM,    /* also numbers, sequence sets, flags (`\Seen`), NIL, LIST patterns */
	ARG_QUOTED,  /* text is unescaped */
	ARG_LITERAL, /* held in memory */
	ARG_STREAM,  /* a literal whose octets went past as PARSER_OCTETS; text is empty */
	ARG_LIST,
};

struct arg {
	enum arg_type type;
	bool literal8;	   /* LITERAL, STREAM: `~{n}` */
	bool has_section;  /* ATOM: `text[child...]tail`, in FETCH only: `BODY.PEEK`, then
			      `HEADER.FIELDS` and a list, then `<0.100>` */
	struct span text;  /* ATOM, QUOTED, LITERAL. Holds no NUL but in a literal8 */
	struct span tail;  /* ATOM with a section: what follows the `]`, perhaps empty */
	struct arg *child; /* LIST, section: the first inside, or NULL */
	struct arg *next;
};

struct command {
	struct span tag;
	struct span name; /* as typed; `UID FETCH` is name FETCH with uid set */
	bool uid;
	const struct arg *args; /* NULL: none */
};

static inline bool
arg_is_string(const struct arg *a) /* string of the grammar */
{
	return a != NULL && (a->type == ARG_QUOTED || a->type == ARG_LITERAL);
}

static inline bool
arg_is_astring(const struct arg *a) /* atom or string: names of mailboxes and the like */
{
	return a != NULL && !a->has_section && (a->type == ARG_ATOM || arg_is_string(a));
}

static inline bool
arg_is_atom(const struct arg *a, const char *word) /* that atom, in whatever case */
{
	return a != NULL && a->type == ARG_ATOM && !a->has_section &&
	       span_caseeq(a->text, span_of(word));
}

static inline bool
arg_is_nil(const struct arg *a)
{
	return arg_is_atom(a, "NIL");
}

#endif
