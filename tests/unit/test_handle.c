/* handle: slots come, are found, are used again; what is left is dropped. */
#include "fs/handle.h"

#include "tests/unit/support/check.h"

static int dropped;

static void
drop(struct fs *fs, void *object)
{
	(void)fs;
	dropped += *(int *)object;
}

static void
put_get_take(void **state)
{
	struct handles *h;
	int a = 1, b = 2;
	uint64_t fa, fb;

	(void)state;
	check_num((uint64_t)handles_open(&h), 0, "open");
	fa = handle_put(h, &a, drop);
	fb = handle_put(h, &b, drop);
	check_true(fa != 0 && fb != 0 && fa != fb, "two handles");
	check_true(handle_get(h, fa) == &a && handle_get(h, fb) == &b, "found");
	check_true(handle_get(h, 0) == NULL, "0 is none");
	check_true(handle_get(h, fb + 1) == NULL && handle_get(h, UINT64_MAX) == NULL,
		   "never given out");
	check_true(handle_take(h, fa) == &a, "taken");
	check_true(handle_get(h, fa) == NULL && handle_take(h, fa) == NULL, "taken once");
	dropped = 0;
	handles_close(NULL, h);
	check_num((uint64_t)dropped, 2, "what was left");
}

static void
many(void **state)
{
	static int objects[5000];
	static uint64_t fh[5000];
	struct handles *h;

	(void)state;
	check_num((uint64_t)handles_open(&h), 0, "open");
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		objects[i] = 1;
		fh[i] = handle_put(h, &objects[i], drop);
	}
	for (size_t i = 0; i < ARRAY_LEN(objects); i += 2)
		check_true(handle_take(h, fh[i]) == &objects[i], "take %zu", i);
	for (size_t i = 0; i < ARRAY_LEN(objects); i += 2) {
		uint64_t again = handle_put(h, &objects[i], drop);

		check_true(again <= ARRAY_LEN(objects), "slots are used again");
		fh[i] = again;
	}
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		check_true(handle_get(h, fh[i]) == &objects[i], "object %zu", i);
	dropped = 0;
	handles_close(NULL, h);
	check_num((uint64_t)dropped, ARRAY_LEN(objects), "all are dropped");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(put_get_take),
	    cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
