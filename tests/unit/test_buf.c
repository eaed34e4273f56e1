/* buf: grows to its ceiling and no further; what failed left no trace. */
#include "storage/base/buf.h"

#include <errno.h>

#include "tests/unit/support/check.h"

static void
grows(void **state)
{
	struct buf b = {0};
	char *at;

	(void)state;
	assert_int_equal(buf_add(&b, (struct span){NULL, 0}), 0);
	assert_int_equal(b.n, 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(buf_addf(&b, "%u,", i), 0);
	assert_int_equal(b.n, 10 * 2 + 90 * 3 + 900 * 4);
	check_span(span_from(buf_span(&b), b.n - 8), SPAN("998,999,"), "end");
	assert_non_null(at = buf_room(&b, 3));
	memcpy(at, "xyz", 3);
	b.n += 3;
	check_span(span_from(buf_span(&b), b.n - 4), SPAN(",xyz"), "room");
	buf_drop(&b, b.n - 3);
	check_mem(b.p, b.n, "xyz", "drop");
	buf_drop(&b, 1);
	check_mem(b.p, b.n, "yz", "drop one");
	buf_drop(&b, 99);
	assert_int_equal(b.n, 0);
	buf_free(&b);
	assert_null(b.p);
}

static void
keeps_its_ceiling(void **state)
{
	struct buf b = {.max = 8};

	(void)state;
	assert_int_equal(buf_add(&b, SPAN("12345")), 0);
	assert_int_equal(buf_add(&b, SPAN("6789")), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(buf_addf(&b, "%s", "6789"), -1);
	assert_int_equal(errno, EMSGSIZE);
	check_mem(b.p, b.n, "12345", "unchanged");
	/* to the last octet, although printf wants room for a NUL */
	assert_int_equal(buf_addf(&b, "%s", "678"), 0);
	check_mem(b.p, b.n, "12345678", "full");
	assert_int_equal(buf_addc(&b, '9'), -1);
	assert_int_equal(buf_add(&b, SPAN("")), 0);
	assert_null(buf_room(&b, SIZE_MAX));
	assert_int_equal(errno, EMSGSIZE);
	buf_reset(&b);
	assert_int_equal(buf_add(&b, SPAN("again")), 0);
	buf_free(&b);
	assert_int_equal(b.max, 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(grows),
	    cmocka_unit_test(keeps_its_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
