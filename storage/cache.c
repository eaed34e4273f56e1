/*
 * cache: blobs that sessions write back, one per (UID, kind), in an append-only file. The
 * daemon looks at their heads only. Disposable: what does not hold is as if never written,
 * and the file is made anew when more than half of it is dead.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"
#include "storage/box_private.h"
#include "storage/grow.h"

#define CACHE_MAX (1u << 30) /* octets of one mailbox's file */

/* The file begins with what it belongs to; blobs of another mailbox are none. */
struct cache_head {
	char magic[8]; /* "mtcache1" */
	uint32_t uidvalidity;
	uint32_t check;
	uint8_t guid[16];
};

struct place {
	uint32_t uid, kind;
	uint32_t off; /* of its head in the file */
	uint32_t size;
};

struct blobs {
	int fd;
	uint32_t end;
	struct place *at; /* ascending by (uid, kind) */
	size_t n, cap;
	uint64_t dead; /* octets of replaced blobs */
};

static size_t
padded(uint32_t size)
{
	return ((size_t)size + 7) & ~(size_t)7;
}

/* ---- the map ------------------------------------------------------------------------- */

static size_t
find(const struct blobs *c, uint32_t uid, uint32_t kind)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct place *p = &c->at[mid];

		if (p->uid < uid || (p->uid == uid && p->kind < kind))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int
learn(struct blobs *c, const struct mt_blob *b, uint32_t off)
{
	size_t i = find(c, b->uid, b->kind);

	if (i < c->n && c->at[i].uid == b->uid && c->at[i].kind == b->kind)
		c->dead += sizeof *b + padded(c->at[i].size);
	else {
		if (GROW(c->at, c->n, c->cap) == -1)
			return -1;
		memmove(c->at + i + 1, c->at + i, (c->n++ - i) * sizeof *c->at);
	}
	c->at[i] = (struct place){b->uid, b->kind, off, b->size};
	return 0;
}

/* ---- the file --------------------------------------------------------------------------- */

static struct cache_head
head_of(struct box *b)
{
	struct cache_head h = {.magic = "mtcache1"};
	struct mt_header now;

	box_header(b, &now);
	h.uidvalidity = now.uidvalidity;
	memcpy(h.guid, now.guid, sizeof h.guid);
	h.check = hash_check(&h, sizeof h);
	return h;
}

/* Learn the places of whole blobs; the end is where the first doubtful one begins. */
static int
scan(struct blobs *c)
{
	struct mt_blob b;

	for (;;) {
		if (io_pread_full(c->fd, &b, sizeof b, c->end) != sizeof b ||
		    b.size > MT_BLOB_MAX || b.uid == 0 ||
		    c->end + sizeof b + padded(b.size) > CACHE_MAX)
			return ftruncate(c->fd, c->end);
		if (learn(c, &b, c->end) == -1)
			return -1;
		c->end += (uint32_t)(sizeof b + padded(b.size));
	}
}

static int
start_anew(struct box *b, struct blobs *c)
{
	struct cache_head h = head_of(b);

	c->n = 0;
	c->dead = 0;
	c->end = sizeof h;
	if (ftruncate(c->fd, 0) == -1)
		return -1;
	return io_pwrite_all(c->fd, (struct span){(const char *)&h, sizeof h}, 0);
}

/* cache_lock held: the blobs of this mailbox, opened at first use. */
static struct blobs *
blobs_of(struct box *b)
{
	struct cache_head want = head_of(b), have;
	struct blobs *c = b->in->blobs;

	if (c != NULL)
		return c;
	if (b->in->dir == -1) {
		errno = ESTALE;
		return NULL;
	}
	if ((c = calloc(1, sizeof *c)) == NULL)
		return NULL;
	c->fd = b->in->small
			? openat(b->in->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
			: openat(b->in->dir, "cache", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
				 0600);
	c->end = sizeof have;
	if (c->fd == -1 ||
	    (io_pread_full(c->fd, &have, sizeof have, 0) == sizeof have &&
		     memcmp(&have, &want, sizeof have) == 0
		 ? scan(c)
		 : start_anew(b, c)) == -1) {
		int saved = errno;

		if (c->fd != -1)
			close(c->fd);
		free(c->at);
		free(c);
		errno = saved;
		return NULL;
	}
	return b->in->blobs = c;
}

void
cache_free(struct box *b)
{
	if (b->in->blobs == NULL)
		return;
	close(b->in->blobs->fd);
	free(b->in->blobs->at);
	free(b->in->blobs);
	b->in->blobs = NULL;
}

/* ---- store.h ------------------------------------------------------------------------------- */

ssize_t
box_cache_read(struct box *b, uint32_t from_uid, void *to, size_t cap)
{
	struct blobs *c;
	size_t done = 0;

	pthread_mutex_lock(&b->in->cache_lock);
	if ((c = blobs_of(b)) == NULL) {
		pthread_mutex_unlock(&b->in->cache_lock);
		return -1;
	}
	for (size_t i = find(c, from_uid, 0); i < c->n; i++) {
		const struct place *p = &c->at[i];
		size_t n = sizeof(struct mt_blob) + padded(p->size);
		struct mt_blob *got = (struct mt_blob *)((char *)to + done);

		if (n > cap - done)
			break;
		if (io_pread_full(c->fd, got, n, p->off) != (ssize_t)n ||
		    got->uid != p->uid || got->size != p->size ||
		    got->check != hash_check(got + 1, got->size))
			continue; /* as if it had never been written */
		done += n;
	}
	pthread_mutex_unlock(&b->in->cache_lock);
	return (ssize_t)done;
}

/* Whole blobs with right checks and nothing else. */
static bool
is_whole(const char *at, size_t n)
{
	struct mt_blob b;

	while (n > 0) {
		if (n < sizeof b)
			return false;
		memcpy(&b, at, sizeof b);
		if (b.uid == 0 || b.size > MT_BLOB_MAX || n - sizeof b < padded(b.size) ||
		    b.check != hash_check(at + sizeof b, b.size))
			return false;
		at += sizeof b + padded(b.size);
		n -= sizeof b + padded(b.size);
	}
	return true;
}

static int
append(struct blobs *c, const char *at, size_t n)
{
	struct mt_blob b;

	if (io_pwrite_all(c->fd, (struct span){at, n}, c->end) == -1)
		return -1;
	while (n > 0) {
		size_t whole;

		memcpy(&b, at, sizeof b);
		whole = sizeof b + padded(b.size);
		if (learn(c, &b, c->end) == -1)
			return -1;
		c->end += (uint32_t)whole;
		at += whole;
		n -= whole;
	}
	return 0;
}

int
box_cache_write(struct box *b, const void *from, size_t n)
{
	struct blobs *c;
	int rc = -1;

	if (!is_whole(from, n)) {
		errno = EINVAL;
		return -1;
	}
	pthread_mutex_lock(&b->in->cache_lock);
	if ((c = blobs_of(b)) != NULL) {
		bool full = c->end + n > CACHE_MAX || c->dead > (1u << 20) + c->end / 2;

		if (!full || start_anew(b, c) == 0)
			rc = append(c, from, n);
	}
	pthread_mutex_unlock(&b->in->cache_lock);
	return rc;
}
