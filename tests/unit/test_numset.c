/* numset: as RFC 9051 writes sets, and against a naive twin of one bit per number. */
#include "storage/base/numset.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static const struct {
	const char *in;
	uint32_t star;
	const char *want; /* NULL: EINVAL */
	uint64_t count;
} row[] = {
    {"1", 9, "1", 1},
    {"1:5,7,9:*", 12, "1:5,7,9:12", 10},
    {"9:*", 3, "3:9", 7},
    {"*", 3, "3", 1},
    {"*:*", 3, "3", 1},
    {"*:2", 5, "2:5", 4},
    {"5:1", 9, "1:5", 5},
    {"3,1,2", 9, "1:3", 3},
    {"1:4,2:6,6", 9, "1:6", 6},
    {"1,3,5,4", 9, "1,3:5", 4},
    {"4294967295", 9, "4294967295", 1},
    {"1:4294967295", 9, "1:4294967295", 4294967295u},
    {"4294967294:*,4294967295", 4294967295u, "4294967294:4294967295", 2},
    {"*", 0, "", 0},
    {"3:*", 0, "1:3", 3},
    {"", 9, NULL, 0},
    {",", 9, NULL, 0},
    {"1,", 9, NULL, 0},
    {",1", 9, NULL, 0},
    {"1,,2", 9, NULL, 0},
    {"1:", 9, NULL, 0},
    {":1", 9, NULL, 0},
    {":", 9, NULL, 0},
    {"1:2:3", 9, NULL, 0},
    {"0", 9, NULL, 0},
    {"0:4", 9, NULL, 0},
    {"1:0", 9, NULL, 0},
    {"4294967296", 9, NULL, 0},
    {"18446744073709551617", 9, NULL, 0},
    {"1 ", 9, NULL, 0},
    {"a", 9, NULL, 0},
    {"-1", 9, NULL, 0},
    {"**", 9, NULL, 0},
    {"1:*x", 9, NULL, 0},
};

static void
parses_and_prints(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct numset s = {0};
		struct buf out = {0};
		int rc = numset_parse(guarded(span_of(row[i].in)), row[i].star, 100, &s);

		if (row[i].want == NULL) {
			check_true(rc == -1 && errno == EINVAL, "row %zu (%s)", i, row[i].in);
		} else {
			check_num((uint64_t)rc, 0, "row %zu (%s)", i, row[i].in);
			assert_int_equal(numset_print(&s, &out), 0);
			check_mem(out.p, out.n, row[i].want, "row %zu", i);
			check_num(numset_count(&s), row[i].count, "count, row %zu", i);
		}
		buf_free(&out);
		numset_free(&s);
	}
	guard_free_all();
}

static void
has_its_ceiling(void **state)
{
	struct numset s = {0};

	(void)state;
	assert_int_equal(numset_parse(SPAN("1,3,5"), 9, 3, &s), 0);
	numset_free(&s);
	assert_int_equal(numset_parse(SPAN("1,3,5,7"), 9, 3, &s), -1);
	assert_int_equal(errno, EMSGSIZE);
	numset_free(&s);
	/* what joins needs one range only */
	assert_int_equal(numset_parse(SPAN("1,2,3,4,5,6"), 9, 1, &s), 0);
	numset_free(&s);
}

/* Ascending, neither touching nor overlapping, the very numbers of the twin. */
#define SPACE 200

static void
check_against_twin(const struct numset *s, const bool twin[SPACE], unsigned round)
{
	uint64_t count = 0;

	for (uint32_t v = 1; v < SPACE; v++) {
		count += twin[v];
		check_num(numset_has(s, v), twin[v], "round %u, %u", round, v);
	}
	check_num(numset_count(s), count, "count, round %u", round);
	for (size_t i = 0; i < s->n; i++) {
		check_true(s->r[i].lo >= 1 && s->r[i].lo <= s->r[i].hi, "range, round %u", round);
		if (i > 0)
			check_true(s->r[i - 1].hi + 1 < s->r[i].lo, "apart, round %u", round);
	}
}

static void
adds_as_the_twin_does(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (unsigned round = 0; round < 500; round++) {
		struct numset s = {0};
		bool twin[SPACE] = {false};

		for (unsigned k = 0; k < 30; k++) {
			uint32_t lo = 1 + check_random(&seed) % (SPACE - 1);
			uint32_t hi = lo + check_random(&seed) % 6;

			hi = hi < SPACE ? hi : SPACE - 1;
			assert_int_equal(numset_add(&s, lo, hi), 0);
			for (uint32_t v = lo; v <= hi; v++)
				twin[v] = true;
			check_against_twin(&s, twin, round);
		}
		numset_free(&s);
	}
}

static void
the_ends_of_the_numbers(void **state)
{
	struct numset s = {0};
	struct buf out = {0};

	(void)state;
	assert_false(numset_has(&s, 1));
	assert_int_equal(numset_add(&s, UINT32_MAX, UINT32_MAX), 0);
	assert_int_equal(numset_add(&s, 1, 1), 0);
	assert_int_equal(numset_add(&s, UINT32_MAX - 1, UINT32_MAX - 1), 0);
	assert_int_equal(numset_print(&s, &out), 0);
	check_mem(out.p, out.n, "1,4294967294:4294967295", "ends");
	assert_true(numset_has(&s, UINT32_MAX));
	assert_false(numset_has(&s, UINT32_MAX - 2));
	assert_int_equal(numset_add(&s, 1, UINT32_MAX), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(numset_count(&s), UINT32_MAX);
	buf_free(&out);
	numset_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parses_and_prints),
	    cmocka_unit_test(has_its_ceiling),
	    cmocka_unit_test(adds_as_the_twin_does),
	    cmocka_unit_test(the_ends_of_the_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
