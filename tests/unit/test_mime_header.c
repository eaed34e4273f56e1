/* header: fields, their places and the header's end, at every cut. */
#include "storage/mime/header.h"

#include <inttypes.h>
#include <stdlib.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static void
show(const struct field *f, struct buf *out)
{
	assert_int_equal(buf_addf(out, "%" PRIu64 "+%" PRIu64 "%s ", f->off, f->size,
	                          f->cut ? " cut" : ""),
	                 0);
	assert_int_equal(buf_add(out, f->name), 0);
	assert_int_equal(buf_addc(out, '='), 0);
	assert_int_equal(buf_add(out, f->value), 0);
	assert_int_equal(buf_addc(out, '\n'), 0);
}

/* All fields, then the header's octets and lines, whether it ended, and what is left. */
static void
run_in_steps(struct span in, size_t step, size_t max, struct buf *out)
{
	struct header h = {.max = max};
	enum header_ev ev = HEADER_MORE;

	while (in.n > 0 && ev != HEADER_END) {
		struct span piece = {in.p, in.n < step ? in.n : step};
		size_t n = piece.n;

		while ((ev = header_push(&h, &piece)) == HEADER_FIELD)
			show(&h.field, out);
		in = span_from(in, n - piece.n);
	}
	if (ev == HEADER_END)
		assert_int_equal(buf_addf(out, "end"), 0);
	else
		while (header_finish(&h) == HEADER_FIELD)
			show(&h.field, out);
	assert_int_equal(header_finish(&h), HEADER_END);
	assert_int_equal(
	    buf_addf(out, "%" PRIu64 "/%" PRIu64 "+%zu", h.size, h.lines, in.n), 0);
	header_free(&h);
}

static const struct {
	const char *in, *want;
	size_t max;
} row[] = {
    {"", "0/0+0", 0},
    {"\r\n", "end2/1+0", 0},
    {"\n", "end1/1+0", 0},
    {"\r\nbody", "end2/1+4", 0},
    {"\r", "0+1 =\r\n1/0+0", 0},
    {"A: b\r\n\r\nbody\r\n", "0+6 A=b\nend8/2+6", 0},
    {"A: b\n\nbody", "0+5 A=b\nend6/2+4", 0},
    {"A: b\r\nC:d\r\n", "0+6 A=b\n6+5 C=d\n11/2+0", 0},
    {"A: b", "0+4 A=b\n4/0+0", 0},
    {"A: b\r", "0+5 A=b\r\n5/0+0", 0},
    {"A: b\r\n c\r\n\td\r\n\r\n", "0+14 A=b\r\n c\r\n\td\nend16/4+0", 0},
    {"A: b\r\n \r\n\r\n", "0+9 A=b\r\n \nend11/3+0", 0},
    {"A \t: b\r\n\r\n", "0+8 A=b\nend10/2+0", 0},
    {"A:   b\r\n\r\n", "0+8 A=b\nend10/2+0", 0},
    {"A:\r\n\r\n", "0+4 A=\nend6/2+0", 0},
    {"A:  \r\n\r\n", "0+6 A= \nend8/2+0", 0},
    {"A: \r\n b\r\n\r\n", "0+9 A=\r\n b\nend11/3+0", 0},
    {"no colon\r\nA: b\r\n\r\n", "0+10 =no colon\n10+6 A=b\nend18/3+0", 0},
    {"no\r\n col: on\r\n\r\n", "0+14 =no\r\n col: on\nend16/3+0", 0},
    {": x\r\n\r\n", "0+5 =x\nend7/2+0", 0},
    {" first: blank\r\nA: b\r\n\r\n", "0+15  first=blank\n15+6 A=b\nend23/3+0", 0},
    {"A: b\rC: d\r\n\r\n", "0+11 A=b\rC: d\nend13/2+0", 0},
    {"A: b\n\rC: d\n\n", "0+5 A=b\n5+6 \rC=d\nend12/3+0", 0},
    {"A: b\r\r\n\r\r\n\r\n", "0+7 A=b\r\n7+3 =\r\nend12/3+0", 0},
    {"Abc: defghi\r\nB: c\r\n\r\n", "0+13 cut Abc=def\n13+6 B=c\nend21/3+0", 8},
    {"Abcdefghijkl: m\r\nB: c\r\n", "0+17 cut =Abcdefgh\n17+6 B=c\n23/2+0", 8},
    {"Abc: de\r\n\r\n", "0+9 cut Abc=de\r\nend11/2+0", 8},
};

static void
same_however_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++) {
			struct buf got = {0};

			run_in_steps(guarded(span_of(row[i].in)), step, row[i].max,
			             &got);
			check_span(buf_span(&got), span_of(row[i].want),
			           "row %zu, step %zu", i, step);
			buf_free(&got);
			guard_free_all();
		}
}

static void
nul_is_an_octet(void **state)
{
	struct buf got = {0};

	(void)state;
	run_in_steps(SPAN("A\0B: c\0d\r\n\r\n"), 1, 0, &got);
	check_span(buf_span(&got), SPAN("0+10 A\0B=c\0d\nend12/2+0"), "NUL");
	buf_free(&got);
}

static void
serves_again(void **state)
{
	struct header h = {0};
	struct span in = SPAN("A: b\r\n\r\nrest");

	(void)state;
	assert_int_equal(header_push(&h, &in), HEADER_FIELD);
	assert_int_equal(header_push(&h, &in), HEADER_END);
	assert_int_equal(header_push(&h, &in), HEADER_END);
	check_span(in, SPAN("rest"), "what is left");
	header_reset(&h);
	in = SPAN("C: d\r\n\r\n");
	assert_int_equal(header_push(&h, &in), HEADER_FIELD);
	check_span(h.field.name, SPAN("C"), "second header");
	check_num(h.field.off, 0, "offset begins again");
	header_free(&h);
}

static void
huge_field_is_bounded(void **state)
{
	size_t n = 1 << 20;
	struct header h = {0};
	char *text = malloc(n);
	struct span in = SPAN("A: ");

	(void)state;
	assert_non_null(text);
	memset(text, 'x', n);
	assert_int_equal(header_push(&h, &in), HEADER_MORE);
	for (int i = 0; i < 100; i++) {
		in = (struct span){text, n};
		assert_int_equal(header_push(&h, &in), HEADER_MORE);
	}
	in = SPAN("\r\n\r\n");
	assert_int_equal(header_push(&h, &in), HEADER_FIELD);
	check_true(h.field.cut, "cut");
	check_num(h.field.size, 100 * n + 5, "all is counted");
	check_num(h.held.n, HEADER_FIELD_MAX, "what is held");
	assert_int_equal(header_push(&h, &in), HEADER_END);
	header_free(&h);
	free(text);
}

static void
unfolds(void **state)
{
	static const struct {
		const char *in, *want;
	} fold[] = {
	    {"", ""},
	    {"a", "a"},
	    {"a\r\n b", "a b"},
	    {"a\n\tb", "a\tb"},
	    {"\r\n a\r\n ", " a "},
	    {"a\rb", "a b"},
	    {"a\r\r\n b\r", "a  b "},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fold); i++) {
		struct span in = guarded(span_of(fold[i].in));
		char *out = guarded_room(in.n > 0 ? in.n : 1);
		size_t n = header_unfold(in, out);

		check_span((struct span){out, n}, span_of(fold[i].want), "row %zu", i);
		n = header_unfold(in, (char *)(uintptr_t)in.p);
		check_span((struct span){in.p, n}, span_of(fold[i].want),
		           "row %zu in place", i);
		guard_free_all();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut), cmocka_unit_test(nul_is_an_octet),
	    cmocka_unit_test(serves_again),     cmocka_unit_test(huge_field_is_bounded),
	    cmocka_unit_test(unfolds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
