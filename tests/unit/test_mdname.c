/* mdname: names of other programs are taken apart, ours are what they should be. */
#include "storage/mdname.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/abi.h"
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#define NONE MDNAME_NO_HINT
#define K(c) (1u << ((c) - 'a'))

static const struct {
	const char *name, *base;
	char sep;
	unsigned flags;
	uint32_t keywords;
	const char *letters, *rest;
	uint64_t size, wire;
} row[] = {
    {"", "", 0, 0, 0, "", "", NONE, NONE},
    {"1.a.b", "1.a.b", 0, 0, 0, "", "", NONE, NONE},
    {"1.a.b:2,", "1.a.b", ':', 0, 0, "", "", NONE, NONE},
    {"1.a.b:2,S", "1.a.b", ':', MT_SEEN, 0, "S", "", NONE, NONE},
    {"1.a.b:2,TSRFD", "1.a.b", ':', MT_FLAGS, 0, "TSRFD", "", NONE, NONE},
    {"1.a.b:2,SPa", "1.a.b", ':', MT_SEEN, K('a'), "SPa", "", NONE, NONE},
    {"1.a.b:2,zaS", "1.a.b", ':', MT_SEEN, K('a') | K('z'), "zaS", "", NONE, NONE},
    {"1.a.b:2,S,x:2,T", "1.a.b", ':', MT_SEEN, 0, "S", ",x:2,T", NONE, NONE},
    {"1.a.b:2,,", "1.a.b", ':', 0, 0, "", ",", NONE, NONE},
    {"1.a.b;2,FS", "1.a.b", ';', MT_SEEN | MT_FLAGGED, 0, "FS", "", NONE, NONE},
    {"1.a;b", "1.a;b", 0, 0, 0, "", "", NONE, NONE},
    {"1.a;2,S:2,F", "1.a;2,S", ':', MT_FLAGGED, 0, "F", "", NONE, NONE},
    {"1.a.b:1,S", "1.a.b", ':', 0, 0, "", "", NONE, NONE},
    {"1.a.b:", "1.a.b", ':', 0, 0, "", "", NONE, NONE},
    {"1.a.b:2", "1.a.b", ':', 0, 0, "", "", NONE, NONE},
    {":2,S", "", ':', MT_SEEN, 0, "S", "", NONE, NONE},
    {"1.a,S=12:2,S", "1.a,S=12", ':', MT_SEEN, 0, "S", "", 12, NONE},
    {"1.a,W=13,S=12", "1.a,W=13,S=12", 0, 0, 0, "", "", 12, 13},
    {"1.a,S=12,W=13,U=7:2,", "1.a,S=12,W=13,U=7", ':', 0, 0, "", "", 12, 13},
    {"1.a,S=:2,", "1.a,S=", ':', 0, 0, "", "", NONE, NONE},
    {"1.a,S=1x", "1.a,S=1x", 0, 0, 0, "", "", NONE, NONE},
    {"1.a,S=-1", "1.a,S=-1", 0, 0, 0, "", "", NONE, NONE},
    {"1.a,S=99999999999999999999", "1.a,S=99999999999999999999", 0, 0, 0, "", "", NONE, NONE},
    {"S=5,W=6", "S=5,W=6", 0, 0, 0, "", "", NONE, 6},
};

static void
parses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct mdname m;

		mdname_parse(guarded(span_of(row[i].name)), &m);
		check_mem(m.base.p, m.base.n, row[i].base, "base, row %zu", i);
		check_num((unsigned char)m.sep, (unsigned char)row[i].sep, "sep, row %zu", i);
		check_num(m.flags, row[i].flags, "flags, row %zu", i);
		check_num(m.keywords, row[i].keywords, "keywords, row %zu", i);
		check_mem(m.letters.p, m.letters.n, row[i].letters, "letters, row %zu", i);
		check_mem(m.rest.p, m.rest.n, row[i].rest, "rest, row %zu", i);
		check_num(m.hint_size, row[i].size, "S=, row %zu", i);
		check_num(m.hint_wire, row[i].wire, "W=, row %zu", i);
	}
	guard_free_all();
}

static const struct {
	const char *name;
	unsigned flags;
	uint32_t keywords;
	const char *want;
} changed[] = {
    {"1.a", 0, 0, "1.a:2,"},
    {"1.a", MT_FLAGS, K('a') | K('z'), "1.a:2,DFRSTaz"},
    {"1.a:2,S", 0, 0, "1.a:2,"},
    {"1.a:2,TS", MT_SEEN, 0, "1.a:2,S"},
    {"1.a:2,PS", MT_SEEN | MT_DRAFT, 0, "1.a:2,DPS"},
    {"1.a:2,XaP", MT_ANSWERED, K('b'), "1.a:2,PRXb"},
    {"1.a:2,S,foo=1", MT_FLAGGED, 0, "1.a:2,F,foo=1"},
    {"1.a;2,S", MT_SEEN | MT_FLAGGED, 0, "1.a;2,FS"},
    {"1.a:1,odd", MT_SEEN, 0, "1.a:2,S"},
    {"1.a,S=4:2,", MT_SEEN, 0, "1.a,S=4:2,S"},
};

static void
prints(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changed); i++) {
		struct buf out = {0};
		struct mdname m;

		mdname_parse(guarded(span_of(changed[i].name)), &m);
		assert_int_equal(mdname_print(&m, (uint16_t)changed[i].flags,
					      changed[i].keywords, &out), 0);
		check_mem(out.p, out.n, changed[i].want, "row %zu", i);
		buf_free(&out);
	}
	guard_free_all();
}

static void
too_long_leaves_no_trace(void **state)
{
	char name[MDNAME_MAX + 1];
	struct buf out = {0};
	struct mdname m;

	(void)state;
	memset(name, 'x', sizeof name);
	assert_int_equal(buf_add(&out, SPAN("kept")), 0);
	mdname_parse((struct span){name, MDNAME_MAX - 4}, &m);
	assert_int_equal(mdname_print(&m, MT_SEEN, 0, &out), 0);
	assert_int_equal(out.n, 4 + MDNAME_MAX);
	out.n = 4;
	mdname_parse((struct span){name, MDNAME_MAX - 3}, &m);
	assert_int_equal(mdname_print(&m, MT_SEEN, 0, &out), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	check_mem(out.p, out.n, "kept", "after the failure");
	buf_free(&out);
}

static void
new_names(void **state)
{
	struct buf a = {0}, b = {0}, c = {0};
	struct mdname m;
	char pid[32];

	(void)state;
	assert_int_equal(mdname_unique(&a), 0);
	assert_int_equal(mdname_unique(&b), 0);
	assert_false(span_eq(buf_span(&a), buf_span(&b)));
	assert_true(mdname_valid(buf_span(&a)));
	snprintf(pid, sizeof pid, "P%ldQ", (long)getpid());
	assert_int_equal(buf_addc(&a, '\0'), 0);
	assert_non_null(strstr(a.p, pid));
	assert_int_equal(mdname_sized(buf_span(&b), 10, 12, &c), 0);
	assert_int_equal(mdname_print_info(MT_SEEN | MT_DRAFT, K('c'), &c), 0);
	mdname_parse(buf_span(&c), &m);
	assert_int_equal(m.hint_size, 10);
	assert_int_equal(m.hint_wire, 12);
	assert_int_equal(m.flags, MT_SEEN | MT_DRAFT);
	assert_int_equal(m.keywords, K('c'));
	check_mem(m.letters.p, m.letters.n, "DSc", "letters");
	buf_free(&a);
	buf_free(&b);
	buf_free(&c);
}

static void
valid_names(void **state)
{
	char longest[MDNAME_MAX + 1];

	(void)state;
	memset(longest, 'x', sizeof longest);
	assert_true(mdname_valid(SPAN("1.a")));
	assert_true(mdname_valid(SPAN("\xff \t")));
	assert_true(mdname_valid((struct span){longest, MDNAME_MAX}));
	assert_false(mdname_valid((struct span){longest, MDNAME_MAX + 1}));
	assert_false(mdname_valid(SPAN("")));
	assert_false(mdname_valid(SPAN(".")));
	assert_false(mdname_valid(SPAN("..")));
	assert_false(mdname_valid(SPAN("a/b")));
	assert_false(mdname_valid(SPAN("a\nb")));
	assert_false(mdname_valid(SPAN("a\0b")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parses),	 cmocka_unit_test(prints),
	    cmocka_unit_test(too_long_leaves_no_trace),
	    cmocka_unit_test(new_names), cmocka_unit_test(valid_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
