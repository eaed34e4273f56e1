/* log: one line per event, which nobody outside can forge; errno survives. */
#include "storage/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "tests/unit/support/check.h"

static int stderr_was, file;

static void
begin(void)
{
	assert_true((file = memfd_create("log", 0)) != -1);
	assert_true((stderr_was = dup(STDERR_FILENO)) != -1);
	assert_true(dup2(file, STDERR_FILENO) != -1);
}

static void
end(struct buf *got)
{
	assert_true(dup2(stderr_was, STDERR_FILENO) != -1);
	close(stderr_was);
	buf_reset(got);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	assert_int_equal(io_slurp(file, got), 0);
	close(file);
}

static void
up_to_its_level(void **state)
{
	struct buf got = {0};

	(void)state;
	log_open("prog", LOG_LEVEL_WARN, false);
	begin();
	log_error("e %d", 1);
	log_warn("w");
	log_info("i");
	log_debug("d");
	end(&got);
	check_mem(got.p, got.n, "prog: error: e 1\nprog: warning: w\n", "warn");
	log_open("prog", LOG_LEVEL_DEBUG, false);
	begin();
	log_info("i");
	log_debug("d");
	end(&got);
	check_mem(got.p, got.n, "prog: i\nprog: debug: d\n", "debug");
	buf_free(&got);
}

static void
no_line_can_be_forged(void **state)
{
	struct buf got = {0};
	char *longest = malloc(10001);

	(void)state;
	assert_non_null(longest);
	log_open("prog", LOG_LEVEL_INFO, false);
	begin();
	errno = ENOTTY;
	log_info("user %s", "a\nprog: error: no\r\033[2J\x7f\xc3\xa4");
	assert_int_equal(errno, ENOTTY);
	end(&got);
	check_mem(got.p, got.n,
		  "prog: user a\\x0aprog: error: no\\x0d\\x1b[2J\\x7f\xc3\xa4\n", "escaped");
	memset(longest, '\n', 10000);
	longest[10000] = '\0';
	begin();
	log_info("%s", longest);
	end(&got);
	assert_true(got.n > 1000 && got.n < 4200);
	assert_ptr_equal(memchr(got.p, '\n', got.n), got.p + got.n - 1);
	free(longest);
	buf_free(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(up_to_its_level),
	    cmocka_unit_test(no_line_can_be_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
