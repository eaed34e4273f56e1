/* line: the same lines however the stream was cut; long ones are answered once. */
#include "storage/base/line.h"

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#define CAP 8

static const struct {
	const char *in, *want; /* R ready, L long: its text; then what is left unended */
} row[] = {
    {"", ""},
    {"a", "(a)"},
    {"\n", "R[]"},
    {"a\n", "R[a]"},
    {"a\r\n", "R[a]"},
    {"a\r\r\n", "R[a\r]"},
    {"\r\n", "R[]"},
    {"a\nb\r\n\nc", "R[a]R[b]R[](c)"},
    {"12345678\nx\n", "R[12345678]R[x]"},
    {"123456789\nx\n", "L[12345678]R[x]"},
    {"1234567\r\nx\n", "R[1234567]R[x]"},
    {"12345678\r\nx\n", "L[12345678]R[x]"},
    {"12345678901234567890\n\nx\n", "L[12345678]R[]R[x]"},
    {"123456789", "(12345678)"},
};

static void
same_however_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++) {
			struct line l = {.buf = guarded_room(CAP), .cap = CAP};
			struct span in = guarded(span_of(row[i].in));
			struct buf got = {0};

			while (in.n > 0) {
				struct span piece = {in.p, in.n < step ? in.n : step};

				in = span_from(in, piece.n);
				while (piece.n > 0) {
					enum line_ev ev = line_push(&l, &piece);
					struct span t = line_text(&l);

					if (ev == LINE_MORE)
						break;
					assert_int_equal(buf_addf(&got, "%c[%.*s]",
								  ev == LINE_READY ? 'R' : 'L',
								  (int)t.n, t.p),
							 0);
				}
				assert_int_equal(piece.n, 0);
			}
			if (!l.done && l.len > 0)
				assert_int_equal(buf_addf(&got, "(%.*s)", (int)l.len, l.buf), 0);
			check_mem(got.p, got.n, row[i].want, "row %zu, step %zu", i, step);
			buf_free(&got);
			guard_free_all();
		}
}

static void
nul_is_an_octet(void **state)
{
	char room[CAP];
	struct line l = {.buf = room, .cap = CAP};
	struct span in = SPAN("a\0b\nc");

	(void)state;
	assert_int_equal(line_push(&l, &in), LINE_READY);
	check_span(line_text(&l), SPAN("a\0b"), "NUL");
	check_span(in, SPAN("c"), "the rest is not taken");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut),
	    cmocka_unit_test(nul_is_an_octet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
