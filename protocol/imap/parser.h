/*
 * parser: octets of a client to IMAP commands (RFC 9051 section 9, 2.2; RFC 7888 LITERAL+
 * and LITERAL-, RFC 3516 literal8). Pure: it owns no descriptor, and gives the same result
 * however the octets were cut. Used before login with small ceilings and after it.
 *
 *	for (;;) switch (parser_push(&p, &in)) {
 *	case PARSER_MORE:	read more octets
 *	case PARSER_LITERAL:	parser_accept(), parser_stream() or parser_refuse()
 *	case PARSER_OCTETS:	take p.octets
 *	case PARSER_COMMAND:	run p.cmd; then parser_next()
 *	case PARSER_BAD:	answer `BAD p.why` under p.cmd.tag (`*` when it is empty); then
 *				parser_next()
 *	case PARSER_FATAL:	answer `* BYE p.why`, close
 *	}
 */
#ifndef IMAP_PARSER_H
#define IMAP_PARSER_H

#include <stdint.h>

#include "protocol/imap/args.h"
#include "storage/base/arena.h"

/* What an outsider can push against; set before the first push. */
struct parser_limits {
	size_t line;   /* octets of one command without its literals' octets */
	size_t memory; /* octets of literals that are held, all of a command together */
	size_t nonsync; /* octets of a `{n+}` literal that is refused and swallowed;
			   more is FATAL */
	unsigned depth; /* lists within lists */
	unsigned args;  /* arguments of one command, those in lists too */
};

enum { PARSER_TAG_MAX = 64 }; /* octets of a tag */

enum parser_ev {
	PARSER_MORE,
	PARSER_LITERAL, /* p.literal; nothing more is taken until the caller has decided */
	PARSER_OCTETS, /* of a streamed literal: p.octets, borrowed from `in`, never empty;
			   BAD may come before all of them have */
	PARSER_COMMAND,
	PARSER_BAD, /* the rest of the command, its CRLF too, has been swallowed */
	PARSER_FATAL,
};

struct parser {
	struct parser_limits limits;
	struct arena *arena; /* borrowed: arguments; the caller resets it */
	struct command cmd;  /* as far as it has come; whole at COMMAND */
	const char *why;     /* BAD, FATAL: static text */
	struct span octets;  /* OCTETS */
	struct parser_literal {
		uint64_t size;
		bool sync; /* the client waits for `+ ` */
		bool literal8;
		unsigned depth; /* 0: an argument of the command itself */
		unsigned index; /* of the argument, or the one it is in, in the command,
		                   from 0; those before it are in cmd.args already */
	} literal;
	/* private from here on */
	struct parser_state *state; /* in the arena */
};

void parser_init(struct parser *, const struct parser_limits *, struct arena *);

/* Consume octets of *in. */
enum parser_ev parser_push(struct parser *, struct span *in);

/*
 * Answers to LITERAL. The caller sends the continuation for a synchronising one. accept
 * holds it in memory: false (with p.why) when that is too much: then it has been refused.
 * A refused one: the next push gives BAD with `why` (static), after a non-synchronising
 * literal and the rest of the command have been swallowed; nothing is swallowed of one
 * that waits.
 */
bool parser_accept(struct parser *);
void parser_stream(struct parser *);
void parser_refuse(struct parser *, const char *why);

/* Could all of these octets be in a tag? */
bool parser_tag_chars(struct span);

/* The caller has answered the command and reset the arena: on with the next one. */
void parser_next(struct parser *);

#endif
