#include "storage/base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The directory of the running program, not of a symlink to it. */
static int
own_dir(char *out, size_t cap)
{
	ssize_t n = readlink("/proc/self/exe", out, cap);
	char *slash;

	if (n == -1)
		return -1;
	if ((size_t)n == cap) {
		errno = ENAMETOOLONG;
		return -1;
	}
	out[n] = '\0';
	if ((slash = strrchr(out, '/')) != NULL)
		*slash = '\0';
	return 0;
}

/* 1: out is that program; 0: it is not there; -1. */
static int
try_path(const char *dir, const char *below, const char *name, char *out, size_t cap)
{
	int n = snprintf(out, cap, "%s%s/%s", dir, below, name);

	if (n < 0 || (size_t)n >= cap) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return access(out, X_OK) == 0;
}

int
program_find(const char *name, char *out, size_t cap)
{
	char own[PATH_MAX];
	int r;

	if (own_dir(own, sizeof own) == -1)
		return -1;
	if ((r = try_path(own, "", name, out, cap)) == 0 &&
	    (r = try_path(own, "/../libexec/mailtree", name, out, cap)) == 0)
		r = try_path(MT_LIBEXECDIR, "", name, out, cap);
	if (r == 1)
		return 0;
	if (r == 0)
		errno = ENOENT;
	return -1;
}

int
program_open(const char *name)
{
	char path[PATH_MAX];

	if (program_find(name, path, sizeof path) == -1)
		return -1;
	return open(path, O_PATH | O_CLOEXEC);
}
