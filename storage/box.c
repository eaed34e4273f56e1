/*
 * box: one directory of the tree and, for a mailbox, its records: loaded once, changed
 * by edits, written to the index file and told to whoever follows.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/box_private.h"
#include "storage/grow.h"
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
	b->in->dir = b->in->index_fd = b->in->log_fd = -1;
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
	if (in->log_fd != -1)
		close(in->log_fd);
	in->dir = in->index_fd = in->log_fd = -1;
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

static void
wake(struct box *b)
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
	wake(b);
}

/* ---- opening ------------------------------------------------------------------------------ */

static int
open_index_folder(struct box *b)
{
	char name[16];

	snprintf(name, sizeof name, "%u", b->number);
	if (mkdirat(b->store->index_dir, name, 0700) == -1 && errno != EEXIST)
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

void
box_expect(struct box *b, uint32_t uidvalidity, const uint8_t guid[16])
{
	const struct mt_header *h = &b->in->old.head;

	if (h->uidvalidity != uidvalidity || memcmp(h->guid, guid, sizeof h->guid) != 0)
		indexfile_free(&b->in->old);
}

bool
box_known(const struct box *b, uint32_t uid, uint32_t name_hash)
{
	const struct mt_record *r = indexfile_find(&b->in->old, uid);

	return r != NULL && r->name_hash == name_hash;
}

uint32_t
box_known_uidnext(const struct box *b, uint32_t uidvalidity)
{
	const struct mt_header *h = &b->in->old.head;

	return h->uidvalidity == uidvalidity ? h->uidnext : 0;
}

/* ---- loading ---------------------------------------------------------------------------------- */

/* Above every modseq ever given, also when the index was lost: seconds count 2^24 each. */
static uint64_t
next_modseq(uint64_t last)
{
	uint64_t now = (uint64_t)time(NULL) << 24;

	return last + 1 > now ? last + 1 : now;
}

/* Take from the old index what it knows of the message; false when it knows it as it is. */
static bool
merge(struct mt_record *r, const struct mt_record *old, uint64_t modseq)
{
	const uint16_t listed = MT_RECENT | MT_UIDL;

	r->wire_off = MT_OFF_UNKNOWN;
	if (old == NULL || old->name_hash != r->name_hash) {
		r->modseq = modseq;
		return true;
	}
	if (r->date == INT64_MIN) {
		r->date = old->date;
		r->save_date = old->save_date;
	}
	r->modseq = old->modseq;
	if (old->wire_off != MT_OFF_UNKNOWN) {
		r->wire_size = old->wire_size;
		r->header_size = old->header_size;
		r->added = old->added;
		r->bits |= old->bits & (MT_DOT | MT_NUL | MT_8BIT);
		r->wire_off = 0; /* known; laid out below */
	}
	if (r->flags == old->flags && r->keywords == old->keywords && r->date == old->date &&
	    ((r->bits ^ old->bits) & listed) == 0)
		return false;
	r->modseq = modseq;
	return true;
}

/* Give the sized rows their places in `wire`, and count what the header counts. */
static int
lay_out(struct box *b)
{
	struct box_private *in = b->in;
	struct mt_header *h = &b->head;

	h->nmessage = h->nrecord;
	h->nunseen = h->nunsized = h->wire_size = 0;
	for (uint32_t row = 0; row < h->nrecord; row++) {
		struct mt_record *r = &b->rec[row];

		h->nunseen += !(r->flags & MT_SEEN);
		if (r->wire_off == MT_OFF_UNKNOWN)
			h->nunsized++;
		else {
			if (GROW(in->by_wire, in->nwire, in->wire_cap) == -1)
				return -1;
			in->by_wire[in->nwire++] = row;
			r->wire_off = h->wire_size;
			h->wire_size += r->wire_size;
		}
		indexfile_seal_record(r);
	}
	return 0;
}

/* Messages that the old index knew and the store no longer has: for who asks later. */
static bool
log_vanished(struct box *b, const struct mt_record *list, size_t n, uint64_t modseq)
{
	const struct index_image *old = &b->in->old;
	bool any = false;
	size_t j = 0;

	for (size_t i = 0; i < old->n; i++) {
		while (j < n && list[j].uid < old->rec[i].uid)
			j++;
		if (j < n && list[j].uid == old->rec[i].uid)
			continue;
		any = true;
		if (b->in->log_fd != -1)
			(void)vanished_add(b->in->log_fd, old->rec[i].uid, modseq);
	}
	return any;
}

/* Never one that a kernel may still have pages of, though the old index is lost. */
static uint32_t
next_generation(const struct mt_header *old)
{
	struct hash_key key;

	if (old->generation != 0)
		return old->generation + 1;
	hash_random(&key);
	return (uint32_t)key.k0;
}

static void
header_from(struct box *b, const struct mt_header *given, size_t n)
{
	const struct mt_header *old = &b->in->old.head;
	struct mt_header *h = &b->head;

	*h = (struct mt_header){.magic = MT_MAGIC};
	h->version = MT_ABI_VERSION;
	h->header_size = MT_HEADER_SIZE;
	h->record_size = sizeof(struct mt_record);
	h->number = b->number;
	h->uidvalidity = given->uidvalidity;
	h->uidnext = given->uidnext > old->uidnext ? given->uidnext : old->uidnext;
	memcpy(h->guid, given->guid, sizeof h->guid);
	h->nkeyword = given->nkeyword;
	memcpy(h->keyword, given->keyword, sizeof h->keyword);
	h->nrecord = n;
	h->generation = next_generation(old); /* rows and offsets moved */
	h->modseq = old->modseq;
	h->changed = old->changed;
}

int
box_load(struct box *b, const struct mt_header *given, const struct mt_record *list, size_t n)
{
	struct box_private *in = b->in;
	struct index_image *old = &in->old;
	struct mt_record *rec;
	uint64_t modseq;
	unsigned depth;
	bool changed;
	size_t j = 0;
	int rc;

	box_expect(b, given->uidvalidity, given->guid);
	if ((rec = reallocarray(NULL, n + 1, sizeof *rec)) == NULL)
		return -1;
	depth = cred_suspend(b->store); /* the index is the daemon's, whoever runs this */
	in->log_fd = vanished_open(in->dir);
	pthread_rwlock_wrlock(&b->lock);
	free(b->rec);
	b->rec = rec;
	in->rec_cap = n + 1;
	header_from(b, given, n);
	modseq = next_modseq(old->head.modseq);
	changed = old->head.version == 0 || log_vanished(b, list, n, modseq) ||
		  memcmp(old->head.keyword, given->keyword, sizeof given->keyword) != 0;
	for (size_t i = 0; i < n; i++) {
		while (j < old->n && old->rec[j].uid < list[i].uid)
			j++;
		rec[i] = list[i];
		changed |= merge(&rec[i],
				 j < old->n && old->rec[j].uid == list[i].uid ? &old->rec[j] : NULL,
				 modseq);
	}
	if (changed) {
		b->head.modseq = modseq;
		b->head.changed = time(NULL);
	}
	in->nwire = 0;
	if ((rc = lay_out(b)) == 0) {
		indexfile_seal_header(&b->head);
		in->index_fd = indexfile_create(in->dir, &b->head, b->rec, n);
		if (in->index_fd == -1)
			log_warn("%s: %s: cannot write its index: %m", b->store->name, b->path);
	}
	pthread_rwlock_unlock(&b->lock);
	cred_resume(b->store, depth);
	indexfile_free(old);
	return rc;
}

/* ---- edits --------------------------------------------------------------------------------------- */

void
box_begin(struct box *b)
{
	pthread_rwlock_wrlock(&b->lock);
	b->in->modseq = next_modseq(b->head.modseq);
	b->in->ndirty = 0;
	b->in->header_dirty = b->in->visible = false;
}

/* The row changed and is written at commit. Without memory for that the index file is
 * given up until the next load: it is ours to lose. */
static void
touch(struct box *b, uint32_t row)
{
	struct box_private *in = b->in;

	if (in->ndirty > 0 && in->dirty[in->ndirty - 1] == row)
		return;
	if (GROW(in->dirty, in->ndirty, in->dirty_cap) == 0)
		in->dirty[in->ndirty++] = row;
	else
		in->index_lost = true;
	in->header_dirty = true;
}

static void
changed(struct box *b, uint32_t row, enum mt_event_type type)
{
	b->rec[row].modseq = b->in->modseq;
	b->in->visible = true;
	indexfile_seal_record(&b->rec[row]);
	touch(b, row);
	events_add(b, type, row);
}

int
box_edit_add(struct box *b, const struct mt_record *r)
{
	struct mt_header *h = &b->head;
	uint32_t row = (uint32_t)h->nrecord;

	if (GROW(b->rec, h->nrecord, b->in->rec_cap) == -1)
		return -1;
	b->rec[row] = *r;
	b->rec[row].wire_off = MT_OFF_UNKNOWN;
	b->rec[row].wire_size = 0;
	h->nrecord++;
	h->nmessage++;
	h->nunsized++;
	h->nunseen += !(r->flags & MT_SEEN);
	if (r->uid >= h->uidnext)
		h->uidnext = r->uid + 1;
	changed(b, row, MT_EV_NEW);
	return 0;
}

void
box_edit_flags(struct box *b, uint32_t row, uint16_t flags, uint32_t keywords)
{
	struct mt_record *r = &b->rec[row];

	if (r->flags == flags && r->keywords == keywords)
		return;
	b->head.nunseen += !(flags & MT_SEEN);
	b->head.nunseen -= !(r->flags & MT_SEEN);
	r->flags = flags;
	r->keywords = keywords;
	changed(b, row, MT_EV_FLAGS);
}

void
box_edit_recent(struct box *b, uint32_t row, bool recent)
{
	struct mt_record *r = &b->rec[row];
	uint16_t bits = (uint16_t)(recent ? r->bits | MT_RECENT : r->bits & ~MT_RECENT);

	if (bits == r->bits)
		return;
	r->bits = bits;
	changed(b, row, MT_EV_FLAGS);
}

void
box_edit_date(struct box *b, uint32_t row, int64_t date)
{
	if (b->rec[row].date == date)
		return;
	b->rec[row].date = date;
	changed(b, row, MT_EV_FLAGS);
}

void
box_edit_gone(struct box *b, uint32_t row, bool held)
{
	struct mt_header *h = &b->head;
	struct mt_record *r = &b->rec[row];

	if (r->bits & MT_EXPUNGED)
		return;
	r->bits |= (uint16_t)(MT_EXPUNGED | (held ? 0 : MT_LOST));
	h->nmessage--;
	h->nunseen -= !(r->flags & MT_SEEN);
	h->nunsized -= r->wire_off == MT_OFF_UNKNOWN;
	changed(b, row, MT_EV_EXPUNGED);
	if (held)
		events_hold(b, row);
	if (b->in->log_fd != -1)
		(void)vanished_add(b->in->log_fd, r->uid, r->modseq);
}

void
box_edit_uidnext(struct box *b, uint32_t uidnext)
{
	if (uidnext <= b->head.uidnext)
		return;
	b->head.uidnext = uidnext;
	b->in->header_dirty = b->in->visible = true;
}

void
box_edit_keyword(struct box *b, unsigned number, struct span name)
{
	char *at = b->head.keyword[number];

	if (number >= MT_NKEYWORD || name.n > MT_KEYWORD_MAX || span_eq(span_of(at), name))
		return;
	memset(at, 0, sizeof b->head.keyword[number]);
	memcpy(at, name.p, name.n);
	if (name.n > 0 && number >= b->head.nkeyword)
		b->head.nkeyword = number + 1;
	b->in->header_dirty = b->in->visible = true;
	events_add(b, MT_EV_HEADER, 0);
}

/*
 * Where the next message begins in `wire`. A page that was read may lie in a page cache,
 * its unused rest as NULs, which nobody can take back in time: nothing is put there.
 */
static uint64_t
next_wire_off(struct box *b)
{
	uint64_t end = b->head.wire_size, page_end = (end + WIRE_PAGE - 1) / WIRE_PAGE * WIRE_PAGE;

	return b->in->wire_served > end ? page_end : end;
}

void
box_edit_sized(struct box *b, uint32_t row, const struct mt_record *counted)
{
	struct box_private *in = b->in;
	struct mt_record *r = &b->rec[row];

	if (r->bits & MT_EXPUNGED || r->wire_off != MT_OFF_UNKNOWN ||
	    GROW(in->by_wire, in->nwire, in->wire_cap) == -1)
		return;
	in->by_wire[in->nwire++] = row;
	r->wire_size = counted->wire_size;
	r->header_size = counted->header_size;
	r->added = counted->added;
	r->bits = (uint16_t)((r->bits & ~(MT_DOT | MT_NUL | MT_8BIT)) |
			     (counted->bits & (MT_DOT | MT_NUL | MT_8BIT)));
	r->wire_off = next_wire_off(b);
	b->head.wire_size = r->wire_off + r->wire_size;
	b->head.nunsized--;
	indexfile_seal_record(r);
	touch(b, row);
	events_add(b, MT_EV_SIZED, row);
}

/* Runs of neighbouring rows in one write each. */
static int
write_rows(struct box *b)
{
	struct box_private *in = b->in;

	for (size_t i = 0, j; i < in->ndirty; i = j) {
		uint32_t from = in->dirty[i];

		for (j = i + 1; j < in->ndirty && in->dirty[j] == in->dirty[j - 1] + 1; j++)
			;
		if (io_pwrite_all(in->index_fd,
				  (struct span){(const char *)&b->rec[from],
						(j - i) * sizeof *b->rec},
				  MT_HEADER_SIZE + (off_t)from * (off_t)sizeof *b->rec) == -1)
			return -1;
	}
	return io_pwrite_all(in->index_fd, (struct span){(const char *)&b->head, MT_HEADER_SIZE}, 0);
}

void
box_commit(struct box *b)
{
	struct box_private *in = b->in;
	bool news = in->header_dirty;

	if (in->visible) {
		b->head.modseq = in->modseq;
		b->head.changed = time(NULL);
	}
	if (news)
		indexfile_seal_header(&b->head);
	if (news && in->index_fd != -1 && !in->index_lost && write_rows(b) == -1) {
		log_warn("%s: %s: cannot write its index: %m", b->store->name, b->path);
		in->index_lost = true;
	}
	pthread_rwlock_unlock(&b->lock);
	if (news)
		wake(b);
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
