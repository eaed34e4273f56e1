/* mailtree umount: end a mount of ours, and of nobody else. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/command/mounts.h"
#include "protocol/command/verb.h"
#include "storage/base/buf.h"
#include "storage/base/io.h"

static const struct option options[] = {
    {"lazy", no_argument, NULL, 'l'},
    {0},
};

/* In the child of run_fusermount: never returns. */
static void __attribute__((noreturn))
exec_fusermount(int to, const char *path, bool lazy)
{
	dup2(to, STDERR_FILENO);
	if (lazy)
		execlp("fusermount3", "fusermount3", "-u", "-z", "--", path,
		       (char *)NULL);
	else
		execlp("fusermount3", "fusermount3", "-u", "--", path, (char *)NULL);
	dprintf(STDERR_FILENO, "fusermount3: %s", strerror(errno));
	_exit(127);
}

/* Who is not root asks fusermount3; what it complains of goes into `said`. 0 or -1. */
static int
run_fusermount(const char *path, bool lazy, struct buf *said)
{
	int end[2], status;
	pid_t pid;

	if (pipe2(end, O_CLOEXEC) == -1)
		return -1;
	if ((pid = fork()) == 0)
		exec_fusermount(end[1], path, lazy);
	close(end[1]);
	if (pid != -1 && io_slurp(end[0], said) == -1)
		buf_reset(said);
	close(end[0]);
	if (pid == -1)
		return -1;
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	buf_addc(said, '\0');
	errno = said->n > 1 && strstr(said->p, "busy") != NULL ? EBUSY : EPERM;
	return -1;
}

static void
complain(const char *path, const struct buf *said)
{
	if (errno == EBUSY)
		warnx("umount: %s: in use: somebody has a file open or works in it "
		      "(`fuser -vm %s` names who; --lazy detaches it now)",
		      path, path);
	else if (said->n > 1)
		warnx("umount: %s: %.*s", path, (int)strcspn(said->p, "\n"), said->p);
	else
		warn("umount: %s", path);
}

static int
unmount(const char *path, bool lazy)
{
	struct buf said = {.max = 4096};
	int r;

	if (geteuid() == 0)
		r = umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0));
	else
		r = run_fusermount(path, lazy, &said);
	if (r == -1)
		complain(path, &said);
	buf_free(&said);
	return r == -1;
}

int
umount_main(int argc, char **argv)
{
	char path[PATH_MAX];
	bool lazy = false;
	int c, ours;

	optind = 1;
	while ((c = getopt_long(argc, argv, "l", options, NULL)) != -1) {
		if (c != 'l')
			return verb_usage("umount");
		lazy = true;
	}
	if (argc - optind != 1)
		return verb_usage("umount");
	if (mounts_path(argv[optind], path) == -1 || (ours = mounts_at(path)) == -1) {
		warn("umount: %s", argv[optind]);
		return 1;
	}
	if (!ours) {
		warnx("umount: %s: not a mount point of mailtree", argv[optind]);
		return 1;
	}
	return unmount(path, lazy);
}
