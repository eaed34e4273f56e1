/* keywords: Dovecot's table is read, kept and extended, and no letter changes meaning. */
#include "storage/keywords.h"

#include <errno.h>
#include <stdio.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static const struct {
	const char *in, *want;
	unsigned bad;
	size_t bad_line;
} row[] = {
    {"", "", 0, 0},
    {"0 $Forwarded\n1 NonJunk\n", "0 $Forwarded\n1 NonJunk\n", 0, 0},
    {"3 c\n0 a", "0 a\n3 c\n", 0, 0},
    {"25 z\n26 over\n", "25 z\n26 over\n", 1, 2},
    {"\n\n0 a\n\n", "0 a\n", 0, 0},
    {"0 a\nnoise\n1 b\n-1 c\nx d\n", "0 a\n1 b\nnoise\n-1 c\nx d\n", 3, 2},
    {"0 a\n0 b\n", "0 a\n0 b\n", 1, 2},
    {"0 a\n1 A\n", "0 a\n1 A\n", 1, 2},
    {"0 \n1 (\n2 b c\n3 \\Seen\n4 caf\xc3\xa9\n5 a]\n",
     "0 \n1 (\n2 b c\n3 \\Seen\n4 caf\xc3\xa9\n5 a]\n", 6, 1},
    {"4294967296 a\n00 b\n", "0 b\n4294967296 a\n", 1, 1},
};

static void
reads_and_keeps(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct keywords k = {0};
		struct buf out = {0};

		assert_int_equal(keywords_parse(guarded(span_of(row[i].in)), &k), 0);
		assert_int_equal(keywords_print(&k, &out), 0);
		check_mem(out.p, out.n, row[i].want, "row %zu", i);
		check_num(k.bad, row[i].bad, "bad, row %zu", i);
		check_num(k.bad_line, row[i].bad_line, "bad line, row %zu", i);
		buf_free(&out);
		keywords_free(&k);
		guard_free_all();
	}
}

static void
adds_into_the_lowest_free_row(void **state)
{
	struct keywords k = {0};

	(void)state;
	/* row 1 is claimed by a line that we cannot use: its letter keeps its meaning */
	assert_int_equal(keywords_parse(SPAN("0 a\n1 b c\n3 d\n"), &k), 0);
	assert_int_equal(keywords_add(&k, SPAN("new")), 2);
	assert_int_equal(keywords_add(&k, SPAN("newer")), 4);
	assert_int_equal(keywords_find(&k, SPAN("NEW")), 2);
	assert_int_equal(keywords_find(&k, SPAN("none")), -1);
	assert_int_equal(keywords_add(&k, SPAN("New")), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(keywords_add(&k, SPAN("a b")), -1);
	assert_int_equal(errno, EINVAL);
	keywords_free(&k);
}

static void
twenty_six_are_all(void **state)
{
	struct keywords k = {0};
	char name[16];

	(void)state;
	for (int i = 0; i < MT_NKEYWORD; i++) {
		snprintf(name, sizeof name, "k%d", i);
		assert_int_equal(keywords_add(&k, span_of(name)), i);
	}
	assert_int_equal(keywords_add(&k, SPAN("more")), -1);
	assert_int_equal(errno, ENOSPC);
	keywords_free(&k);
}

static void
what_a_keyword_is(void **state)
{
	static const char *const bad[] = {"",	 "a b", "a(",  "a)",  "{a", "a%",  "*",	  "a\"",
					  "\\a", "a]",	"a\n", "a\r", "\t", "\x7f", "\xe4"};
	char longest[MT_KEYWORD_MAX + 1];

	(void)state;
	memset(longest, 'k', sizeof longest);
	assert_true(keywords_valid(SPAN("$Forwarded")));
	assert_true(keywords_valid(SPAN("a[+-_.:/~}")));
	assert_true(keywords_valid((struct span){longest, MT_KEYWORD_MAX}));
	assert_false(keywords_valid((struct span){longest, MT_KEYWORD_MAX + 1}));
	assert_false(keywords_valid(SPAN("a\0b")));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		check_true(!keywords_valid(span_of(bad[i])), "row %zu", i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_and_keeps),
	    cmocka_unit_test(adds_into_the_lowest_free_row),
	    cmocka_unit_test(twenty_six_are_all),
	    cmocka_unit_test(what_a_keyword_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
