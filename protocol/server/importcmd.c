/*
 * mailtree config import: another server's configuration as ours, with what has no
 * counterpart in comments at the top and on stderr.
 */
#include "protocol/server/importcmd.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "protocol/server/confcheck.h"
#include "protocol/server/courierconf.h"
#include "protocol/server/newfile.h"
#include "storage/base/io.h"

/* ---- what is written ------------------------------------------------------------------ */

/* `# note` for every note, and each of them on stderr. */
static int
add_notes(struct buf *out, const struct config *c)
{
	struct buf notes = {0};
	struct span rest, line;
	int rc = config_print_notes(c, &notes);

	rest = buf_span(&notes);
	while (rc == 0 && span_cut(&rest, '\n', &line)) {
		fprintf(stderr, "%.*s\n", (int)line.n, line.p);
		if (buf_addf(out, "# %.*s\n", (int)line.n, line.p) == -1)
			rc = -1;
	}
	buf_free(&notes);
	return rc;
}

static int
begin(struct buf *out, const char *from, const struct config *notes)
{
	if (buf_addf(out, "# What %s said, by `mailtree config import`.\n", from) ==
	        -1 ||
	    add_notes(out, notes) == -1)
		return -1;
	return buf_addc(out, '\n');
}

static int
deliver(const char *file, struct span text)
{
	struct newfile f = NEWFILE_NONE;
	int rc = -1;

	if (file == NULL) {
		if (fwrite(text.p, 1, text.n, stdout) == text.n && fflush(stdout) == 0)
			return 0;
		warn("standard output");
		return -1;
	}
	/* it may hold a password of a key */
	if (newfile_open(&f, file) == 0 && newfile_write(&f, text, 0600) == 0)
		rc = newfile_publish(&f);
	newfile_close(&f);
	return rc;
}

/* ---- Courier -------------------------------------------------------------------------- */

static int
read_file(const char *path, struct buf *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd == -1) {
		warn("%s", path);
		return -1;
	}
	text->max = CONF_FILE_MAX;
	if ((rc = io_slurp(fd, text)) == -1)
		warn("%s", path);
	close(fd);
	return rc;
}

static int
read_courier(struct courierconf *c, char *const *path, size_t n, struct config *notes)
{
	for (size_t i = 0; i < n; i++) {
		enum courierconf_file f = courierconf_which(path[i]);
		struct buf text = {0};

		if (c->path[f] != NULL) {
			warnx("%s: %s was read already", path[i], c->path[f]);
			return -1;
		}
		if (read_file(path[i], &text) == -1)
			return -1;
		courierconf_read(c, f, path[i], buf_span(&text), notes);
		buf_free(&text);
	}
	return 0;
}

/* Ours must understand what was written; what is wrong with it is a note, too. */
static void
judge(struct span text, struct config *notes)
{
	struct config c;

	if (config_init(&c) == -1)
		return;
	config_text(&c, text, "the result", 0, NULL);
	config_finish(&c);
	for (size_t i = 0; i < c.nnote; i++)
		if (c.note[i].error)
			config_note(notes, true, NULL, "%s", c.note[i].text);
	config_free(&c);
}

static int
import_courier(const char *to, char *const *path, size_t n)
{
	struct courierconf courier = {0};
	struct buf body = {0}, out = {0};
	struct config notes;
	int rc = 1;

	if (config_init(&notes) == -1)
		return 1;
	if (read_courier(&courier, path, n, &notes) == 0 &&
	    courierconf_write(&courier, &body, &notes) == 0) {
		judge(buf_span(&body), &notes);
		if (begin(&out, "Courier's files", &notes) == 0 &&
		    buf_add(&out, buf_span(&body)) == 0 &&
		    deliver(to, buf_span(&out)) == 0)
			rc = notes.nerror == 0 ? 0 : 1;
	}
	courierconf_free(&courier);
	config_free(&notes);
	buf_free(&body);
	buf_free(&out);
	return rc;
}

/* ---- Dovecot -------------------------------------------------------------------------- */

/* Where an absent setting means something else there than here. */
static const struct {
	enum conf_key key;
	const char *theirs;
} defaults[] = {
    {CONF_SSL, "yes"},
    {CONF_PROTOCOLS, ""}, /* Debian's; `protocols = $protocols imap` adds to it */
};

static int
set(struct config *c, enum conf_key k, const char *text)
{
	const char *why;

	return config_set(c, k, span_of(text), &why);
}

static int
set_defaults(struct config *c)
{
	for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
		if (set(c, defaults[i].key, defaults[i].theirs) == -1)
			return -1;
	return 0;
}

/* What it left to chance, or to the programs that are installed. */
static void
settle(struct config *c)
{
	if (!c->given[CONF_MAIL_LOCATION])
		config_note(c, false, NULL,
		            "mail_location is not set, and Dovecot looks for mail "
		            "itself: it becomes %s, look whether that is right",
		            c->text[CONF_MAIL_LOCATION]);
	if (!c->given[CONF_PROTOCOLS])
		(void)set(c, CONF_PROTOCOLS, config_key_default(CONF_PROTOCOLS));
}

static int
import_dovecot(const char *to, const char *path)
{
	struct config c;
	struct buf out = {0};
	int rc = 1;

	if (config_init(&c) == -1 || set_defaults(&c) == -1)
		err(1, "%s", path);
	config_load_into(&c, path);
	settle(&c);
	if (c.nerror > 0) {
		/* what decides who may log in may be among the mistakes */
		add_notes(&out, &c);
		warnx("%s: nothing is written while there are mistakes", path);
	} else if (begin(&out, path, &c) == 0 && config_print(&c, true, &out) == 0 &&
	           deliver(to, buf_span(&out)) == 0) {
		rc = 0;
	}
	config_free(&c);
	buf_free(&out);
	return rc;
}

/* ---- the command ---------------------------------------------------------------------- */

int
import_run(const char *to, char *const *path, size_t n)
{
	size_t courier = 0;

	for (size_t i = 0; i < n; i++)
		courier += courierconf_which(path[i]) != COURIERCONF_NFILE;
	if (courier == n)
		return import_courier(to, path, n);
	if (courier == 0 && n == 1)
		return import_dovecot(to, path[0]);
	warnx("name one dovecot.conf, whose includes are followed, or Courier's files "
	      "imapd, imapd-ssl, pop3d, pop3d-ssl and authdaemonrc by these names");
	return 2;
}
