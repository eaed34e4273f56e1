/* utf7: every character there and back, and nothing that has two spellings. */
#include "storage/base/utf7.h"

#include <stdio.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static void
utf8_is_strict(void **state)
{
	static const struct {
		const char *s;
		bool good;
	} utf8[] = {
	    {"", true},		    {"a", true},	      {"\x7f", true},
	    {"\xc3\xbc", true},	    {"\xe2\x82\xac", true},   {"\xf0\x9f\x98\x8a", true},
	    {"\xf4\x8f\xbf\xbf", true}, {"\x80", false},      {"\xc3", false},
	    {"\xc0\x80", false},    {"\xc1\xbf", false},      {"\xe0\x80\x80", false},
	    {"\xe0\x9f\xbf", false}, {"\xed\xa0\x80", false}, {"\xed\xbf\xbf", false},
	    {"\xf0\x8f\xbf\xbf", false}, {"\xf4\x90\x80\x80", false}, {"\xf5\x80\x80\x80", false},
	    {"\xff", false},	    {"\xe2\x82", false},      {"\xe2\x82" "a", false},
	    {"\xee\x80\x80", true}, {"\xed\x9f\xbf", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(utf8); i++)
		check_num(utf8_is_valid(guarded(span_of(utf8[i].s))), utf8[i].good, "row %zu",
			  i);
	guard_free_all();
}

static void
utf7_of_every_character(void **state)
{
	(void)state;
	for (uint32_t c = 1; c <= 0x10ffff; c += c < 0x3000 ? 1 : 37) {
		char u[8];
		struct span in = {u, 0};
		struct buf seven = {0}, back = {0};

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		if (c < 0x80)
			in.n = (size_t)snprintf(u, sizeof u, "%c", (int)c);
		else if (c < 0x800)
			in.n = (size_t)snprintf(u, sizeof u, "%c%c", (int)(0xc0 | c >> 6),
						(int)(0x80 | (c & 63)));
		else if (c < 0x10000)
			in.n = (size_t)snprintf(u, sizeof u, "%c%c%c", (int)(0xe0 | c >> 12),
						(int)(0x80 | (c >> 6 & 63)),
						(int)(0x80 | (c & 63)));
		else
			in.n = (size_t)snprintf(u, sizeof u, "%c%c%c%c", (int)(0xf0 | c >> 18),
						(int)(0x80 | (c >> 12 & 63)),
						(int)(0x80 | (c >> 6 & 63)),
						(int)(0x80 | (c & 63)));
		check_num((uint64_t)utf7_encode(in, &seven), 0, "U+%04X", c);
		check_num((uint64_t)utf7_decode(buf_span(&seven), &back), 0, "U+%04X", c);
		check_span(buf_span(&back), in, "U+%04X", c);
		buf_free(&seven);
		buf_free(&back);
	}
}

static void
utf7_takes_one_spelling(void **state)
{
	static const struct {
		const char *seven, *eight; /* NULL: refused */
	} row[] = {
	    {"", ""},
	    {"a&-b", "a&b"},
	    {"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
	    {"&2D3eCg-", "\xf0\x9f\x98\x8a"},
	    {"&Jjo-!", "\xe2\x98\xba!"},
	    {"&", NULL},
	    {"a&b", NULL},
	    {"&APw", NULL},
	    {"&AGE-", NULL},
	    {"&APz-", NULL},
	    {"&A/w-", NULL},
	    {"&2D0-", NULL},
	    {"&3go-", NULL},
	    {"&AC8-", NULL},
	    {"&U,BTFw-&ZeVnLIqe-", NULL},
	    {"Entw\xc3\xbcrfe", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct buf out = {0};
		int rc;

		assert_int_equal(buf_add(&out, SPAN("kept")), 0);
		rc = utf7_decode(guarded(span_of(row[i].seven)), &out);
		check_num((uint64_t)rc, row[i].eight != NULL ? 0 : (uint64_t)-1, "row %zu", i);
		buf_drop(&out, 4);
		check_span(buf_span(&out), span_of(row[i].eight != NULL ? row[i].eight : ""),
			   "row %zu", i);
		buf_free(&out);
	}
	guard_free_all();
}

static void
utf7_of_no_utf8(void **state)
{
	struct buf out = {0};

	(void)state;
	assert_int_equal(buf_add(&out, SPAN("kept")), 0);
	assert_int_equal(utf7_encode(SPAN("a\xc3\xbc\xc3"), &out), -1);
	check_mem(out.p, out.n, "kept", "what was there");
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(utf8_is_strict),
	    cmocka_unit_test(utf7_of_every_character),
	    cmocka_unit_test(utf7_takes_one_spelling),
	    cmocka_unit_test(utf7_of_no_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
