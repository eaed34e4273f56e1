#include "fs/mount.h"

#include <err.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/ops.h"

#define FSTYPE	      "fuse.mailtree"
#define READ_AHEAD_KB "4096"

/* ---- what may be mounted where ------------------------------------------------------------ */

/* Field 3 of a line of mountinfo is the device, the one behind " - " the type. */
static bool
line_says_ours(const char *line, const char *device)
{
	unsigned id, parent, major_no, minor_no;
	const char *type = strstr(line, " - ");
	char number[32];

	if (type == NULL ||
	    sscanf(line, "%u %u %u:%u", &id, &parent, &major_no, &minor_no) != 4)
		return false;
	snprintf(number, sizeof number, "%u:%u", major_no, minor_no);
	return strcmp(number, device) == 0 &&
	       strncmp(type + 3, FSTYPE " ", sizeof FSTYPE) == 0;
}

/* Is this the device of a mount of mailtree? */
static bool
is_ours(dev_t dev)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char device[32], *line = NULL;
	size_t cap = 0;
	bool ours = false;

	if (f == NULL)
		return false;
	snprintf(device, sizeof device, "%u:%u", major(dev), minor(dev));
	while (!ours && getline(&line, &cap, f) != -1)
		ours = line_says_ours(line, device);
	free(line);
	fclose(f);
	return ours;
}

static int
check_point(const char *point)
{
	struct stat st;

	if (stat(point, &st) == -1) {
		if (errno == ENOTCONN)
			warnx("%s: a mount whose daemon has died; `mailtree umount %s` "
			      "removes it",
			      point, point);
		else
			warn("%s", point);
		return -1;
	}
	if (!S_ISDIR(st.st_mode)) {
		warnx("%s: not a directory", point);
		return -1;
	}
	if (is_ours(st.st_dev)) {
		warnx("%s: is mounted already", point);
		return -1;
	}
	return 0;
}

static bool
is_within(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return true;
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static int
check_source(const char *location, const char *point)
{
	char *path = store_path(location), *source, *at = realpath(point, NULL);
	struct stat st;
	int status = -1;

	source = path == NULL ? NULL : realpath(path, NULL);
	if (source == NULL || stat(source, &st) == -1)
		warn("%s", path == NULL ? location : path);
	else if (at == NULL)
		warn("%s", point);
	else if (is_ours(st.st_dev))
		warnx("%s: lies in a mount of mailtree itself", source);
	else if (is_within(source, at))
		warnx("%s: would be hidden by the mount at %s", source, at);
	else
		status = 0;
	free(path);
	free(source);
	free(at);
	return status;
}

int
mount_check(const char *source, const char *point)
{
	if (check_point(point) == -1)
		return -1;
	return source == NULL ? 0 : check_source(source, point);
}

/* ---- mounting ------------------------------------------------------------------------------- */

struct fuse_session *
mount_session(struct fs *fs, const struct options *o, const char *point)
{
	bool others = o->allow_other || geteuid() == 0;
	char opts[256], name[] = "mailtreed", dash_o[] = "-o";
	char *argv[] = {name, dash_o, opts, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_session *se;

	snprintf(opts, sizeof opts,
		 "default_permissions,nosuid,nodev,noexec,fsname=mailtree,"
		 "subtype=mailtree%s%s",
		 o->readonly ? ",ro" : "", others ? ",allow_other" : "");
	se = fuse_session_new(&args, &fs_ops, sizeof fs_ops, fs);
	fuse_opt_free_args(&args); /* libfuse made them its own */
	if (se == NULL)
		return NULL;
	if (fuse_session_mount(se, point) != 0) {
		warnx("%s: cannot mount", point);
		fuse_session_destroy(se);
		return NULL;
	}
	return se;
}

void
mount_tune(const char *point)
{
	char path[64];
	struct stat st;
	int fd;

	if (geteuid() != 0 || stat(point, &st) == -1)
		return;
	snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev),
		 minor(st.st_dev));
	if ((fd = open(path, O_WRONLY | O_CLOEXEC)) == -1)
		return;
	if (write(fd, READ_AHEAD_KB, sizeof READ_AHEAD_KB - 1) == -1)
		log_info("%s: %m", path);
	close(fd);
}

/* ---- unmounting ------------------------------------------------------------------------------- */

static int
run_fusermount(const char *point, bool lazily)
{
	char name[] = "fusermount3", u[] = "-uz", q[] = "-q", dashes[] = "--";
	char *at = strdup(point), *argv[] = {name, u, q, dashes, at, NULL};
	posix_spawnattr_t attr;
	sigset_t none;
	int err, status;
	pid_t pid;

	if (at == NULL)
		return -1;
	if (!lazily)
		u[2] = '\0';
	sigemptyset(&none); /* ours are blocked, and it would inherit that */
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	err = posix_spawnp(&pid, name, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	free(at);
	if (err != 0) {
		errno = err;
		return -1;
	}
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return -1;
	errno = EBUSY;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

int
mount_end(const char *point, bool lazily)
{
	if (geteuid() != 0)
		return run_fusermount(point, lazily);
	return umount2(point, UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0));
}
