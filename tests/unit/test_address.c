/* address: lists as ENVELOPE shows them, right and broken ones. */
#include "storage/mime/address.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static void
show(const struct span *s, char after, struct buf *out)
{
	assert_int_equal(buf_add(out, s->p != NULL ? *s : SPAN("-")), 0);
	assert_int_equal(buf_addc(out, after), 0);
}

/* `name|route|mailbox|host;` each, `-` for NIL. */
static void
show_list(const struct address_list *l, struct buf *out)
{
	for (const struct address *a = l->first; a != NULL; a = a->next) {
		show(&a->name, '|', out);
		show(&a->adl, '|', out);
		show(&a->mailbox, '|', out);
		show(&a->host, ';', out);
		assert_true((a->next == NULL) == (a == l->last));
	}
}

#define BROKEN "MISSING_MAILBOX|MISSING_DOMAIN;"

static const struct {
	const char *in, *want;
} row[] = {
    {"", ""},
    {" \r\n ", ""},
    {"(only a comment)", ""},
    {"a@b", "-|-|a|b;"},
    {"a@b, c@d", "-|-|a|b;-|-|c|d;"},
    {"a@b,\r\n c@d", "-|-|a|b;-|-|c|d;"},
    {"<a@b>", "-|-|a|b;"},
    {"A <a@b>", "A|-|a|b;"},
    {"A B  C <a@b>", "A B C|-|a|b;"},
    {"\"A, \\\"B\\\"\" <a@b>", "A, \"B\"|-|a|b;"},
    {"\"A\" \"B\" <a@b>", "A B|-|a|b;"},
    {"\"a\r\n b\" <a@b>", "a b|-|a|b;"},
    {"A. B. Cee <a@b>", "A. B. Cee|-|a|b;"},
    {"J\xfcrgen <a@b>", "J\xfcrgen|-|a|b;"},
    {"=?utf-8?q?A=2CB?= <a@b>", "=?utf-8?q?A=2CB?=|-|a|b;"},
    {"a@b (A)", "A|-|a|b;"},
    {"a@b (A (B) \\) C)", "A (B) ) C|-|a|b;"},
    {"(x) a (y) @ (z) b", "z|-|a|b;"},
    {"\"a b\"@c", "-|-|a b|c;"},
    {"a@[1.2.3.4]", "-|-|a|[1.2.3.4];"},
    {"a@ b . c", "-|-|a|b.c;"},
    {".a..b.@c", "-|-|.a..b.|c;"},
    /* groups */
    {"G: a@b, C <c@d>;", "-|-|G|-;-|-|a|b;C|-|c|d;-|-|-|-;"},
    {"G:;", "-|-|G|-;-|-|-|-;"},
    {"\"G H\" : ; , a@b", "-|-|G H|-;-|-|-|-;-|-|a|b;"},
    {"G: a@b", "-|-|G|-;-|-|a|b;-|-|-|-;"},
    {"G:", "-|-|G|-;-|-|-|-;"},
    {"G: a b, c@d;", "-|-|G|-;a b|-|" BROKEN "-|-|c|d;-|-|-|-;"},
    /* routes */
    {"<@x:a@b>", "-|@x|a|b;"},
    {"R <@x,@y:a@b>", "R|@x,@y|a|b;"},
    {"<@x a@b>", "-|INVALID_ROUTE|a|b;"},
    /* broken ones */
    {"a", "-|-|a|MISSING_DOMAIN;"},
    {"a b", "a b|-|" BROKEN},
    {"\"a b\"", "a b|-|" BROKEN},
    {"J. Doe", "J. Doe|-|" BROKEN},
    {"a@", "-|-|a|MISSING_DOMAIN;"},
    {"a@b.", "-|-|a|MISSING_DOMAIN;"},
    {"a@b..c", "-|-|a|MISSING_DOMAIN;"},
    {"@b", "-|-|MISSING_MAILBOX|b;"},
    {"<>", "-|-|" BROKEN},
    {"A <>", "A|-|" BROKEN},
    {"<a>", "-|-|a|MISSING_DOMAIN;"},
    {"<a@b", "-|-|a|SYNTAX_ERROR;"},
    {"a@b c@d", "-|-|a|b;"},
    {"a@b,", "-|-|a|b;"},
    {"a@b,,c@d", "-|-|a|b;-|-|" BROKEN "-|-|c|d;"},
    {"a@b, (x", "-|-|a|b;-|-|" BROKEN},
    {"\"unended <a@b>", "-|-|" BROKEN},
    {"A, B <a@b>", "-|-|A|MISSING_DOMAIN;B|-|a|b;"},
};

static void
as_dovecot_shows_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct arena arena = {0};
		struct address_list list = {0};
		struct buf got = {0};

		assert_int_equal(
		    address_parse(guarded(span_of(row[i].in)), &arena, &list), 0);
		guard_free_all(); /* strings are copies */
		show_list(&list, &got);
		check_span(buf_span(&got), span_of(row[i].want), "row %zu: %s", i,
		           row[i].in);
		buf_free(&got);
		arena_free(&arena);
	}
}

/* Nothing lies behind a value: each beginning of each row, against a guard page. */
static void
ends_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t n = 0; n < strlen(row[i].in); n++) {
			struct arena arena = {0};
			struct address_list list = {0};
			struct span in = guarded((struct span){row[i].in, n});

			assert_int_equal(address_parse(in, &arena, &list), 0);
			guard_free_all();
			arena_free(&arena);
		}
}

static void
fields_together(void **state)
{
	struct arena arena = {0};
	struct address_list list = {0};
	struct buf got = {0};

	(void)state;
	assert_int_equal(address_parse(SPAN("a@b"), &arena, &list), 0);
	assert_int_equal(address_parse(SPAN(""), &arena, &list), 0);
	assert_int_equal(address_parse(SPAN("G:;"), &arena, &list), 0);
	show_list(&list, &got);
	check_span(buf_span(&got), SPAN("-|-|a|b;-|-|G|-;-|-|-|-;"), "appended");
	buf_free(&got);
	arena_free(&arena);
}

static void
full_arena_keeps_what_came_before(void **state)
{
	struct arena arena = {.max = 4096};
	struct address_list list = {0};
	struct buf value = {0};
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_addf(&value, "a%d@example.org,", i), 0);
	errno = 0;
	assert_int_equal(address_parse(buf_span(&value), &arena, &list), -1);
	assert_int_equal(errno, EMSGSIZE);
	for (const struct address *a = list.first; a != NULL; a = a->next, n++) {
		assert_non_null(a->mailbox.p);
		assert_non_null(a->host.p);
	}
	check_true(n > 10 && n < 100, "%zu addresses", n);
	buf_free(&value);
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(as_dovecot_shows_them),
	    cmocka_unit_test(ends_anywhere),
	    cmocka_unit_test(fields_together),
	    cmocka_unit_test(full_arena_keeps_what_came_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
