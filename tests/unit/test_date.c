/* date: fields as people write them, IMAP's as its grammar has them, and the calendar. */
#include "storage/mime/date.h"

#include <stdio.h>
#include <time.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static const struct {
	const char *in;
	int64_t when;
	const char *day;
} fields[] = {
    {"Fri, 21 Nov 1997 09:55:06 -0600", 880127706, "21-Nov-1997"},
    {"Tue, 1 Jul 2003 10:52:37 +0200", 1057049557, "1-Jul-2003"},
    {"21 Nov 97 09:55:06 GMT", 880106106, "21-Nov-1997"},
    {"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n             "
     "  -0330 "
     "(Newfoundland Time)",
     -27723480, "13-Feb-1969"},
    {"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706, "21-Nov-1997"},
    {" (a (b \\) c)) 1 Jan 1970 00:00:00 +0000", 0, "1-Jan-1970"},
    {"1 Jan 1970 00:00", 0, "1-Jan-1970"},
    {"1 Jan 1970", 0, "1-Jan-1970"},
    {"1 Jan 49 00:00:00 Z", 2493072000, "1-Jan-2049"},
    {"1 Jan 50 00:00:00 Z", -631152000, "1-Jan-1950"},
    {"1 Jan 103 00:00:00 Z", 1041379200, "1-Jan-2003"},
    {"1-Feb-1994 1:2:3 EST", 760082523, "1-Feb-1994"},
    {"Mon, 31 Dec 2001 23:59:60 PDT", 1009868400, "31-Dec-2001"},
    {"31 Dec 2001 23.59.59 +2359", 1009756859, "31-Dec-2001"},
    {"Sat Sep 28 12:34:56 2002", 1033216496, "28-Sep-2002"},
    {"Sat Sep  7 12:34:56 MDT 2002", 1031423696, "7-Sep-2002"},
    {"September 7 12:34:56 2002", 1031402096, "7-Sep-2002"},
    {"Mi, 4 Sep 2002 12:00:00 +0200", 1031133600, "4-Sep-2002"},
    {"29 Feb 2000 00:00:00 K", 951782400, "29-Feb-2000"},
    {"29 february 2000 00:00:00 +9900", 951782400, "29-Feb-2000"},
    {"01 Jan 2000 00:00:00 --0100", 946684800, "1-Jan-2000"},
};

static const char *const no_fields[] = {
    "",
    " ",
    "(",
    "(\\",
    "Mon",
    "1",
    "Mon, 1",
    "32 Jan 2000",
    "30 Feb 2000",
    "29 Feb 1900 0:0:0",
    "1 Foo 2000",
    "0 Jan 2000",
    "1 Jan 2",
    "1 Jan 20000",
    "1 Jan 2000 24:00:00",
    "1 Jan 2000 00:60",
    "1 Jan 2000 xx",
    "1 Jan 2000 1",
    "Jan 1 2000",
    "2000-01-01 00:00:00",
    "999999999999 Jan 2000",
};

static void
dates_of_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct date d = {0};
		int32_t day = 0;

		check_true(date_header(guarded(span_of(fields[i].in)), &d), "row %zu",
		           i);
		check_num((uint64_t)d.when, (uint64_t)fields[i].when,
		          "when of row %zu: %s", i, fields[i].in);
		assert_true(date_day(span_of(fields[i].day), &day));
		check_num((uint64_t)d.day, (uint64_t)day, "day of row %zu", i);
		guard_free_all();
	}
	for (size_t i = 0; i < ARRAY_LEN(no_fields); i++) {
		struct date d;

		check_true(!date_header(guarded(span_of(no_fields[i])), &d), "`%s'",
		           no_fields[i]);
		guard_free_all();
	}
}

/* Whatever is cut off a good one, and whatever octet is another: read within bounds. */
static void
broken_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct span whole = span_of(fields[i].in);
		struct date d;

		for (size_t n = 0; n < whole.n; n++) {
			date_header(guarded((struct span){whole.p, n}), &d);
			guard_free_all();
		}
	}
}

static void
days_of_imap(void **state)
{
	static const char *const good[] = {"1-Feb-1994", "01-Feb-1994", "29-feb-2000",
	                                   "31-DEC-9999", "1-Jan-0000"};
	static const char *const bad[] = {
	    "",
	    "1",
	    "1-Feb",
	    "1-Feb-94",
	    "1-Feb-19940",
	    "31-Feb-1994",
	    "0-Feb-1994",
	    "1-February-1994",
	    " 1-Feb-1994",
	    "1-Feb-1994 ",
	    "1-Foo-1994",
	    "001-Feb-1994",
	    "1 Feb 1994",
	    "29-Feb-1900",
	    "-1-Feb-1994",
	    "1-Feb--994",
	};
	int32_t day = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		check_true(date_day(guarded(span_of(good[i])), &day), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		check_true(!date_day(guarded(span_of(bad[i])), &day), "`%s'", bad[i]);
	assert_true(date_day(SPAN("1-Feb-1994"), &day));
	assert_int_equal(day, 760060800 / 86400);
	guard_free_all();
}

static void
times_of_imap(void **state)
{
	static const char *const same[] = {
	    "17-Jul-1996 02:44:25 -0700", "01-Jan-1970 00:00:00 +0000",
	    "31-Dec-9999 23:59:59 +0000", "01-Jan-0000 00:00:00 +0000",
	    "29-Feb-2000 12:34:56 +1245", "31-Dec-1969 23:59:59 -0030",
	};
	static const char *const bad[] = {
	    "",
	    "17-Jul-1996",
	    "17-Jul-1996 02:44:25",
	    "17-Jul-1996 02:44:25 0700",
	    "17-Jul-1996 02:44:25 -070",
	    "17-Jul-1996 02:44:25 -07000",
	    "17-Jul-1996 2:44:25 -0700",
	    "17-Jul-1996 24:00:00 -0700",
	    "17-Jul-1996 02:44:61 -0700",
	    "17-Jul-1996 02:44:25 -2400",
	    "17-Jul-1996 02:44:25 -0060",
	    "17-Jul-1996 02:44:25 GMT",
	    " 17-Jul-1996 02:44:25 -0700",
	    "31-Jun-1996 02:44:25 -0700",
	};
	struct date d;
	char again[DATE_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		check_true(date_time(guarded(span_of(same[i])), &d), "%s", same[i]);
		date_print(d.when, d.zone, again);
		assert_string_equal(again, same[i]);
		check_num((uint64_t)date_day_of(d.when, d.zone), (uint64_t)d.day, "%s",
		          same[i]);
		guard_free_all();
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		check_true(!date_time(guarded(span_of(bad[i])), &d), "`%s'", bad[i]);
		guard_free_all();
	}
	assert_true(date_time(SPAN(" 7-Jul-1996 02:44:25 -0700"), &d));
	assert_int_equal(d.when, 836732665);
	/* whatever the number, something of the grammar comes out */
	date_print(INT64_MAX, 0, again);
	assert_string_equal(again, "31-Dec-9999 23:59:59 +0000");
	date_print(INT64_MIN, -60, again);
	assert_string_equal(again, "01-Jan-0000 00:00:00 -0100");
}

/* Against gmtime(3), over some 4000 years. */
static void
the_calendar(void **state)
{
	(void)state;
	for (int64_t when = -60000000000; when < 60000000000; when += 8639977) {
		time_t t = (time_t)when;
		char want[64], got[DATE_SIZE];
		struct tm tm;

		assert_non_null(gmtime_r(&t, &tm));
		strftime(want, sizeof want, "%d-%b-%Y %H:%M:%S +0000", &tm);
		date_print(when, 0, got);
		if (tm.tm_year + 1900 >= 1000) /* strftime does not pad the year */
			assert_string_equal(got, want);
		check_num(
		    (uint64_t)date_day_of(when, 0),
		    (uint64_t)((when - (((when % 86400) + 86400) % 86400)) / 86400),
		    "%s", got);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(dates_of_fields), cmocka_unit_test(broken_fields),
	    cmocka_unit_test(days_of_imap),    cmocka_unit_test(times_of_imap),
	    cmocka_unit_test(the_calendar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
