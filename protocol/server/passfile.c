#include "protocol/server/passfile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "protocol/server/expand.h"
#include "protocol/server/username.h"
#include "storage/base/log.h"

#define TEXT_MAX 4096 /* octets of a path */

void
passfile_args(const struct conf_db *db, struct passfile *a)
{
	struct span rest = span_of(db->args), w;

	*a = (struct passfile){SPAN("CRYPT"), SPAN("%u"), SPAN("")};
	while (span_word(&rest, &w))
		if (span_starts(w, SPAN("scheme=")))
			a->scheme = span_from(w, 7);
		else if (span_starts(w, SPAN("username_format=")))
			a->format = span_from(w, 16);
		else if (w.p[0] == '/')
			a->path = w;
}

int
passfile_open(const struct passfile *a, struct span user)
{
	struct expand_vars v = {.user = user};
	struct buf path = {.max = TEXT_MAX};
	int fd = -1;

	if (expand(a->path, &v, &path) == 0 && buf_addc(&path, '\0') == 0 &&
	    (fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1)
		log_error("%s: %s", path.p, strerror(errno));
	buf_free(&path);
	return fd;
}

/*
 * The entry of `user`. `like` (64 octets or more) gets some password of the file, to
 * take as long over a user who is not there. 1, 0, -1 as passwdfile_find.
 */
static int
find_entry(struct passwdfile *f, struct span key, struct passwdfile_entry *e,
           char *like, size_t cap)
{
	int rc;

	while ((rc = passwdfile_next(f, e)) == 1) {
		if (like != NULL && like[0] == '\0')
			(void)span_cstr(e->password, like, cap);
		if (span_eq(e->user, key))
			return 1;
	}
	if (rc == -1)
		log_error("password file: %s", strerror(errno));
	return rc;
}

int
passfile_find(const struct conf_db *db, struct span user, struct passwdfile *f,
              struct passwdfile_entry *e, struct passfile *a, char *like, size_t cap)
{
	struct expand_vars v = {.user = user};
	struct buf key = {.max = USERNAME_MAX};
	int rc = -1;

	passfile_args(db, a);
	*f = (struct passwdfile){.fd = passfile_open(a, user)};
	if (f->fd != -1) {
		if (expand(a->format, &v, &key) == 0)
			rc = find_entry(f, buf_span(&key), e, like, cap);
		close(f->fd);
	}
	buf_free(&key);
	return rc;
}
