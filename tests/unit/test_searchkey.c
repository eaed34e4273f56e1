/* searchkey: what clients write to programs, and what programs say. */
#include "protocol/imap/searchkey.h"

#include <inttypes.h>

#include "protocol/imap/parser.h"
#include "tests/unit/support/check.h"

static const struct search_scope scope = {
    .last_number = 10, .last_uid = 100, .now = 1000000, .ranges_max = 100};

/* ---- from text to arguments ----------------------------------------------------------------- */

struct typed {
	struct arena arena;
	struct parser parser;
	struct search search;
	const char *why;
};

static const struct parser_limits limits = {
    .line = 1 << 20, .memory = 1 << 16, .nonsync = 1 << 16, .depth = 64, .args = 32768};

static enum search_verdict
type(struct typed *t, struct span keys)
{
	struct buf line = {0};
	struct span in;
	enum parser_ev ev;
	enum search_verdict v;

	assert_int_equal(buf_add(&line, SPAN("a SEARCH ")), 0);
	assert_int_equal(buf_add(&line, keys), 0);
	assert_int_equal(buf_add(&line, SPAN("\r\n")), 0);
	parser_init(&t->parser, &limits, &t->arena);
	in = buf_span(&line);
	while ((ev = parser_push(&t->parser, &in)) == PARSER_LITERAL)
		assert_true(parser_accept(&t->parser));
	check_true(ev == PARSER_COMMAND, "`%.*s' is no command", (int)keys.n, keys.p);
	v = search_parse(t->parser.cmd.args, &scope, &t->arena, &t->search, &t->why);
	buf_free(&line);
	return v;
}

static void
done(struct typed *t)
{
	search_free(&t->search);
	arena_reset(&t->arena);
}

/* ---- programs as text ------------------------------------------------------------------------- */

static void
print_leaf(const struct search_leaf *l, struct buf *b)
{
	static const char *const names[] = {
	    "all",  "numbers", "uids",   "saved", "flag", "keyword", "recent", "modseq",
	    "date", "saved",   "moment", "size",  "sent", "header",  "body",   "text",
	};
	int rc = buf_add(b, span_of(names[l->key]));

	switch (l->key) {
	case KEY_NUMBERS:
	case KEY_UIDS:
		rc |= buf_addc(b, '=') | numset_print(&l->set, b);
		break;
	case KEY_FLAG:
	case KEY_MODSEQ:
		rc |= buf_addf(b, "=%" PRIu64, l->number);
		break;
	case KEY_DATE:
	case KEY_SAVED_DATE:
	case KEY_MOMENT:
	case KEY_SIZE:
	case KEY_SENT:
		rc |= l->from == INT64_MIN ? 0 : buf_addf(b, "=%" PRId64, l->from);
		rc |= buf_add(b, SPAN(".."));
		rc |= l->to == INT64_MAX ? 0 : buf_addf(b, "%" PRId64, l->to);
		break;
	case KEY_KEYWORD:
	case KEY_HEADER:
	case KEY_BODY:
	case KEY_TEXT:
		rc |= buf_addc(b, '=') | buf_add(b, l->text) | buf_addc(b, '/') |
		      buf_add(b, l->match.needle);
		break;
	default:
		break;
	}
	assert_int_equal(rc, 0);
}

static void
print(const struct search *s, struct buf *b)
{
	const struct search_step *step = (const void *)s->steps.p;
	size_t n = s->steps.n / sizeof *step;

	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			assert_int_equal(buf_addc(b, ' '), 0);
		if (step[i].what == STEP_LEAF)
			print_leaf(&s->leaf[step[i].n], b);
		else if (step[i].what == STEP_NOT)
			assert_int_equal(buf_add(b, SPAN("not")), 0);
		else
			assert_int_equal(
			    buf_addf(b, "%s%u", step[i].what == STEP_AND ? "and" : "or",
			             step[i].n),
			    0);
	}
}

static const struct {
	const char *in, *want;
} programs[] = {
    {"ALL", "all"},
    {"all", "all"},
    {"ANSWERED DELETED DRAFT FLAGGED SEEN", "flag=2 flag=8 flag=16 flag=4 flag=1 and5"},
    {"UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN",
     "flag=2 not flag=8 not flag=16 not flag=4 not flag=1 not and5"},
    {"NEW", "recent flag=1 not and2"},
    {"OLD RECENT", "recent not recent and2"},
    {"KEYWORD $Junk UNKEYWORD x", "keyword=$Junk/ keyword=x/ not and2"},
    {"BCC a CC \"b\" FROM c SUBJECT {1+}\r\nd TO e",
     "header=Bcc/A header=Cc/B header=From/C header=Subject/D header=To/E and5"},
    {"HEADER X-Foo \"\"", "header=X-Foo/"},
    {"HEADER \"X-Foo\" bar", "header=X-Foo/BAR"},
    {"BODY \"Hello World\" TEXT x", "body=/HELLO WORLD text=/X and2"},
    {"BEFORE 2-Jan-1970 ON \"02-jan-1970\" SINCE 2-Jan-1970",
     "date..0 date=1..1 date=1.. and3"},
    {"SENTBEFORE 2-Jan-1970 SENTON 2-Jan-1970 SENTSINCE 2-Jan-1970",
     "sent..0 sent=1..1 sent=1.. and3"},
    {"SAVEDBEFORE 2-Jan-1970 SAVEDON 2-Jan-1970 SAVEDSINCE 2-Jan-1970 "
     "SAVEDATESUPPORTED",
     "saved..0 saved=1..1 saved=1.. all and4"},
    {"LARGER 0 SMALLER 4294967296", "size=1.. size..4294967295 and2"},
    {"OLDER 10 YOUNGER 20", "moment..999990 moment=999980.. and2"},
    {"1,3:5,*", "numbers=1,3:5,10"},
    {"*:8", "numbers=8:10"},
    {"UID 1,200:*", "uids=1,100:200"},
    {"$ UID $", "saved saved and2"},
    {"MODSEQ 5", "modseq=5"},
    {"MODSEQ \"/flags/\\\\draft\" all 620162338", "modseq=620162338"},
    {"NOT SEEN", "flag=1 not"},
    {"NOT NOT SEEN", "flag=1"},
    {"NOT NOT NOT SEEN", "flag=1 not"},
    {"NOT UNSEEN", "flag=1 not not"},
    {"OR SEEN DRAFT", "flag=1 flag=16 or2"},
    {"OR OR 1 2 OR 3 NOT 4", "numbers=1 numbers=2 or2 numbers=3 numbers=4 not or2 or2"},
    {"(SEEN)", "flag=1"},
    {"((SEEN) (DRAFT))", "flag=1 flag=16 and2"},
    {"NOT (SEEN DRAFT) ALL", "flag=1 flag=16 and2 not all and2"},
    {"OR (1 2) (3 (4 5))",
     "numbers=1 numbers=2 and2 numbers=3 numbers=4 numbers=5 and2 and2 or2"},
    {"NOT NOT (NOT NEW)", "recent flag=1 not and2 not"},
    {"CHARSET UTF-8 SUBJECT x", "header=Subject/X"},
    {"CHARSET \"us-ascii\" ALL", "all"},
    {"CHARSET windows-1251 SUBJECT {1+}\r\n\xcf", "header=Subject/\xd0\x9f"},
    {"RETURN (MIN) CHARSET UTF-8 ALL", "all"},
};

static void
keys_to_programs(void **state)
{
	struct typed t = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		struct buf got = {0};

		check_num(type(&t, span_of(programs[i].in)), SEARCH_OK, "row %zu: %s",
		          i, t.why == NULL ? "" : t.why);
		print(&t.search, &got);
		check_mem(got.p, got.n, programs[i].want, "row %zu: %s", i,
		          programs[i].in);
		buf_free(&got);
		done(&t);
	}
	arena_free(&t.arena);
}

static void
what_is_no_search(void **state)
{
	static const struct {
		const char *in;
		enum search_verdict want;
	} row[] = {
	    {"FOO", SEARCH_BAD},
	    {"\"ALL\"", SEARCH_BAD},
	    {"()", SEARCH_BAD},
	    {"NOT", SEARCH_BAD},
	    {"NOT ()", SEARCH_BAD},
	    {"(NOT) ALL", SEARCH_BAD},
	    {"OR SEEN", SEARCH_BAD},
	    {"(OR SEEN) SEEN", SEARCH_BAD},
	    {"SUBJECT", SEARCH_BAD},
	    {"SUBJECT (x)", SEARCH_BAD},
	    {"SUBJECT {1+}\r\n\xe4", SEARCH_BAD},
	    {"HEADER x", SEARCH_BAD},
	    {"KEYWORD \\Seen", SEARCH_BAD},
	    {"KEYWORD \"x\"", SEARCH_BAD},
	    {"BEFORE yesterday", SEARCH_BAD},
	    {"BEFORE 31-Feb-2000", SEARCH_BAD},
	    {"LARGER -1", SEARCH_BAD},
	    {"LARGER 9223372036854775808", SEARCH_BAD},
	    {"OLDER 0", SEARCH_BAD},
	    {"OLDER 4294967296", SEARCH_BAD},
	    {"YOUNGER x", SEARCH_BAD},
	    {"0", SEARCH_BAD},
	    {"1:0", SEARCH_BAD},
	    {"1,", SEARCH_BAD},
	    {"UID", SEARCH_BAD},
	    {"UID x", SEARCH_BAD},
	    {"UID (1)", SEARCH_BAD},
	    {"MODSEQ", SEARCH_BAD},
	    {"MODSEQ x", SEARCH_BAD},
	    {"MODSEQ \"/flags/x\" 5", SEARCH_BAD},
	    {"MODSEQ \"/flags/x\" none 5", SEARCH_BAD},
	    {"MODSEQ 9223372036854775808", SEARCH_BAD},
	    {"RETURN MIN ALL", SEARCH_BAD},
	    {"RETURN (MIN)", SEARCH_BAD},
	    {"RETURN (FOO) ALL", SEARCH_BAD},
	    {"RETURN", SEARCH_BAD},
	    {"CHARSET", SEARCH_BAD},
	    {"CHARSET utf-8", SEARCH_BAD},
	    {"SEEN CHARSET utf-8 ALL", SEARCH_BAD},
	    {"CHARSET nobody-knows ALL", SEARCH_BADCHARSET},
	    {"RETURN (SAVE) CHARSET x ALL", SEARCH_BADCHARSET},
	};
	struct typed t = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		check_num(type(&t, span_of(row[i].in)), row[i].want, "row %zu: %s", i,
		          row[i].in);
		check_true(t.why != NULL, "row %zu says why", i);
		done(&t);
	}
	arena_free(&t.arena);
}

static void
what_is_returned(void **state)
{
	static const struct {
		const char *in;
		bool extended, modseq;
		unsigned returns;
		enum search_cost cost;
	} row[] = {
	    {"ALL", false, false, 0, COST_NONE},
	    {"RETURN () SEEN", true, false, RETURN_ALL, COST_MESSAGE},
	    {"RETURN (min Max COUNT all save) SINCE 1-Jan-2000", true, false,
	     RETURN_MIN | RETURN_MAX | RETURN_COUNT | RETURN_ALL | RETURN_SAVE,
	     COST_RECORD},
	    {"RETURN (SAVE) LARGER 1 SEEN", true, false, RETURN_SAVE, COST_SIZE},
	    {"MODSEQ 1 SUBJECT x", false, true, 0, COST_HEADER},
	    {"NOT TEXT x 1", false, false, 0, COST_BODY},
	};
	struct typed t = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_int_equal(type(&t, span_of(row[i].in)), SEARCH_OK);
		check_num(t.search.extended, row[i].extended, "row %zu", i);
		check_num(t.search.modseq, row[i].modseq, "row %zu", i);
		check_num(t.search.returns, row[i].returns, "row %zu", i);
		check_num(t.search.cost, row[i].cost, "row %zu", i);
		done(&t);
	}
	arena_free(&t.arena);
}

/* ---- running ------------------------------------------------------------------------------------ */

/* `numbers=N` is what known[N] says. */
struct known {
	const struct search *s;
	enum search_value v[11];
};

static enum search_value
ask(void *arg, size_t leaf)
{
	const struct known *k = arg;

	return k->v[k->s->leaf[leaf].set.r[0].lo];
}

static enum search_value
negated(enum search_value v)
{
	return v == VALUE_UNKNOWN ? v : v == VALUE_YES ? VALUE_NO : VALUE_YES;
}

static enum search_value
both(enum search_value a, enum search_value b)
{
	if (a == VALUE_NO || b == VALUE_NO)
		return VALUE_NO;
	return a == VALUE_YES && b == VALUE_YES ? VALUE_YES : VALUE_UNKNOWN;
}

static enum search_value
either(enum search_value a, enum search_value b)
{
	return negated(both(negated(a), negated(b)));
}

static void
three_values(void **state)
{
	struct typed t = {0};

	(void)state;
	assert_int_equal(type(&t, SPAN("OR (1 NOT 2) NOT (3 OR 1 2)")), SEARCH_OK);
	for (unsigned i = 0; i < 27; i++) {
		enum search_value a = i % 3, b = i / 3 % 3, c = i / 9 % 3;
		struct known k = {&t.search, {0, a, b, c}};

		check_num(search_run(&t.search, ask, &k),
		          either(both(a, negated(b)), negated(both(c, either(a, b)))),
		          "%u %u %u", a, b, c);
	}
	done(&t);
	arena_free(&t.arena);
}

static struct span
repeat(struct buf *b, const char *what, size_t n, const char *last)
{
	buf_reset(b);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_add(b, span_of(what)), 0);
	assert_int_equal(buf_add(b, span_of(last)), 0);
	return buf_span(b);
}

/* However deep, nothing recurses: it is answered or refused. */
static void
deep_ones(void **state)
{
	struct typed t = {0};
	struct buf b = {0};
	struct known k = {&t.search, {0, VALUE_NO, VALUE_YES}};

	(void)state;
	assert_int_equal(type(&t, repeat(&b, "NOT ", 4095, "1")), SEARCH_OK);
	assert_int_equal(search_run(&t.search, ask, &k), VALUE_YES);
	done(&t);
	assert_int_equal(type(&t, repeat(&b, "NOT ", 5000, "1")), SEARCH_BAD);
	done(&t);
	assert_int_equal(type(&t, repeat(&b, "OR 1 ", 2047, "2")), SEARCH_OK);
	assert_int_equal(search_run(&t.search, ask, &k), VALUE_YES);
	done(&t);
	repeat(&b, "OR ", 2000, "");
	for (int i = 0; i < 2001; i++)
		assert_int_equal(buf_add(&b, i == 1700 ? SPAN("2 ") : SPAN("1 ")), 0);
	b.n--;
	assert_int_equal(type(&t, buf_span(&b)), SEARCH_OK);
	assert_int_equal(search_run(&t.search, ask, &k), VALUE_YES);
	k.v[2] = VALUE_NO;
	assert_int_equal(search_run(&t.search, ask, &k), VALUE_NO);
	done(&t);
	assert_int_equal(type(&t, repeat(&b, "OR ", 4096, "1")), SEARCH_BAD);
	done(&t);
	assert_int_equal(type(&t, repeat(&b, "1 ", 4096, "1")), SEARCH_BAD);
	done(&t);
	buf_free(&b);
	arena_free(&t.arena);
}

static void
without_memory(void **state)
{
	struct typed t = {.arena.max = 6000};
	struct buf b = {0};

	(void)state;
	assert_int_equal(buf_add(&b, SPAN("SUBJECT \"")), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(buf_add(&b, SPAN("0123456789")), 0);
	assert_int_equal(buf_addc(&b, '"'), 0);
	assert_int_equal(type(&t, buf_span(&b)), SEARCH_NOMEM);
	done(&t);
	buf_free(&b);
	arena_free(&t.arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_to_programs), cmocka_unit_test(what_is_no_search),
	    cmocka_unit_test(what_is_returned), cmocka_unit_test(three_values),
	    cmocka_unit_test(deep_ones),        cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
