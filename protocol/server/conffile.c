/* Configuration files: the one that is named and those that it includes. */
#include "protocol/server/config.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/io.h"

static conf_include include_files;

/* NULL, or why the file cannot be read (static, or from strerror). */
static const char *
read_file(struct config *c, const char *path, unsigned depth)
{
	struct buf text = {.max = CONF_FILE_MAX};
	const char *why = NULL;
	int fd;

	if (c->nfile++ == CONF_FILES_MAX)
		return "too many files are included";
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return strerror(errno);
	if (io_slurp(fd, &text) == -1)
		why = errno == EMSGSIZE ? "it is larger than 1 MB" : strerror(errno);
	else
		config_text(c, buf_span(&text), path, depth, include_files);
	close(fd);
	buf_free(&text);
	return why;
}

/* A relative path counts from the directory of the file that includes it. */
static int
beside(const char *from, const char *pattern, struct buf *out)
{
	const char *slash = strrchr(from, '/');

	if (pattern[0] != '/' && slash != NULL &&
	    buf_add(out, (struct span){from, (size_t)(slash - from) + 1}) == -1)
		return -1;
	return buf_add(out, (struct span){pattern, strlen(pattern) + 1});
}

static const char *
include_files(struct config *c, const char *pattern, bool must,
              const struct conf_place *from)
{
	struct buf path = {.max = 8192};
	const char *why = NULL;
	glob_t found = {0};

	if (beside(from->file, pattern, &path) == -1)
		why = "the path is too long";
	else if (glob(path.p, GLOB_BRACE, NULL, &found) != 0)
		why = must && strpbrk(path.p, "*?[{") == NULL ? "there is no such file"
		                                              : NULL;
	for (size_t i = 0; why == NULL && i < found.gl_pathc; i++)
		why = read_file(c, found.gl_pathv[i], from->depth + 1);
	globfree(&found);
	buf_free(&path);
	return why;
}

int
config_load(struct config *c, const char *path)
{
	return config_init(c) == -1 ? -1 : config_load_into(c, path);
}

int
config_load_into(struct config *c, const char *path)
{
	const char *why;

	if ((why = read_file(c, path, 0)) != NULL)
		config_note(c, true, NULL, "%s: %s", path, why);
	else
		config_finish(c);
	return c->nerror == 0 ? 0 : -1;
}
