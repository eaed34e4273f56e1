/* octets: what check knows of a message's bytes, whatever the cut. */
#include "protocol/command/octets.h"
#include "fs/abi.h"
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#define TEXT(lit) lit, sizeof(lit) - 1

static const struct {
	const char *in;
	size_t n;
	uint64_t header, bare; /* bare: offset of the first bare LF plus 1 */
	uint16_t bits;
	bool ended;
} rows[] = {
    {TEXT(""), 0, 0, 0, true},
    {TEXT("a"), 1, 0, 0, false},
    {TEXT("\r"), 1, 0, 0, false},
    {TEXT("\n"), 1, 1, 0, false},
    {TEXT("\r\n"), 2, 0, 0, true},
    {TEXT("\r\n\r\n"), 2, 0, 0, true},
    {TEXT("A: b\r\n"), 6, 0, 0, true},
    {TEXT("A: b\r\n\r\n"), 8, 0, 0, true},
    {TEXT("A: b\r\n\r\nbody\r\n"), 8, 0, 0, true},
    {TEXT("A: b\r\n\r\r\nbody\r\n"), 17 - 2, 0, 0, true},
    {TEXT("A: b\r\n\r\r\n\r\nx\r\n"), 11, 0, 0, true},
    {TEXT("A: b\nc\r\n"), 8, 5, 0, true},
    {TEXT("a\r\nb\n"), 5, 5, 0, false},
    {TEXT(".\r\n"), 3, 0, MT_DOT, true},
    {TEXT("a.\r\n"), 4, 0, 0, true},
    {TEXT("a\r\n.b\r\n"), 7, 0, MT_DOT, true},
    {TEXT("a\r.b\r\n"), 6, 0, 0, true},
    {TEXT("a\0b\r\n"), 5, 0, MT_NUL, true},
    {TEXT("\200\r\n"), 3, 0, MT_8BIT, true},
    {TEXT("\177\r\n"), 3, 0, 0, true},
    {TEXT("..\0\377\r\n\r\n"), 8, 0, MT_DOT | MT_NUL | MT_8BIT, true},
};

static void
each_row_however_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t step = 1; step <= rows[i].n + 1; step++) {
			struct octets o = {0};

			for (size_t at = 0; at < rows[i].n; at += step) {
				size_t n =
				    rows[i].n - at < step ? rows[i].n - at : step;

				octets_push(&o,
				            guarded((struct span){rows[i].in + at, n}));
			}
			check_num(o.n, rows[i].n, "n, row %zu step %zu", i, step);
			check_num(octets_header(&o), rows[i].header,
			          "header, row %zu step %zu", i, step);
			check_num(o.bare, rows[i].bare, "bare LF, row %zu step %zu", i,
			          step);
			check_num(o.bits, rows[i].bits, "bits, row %zu step %zu", i,
			          step);
			check_num(octets_ended(&o), rows[i].ended,
			          "end, row %zu step %zu", i, step);
			guard_free_all();
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_row_however_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
