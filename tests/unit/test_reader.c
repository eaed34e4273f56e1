/* reader: the octets of messages around every edge, and of messages that go away. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/fakebox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "protocol/reader.h"
#include "storage/base/io.h"

static struct fakebox fb;
static struct view view;
static struct reader reader;

static int
setup(void **state)
{
	struct view_conf conf;

	(void)state;
	fakebox_make(&fb);
	conf = fakebox_conf(&fb);
	check_num((uint64_t)view_open(&conf, &view), 0, "view");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	reader_close(&reader);
	view_close(&view);
	fakebox_remove(&fb);
	return 0;
}

static void
open_reader(void)
{
	check_num((uint64_t)reader_open(&view, fb.head.wire_size, &reader), 0,
	          "reader");
}

/* A message of n octets, 0 or >= 2, that tells its own offsets; ends in CR LF. */
static struct span
message_of(size_t n, unsigned seed)
{
	static char *room;
	static size_t cap;

	if (n > cap && (room = realloc(room, cap = n)) == NULL)
		abort();
	for (size_t i = 0; i < n; i++)
		room[i] = (char)('!' + (i * 7 + i / 251 + seed) % 90);
	if (n > 0)
		memcpy(room + n - 2, "\r\n", 2);
	return (struct span){room, n};
}

static struct mt_record *
add(size_t n, unsigned seed)
{
	return fakebox_add(&fb, message_of(n, seed), 0);
}

static struct reader_message
as_message(const struct mt_record *r)
{
	return (struct reader_message){.uid = r->uid,
	                               .wire_off = r->wire_off,
	                               .size = r->wire_size,
	                               .has_nul = r->bits & MT_NUL};
}

/* All octets; -1 when it cannot begin, -2 when it stops in the middle. */
static int
read_all(const struct mt_record *r, struct buf *out)
{
	struct reader_message m = as_message(r);
	struct span part;
	int rc;

	buf_reset(out);
	if (!reader_begin_held(&reader, &m) && reader_begin(&reader, &m) == -1)
		return -1;
	while ((rc = reader_next(&reader, &part)) == 1)
		if (buf_add(out, part) == -1)
			abort();
	return rc == -1 ? -2 : 0;
}

static void
check_message(const struct mt_record *r, unsigned seed, const char *what)
{
	struct buf got = {0};

	check_num((uint64_t)read_all(r, &got), 0, "%s: UID %u: %s", what, r->uid,
	          strerror(errno));
	check_num(got.n, r->wire_size, "%s: UID %u: octets", what, r->uid);
	check_true(span_eq(buf_span(&got), message_of(r->wire_size, seed)),
	           "%s: UID %u: other octets", what, r->uid);
	buf_free(&got);
}

static void
check_fails(const struct mt_record *r, int error, const char *what)
{
	struct buf got = {0};

	errno = 0;
	check_num((uint64_t)read_all(r, &got), (uint64_t)-1, "%s: UID %u", what,
	          r->uid);
	check_num((uint64_t)errno, (uint64_t)error, "%s: UID %u: errno", what, r->uid);
	buf_free(&got);
}

static void
check_gone(const struct mt_record *r, const char *what)
{
	check_fails(r, ENOENT, what);
}

static void
sizes_around_every_edge(void **state)
{
	static const size_t edges[] = {0,
	                               4096,
	                               65536,
	                               READER_WINDOW - 4096,
	                               READER_WINDOW,
	                               2 * READER_WINDOW,
	                               3 * READER_WINDOW};
	unsigned n = 0;

	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(edges); e++)
		for (int d = -3; d <= 3; d++)
			if (edges[e] + (size_t)d + 3 > 5 || d == -(int)edges[e])
				(void)add((size_t)((ssize_t)edges[e] + d), n++);
	open_reader();
	for (unsigned i = 0; i < n; i++)
		check_message(&fb.rec[i], i, "forwards");
	for (unsigned i = n; i-- > 0;)
		check_message(&fb.rec[i], i, "backwards");
	for (unsigned i = 0; i < n; i++)
		check_message(&fb.rec[i * 17 % n], i * 17 % n, "mixed");
}

static void
neighbours_cost_no_read(void **state)
{
	struct reader_message m;
	unsigned reads = 0;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		(void)add(5000, i);
	open_reader();
	for (unsigned i = 0; i < 200; i++) {
		m = as_message(&fb.rec[i]);
		reads += reader_begin_held(&reader, &m) ? 0 : 1;
		check_message(&fb.rec[i], i, "in order");
	}
	check_true(reads <= 200 * 5000 / (READER_WINDOW - 4096 - 5000) + 1,
	           "%u windows", reads);
}

/* Spans of earlier messages stay good while reader_begin_held says so. */
static void
held_spans_stay(void **state)
{
	struct span first, second;
	struct reader_message m;

	(void)state;
	(void)add(1000, 1);
	(void)add(1000, 2);
	open_reader();
	m = as_message(&fb.rec[0]);
	check_true(!reader_begin_held(&reader, &m), "not yet");
	check_num((uint64_t)reader_begin(&reader, &m), 0, "begin");
	check_num((uint64_t)reader_next(&reader, &first), 1, "first");
	m = as_message(&fb.rec[1]);
	check_true(reader_begin_held(&reader, &m), "held");
	check_num((uint64_t)reader_next(&reader, &second), 1, "second");
	check_true(span_eq(second, message_of(1000, 2)), "second's octets");
	check_true(span_eq(first, message_of(1000, 1)), "first's octets");
	check_num((uint64_t)reader_next(&reader, &second), 0, "end");
	check_num((uint64_t)reader_next(&reader, &second), 0, "end again");
}

static void
removed_behind_our_back(void **state)
{
	static const size_t sizes[] = {2,     100,           4096,
	                               10000, READER_WINDOW, 3 * READER_WINDOW};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		(void)add(300, 100 + i);
		(void)add(sizes[i], i);
	}
	(void)add(300, 200);
	open_reader();
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
		fakebox_vanish(&fb, &fb.rec[2 * i + 1]);
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		check_gone(&fb.rec[2 * i + 1], "gone");
		check_message(&fb.rec[2 * i], 100 + i, "neighbour");
	}
}

/* Read before it went: what memory has is right and may be given. */
static void
removed_after_it_was_read(void **state)
{
	(void)state;
	(void)add(300, 1);
	(void)add(300, 2);
	open_reader();
	check_message(&fb.rec[0], 1, "before");
	fakebox_vanish(&fb, &fb.rec[1]);
	check_message(&fb.rec[1], 2, "from memory");
}

/* Only a part reads as NULs, as when pages were read at different times. */
static void
removed_in_part(void **state)
{
	static const struct {
		size_t size, from, n;
	} row[] = {{5000, 0, 100},
	           {5000, 4900, 100},
	           {5000, 4096, 904},
	           {5000, 100, 1},
	           {3 * READER_WINDOW, 0, 4096},
	           {3 * READER_WINDOW, 3 * READER_WINDOW - 5, 5}};
	char *nuls = calloc(1, 8192);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		struct mt_record *r = add(row[i].size, i);
		uint64_t at = r->wire_off + row[i].from;

		fakebox_vanish(&fb, r);
		if (io_pwrite_all(fb.wire, message_of(row[i].size, i),
		                  (off_t)r->wire_off) == -1 ||
		    io_pwrite_all(fb.wire, (struct span){nuls, row[i].n}, (off_t)at) ==
		        -1)
			check_fail("pwrite");
	}
	open_reader();
	for (unsigned i = 0; i < ARRAY_LEN(row); i++)
		check_gone(&fb.rec[i], "partly");
	free(nuls);
}

/* Too late for an -ERR, but wrong octets never go out. */
static void
removed_in_the_middle_of_a_large_one(void **state)
{
	struct mt_record *r = add(4 * READER_WINDOW, 1);
	struct buf got = {0};
	char nul = 0;

	(void)state;
	fakebox_vanish(&fb, r);
	if (io_pwrite_all(fb.wire, message_of(r->wire_size, 1), (off_t)r->wire_off) ==
	        -1 ||
	    io_pwrite_all(fb.wire, (struct span){&nul, 1}, 3 * READER_WINDOW - 1) == -1)
		check_fail("pwrite");
	open_reader();
	check_num((uint64_t)read_all(r, &got), (uint64_t)-2, "stops");
	check_num(got.n, 2 * READER_WINDOW, "before the window that is bad");
	check_true(memcmp(got.p, message_of(r->wire_size, 1).p, got.n) == 0, "octets");
	buf_free(&got);
}

static void
remove_file(const struct mt_record *r)
{
	char path[128];

	snprintf(path, sizeof path, "%s/INBOX/%u.eml", fb.path, r->uid);
	if (unlink(path) == -1)
		check_fail("%s", path);
}

/* Expunged through mailtree: no file, but `wire` has it for those who hold. */
static void
expunged_but_held(void **state)
{
	(void)state;
	(void)add(1000, 1);
	(void)add(4 * READER_WINDOW + 17, 2);
	open_reader();
	remove_file(&fb.rec[0]);
	remove_file(&fb.rec[1]);
	check_message(&fb.rec[0], 1, "small");
	check_message(&fb.rec[1], 2, "large");
}

static void *
lengthen(void *arg)
{
	const struct buf *octets = arg;

	usleep(20000);
	if (io_pwrite_all(fb.wire, buf_span(octets), (off_t)fb.rec[1].wire_off) == -1)
		abort();
	return NULL;
}

/* The kernel still goes by the size that `wire` had before the message came. */
static void
expunged_before_wire_looks_long_enough(void **state)
{
	struct buf octets = {0};
	pthread_t thread;

	(void)state;
	(void)add(1000, 1);
	(void)add(1000, 2);
	(void)add(1000, 3);
	check_num((uint64_t)buf_add(&octets, message_of(1000, 2)), 0, "buf_add");
	open_reader();
	remove_file(&fb.rec[1]);
	if (ftruncate(fb.wire, 1000) == -1)
		check_fail("ftruncate");
	check_message(&fb.rec[0], 1, "before it");
	pthread_create(&thread, NULL, lengthen, &octets);
	check_message(&fb.rec[1], 2, "it");
	pthread_join(thread, NULL);
	buf_free(&octets);
}

/* Waiting for what does not come is done once, not for each message. */
static void
expunged_from_a_wire_that_stays_short(void **state)
{
	struct timespec began, now;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		(void)add(100, i);
	open_reader();
	if (ftruncate(fb.wire, 0) == -1)
		check_fail("ftruncate");
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (unsigned i = 0; i < 100; i++) {
		remove_file(&fb.rec[i]);
		check_gone(&fb.rec[i], "gone");
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	check_true(now.tv_sec - began.tv_sec < 10, "100 messages took %jd s",
	           (intmax_t)(now.tv_sec - began.tv_sec));
}

/* `wire` is of no use any more (another layout): the file still is. */
static void
wire_is_gone(void **state)
{
	(void)state;
	(void)add(1000, 1);
	(void)add(4 * READER_WINDOW + 17, 2);
	open_reader();
	if (ftruncate(fb.wire, 0) == -1)
		check_fail("ftruncate");
	check_message(&fb.rec[0], 1, "small");
	check_message(&fb.rec[1], 2, "large");
}

/* A file of another size is not the message. */
static void
file_of_another_size(void **state)
{
	char path[128];
	struct mt_record *r = add(4 * READER_WINDOW, 1);

	(void)state;
	snprintf(path, sizeof path, "%s/INBOX/%u.eml", fb.path, r->uid);
	if (truncate(path, 100) == -1)
		check_fail("truncate");
	open_reader();
	check_message(r, 1, "from wire");
	if (ftruncate(fb.wire, 0) == -1)
		check_fail("ftruncate");
	check_fails(r, EIO, "neither");
}

/* The file is open: its removal while it is being read changes nothing. */
static void
large_ones_are_pinned(void **state)
{
	struct mt_record *r = add(3 * READER_WINDOW, 1);
	struct reader_message m = as_message(r);
	struct buf got = {0};
	struct span part;

	(void)state;
	open_reader();
	check_num((uint64_t)reader_begin(&reader, &m), 0, "begin");
	fakebox_vanish(&fb, r);
	while (reader_next(&reader, &part) == 1)
		check_num((uint64_t)buf_add(&got, part), 0, "add");
	check_true(span_eq(buf_span(&got), message_of(r->wire_size, 1)), "octets");
	buf_free(&got);
}

static void
nuls_that_belong(void **state)
{
	static const char small[] = "a\0b\r\n", front[] = "\0b\r\n";
	struct buf got = {0}, large = {0};

	(void)state;
	(void)fakebox_add(&fb, (struct span){small, sizeof small - 1}, 0);
	(void)fakebox_add(&fb, (struct span){front, sizeof front - 1}, 0);
	check_num((uint64_t)buf_add(&large, message_of(3 * READER_WINDOW, 1)), 0,
	          "add");
	large.p[READER_WINDOW] = '\0';
	(void)fakebox_add(&fb, buf_span(&large), 0);
	open_reader();
	check_num((uint64_t)read_all(&fb.rec[0], &got), 0, "small");
	check_span(buf_span(&got), (struct span){small, sizeof small - 1}, "small");
	/* begins with one: its file vouches for it */
	check_num((uint64_t)read_all(&fb.rec[1], &got), 0, "front");
	check_span(buf_span(&got), (struct span){front, sizeof front - 1}, "front");
	remove_file(&fb.rec[2]);
	check_num((uint64_t)read_all(&fb.rec[2], &got), 0, "large");
	check_true(span_eq(buf_span(&got), buf_span(&large)), "large");
	buf_free(&got);
	buf_free(&large);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(sizes_around_every_edge),
	    T(neighbours_cost_no_read),
	    T(held_spans_stay),
	    T(removed_behind_our_back),
	    T(removed_after_it_was_read),
	    T(removed_in_part),
	    T(removed_in_the_middle_of_a_large_one),
	    T(expunged_but_held),
	    T(expunged_before_wire_looks_long_enough),
	    T(expunged_from_a_wire_that_stays_short),
	    T(wire_is_gone),
	    T(file_of_another_size),
	    T(large_ones_are_pinned),
	    T(nuls_that_belong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
