/* out: the same octets arrive whatever carries them and however they were gathered. */
#include "tests/unit/support/check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/out.h"
#include "storage/base/io.h"

static char octets[1 << 20];

static int
setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof octets; i++)
		octets[i] = (char)(i * 31 + i / 257);
	return 0;
}

/* Reads to the end, with pauses. */
static void *
reader(void *arg)
{
	static struct buf got;
	int fd = *(int *)arg;
	ssize_t n;

	buf_reset(&got);
	for (unsigned k = 0;; k++) {
		char *room = buf_room(&got, 65536);

		if (room == NULL || (n = read(fd, room, k % 3 == 0 ? 100 : 65536)) <= 0)
			return &got;
		got.n += (size_t)n;
		if (k % 50 == 0)
			usleep(1000);
	}
}

/* Gather pseudo-random pieces, and what they are to arrive as in `want`. */
static void
gather(struct out *o, uint64_t seed, struct buf *want)
{
	for (unsigned i = 0; i < 1000; i++) {
		size_t n = check_random(&seed) % (i % 100 == 0 ? 60000 : 300);
		size_t at = check_random(&seed) % (sizeof octets - n);
		struct span s = {octets + at, n};
		int rc = check_random(&seed) % 2 == 0 ? out_copy(o, s) : out_ref(o, s);

		check_num((uint64_t)rc, 0, "piece %u", i);
		check_num((uint64_t)buf_add(want, s), 0, "piece %u", i);
		if (check_random(&seed) % 200 == 0)
			check_num((uint64_t)out_flush(o), 0, "flush %u", i);
	}
	check_num((uint64_t)out_flush(o), 0, "last flush");
}

static void
arrives_through(int reading, int writing, const char *what)
{
	static struct out o;
	struct buf want = {0};
	pthread_t thread;
	void *got;

	out_open(&o, writing, 10000);
	check_num((uint64_t)pthread_create(&thread, NULL, reader, &reading), 0,
	          "thread");
	gather(&o, 7, &want);
	check_num(o.sent, want.n, "%s: counted", what);
	close(writing);
	pthread_join(thread, &got);
	close(reading);
	check_true(span_eq(buf_span(got), buf_span(&want)), "%s: %zu octets, want %zu",
	           what, ((struct buf *)got)->n, want.n);
	buf_free(got);
	buf_free(&want);
}

static void
through_a_socket(void **state)
{
	int s[2];

	(void)state;
	check_num((uint64_t)socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0, "socketpair");
	arrives_through(s[0], s[1], "socket");
}

static void
through_a_pipe(void **state)
{
	int p[2];

	(void)state;
	check_num((uint64_t)pipe(p), 0, "pipe");
	arrives_through(p[0], p[1], "pipe");
}

static void
into_a_file(void **state)
{
	static struct out o;
	struct buf want = {0}, got = {0};
	int fd = memfd_create("file", MFD_CLOEXEC);

	(void)state;
	out_open(&o, fd, 10000);
	gather(&o, 9, &want);
	check_num((uint64_t)lseek(fd, 0, SEEK_SET), 0, "lseek");
	check_num((uint64_t)io_slurp(fd, &got), 0, "slurp");
	check_true(span_eq(buf_span(&got), buf_span(&want)), "file");
	close(fd);
	buf_free(&got);
	buf_free(&want);
}

static void
a_line_too_long_breaks(void **state)
{
	static struct out o;
	int fd = memfd_create("file", MFD_CLOEXEC);

	(void)state;
	out_open(&o, fd, 10000);
	check_num((uint64_t)out_printf(&o, "%*d", OUT_LINE_MAX, 1), 0,
	          "as long as may be");
	check_num((uint64_t)out_flush(&o), 0, "flush");
	check_num((uint64_t)out_printf(&o, "%*d", OUT_LINE_MAX + 1, 1), (uint64_t)-1,
	          "longer");
	check_num((uint64_t)out_copy(&o, SPAN("x")), (uint64_t)-1, "copy afterwards");
	check_num((uint64_t)out_ref(&o, SPAN("x")), (uint64_t)-1, "ref afterwards");
	check_num((uint64_t)out_flush(&o), (uint64_t)-1, "flush afterwards");
	check_num((uint64_t)lseek(fd, 0, SEEK_END), OUT_LINE_MAX,
	          "nothing more was sent");
	close(fd);
}

/* A pipe that nobody empties: in time, and without a blocking write. */
static void
a_full_pipe_breaks_in_time(void **state)
{
	static struct out o;
	int p[2], rc = 0;

	(void)state;
	check_num((uint64_t)pipe(p), 0, "pipe");
	out_open(&o, p[1], 50);
	for (unsigned i = 0; i < 100 && rc == 0; i++)
		if ((rc = out_ref(&o, (struct span){octets, 60000})) == 0)
			rc = out_flush(&o);
	check_num((uint64_t)rc, (uint64_t)-1, "breaks");
	close(p[0]);
	close(p[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(through_a_socket),
	    cmocka_unit_test(through_a_pipe),
	    cmocka_unit_test(into_a_file),
	    cmocka_unit_test(a_line_too_long_breaks),
	    cmocka_unit_test(a_full_pipe_breaks_in_time),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
