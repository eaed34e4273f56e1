/*
 * box: one directory of the tree and, for a mailbox, its records: from being made to
 * being let go, and looking at what is there. load.c fills it, edit.c changes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/box_private.h"
#include "storage/message.h"
#include "storage/sizer.h"
#include "storage/tree.h"

/* ---- life ------------------------------------------------------------------------------ */

struct box *
box_alloc(struct store *s, enum box_kind kind, uint32_t number)
{
	struct box *b = calloc(1, sizeof *b);

	if (b == NULL || (b->in = calloc(1, sizeof *b->in)) == NULL) {
		free(b);
		return NULL;
	}
	b->store = s;
	b->kind = kind;
	b->number = number;
	b->refs = 1;
	pthread_mutex_init(&b->io, NULL);
	pthread_rwlock_init(&b->lock, NULL);
	pthread_mutex_init(&b->in->size_lock, NULL);
	pthread_cond_init(&b->in->sized, NULL);
	pthread_mutex_init(&b->in->wire_lock, NULL);
	pthread_mutex_init(&b->in->watch_lock, NULL);
	pthread_mutex_init(&b->in->cache_lock, NULL);
	b->in->dir = b->in->index_fd = -1;
	b->in->vanished = VANISHED_NONE;
	pthread_mutex_lock(&s->life);
	s->nbox++;
	pthread_mutex_unlock(&s->life);
	return b;
}

void
box_close(struct box *b)
{
	struct box_private *in = b->in;

	wire_forget(b);
	if (b->open) {
		cred_enter(b->store);
		b->store->driver->close(b);
		cred_leave(b->store);
		b->open = false;
	}
	if (in->dir != -1)
		close(in->dir);
	if (in->index_fd != -1)
		close(in->index_fd);
	vanished_close(&in->vanished);
	in->dir = in->index_fd = -1;
	indexfile_free(&in->old);
}

void
box_free(struct box *b)
{
	struct box_private *in = b->in;
	struct store *s = b->store;

	box_close(b);
	events_free(b);
	sizer_free(b);
	cache_free(b);
	pthread_mutex_destroy(&b->io);
	pthread_rwlock_destroy(&b->lock);
	pthread_mutex_destroy(&in->size_lock);
	pthread_cond_destroy(&in->sized);
	pthread_mutex_destroy(&in->wire_lock);
	pthread_mutex_destroy(&in->watch_lock);
	pthread_mutex_destroy(&in->cache_lock);
	free(in->dirty);
	free(in->gone);
	free(in->by_wire);
	free(in);
	free(b->rec);
	free(b->name);
	free(b->path);
	free(b);
	pthread_mutex_lock(&s->life);
	if (--s->nbox == 0)
		pthread_cond_signal(&s->empty);
	pthread_mutex_unlock(&s->life);
}

void
box_ref(struct box *b)
{
	b->refs++;
}

void
box_unref(struct box *b)
{
	if (b != NULL && --b->refs == 0)
		box_free(b);
}

uint32_t
box_number(const struct box *b)
{
	return b->number;
}

enum box_kind
box_kind(const struct box *b)
{
	return b->kind;
}

struct store *
box_store(const struct box *b)
{
	return b->store;
}

bool
box_dead(const struct box *b)
{
	return b->dead;
}

void
box_wake(struct box *b)
{
	struct env *e = b->store->env;

	if (e->wake != NULL)
		e->wake(e->wake_arg, b->number);
}

void
box_kill(struct box *b)
{
	if (b->dead)
		return;
	b->dead = true;
	pthread_rwlock_wrlock(&b->lock);
	events_add(b, MT_EV_RESET, 0);
	pthread_rwlock_unlock(&b->lock);
	pthread_mutex_lock(&b->in->size_lock);
	pthread_cond_broadcast(&b->in->sized);
	pthread_mutex_unlock(&b->in->size_lock);
	box_wake(b);
}

/* ---- opening ------------------------------------------------------------------------------ */

static int
open_index_folder(struct box *b)
{
	char name[16];

	snprintf(name, sizeof name, "%u", b->number);
	if (store_make_index_dir(b->store, b->store->index_dir, name) == -1)
		return -1;
	b->in->dir = io_open_beneath(b->store->index_dir, name, O_RDONLY | O_DIRECTORY, 0);
	return b->in->dir == -1 ? -1 : 0;
}

bool
box_open_locked(struct box *b)
{
	struct store *s = b->store;
	int rc;

	if (b->open)
		return true;
	if (b->in->dir == -1) {
		if (open_index_folder(b) == -1) {
			log_error("%s: %s: cannot open its index folder: %m", s->name, b->path);
			return false;
		}
		indexfile_read(b->in->dir, &b->in->old);
	}
	cred_enter(s);
	rc = s->driver->open(b);
	cred_leave(s);
	b->open = rc == 0;
	return b->open;
}

int
box_index_dir(const struct box *b)
{
	return b->in->dir;
}

/* ---- looking ---------------------------------------------------------------------------------------- */

size_t
box_row_from(const struct box *b, uint32_t uid)
{
	size_t lo = 0, hi = (size_t)b->head.nrecord;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->rec[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int64_t
box_row(const struct box *b, uint32_t uid)
{
	size_t row = box_row_from(b, uid);

	return row < b->head.nrecord && b->rec[row].uid == uid && box_row_live(b, (uint32_t)row)
		   ? (int64_t)row
		   : -1;
}

void
box_header(struct box *b, struct mt_header *out)
{
	pthread_rwlock_rdlock(&b->lock);
	*out = b->head;
	pthread_rwlock_unlock(&b->lock);
}

int
box_record(struct box *b, uint32_t uid, struct mt_record *out)
{
	int64_t row;

	pthread_rwlock_rdlock(&b->lock);
	if ((row = box_row(b, uid)) != -1)
		*out = b->rec[row];
	pthread_rwlock_unlock(&b->lock);
	if (row != -1)
		return 0;
	errno = ENOENT;
	return -1;
}

size_t
box_list(struct box *b, uint32_t uid, struct mt_record *out, size_t most)
{
	size_t n = 0;

	if (uid == UINT32_MAX)
		return 0;
	pthread_rwlock_rdlock(&b->lock);
	for (size_t row = box_row_from(b, uid + 1); row < b->head.nrecord && n < most; row++)
		if (box_row_live(b, (uint32_t)row))
			out[n++] = b->rec[row];
	pthread_rwlock_unlock(&b->lock);
	return n;
}

int
box_next(struct box *b, uint32_t uid, struct mt_record *out)
{
	if (box_list(b, uid, out, 1) == 1)
		return 0;
	errno = ENOENT;
	return -1;
}

ssize_t
box_index_read(struct box *b, uint64_t off, void *to, size_t n)
{
	uint64_t end;
	size_t done = 0;

	pthread_rwlock_rdlock(&b->lock);
	end = MT_HEADER_SIZE + b->head.nrecord * sizeof *b->rec;
	if (off >= end)
		n = 0;
	else if (n > end - off)
		n = (size_t)(end - off);
	if (off < MT_HEADER_SIZE && n > 0) {
		done = MT_HEADER_SIZE - off < n ? (size_t)(MT_HEADER_SIZE - off) : n;
		memcpy(to, (const char *)&b->head + off, done);
	}
	if (n > done)
		memcpy((char *)to + done, (const char *)b->rec + (off + done - MT_HEADER_SIZE),
		       n - done);
	pthread_rwlock_unlock(&b->lock);
	return (ssize_t)n;
}

/* A driver callback that adds a text about a live message. */
static int
ask_driver(struct box *b, uint32_t uid, struct buf *out,
	   int (*ask)(struct box *, uint32_t, struct buf *))
{
	int64_t row;
	int rc = -1;

	pthread_rwlock_rdlock(&b->lock);
	if ((row = box_row(b, uid)) != -1)
		rc = ask(b, (uint32_t)row, out);
	else
		errno = ENOENT;
	pthread_rwlock_unlock(&b->lock);
	return rc;
}

int
box_base_name(struct box *b, uint32_t uid, struct buf *out)
{
	return ask_driver(b, uid, out, b->store->driver->base_name);
}

int
box_uidl(struct box *b, uint32_t uid, struct buf *out)
{
	return ask_driver(b, uid, out, b->store->driver->uidl);
}

static int
by_uid(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int
box_vanished(struct box *b, uint64_t since, uint32_t from, struct numset *set)
{
	uint32_t *uid = NULL;
	size_t n = 0;
	int rc = 1;

	pthread_rwlock_rdlock(&b->lock);
	if (since <= b->head.modseq) /* else it was told by an index that is lost */
		rc = vanished_read(&b->in->vanished, since, from, &uid, &n);
	if (n > 0)
		qsort(uid, n, sizeof *uid, by_uid);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (box_row(b, uid[i]) == -1) /* else it lives again */
			rc = numset_add(set, uid[i], uid[i]);
	pthread_rwlock_unlock(&b->lock);
	free(uid);
	return rc;
}
