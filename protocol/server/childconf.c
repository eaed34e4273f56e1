#include "protocol/server/childconf.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"

static char nothing[] = "", harmless[] = "/dev/null"; /* nobody writes them */

/* Rows whose texts are those of the others. NULL: no memory, or there are none. */
static void *
copy_rows(const void *rows, size_t n, size_t size)
{
	void *copy = n > 0 ? calloc(n, size) : NULL;

	if (copy != NULL)
		memcpy(copy, rows, n * size);
	return copy;
}

static void
hide_args(struct conf_db *db, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (db[i].args[0] != '\0')
			db[i].args = harmless;
}

/* What is printed of *c, without what a child must not know. The texts are those of *c. */
static int
print_shown(const struct config *c, bool databases, struct buf *text)
{
	struct config shown = *c;
	int rc = -1;

	shown.text[CONF_SSL_KEY_PASSWORD] = nothing;
	shown.local = copy_rows(c->local, c->nlocal, sizeof *c->local);
	shown.passdb = copy_rows(c->passdb, c->npassdb, sizeof *c->passdb);
	shown.userdb = copy_rows(c->userdb, c->nuserdb, sizeof *c->userdb);
	if ((shown.local != NULL || c->nlocal == 0) &&
	    (shown.passdb != NULL || c->npassdb == 0) &&
	    (shown.userdb != NULL || c->nuserdb == 0)) {
		for (size_t i = 0; i < c->nlocal; i++)
			shown.local[i].password = nothing;
		if (!databases) {
			hide_args(shown.passdb, c->npassdb);
			hide_args(shown.userdb, c->nuserdb);
		}
		rc = config_print(&shown, false, text);
	}
	free(shown.local), free(shown.passdb), free(shown.userdb);
	return rc;
}

/* One that held settings: passwords may be among them. */
static void
wipe(struct buf *text)
{
	if (text->p != NULL)
		explicit_bzero(text->p, text->cap);
	buf_free(text);
}

int
childconf_make(const struct config *c, bool databases)
{
	struct buf text = {.max = CONF_FILE_MAX};
	int fd = -1, saved;

	/* room for all at once: what grows leaves copies behind */
	if (buf_room(&text, CONF_FILE_MAX) != NULL &&
	    print_shown(c, databases, &text) == 0 &&
	    (fd = memfd_create("mailtree.conf", MFD_CLOEXEC)) != -1 &&
	    io_write_all(fd, buf_span(&text)) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		fd = -1;
	}
	wipe(&text);
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
	wipe(&text);
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
