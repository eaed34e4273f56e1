#include "protocol/command/mounts.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/base/span.h"

int
mounts_path(const char *path, char out[static PATH_MAX])
{
	char copy[PATH_MAX], *name;
	size_t n;

	if (realpath(path, out) != NULL)
		return 0;
	if (errno == ENOENT || errno == ENAMETOOLONG || strlen(path) >= sizeof copy)
		return -1;
	/* The daemon's death makes its root unreadable; the name above it is not its. */
	strcpy(copy, path);
	if (realpath(dirname(copy), out) == NULL)
		return -1;
	strcpy(copy, path);
	name = basename(copy);
	n = strlen(out);
	if (strcmp(name, "..") == 0 || strcmp(name, ".") == 0 ||
	    n + strlen(name) + 2 > PATH_MAX) {
		errno = ENOTCONN;
		return -1;
	}
	sprintf(out + n, "%s%s", n == 1 ? "" : "/", name);
	return 0;
}

/* Undo the \ooo of mountinfo (blank, tab, LF, backslash), in place. */
static void
unescape(char *s)
{
	char *to = s;

	while (*s != '\0')
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
		    s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
			               (s[3] - '0'));
			s += 4;
		} else
			*to++ = *s++;
	*to = '\0';
}

/* Cut one line of mountinfo (proc(5)): its mount point, and whether it is ours. */
static bool
parse(char *line, char **point, bool *ours)
{
	char *save, *word = strtok_r(line, " \n", &save);
	int field = 1;

	for (*point = NULL; word != NULL && strcmp(word, "-") != 0; field++) {
		if (field == 5)
			*point = word;
		word = strtok_r(NULL, " \n", &save);
	}
	if (word == NULL || *point == NULL ||
	    (word = strtok_r(NULL, " \n", &save)) == NULL)
		return false;
	*ours = strcmp(word, MOUNTS_FSTYPE) == 0;
	unescape(*point);
	return true;
}

/* Is `path` the directory `point` or something below it? */
static bool
below(const char *path, const char *point)
{
	size_t n = strlen(point);

	if (n == 1)
		return true;
	return strncmp(path, point, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

int
mounts_holder(const char *path, char point[static PATH_MAX], bool *ours)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *at;
	size_t cap = 0, best = 0;
	bool is_ours;

	if (f == NULL)
		return -1;
	while (getline(&line, &cap, f) > 0)
		/* of several at one place the last line is on top */
		if (parse(line, &at, &is_ours) && below(path, at) &&
		    strlen(at) >= best && strlen(at) < PATH_MAX) {
			best = strlen(at);
			strcpy(point, at);
			*ours = is_ours;
		}
	free(line);
	fclose(f);
	if (best == 0) { /* below a chroot that is no mount point itself */
		strcpy(point, "/");
		*ours = false;
	}
	return 0;
}

int
mounts_at(const char *path)
{
	char point[PATH_MAX];
	bool ours;

	if (mounts_holder(path, point, &ours) == -1)
		return -1;
	return ours && strcmp(point, path) == 0;
}
