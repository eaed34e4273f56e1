#include "protocol/server/childconf.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"

int
childconf_make(const struct config *c)
{
	struct buf text = {.max = CONF_FILE_MAX};
	int fd = -1, saved;

	if (config_print(c, false, &text) == 0 &&
	    (fd = memfd_create("mailtree.conf", MFD_CLOEXEC)) != -1 &&
	    io_write_all(fd, buf_span(&text)) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		fd = -1;
	}
	buf_free(&text);
	return fd;
}

void
childconf_read(struct config *c, int fd, const char *program)
{
	struct buf text = {.max = CONF_FILE_MAX};

	if (config_init(c) == -1 || lseek(fd, 0, SEEK_SET) == -1 ||
	    io_slurp(fd, &text) == -1)
		err(1, "%s: reading the settings from descriptor %d", program, fd);
	close(fd);
	config_text(c, buf_span(&text), program, 0, NULL);
	buf_free(&text);
	config_finish(c);
	if (c->nerror > 0)
		errx(1, "%s: these are no settings: mailtree serve starts this program",
		     program);
}

int
childconf_log(const struct config *c, const char *program)
{
	const char *path = c->text[CONF_LOG_PATH];
	int fd;

	log_open(program, LOG_LEVEL_INFO, strcmp(path, "syslog") == 0);
	if (path[0] != '/' || strcmp(path, "/dev/stderr") == 0)
		return 0;
	if ((fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY,
	               0600)) == -1)
		return -1;
	if (dup2(fd, STDERR_FILENO) == -1)
		return -1;
	close(fd);
	return 0;
}
