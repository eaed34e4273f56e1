/* mboxfrom: which lines begin a message, and what date they tell. */
#include "tests/unit/support/check.h"

#include "storage/mboxfrom.h"
#include "tests/unit/support/guard.h"

#define DATE 1007073232 /* Thu Nov 29 22:33:52 2001 */

static const struct {
	const char *line;
	bool ok;
	int64_t date;
	const char *sender;
} rows[] = {
    {"From a@b Thu Nov 29 22:33:52 2001", true, DATE, "a@b"},
    {"From a@b Thu Nov 29 22:33:52 2001\r", true, DATE, "a@b"},
    {"From a@b  Thu Nov 29 22:33:52 2001", true, DATE, "a@b"},
    {"From a@b\tThu Nov 29 22:33:52 2001", true, DATE, "a@b"},
    {"From - Thu Nov 29 22:33:52 2001", true, DATE, "-"},
    {"From  Thu Nov 29 22:33:52 2001", true, DATE, ""},
    {"From Thu Nov 29 22:33:52 2001", true, DATE, ""},
    {"From \"a b\"@c Thu Nov 29 22:33:52 2001", true, DATE, "\"a b\"@c"},
    {"From \"a \\\" b\" Thu Nov 29 22:33:52 2001", true, DATE, "\"a \\\" b\""},
    {"From \"a b Thu Nov 29 22:33:52 2001", false, 0, ""},
    {"From a@b Thu Nov 29 22:33 2001", true, DATE - 52, "a@b"},
    {"From a@b Thu Nov  1 02:03:04 2001", true, 1004580184, "a@b"},
    {"From a@b Thu Nov 1 2:03:04 2001", true, 1004580184, "a@b"},
    {"From a@b Thu Nov 29 22:33:52 2001 +0100", true, DATE - 3600, "a@b"},
    {"From a@b Thu Nov 29 22:33:52 -0530 2001", true, DATE + 19800, "a@b"},
    {"From a@b Thu Nov 29 22:33:52 EST 2001", true, DATE, "a@b"},
    {"From a@b Thu Nov 29 22:33:52 MET DST 2001", true, DATE, "a@b"},
    {"From a@b Thu Nov 29 22:33:52 2001 EST", true, DATE, "a@b"},
    {"From a@b Thu Nov 29 22:33:52 2001 remote from there", true, DATE, "a@b"},
    {"From a@b Thu, 29 Nov 2001 22:33:52 +0000", true, DATE, "a@b"},
    {"From a@b Thu, 29 Nov 2001 22:33:52", true, DATE, "a@b"},
    {"From a@b thu nov 29 22:33:52 2001", true, DATE, "a@b"},
    {"From a@b Thu Nov 29 22:33:52", false, 0, ""},
    {"From a@b Thu Nov 29 2001", false, 0, ""},
    {"From a@b Nov 29 22:33:52 2001", false, 0, ""},
    {"From a@b Thx Nov 29 22:33:52 2001", false, 0, ""},
    {"From a@b Thu Nxv 29 22:33:52 2001", false, 0, ""},
    {"From a@b Thu Nov 0 22:33:52 2001", false, 0, ""},
    {"From a@b Thu Nov 32 22:33:52 2001", false, 0, ""},
    {"From a@b Thu Nov 29 24:33:52 2001", false, 0, ""},
    {"From a@b Thu Nov 29 22:60:52 2001", false, 0, ""},
    {"From a@b Thu Nov 29 22:33:52 20011", false, 0, ""},
    {"From a@b Thu Nov 29 22:33:52 1899", false, 0, ""},
    {"From a b c Thu Nov 29 22:33:52 2001", false, 0, ""},
    {"From here on", false, 0, ""},
    {"From ", false, 0, ""},
    {"From", false, 0, ""},
    {"", false, 0, ""},
    {"from a@b Thu Nov 29 22:33:52 2001", false, 0, ""},
    {">From a@b Thu Nov 29 22:33:52 2001", false, 0, ""},
    {" From a@b Thu Nov 29 22:33:52 2001", false, 0, ""},
};

static void
lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct mboxfrom f;
		bool ok = mboxfrom_parse(guarded(span_of(rows[i].line)), &f);

		check_num(ok, rows[i].ok, "row %zu", i);
		if (!ok)
			continue;
		check_num((uint64_t)f.date, (uint64_t)rows[i].date, "date, row %zu", i);
		check_span(f.sender, span_of(rows[i].sender), "sender, row %zu", i);
	}
	guard_free_all();
}

static void
a_line_has_a_ceiling(void **state)
{
	struct buf line = {0};
	struct mboxfrom f;

	(void)state;
	assert_int_equal(buf_addf(&line, "From %0*d Thu Nov 29 22:33:52 2001", MBOXFROM_MAX - 30, 1),
			 0);
	check_num(mboxfrom_parse(buf_span(&line), &f), true, "as long as may be");
	assert_int_equal(buf_add(&line, SPAN(" remote")), 0);
	check_num(mboxfrom_parse(buf_span(&line), &f), false, "longer");
	buf_free(&line);
}

static void
what_is_printed_is_read(void **state)
{
	static const int64_t dates[] = {0, 1, DATE, 4102444799, 253402300799, -2208988800};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		struct buf line = {0};
		struct mboxfrom f;

		assert_int_equal(mboxfrom_print(SPAN("a \"b\"\n"), dates[i], &line), 0);
		check_num(mboxfrom_parse(buf_span(&line), &f), true, "row %zu", i);
		check_num((uint64_t)f.date, (uint64_t)dates[i], "row %zu", i);
		check_span(f.sender, SPAN("a__b__"), "row %zu", i);
		check_num(f.date_off, line.n - MBOXFROM_DATE, "row %zu", i);
		buf_free(&line);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines),
	    cmocka_unit_test(a_line_has_a_ceiling),
	    cmocka_unit_test(what_is_printed_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
