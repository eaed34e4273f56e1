/*
 * mailtree check: every mailbox below a directory of a mount, as anybody sees it from
 * outside; or a store, which mailtreed looks at from inside.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/abi.h"
#include "protocol/command/checkbox.h"
#include "protocol/command/mounts.h"
#include "protocol/command/verb.h"

/* Is there a mailbox at this directory of a mount? 1, 0, -1. */
static int
is_mailbox(const char *path)
{
	char hidden[PATH_MAX];
	struct stat st;

	if (snprintf(hidden, sizeof hidden, "%s/" MT_HIDDEN, path) >=
	    (int)sizeof hidden) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (stat(hidden, &st) == 0)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

static int check_tree(struct check *, const char *path);

/* Every directory in `path`. 0, or -1 when one of them could not be looked at. */
static int
check_children(struct check *c, const char *path)
{
	DIR *dir = opendir(path);
	char child[PATH_MAX];
	struct dirent *de;
	int worst = 0;

	if (dir == NULL) {
		warn("check: %s", path);
		return -1;
	}
	for (errno = 0; (de = readdir(dir)) != NULL; errno = 0) {
		if (de->d_type != DT_DIR || strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		if (snprintf(child, sizeof child, "%s/%s", path, de->d_name) >=
		    (int)sizeof child) {
			errno = ENAMETOOLONG;
			break;
		}
		if (check_tree(c, child) == -1)
			worst = -1;
	}
	if (errno != 0) {
		warn("check: %s", path);
		worst = -1;
	}
	closedir(dir);
	return worst;
}

static int
check_tree(struct check *c, const char *path)
{
	int r = is_mailbox(path);

	if (r == 1)
		r = checkbox(c, path);
	if (r == -1)
		warn("check: %s", path);
	if (check_children(c, path) == -1)
		r = -1;
	return r;
}

static int
check_mount(const char *path)
{
	struct check c = {.progress = isatty(STDERR_FILENO) == 1};
	int r = check_tree(&c, path);

	if (c.progress)
		fprintf(stderr, "\r\033[K");
	fprintf(stderr,
	        "%" PRIu64 " mailboxes, %" PRIu64 " messages, %" PRIu64 " violations\n",
	        c.mailboxes, c.messages, c.violations);
	if (fflush(stdout) == EOF)
		err(2, "check: stdout");
	if (r == 0 && c.mailboxes == 0) {
		warnx("check: %s: no mailbox there", path);
		return 2;
	}
	return r == -1 ? 2 : c.violations != 0;
}

int
check_main(int argc, char **argv)
{
	char path[PATH_MAX], point[PATH_MAX];
	char *args[] = {argv[0], "--check", argv[1], NULL};
	bool ours;

	if (argc != 2 || argv[1][0] == '-')
		return verb_usage("check");
	if (strncmp(argv[1], "maildir:", strlen("maildir:")) == 0)
		return verb_exec("mailtreed", args) == 0 ? 0 : 2;
	if (mounts_path(argv[1], path) == -1 ||
	    mounts_holder(path, point, &ours) == -1) {
		warn("check: %s", argv[1]);
		return 2;
	}
	if (ours)
		return check_mount(path);
	return verb_exec("mailtreed", args) == 0 ? 0 : 2;
}
