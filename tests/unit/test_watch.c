/* watch: every kind of change is told, by inotify and by polling; none after watch_del. */
#include "storage/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/support/check.h"

#define MANY 64

static char path[64];
static int dir = -1;
static _Atomic unsigned calls[MANY]; /* by cookie */

static int
setup(void **state)
{
	(void)state;
	dir = scratch_make(path);
	for (size_t i = 0; i < MANY; i++)
		calls[i] = 0;
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

static void
count(void *arg, uint64_t cookie)
{
	(void)arg;
	calls[cookie]++;
}

static void
sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* Whether calls[cookie] rises above `than` within two seconds. */
static bool
rises(size_t cookie, unsigned than)
{
	for (int i = 0; i < 400; i++) {
		if (calls[cookie] > than)
			return true;
		sleep_ms(5);
	}
	return false;
}

static void
make(int at, const char *name)
{
	int fd = openat(at, name, O_WRONLY | O_CREAT, 0600);

	assert_true(fd != -1);
	close(fd);
}

static int
sub(const char *name)
{
	int fd;

	assert_int_equal(mkdirat(dir, name, 0700), 0);
	assert_true((fd = openat(dir, name, O_RDONLY | O_DIRECTORY)) != -1);
	return fd;
}

/* ---- every kind of change, both ways ---- */

static void
do_create(int d)
{
	make(d, "a");
}

static void
do_rename(int d)
{
	assert_int_equal(renameat(d, "a", d, "b"), 0);
}

static void
do_out(int d)
{
	assert_int_equal(renameat(d, "b", dir, "out"), 0);
}

static void
do_in(int d)
{
	assert_int_equal(renameat(dir, "out", d, "b"), 0);
}

static void
do_remove(int d)
{
	assert_int_equal(unlinkat(d, "b", 0), 0);
}

static const struct {
	const char *what;
	void (*change)(int);
} steps[] = {
    {"create", do_create},     {"rename", do_rename}, {"rename away", do_out},
    {"rename into", do_in},    {"remove", do_remove},
};

static void
tells_changes(bool no_inotify)
{
	struct watch *w = watch_open(10, no_inotify, count, NULL);
	int d = sub("d"), other = sub("other");
	int64_t id, id2;

	assert_non_null(w);
	assert_true((id = watch_add(w, d, 1)) >= 0);
	assert_true((id2 = watch_add(w, other, 2)) >= 0);
	assert_int_equal(watch_polled(w, id), no_inotify);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		unsigned before = calls[1];

		/* polling compares time stamps, whose tick may be 10 ms */
		sleep_ms(no_inotify ? 25 : 0);
		before = calls[1];
		steps[i].change(d);
		check_true(rises(1, before), "%s", steps[i].what);
	}
	if (!no_inotify)
		assert_int_equal(calls[2], 0);
	watch_del(w, id);
	watch_del(w, id); /* twice is harmless */
	watch_close(w);
	close(d);
	close(other);
}

static void
inotify_tells_changes(void **state)
{
	(void)state;
	tells_changes(false);
}

static void
polling_tells_changes(void **state)
{
	(void)state;
	tells_changes(true);
}

static void
a_file_written_in_place_is_told(void **state)
{
	struct watch *w = watch_open(1000, false, count, NULL);
	int d = sub("d"), fd;

	(void)state;
	make(d, "list");
	assert_true(watch_add(w, d, 1) >= 0);
	assert_true((fd = openat(d, "list", O_WRONLY | O_APPEND)) != -1);
	assert_int_equal(write(fd, "x", 1), 1);
	sleep_ms(30);
	assert_int_equal(calls[1], 0); /* when it is closed, not before */
	close(fd);
	assert_true(rises(1, 0));
	watch_close(w);
	close(d);
}

/* A change in the tick of the first look has the same time stamp: told all the same. */
static void
polling_looks_twice_after_a_change(void **state)
{
	struct watch *w = watch_open(10, true, count, NULL);
	int d = sub("d");

	(void)state;
	assert_true(watch_add(w, d, 1) >= 0);
	for (int i = 0; i < 300 && calls[1] == 0; i++)
		sleep_ms(10);
	assert_int_equal(calls[1], 1); /* nothing changed; looked at again once */
	sleep_ms(100);
	assert_int_equal(calls[1], 1);
	watch_close(w);
	close(d);
}

static void
one_directory_under_two_cookies(void **state)
{
	struct watch *w = watch_open(1000, false, count, NULL);
	int d = sub("d");
	int64_t a, b;
	unsigned before, before_b;

	(void)state;
	a = watch_add(w, d, 1);
	b = watch_add(w, d, 2);
	assert_true(a >= 0 && b >= 0 && a != b);
	make(d, "x");
	assert_true(rises(1, 0) && rises(2, 0));
	watch_del(w, a);
	sleep_ms(30); /* whatever "x" was still to bring */
	before = calls[1];
	before_b = calls[2];
	make(d, "y");
	assert_true(rises(2, before_b));
	assert_int_equal(calls[1], before);
	watch_del(w, b);
	/* and again, after its watch descriptor is gone */
	assert_true(watch_add(w, d, 3) >= 0);
	make(d, "z");
	assert_true(rises(3, 0));
	watch_close(w);
	close(d);
}

static void
a_directory_that_goes_is_told(void **state)
{
	struct watch *w = watch_open(10, false, count, NULL);
	int d = sub("d");
	int64_t id = watch_add(w, d, 1);

	(void)state;
	close(d);
	assert_int_equal(unlinkat(dir, "d", AT_REMOVEDIR), 0);
	assert_true(rises(1, 0));
	watch_del(w, id);
	watch_close(w);
}

/* ---- overflow ---- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void
count_through_gate(void *arg, uint64_t cookie)
{
	(void)arg;
	pthread_mutex_lock(&gate);
	calls[cookie]++;
	pthread_mutex_unlock(&gate);
}

static long
queue_limit(void)
{
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	long n = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld", &n), 1);
	fclose(f);
	return n;
}

static void
after_an_overflow_everything_is_told(void **state)
{
	struct watch *w = watch_open(1000, false, count_through_gate, NULL);
	int d = sub("d"), quiet = sub("quiet");
	long events = queue_limit() + 5000;

	(void)state;
	assert_true(watch_add(w, d, 1) >= 0);
	assert_true(watch_add(w, quiet, 2) >= 0);
	pthread_mutex_lock(&gate); /* the thread stands still at the first report */
	for (long i = 0; i < events; i += 4) { /* create, close, move from, move to */
		make(d, "a");
		assert_int_equal(renameat(d, "a", d, "b"), 0);
	}
	assert_int_equal(calls[2], 0);
	pthread_mutex_unlock(&gate);
	assert_true(rises(2, 0)); /* though nothing happened there */
	assert_true(calls[1] > 0);
	watch_close(w);
	close(d);
	close(quiet);
}

/* ---- deleting ---- */

struct self {
	struct watch *w;
	int64_t id;
	_Atomic bool ready;
};

static void
delete_itself(void *arg, uint64_t cookie)
{
	struct self *s = arg;

	while (!s->ready)
		sleep_ms(1);
	watch_del(s->w, s->id);
	calls[cookie]++;
}

static void
the_callback_may_delete_itself(void **state)
{
	struct self s = {0};
	int d = sub("d");

	(void)state;
	s.w = watch_open(1000, false, delete_itself, &s);
	s.id = watch_add(s.w, d, 1);
	s.ready = true;
	make(d, "a");
	assert_true(rises(1, 0));
	make(d, "b");
	sleep_ms(50);
	assert_int_equal(calls[1], 1);
	watch_close(s.w);
	close(d);
}

struct slow {
	_Atomic bool inside;
};

static void
take_long(void *arg, uint64_t cookie)
{
	struct slow *s = arg;

	s->inside = true;
	sleep_ms(100);
	calls[cookie]++;
	s->inside = false;
}

static void
deleting_waits_for_a_running_callback(void **state)
{
	struct slow s = {false};
	struct watch *w = watch_open(1000, false, take_long, &s);
	int d = sub("d");
	int64_t id = watch_add(w, d, 1);

	(void)state;
	make(d, "a");
	while (!s.inside)
		sleep_ms(1);
	watch_del(w, id);
	assert_false(s.inside);
	assert_int_equal(calls[1], 1);
	make(d, "b");
	sleep_ms(50);
	assert_int_equal(calls[1], 1);
	watch_close(w);
	close(d);
}

/* Threads that add, change and delete as they like: no report after its delete. */
static _Atomic bool alive[MANY];

static void
must_be_alive(void *arg, uint64_t cookie)
{
	(void)arg;
	if (!alive[cookie])
		abort();
	calls[cookie]++;
}

struct worker {
	struct watch *w;
	int d;
	unsigned n;
};

static void *
come_and_go(void *arg)
{
	struct worker *me = arg;
	char name[16];

	snprintf(name, sizeof name, "f%u", me->n);
	for (int i = 0; i < 300; i++) {
		int64_t id;

		alive[me->n] = true;
		id = watch_add(me->w, me->d, me->n);
		if (id < 0)
			abort();
		make(me->d, name);
		if (unlinkat(me->d, name, 0) == -1)
			abort();
		if (i % 3 == 0)
			sleep_ms(1);
		watch_del(me->w, id);
		alive[me->n] = false;
	}
	return NULL;
}

static void
many_come_and_go(bool no_inotify)
{
	struct watch *w = watch_open(10, no_inotify, must_be_alive, NULL);
	int d = sub("d");
	struct worker worker[4];
	pthread_t t[4];

	for (unsigned i = 0; i < 4; i++) {
		worker[i] = (struct worker){w, d, i};
		assert_int_equal(pthread_create(&t[i], NULL, come_and_go, &worker[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	watch_close(w);
	close(d);
}

static void
come_and_go_inotify(void **state)
{
	(void)state;
	many_come_and_go(false);
	assert_true(calls[0] + calls[1] + calls[2] + calls[3] > 0);
}

static void
come_and_go_polled(void **state)
{
	(void)state;
	many_come_and_go(true);
}

/* ---- falling back ---- */

static void
polls_when_inotify_is_not_to_be_had(void **state)
{
	struct rlimit was, none;
	struct watch *w;
	int d = sub("d"), full[256], n = 0;
	int64_t id;

	(void)state;
	/* inotify_init fails when no descriptor is left: just enough for the eventfd */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){64, was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	while (n < 256 && (full[n] = dup(d)) != -1)
		n++;
	assert_true(n > 0);
	assert_null(watch_open(10, false, count, NULL));
	assert_int_equal(errno, EMFILE);
	close(full[--n]);
	w = watch_open(10, true, count, NULL);
	assert_non_null(w);
	assert_int_equal(watch_add(w, d, 1), -1);
	assert_int_equal(errno, EMFILE);
	while (n > 0)
		close(full[--n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_true((id = watch_add(w, d, 1)) >= 0);
	assert_true(watch_polled(w, id));
	sleep_ms(25);
	make(d, "a");
	assert_true(rises(1, 0));
	watch_close(w);
	close(d);
}

static void
local_file_systems_are_not_polled(void **state)
{
	struct watch *w = watch_open(1000, false, count, NULL);
	int fd;
	int64_t id;

	(void)state;
	assert_true((id = watch_add(w, dir, 1)) >= 0);
	assert_false(watch_polled(w, id));
	make(dir, "file");
	assert_true((fd = openat(dir, "file", O_RDONLY)) != -1);
	assert_true((id = watch_add(w, fd, 2)) >= 0);
	assert_true(watch_polled(w, id)); /* ENOTDIR from inotify: its stat still tells */
	close(fd);
	watch_close(w);
}

/* Under another user's file system ids, whose directory nobody else may read. */
static void
under_another_fsuid(void **state)
{
	struct watch *w;
	int64_t id;
	int d;

	(void)state;
	if (geteuid() != 0) { /* nobody but root can switch: then ours is the only user */
		assert_int_equal(setfsuid((uid_t)-1), geteuid());
		return;
	}
	w = watch_open(1000, false, count, NULL);
	d = sub("d");
	assert_int_equal(fchownat(dir, "d", 65534, 65534, 0), 0);
	setfsuid(65534);
	id = watch_add(w, d, 1);
	setfsuid(0);
	assert_true(id >= 0);
	assert_false(watch_polled(w, id));
	make(d, "a");
	assert_true(rises(1, 0));
	watch_close(w);
	close(d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(inotify_tells_changes),
	    TEST(polling_tells_changes),
	    TEST(a_file_written_in_place_is_told),
	    TEST(polling_looks_twice_after_a_change),
	    TEST(one_directory_under_two_cookies),
	    TEST(a_directory_that_goes_is_told),
	    TEST(after_an_overflow_everything_is_told),
	    TEST(the_callback_may_delete_itself),
	    TEST(deleting_waits_for_a_running_callback),
	    TEST(come_and_go_inotify),
	    TEST(come_and_go_polled),
	    TEST(polls_when_inotify_is_not_to_be_had),
	    TEST(local_file_systems_are_not_polled),
	    TEST(under_another_fsuid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
