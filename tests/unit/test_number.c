/* number: mailbox numbers are durable, never reused, and survive a torn file. */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/number.h"

static char path[64];
static int dir;

static int
setup(void **state)
{
	(void)state;
	dir = scratch_make(path);
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

static uint32_t
get(struct numbers *m, const char *box)
{
	uint32_t n = 0;

	check_num((uint64_t)numbers_get(m, "alice", box, &n), 0, "get %s: %s", box,
		  strerror(errno));
	return n;
}

static struct numbers *
opened(void)
{
	struct numbers *m;

	check_num((uint64_t)numbers_open(dir, &m), 0, "open: %s", strerror(errno));
	return m;
}

static void
same_after_reopening(void **state)
{
	struct numbers *m = opened();
	uint32_t inbox = get(m, "INBOX"), archive = get(m, "Archive/2024");

	(void)state;
	check_true(inbox >= 2 && archive != inbox, "numbers %u and %u", inbox, archive);
	check_num(get(m, "INBOX"), inbox, "asked twice");
	check_num((uint64_t)numbers_sync(m), 0, "sync");
	numbers_close(m);
	m = opened();
	check_num(get(m, "Archive/2024"), archive, "after reopening");
	check_num(get(m, "INBOX"), inbox, "after reopening");
	numbers_close(m);
}

static void
given_up_is_not_used_again(void **state)
{
	struct numbers *m = opened();
	uint32_t old = get(m, "INBOX"), now;

	(void)state;
	check_num((uint64_t)numbers_drop(m, old), 0, "drop");
	now = get(m, "INBOX");
	check_true(now > old, "%u after %u", now, old);
	check_num((uint64_t)numbers_drop(m, now), 0, "drop");
	numbers_close(m);
	m = opened();
	check_true(get(m, "Other") > now, "a number was used twice");
	numbers_close(m);
}

static void
keeps_number_over_rename(void **state)
{
	struct numbers *m = opened();
	uint32_t n = get(m, "A");

	(void)state;
	check_num((uint64_t)numbers_rename(m, n, "alice", "B c"), 0, "rename");
	check_num(get(m, "B c"), n, "under the new name");
	check_true(get(m, "A") != n, "the old name got the same number");
	check_num((uint64_t)numbers_sync(m), 0, "sync");
	numbers_close(m);
	m = opened();
	check_num(get(m, "B c"), n, "after reopening");
	numbers_close(m);
}

/* Cut the file at every octet: no crash, and no number is given to two mailboxes. */
static void
torn_file(void **state)
{
	struct numbers *m = opened();
	struct buf whole = {0};
	int fd;

	(void)state;
	for (int i = 0; i < 12; i++) {
		char name[8] = {(char)('a' + i)};

		get(m, name);
	}
	check_num((uint64_t)numbers_sync(m), 0, "sync");
	numbers_close(m);
	fd = openat(dir, "boxes", O_RDONLY);
	check_num((uint64_t)io_slurp(fd, &whole), 0, "slurp");
	close(fd);
	for (size_t cut = 0; cut <= whole.n; cut++) {
		uint32_t seen[12];

		check_num((uint64_t)io_replace(dir, "boxes", "tmp", (struct span){whole.p, cut}, 0600),
			  0, "replace");
		m = opened();
		for (int i = 11; i >= 0; i--) {
			char name[8] = {(char)('a' + i)};

			seen[i] = get(m, name);
			for (int j = i + 1; j < 12; j++)
				check_true(seen[i] != seen[j], "cut %zu: %u twice", cut, seen[i]);
		}
		check_num((uint64_t)numbers_sync(m), 0, "sync");
		numbers_close(m);
		m = opened();
		for (int i = 0; i < 12; i++) {
			char name[8] = {(char)('a' + i)};

			check_num(get(m, name), seen[i], "cut %zu: %s", cut, name);
		}
		numbers_close(m);
	}
	buf_free(&whole);
}

/* Something else in its place: put aside, and it goes on. */
static void
not_a_file(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct numbers *m;

		unlinkat(dir, "boxes", 0);
		check_num((uint64_t)(i == 0   ? symlinkat("/dev/zero", dir, "boxes")
				     : i == 1 ? mkdirat(dir, "boxes", 0700)
					      : mkfifoat(dir, "boxes", 0600)),
			  0, "plant %d: %s", i, strerror(errno));
		m = opened();
		check_true(get(m, "INBOX") >= 2, "number");
		check_num((uint64_t)numbers_sync(m), 0, "sync %d", i);
		numbers_close(m);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(same_after_reopening, setup, teardown),
	    cmocka_unit_test_setup_teardown(given_up_is_not_used_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(keeps_number_over_rename, setup, teardown),
	    cmocka_unit_test_setup_teardown(torn_file, setup, teardown),
	    cmocka_unit_test_setup_teardown(not_a_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
