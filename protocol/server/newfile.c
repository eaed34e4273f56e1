#include "protocol/server/newfile.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"

static int
look_around(const struct newfile *f)
{
	struct stat st;

	if (fstat(f->dir, &st) == -1) {
		warn("%s", f->path);
		return -1;
	}
	if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX)) {
		warnx("%s: everybody can write the directory that it would be in: "
		      "chmod o-w it first",
		      f->path);
		return -1;
	}
	if (fstatat(f->dir, f->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		warnx("%s: there is one already, and it is not overwritten: remove it "
		      "first, or name another file",
		      f->path);
		return -1;
	}
	if (errno == ENOENT)
		return 0;
	warn("%s", f->path);
	return -1;
}

int
newfile_open(struct newfile *f, const char *path)
{
	char folder[PATH_MAX], copy[PATH_MAX];
	const char *dir;

	*f = (struct newfile){.path = path, .dir = -1, .fd = -1};
	if (span_cstr(span_of(path), folder, sizeof folder) == -1 ||
	    span_cstr(span_of(path), copy, sizeof copy) == -1 ||
	    span_cstr(span_of(basename(copy)), f->name, sizeof f->name) == -1) {
		warn("%s", path);
		return -1;
	}
	dir = dirname(folder);
	if ((f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
		warn("%s: the directory %s", path, dir);
		return -1;
	}
	return look_around(f);
}

static int
open_unnamed(struct newfile *f, mode_t mode)
{
	f->fd = openat(f->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
	if (f->fd != -1)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT &&
	    errno != EINVAL)
		return -1;
	snprintf(f->tmp, sizeof f->tmp, ".%.200s.%d.tmp", f->name, (int)getpid());
	f->fd = openat(f->dir, f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (f->fd == -1)
		f->tmp[0] = '\0';
	return f->fd == -1 ? -1 : 0;
}

int
newfile_write(struct newfile *f, struct span text, mode_t mode)
{
	if (open_unnamed(f, mode) == 0 && io_write_all(f->fd, text) == 0 &&
	    fchmod(f->fd, mode) == 0 && fsync(f->fd) == 0)
		return 0;
	warn("%s", f->path);
	return -1;
}

int
newfile_publish(struct newfile *f)
{
	char self[64];
	int rc;

	snprintf(self, sizeof self, "/proc/self/fd/%d", f->fd);
	if (f->tmp[0] != '\0')
		rc = linkat(f->dir, f->tmp, f->dir, f->name, 0);
	else
		rc = linkat(AT_FDCWD, self, f->dir, f->name, AT_SYMLINK_FOLLOW);
	if (rc == 0 && fsync(f->dir) == 0)
		return 0;
	warn("%s", f->path);
	if (rc == 0)
		newfile_take_back(f);
	return -1;
}

void
newfile_take_back(struct newfile *f)
{
	unlinkat(f->dir, f->name, 0);
}

void
newfile_close(struct newfile *f)
{
	if (f->tmp[0] != '\0')
		unlinkat(f->dir, f->tmp, 0);
	if (f->fd != -1)
		close(f->fd);
	if (f->dir != -1)
		close(f->dir);
	*f = (struct newfile)NEWFILE_NONE;
}

bool
newfile_same(const struct newfile *a, const struct newfile *b)
{
	struct stat sa, sb;

	return strcmp(a->name, b->name) == 0 && fstat(a->dir, &sa) == 0 &&
	       fstat(b->dir, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}
