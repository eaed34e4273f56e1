/*
 * edit: changing a loaded mailbox. The edits between box_begin and box_commit share one
 * modseq, reach the index file together, and are told to whoever follows.
 */
#include <stdlib.h>
#include <time.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/box_private.h"
#include "storage/grow.h"

/* Above every modseq ever given, also when the index was lost this very second: seconds
 * count 2^24 each, which is more than there can be changes. */
uint64_t
box_next_modseq(uint64_t last)
{
	struct timespec t;
	uint64_t now;

	clock_gettime(CLOCK_REALTIME, &t);
	now = ((uint64_t)t.tv_sec << 24) + ((uint64_t)t.tv_nsec << 24) / 1000000000;
	return last + 1 > now ? last + 1 : now;
}

void
box_begin(struct box *b)
{
	pthread_rwlock_wrlock(&b->lock);
	b->in->modseq = box_next_modseq(b->head.modseq);
	b->in->ndirty = b->in->ngone = 0;
	b->in->gone_lost = false;
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
	if (r->wire_size > 0)
		box_edit_sized(b, row, r);
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
box_edit_stored(struct box *b, uint32_t row, uint64_t stored_size)
{
	struct mt_record *r = &b->rec[row];

	if (r->wire_off == MT_OFF_UNKNOWN || stored_size > r->wire_size ||
	    r->wire_size - stored_size == r->added)
		return;
	r->added = (uint32_t)(r->wire_size - stored_size);
	indexfile_seal_record(r);
	touch(b, row);
}

static void
note_gone(struct box_private *in, const struct mt_record *r)
{
	if (GROW(in->gone, in->ngone, in->gone_cap) == -1)
		in->gone_lost = true;
	else
		in->gone[in->ngone++] =
			(struct vanished_row){.modseq = r->modseq, .uid = r->uid};
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
	note_gone(b->in, r);
}

void
box_edit_uidnext(struct box *b, uint32_t uidnext)
{
	if (uidnext <= b->head.uidnext)
		return;
	b->head.uidnext = uidnext;
	b->in->header_dirty = b->in->visible = true;
}

static void
touch_keyword(struct box *b, unsigned number)
{
	for (uint32_t row = 0; row < b->head.nrecord; row++)
		if (box_row_live(b, row) && b->rec[row].keywords >> number & 1)
			changed(b, row, MT_EV_FLAGS);
}

void
box_edit_keyword(struct box *b, unsigned number, struct span name)
{
	char *at = b->head.keyword[number];
	bool another;

	if (number >= MT_NKEYWORD || name.n > MT_KEYWORD_MAX || span_eq(span_of(at), name))
		return;
	another = at[0] != '\0';
	memset(at, 0, sizeof b->head.keyword[number]);
	memcpy(at, name.p, name.n);
	if (name.n > 0 && number >= b->head.nkeyword)
		b->head.nkeyword = number + 1;
	b->in->header_dirty = b->in->visible = true;
	events_add(b, MT_EV_HEADER, 0);
	if (another) /* which those that have the bit did not have */
		touch_keyword(b, number);
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

/* Before the records: a record that is a tombstone in the index file has its row there. */
static void
log_gone(struct box *b)
{
	struct box_private *in = b->in;

	if (in->gone_lost)
		vanished_give_up(&in->vanished);
	else
		vanished_add(&in->vanished, in->gone, in->ngone);
	b->head.nvanished = vanished_count(&in->vanished);
}

/* What is on disk falls behind what is told from now on, so it must not be believed. */
static void
lose_index(struct box *b)
{
	struct box_private *in = b->in;

	if (in->index_fd == -1 || !in->index_lost || in->index_forgotten)
		return;
	indexfile_forget(in->dir);
	in->index_forgotten = true;
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
	if (news) {
		log_gone(b);
		indexfile_seal_header(&b->head);
	}
	if (news && in->index_fd != -1 && !in->index_lost && write_rows(b) == -1) {
		log_warn("%s: %s: cannot write its index: %m", b->store->name, b->path);
		in->index_lost = true;
	}
	lose_index(b);
	pthread_rwlock_unlock(&b->lock);
	if (news)
		box_wake(b);
}
