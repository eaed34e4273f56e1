/*
 * maildir_uidvalidity: numbers for new mailboxes, no two of a store alike. As Dovecot
 * does it: the last one given is in `dovecot-uidvalidity` and in the name of an empty
 * file `dovecot-uidvalidity.XXXXXXXX`; renaming that file to the next number is the
 * step that only one process can make.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/base/num.h"
#include "storage/maildir.h"

#define FILE_NAME "dovecot-uidvalidity"
#define TRIES	  64

struct marker {
	char name[sizeof FILE_NAME + 9];
};

static struct marker
marker(uint32_t v)
{
	struct marker m;

	snprintf(m.name, sizeof m.name, FILE_NAME ".%08x", v);
	return m;
}

static bool
parse_marker(const char *name, uint32_t *v)
{
	struct span s = span_of(name);

	return span_starts(s, SPAN(FILE_NAME ".")) && s.n == sizeof(struct marker) - 1 &&
	       num_hex32(span_from(s, sizeof FILE_NAME), v) == 0;
}

static bool
read_last(int top, uint32_t *v)
{
	struct buf text = {.max = 64};
	bool ok = false;
	int fd = io_open_regular(top, FILE_NAME, O_RDONLY, (uid_t)-1, false);

	if (fd == -1)
		return false;
	if (io_slurp(fd, &text) == 0)
		ok = num_hex32(span_trim((struct span){text.p, text.n < 8 ? text.n : 8}), v) == 0;
	close(fd);
	buf_free(&text);
	return ok && *v != 0;
}

/* The highest marker that is there; 0 without one. */
static uint32_t
highest_marker(int top)
{
	int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dp = fd == -1 ? NULL : fdopendir(fd);
	uint32_t max = 0, v;
	struct dirent *d;

	if (dp == NULL) {
		if (fd != -1)
			close(fd);
		return 0;
	}
	while ((d = readdir(dp)) != NULL)
		if (parse_marker(d->d_name, &v) && v > max)
			max = v;
	closedir(dp);
	return max;
}

static void
write_last(int top, uint32_t v)
{
	char text[16], tmp[sizeof FILE_NAME + 16];
	int n = snprintf(text, sizeof text, "%08x", v);

	/* others may write theirs right now: each has a file of its own until it is whole */
	snprintf(tmp, sizeof tmp, FILE_NAME ".tmp-%08x", v);
	/* the marker is what counts; this only saves readers the search */
	if (io_replace(top, FILE_NAME, tmp, (struct span){text, (size_t)n}, 0600) == -1)
		log_warn("cannot write " FILE_NAME ": %m");
}

/* Move the marker on from *last. 0, or -1: somebody else did, or there is none. */
static int
advance(int top, uint32_t last, uint32_t next)
{
	struct marker from = marker(last), to = marker(next);

	return renameat(top, from.name, top, to.name);
}

static int
create_marker(int top, uint32_t v)
{
	struct marker m = marker(v);
	int fd = openat(top, m.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1)
		return -1;
	close(fd);
	return 0;
}

/* As good as unique where nothing may be written: the time, and not the last one. */
static uint32_t
by_time(uint32_t last)
{
	uint32_t now = (uint32_t)time(NULL);

	return now > last ? now : last + 1;
}

uint32_t
md_uidvalidity_next(struct maildir *m)
{
	int top = m->box->store->root;
	uint32_t last = 0, next;

	if (!m->writable)
		return by_time(0);
	if (!read_last(top, &last) || faccessat(top, marker(last).name, F_OK, 0) == -1)
		last = highest_marker(top);
	for (int i = 0; i < TRIES; i++) {
		if (last == 0) {
			next = by_time(0);
			if (create_marker(top, next) == 0)
				goto made;
		} else {
			next = last + 1;
			if (advance(top, last, next) == 0)
				goto made;
		}
		if (errno != ENOENT && errno != EEXIST)
			break;
		last = highest_marker(top);
	}
	log_warn("%s: cannot use " FILE_NAME ": %m", md_who(m));
	return by_time(last);
made:
	write_last(top, next);
	return next;
}
