/*
 * maildir_use: `mailtree-use` in a mailbox's directory, what the mailbox is for (RFC 6154):
 * one `\Sent` a line. It lies beside the mail so that it follows a renaming and a restore.
 * Written when the mailbox is made; lines that say nothing to us are passed over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/boxname.h"
#include "storage/maildir.h"

#define USE_FILE "mailtree-use"
#define TMP_NAME USE_FILE ".tmp"
#define FILE_MAX 4096 /* octets that are looked at */

int
md_write_use(int dir, unsigned use, mode_t mode)
{
	struct buf text = {0};
	int rc;

	if (use == 0)
		return 0;
	rc = use_print(use, '\n', &text);
	if (rc == 0)
		rc = buf_addc(&text, '\n');
	if (rc == 0)
		rc = io_replace(dir, USE_FILE, TMP_NAME, buf_span(&text), (mode & 0666) | 0600);
	buf_free(&text);
	return rc;
}

static unsigned
parse(struct span text)
{
	unsigned use = 0;
	struct span line;

	while (span_cut(&text, '\n', &line))
		(void)use_find(span_trim(line), &use);
	return use;
}

/* Its path from the top. */
static int
file_of(const char *path, struct buf *out)
{
	enum boxname_error why = boxname_to_store(span_of(path), out);

	if (why != BOXNAME_OK) {
		errno = boxname_errno(why);
		return -1;
	}
	return buf_addf(out, "%s" USE_FILE "%c", out->n == 0 ? "" : "/", '\0');
}

/* One open that mostly fails: few mailboxes have the file. */
unsigned
md_use(struct store *s, const char *path)
{
	struct buf file = {0}, text = {.max = FILE_MAX};
	unsigned use = 0;
	int fd = -1;

	if (file_of(path, &file) == 0)
		fd = io_open_regular(s->root, file.p, O_RDONLY, s->cred.uid, false);
	if (fd != -1) {
		if (io_slurp(fd, &text) == 0)
			use = parse(buf_span(&text));
		close(fd);
	}
	buf_free(&file);
	buf_free(&text);
	return use;
}
