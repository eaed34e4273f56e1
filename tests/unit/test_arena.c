#include "tests/unit/support/check.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "storage/base/arena.h"

/* Blocks of every size, each filled to its end: none reaches into another. */
static void
blocks_are_apart(void **state)
{
	struct arena a = {0};
	unsigned char *p[300];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_LEN(p); i++) {
			size_t n = i * i % 20011;

			assert_non_null(p[i] = arena_alloc(&a, n));
			check_num((uintptr_t)p[i] % sizeof(void *), 0,
			          "alignment of %zu", i);
			for (size_t k = 0; k < n; k++)
				check_num(p[i][k], 0, "octet %zu of block %zu is zero",
				          k, i);
			memset(p[i], (int)i & 0xff, n);
		}
		for (size_t i = 0; i < ARRAY_LEN(p); i++)
			for (size_t k = 0; k < i * i % 20011; k++)
				check_num(p[i][k], i & 0xff, "octet %zu of block %zu",
				          k, i);
		arena_reset(&a);
		check_num(a.used, 0, "used after reset");
	}
	arena_free(&a);
}

static void
ceiling_holds(void **state)
{
	struct arena a = {.max = 1000};

	(void)state;
	assert_non_null(arena_alloc(&a, 900));
	errno = 0;
	assert_null(arena_alloc(&a, 900));
	check_num((uint64_t)errno, EMSGSIZE, "errno past the ceiling");
	errno = 0;
	assert_null(arena_alloc(&a, SIZE_MAX - 3));
	assert_true(errno == ENOMEM || errno == EMSGSIZE);
	assert_non_null(arena_alloc(&a, 10));
	arena_reset(&a);
	assert_non_null(arena_alloc(&a, 900));
	arena_free(&a);
}

static void
copies_are_own(void **state)
{
	struct arena a = {0};
	char text[] = "abc";
	struct span s = arena_copy(&a, (struct span){text, 3});

	(void)state;
	text[0] = 'x';
	check_mem(s.p, s.n, "abc", "copy");
	s = arena_copy(&a, (struct span){NULL, 0});
	assert_non_null(s.p);
	check_num(s.n, 0, "empty copy");
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(blocks_are_apart),
	    cmocka_unit_test(ceiling_holds),
	    cmocka_unit_test(copies_are_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
