/* courier: its two files in every version, at every cut; its UIDLs as clients know them. */
#include "storage/courier.h"

#include <stdio.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static int
say_header(void *arg, const struct courier_header *h)
{
	return buf_addf(arg, "H%u V%u N%u\n", h->version, h->uidvalidity, h->uidnext);
}

static int
say_record(void *arg, const struct courier_record *r)
{
	return buf_addf(arg, "%u %u [%.*s] [%.*s]\n", r->uid, r->uidvalidity, (int)r->base.n,
			r->base.p, (int)r->uidl.n, r->uidl.p);
}

static const struct {
	bool sizelist;
	const char *in, *want;
	enum courier_error error;
	size_t lines, bad, bad_line;
} row[] = {
    /* courierimapuiddb */
    {false, "", "", COURIER_HEADER, 0, 0, 0},
    {false, "1 1100 12\n1 a.b\n11 c,S=5\n", "H1 V1100 N12\n1 1100 [a.b] []\n11 1100 [c,S=5] []\n",
     COURIER_OK, 3, 0, 0},
    {false, "1 1100 12\n3 x:2,S", "H1 V1100 N12\n3 1100 [x] []\n", COURIER_OK, 2, 0, 0},
    {false, "1 1100 12\n0 x\ny\n\n4 a/b\n5 ok\n", "H1 V1100 N12\n5 1100 [ok] []\n", COURIER_OK,
     6, 4, 2},
    {false, "2 1100 12\n", "", COURIER_HEADER, 1, 0, 0},
    {false, "1 0 12\n", "", COURIER_HEADER, 1, 0, 0},
    {false, "1 5\n", "", COURIER_HEADER, 1, 0, 0},
    /* courierpop3dsizelist */
    {true, "", "H0 V0 N0\n", COURIER_OK, 0, 0, 0},
    {true, "/3 9 1100\na:2,S 120 4:1100:0\nb 99 5:1050:1\n",
     "H3 V1100 N9\n4 1100 [a] [UID4-1100]\n5 1050 [b] [UID5-1050]\n", COURIER_OK, 3, 0, 0},
    {true, "/2 9 1100\na:2,S 120 4:1100\nb 99 5:0\nc 7 0:0\n",
     "H2 V1100 N9\n4 1100 [a] [UID4-1100]\n5 0 [b] [UID5]\n0 0 [c] [c]\n", COURIER_OK, 4, 0, 0},
    {true, "/1 9\na:2,S 120 4\n", "H1 V0 N9\n4 0 [a] [UID4]\n", COURIER_OK, 2, 0, 0},
    {true, "a'b\"c+d e:2,S 120\nplain 7\n",
     "H0 V0 N0\n0 0 [a'b\"c+d e] [a+27b+22c+2Bd+20e]\n0 0 [plain] [plain]\n", COURIER_OK, 2, 0,
     0},
    {true, "\xe4 1\n", "H0 V0 N0\n0 0 [\xe4] [+E4]\n", COURIER_OK, 1, 0, 0},
    {true, "/3 9 1100\nname with blanks:2, 120 4:1100:0\n",
     "H3 V1100 N9\n4 1100 [name with blanks] [UID4-1100]\n", COURIER_OK, 2, 0, 0},
    {true, "/3 9 1100\na 120\na b c:d:e\n 1 2:3:4\nx 1 2:3:0\n",
     "H3 V1100 N9\n2 3 [x] [UID2-3]\n", COURIER_OK, 5, 3, 2},
    {true, "/4 9 1100\n", "", COURIER_HEADER, 1, 0, 0},
    {true, "/x\n", "", COURIER_HEADER, 1, 0, 0},
    /* a UIDL of more than 70 octets is none: 71 and 70 */
    {true,
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx 1\n"
     "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy 1\n",
     "H0 V0 N0\n"
     "0 0 [xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx] []\n"
     "0 0 [yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy] "
     "[yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy]\n",
     COURIER_OK, 2, 0, 0},
};

static void
same_however_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++) {
			struct buf got = {0};
			struct courier_parser p = {.sizelist = row[i].sizelist,
						   .header = say_header,
						   .record = say_record,
						   .arg = &got};
			struct span in = guarded(span_of(row[i].in));

			courier_begin(&p);
			for (; in.n > 0; in = span_from(in, step))
				courier_push(&p, (struct span){in.p, in.n < step ? in.n : step});
			check_num(courier_end(&p), row[i].error, "row %zu, step %zu", i, step);
			check_mem(got.p, got.n, row[i].want, "row %zu, step %zu", i, step);
			check_num(p.lines, row[i].lines, "lines, row %zu", i);
			check_num(p.bad, row[i].bad, "bad, row %zu", i);
			check_num(p.bad_line, row[i].bad_line, "bad line, row %zu", i);
			buf_free(&got);
			guard_free_all();
		}
}

static void
a_line_without_end_is_bad_not_fatal(void **state)
{
	struct buf text = {0}, got = {0};
	struct courier_parser p = {
	    .sizelist = true, .header = say_header, .record = say_record, .arg = &got};

	(void)state;
	assert_int_equal(buf_add(&text, SPAN("/3 9 1100\n")), 0);
	for (size_t i = 0; i < 2 * COURIER_LINE_MAX; i++)
		assert_int_equal(buf_addc(&text, 'x'), 0);
	assert_int_equal(buf_add(&text, SPAN(" 1 2:3:0\nok 1 2:3:0\n")), 0);
	courier_begin(&p);
	courier_push(&p, buf_span(&text));
	assert_int_equal(courier_end(&p), COURIER_OK);
	assert_int_equal(p.bad, 1);
	check_mem(got.p, got.n, "H3 V1100 N9\n2 3 [ok] [UID2-3]\n", "after the long line");
	buf_free(&text);
	buf_free(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut),
	    cmocka_unit_test(a_line_without_end_is_bad_not_fatal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
