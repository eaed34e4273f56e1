/* io: whole reads and writes; nothing that a user planted is followed or believed. */
#include "storage/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/support/check.h"

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

static void
put(const char *name, struct span text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd != -1);
	assert_int_equal(io_write_all(fd, text), 0);
	close(fd);
}

static void
get(const char *name, struct buf *out)
{
	int fd = openat(dir, name, O_RDONLY);

	assert_true(fd != -1);
	buf_reset(out);
	assert_int_equal(io_slurp(fd, out), 0);
	close(fd);
}

/* ---- whole reads and writes ---- */

static void *
read_slowly(void *arg)
{
	int fd = *(int *)arg;
	struct buf *got = calloc(1, sizeof *got);
	char c[777];
	ssize_t n;

	while ((n = read(fd, c, sizeof c)) > 0)
		if (buf_add(got, (struct span){c, (size_t)n}) == -1)
			abort();
	return got;
}

/* A pipe takes less than it is given: the rest follows, in order. */
static void
writes_all_of_many_pieces(void **state)
{
	struct iovec v[40];
	struct buf want = {0}, *got;
	char *piece = malloc(20000);
	pthread_t t;
	int fds[2];

	(void)state;
	assert_non_null(piece);
	for (int i = 0; i < 20000; i++)
		piece[i] = (char)i;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		v[i] = (struct iovec){piece + i, i % 5 == 0 ? 0 : 20000 - i};
		assert_int_equal(buf_add(&want, (struct span){piece + i, v[i].iov_len}), 0);
	}
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pthread_create(&t, NULL, read_slowly, &fds[0]), 0);
	assert_int_equal(io_writev_all(fds[1], v, ARRAY_LEN(v)), 0);
	assert_int_equal(io_write_all(fds[1], SPAN("end")), 0);
	assert_int_equal(buf_add(&want, SPAN("end")), 0);
	close(fds[1]);
	assert_int_equal(pthread_join(t, (void **)&got), 0);
	assert_int_equal(got->n, want.n);
	assert_memory_equal(got->p, want.p, want.n);
	close(fds[0]);
	buf_free(got);
	free(got);
	buf_free(&want);
	free(piece);
}

static void
reads_and_writes_in_place(void **state)
{
	char got[16];
	int fd;

	(void)state;
	put("f", SPAN("0123456789"));
	assert_true((fd = openat(dir, "f", O_RDWR)) != -1);
	assert_int_equal(io_pwrite_all(fd, SPAN("abc"), 4), 0);
	assert_int_equal(io_pread_full(fd, got, 4, 3), 4);
	check_mem(got, 4, "3abc", "inside");
	assert_int_equal(io_pread_full(fd, got, sizeof got, 8), 2);
	assert_int_equal(io_pread_full(fd, got, sizeof got, 10), 0);
	assert_int_equal(io_pread_full(fd, got, sizeof got, 99), 0);
	close(fd);
	assert_int_equal(io_pread_full(fd, got, 1, 0), -1);
	assert_int_equal(errno, EBADF);
}

static void
slurps_to_its_ceiling(void **state)
{
	struct buf b = {.max = 10};
	int fd;

	(void)state;
	put("f", SPAN("0123456789"));
	assert_true((fd = openat(dir, "f", O_RDONLY)) != -1);
	assert_int_equal(io_slurp(fd, &b), 0);
	check_mem(b.p, b.n, "0123456789", "exactly full");
	close(fd);
	buf_reset(&b);
	b.max = 9;
	assert_true((fd = openat(dir, "f", O_RDONLY)) != -1);
	assert_int_equal(io_slurp(fd, &b), -1);
	assert_int_equal(errno, EMSGSIZE);
	close(fd);
	buf_reset(&b);
	b.max = 0;
	put("f", SPAN(""));
	get("f", &b);
	assert_int_equal(b.n, 0);
	/* a file whose size says nothing */
	assert_true((fd = open("/proc/self/status", O_RDONLY)) != -1);
	assert_int_equal(io_slurp(fd, &b), 0);
	assert_true(b.n > 100);
	close(fd);
	buf_free(&b);
}

/* ---- what a user may have planted ---- */

static void
opens_nothing_outside(void **state)
{
	static const struct {
		const char *path;
		int error; /* 0: it opens */
	} row[] = {
	    {"f", 0},	     {"sub/f", 0},	  {"sub/../f", 0},  {"link", ELOOP},
	    {"dirlink/f", ELOOP}, {"../x", EXDEV}, {"/etc/passwd", EXDEV},
	    {"sub/../../x", EXDEV}, {"none", ENOENT}, {"proc", ENOENT},
	};

	(void)state;
	put("f", SPAN("x"));
	assert_int_equal(mkdirat(dir, "sub", 0700), 0);
	put("sub/f", SPAN("x"));
	assert_int_equal(symlinkat("f", dir, "link"), 0);
	assert_int_equal(symlinkat("sub", dir, "dirlink"), 0);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		int fd = io_open_beneath(dir, row[i].path, O_RDONLY, 0);

		if (row[i].error == 0) {
			check_true(fd != -1, "row %zu", i);
			check_true(fcntl(fd, F_GETFD) & FD_CLOEXEC, "close-on-exec, row %zu", i);
			close(fd);
		} else
			check_true(fd == -1 && errno == row[i].error, "row %zu: %d", i, errno);
	}
}

static void
opens_only_regular_files(void **state)
{
	int fd;

	(void)state;
	put("f", SPAN("x"));
	assert_true((fd = io_open_regular(dir, "f", O_RDONLY, geteuid(), false)) != -1);
	close(fd);
	assert_int_equal(io_open_regular(dir, "f", O_RDONLY, geteuid() + 1, false), -1);
	assert_int_equal(errno, EPERM);
	assert_true((fd = io_open_regular(dir, "f", O_RDONLY, (uid_t)-1, false)) != -1);
	close(fd);
	assert_int_equal(linkat(dir, "f", dir, "hard", 0), 0);
	assert_int_equal(io_open_regular(dir, "f", O_RDONLY, geteuid(), false), -1);
	assert_int_equal(errno, EMLINK);
	assert_true((fd = io_open_regular(dir, "f", O_RDONLY, geteuid(), true)) != -1);
	close(fd);
	/* a fifo must not hold us up, a directory is none */
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	assert_int_equal(io_open_regular(dir, "fifo", O_RDONLY, geteuid(), false), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(mkdirat(dir, "sub", 0700), 0);
	assert_int_equal(io_open_regular(dir, "sub", O_RDONLY, geteuid(), false), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(symlinkat("f", dir, "link"), 0);
	assert_int_equal(io_open_regular(dir, "link", O_RDONLY, geteuid(), true), -1);
	assert_int_equal(errno, ELOOP);
}

/* ---- replacing ---- */

static void
replaces_or_leaves(void **state)
{
	struct buf b = {0};
	struct stat st;

	(void)state;
	assert_int_equal(io_replace(dir, "f", "f.tmp", SPAN("one"), 0640), 0);
	get("f", &b);
	check_mem(b.p, b.n, "one", "made");
	assert_int_equal(io_replace(dir, "f", "f.tmp", SPAN("two"), 0640), 0);
	get("f", &b);
	check_mem(b.p, b.n, "two", "replaced");
	assert_int_equal(fstatat(dir, "f.tmp", &st, 0), -1);
	/* it cannot be renamed over a directory: as before, and nothing left over */
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(io_replace(dir, "d", "d.tmp", SPAN("x"), 0600), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(fstatat(dir, "d.tmp", &st, 0), -1);
	/* planted links, of either kind, are not written through */
	for (int hard = 0; hard <= 1; hard++) {
		assert_int_equal(hard ? linkat(dir, "f", dir, "evil.tmp", 0)
				      : symlinkat("f", dir, "evil.tmp"), 0);
		assert_int_equal(io_replace(dir, "g", "evil.tmp", SPAN("x"), 0600), 0);
		get("f", &b);
		check_mem(b.p, b.n, "two", "not written through, hard %d", hard);
		assert_int_equal(fstatat(dir, "g", &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_true(S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_size == 1);
	}
	buf_free(&b);
}

/* ---- descriptors ---- */

static void
passes_a_descriptor(void **state)
{
	char text[64];
	struct buf b = {0};
	int s[2], fd, got;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
	put("f", SPAN("inside"));
	assert_true((fd = openat(dir, "f", O_RDONLY)) != -1);
	assert_int_equal(io_send_fd(s[0], fd, SPAN("user 1")), 0);
	close(fd);
	assert_int_equal(io_recv_fd(s[1], &got, text, sizeof text), 6);
	check_mem(text, 6, "user 1", "text");
	assert_true(got != -1);
	assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(io_slurp(got, &b), 0);
	check_mem(b.p, b.n, "inside", "the same file");
	close(got);
	assert_int_equal(send(s[0], "plain", 5, 0), 5);
	assert_int_equal(io_recv_fd(s[1], &got, text, sizeof text), 5);
	assert_int_equal(got, -1);
	close(s[0]);
	assert_int_equal(io_recv_fd(s[1], &got, text, sizeof text), 0);
	assert_int_equal(io_send_fd(s[1], dir, SPAN("x")), -1);
	assert_int_equal(errno, EPIPE); /* and no signal */
	close(s[1]);
	buf_free(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(writes_all_of_many_pieces), TEST(reads_and_writes_in_place),
	    TEST(slurps_to_its_ceiling),     TEST(opens_nothing_outside),
	    TEST(opens_only_regular_files),  TEST(replaces_or_leaves),
	    TEST(passes_a_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
