#include "fs/source.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/hash.h"

#define ROOT_INDEX "/var/lib/mailtree"

/* The group of a file in a spool directory is the spool's, whose rights a user has not. */
static gid_t
group_of(const struct stat *st)
{
	struct passwd *pw = S_ISREG(st->st_mode) ? getpwuid(st->st_uid) : NULL;

	return pw == NULL ? st->st_gid : pw->pw_gid;
}

int
source_open(struct env *env, const char *location, const char *name, bool readonly,
	    struct store **out)
{
	struct store_conf conf = {
		.name = name, .location = location, .rootfd = -1, .readonly = readonly};
	struct cred cred = {0};
	char *path = store_path(location);
	struct stat st;
	int fd, saved;

	if (path == NULL)
		return -1;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	saved = errno;
	free(path);
	errno = saved;
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1)
		goto undo;
	if (geteuid() == 0 && st.st_uid != 0) {
		cred.uid = st.st_uid;
		cred.gid = group_of(&st);
		conf.cred = &cred;
	}
	if (S_ISDIR(st.st_mode))
		conf.rootfd = fd;
	if (store_open(env, &conf, out) == 0) {
		if (conf.rootfd == -1)
			close(fd);
		return 0;
	}
undo:
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* ---- where the index lies ---------------------------------------------------------------- */

static int
make_parents(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		if (mkdir(path, 0700) == -1 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return 0;
}

static int
default_root(struct buf *path)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		return buf_addf(path, "%s", ROOT_INDEX);
	if (cache != NULL && cache[0] == '/')
		return buf_addf(path, "%s/mailtree", cache);
	if (home != NULL && home[0] == '/')
		return buf_addf(path, "%s/.cache/mailtree", home);
	errno = ENOENT;
	return -1;
}

/* A readable part, so that one sees what it is, and one that makes it unique. */
static int
add_source(struct buf *path, const char *location)
{
	char *where = store_path(location), *real;
	struct span left, name;
	int status;

	real = where == NULL ? NULL : realpath(where, NULL);
	free(where);
	if (real == NULL)
		return -1;
	for (left = span_of(real), name = left; span_cut(&left, '/', &name);)
		;
	status = buf_addf(path, "/%.*s-%016llx", (int)(name.n > 64 ? 64 : name.n), name.p,
			  (unsigned long long)hash64(&hash_fixed, span_of(real)));
	free(real);
	return status;
}

static char *
finish(struct buf *path, int status)
{
	if (status == 0 && buf_addc(path, '\0') == 0 && make_parents(path->p) == 0)
		return path->p;
	buf_free(path);
	return NULL;
}

char *
source_index_path(const char *given, const char *location)
{
	struct buf path = {0};
	int status;

	if (given != NULL)
		status = buf_addf(&path, "%s", given);
	else if ((status = default_root(&path)) == 0)
		status = add_source(&path, location);
	return finish(&path, status);
}

char *
source_index_root(const char *given)
{
	struct buf path = {0};
	int status = given != NULL ? buf_addf(&path, "%s", given) : default_root(&path);

	return finish(&path, status);
}
