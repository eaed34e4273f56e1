/* confine: what a session can still do afterwards, tried in a child of our own. */
#include "tests/unit/support/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/confine.h"

static char scratch[64];
static int dir;

static int
setup(void **state)
{
	int fd;

	(void)state;
	dir = scratch_make(scratch);
	if ((fd = openat(dir, "1.eml", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) == -1)
		return -1;
	close(fd);
	return mkdirat(dir, "sub", 0700);
}

static int
teardown(void **state)
{
	(void)state;
	close(dir);
	scratch_remove(scratch);
	return 0;
}

/* The kernel's Landlock version; 0: none. */
static long
landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1U);

	return abi < 0 ? 0 : abi;
}

/* Run `act` confined so; its value, or 100 + errno when confining failed. */
static int
confined(int (*shut_in)(int), int (*act)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(shut_in(dir) == -1 && landlock_abi() > 0 ? 100 + errno : act());
	if (pid == -1 || waitpid(pid, &status, 0) == -1 || !WIFEXITED(status))
		check_fail("child");
	return WEXITSTATUS(status);
}

static int
error_of(int rc)
{
	return rc == -1 ? errno : 0;
}

static int
read_inside(void)
{
	return error_of(openat(dir, "1.eml", O_RDONLY));
}

static int
read_outside(void)
{
	return error_of(open("/etc/passwd", O_RDONLY));
}

static int
read_above(void)
{
	return error_of(openat(dir, "../../../../../../etc/passwd", O_RDONLY));
}

static int
write_inside(void)
{
	return error_of(openat(dir, "1.eml", O_WRONLY));
}

static int
make_inside(void)
{
	return error_of(openat(dir, "new", O_WRONLY | O_CREAT, 0600));
}

static int
remove_inside(void)
{
	return error_of(unlinkat(dir, "sub", AT_REMOVEDIR));
}

static int
list_inside(void)
{
	return error_of(openat(dir, "sub", O_RDONLY | O_DIRECTORY));
}

static int
make_and_remove_a_file(void)
{
	int fd = openat(dir, "sub/draft", O_WRONLY | O_CREAT | O_EXCL, 0600);

	if (fd == -1 || write(fd, "x", 1) != 1)
		return errno;
	close(fd);
	return error_of(unlinkat(dir, "sub/draft", 0));
}

static int
make_a_directory(void)
{
	return error_of(mkdirat(dir, "sub/dir", 0700));
}

static int
make_a_link(void)
{
	return error_of(symlinkat("/etc/passwd", dir, "sub/link"));
}

static int
rename_inside(void)
{
	return error_of(renameat(dir, "1.eml", dir, "2.eml"));
}

static int
truncate_inside(void)
{
	return error_of(openat(dir, "1.eml", O_WRONLY | O_TRUNC));
}

static int
write_outside(void)
{
	return error_of(open("/dev/null", O_WRONLY));
}

static int
run_something(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return errno;
}

static int
connect_somewhere(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	                        .sin_port = htons(9),
	                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return s == -1 ? errno
	               : error_of(connect(s, (const struct sockaddr *)&a, sizeof a));
}

static int
signal_parent(void)
{
	return error_of(kill(getppid(), 0));
}

static int
what_needs_no_landlock(void)
{
	struct rlimit core;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ||
	    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    getrlimit(RLIMIT_CORE, &core) == -1)
		return 1;
	return core.rlim_max == 0 ? 0 : 2;
}

struct attempt {
	const char *name;
	int (*act)(void);
	long since; /* Landlock version that it takes; 0: none */
	int want;   /* errno with it */
	int otherwise;
};

static void
try_all(int (*shut_in)(int), const struct attempt *row, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool can = landlock_abi() >= row[i].since;

		check_num((uint64_t)confined(shut_in, row[i].act),
		          (uint64_t)(can ? row[i].want : row[i].otherwise),
		          "%s (Landlock %ld)", row[i].name, landlock_abi());
	}
}

static void
one_that_reads(void **state)
{
	static const struct attempt row[] = {
	    {"no_new_privs, dumpable, core", what_needs_no_landlock, 0, 0, 0},
	    {"read inside", read_inside, 0, 0, 0},
	    {"read outside", read_outside, 1, EACCES, 0},
	    {"read above", read_above, 1, EACCES, 0},
	    {"write inside", write_inside, 0, 0, 0}, /* commands */
	    {"make inside", make_inside, 1, EACCES, 0},
	    {"remove inside", remove_inside, 1, EACCES, 0},
	    {"exec", run_something, 1, EACCES, 0},
	    {"connect", connect_somewhere, 4, EACCES, ECONNREFUSED},
	    {"signal", signal_parent, 6, EPERM, 0},
	};

	(void)state;
	try_all(confine, row, ARRAY_LEN(row));
}

static void
one_that_writes(void **state)
{
	static const struct attempt row[] = {
	    {"no_new_privs, dumpable, core", what_needs_no_landlock, 0, 0, 0},
	    {"read inside", read_inside, 0, 0, 0},
	    {"list inside", list_inside, 0, 0, 0},
	    {"write inside", write_inside, 0, 0, 0},
	    {"a file inside", make_and_remove_a_file, 0, 0, 0},
	    {"read outside", read_outside, 1, EACCES, 0},
	    {"read above", read_above, 1, EACCES, 0},
	    {"write outside", write_outside, 1, EACCES, 0},
	    {"make a directory", make_a_directory, 1, EACCES, 0},
	    {"make a link", make_a_link, 1, EACCES, 0},
	    {"remove a directory", remove_inside, 1, EACCES, 0},
	    {"truncate", truncate_inside, 3, EACCES, 0},
	    {"rename", rename_inside, 0, 0, 0},
	    {"exec", run_something, 1, EACCES, 0},
	    {"connect", connect_somewhere, 4, EACCES, ECONNREFUSED},
	    {"signal", signal_parent, 6, EPERM, 0},
	};

	(void)state;
	try_all(confine_writing, row, ARRAY_LEN(row));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(one_that_reads, setup, teardown),
	    cmocka_unit_test_setup_teardown(one_that_writes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
