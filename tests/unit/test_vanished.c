/* vanished: every cut and every flipped bit gives the same answer or "not known". */
#include "storage/vanished.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "tests/unit/support/check.h"

static char path[64];
static int dir;
static struct vanished gone;
static const struct mt_header box = {.uidvalidity = 7, .guid = "0123456789abcdef"};

enum { START = 100 };

static int
setup(void **state)
{
	(void)state;
	dir = scratch_make(path);
	check_num((uint64_t)vanished_begin(&gone, dir, &box, START), 0, "begin: %s", strerror(errno));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	vanished_close(&gone);
	vanished_close(&gone);
	close(dir);
	scratch_remove(path);
	return 0;
}

/* n rows: UIDs first, first + 1, ... under modseqs from, from + 1, ... */
static void
add(uint32_t first, uint64_t from, size_t n)
{
	struct vanished_row *row = calloc(n, sizeof *row);

	for (size_t i = 0; i < n; i++)
		row[i] = (struct vanished_row){.uid = first + (uint32_t)i, .modseq = from + i};
	vanished_add(&gone, row, n);
	free(row);
}

static int
by_uid(const void *a, const void *b)
{
	return (*(const uint32_t *)a > *(const uint32_t *)b) -
	       (*(const uint32_t *)a < *(const uint32_t *)b);
}

/* `1,2,3`, or `?` when history does not reach back. */
static void
print(uint64_t since, uint32_t from, struct buf *out)
{
	uint32_t *uid;
	size_t n;
	int rc = vanished_read(&gone, since, from, &uid, &n);

	check_true(rc != -1, "read: %s", strerror(errno));
	buf_reset(out);
	if (rc == 1)
		buf_addc(out, '?');
	if (n > 0)
		qsort(uid, n, sizeof *uid, by_uid);
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%u", i == 0 ? "" : ",", uid[i]);
	free(uid);
}

static void
says(uint64_t since, uint32_t from, const char *want)
{
	struct buf got = {0};

	print(since, from, &got);
	check_span(buf_span(&got), span_of(want), "since %ju", (uintmax_t)since);
	buf_free(&got);
}

static bool
reopen(uint64_t count)
{
	vanished_close(&gone);
	return vanished_open(&gone, dir, &box, count);
}

static void
what_vanished_since(void **state)
{
	(void)state;
	says(START, 1, "");
	says(START - 1, 1, "?");
	add(5, 101, 3);
	add(2, 110, 2);
	for (int again = 0; again < 2; again++) {
		says(99, 1, "?");
		says(100, 1, "2,3,5,6,7");
		says(101, 1, "2,3,6,7");
		says(100, 4, "5,6,7");
		says(103, 1, "2,3");
		says(110, 1, "3");
		says(111, 1, "");
		check_num(vanished_count(&gone), 5, "count");
		check_true(reopen(5), "opened again");
	}
	check_true(!reopen(6), "rows are missing");
	says(UINT64_MAX, 1, "?");
}

static void
another_mailbox(void **state)
{
	struct mt_header other = box;

	(void)state;
	add(1, 101, 1);
	vanished_close(&gone);
	other.uidvalidity++;
	check_true(!vanished_open(&gone, dir, &other, 0), "UIDVALIDITY");
	other = box;
	other.guid[15] ^= 1;
	check_true(!vanished_open(&gone, dir, &other, 0), "GUID");
	check_true(vanished_open(&gone, dir, &box, 1), "its own");
	check_num((uint64_t)unlinkat(dir, "log", 0), 0, "unlink");
	check_true(!reopen(0), "nothing there");
}

/* Whatever is believed, is right. */
static void
believed_is_right(const char *what, size_t at, uint64_t count)
{
	struct buf got = {0};

	if (reopen(count)) {
		print(START, 1, &got);
		check_span(buf_span(&got), SPAN("5,6,7,8,9,10"), "%s at %zu", what, at);
		buf_free(&got);
	}
}

static void
every_octet_spoilt(void **state)
{
	struct buf whole = {0};
	int fd;

	(void)state;
	add(5, 101, 6);
	fd = openat(dir, "log", O_RDWR);
	check_num((uint64_t)io_slurp(fd, &whole), 0, "slurp");
	for (size_t bit = 0; bit < whole.n * 8; bit++) {
		char bad = (char)(whole.p[bit / 8] ^ (1 << bit % 8));

		check_num((uint64_t)io_pwrite_all(fd, (struct span){&bad, 1}, (off_t)(bit / 8)), 0,
			  "pwrite");
		check_true(!reopen(6), "bit %zu", bit);
		check_num((uint64_t)io_pwrite_all(fd, (struct span){whole.p + bit / 8, 1},
						  (off_t)(bit / 8)),
			  0, "pwrite");
	}
	check_true(reopen(6), "as it was");
	for (size_t cut = whole.n; cut-- > 0;) {
		check_num((uint64_t)ftruncate(fd, (off_t)cut), 0, "truncate");
		believed_is_right("cut", cut, 6);
	}
	/* half a row too many is that of a daemon that was killed */
	check_num((uint64_t)io_pwrite_all(fd, buf_span(&whole), 0), 0, "pwrite");
	check_num((uint64_t)io_pwrite_all(fd, SPAN("half a row"), (off_t)whole.n), 0, "pwrite");
	check_true(reopen(6), "half a row");
	add(11, 107, 1);
	says(START, 1, "5,6,7,8,9,10,11");
	close(fd);
	buf_free(&whole);
}

static void
falling_modseqs_are_doubt(void **state)
{
	(void)state;
	add(1, 105, 1);
	add(2, 104, 1);
	check_true(!reopen(2), "believed");
}

static void
the_older_half_goes(void **state)
{
	uint32_t *uid;
	size_t n;

	(void)state;
	add(1, 101, VANISHED_MAX);
	says(START + VANISHED_MAX - 2, 1, "65535,65536");
	add(100000, 101 + VANISHED_MAX, 1);
	for (int again = 0; again < 2; again++) {
		check_num(gone.nrow, VANISHED_MAX / 2, "rows that are left");
		check_num(vanished_count(&gone), VANISHED_MAX + 1, "rows that were");
		check_num((uint64_t)vanished_read(&gone, gone.start - 1, 1, &uid, &n), 1, "from before");
		check_num((uint64_t)vanished_read(&gone, gone.start, 1, &uid, &n), 0, "from there on");
		check_num(n, VANISHED_MAX / 2, "all of it");
		free(uid);
		check_true(reopen(VANISHED_MAX + 1), "opened again");
	}
	add(200000, 2 * VANISHED_MAX, 3 * VANISHED_MAX); /* in one commit */
	check_true(gone.nrow <= VANISHED_MAX, "bounded");
	check_num(vanished_count(&gone), 4 * VANISHED_MAX + 1, "rows that were");
}

static void
what_cannot_be_written_is_not_known(void **state)
{
	(void)state;
	add(1, 101, 1);
	close(gone.fd);
	gone.fd = openat(dir, "log", O_RDONLY);
	add(2, 102, 1);
	says(START, 1, "?");
	check_true(!reopen(0), "nor later");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(what_vanished_since),
	    T(another_mailbox),
	    T(every_octet_spoilt),
	    T(falling_modseqs_are_doubt),
	    T(the_older_half_goes),
	    T(what_cannot_be_written_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
