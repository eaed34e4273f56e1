/*
 * sizer: counting wire sizes. Each message is read once; the result goes to the record
 * and the index file. Chunks of rows are counted by several jobs at a time and published
 * together, so that the order of `wire` is about the order of the UIDs.
 */
#include "storage/sizer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/log.h"
#include "storage/crlf.h"
#include "storage/grow.h"
#include "storage/message.h"

#define CHUNK	 64	    /* messages counted between two publications */
#define NJOB	 8	    /* of one mailbox at a time */
#define READ_STEP (256 << 10) /* octets */
#define TRIES	 40

struct counted {
	uint32_t row;
	struct mt_record rec;
};

/* ---- one message ---------------------------------------------------------------------- */

static int
count_source(const struct source *src, struct mt_record *r)
{
	struct wire_count c = {0};
	uint64_t off = 0;
	size_t room = src->stored_size < READ_STEP ? (size_t)src->stored_size + 1 : READ_STEP;
	char *buf = malloc(room);

	if (buf == NULL)
		return -1;
	while (off < src->stored_size) {
		size_t n = src->stored_size - off < READ_STEP ? (size_t)(src->stored_size - off)
							     : READ_STEP;

		if (source_read(src, off, buf, n) == -1) {
			free(buf);
			return -1;
		}
		wire_count_push(&c, (struct span){buf, n});
		off += n;
	}
	free(buf);
	wire_count_end(&c);
	r->wire_size = c.wire;
	r->header_size = c.header_size;
	r->bits = c.bits;
	r->added = (uint32_t)(c.wire - c.stored);
	return 0;
}

static int
try_count(struct box *b, uint32_t uid, struct mt_record *out)
{
	struct mt_record now;
	struct source src;
	int rc, saved;

	if (message_source(b, uid, false, &now, &src) == -1)
		return -1;
	*out = (struct mt_record){.uid = uid};
	rc = count_source(&src, out);
	saved = errno;
	close(src.fd);
	errno = saved;
	return rc;
}

/* A file that others write to may change while it is read. */
static int
count_uid(struct box *b, uint32_t uid, struct mt_record *out)
{
	int rc = try_count(b, uid, out);

	for (int i = 0; i < TRIES && rc == -1 && errno == ESTALE && !b->dead; i++)
		rc = try_count(b, uid, out);
	return rc;
}

/* ---- publishing ------------------------------------------------------------------------- */

static void
publish(struct box *b, const struct counted *v, size_t n)
{
	struct box_private *in = b->in;

	box_begin(b);
	for (size_t i = 0; i < n; i++)
		box_edit_sized(b, v[i].row, &v[i].rec);
	box_commit(b);
	pthread_mutex_lock(&in->size_lock);
	pthread_cond_broadcast(&in->sized);
	pthread_mutex_unlock(&in->size_lock);
}

static void
note_failure(struct box *b, uint32_t row, uint32_t uid)
{
	struct box_private *in = b->in;

	if (errno == ENOENT || errno == ESTALE) /* removed meanwhile: nothing is wrong */
		return;
	log_error("%s: %s: UID %u cannot be read: %m", b->store->name, b->path, uid);
	pthread_mutex_lock(&in->size_lock);
	if (GROW(in->failed, in->nfailed, in->failed_cap) == 0)
		in->failed[in->nfailed++] = row;
	pthread_mutex_unlock(&in->size_lock);
}

/* ---- in the background --------------------------------------------------------------------- */

/* The next rows to be counted. lock not held; size_lock held: so no row is given twice. */
static size_t
next_chunk(struct box *b, struct counted *v)
{
	struct box_private *in = b->in;
	size_t n = 0;

	pthread_rwlock_rdlock(&b->lock);
	for (; in->size_next < b->head.nrecord && n < CHUNK && !b->dead; in->size_next++) {
		const struct mt_record *r = &b->rec[in->size_next];

		if (r->wire_off == MT_OFF_UNKNOWN && !(r->bits & MT_EXPUNGED)) {
			v[n].row = in->size_next;
			v[n++].rec.uid = r->uid;
		}
	}
	pthread_rwlock_unlock(&b->lock);
	return n;
}

static void
count_chunk(struct box *b, struct counted *v, size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i < n && !b->dead; i++) {
		uint32_t uid = v[i].rec.uid;

		v[done].row = v[i].row;
		if (count_uid(b, uid, &v[done].rec) == 0)
			done++;
		else
			note_failure(b, v[i].row, uid);
	}
	if (done > 0)
		publish(b, v, done);
}

static void
run_job(void *arg)
{
	struct box *b = arg;
	struct box_private *in = b->in;
	struct counted v[CHUNK];
	size_t n;

	pthread_mutex_lock(&in->size_lock);
	while ((n = next_chunk(b, v)) > 0) {
		pthread_mutex_unlock(&in->size_lock);
		count_chunk(b, v, n);
		pthread_mutex_lock(&in->size_lock);
	}
	in->size_jobs--;
	pthread_cond_broadcast(&in->sized);
	pthread_mutex_unlock(&in->size_lock);
	box_unref(b);
}

void
sizer_kick(struct box *b)
{
	struct box_private *in = b->in;
	uint64_t nrecord, unsized;

	pthread_rwlock_rdlock(&b->lock);
	nrecord = b->head.nrecord;
	unsized = b->head.nunsized;
	pthread_rwlock_unlock(&b->lock);
	if (unsized == 0)
		return;
	pthread_mutex_lock(&in->size_lock);
	for (unsigned want = unsized > 4 * CHUNK ? NJOB : 1;
	     in->size_next < nrecord && in->size_jobs < want; in->size_jobs++) {
		box_ref(b);
		if (pool_submit(b->store->env->pool, run_job, b) == -1) {
			box_unref(b); /* never the last one: the caller has its own */
			break;
		}
	}
	pthread_mutex_unlock(&in->size_lock);
}

void
sizer_free(struct box *b)
{
	free(b->in->failed);
}

/* ---- on demand -------------------------------------------------------------------------------- */

int
box_sized(struct box *b, uint32_t uid, struct mt_record *out)
{
	struct counted one;
	int64_t row;

	if (box_record(b, uid, out) == -1)
		return -1;
	if (out->wire_off != MT_OFF_UNKNOWN)
		return 0;
	sizer_kick(b);
	if (count_uid(b, uid, &one.rec) == -1)
		return -1;
	pthread_rwlock_rdlock(&b->lock);
	row = box_row(b, uid);
	pthread_rwlock_unlock(&b->lock);
	if (row == -1) {
		errno = ENOENT;
		return -1;
	}
	one.row = (uint32_t)row;
	publish(b, &one, 1); /* nothing happens when a job was quicker */
	return box_record(b, uid, out);
}

/* size_lock held */
static bool
has_failed(const struct box_private *in, uint32_t row)
{
	for (size_t i = 0; i < in->nfailed; i++)
		if (in->failed[i] == row)
			return true;
	return false;
}

/* Are the sizes of the set known, as far as they can be? From row *from on; size_lock held. */
static bool
all_sized(struct box *b, const struct numset *set, uint32_t *from)
{
	bool all = true;

	pthread_rwlock_rdlock(&b->lock);
	if (b->head.nunsized > 0 && !b->dead)
		for (; *from < b->head.nrecord; ++*from) {
			const struct mt_record *r = &b->rec[*from];

			if (r->wire_off == MT_OFF_UNKNOWN && !(r->bits & MT_EXPUNGED) &&
			    numset_has(set, r->uid) && !has_failed(b->in, *from)) {
				all = false;
				break;
			}
		}
	pthread_rwlock_unlock(&b->lock);
	return all;
}

/*
 * Jobs pass over a message that is renamed under them: count the one of row *from, or
 * pass over it when it cannot be read at all. size_lock held, but not during the reading.
 */
static void
count_left_over(struct box *b, uint32_t *from)
{
	struct mt_record r;
	uint32_t uid;

	pthread_rwlock_rdlock(&b->lock);
	uid = b->rec[*from].uid;
	pthread_rwlock_unlock(&b->lock);
	pthread_mutex_unlock(&b->in->size_lock);
	if (box_sized(b, uid, &r) == -1)
		++*from;
	pthread_mutex_lock(&b->in->size_lock);
}

static bool
is_past(const struct timespec *t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec > t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

int
box_want_sizes(struct box *b, const struct numset *set, int timeout_ms)
{
	struct box_private *in = b->in;
	struct timespec until;
	uint32_t from = 0;
	int rc = 0;
	bool all;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L)
		until.tv_sec++, until.tv_nsec -= 1000000000L;
	sizer_kick(b);
	pthread_mutex_lock(&in->size_lock);
	while (!(all = all_sized(b, set, &from)) && rc == 0) {
		if (in->size_jobs > 0)
			rc = pthread_cond_timedwait(&in->sized, &in->size_lock, &until);
		else if (is_past(&until))
			rc = ETIMEDOUT;
		else
			count_left_over(b, &from);
	}
	all = all || all_sized(b, set, &from);
	pthread_mutex_unlock(&in->size_lock);
	return all ? 1 : 0;
}
