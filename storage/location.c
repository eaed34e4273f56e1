#include "storage/location.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/driver.h"
#include "storage/mbox.h"

/* ---- of what kind is a bare path? --------------------------------------------------------- */

/* The first octets tell: a file that is no mbox does not begin so. */
static bool
is_mbox(int dir, const char *name)
{
	int fd = io_open_regular(dir, name, O_RDONLY, (uid_t)-1, true);
	char head[5];
	bool yes;

	if (fd == -1)
		return false;
	yes = io_pread_full(fd, head, sizeof head, 0) == sizeof head &&
	      memcmp(head, "From ", sizeof head) == 0;
	close(fd);
	return yes;
}

static bool
has_mbox(int fd)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;
	bool found = false;

	if (d == NULL) {
		close(fd);
		return false;
	}
	while (!found && (e = readdir(d)) != NULL)
		found = e->d_name[0] != '.' && is_mbox(dirfd(d), e->d_name);
	closedir(d);
	return found;
}

static bool
is_maildir(int fd)
{
	return faccessat(fd, "cur", F_OK, 0) == 0 || faccessat(fd, "new", F_OK, 0) == 0;
}

static int
guess(const char *path, struct location *l)
{
	struct stat st;
	int fd;

	if (stat(path, &st) == -1)
		return -1;
	l->driver = &maildir_driver;
	if (S_ISREG(st.st_mode)) {
		l->driver = &mbox_driver;
		l->inbox_only = true;
		return (l->inbox = strdup(path)) == NULL ? -1 : 0;
	}
	if ((l->root = strdup(path)) == NULL)
		return -1;
	/* one that cannot be opened here is opened, or refused, by who opens the store */
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) != -1) {
		if (is_maildir(fd))
			close(fd);
		else if (has_mbox(fd))
			l->driver = &mbox_driver;
	}
	return 0;
}

/* ---- parsing --------------------------------------------------------------------------------- */

static int
copy(char **to, struct span from)
{
	return (*to = strndup(from.p, from.n)) == NULL ? -1 : 0;
}

/* PATH[:INBOX=PATH][:what says nothing to us] */
static int
parse_mbox(struct span rest, struct location *l)
{
	struct span part;

	l->driver = &mbox_driver;
	if (rest.n > 0 && rest.p[0] == ':') {
		l->inbox_only = true;
		rest = span_from(rest, 1);
	} else if (!span_cut(&rest, ':', &part) || copy(&l->root, part) == -1) {
		errno = EINVAL;
		return -1;
	}
	while (span_cut(&rest, ':', &part))
		if (l->inbox == NULL && span_starts(part, SPAN("INBOX=")) &&
		    copy(&l->inbox, span_from(part, 6)) == -1)
			return -1;
	if ((l->inbox != NULL && l->inbox[0] == '\0') ||
	    (l->inbox_only && l->inbox == NULL)) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

/* The directory of the INBOX is the top when there is nothing else. */
static int
top_of_inbox(struct location *l)
{
	const char *slash = strrchr(l->inbox, '/');
	struct span dir = {".", 1};

	if (slash != NULL)
		dir = (struct span){l->inbox,
		                    slash == l->inbox ? 1 : (size_t)(slash - l->inbox)};
	return copy(&l->root, dir);
}

int
location_parse(const char *text, struct location *l)
{
	struct span rest = span_of(text);
	int rc, saved;

	*l = (struct location){0};
	if (span_starts(rest, SPAN("maildir:"))) {
		l->driver = &maildir_driver;
		rc = copy(&l->root, span_from(rest, 8));
	} else if (span_starts(rest, SPAN("mbox:")))
		rc = parse_mbox(span_from(rest, 5), l);
	else if (strchr(text, ':') != NULL && text[0] != '/' && text[0] != '.') {
		errno = EPROTONOSUPPORT;
		rc = -1;
	} else
		rc = guess(text, l);
	if (rc == 0 && l->inbox_only)
		rc = top_of_inbox(l);
	if (rc == -1) {
		saved = errno;
		location_free(l);
		errno = saved;
	}
	return rc;
}

void
location_free(struct location *l)
{
	free(l->root);
	free(l->inbox);
	*l = (struct location){0};
}
