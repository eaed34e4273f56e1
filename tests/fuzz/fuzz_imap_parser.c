/*
 * fuzz_imap_parser: octets as IMAP commands. The first octet chooses how the rest is cut,
 * the second what becomes of literals. Held: the same commands however the input is cut;
 * ceilings; no argument holds what its kind cannot; the tree is a tree.
 */
#include "protocol/imap/parser.h"
#include "tests/fuzz/fuzz.h"

static const struct parser_limits limits = {
    .line = 300, .memory = 100, .nonsync = 50, .depth = 5, .args = 20};

static struct span
take_literal(const struct arg *a)
{
	if (!a->literal8)
		REQUIRE(memchr(a->text.p, '\0', a->text.n) == NULL);
	return a->text;
}

static void
check_text(const struct arg *a)
{
	REQUIRE(a->text.p != NULL);
	for (size_t i = 0; i < a->text.n; i++) {
		unsigned char c = (unsigned char)a->text.p[i];

		if (a->type == ARG_ATOM)
			REQUIRE(c > ' ' && c < 0x7f && strchr("(){\"", c) == NULL);
		else
			REQUIRE(c != '\0' && c != '\r' && c != '\n');
	}
}

/* What an argument is, appended to *all; what is in it comes next. */
static void
check_arg(const struct arg *a, size_t *held, struct buf *all)
{
	switch (a->type) {
	case ARG_ATOM:
		REQUIRE(a->text.n > 0 || a->has_section);
		/* fall through */
	case ARG_QUOTED:
		check_text(a);
		break;
	case ARG_LITERAL:
		*held += take_literal(a).n;
		break;
	case ARG_STREAM:
		REQUIRE(a->text.n == 0);
		break;
	case ARG_LIST:
		REQUIRE(a->text.n == 0 && !a->literal8);
	}
	REQUIRE(!a->has_section || (a->type == ARG_ATOM && a->tail.p != NULL));
	REQUIRE(a->child == NULL || a->type == ARG_LIST || a->has_section);
	(void)buf_addf(all, "%d%d%zu:", a->type, a->has_section, a->text.n);
	(void)buf_add(all, a->text);
	if (a->has_section)
		(void)buf_add(all, a->tail);
}

/* limits.depth bounds the stack. */
static void
check_args(const struct arg *a, unsigned depth, unsigned *n, size_t *held,
           struct buf *all)
{
	REQUIRE(depth <= limits.depth);
	for (; a != NULL; a = a->next) {
		REQUIRE(++*n <= limits.args);
		check_arg(a, held, all);
		check_args(a->child, depth + 1, n, held, all);
		(void)buf_addc(all, '|');
	}
}

static void
check_command(const struct parser *p, struct buf *all)
{
	unsigned n = 0;
	size_t held = 0;

	REQUIRE(p->cmd.tag.n > 0 && p->cmd.tag.n <= 64 && p->cmd.name.n > 0);
	REQUIRE(p->why == NULL);
	(void)buf_add(all, p->cmd.tag);
	(void)buf_addc(all, p->cmd.uid ? '+' : ' ');
	(void)buf_add(all, p->cmd.name);
	check_args(p->cmd.args, 0, &n, &held, all);
	REQUIRE(held <= limits.memory);
}

static void
decide(struct parser *p, unsigned mode)
{
	REQUIRE(p->literal.size <= INT64_MAX && p->literal.depth <= limits.depth);
	switch ((mode + p->literal.index) % 3) {
	case 0:
		(void)parser_accept(p);
		break;
	case 1:
		parser_stream(p);
		break;
	case 2:
		parser_refuse(p, "refused");
	}
}

/* False: the connection is over. */
static bool
act(struct parser *p, enum parser_ev ev, unsigned mode, struct buf *all)
{
	switch (ev) {
	case PARSER_MORE:
		return true;
	case PARSER_LITERAL:
		decide(p, mode);
		return true;
	case PARSER_OCTETS:
		REQUIRE(p->octets.n > 0);
		(void)buf_add(all, p->octets);
		return true;
	case PARSER_COMMAND:
		check_command(p, all);
		break;
	case PARSER_BAD:
	case PARSER_FATAL:
		REQUIRE(p->why != NULL);
		(void)buf_addf(all, "!%d %s", ev, p->why);
		if (ev == PARSER_FATAL)
			return false;
	}
	REQUIRE(p->arena->used < 32768);
	arena_reset(p->arena);
	parser_next(p);
	(void)buf_addc(all, '\n');
	return true;
}

static void
run(struct span in, size_t step, unsigned mode, struct buf *all)
{
	struct arena arena = {0};
	struct parser p;
	bool on = true;

	parser_init(&p, &limits, &arena);
	while (on && in.n > 0) {
		struct span piece = fuzz_piece(in, step);
		enum parser_ev ev;

		in = span_from(in, piece.n);
		do
			on = act(&p, ev = parser_push(&p, &piece), mode, all);
		while (on && ev != PARSER_MORE);
		REQUIRE(!on || piece.n == 0);
	}
	arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	size_t step = fuzz_take(&in, 1, 40);
	unsigned mode = (unsigned)fuzz_take(&in, 0, 2);
	struct buf whole = {0}, cut = {0};

	run(in, in.n, mode, &whole);
	run(in, step, mode, &cut);
	REQUIRE(span_eq(buf_span(&whole), buf_span(&cut)));
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
