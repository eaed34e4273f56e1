/* dotlock: one at a time, among threads and processes; the dead give way, the live not. */
#include "storage/dotlock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "tests/unit/support/check.h"

#define NAME "dovecot-uidlist"
#define LOCK NAME ".lock"

static char path[64];
static int dir = -1;

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

/* How many names the directory has: locks and what making them might leave behind. */
static unsigned
entries(void)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

static void
plant(const char *text)
{
	int fd = openat(dir, LOCK, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd != -1);
	assert_int_equal(io_write_all(fd, span_of(text)), 0);
	close(fd);
}

static uint64_t
ms_since(const struct timespec *t)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)((now.tv_sec - t->tv_sec) * 1000 + (now.tv_nsec - t->tv_nsec) / 1000000);
}

static void
text_is_as_dovecot_writes_it(void **state)
{
	char want[128], host[65], got[128];
	struct dotlock l;
	int fd;
	ssize_t n;

	(void)state;
	assert_int_equal(dotlock_take(dir, NAME, 0, &l, NULL), 0);
	assert_int_equal(gethostname(host, sizeof host), 0);
	snprintf(want, sizeof want, "%ld:%s", (long)getpid(), host);
	assert_true((fd = openat(dir, LOCK, O_RDONLY)) != -1);
	assert_true((n = read(fd, got, sizeof got)) > 0);
	close(fd);
	check_mem(got, (size_t)n, want, "lock");
	assert_int_equal(entries(), 1);
	assert_int_equal(dotlock_touch(&l), 0);
	assert_int_equal(dotlock_drop(&l), 0);
	assert_int_equal(entries(), 0);
	assert_int_equal(dotlock_drop(&l), -1);
	assert_int_equal(errno, ESTALE);
}

static void
a_second_taker_waits_and_learns_who(void **state)
{
	struct dotlock a, b;
	struct buf holder = {0};
	struct timespec start;
	char pid[32];

	(void)state;
	assert_int_equal(dotlock_take(dir, NAME, 0, &a, NULL), 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(dotlock_take(dir, NAME, 150, &b, &holder), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(ms_since(&start) >= 149); /* both clocks cut to whole milliseconds */
	snprintf(pid, sizeof pid, "%ld:", (long)getpid());
	assert_true(span_starts(buf_span(&holder), span_of(pid)));
	/* another name is another lock */
	assert_int_equal(dotlock_take(dir, "other", 0, &b, NULL), 0);
	assert_int_equal(dotlock_drop(&b), 0);
	assert_int_equal(dotlock_drop(&a), 0);
	assert_int_equal(dotlock_take(dir, NAME, 0, &b, NULL), 0);
	assert_int_equal(dotlock_drop(&b), 0);
	assert_int_equal(entries(), 0);
	buf_free(&holder);
}

/* A process that holds the lock until it is told, or dies. */
static pid_t
other_holder(int *go)
{
	int ready[2], stop[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(stop), 0);
	if ((pid = fork()) == 0) {
		struct dotlock l;

		close(stop[1]);
		if (dotlock_take(dir, NAME, 0, &l, NULL) == -1 || write(ready[1], "r", 1) != 1)
			_exit(1);
		while (read(stop[0], &c, 1) == -1)
			;
		_exit(dotlock_drop(&l) == 0 ? 0 : 2);
	}
	close(ready[1]);
	close(stop[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	*go = stop[1];
	return pid;
}

static void
another_process_is_respected(void **state)
{
	struct dotlock l;
	int go, status;
	pid_t pid = other_holder(&go);

	(void)state;
	assert_int_equal(dotlock_take_stale(dir, NAME, 50, 0, &l, NULL), -1);
	assert_int_equal(errno, EAGAIN); /* alive: never stale, however old */
	close(go);
	assert_int_equal(dotlock_take(dir, NAME, 5000, &l, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(dotlock_drop(&l), 0);
}

static void
a_dead_process_gives_way_at_once(void **state)
{
	struct dotlock l;
	struct timespec start;
	int go, status;
	pid_t pid = other_holder(&go);

	(void)state;
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(dotlock_take(dir, NAME, 1000, &l, NULL), 0);
	assert_true(ms_since(&start) < 500);
	assert_int_equal(dotlock_drop(&l), 0);
	assert_int_equal(entries(), 0);
	close(go);
}

static void
our_own_number_of_an_earlier_life_gives_way(void **state)
{
	char text[128], host[65];
	struct dotlock l;

	(void)state;
	assert_int_equal(gethostname(host, sizeof host), 0);
	snprintf(text, sizeof text, "%ld:%s", (long)getpid(), host);
	plant(text);
	assert_int_equal(dotlock_take(dir, NAME, 0, &l, NULL), 0);
	assert_int_equal(dotlock_drop(&l), 0);
}

static void
of_another_host_only_age_counts(void **state)
{
	static const char *const texts[] = {"1:some-other-host", "", "rubbish", "1:", ":",
					    "99999999999:x"};
	struct dotlock l;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		plant(texts[i]);
		check_num((uint64_t)dotlock_take_stale(dir, NAME, 20, 60, &l, NULL), (uint64_t)-1,
			  "young, row %zu", i);
		assert_int_equal(errno, EAGAIN);
		assert_int_equal(unlinkat(dir, LOCK, 0), 0);
	}
	/* older than one second by the file system's clock */
	plant(texts[0]);
	assert_int_equal(dotlock_take_stale(dir, NAME, 5000, 1, &l, NULL), 0);
	assert_int_equal(dotlock_drop(&l), 0);
	assert_int_equal(entries(), 0);
}

static void
a_lock_that_was_overridden_is_known_to_be(void **state)
{
	struct dotlock l;

	(void)state;
	assert_int_equal(dotlock_take(dir, NAME, 0, &l, NULL), 0);
	assert_int_equal(unlinkat(dir, LOCK, 0), 0);
	plant("1:some-other-host");
	assert_int_equal(dotlock_touch(&l), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(dotlock_drop(&l), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(entries(), 1); /* theirs was left alone */
	assert_int_equal(unlinkat(dir, LOCK, 0), 0);
}

static void
what_is_no_lock_file_is_not_followed(void **state)
{
	struct dotlock l;

	(void)state;
	assert_int_equal(symlinkat("/etc/passwd", dir, LOCK), 0);
	assert_int_equal(dotlock_take(dir, NAME, 20, &l, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(unlinkat(dir, LOCK, 0), 0);
	assert_int_equal(mkfifoat(dir, LOCK, 0600), 0);
	assert_int_equal(dotlock_take(dir, NAME, 20, &l, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(unlinkat(dir, LOCK, 0), 0);
}

static void
errors_are_told(void **state)
{
	char longest[260];
	struct dotlock l;
	int gone;

	(void)state;
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_int_equal(dotlock_take(dir, longest, 0, &l, NULL), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(mkdirat(dir, "gone", 0700), 0);
	assert_true((gone = openat(dir, "gone", O_RDONLY | O_DIRECTORY)) != -1);
	assert_int_equal(unlinkat(dir, "gone", AT_REMOVEDIR), 0);
	assert_int_equal(dotlock_take(gone, NAME, 0, &l, NULL), -1);
	assert_int_equal(errno, ENOENT);
	close(gone);
}

/* Two processes of several threads add to a number in a file, one octet at a time. */
#define ROUNDS 60

static void *
add(void *arg)
{
	char text[32];

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		struct dotlock l;
		ssize_t n;
		int fd;

		if (dotlock_take(dir, NAME, 60000, &l, NULL) == -1)
			abort();
		if ((fd = openat(dir, "sum", O_RDWR | O_CREAT, 0644)) == -1)
			abort();
		if ((n = pread(fd, text, sizeof text - 1, 0)) == -1)
			abort();
		text[n] = '\0';
		n = snprintf(text, sizeof text, "%ld", atol(text) + 1);
		if (pwrite(fd, text, (size_t)n, 0) != n)
			abort();
		close(fd);
		if (dotlock_drop(&l) == -1)
			abort();
	}
	return NULL;
}

static void
adds_lose_nothing(void **state)
{
	pthread_t t[3];
	char text[32] = "";
	int status, fd;
	pid_t pid;

	(void)state;
	if ((pid = fork()) == 0) {
		add(NULL);
		_exit(0);
	}
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, add, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true((fd = openat(dir, "sum", O_RDONLY)) != -1);
	assert_true(read(fd, text, sizeof text - 1) > 0);
	close(fd);
	assert_int_equal(atol(text), ROUNDS * 4);
	assert_int_equal(entries(), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(text_is_as_dovecot_writes_it),
	    TEST(a_second_taker_waits_and_learns_who),
	    TEST(another_process_is_respected),
	    TEST(a_dead_process_gives_way_at_once),
	    TEST(our_own_number_of_an_earlier_life_gives_way),
	    TEST(of_another_host_only_age_counts),
	    TEST(a_lock_that_was_overridden_is_known_to_be),
	    TEST(what_is_no_lock_file_is_not_followed),
	    TEST(errors_are_told),
	    TEST(adds_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
