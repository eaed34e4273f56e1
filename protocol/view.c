#include "protocol/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"

#define SCAN_BLOCK   4096         /* O_DIRECT reads begin and end on such a boundary */
#define SCAN_CHUNK   (256 * 1024) /* octets of index per read */
#define TORN_MAX     1000         /* times that a record under change is read again */
#define LET_GO_MAX   1000         /* reads of news at the end */
#define TORN_WAIT_US 1000

_Static_assert(SCAN_BLOCK == MT_HEADER_SIZE, "records begin on a block boundary");
_Static_assert(SCAN_BLOCK % sizeof(struct mt_record) == 0, "no record crosses blocks");

/* ---- opening ------------------------------------------------------------------------- */

static int
open_mailbox(const struct view_conf *conf)
{
	int user, box;

	user = open(conf->user_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (user == -1)
		return -1;
	box = openat(user, conf->mailbox, O_PATH | O_DIRECTORY | O_CLOEXEC);
	close(user);
	return box;
}

/* Past the page cache, so that a read is what the daemon says now. */
static int
open_index(int hidden)
{
	int fd = openat(hidden, MT_INDEX, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd == -1 &&
	    errno == EINVAL) /* no mount of ours, and one without O_DIRECT */
		fd = openat(hidden, MT_INDEX, O_RDONLY | O_CLOEXEC);
	return fd;
}

int
view_open(const struct view_conf *conf, struct view *v)
{
	int saved;

	*v = (struct view){.conf = *conf,
	                   .dir = -1,
	                   .hidden = -1,
	                   .events = -1,
	                   .index = -1,
	                   .ctl = -1,
	                   .lock = -1,
	                   .cache = -1};
	if ((v->dir = open_mailbox(conf)) == -1)
		goto fail;
	v->hidden = openat(v->dir, MT_HIDDEN, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (v->hidden == -1)
		goto fail;
	/* before anything is read of the index: what it shows then stays readable */
	if (conf->mode == VIEW_WHOLE) {
		v->events =
		    openat(v->hidden, MT_EVENTS, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (v->events == -1)
			goto fail;
	}
	if (conf->mode != VIEW_COMMANDS && (v->index = open_index(v->hidden)) == -1)
		goto fail;
	if (conf->ctl == NULL && conf->mode != VIEW_LOOK) {
		v->ctl = openat(v->hidden, MT_CTL, O_RDWR | O_CLOEXEC);
		if (v->ctl == -1)
			goto fail;
	}
	return 0;
fail:
	saved = errno;
	view_close(v);
	errno = saved;
	return -1;
}

int
view_lock(struct view *v)
{
	int fd = openat(v->hidden, MT_LOCK, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		int saved = errno == EWOULDBLOCK ? EBUSY : errno;

		close(fd);
		errno = saved;
		return -1;
	}
	v->lock = fd;
	return 0;
}

/*
 * Read what has happened: with that, and not only some time after the close, the daemon
 * lets go of what it held for us.
 */
static void
let_go(struct view *v)
{
	struct mt_event seen[128];

	for (int i = 0; i < LET_GO_MAX && read(v->events, seen, sizeof seen) > 0; i++)
		;
}

void
view_close(struct view *v)
{
	int *const fd[] = {&v->lock,   &v->cache,  &v->ctl, &v->index,
	                   &v->events, &v->hidden, &v->dir};

	if (v->events != -1)
		let_go(v);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		if (*fd[i] != -1)
			close(*fd[i]);
		*fd[i] = -1;
	}
}

/* ---- the index ----------------------------------------------------------------------- */

static bool
header_is_whole(const struct mt_header *head)
{
	struct mt_header copy = *head;

	copy.check = 0;
	return head->check == hash_check(&copy, sizeof copy);
}

static bool
header_is_ours(const struct mt_header *head)
{
	return memcmp(head->magic, MT_MAGIC, sizeof head->magic) == 0 &&
	       head->version == MT_ABI_VERSION && head->header_size == MT_HEADER_SIZE &&
	       head->record_size == sizeof(struct mt_record);
}

static bool
record_is_whole(const struct mt_record *r)
{
	return r->check == hash_check(r, offsetof(struct mt_record, check));
}

/* Somebody writes it at this moment: give him some time. */
static void
wait_a_little(void)
{
	nanosleep(&(struct timespec){.tv_nsec = TORN_WAIT_US * 1000}, NULL);
}

int
view_header(struct view *v, struct mt_header *head)
{
	_Alignas(SCAN_BLOCK) char block[SCAN_BLOCK];

	if (v->index == -1 && (v->index = open_index(v->hidden)) == -1)
		return -1; /* a view for commands opens it when it is wanted after all */
	for (int i = 0; i < TORN_MAX; i++) {
		ssize_t n = io_pread_full(v->index, block, sizeof block, 0);

		if (n == -1)
			return -1;
		if (n == sizeof block) {
			memcpy(head, block, sizeof *head);
			if (header_is_whole(head)) {
				errno = EPROTONOSUPPORT;
				return header_is_ours(head) ? 0 : -1;
			}
		}
		wait_a_little();
	}
	errno = EIO;
	return -1;
}

/* Read the block of `chunk` (octets off.. of the index) that holds `r` until r is whole. */
static int
settle(struct view *v, char *chunk, uint64_t off, const struct mt_record *r)
{
	size_t block = (size_t)((const char *)r - chunk) / SCAN_BLOCK * SCAN_BLOCK;

	for (int i = 0; i < TORN_MAX; i++) {
		if (record_is_whole(r))
			return 0;
		wait_a_little();
		if (io_pread_full(v->index, chunk + block, SCAN_BLOCK,
		                  (off_t)(off + block)) == -1)
			return -1;
	}
	errno = EIO;
	return -1;
}

struct scan {
	struct view *v;
	char *chunk;
	uint32_t last; /* UID */
	int (*each)(void *, const struct mt_record *);
	void *arg;
};

/* The first n records of the chunk, which is at `off` of the index. */
static int
scan_chunk(struct scan *s, uint64_t off, size_t n)
{
	const struct mt_record *r = (const struct mt_record *)(const void *)s->chunk;
	int rc;

	for (const struct mt_record *end = r + n; r < end; r++) {
		if (!record_is_whole(r) && settle(s->v, s->chunk, off, r) == -1)
			return -1;
		if (r->bits & MT_EXPUNGED)
			continue;
		if (r->uid <= s->last) {
			errno = EIO;
			return -1;
		}
		s->last = r->uid;
		if ((rc = s->each(s->arg, r)) != 0)
			return rc;
	}
	return 0;
}

static int
scan_records(struct scan *s, uint64_t nrecord)
{
	uint64_t off = MT_HEADER_SIZE;
	int rc;

	while (nrecord > 0) {
		size_t most = SCAN_CHUNK / sizeof(struct mt_record);
		size_t want = nrecord < most ? (size_t)nrecord : most;
		ssize_t n =
		    io_pread_full(s->v->index, s->chunk, SCAN_CHUNK, (off_t)off);

		if (n == -1)
			return -1;
		if ((size_t)n / sizeof(struct mt_record) < want) {
			errno = ESTALE; /* cut: it is being built anew */
			return -1;
		}
		if ((rc = scan_chunk(s, off, want)) != 0)
			return rc;
		off += want * sizeof(struct mt_record);
		nrecord -= want;
	}
	return 0;
}

int
view_scan(struct view *v, struct mt_header *head,
          int (*each)(void *, const struct mt_record *), void *arg)
{
	struct scan s = {.v = v, .each = each, .arg = arg};
	struct mt_header after;
	int rc, saved;

	if (view_header(v, head) == -1)
		return -1;
	if ((s.chunk = aligned_alloc(SCAN_BLOCK, SCAN_CHUNK)) == NULL)
		return -1;
	rc = scan_records(&s, head->nrecord);
	saved = errno;
	free(s.chunk);
	errno = saved;
	if (rc != 0)
		return rc;
	if (view_header(v, &after) == -1)
		return -1;
	errno = ESTALE;
	return after.generation == head->generation &&
	               after.uidvalidity == head->uidvalidity
	           ? 0
	           : -1;
}

/* As many whole blocks as hold the n octets at off. */
static size_t
blocks_around(uint64_t *off, size_t n)
{
	uint64_t end = (*off + n + SCAN_BLOCK - 1) / SCAN_BLOCK * SCAN_BLOCK;

	*off = *off / SCAN_BLOCK * SCAN_BLOCK;
	return (size_t)(end - *off);
}

/*
 * At least `need` of the octets at `off`. The kernel knows the file's size from answers to
 * whoever asked, and for a moment it may go by one that is older than the rows.
 */
static int
read_all_of(struct view *v, char *to, size_t want, size_t need, uint64_t off)
{
	for (int i = 0; i < TORN_MAX; i++) {
		ssize_t got = io_pread_full(v->index, to, want, (off_t)off);

		if (got == -1)
			return -1;
		if ((size_t)got >= need)
			return 0;
		wait_a_little();
	}
	errno = ESTALE;
	return -1;
}

/* The n records from `row` on, which fit in `chunk`. */
static int
read_rows(struct view *v, uint32_t row, struct mt_record *out, size_t n, char *chunk)
{
	const uint64_t at = MT_HEADER_SIZE + (uint64_t)row * sizeof *out;
	uint64_t off = at;
	size_t want = blocks_around(&off, n * sizeof *out);
	const struct mt_record *r;

	if (read_all_of(v, chunk, want, (size_t)(at - off) + n * sizeof *out, off) ==
	    -1)
		return -1;
	r = (const struct mt_record *)(const void *)(chunk + (at - off));
	for (size_t i = 0; i < n; i++)
		if (!record_is_whole(&r[i]) && settle(v, chunk, off, &r[i]) == -1)
			return -1;
	memcpy(out, r, n * sizeof *out);
	return 0;
}

int
view_rows(struct view *v, uint32_t row, struct mt_record *out, size_t n)
{
	const size_t most = (SCAN_CHUNK - SCAN_BLOCK) / sizeof *out;
	uint64_t off = (uint64_t)row * sizeof *out;
	size_t room = blocks_around(&off, (n < most ? n : most) * sizeof *out);
	char *chunk;
	int rc = 0, saved;

	if (n == 0)
		return 0;
	if ((chunk = aligned_alloc(SCAN_BLOCK, room + SCAN_BLOCK)) == NULL)
		return -1;
	while (n > 0 && rc == 0) {
		size_t part = n < most ? n : most;

		rc = read_rows(v, row, out, part, chunk);
		row += (uint32_t)part;
		out += part;
		n -= part;
	}
	saved = errno;
	free(chunk);
	errno = saved;
	return rc;
}

/* ---- news ---------------------------------------------------------------------------- */

ssize_t
view_news(struct view *v, struct mt_event *event, size_t most)
{
	ssize_t n;

	while ((n = read(v->events, event, most * sizeof *event)) == -1 &&
	       errno == EINTR)
		;
	if (n == -1)
		return errno == EAGAIN ? 0 : -1;
	if ((size_t)n % sizeof *event != 0) {
		errno = EPROTO;
		return -1;
	}
	return n / (ssize_t)sizeof *event;
}
