/* seal: what is kept works, what is not ends the process with a line that names it. */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/seal.h"

static int
call_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) == -1 ? errno : 0;
}

static int
call_open(void)
{
	return open("/dev/null", O_RDONLY) == -1 ? errno : 0;
}

static int
kill_own_group(void)
{
	return (int)syscall(SYS_kill, 0, 0);
}

static int
signal_another_process(void)
{
	return (int)syscall(SYS_tgkill, 1, 1, 0);
}

static int
call_ptrace(void)
{
	return (int)syscall(SYS_ptrace, 16, 1, 0, 0);
}

static int
run_a_program(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static int
make_code(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	               -1, 0);

	return p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_EXEC) == -1;
}

static int
call_ioctl(void)
{
	return ioctl(0, 0x5401, NULL) == -1 ? errno : 0; /* TCGETS */
}

static void *
nothing(void *arg)
{
	return arg;
}

static int
make_a_thread(void)
{
	pthread_t t;

	return pthread_create(&t, NULL, nothing, NULL) != 0 ||
	       pthread_join(t, NULL) != 0;
}

static int
wait_a_moment(void)
{
	return poll(NULL, 0, 1);
}

static int
use_memory(void)
{
	char *volatile p = malloc(16 << 20);

	if (p == NULL)
		return 1;
	p[1 << 20] = 1;
	free(p);
	return 0;
}

/* Run `act` sealed: its wait status, and what it has written to stderr. */
static int
sealed(enum seal_role role, int (*act)(void), char said[static 512])
{
	int end[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(end), 0);
	if ((pid = fork()) == 0) {
		dup2(end[1], STDERR_FILENO);
		if (seal(role, "mailtree-test", "ann") == -1)
			_exit(99);
		_exit(act());
	}
	close(end[1]);
	n = read(end[0], said, 511);
	said[n > 0 ? n : 0] = '\0';
	close(end[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* want: the exit status, or that it is ended for a call of the name in `call`. */
static const struct row {
	enum seal_role role;
	int (*act)(void);
	int want;
	const char *call;
} rows[] = {
    {SEAL_POP3, use_memory, 0, NULL},
    {SEAL_POP3, wait_a_moment, 0, NULL},
    {SEAL_POP3, call_open, 0, NULL},
    {SEAL_POP3, call_socket, 0, "socket"},
    {SEAL_POP3, kill_own_group, 0, "kill"},
    {SEAL_POP3, signal_another_process, 0, "tgkill"},
    {SEAL_POP3, call_ptrace, 0, "ptrace"},
    {SEAL_POP3, run_a_program, 0, "execve"},
    {SEAL_POP3, make_code, 0, "mprotect"},
    {SEAL_POP3, call_ioctl, 0, "ioctl"},
    {SEAL_IMAP, make_a_thread, 0, NULL},
    {SEAL_IMAP, call_open, 0, NULL},
    {SEAL_IMAP, call_socket, 0, "socket"},
    {SEAL_IMAP, run_a_program, 0, "execve"},
    {SEAL_LOGIN, call_socket, EPERM, NULL},
    {SEAL_LOGIN, call_open, EACCES, NULL},
    {SEAL_LOGIN, kill_own_group, 0, "kill"},
    {SEAL_LOGIN, run_a_program, 0, "execve"},
    {SEAL_LOGIN, wait_a_moment, 0, "poll"},
    {SEAL_AUTH, call_socket, EPERM, NULL},
    {SEAL_AUTH, call_open, EACCES, NULL},
    {SEAL_AUTH, wait_a_moment, 0, NULL},
    {SEAL_AUTH, run_a_program, 0, "execve"},
    {SEAL_AUTH, call_ptrace, 0, "ptrace"},
};

static void
calls_that_are_kept_and_not(void **state)
{
	char said[512], want[128];

	(void)state;
	if (!seal_built()) {
		assert_int_equal(seal(SEAL_POP3, "mailtree-test", "ann"), -1);
		assert_int_equal(errno, ENOSYS);
		return;
	}
	for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
		int status = sealed(r->role, r->act, said);

		if (r->call == NULL) {
			if (!WIFEXITED(status) || WEXITSTATUS(status) != r->want)
				check_fail("row %zu: status %#x: %s",
				           (size_t)(r - rows), status, said);
			continue;
		}
		snprintf(want, sizeof want,
		         "mailtree-test: error: ann: ended because it called %s (",
		         r->call);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS ||
		    strncmp(said, want, strlen(want)) != 0)
			check_fail("row %zu: status %#x: %s", (size_t)(r - rows),
			           status, said);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(calls_that_are_kept_and_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
