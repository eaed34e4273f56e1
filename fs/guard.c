#include "fs/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/base/log.h"

#define MAIN_THREAD_DIED SIGRTMIN
#define DYING_MS	 500 /* in which the other threads of a dying process end */

/* The device number of what is mounted there, without asking the daemon. 0, -1. */
static int
device_of(int dir, const char *path, int flags, unsigned *minor)
{
	struct statx st;

	if (statx(dir, path, flags | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st) == -1)
		return -1;
	*minor = st.stx_dev_minor;
	return 0;
}

/* ---- the daemon's side -------------------------------------------------------------------- */

/* The guard's descriptor 0 is the daemon, and it has no other. */
static int
spawn(int daemon, char *arg, pid_t *pid)
{
	char name[] = "mailtreed", *argv[] = {name, arg, NULL};
	posix_spawn_file_actions_t files;
	int err;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, daemon, 0);
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
	err = posix_spawn(pid, "/proc/self/exe", &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	return err;
}

pid_t
guard_start(const char *point)
{
	int daemon = pidfd_open(getpid(), 0), err = errno;
	unsigned minor;
	pid_t pid = 0;
	char *arg;

	if (daemon != -1 && device_of(AT_FDCWD, point, 0, &minor) == 0 &&
	    asprintf(&arg, GUARD_OPTION "%u:%s", minor, point) != -1) {
		err = spawn(daemon, arg, &pid);
		free(arg);
	}
	if (pid <= 0) {
		errno = err;
		log_info("%s: it goes without a guard: %m", point);
		pid = 0;
	}
	if (daemon != -1)
		close(daemon);
	return pid;
}

void
guard_end(pid_t pid)
{
	if (pid == 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		;
}

/* ---- the guard's side --------------------------------------------------------------------- */

static bool
is_dead(int daemon, int wait_ms)
{
	struct pollfd p = {.fd = daemon, .events = POLLIN};

	return poll(&p, 1, wait_ms) == 1;
}

/* Did the main thread die before we could ask to be told? While others of the process live
 * it stays, as a zombie. */
static bool
died_before(pid_t pid)
{
	char path[32], text[128];
	const char *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return (end = strrchr(text, ')')) != NULL && strncmp(end, ") Z", 3) == 0;
}

/* True when the main thread has died, false when the whole process has. */
static bool
wait_for_death(int daemon, pid_t pid)
{
	struct signalfd_siginfo said;
	sigset_t died;
	struct pollfd p[2] = {{.fd = daemon, .events = POLLIN}, {.events = POLLIN}};

	sigemptyset(&died);
	sigaddset(&died, MAIN_THREAD_DIED);
	if ((p[1].fd = signalfd(-1, &died, SFD_CLOEXEC)) == -1)
		return false;
	for (;;) {
		if (poll(p, 2, -1) == -1 && errno != EINTR)
			return false;
		if (p[0].revents != 0)
			return false;
		/* the kernel sends it in the name of the thread that dies */
		if (p[1].revents != 0 && read(p[1].fd, &said, sizeof said) == sizeof said &&
		    said.ssi_pid == (uint32_t)pid)
			return true;
	}
}

static int
abort_by_file(unsigned minor)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/sys/fs/fuse/connections/%u/abort", minor);
	if ((fd = open(path, O_WRONLY | O_CLOEXEC)) == -1)
		return -1;
	n = write(fd, "1", 1);
	close(fd);
	return n == 1 ? 0 : -1;
}

/* MNT_FORCE aborts first; that the mount is in use then keeps it in its place, where a
 * program that goes on writing gets errors rather than the directory below. */
static void
abort_by_force(unsigned minor, const char *point)
{
	int root = open(point, O_PATH | O_DIRECTORY | O_CLOEXEC);
	unsigned now;

	if (root == -1)
		return;
	if (device_of(root, "", AT_EMPTY_PATH, &now) == 0 && now == minor)
		umount2(point, MNT_FORCE | UMOUNT_NOFOLLOW);
	close(root);
}

int
guard_run(const char *arg)
{
	pid_t daemon = getppid();
	unsigned minor;
	sigset_t all;
	int at = 0;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (sscanf(arg, "%u:%n", &minor, &at) != 1 || at == 0 ||
	    prctl(PR_SET_PDEATHSIG, MAIN_THREAD_DIED) == -1 || chdir("/") == -1)
		return 1;
	close(1); /* nobody shall wait for our end to have read all that the daemon said */
	close(2);
	setsid();
	if ((died_before(daemon) || wait_for_death(0, daemon)) && !is_dead(0, DYING_MS) && abort_by_file(minor) == -1)
		abort_by_force(minor, arg + at);
	return 0;
}
