/*
 * message: stored bytes opened, checked against the record, and read as wire bytes at
 * any offset. The only place where a wire offset meets a stored offset.
 */
#include "storage/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/crlf.h"
#include "storage/grow.h"
#include "storage/refresh.h"

#define TRIES	    40	     /* renames between looking a name up and opening it */
#define STORED_STEP 65536    /* stored octets read at a time */
#define MARK_EVERY  (1 << 18) /* wire octets between two checkpoints */

/* From here conversion can start again. */
struct mark {
	struct crlf conv;
	uint64_t stored_off;
};

struct message {
	struct box *box;
	bool holds_box; /* has a reference */
	struct mt_record rec;
	struct source src;
	pthread_mutex_t lock; /* the marks and `now` */
	struct mark now;      /* where the last read ended */
	struct mark *mark;    /* ascending, about MARK_EVERY apart */
	size_t nmark, mark_cap;
};

/* ---- opening --------------------------------------------------------------------------- */

static int64_t
find_row(const struct box *b, uint32_t uid, bool any)
{
	int64_t row = box_row(b, uid);

	if (row != -1 || !any)
		return row;
	for (size_t i = 0; i < b->in->nheld; i++)
		if (b->rec[b->in->held[i].row].uid == uid)
			return b->in->held[i].row;
	return -1;
}

static int
try_source(struct box *b, uint32_t uid, bool any, struct mt_record *rec, struct source *src)
{
	int64_t row;
	int rc = -1;

	pthread_rwlock_rdlock(&b->lock);
	if (b->dead)
		errno = ESTALE;
	else if ((row = find_row(b, uid, any)) == -1)
		errno = ENOENT;
	else {
		*rec = b->rec[row];
		cred_enter(b->store);
		rc = b->store->driver->source(b, (uint32_t)row, src);
		cred_leave(b->store);
	}
	pthread_rwlock_unlock(&b->lock);
	return rc;
}

static bool
is_there(struct box *b, uint32_t uid)
{
	struct mt_record r;

	return box_record(b, uid, &r) == 0;
}

int
message_source(struct box *b, uint32_t uid, bool any, struct mt_record *rec,
	       struct source *src)
{
	for (int i = 0; i < TRIES; i++) {
		if (try_source(b, uid, any, rec, src) == 0)
			return 0;
		if (errno != ENOENT)
			return -1;
		if (!is_there(b, uid)) /* now it is held, or gone for good */
			return any ? try_source(b, uid, any, rec, src) : -1;
		/* renamed or removed since the last scan: look where it is now. An mbox has grown
		 * as a rule: what has come is looked at, and the whole only when that is in vain */
		pthread_mutex_lock(&b->io);
		(void)refresh_locked(b, i > 0);
		pthread_mutex_unlock(&b->io);
		errno = ENOENT;
	}
	return -1;
}

bool
source_matches(const struct source *src, const struct mt_record *r)
{
	return r->wire_off == MT_OFF_UNKNOWN || src->stored_size + r->added == r->wire_size;
}

/* Is the file that holds more than this message still as it was? */
static bool
is_as_it_was(const struct source *src)
{
	struct file_stamp now;
	struct stat st;

	if (fstat(src->fd, &st) == -1)
		return false;
	now = file_stamp(&st);
	return file_stamp_eq(&now, &src->stamp);
}

static int
read_ranges(const struct source *src, uint64_t off, char *out, size_t n)
{

	for (size_t i = 0; i < src->nrange && n > 0; i++) {
		size_t part;

		if (off >= src->range[i].size) {
			off -= src->range[i].size;
			continue;
		}
		part = n < src->range[i].size - off ? n : (size_t)(src->range[i].size - off);
		if (io_pread_full(src->fd, out, part, (off_t)(src->range[i].off + off)) !=
		    (ssize_t)part) {
			errno = EIO;
			return -1;
		}
		out += part;
		n -= part;
		off = 0;
	}
	if (n == 0)
		return 0;
	errno = EIO;
	return -1;
}

int
source_read(const struct source *src, uint64_t off, void *to, size_t n)
{
	int rc = read_ranges(src, off, to, n);

	if (src->shared && !is_as_it_was(src)) {
		errno = ESTALE;
		rc = -1;
	}
	return rc;
}

void
message_hold_box(struct message *m, bool hold)
{
	if (hold && !m->holds_box)
		box_ref(m->box);
	else if (!hold && m->holds_box)
		box_unref(m->box);
	m->holds_box = hold;
}

static int
open_message(struct box *b, uint32_t uid, bool any, struct message **out)
{
	struct message *m = calloc(1, sizeof *m);
	struct mt_record sized;

	if (m == NULL)
		return -1;
	if (message_source(b, uid, any, &m->rec, &m->src) == -1)
		goto fail;
	if (m->rec.wire_off == MT_OFF_UNKNOWN) { /* its size is asked for first, as a rule */
		close(m->src.fd);
		if (box_sized(b, uid, &sized) == -1 ||
		    message_source(b, uid, any, &m->rec, &m->src) == -1)
			goto fail;
	}
	if (!source_matches(&m->src, &m->rec)) {
		log_error("%s: %s: UID %u: its file was changed by another program: %ju octets are "
			  "stored where there were %ju; it is not served",
			  b->store->name, b->path, uid, (uintmax_t)m->src.stored_size,
			  (uintmax_t)(m->rec.wire_size - m->rec.added));
		close(m->src.fd);
		errno = EIO;
		goto fail;
	}
	pthread_mutex_init(&m->lock, NULL);
	m->box = b;
	message_hold_box(m, true);
	*out = m;
	return 0;
fail:
	free(m);
	return -1;
}

int
message_open(struct box *b, uint32_t uid, struct message **out)
{
	return open_message(b, uid, false, out);
}

void
message_record(const struct message *m, struct mt_record *out)
{
	*out = m->rec;
}

void
message_close(struct message *m)
{
	if (m == NULL)
		return;
	close(m->src.fd);
	pthread_mutex_destroy(&m->lock);
	free(m->mark);
	message_hold_box(m, false);
	free(m);
}

/* ---- reading ------------------------------------------------------------------------------ */

/* The place to convert from for wire_off: where the last read ended, a mark, the start. */
static void
seek(struct message *m, uint64_t wire_off, struct mark *at)
{
	size_t lo = 0, hi = m->nmark;

	while (lo < hi) { /* the first mark beyond */
		size_t mid = lo + (hi - lo) / 2;

		if (m->mark[mid].conv.wire <= wire_off)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo > 0 ? m->mark[lo - 1] : (struct mark){0};
	if (m->now.conv.wire <= wire_off && m->now.conv.wire > at->conv.wire)
		*at = m->now;
}

static void
remember(struct message *m, const struct mark *at)
{
	uint64_t last = m->nmark > 0 ? m->mark[m->nmark - 1].conv.wire : 0;

	m->now = *at;
	if (at->conv.wire >= last + MARK_EVERY && GROW(m->mark, m->nmark, m->mark_cap) == 0)
		m->mark[m->nmark++] = *at;
}

/*
 * Convert from *at on until `n` octets from wire_off are in out. *at is left at the end
 * of what was converted, which is at or before the end of the read.
 */
static int
convert(struct message *m, struct mark *at, uint64_t wire_off, char *out, size_t n)
{
	char *stored = malloc(STORED_STEP), *wire = malloc(2 * STORED_STEP + 2);
	uint64_t end = wire_off + n;
	int rc = -1;

	if (stored == NULL || wire == NULL)
		goto out;
	while (at->stored_off < m->src.stored_size && at->conv.wire < end) {
		uint64_t left = m->src.stored_size - at->stored_off;
		size_t take = left < STORED_STEP ? (size_t)left : STORED_STEP, used = 0, made, skip;
		uint64_t first;
		struct span in = {stored, take};

		if (source_read(&m->src, at->stored_off, stored, take) == -1)
			goto out;
		if (at->conv.wire < wire_off) {
			skip = crlf_skip(&at->conv, in, wire_off);
			at->stored_off += skip;
			in = span_from(in, skip);
		}
		remember(m, at);
		first = at->conv.wire;
		made = crlf_push(&at->conv, in, wire, 2 * STORED_STEP + 2, &used);
		at->stored_off += used;
		/* octets [first, first + made) of the message are in wire[] */
		for (uint64_t o = first < wire_off ? wire_off : first; o < first + made && o < end;) {
			size_t k = (size_t)((first + made < end ? first + made : end) - o);

			memcpy(out + (o - wire_off), wire + (o - first), k);
			o += k;
		}
	}
	if (at->stored_off == m->src.stored_size && at->conv.wire < end) {
		char last[2];
		struct crlf tail = at->conv;
		size_t made = crlf_end(&tail, last);

		if (tail.wire != m->rec.wire_size) { /* not the bytes that were counted */
			errno = EIO;
			goto out;
		}
		for (size_t i = 0; i < made; i++)
			if (at->conv.wire + i >= wire_off && at->conv.wire + i < end)
				out[at->conv.wire + i - wire_off] = last[i];
	}
	rc = 0;
out:
	free(stored);
	free(wire);
	return rc;
}

/* m->lock held. Where it lies now in a file that was changed. The message is the same. */
static int
find_again(struct message *m)
{
	struct mt_record rec;
	struct source src;

	if (message_source(m->box, m->rec.uid, true, &rec, &src) == -1)
		return -1;
	if (rec.wire_size != m->rec.wire_size || !source_matches(&src, &rec)) {
		close(src.fd);
		errno = EIO;
		return -1;
	}
	close(m->src.fd);
	m->src = src;
	m->rec.added = rec.added;
	return 0;
}

/* m->lock held */
static int
read_message(struct message *m, uint64_t wire_off, void *out, size_t n)
{
	struct mark at;

	if (m->rec.added == 0) /* stored as it goes out */
		return source_read(&m->src, wire_off, out, n);
	seek(m, wire_off, &at);
	return convert(m, &at, wire_off, out, n);
}

int
message_read(struct message *m, uint64_t wire_off, void *out, size_t n)
{
	int rc;

	if (n == 0)
		return 0;
	if (wire_off > m->rec.wire_size || n > m->rec.wire_size - wire_off) {
		errno = EINVAL;
		return -1;
	}
	if (m->rec.added == 0 && !m->src.shared)
		return source_read(&m->src, wire_off, out, n);
	pthread_mutex_lock(&m->lock);
	rc = read_message(m, wire_off, out, n);
	for (int i = 0; i < TRIES && rc == -1 && errno == ESTALE; i++)
		if (find_again(m) == 0)
			rc = read_message(m, wire_off, out, n);
		else
			break;
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int
message_open_row(struct box *b, uint32_t uid, struct message **out)
{
	return open_message(b, uid, true, out);
}
