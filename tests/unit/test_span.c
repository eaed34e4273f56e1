/* span: looking, cutting and comparing, never past either end. */
#include "storage/base/span.h"

#include <errno.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static void
compares(void **state)
{
	(void)state;
	assert_true(span_eq(SPAN(""), (struct span){NULL, 0}));
	assert_true(span_eq(guarded(SPAN("a\0b")), SPAN("a\0b")));
	assert_false(span_eq(guarded(SPAN("a")), SPAN("ab")));
	assert_false(span_eq(SPAN("A"), SPAN("a")));
	assert_true(span_caseeq(guarded(SPAN("aBz[")), SPAN("AbZ[")));
	assert_false(span_caseeq(SPAN("@"), SPAN("`")));
	assert_false(span_caseeq(SPAN("\xc4"), SPAN("\xe4"))); /* ASCII letters only */
	assert_true(span_starts(guarded(SPAN("abc")), SPAN("ab")));
	assert_true(span_starts(SPAN("abc"), SPAN("")));
	assert_false(span_starts(guarded(SPAN("a")), SPAN("ab")));
	guard_free_all();
}

static void
from_an_offset(void **state)
{
	struct span s = guarded(SPAN("abc")), none = {NULL, 0};

	(void)state;
	check_span(span_from(s, 0), SPAN("abc"), "0");
	check_span(span_from(s, 2), SPAN("c"), "2");
	assert_int_equal(span_from(s, 3).n, 0);
	assert_int_equal(span_from(s, SIZE_MAX).n, 0);
	assert_ptr_equal(span_from(s, 9).p, s.p + 3);
	assert_int_equal(span_from(none, 0).n, 0);
	assert_int_equal(span_from(none, 5).n, 0);
	guard_free_all();
}

static const struct {
	const char *in, *want; /* the pieces, each behind a '|' */
} cuts[] = {
    {"", ""},		{"a", "|a"},	 {"a,b", "|a|b"}, {"a,", "|a"},
    {",a", "||a"},	{",", "|"},	 {",,", "||"},	  {"a,,b", "|a||b"},
};

static void
cuts_at_separators(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		struct span rest = guarded(span_of(cuts[i].in)), head;
		struct buf got = {0};

		while (span_cut(&rest, ',', &head)) {
			assert_int_equal(buf_addc(&got, '|'), 0);
			assert_int_equal(buf_add(&got, head), 0);
		}
		check_mem(got.p, got.n, cuts[i].want, "row %zu", i);
		buf_free(&got);
	}
	guard_free_all();
}

static const struct {
	const char *in, *want;
} words[] = {
    {"", ""},		     {"  ", ""},	  {"a", "|a"},
    {"a b", "|a|b"},	     {" a\tb \r", "|a|b"}, {"a,b  c", "|a,b|c"},
};

static void
takes_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct span rest = guarded(span_of(words[i].in)), word;
		struct buf got = {0};

		while (span_word(&rest, &word)) {
			assert_int_equal(buf_addc(&got, '|'), 0);
			assert_int_equal(buf_add(&got, word), 0);
		}
		check_mem(got.p, got.n, words[i].want, "row %zu", i);
		assert_int_equal(rest.n, 0);
		buf_free(&got);
	}
	guard_free_all();
}

static void
trims(void **state)
{
	static const struct {
		const char *in, *want;
	} row[] = {
	    {"", ""}, {" ", ""}, {"a", "a"}, {" \ta b\r ", "a b"}, {"\na", "\na"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		check_span(span_trim(guarded(span_of(row[i].in))), span_of(row[i].want),
			   "row %zu", i);
	guard_free_all();
}

static void
becomes_a_c_string(void **state)
{
	char *room = guarded_room(4);

	(void)state;
	assert_int_equal(span_cstr(SPAN("abc"), room, 4), 0);
	assert_string_equal(room, "abc");
	assert_int_equal(span_cstr((struct span){NULL, 0}, room, 1), 0);
	assert_string_equal(room, "");
	assert_int_equal(span_cstr(SPAN("abcd"), room, 4), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(span_cstr(SPAN("a\0"), room, 4), -1);
	assert_int_equal(errno, EINVAL);
	guard_free_all();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(compares),	   cmocka_unit_test(from_an_offset),
	    cmocka_unit_test(cuts_at_separators), cmocka_unit_test(takes_words),
	    cmocka_unit_test(trims),	   cmocka_unit_test(becomes_a_c_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
