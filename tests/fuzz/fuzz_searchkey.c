/* searchkey: whatever arguments, a program that can be run, or a reason. */
#include "protocol/imap/searchkey.h"

#include "protocol/imap/parser.h"
#include "tests/fuzz/fuzz.h"

/* Values from the input, as if they were what is known of messages. */
static enum search_value
any(void *arg, size_t leaf)
{
	const struct span *in = arg;

	return in->n == 0 ? VALUE_UNKNOWN
	                  : (enum search_value)((uint8_t)in->p[leaf % in->n] % 3);
}

/* What is known already decides, or nothing else can: an unknown leaf changes no answer. */
static enum search_value
any_or_no(void *arg, size_t leaf)
{
	enum search_value v = any(arg, leaf);

	return v == VALUE_UNKNOWN ? VALUE_NO : v;
}

static void
run(const struct search *s, struct span values)
{
	enum search_value v = search_run(s, any, &values);
	enum search_value w = search_run(s, any_or_no, &values);

	REQUIRE(v <= VALUE_UNKNOWN && w != VALUE_UNKNOWN);
	REQUIRE(v == VALUE_UNKNOWN || v == w);
}

static void
take(const struct command *cmd, struct arena *arena, struct span values)
{
	const struct search_scope scope = {
	    .last_number = 7, .last_uid = 70, .now = 1000, .ranges_max = 64};
	const char *why = NULL;
	struct search s;

	if (search_parse(cmd->args, &scope, arena, &s, &why) == SEARCH_OK)
		run(&s, values);
	else
		REQUIRE(why != NULL && *why != '\0');
	search_free(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct parser_limits limits = {.line = 1 << 16,
	                                     .memory = 1 << 16,
	                                     .nonsync = 1 << 16,
	                                     .depth = 64,
	                                     .args = 8192};
	struct arena arena = {.max = 1 << 20};
	struct parser p;
	struct buf line = {0};
	struct span all = {(const char *)data, size}, in;

	REQUIRE(buf_add(&line, SPAN("a SEARCH ")) == 0 && buf_add(&line, all) == 0 &&
	        buf_add(&line, SPAN("\r\n")) == 0);
	in = buf_span(&line);
	parser_init(&p, &limits, &arena);
	for (size_t turns = 0; turns <= size + 10; turns++) {
		enum parser_ev ev = parser_push(&p, &in);

		if (ev == PARSER_LITERAL) {
			if (!parser_accept(&p))
				break;
		} else if (ev == PARSER_COMMAND)
			take(&p.cmd, &arena, all);
		if (ev != PARSER_LITERAL)
			break;
	}
	buf_free(&line);
	arena_free(&arena);
	return 0;
}
