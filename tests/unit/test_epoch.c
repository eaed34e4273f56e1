/* epoch: it goes on only where everything that was written is read again. */
#include "storage/epoch.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"
#include "tests/unit/support/check.h"

static char path[64];
static int dir;
static uint8_t first[16], next[16];

static int
setup(void **state)
{
	(void)state;
	dir = scratch_make(path);
	check_num((uint64_t)epoch_begin(dir, first), 0, "begin");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(dir);
	scratch_remove(path);
	return 0;
}

static bool
goes_on(void)
{
	check_num((uint64_t)epoch_begin(dir, next), 0, "begin");
	return memcmp(first, next, sizeof first) == 0;
}

/* The file with octets n.. replaced, its check made right when `seal`. */
static void
change(off_t off, struct span by, bool seal)
{
	char text[88];
	uint32_t check;
	int fd = openat(dir, ".epoch", O_RDWR);
	ssize_t n = io_pread_full(fd, text, sizeof text, 0);

	check_num((uint64_t)n, 88, "octets of the file");
	memcpy(text + off, by.p, by.n);
	check = hash_check(text, 84);
	check_num((uint64_t)io_pwrite_all(fd, (struct span){text, 84}, 0), 0, "write");
	if (seal)
		check_num((uint64_t)io_pwrite_all(fd, (struct span){(char *)&check, 4}, 84), 0, "write");
	close(fd);
}

static void
goes_on_after_a_kill(void **state)
{
	(void)state;
	check_true(goes_on(), "the same boot");
	check_true(goes_on(), "and again");
}

static void
goes_on_after_a_good_end(void **state)
{
	(void)state;
	epoch_end(dir, first);
	change(16, SPAN("another boot"), true);
	check_true(goes_on(), "ended");
	change(16, SPAN("another boot"), true);
	check_true(!goes_on(), "it runs again since then");
}

static void
a_power_cut(void **state)
{
	(void)state;
	change(16, SPAN("another boot"), true);
	check_true(!goes_on(), "another boot");
	memcpy(first, next, sizeof first);
	check_true(goes_on(), "the new one");
}

static void
a_spoilt_file(void **state)
{
	(void)state;
	change(0, SPAN("x"), false);
	check_true(!goes_on(), "a wrong check");
	memcpy(first, next, sizeof first);
	check_num((uint64_t)unlinkat(dir, ".epoch", 0), 0, "unlink");
	check_true(!goes_on(), "no file");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(goes_on_after_a_kill),
	    T(goes_on_after_a_good_end),
	    T(a_power_cut),
	    T(a_spoilt_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
