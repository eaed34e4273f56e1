/* confscan: the syntax of configurations, with input flush against an unreadable page. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include "protocol/server/confscan.h"

/* All items as text: `name=value;` `name value{` `}` `!value;` `?value;` `BAD`. */
static void
scan(struct span in, struct buf *out)
{
	struct confscan c = {.rest = in};
	struct confscan_item it;
	enum confscan_ev ev;

	while ((ev = confscan_next(&c, &it)) != CONFSCAN_END)
		switch (ev) {
		case CONFSCAN_SET:
			buf_addf(out, "%.*s=%.*s;", (int)it.name.n, it.name.p,
			         (int)it.value.n, it.value.p);
			break;
		case CONFSCAN_OPEN:
			buf_addf(out, "%.*s %.*s{", (int)it.name.n, it.name.p,
			         (int)it.value.n, it.value.p);
			break;
		case CONFSCAN_CLOSE:
			buf_addc(out, '}');
			break;
		case CONFSCAN_INCLUDE:
		case CONFSCAN_INCLUDE_TRY:
			buf_addf(out, "%c%.*s;", ev == CONFSCAN_INCLUDE ? '!' : '?',
			         (int)it.value.n, it.value.p);
			break;
		default:
			buf_add(out, SPAN("BAD"));
			break;
		}
	confscan_free(&c);
}

static void
items(void **state)
{
	static const struct {
		const char *in, *want;
	} row[] = {
	    {"", ""},
	    {"\n\n  \n# c\n", ""},
	    {"a = b", "a=b;"},
	    {"a=b\n", "a=b;"},
	    {"  a  =  b c  \r\n", "a=b c;"},
	    {"a =\n", "a=;"},
	    {"a = b # c\n", "a=b;"},
	    {"a = b# c\n", "a=b;"},
	    {"# it's a comment\na = b # isn't it\n", "a=b;"},
	    {"a = it's # fine\n", "a=it's;"},
	    {"a = \"b # c\"\n", "a=b # c;"},
	    {"a = \"b \\\" c \\\\\" # d\n", "a=b \" c \\;"},
	    {"a = 'b # c'\n", "a=b # c;"},
	    {"a = \"b\" c\n", "a=\"b\" c;"},
	    {"a = \"b\nc = d\n", "BADc=d;"},
	    {"a = b \\\n  c\nd = e", "a=b c;d=e;"},
	    {"a = b \\\n  c \\\n # no\n d", "a=b c;BAD"},
	    {"a = b \\", "a=b;"},
	    {"s {\n a = b\n}\n", "s {a=b;}"},
	    {"s n {\n a = b }\n}\n", "s n{a=b };}"},
	    {"s \"n m\" {\n}\n", "s n m{}"},
	    {"s {}", "s {}"},
	    {"s n{}", "s n{}"},
	    {"s { a = b }", "s {a=b;}"},
	    {"s { a = b}", "s {a=b;}"},
	    {"s { a = }", "s {a=;}"},
	    {"s { a = b c = d }", "s {a=b;c=d;}"},
	    {"s { a = b x=y c = d }", "s {a=b x=y;c=d;}"},
	    {"s { a = \"b }\" c = d }", "s {a=b };c=d;}"},
	    {"s { a = %{user} }", "s {a=%{user};}"},
	    {"s { t u { a = b } }", "s {t u{a=b;}}"},
	    {"s { a = b t u { c = d } }", "s {a=b;t u{c=d;}}"},
	    {"s { t u { a = b } t v { a = c } } e = f", "s {t u{a=b;}t v{a=c;}}e=f;"},
	    {"s { t u { a = 1\n } \n }", "s {t u{a=1;}}"},
	    {"s { a = 1\n b = 2 }\nc = 3 }", "s {a=1;b=2;}c=3 };"},
	    {"s {\n t { a = 1\n }\n b = 2 }\n}", "s {t {a=1;}b=2 };}"},
	    {"}", "}"},
	    {"!include a.conf\n!include_try /b/*.conf\n", "!a.conf;?/b/*.conf;"},
	    {"!include\n", "BAD"},
	    {"a\nb = c\n", "BADb=c;"},
	    {"a b\nb = c\n", "BADb=c;"},
	    {"= x\nb = c\n", "BADb=c;"},
	    {"s \"x {\n", "BAD"},
	    {"\xff\xfe = x\nb = c", "BADb=c;"},
	    {"ssl_key = <  /path # c", "ssl_key=<  /path;"},
	};
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		buf_reset(&out);
		scan(guarded(span_of(row[i].in)), &out);
		check_mem(out.p, out.n, row[i].want, "row %zu", i);
		guard_free_all();
	}
	buf_free(&out);
}

static void
places(void **state)
{
	static const struct {
		const char *in;
		unsigned item, line, col; /* place of the item-th */
	} row[] = {
	    {"a = b", 0, 1, 1},
	    {"\n\n  a = b", 0, 3, 3},
	    {"a = b\nc = d", 1, 2, 1},
	    {"a = b \\\n c\nd = e", 1, 3, 1},
	    {"s { a = b }", 1, 1, 5},
	    {"s { \\\n\n", 0, 1, 1},
	    {"s {  \\\n   a = b }", 1, 2, 4},
	    {"# x\n\ta =", 0, 2, 2},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct confscan c = {.rest = guarded(span_of(row[i].in))};
		struct confscan_item it;

		for (unsigned n = 0; n <= row[i].item; n++)
			confscan_next(&c, &it);
		check_num(it.line, row[i].line, "row %zu: line", i);
		check_num(it.col, row[i].col, "row %zu: column", i);
		confscan_free(&c);
		guard_free_all();
	}
}

static void
ceilings(void **state)
{
	struct buf in = {0}, out = {0};

	(void)state;
	buf_add(&in, SPAN("a = "));
	for (int i = 0; i < CONFSCAN_LINE_MAX; i++)
		buf_addc(&in, 'x');
	buf_add(&in, SPAN("\nb = c\n"));
	scan(buf_span(&in), &out);
	check_mem(out.p, out.n, "BADb=c;", "a long line");

	buf_reset(&in);
	buf_reset(&out);
	for (int i = 0; i < CONFSCAN_CUTS_MAX + 1; i++)
		buf_add(&in, SPAN("a = \\\n"));
	buf_add(&in, SPAN("x\nb = c\n"));
	scan(buf_span(&in), &out);
	check_mem(out.p, out.n, "BADb=c;", "many continuations");

	buf_reset(&out);
	scan(SPAN("a = b\0c\nd = e\n"), &out);
	check_mem(out.p, out.n, "BADd=e;", "a NUL");
	buf_free(&in);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(items),
	    cmocka_unit_test(places),
	    cmocka_unit_test(ceilings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
