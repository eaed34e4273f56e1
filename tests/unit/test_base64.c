/* base64: nothing but what an encoder makes, against a guard page. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include "protocol/base64.h"

static void
decodes(void **state)
{
	static const struct {
		struct span in, want;
		bool good;
	} row[] = {
	    {SPAN(""), SPAN(""), true},
	    {SPAN("AA=="), SPAN("\0"), true},
	    {SPAN("YQ=="), SPAN("a"), true},
	    {SPAN("YWI="), SPAN("ab"), true},
	    {SPAN("YWJj"), SPAN("abc"), true},
	    {SPAN("+/+/"), SPAN("\xfb\xff\xbf"), true},
	    {SPAN("YWJjZGVmZw=="), SPAN("abcdefg"), true},
	    {SPAN("Y"), SPAN(""), false},
	    {SPAN("YQ"), SPAN(""), false},
	    {SPAN("YQ="), SPAN(""), false},
	    {SPAN("Y==="), SPAN(""), false},
	    {SPAN("===="), SPAN(""), false},
	    {SPAN("YQ==YQ=="), SPAN(""), false},
	    {SPAN("YR=="), SPAN(""), false},
	    {SPAN("YWJ="), SPAN(""), false},
	    {SPAN("Y=Jj"), SPAN(""), false},
	    {SPAN("YQ=a"), SPAN(""), false},
	    {SPAN("YW-_"), SPAN(""), false},
	    {SPAN("YW\nj"), SPAN(""), false},
	    {SPAN("YW\0j"), SPAN(""), false},
	    {SPAN("YW\xc3\xa4"), SPAN(""), false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char *out = guarded_room(row[i].want.n);
		ptrdiff_t n = base64_decode(guarded(row[i].in), out, row[i].want.n);

		check_true((n != -1) == row[i].good, "row %zu", i);
		if (n != -1)
			check_span((struct span){out, (size_t)n}, row[i].want,
			           "row %zu", i);
		guard_free_all();
	}
}

static void
room_is_kept(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 8; cap++) {
		char *out = guarded_room(cap);
		ptrdiff_t n = base64_decode(SPAN("YWJjZGVmZw=="), out, cap);

		check_true(n == (cap < 7 ? -1 : 7), "room of %zu", cap);
		guard_free_all();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(decodes),
	    cmocka_unit_test(room_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
