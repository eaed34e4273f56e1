/*
 * lie: preloaded into `mailtree check` by test_command.sh, makes one file look wrong, so
 * that each kind of violation can be seen to be found. MT_LIE is KIND:NAME:
 *	octet	another last octet is read from it
 *	short	reading it ends one octet early, be it by read or by pread
 *	size	fstat gives one octet more
 *	date	fstat gives one second more
 *	hide	readdir leaves it out
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is that the lie to tell, and this descriptor the file to tell it of? */
static bool
lie(const char *kind, int fd)
{
	const char *want = getenv("MT_LIE"), *name;
	char path[4096], link[64];
	ssize_t n;

	if (want == NULL || strncmp(want, kind, strlen(kind)) != 0)
		return false;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if ((n = readlink(link, path, sizeof path - 1)) == -1)
		return false;
	path[n] = '\0';
	name = strrchr(path, '/');
	return name != NULL && strcmp(name + 1, strchr(want, ':') + 1) == 0;
}

ssize_t
pread64(int fd, void *to, size_t n, off64_t off)
{
	ssize_t (*next)(int, void *, size_t, off64_t);
	struct stat st;
	ssize_t got;

	*(void **)&next = dlsym(RTLD_NEXT, "pread64");
	got = next(fd, to, n, off);
	if (got <= 0 || fstat(fd, &st) == -1 || off + got != st.st_size)
		return got;
	if (lie("octet", fd))
		((char *)to)[got - 1] ^= 1;
	return got - lie("short", fd);
}

ssize_t
read(int fd, void *to, size_t n)
{
	ssize_t (*next)(int, void *, size_t);
	struct stat st;
	ssize_t got;

	*(void **)&next = dlsym(RTLD_NEXT, "read");
	got = next(fd, to, n);
	if (got <= 0 || !lie("short", fd) || fstat(fd, &st) == -1 ||
	    lseek(fd, 0, SEEK_CUR) != st.st_size)
		return got;
	return got - 1;
}

int
fstat64(int fd, struct stat64 *st)
{
	int (*next)(int, struct stat64 *);
	int r;

	*(void **)&next = dlsym(RTLD_NEXT, "fstat64");
	r = next(fd, st);
	st->st_size += lie("size", fd);
	st->st_mtim.tv_sec += lie("date", fd);
	return r;
}

struct dirent64 *
readdir64(DIR *dir)
{
	struct dirent64 *(*next)(DIR *), *de;
	const char *want = getenv("MT_LIE");

	*(void **)&next = dlsym(RTLD_NEXT, "readdir64");
	de = next(dir);
	if (de != NULL && want != NULL && strncmp(want, "hide:", 5) == 0 &&
	    strcmp(de->d_name, want + 5) == 0)
		de = next(dir);
	return de;
}
