#include "protocol/server/topdir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/server/ids.h"
#include "storage/base/io.h"

/* Make what lacks of a Maildir: also completes one whose making was interrupted. */
static int
make_parts(int top)
{
	static const char *const parts[] = {"tmp", "new", "cur"};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (mkdirat(top, parts[i], 0700) == -1 && errno != EEXIST)
			return -1;
	return 0;
}

/* Open path beneath dir; make it, but not its parent, when it is not there. */
static int
open_or_make(int dir, const char *path)
{
	int fd = io_open_beneath(dir, path, O_RDONLY | O_DIRECTORY, 0);

	if (fd != -1 || errno != ENOENT)
		return fd;
	if (mkdirat(dir, path, 0700) == -1 && errno != EEXIST)
		return -1;
	return io_open_beneath(dir, path, O_RDONLY | O_DIRECTORY, 0);
}

/*
 * Where the user's own ground begins: the home when the path lies below it, else the
 * path's parent directory. *rest is the remainder of the path.
 */
static int
open_ground(const struct record *r, char *path, char **rest)
{
	char *slash;
	char home[PATH_MAX];

	if (r->home.n > 1 && span_cstr(r->home, home, sizeof home) == 0 &&
	    strncmp(path, home, r->home.n) == 0 && path[r->home.n] == '/') {
		*rest = path + r->home.n + 1;
		return open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if ((slash = strrchr(path, '/')) == NULL) {
		errno = EINVAL;
		return -1;
	}
	*rest = slash + 1;
	*slash = '\0';
	return open(path[0] != '\0' ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int
judge(int fd, const struct record *r, dev_t mount, bool maildir)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -1;
	if (st.st_dev == mount)
		errno = EDEADLK;
	else if (st.st_uid != r->uid)
		errno = EPERM;
	else
		return !maildir || faccessat(fd, "cur", F_OK, 0) == 0 ? 0 : make_parts(fd);
	return -1;
}

/* The path of the top; of an mbox without folders that of the INBOX. */
static int
path_of(struct span where, char path[static PATH_MAX], bool *maildir, bool *inbox)
{
	struct span part;

	*maildir = span_starts(where, SPAN("maildir:/"));
	*inbox = span_starts(where, SPAN("mbox::INBOX=/"));
	if (*maildir)
		part = span_from(where, 8);
	else if (*inbox)
		part = span_from(where, 12);
	else if (span_starts(where, SPAN("mbox:/"))) {
		where = span_from(where, 5);
		span_cut(&where, ':', &part);
	} else {
		errno = EINVAL;
		return -1;
	}
	if (span_cstr(part, path, PATH_MAX) == -1)
		return -1;
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	return 0;
}

/* The spool directory is the admin's; whose the file is in it its opening judges. */
static int
open_spool(char *path, dev_t mount)
{
	char *slash = strrchr(path, '/');
	struct stat st;
	int fd;

	slash[slash == path] = '\0';
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_dev != mount)
		return fd;
	close(fd);
	errno = EDEADLK;
	return -1;
}

/* Is it a single mbox? Whose it is its opening judges. */
static bool
is_file(int ground, const char *rest)
{
	struct stat st;

	return fstatat(ground, rest, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* The directory of a file beneath the ground: not on our own mount. */
static int
open_above(int ground, char *rest, dev_t mount)
{
	char *slash = strrchr(rest, '/');
	struct stat st;
	int fd;

	if (slash != NULL)
		*slash = '\0';
	fd = io_open_beneath(ground, slash == NULL ? "." : rest, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -1 || (fstat(fd, &st) == 0 && st.st_dev != mount))
		return fd;
	close(fd);
	errno = EDEADLK;
	return -1;
}

int
topdir_open(const struct record *r, dev_t mount, bool *lone)
{
	char path[PATH_MAX];
	bool maildir, inbox;
	char *rest;
	int ground, fd;

	*lone = false;
	if (path_of(r->location, path, &maildir, &inbox) == -1 || ids_become(r) == -1)
		return -1;
	umask(077);
	if (inbox)
		return open_spool(path, mount);
	if ((ground = open_ground(r, path, &rest)) == -1)
		return -1;
	while (*rest == '/')
		rest++;
	if (!maildir && (*lone = is_file(ground, rest)))
		return open_above(ground, rest, mount);
	if ((fd = open_or_make(ground, rest[0] != '\0' ? rest : ".")) == -1)
		return -1;
	if (judge(fd, r, mount, maildir) == -1 && errno != EACCES && errno != EROFS) {
		close(fd);
		return -1;
	}
	return fd;
}
