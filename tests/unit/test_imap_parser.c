/* parser: IMAP commands as trees, at every cut, against a guard page. */
#include <stdlib.h>

#include "protocol/imap/parser.h"
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static const struct parser_limits small = {
    .line = 100, .memory = 20, .nonsync = 30, .depth = 3, .args = 12};

/* ---- what was parsed, as text -------------------------------------------------------- */

static void
show_text(struct buf *b, char open, struct span s, char close)
{
	(void)buf_addc(b, open);
	(void)buf_add(b, s);
	(void)buf_addc(b, close);
}

/* Atoms bare, "quoted", {literal}, ~{literal8}, $ a stream, (lists), text[section]tail. */
static void
show_args(struct buf *b, const struct arg *a)
{
	for (; a != NULL; a = a->next) {
		(void)buf_addc(b, ' ');
		if (a->literal8)
			(void)buf_addc(b, '~');
		switch (a->type) {
		case ARG_ATOM:
			(void)buf_add(b, a->text);
			break;
		case ARG_QUOTED:
			show_text(b, '"', a->text, '"');
			break;
		case ARG_LITERAL:
			show_text(b, '{', a->text, '}');
			break;
		case ARG_STREAM:
			(void)buf_addc(b, '$');
			break;
		case ARG_LIST:
			(void)buf_addc(b, '(');
			show_args(b, a->child);
			(void)buf_add(b, SPAN(" )"));
		}
		if (a->has_section) {
			(void)buf_addc(b, '[');
			show_args(b, a->child);
			show_text(b, ']', a->tail, '.');
		}
	}
}

static void
show_command(struct buf *b, const struct command *c)
{
	show_text(b, '<', c->tag, '|');
	if (c->uid)
		(void)buf_add(b, SPAN("uid+"));
	(void)buf_add(b, c->name);
	show_args(b, c->args);
	(void)buf_add(b, SPAN(">"));
}

static void
show_literal(struct buf *b, const struct parser *p)
{
	(void)buf_addf(b, "?%llu%s%s", (unsigned long long)p->literal.size,
	               p->literal.sync ? "s" : "", p->literal.literal8 ? "8" : "");
	(void)buf_addf(b, "@%u.%u", p->literal.depth, p->literal.index);
}

/* APPEND is streamed, NO is refused, the rest is held. */
static void
decide(struct buf *b, struct parser *p)
{
	show_literal(b, p);
	if (span_caseeq(p->cmd.name, SPAN("APPEND")))
		parser_stream(p);
	else if (span_caseeq(p->cmd.name, SPAN("NO")))
		parser_refuse(p, "no");
	else
		(void)parser_accept(p);
}

/* One event. False: it was the last. */
static bool
act(struct buf *b, struct parser *p, enum parser_ev ev)
{
	switch (ev) {
	case PARSER_MORE:
		return true;
	case PARSER_LITERAL:
		decide(b, p);
		return true;
	case PARSER_OCTETS:
		check_true(p->octets.n > 0, "octets");
		(void)buf_add(b, p->octets);
		return true;
	case PARSER_COMMAND:
		show_command(b, &p->cmd);
		break;
	case PARSER_BAD:
		show_text(b, '!', p->cmd.tag, ':');
		show_text(b, ' ', span_of(p->why), '.');
		break;
	case PARSER_FATAL:
		show_text(b, '!', SPAN("BYE"), ':');
		show_text(b, ' ', span_of(p->why), '.');
		return false;
	}
	arena_reset(p->arena);
	parser_next(p);
	return true;
}

/* Parse, pushed in a piece of `first` octets and others of `step`; what comes into *b. */
static void
parse(const struct parser_limits *l, struct span in, size_t first, size_t step,
      struct buf *b)
{
	struct arena arena = {0};
	struct parser p;
	bool on = true;
	size_t n = first;

	parser_init(&p, l, &arena);
	while (on && in.n > 0) {
		struct span piece = guarded((struct span){in.p, in.n < n ? in.n : n});
		enum parser_ev ev;

		in = span_from(in, piece.n);
		n = step;
		do {
			ev = parser_push(&p, &piece);
			on = act(b, &p, ev);
		} while (on && ev != PARSER_MORE);
		check_true(!on || piece.n == 0, "all is taken");
	}
	arena_free(&arena);
	guard_free_all();
}

/* ---- tables ---------------------------------------------------------------------------- */

static const struct {
	const char *in, *want;
} row[] = {
    {"", ""},
    {"a NOOP\r\n", "<a|NOOP>"},
    {"a NOOP\n", "<a|NOOP>"},
    {"a noop \r\nb NOOP\r\n", "<a|noop><b|NOOP>"},
    {"a NO", ""},
    {"A]1.x-/ X\r\n", "<A]1.x-/|X>"},
    {"\r\n", "!: Empty command."},
    {"\na NOOP\n", "!: Empty command.<a|NOOP>"},
    {"a\r\n", "!a: Missing command."},
    {"a \r\n", "!a: Missing command."},
    {"a UID\r\na UID \r\n", "!a: Missing command.!a: Missing command."},
    {"a  NOOP\r\n", "!a: Missing command."},
    {"a UID FETCH 1 FLAGS\r\n", "<a|uid+FETCH 1 FLAGS>"},
    {"a uid uid\r\n", "<a|uid+uid>"},
    {" NOOP\r\n+ X\r\n(a X\r\n\"a\" X\r\n",
     "!: Invalid tag.!: Invalid tag.!: Invalid tag."
     "!: Invalid tag."},
    {"a+ X\r\na* X\r\na% X\r\na\\ X\r\na\x7f X\r\n\xe4 X\r\n",
     "!: Invalid tag.!: Invalid tag.!: Invalid tag.!: Invalid tag.!: Invalid tag.!: "
     "Invalid "
     "tag."},
    {"a N(\r\na \"N\" x\r\na (\r\na\tN\r\n",
     "!a: Invalid command name.!a: Invalid command name.!a: Invalid command name."
     "!: Invalid tag."},
    {"a X\rY\r\nb X\r\r\n", "!a: CR without LF.!b: CR without LF."},
    /* atoms */
    {"a X \\Seen * % ] $ 1:*,3 a[b]<c> NIL ~ ~x -+&\r\n",
     "<a|X \\Seen * % ] $ 1:*,3 a[b]<c> NIL ~ ~x -+&>"},
    {"a X  y   z  \r\n", "<a|X y z>"},
    {"a X y\xc3\xa4\r\n", "!a: Invalid character in atom."},
    {"a X y\tz\r\na X y\"z\"\r\na X y(z)\r\na X y{3}\r\n",
     "!a: Invalid character in atom.!a: Invalid character in atom."
     "!a: Invalid character in atom.!a: Invalid character in atom."},
    {"a X \x01\r\n", "!a: Invalid character in atom."},
    /* quoted strings */
    {"a X \"\" \"b c\" \"\\\"\\\\\" \"\xc3\xa4\t{3}\"\r\n",
     "<a|X \"\" \"b c\" \"\"\\\" \"\xc3\xa4\t{3}\">"},
    {"a X \"b\r\nb X\r\n", "!a: Invalid character in quoted string.<b|X>"},
    {"a X \"b\\n\"\r\nb X \"\\\r\n",
     "!a: Invalid escape in quoted string.!b: Invalid escape in quoted string."},
    {"a X \"b\"c\r\na X \"b\"(c)\r\na X \"b\"\"c\"\r\n",
     "!a: Missing space between arguments.!a: Missing space between arguments."
     "!a: Missing space between arguments."},
    /* lists */
    {"a X () (a) (a (b \"c\") ()) x\r\n", "<a|X ( ) ( a ) ( a ( b \"c\" ) ( ) ) x>"},
    {"a X ( a  b )\r\n", "<a|X ( a b )>"},
    {"a X (\r\na X (a\r\na X (a (b)\r\n", "!a: Missing ).!a: Missing ).!a: Missing )."},
    {"a X )\r\na X a)\r\na X (a))\r\n",
     "!a: Unexpected ).!a: Unexpected ).!a: Unexpected )."},
    {"a X (((a)))\r\na X ((((a))))\r\n",
     "<a|X ( ( ( a ) ) )>!a: Too many lists within lists."},
    {"a X (a)b\r\na X (a)(b)\r\n",
     "!a: Missing space between arguments.!a: Missing space between arguments."},
    {"a X 1 2 3 4 5 6 7 8 9 10 11 12\r\na X 1 2 3 4 5 6 7 8 9 10 11 12 13\r\n",
     "<a|X 1 2 3 4 5 6 7 8 9 10 11 12>!a: Too many arguments."},
    {"a X () (1 2 3 4 5 (6 7 8) () (9))\r\n", "!a: Too many arguments."},
    /* sections */
    {"a FETCH 1 BODY[]\r\n", "<a|FETCH 1 BODY[].>"},
    {"a fetch 1 (BODY.PEEK[1.2.HEADER.FIELDS (From \"To\" {2+}\r\nCc)]<0.100> "
     "FLAGS)\r\n",
     "?2@3.1<a|fetch 1 ( BODY.PEEK[ 1.2.HEADER.FIELDS ( From \"To\" {Cc} )]<0.100>. "
     "FLAGS )>"},
    {"a UID FETCH 1 (BINARY.SIZE[1.2] BODY[TEXT])\r\n",
     "<a|uid+FETCH 1 ( BINARY.SIZE[ 1.2]. BODY[ TEXT]. )>"},
    {"a FETCH 1 BODY[H (a]b c[d)]\r\n", "<a|FETCH 1 BODY[ H ( a]b c[d )].>"},
    {"a FETCH 1 BODY[a[b]<0>]\r\n", "<a|FETCH 1 BODY[ a[b]<0>].>"},
    {"a FETCH 1 BODY[ a ]\r\n", "<a|FETCH 1 BODY[ a].>"},
    {"a FETCH 1 BODY[]<0.1>[2] X[3]\r\n", "<a|FETCH 1 BODY[]<0.1>[2]. X[ 3].>"},
    {"a FETCH 1 BODY[\r\na FETCH 1 (BODY[)\r\na FETCH 1 BODY[(])\r\n",
     "!a: Missing ].!a: Unexpected ).!a: Missing ]."},
    {"a FETCH 1 BODY[a](b)\r\na FETCH 1 BODY[\"a\"\"\r\n",
     "!a: Invalid character in atom.!a: Missing space between arguments."},
    {"a SEARCH BODY[a]\r\n", "<a|SEARCH BODY[a]>"},
    /* literals */
    {"a X {3}\r\nabc\r\n", "?3s@0.0<a|X {abc}>"},
    {"a X {3+}\nabc\n", "?3@0.0<a|X {abc}>"},
    {"a X b {0}\r\n\r\n", "?0s@0.1<a|X b {}>"},
    {"a X {0+}\r\n {0+}\r\n\r\n", "?0@0.0?0@0.1<a|X {} {}>"},
    {"a X ~{3+}\r\nabc ({2}\r\n\r\n c) d\r\n",
     "?38@0.0?2s@1.1<a|X ~{abc} ( {\r\n} c ) d>"},
    {"a X {003}\r\nabc\r\n", "?3s@0.0<a|X {abc}>"},
    {"a X {3}\r\nabcd\r\n", "?3s@0.0!a: Missing space between arguments."},
    {"a X {}\r\na X {+}\r\na X {x}\r\na X {1 }\r\na X {1}x\r\na X {-1}\r\na X "
     "{1++}\r\n",
     "!a: Invalid literal.!a: Invalid literal.!a: Invalid literal.!a: Invalid literal."
     "!a: Invalid literal.!a: Invalid literal.!a: Invalid literal."},
    {"a X {\r\na X {1\r\na X {1}\r\r\n",
     "!a: Invalid literal.!a: Invalid literal.!a: Invalid literal."},
    {"a X {20+}\r\n01234567890123456789 {1}\r\nb X\r\n",
     "?20@0.0?1s@0.1!a: Literal too large.<b|X>"},
    {"a X {21}\r\nb X\r\n", "?21s@0.0!a: Literal too large.<b|X>"},
    {"a X {21+}\r\n012345678901234567890 y {2+}\r\nab z\r\nb X\r\n",
     "?21@0.0!a: Literal too large.<b|X>"},
    {"a X {31+}\r\n", "?31@0.0!BYE: Literal too large."},
    {"a X {4294967296}\r\nb X\r\n", "?4294967296s@0.0!a: Literal too large.<b|X>"},
    {"a X {9223372036854775808}\r\nb X\r\n", "!a: Literal too large.<b|X>"},
    {"a X {18446744073709551617}\r\nb X\r\n", "!a: Literal too large.<b|X>"},
    {"a X {184467440737095516160000000000}\r\nb X\r\n", "!a: Literal too large.<b|X>"},
    {"a X {18446744073709551617+}\r\nb X\r\n", "!BYE: Literal too large."},
    {"a NO {3}\r\nb X\r\n", "?3s@0.0!a: no.<b|X>"},
    {"a NO {3+}\r\nb X {2+}\r\nc  d {3}\r\nb X\r\n", "?3@0.0!a: no.<b|X>"},
    {"a APPEND b {5}\r\nabc\r\n\r\n", "?5s@0.1abc\r\n<a|APPEND b $>"},
    {"a APPEND b {2+}\r\nab (x) ~{2+}\r\ncd\r\n",
     "?2@0.1ab?28@0.3cd<a|APPEND b $ ( x ) ~$>"},
    {"a APPEND b UTF8 (~{2+}\r\nab)\r\n", "?28@1.2ab<a|APPEND b UTF8 ( ~$ )>"},
    {"a APPEND b {0}\r\n\r\n", "?0s@0.1<a|APPEND b $>"},
    {"a APPEND b {1}\r\nab\r\nc X\r\n",
     "?1s@0.1a!a: Missing space between arguments.<c|X>"},
    /* what is swallowed with a command that is bad */
    {"a X ) {3+}\r\n\r\nx {1+}\r\ny\r\nb X\r\n", "!a: Unexpected ).<b|X>"},
    {"a X ) {3}\r\nb X\r\n", "!a: Unexpected ).<b|X>"},
    {"a X ) {3+} \r\nb X\r\n", "!a: Unexpected ).<b|X>"},
    {"a X ) {{3+}\nabc{2+\nb X\r\n", "!a: Unexpected ).<b|X>"},
    {"a X ){31+}\r\n", "!BYE: Literal too large."},
    {"a X y{2+}\r\nb \r\nb X\r\n", "!a: Invalid character in atom.<b|X>"},
    {"a X {2{2+}\r\nb \r\nb X\r\n", "!a: Invalid literal.<b|X>"},
    {"a\tX {2+}\r\nb \r\nb X\r\n", "!: Invalid tag.<b|X>"},
    /* ceilings, to the octet */
    {"0123456789012345678901234567890123456789012345678901234567890123 X\r\n",
     "<0123456789012345678901234567890123456789012345678901234567890123|X>"},
    {"01234567890123456789012345678901234567890123456789012345678901234 X\r\nb X\r\n",
     "!: Tag too long.<b|X>"},
    {"a X "
     "456789012345678901234567890123456789012345678901234567890123456789012345678901234"
     "56"
     "78901234567\r\n",
     "<a|X "
     "456789012345678901234567890123456789012345678901234567890123456789012345678901234"
     "56"
     "78901234567>"},
    {"a X "
     "456789012345678901234567890123456789012345678901234567890123456789012345678901234"
     "56"
     "789012345678\r\n",
     "!a: Command too long."},
    {"a X "
     "456789012345678901234567890123456789012345678901234567890123456789012345678901234"
     "56"
     "7 {3+}\r\nabc \"d\"\r\nb X\r\n",
     "?3@0.1!a: Command too long.<b|X>"},
    {"a X "
     "456789012345678901234567890123456789012345678901234567890123456789012345678901234"
     "56"
     "78901234567 {3+}\r\nabc \"d\"\r\nb X\r\n",
     "!a: Command too long.<b|X>"},
};

static void
same_however_cut(void **state)
{
	struct buf got = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++) {
			parse(&small, span_of(row[i].in), step, step, &got);
			check_span(buf_span(&got), span_of(row[i].want),
			           "row %zu, step %zu", i, step);
			buf_reset(&got);
		}
	buf_free(&got);
}

static void
same_in_two_pieces(void **state)
{
	struct buf got = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t at = 0; at <= strlen(row[i].in); at++) {
			parse(&small, span_of(row[i].in), at, SIZE_MAX, &got);
			check_span(buf_span(&got), span_of(row[i].want),
			           "row %zu, cut at %zu", i, at);
			buf_reset(&got);
		}
	buf_free(&got);
}

static void
nul_is_an_octet(void **state)
{
	static const struct {
		struct span in, want;
	} nul[] = {
	    {SPAN("a X ~{3}\r\na\0b\r\n"), SPAN("?3s8@0.0<a|X ~{a\0b}>")},
	    {SPAN("a X {3}\r\na\0b c\r\nb X\r\n"),
	     SPAN("?3s@0.0!a: NUL in a literal that is no literal8.<b|X>")},
	    {SPAN("a X {3+}\r\na\n\0 {2+}\r\n\0\nc\r\nb X\r\n"),
	     SPAN("?3@0.0!a: NUL in a literal that is no literal8.<b|X>")},
	    {SPAN("a APPEND b {4}\r\nab\0d\r\nb X\r\n"),
	     SPAN("?4s@0.1ab\0d<a|APPEND b $><b|X>")},
	    {SPAN("a APPEND b ~{4}\r\nab\0d\r\n"),
	     SPAN("?4s8@0.1ab\0d<a|APPEND b ~$>")},
	    {SPAN("a X \"a\0b\"\r\n"), SPAN("!a: Invalid character in quoted string.")},
	    {SPAN("a X a\0b\r\n"), SPAN("!a: Invalid character in atom.")},
	    {SPAN("a\0 X\r\n"), SPAN("!: Invalid tag.")},
	    {SPAN("a X\0\r\n"), SPAN("!a: Invalid command name.")},
	};
	struct buf got = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nul); i++)
		for (size_t step = 1; step <= nul[i].in.n; step++) {
			parse(&small, nul[i].in, step, step, &got);
			check_span(buf_span(&got), nul[i].want, "row %zu, step %zu", i,
			           step);
			buf_reset(&got);
		}
	buf_free(&got);
}

/* ---- what it costs --------------------------------------------------------------------- */

static const struct parser_limits large = {
    .line = 131072, .memory = 1 << 20, .nonsync = 1 << 20, .depth = 64, .args = 32768};

/* 10^6 of `c`, 4096 at a time. The most that the arena held, in octets. */
static size_t
flood(struct parser *p, const char *before, char c)
{
	char piece[4096];
	struct span in = span_of(before);
	size_t most = 0;

	memset(piece, c, sizeof piece);
	check_num(parser_push(p, &in), PARSER_MORE, "before");
	for (size_t i = 0; i < 1000000 / sizeof piece; i++) {
		in = (struct span){piece, sizeof piece};
		check_num(parser_push(p, &in), PARSER_MORE, "'%c', piece %zu", c, i);
		check_num(in.n, 0, "'%c', piece %zu", c, i);
		if (p->arena->used > most)
			most = p->arena->used;
	}
	return most;
}

static void
a_flood_is_bounded(void **state)
{
	static const struct {
		const char *before;
		char c;
	} floods[] = {
	    {"a X ", '('}, {"a X ", '{'},     {"a X ", 'x'}, {"a X \"", 'x'},
	    {"a X ", '"'}, {"", 'x'},         {"", '('},     {"a ", 'x'},
	    {"a X ", ' '}, {"a FETCH ", '['},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
		struct arena arena = {0};
		struct parser p;
		struct span in = SPAN("\r\n");
		size_t most;

		parser_init(&p, &large, &arena);
		most = flood(&p, floods[i].before, floods[i].c);
		check_true(most < 4 * large.line, "flood %zu: %zu octets", i, most);
		check_num(parser_push(&p, &in), PARSER_BAD, "flood %zu", i);
		arena_free(&arena);
	}
}

/* The arena grows with what has come, not with what was announced. */
static void
an_announcement_costs_nothing(void **state)
{
	struct arena arena = {0};
	struct parser p;
	struct span in = SPAN("a X {1000000+}\r\n");

	(void)state;
	parser_init(&p, &large, &arena);
	in.n = 0;
	check_num(parser_push(&p, &in), PARSER_MORE, "silence");
	check_num(arena.used, 0, "silence");
	in = SPAN("a X {1000000+}\r\n");
	check_num(parser_push(&p, &in), PARSER_LITERAL, "announced");
	check_true(parser_accept(&p), "accepted");
	check_true(arena.used < 2048, "%zu octets", arena.used);
	arena_free(&arena);
}

static void
many_literals_are_one_sum(void **state)
{
	struct arena arena = {0};
	struct parser p;
	struct span in = SPAN("a X");
	char text[70000];

	(void)state;
	memset(text, 'x', sizeof text);
	memcpy(text, " {65536+}\r\n", 11);
	parser_init(&p, &large, &arena);
	check_num(parser_push(&p, &in), PARSER_MORE, "begin");
	for (unsigned i = 0; i < 17; i++) {
		in = (struct span){text, 11 + 65536};
		check_num(parser_push(&p, &in), PARSER_LITERAL, "literal %u", i);
		check_num(p.literal.index, i, "literal %u", i);
		check_true(parser_accept(&p) == (i < 16), "literal %u", i);
		check_num(parser_push(&p, &in), PARSER_MORE, "literal %u", i);
	}
	check_true(arena.used < 5 << 20, "%zu octets", arena.used);
	in = SPAN("\r\n");
	check_num(parser_push(&p, &in), PARSER_BAD, "sum");
	check_span(span_of(p.why), SPAN("Literal too large"), "why");
	arena_free(&arena);
}

static void
a_full_arena_is_bad(void **state)
{
	static const char in[] =
	    "a FETCH 1 (BODY[X ({3+}\r\nabc)]<1> \"ab\" ~ ~{3+}\r\nabc)\r\n"
	    "b NOOP\r\n";
	unsigned whole = 0;

	(void)state;
	for (size_t max = 16; max < 4096; max += 16) {
		struct arena arena = {.max = max};
		struct parser p;
		struct span rest = span_of(in);
		struct buf got = {0};
		bool on = true;

		parser_init(&p, &small, &arena);
		while (on && rest.n > 0)
			on = act(&got, &p, parser_push(&p, &rest));
		if (!on)
			check_mem(got.p, got.n, "!BYE: Out of memory.", "max %zu", max);
		else
			check_true(memmem(got.p, got.n, "<b|NOOP>", 8) != NULL ||
			               memmem(got.p, got.n, "!b: Comm", 8) != NULL,
			           "max %zu: %.*s", max, (int)got.n, got.p);
		whole += got.n > 0 && memmem(got.p, got.n, "<a|FETCH", 8) != NULL;
		buf_free(&got);
		arena_free(&arena);
	}
	check_true(whole > 0 && whole < 250, "%u of them had room", whole);
}

/* Nothing more is taken before the caller has decided, or has run the command. */
static void
waits_for_the_caller(void **state)
{
	struct arena arena = {0};
	struct parser p;
	struct span in = SPAN("a X {1+}\r\nb\r\nc Y\r\n");

	(void)state;
	parser_init(&p, &small, &arena);
	for (int i = 0; i < 2; i++)
		check_num(parser_push(&p, &in), PARSER_LITERAL, "literal");
	check_span(in, SPAN("b\r\nc Y\r\n"), "literal");
	check_span(p.cmd.name, SPAN("X"), "what is known already");
	check_true(p.cmd.args == NULL, "what is known already");
	check_true(parser_accept(&p), "accept");
	for (int i = 0; i < 2; i++)
		check_num(parser_push(&p, &in), PARSER_COMMAND, "command");
	check_span(in, SPAN("c Y\r\n"), "command");
	arena_reset(&arena);
	parser_next(&p);
	check_num(parser_push(&p, &in), PARSER_COMMAND, "next command");
	check_span(p.cmd.tag, SPAN("c"), "next command");
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut),
	    cmocka_unit_test(same_in_two_pieces),
	    cmocka_unit_test(nul_is_an_octet),
	    cmocka_unit_test(a_flood_is_bounded),
	    cmocka_unit_test(an_announcement_costs_nothing),
	    cmocka_unit_test(many_literals_are_one_sum),
	    cmocka_unit_test(a_full_arena_is_bad),
	    cmocka_unit_test(waits_for_the_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
