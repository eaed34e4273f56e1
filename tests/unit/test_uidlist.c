/* uidlist: what Dovecot writes is read at every cut, what it would refuse is refused. */
#include "storage/uidlist.h"

#include <errno.h>
#include <stdio.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#define GUID "1d8eed0f4cfa9a4a3d0d0000b4e1d8a3"

/* Everything reported, as text. */
static int
say_header(void *arg, const struct uidlist_header *h)
{
	struct buf *out = arg;

	return buf_addf(out, "H%u V%u N%u %s[%.*s]\n", h->version, h->uidvalidity, h->uidnext,
			h->has_guid ? "G" : "-", (int)h->extra.n, h->extra.p);
}

static int
say_record(void *arg, const struct uidlist_record *r)
{
	struct buf *out = arg;

	return buf_addf(out, "%u [%.*s] %.*s\n", r->uid, (int)r->ext.n, r->ext.p,
			(int)r->name.n, r->name.p);
}

static enum uidlist_error
run(struct uidlist_parser *p, struct span in, size_t step, bool *torn)
{
	uidlist_begin(p);
	for (; in.n > 0; in = span_from(in, step))
		uidlist_push(p, (struct span){in.p, in.n < step ? in.n : step});
	return uidlist_end(p, torn);
}

static const struct {
	const char *in, *want;
	enum uidlist_error error;
	size_t lines;
	uint64_t whole;
	uint32_t uidnext;
	bool torn;
} row[] = {
    {"", "", UIDLIST_HEADER, 0, 0, 0, false},
    {"3 V5 N7 G" GUID "\n", "H3 V5 N7 G[]\n", UIDLIST_OK, 1, 42, 7, false},
    {"3 V5 N7\n1 :a\n3 W9 S8 :b:2,S\n", "H3 V5 N7 -[]\n1 [] a\n3 [W9 S8] b:2,S\n",
     UIDLIST_OK, 3, 28, 7, false},
    /* fields in any order, blanks doubled, unknown keys kept */
    {"3  N7   Pfmt Xyz  V5\n2   W9   Zq  :a b\n", "H3 V5 N7 -[Pfmt Xyz]\n2 [W9 Zq] a b\n",
     UIDLIST_OK, 2, 39, 7, false},
    /* a header has no name to confuse a word with */
    {"3 V5 N7 :x Y\n", "H3 V5 N7 -[:x Y]\n", UIDLIST_OK, 1, 13, 7, false},
    /* a broken GUID is none; a value may hold a colon */
    {"3 V5 N7 G12\n2 P1:2 :a\n", "H3 V5 N7 -[]\n2 [P1:2] a\n", UIDLIST_OK, 2, 22, 7, false},
    /* appended behind the header's nextuid: raised */
    {"3 V5 N2\n2 :a\n9 :b\n", "H3 V5 N2 -[]\n2 [] a\n9 [] b\n", UIDLIST_OK, 3, 18, 10, false},
    /* an append that was cut off */
    {"3 V5 N7\n1 :a\n2 :b.ho", "H3 V5 N7 -[]\n1 [] a\n", UIDLIST_OK, 2, 13, 7, true},
    {"3 V5 N7", "", UIDLIST_HEADER, 0, 0, 0, true},
    /* version 1, Dovecot's and Courier's */
    {"1 5 7\n1 a\n3 b:2,S\n", "H1 V5 N7 -[]\n1 [] a\n3 [] b:2,S\n", UIDLIST_OK, 3, 18, 7, false},
    {"1 5 7\n7 a\n", "H1 V5 N7 -[]\n", UIDLIST_UID_RANGE, 2, 6, 7, false},
    {"1 5\n", "", UIDLIST_HEADER, 1, 0, 0, false},
    /* headers */
    {"2 5 7\n", "", UIDLIST_VERSION, 1, 0, 0, false},
    {"x\n", "", UIDLIST_HEADER, 1, 0, 0, false},
    {"\n", "", UIDLIST_HEADER, 1, 0, 0, false},
    {"3 V5\n", "", UIDLIST_HEADER, 1, 0, 0, false},
    {"3 N5\n", "", UIDLIST_HEADER, 1, 0, 0, false},
    {"3 V0 N5\n", "", UIDLIST_HEADER, 1, 0, 0, false},
    {"3 Vx N5\n", "", UIDLIST_HEADER, 1, 0, 0, false},
    {"3 V4294967296 N5\n", "", UIDLIST_HEADER, 1, 0, 0, false},
    /* records */
    {"3 V5 N7\n1 :a\n1 :b\n", "H3 V5 N7 -[]\n1 [] a\n", UIDLIST_ORDER, 3, 13, 7, false},
    {"3 V5 N7\n3 :a\n2 :b\n", "H3 V5 N7 -[]\n3 [] a\n", UIDLIST_ORDER, 3, 13, 7, false},
    {"3 V5 N7\n0 :a\n", "H3 V5 N7 -[]\n", UIDLIST_UID_RANGE, 2, 8, 7, false},
    {"3 V5 N7\n4294967295 :a\n", "H3 V5 N7 -[]\n", UIDLIST_UID_RANGE, 2, 8, 7, false},
    {"3 V5 N7\n4294967296 :a\n", "H3 V5 N7 -[]\n", UIDLIST_UID_RANGE, 2, 8, 7, false},
    {"3 V5 N7\n4294967294 :a\n", "H3 V5 N7 -[]\n4294967294 [] a\n", UIDLIST_OK, 2, 22,
     4294967295u, false},
    {"3 V5 N7\n1 :a/b\n", "H3 V5 N7 -[]\n", UIDLIST_NAME, 2, 8, 7, false},
    {"3 V5 N7\n1 :\n", "H3 V5 N7 -[]\n", UIDLIST_NAME, 2, 8, 7, false},
    {"3 V5 N7\n1 W5\n", "H3 V5 N7 -[]\n", UIDLIST_RECORD, 2, 8, 7, false},
    {"3 V5 N7\n1\n", "H3 V5 N7 -[]\n", UIDLIST_RECORD, 2, 8, 7, false},
    {"3 V5 N7\n\n", "H3 V5 N7 -[]\n", UIDLIST_RECORD, 2, 8, 7, false},
    {"3 V5 N7\n-1 :a\n", "H3 V5 N7 -[]\n", UIDLIST_RECORD, 2, 8, 7, false},
    {"3 V5 N7\n 1 :a\n", "H3 V5 N7 -[]\n", UIDLIST_RECORD, 2, 8, 7, false},
};

static void
same_however_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++) {
			struct buf got = {0};
			struct uidlist_parser p = {.header = say_header, .record = say_record, .arg = &got};
			bool torn;

			check_num(run(&p, guarded(span_of(row[i].in)), step, &torn),
				  row[i].error, "error of row %zu, step %zu", i, step);
			check_mem(got.p, got.n, row[i].want, "row %zu, step %zu", i, step);
			check_num(p.lines, row[i].lines, "lines, row %zu", i);
			check_num(p.whole, row[i].whole, "whole, row %zu", i);
			check_num(p.uidnext, row[i].uidnext, "uidnext, row %zu", i);
			check_num(torn, row[i].torn, "torn, row %zu, step %zu", i, step);
			buf_free(&got);
			guard_free_all();
		}
}

static void
nul_in_a_name(void **state)
{
	struct buf got = {0};
	struct uidlist_parser p = {.header = say_header, .record = say_record, .arg = &got};
	bool torn;

	(void)state;
	assert_int_equal(run(&p, SPAN("3 V5 N7\n1 :a\0b\n"), 4, &torn), UIDLIST_NAME);
	buf_free(&got);
}

static void
line_ceiling(void **state)
{
	struct buf text = {0}, got = {0};
	struct uidlist_parser p = {.header = say_header, .record = say_record, .arg = &got};
	size_t most = UIDLIST_LINE_MAX - 3;
	bool torn;

	(void)state;
	for (size_t n = most; n <= most + 1; n++) {
		buf_reset(&text);
		assert_int_equal(buf_add(&text, SPAN("3 V5 N7\n1 :")), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(buf_addc(&text, 'x'), 0);
		assert_int_equal(buf_addc(&text, '\n'), 0);
		assert_int_equal(run(&p, buf_span(&text), 1000, &torn),
				 n == most ? UIDLIST_OK : UIDLIST_LONG);
	}
	buf_free(&text);
	buf_free(&got);
}

static int
stop(void *arg, const struct uidlist_record *r)
{
	(void)arg;
	return r->uid == 2;
}

static void
a_callback_stops_it(void **state)
{
	struct buf got = {0};
	struct uidlist_parser p = {.header = say_header, .record = stop, .arg = &got};
	bool torn;

	(void)state;
	assert_int_equal(run(&p, SPAN("3 V5 N7\n1 :a\n2 :b\n3 :c\n"), 100, &torn),
			 UIDLIST_STOPPED);
	assert_int_equal(p.last_uid, 2);
	assert_int_equal(p.whole, 13);
	buf_free(&got);
}

/* ---- writing ---- */

static int
copy_header(void *arg, const struct uidlist_header *h)
{
	return uidlist_print_header(h, arg);
}

static int
copy_record(void *arg, const struct uidlist_record *r)
{
	return uidlist_print_record(r, arg);
}

static void
what_is_written_is_what_was_read(void **state)
{
	static const char text[] = "3 V1252415028 N12 G" GUID " P%f,%v :q\n"
				   "5 W1234 S1200 Guid-of-it :1252415100.M1P2.host,S=1200\n"
				   "6 :\xff odd name:2,S\n"
				   "11 Q :x\n";
	struct buf got = {0};
	struct uidlist_parser p = {.header = copy_header, .record = copy_record, .arg = &got};
	bool torn;

	(void)state;
	assert_int_equal(run(&p, span_of(text), 7, &torn), UIDLIST_OK);
	check_mem(got.p, got.n, text, "copy");
	buf_free(&got);
}

static void
writers_refuse_what_could_not_be_read(void **state)
{
	static const struct uidlist_record bad[] = {
	    {0, {0}, SPAN("a")},	     {UINT32_MAX, {0}, SPAN("a")},
	    {1, {0}, SPAN("")},		     {1, {0}, SPAN("a/b")},
	    {1, {0}, SPAN("a\nb")},	     {1, {0}, SPAN("a\0b")},
	    {1, SPAN("W1\n2 :x"), SPAN("a")}, {1, SPAN("W1 :x"), SPAN("a")},
	};
	static const struct uidlist_header bad_head[] = {
	    {.uidvalidity = 0, .uidnext = 1},
	    {.uidvalidity = 1, .uidnext = 0},
	    {.uidvalidity = 1, .uidnext = 1, .extra = SPAN("P\n")},
	};
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		errno = 0;
		check_num(uidlist_print_record(&bad[i], &out) == -1 && errno == EINVAL, 1,
			  "record %zu", i);
		check_num(out.n, 0, "nothing written, record %zu", i);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_head); i++)
		check_num(uidlist_print_header(&bad_head[i], &out) == -1, 1, "header %zu", i);
	buf_free(&out);
}

static void
keys_by_letter(void **state)
{
	struct span v;

	(void)state;
	assert_true(uidlist_ext(SPAN("W12 PUID1-2 S9"), 'P', &v));
	check_mem(v.p, v.n, "UID1-2", "P");
	assert_true(uidlist_ext(SPAN("W"), 'W', &v));
	assert_int_equal(v.n, 0);
	assert_false(uidlist_ext(SPAN("W12 S9"), 'P', &v));
	assert_false(uidlist_ext(SPAN(""), 'P', &v));
}

static void
every_error_has_a_text(void **state)
{
	(void)state;
	for (int e = UIDLIST_OK; e <= UIDLIST_LONG; e++)
		assert_string_not_equal(uidlist_strerror((enum uidlist_error)e),
					"unknown error");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut),
	    cmocka_unit_test(nul_in_a_name),
	    cmocka_unit_test(line_ceiling),
	    cmocka_unit_test(a_callback_stops_it),
	    cmocka_unit_test(what_is_written_is_what_was_read),
	    cmocka_unit_test(writers_refuse_what_could_not_be_read),
	    cmocka_unit_test(keys_by_letter),
	    cmocka_unit_test(every_error_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
