#include "protocol/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"

#define PAGE          4096
#define SHORT_MAX     200 /* waits in a row for `wire` to be as long as the index says */
#define SHORT_WAIT_US 1000

int
reader_open(const struct view *v, uint64_t wire_end, struct reader *r)
{
	*r = (struct reader){
	    .dir = v->dir, .wire = -1, .wire_end = wire_end, .body.fd = -1};
	r->wire = openat(v->hidden, MT_WIRE, O_RDONLY | O_CLOEXEC);
	if (r->wire == -1)
		return -1;
	if ((r->window = aligned_alloc(PAGE, READER_WINDOW)) == NULL) {
		reader_close(r);
		errno = ENOMEM;
		return -1;
	}
	return 0;
}

void
reader_close(struct reader *r)
{
	if (r->body.fd != -1)
		close(r->body.fd);
	if (r->wire != -1)
		close(r->wire);
	free(r->window);
	*r = (struct reader){.dir = -1, .wire = -1, .body.fd = -1};
}

/* ---- the window ------------------------------------------------------------------------ */

/* The message fits wherever on its first page it begins. */
static bool
is_small(const struct reader_message *m)
{
	return m->size <= READER_WINDOW - PAGE;
}

static bool
holds(const struct reader *r, const struct reader_message *m)
{
	return is_small(m) && m->wire_off >= r->wire_off &&
	       m->wire_off + m->size <= r->wire_off + r->held;
}

/* As much of it as can be read from there on: an error further on is of no interest. */
static void
fill(struct reader *r, uint64_t wire_off, size_t n)
{
	ssize_t got;

	r->wire_off = wire_off;
	for (r->held = 0; r->held < n; r->held += (size_t)got) {
		got = pread(r->wire, r->window + r->held, n - r->held,
		            (off_t)(wire_off + r->held));
		if (got == -1 && errno == EINTR)
			got = 0;
		else if (got <= 0)
			break;
	}
}

/* Put the message, from the beginning of its page, and what lies behind it there. */
static int
bring(struct reader *r, const struct reader_message *m)
{
	uint64_t from = m->wire_off - m->wire_off % PAGE;
	uint64_t n = r->wire_end - from;

	errno = EIO; /* also where `wire` ends too early */
	fill(r, from, n < READER_WINDOW ? (size_t)n : READER_WINDOW);
	return holds(r, m) ? 0 : -1;
}

/*
 * Where a removed message shares a page with others, `wire` reads as NULs. A message
 * that is not empty ends in CR LF, so its end shows it; where its beginning alone was
 * read later than the rest, that shows it.
 */
static bool
is_intact(struct span whole, bool has_nul)
{
	if (whole.n < 2 || whole.p[0] == '\0' ||
	    memcmp(whole.p + whole.n - 2, "\r\n", 2) != 0)
		return false;
	return has_nul || memchr(whole.p, '\0', whole.n) == NULL;
}

static struct span
in_window(const struct reader *r, const struct reader_message *m)
{
	return (struct span){r->window + (m->wire_off - r->wire_off), (size_t)m->size};
}

/* ---- one message ------------------------------------------------------------------------ */

static void
end_body(struct reader *r)
{
	if (r->body.fd != -1)
		close(r->body.fd);
	r->body = (struct body){.fd = -1};
}

bool
reader_begin_held(struct reader *r, const struct reader_message *m)
{
	end_body(r);
	if (m->size == 0)
		return true;
	if (!holds(r, m) || !is_intact(in_window(r, m), m->has_nul))
		return false;
	r->body = (struct body){
	    .where = BODY_IN_WINDOW, .fd = -1, .off = m->wire_off, .left = m->size};
	return true;
}

static int
begin_in_window(struct reader *r, const struct reader_message *m)
{
	if (bring(r, m) == -1)
		return -1;
	errno = EIO;
	return reader_begin_held(r, m) ? 0 : -1;
}

/* Bring the next octets of a body that does not lie in the window as a whole. */
static int
advance(struct reader *r)
{
	struct body *b = &r->body;
	size_t want = b->left < READER_WINDOW ? (size_t)b->left : READER_WINDOW;
	int fd = b->where == BODY_IN_FILE ? b->fd : r->wire;
	ssize_t got;

	r->held = 0; /* what lay there of `wire` makes room */
	if ((got = io_pread_full(fd, r->window, want, (off_t)b->off)) == -1)
		return -1;
	if ((size_t)got < want || (b->where == BODY_IN_WIRE && !b->has_nul &&
	                           memchr(r->window, '\0', want) != NULL)) {
		errno = EIO;
		return -1;
	}
	b->ready = want;
	return 0;
}

static int
open_message(struct reader *r, const struct reader_message *m)
{
	char name[32];
	struct stat st;
	int fd;

	snprintf(name, sizeof name, "%u" MT_SUFFIX, m->uid);
	if ((fd = openat(r->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) == -1)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size == m->size)
		return fd;
	close(fd);
	errno = EIO;
	return -1;
}

static int
begin_in_file(struct reader *r, const struct reader_message *m)
{
	int fd = open_message(r, m);

	if (fd == -1)
		return -1;
	r->body = (struct body){.where = BODY_IN_FILE, .fd = fd, .left = m->size};
	return advance(r);
}

/*
 * The last octets of a message. How long `wire` is the kernel knows from answers to whoever
 * asked, and for a moment it may go by one that is older than the message. But when it has
 * been laid out anew, it stays as short as it is.
 */
static ssize_t
read_end(struct reader *r, const struct reader_message *m, char *end, size_t n)
{
	const struct timespec pause = {.tv_nsec = SHORT_WAIT_US * 1000};
	off_t at = (off_t)(m->wire_off + m->size - n);
	ssize_t got;

	while ((got = io_pread_full(r->wire, end, n, at)) != -1 && (size_t)got < n &&
	       r->nshort < SHORT_MAX) {
		r->nshort++;
		nanosleep(&pause, NULL);
	}
	if ((size_t)got == n)
		r->nshort = 0;
	return got;
}

/*
 * A large one that has no file any more: expunged through mailtree, so `wire` keeps it
 * for us, or removed by another program. Its ends tell before anything is announced.
 */
static int
begin_in_wire(struct reader *r, const struct reader_message *m)
{
	char end[2];
	ssize_t n = read_end(r, m, end, sizeof end);

	if (n == -1)
		return -1;
	r->body = (struct body){.where = BODY_IN_WIRE,
	                        .fd = -1,
	                        .off = m->wire_off,
	                        .left = m->size,
	                        .has_nul = m->has_nul};
	if (advance(r) == -1)
		return -1;
	errno = EIO;
	return n == sizeof end && memcmp(end, "\r\n", 2) == 0 && r->window[0] != '\0'
	           ? 0
	           : -1;
}

static int
begin_large(struct reader *r, const struct reader_message *m)
{
	int error;

	if (begin_in_file(r, m) == 0)
		return 0;
	error = errno;
	end_body(r);
	if (begin_in_wire(r, m) == 0)
		return 0;
	errno = error; /* why there is no file says more */
	return -1;
}

/*
 * What is read along with it can fail because of neighbours that are gone for good, or
 * `wire` may have been laid out anew, by a daemon that came after this session: its own file
 * still answers then, or its own octets of `wire`.
 */
static int
begin_small(struct reader *r, const struct reader_message *m)
{
	return begin_in_window(r, m) == 0 ? 0 : begin_large(r, m);
}

int
reader_begin(struct reader *r, const struct reader_message *m)
{
	int rc;

	if (reader_begin_held(r, m))
		return 0;
	if (m->wire_off + m->size > r->wire_end)
		r->wire_end = m->wire_off + m->size;
	if (is_small(m))
		rc = begin_small(r, m);
	else
		rc = begin_large(r, m);
	if (rc == -1) {
		int saved = errno == ESTALE ? ENOENT : errno;

		end_body(r);
		errno = saved;
	}
	return rc;
}

int
reader_next(struct reader *r, struct span *octets)
{
	struct body *b = &r->body;

	if (b->left == 0)
		return 0;
	if (b->where == BODY_IN_WINDOW)
		*octets =
		    (struct span){r->window + (b->off - r->wire_off), (size_t)b->left};
	else if (b->ready == 0 && advance(r) == -1)
		return -1;
	else
		*octets = (struct span){r->window, b->ready};
	b->off += octets->n;
	b->left -= octets->n;
	b->ready = 0;
	return 1;
}

void
reader_skip(struct reader *r, uint64_t n)
{
	if (n == 0)
		return;
	r->body.off += n;
	r->body.left -= n;
	r->body.ready = 0; /* what was brought begins too early now */
}
