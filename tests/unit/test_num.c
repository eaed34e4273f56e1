/* num: digits only, and not one too many. */
#include "storage/base/num.h"

#include <errno.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#define BAD  (-EINVAL)
#define HUGE (-ERANGE)

static const struct {
	struct span in;
	int r32, r64, rhex; /* 0, or -errno */
	uint64_t value, hex;
} row[] = {
    {SPAN("0"), 0, 0, 0, 0, 0},
    {SPAN("007"), 0, 0, 0, 7, 7},
    {SPAN("10"), 0, 0, 0, 10, 16},
    {SPAN("4294967295"), 0, 0, HUGE, UINT32_MAX, 0},
    {SPAN("4294967296"), HUGE, 0, HUGE, 4294967296u, 0},
    {SPAN("18446744073709551615"), HUGE, 0, HUGE, UINT64_MAX, 0},
    {SPAN("18446744073709551616"), HUGE, HUGE, HUGE, 0, 0},
    {SPAN("99999999999999999999999999"), HUGE, HUGE, HUGE, 0, 0},
    {SPAN("ffffffff"), BAD, BAD, 0, 0, UINT32_MAX},
    {SPAN("FFFFffff"), BAD, BAD, 0, 0, UINT32_MAX},
    {SPAN("1ffffffff"), BAD, BAD, HUGE, 0, 0},
    {SPAN("g"), BAD, BAD, BAD, 0, 0},
    {SPAN(""), BAD, BAD, BAD, 0, 0},
    {SPAN(" 1"), BAD, BAD, BAD, 0, 0},
    {SPAN("1 "), BAD, BAD, BAD, 0, 0},
    {SPAN("+1"), BAD, BAD, BAD, 0, 0},
    {SPAN("-1"), BAD, BAD, BAD, 0, 0},
    {SPAN("0x1"), BAD, BAD, BAD, 0, 0},
    {SPAN("1\0"), BAD, BAD, BAD, 0, 0},
};

static void
only_whole_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct span in = guarded(row[i].in);
		uint32_t v32 = 0, hex = 0;
		uint64_t v64 = 0;
		int rc;

		rc = num_u32(in, &v32) == 0 ? 0 : -errno;
		check_num((uint64_t)rc, (uint64_t)row[i].r32, "u32, row %zu", i);
		rc = num_u64(in, &v64) == 0 ? 0 : -errno;
		check_num((uint64_t)rc, (uint64_t)row[i].r64, "u64, row %zu", i);
		rc = num_hex32(in, &hex) == 0 ? 0 : -errno;
		check_num((uint64_t)rc, (uint64_t)row[i].rhex, "hex, row %zu", i);
		check_num(v64, row[i].value, "value, row %zu", i);
		check_num(hex, row[i].hex, "hex value, row %zu", i);
		if (row[i].r32 == 0)
			check_num(v32, row[i].value, "u32 value, row %zu", i);
	}
	guard_free_all();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(only_whole_numbers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
