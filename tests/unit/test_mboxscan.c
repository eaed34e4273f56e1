/*
 * mboxscan, mbox_chunks: however an mbox is cut, with and without counting, by one thread or
 * by several, the same messages are found; sizes are those of the octets that are visible.
 * The cases of tests/data/mbox go the same way, through mboxdump.
 */
#include "tests/unit/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/mbox_window.h"
#include "tests/unit/support/mboxtwin.h"

#define F "From a@b Thu Nov 29 22:33:51 2001\n"
#define G "From c@d Thu Nov 29 22:33:52 2001\n"
#define Q "From mailtree-mboxrd Thu Nov 29 22:33:52 2001\n"

static struct pool *pool;

static int
file_of(struct span text)
{
	int fd = memfd_create("mbox", MFD_CLOEXEC);

	if (fd == -1 || (text.n > 0 && io_pwrite_all(fd, text, 0) == -1))
		check_fail("a file in memory");
	return fd;
}

static void
check_same(const struct twin *got, const struct twin *want, const char *how, size_t n,
           size_t row)
{
	const char *why = twin_differ(got, want);

	if (why != NULL)
		check_fail("row %zu, %s %zu: %s is another", row, how, n, why);
}

static void
check_cuts(struct span text, size_t row, size_t most)
{
	struct twin want = {0};

	twin_scan(text, SIZE_MAX, false, &want);
	for (size_t step = 1; step <= most; step++)
		for (int count = 0; count < 2; count++) {
			struct twin got = {0};

			twin_scan(text, step, count, &got);
			check_same(&got, &want, count ? "counting, step" : "step", step,
			           row);
			twin_free(&got);
		}
	twin_free(&want);
}

static void
check_chunks(struct span text, size_t row, uint64_t chunk)
{
	struct twin want = {0};
	int fd = file_of(text);

	twin_scan(text, SIZE_MAX, true, &want);
	for (int count = 0; count < 2; count++) {
		struct twin got = {0};

		twin_chunks(fd, text.n, count, chunk, pool, &got);
		check_same(&got, &want, count ? "counting, chunks of" : "chunks of",
		           chunk, row);
		twin_free(&got);
	}
	twin_free(&want);
	close(fd);
}

/* ---- a table ------------------------------------------------------------------------------- */

static const char *const row[] = {
    "",
    "\n\n",
    "no mbox\n",
    F,
    "From a@b Thu Nov 29 22:33:51 2001",
    F "\n",
    F "\n\n",
    F "A: 1\n",
    F "A: 1\n\n",
    F "A: 1\n\n\n",
    F "A: 1\n\none\n\n" G "B: 2\n\n.two",
    F "A: 1\n\none\n\n" G "B: 2\n\ntwo\r",
    F "A: 1\r\n\r\none\r\n\r\n" G "B: 2\r\n\r\ntwo\r\n",
    F "A: 1\n\none\n\n\n" G "\n" F "X-UID: 3\n\n" G,
    F "X-UID: 3\n\n\n" G "Status: RO\nX-UID: 3\n",
    F "A: 1\n\nFrom here\nFrom \nFrom\nFro\n" G "\nF",
    F "A: 1\n\nFrom",
    F "A: 1\nContent-Length: 4\n\none\n\n" G "B: 2\nContent-Length: 4\n\ntwo\n",
    F "A: 1\nContent-Length: 0\n\n" G "Content-Length: 0\n\n\n" F "\n",
    F "A: 1\nContent-Length: 39\n\none\n" G "\n" G "\n",
    F "Content-Length: 78\n\n" G "A: 1\n\ntwo\n" F "A: 1\n\n.two\n\n" G "B: 2\n\n\x80",
    F "Content-Length: 3\n\none\n\n" G "Content-Length: 9999\n\ntwo\n" G "\n",
    F "X-IMAPbase: 5 6 one two\nX-UID: 1\nX-Keywords: one three\n\n" G
      "X-Keywords: four\n\tfive\n\n" F "X-Keywords:  \n\n",
    Q "A: 1\n\n>From x\n\n" F "A: 1\n\n>From x\n",
    F "A: 1\n continued\nStatus: R\n O\n\r\r\n\r\nbody\r\r\n\n" G " \n\n",
};

static void
same_however_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		check_cuts(span_of(row[i]), i, strlen(row[i]) + 1);
}

static void
same_by_chunks(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (uint64_t chunk = 1; chunk <= strlen(row[i]) + 1; chunk++)
			check_chunks(span_of(row[i]), i, chunk);
}

/* ---- at random ----------------------------------------------------------------------------- */

static uint64_t seed;

static unsigned
any(unsigned n)
{
	return check_random(&seed) % n;
}

static const char *const piece[] = {
    F,
    G,
    Q,
    "\n",
    "\r\n",
    "\n",
    "From here on\n",
    "From ",
    "F",
    "A: 1\n",
    "Subject: x\r\n",
    "\tmore\n",
    "text\n",
    ".\n",
    "\r",
    "X-UID: 7\n",
    "Status: RO\n",
    "X-Keywords: a b\n",
    "X-Keywords:\n",
    "X-IMAPbase: 5 9 a c\n",
};

/* Pieces, and now and then a length that may be right and leads over some of them. */
static void
add_pieces(struct buf *out, unsigned n)
{
	struct buf body = {0};

	while (n-- > 0) {
		const char *p = piece[any(ARRAY_LEN(piece))];

		if (any(10) == 0) {
			buf_reset(&body);
			add_pieces(&body, n < 30 ? n / 2 : 15);
			if (buf_addf(out, F "A: 1\nContent-Length: %zu\n\n",
			             body.n + (any(4) == 0)) == -1)
				check_fail("no memory");
			if (body.n > 0 && buf_add(out, buf_span(&body)) == -1)
				check_fail("no memory");
			p = any(2) ? "\n" G : G;
		}
		if (buf_add(out, span_of(p)) == -1)
			check_fail("no memory");
	}
	buf_free(&body);
}

static void
same_at_random(void **state)
{
	(void)state;
	for (size_t i = 0; i < check_rounds(400); i++) {
		struct buf text = {0};

		if (buf_add(&text, span_of(F)) == -1)
			check_fail("no memory");
		add_pieces(&text, 1 + any(80));
		check_cuts(buf_span(&text), i, 3);
		for (int k = 0; k < 6; k++)
			check_chunks(buf_span(&text), i, 1 + any((unsigned)text.n + 9));
		buf_free(&text);
	}
}

/* Messages longer than what is read at a time, one with a whole mbox in it; more keywords
 * than a chunk keeps. */
static void
same_when_long(void **state)
{
	static const uint64_t chunks[] = {1 << 16, 300000, 1 << 20, 4 << 20};
	struct buf text = {0}, inner = {0};
	static char word[MBOXSCAN_VALUE_MAX];

	(void)state;
	for (unsigned i = 0; i < 4000; i++)
		if (buf_addf(&inner, G "A: %u\nX-Keywords: k%u\n\n%*s\n\n", i, i % 50,
		             (int)any(700), "x") == -1)
			check_fail("no memory");
	for (unsigned i = 0; i < 3; i++)
		if (buf_add(&text, buf_span(&inner)) == -1 ||
		    buf_addf(&text, F "B: 1\nContent-Length: %zu\n\n", inner.n) == -1 ||
		    buf_add(&text, buf_span(&inner)) == -1 ||
		    buf_addf(&text, G "B: 2\n\n%*s\n", 600000, "y") == -1)
			check_fail("no memory");
	memset(word, 'k', sizeof word - 1);
	for (unsigned i = 0; i < 300; i++)
		if (buf_addf(&text, G "X-Keywords: %s%u\n\n\n", word, i) == -1)
			check_fail("no memory");
	for (size_t i = 0; i < ARRAY_LEN(chunks); i++)
		check_chunks(buf_span(&text), i, chunks[i]);
	buf_free(&text);
	buf_free(&inner);
}

/* More fields in one header than a chunk keeps: the first message's, and a later one's. */
static void
same_with_many_fields(void **state)
{
	static const uint64_t chunks[] = {1 << 16, 1 << 20, 8 << 20};
	struct buf text = {0};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		if (buf_addf(&text, F "A: %u\nX-Keywords: before\n\n\n" G, i) == -1)
			check_fail("no memory");
		for (unsigned k = 0; k < 60000; k++)
			if (buf_addf(&text, "X-Keywords: k%u\n", k) == -1)
				check_fail("no memory");
		if (buf_addf(&text, "\nbody\n\n") == -1)
			check_fail("no memory");
	}
	for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
		check_chunks(buf_span(&text), i, chunks[i]);
		check_chunks(span_from(buf_span(&text), strlen(F "A: 0\nX-Keywords: before\n\n\n")),
		             i, chunks[i]);
	}
	buf_free(&text);
}

/* Octets that this process has read so far. */
static uint64_t
octets_read(void)
{
	unsigned long long n;
	FILE *f = fopen("/proc/self/io", "re");

	if (f == NULL || fscanf(f, "rchar: %llu", &n) != 1)
		check_fail("/proc/self/io");
	fclose(f);
	return n;
}

/* In each chunk a message that says, rightly as far as its end shows, that it is the rest. */
static void
what_misleads_is_not_read_for_each_chunk(void **state)
{
	enum { SIZE = 32 << 20, CHUNK = 1 << 20 };
	char *text = malloc(SIZE), head[200];
	struct twin got = {0};
	uint64_t before;
	int fd;

	(void)state;
	if (text == NULL)
		check_fail("no memory");
	memset(text, 'x', SIZE);
	for (size_t at = 79; at < SIZE; at += 80)
		text[at] = '\n';
	for (size_t at = 0; at < SIZE; at += CHUNK / 4) {
		int n = snprintf(head, sizeof head, "%s" F "Content-Length: %08zu\n\n",
		                 at > 0 ? "\n" : "", (size_t)0), m;

		m = snprintf(head, sizeof head, "%s" F "Content-Length: %08zu\n\n",
		             at > 0 ? "\n" : "", SIZE - at - (size_t)n);
		memcpy(text + at, head, (size_t)m);
	}
	fd = file_of((struct span){text, SIZE});
	before = octets_read();
	twin_chunks(fd, SIZE, true, CHUNK, pool, &got);
	check_num(got.n, 1, "messages");
	check_true(octets_read() - before < 5ull * SIZE, "%ju octets were read of %d",
	           (uintmax_t)(octets_read() - before), SIZE);
	twin_free(&got);
	close(fd);
	free(text);
}

static void
too_short(void **state)
{
	static const char text[] = F "A: 1\n\none\n\n" G "B: 2\n\ntwo\n";
	struct twin got = {0};
	int fd = file_of(span_of(text));

	(void)state;
	for (uint64_t chunk = 1; chunk < 99; chunk += 7) {
		twin_chunks(fd, sizeof text + 50, true, chunk, pool, &got);
		check_num((uint64_t)got.error, EIO, "errno of a file cut short");
		twin_free(&got);
	}
	close(fd);
}

/* Where a message lay in a file that is shorter now. */
static void
beyond_the_end(void **state)
{
	struct mbox_window w;
	struct span in;
	int fd = file_of(SPAN("octets"));

	(void)state;
	check_num((uint64_t)mbox_window_open(&w, fd, 6, 16), 0, "open");
	check_num((uint64_t)mbox_window_at(&w, 6, false, &in), 0, "at the end");
	check_num(in.n, 0, "octets at the end");
	for (int few = 0; few < 2; few++) {
		errno = 0;
		if (mbox_window_at(&w, 7, few, &in) != -1)
			check_fail("octets beyond the end");
		check_num((uint64_t)errno, EIO, "errno beyond the end");
	}
	mbox_window_close(&w);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut), cmocka_unit_test(same_by_chunks),
	    cmocka_unit_test(same_at_random),   cmocka_unit_test(same_when_long),
	    cmocka_unit_test(same_with_many_fields),
	    cmocka_unit_test(what_misleads_is_not_read_for_each_chunk),
	    cmocka_unit_test(too_short),        cmocka_unit_test(beyond_the_end),
	};
	int rc;

	if (pool_open(3, &pool) == -1)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	pool_close(pool);
	return rc;
}
