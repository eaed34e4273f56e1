/*
 * wire: all sized messages of a mailbox one behind the other, read at any offset.
 * What is gone reads as NULs where it shares a page with something that is there, and
 * as EIO where whole pages are gone: a page cache holds either right bytes or nothing.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "storage/message.h"

#define PAGE	   WIRE_PAGE
#define KEEP_ABOVE (256u << 10) /* larger messages stay open from one read to the next */

/* The part of one message that a read covers. */
struct piece {
	uint32_t uid;
	bool gone;
	uint64_t wire_off, wire_size; /* of the whole message */
};

/* ---- what stays open ------------------------------------------------------------------- */

/* The kept message of that UID, taken out so that nobody else uses it meanwhile. */
static struct message *
take_kept(struct box *b, uint32_t uid)
{
	struct message *found = NULL;
	struct mt_record r;

	pthread_mutex_lock(&b->in->wire_lock);
	for (int i = 0; i < WIRE_OPEN && found == NULL; i++) {
		if (b->in->wire_open[i] == NULL)
			continue;
		message_record(b->in->wire_open[i], &r);
		if (r.uid == uid) {
			found = b->in->wire_open[i];
			b->in->wire_open[i] = NULL;
		}
	}
	pthread_mutex_unlock(&b->in->wire_lock);
	if (found != NULL)
		message_hold_box(found, true);
	return found;
}

static void
keep(struct box *b, struct message *m)
{
	struct message *out;

	message_hold_box(m, false); /* or the box would never go */
	pthread_mutex_lock(&b->in->wire_lock);
	out = b->in->wire_open[WIRE_OPEN - 1];
	memmove(b->in->wire_open + 1, b->in->wire_open,
		(WIRE_OPEN - 1) * sizeof(struct message *));
	b->in->wire_open[0] = m;
	pthread_mutex_unlock(&b->in->wire_lock);
	message_close(out);
}

void
wire_forget(struct box *b)
{
	for (int i = 0; i < WIRE_OPEN; i++) {
		message_close(b->in->wire_open[i]);
		b->in->wire_open[i] = NULL;
	}
}

/* ---- reading ------------------------------------------------------------------------------ */

/* lock held: first sized row that ends beyond off. */
static size_t
first_beyond(const struct box *b, uint64_t off)
{
	size_t lo = 0, hi = b->in->nwire;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct mt_record *r = &b->rec[b->in->by_wire[mid]];

		if (r->wire_off + r->wire_size <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* lock held for reading: a page cache may hold the page that ends the read from now on. */
static void
served(struct box *b, uint64_t end)
{
	uint64_t was = b->in->wire_served, page_end = (end + PAGE - 1) / PAGE * PAGE;

	while (was < page_end &&
	       !atomic_compare_exchange_weak(&b->in->wire_served, &was, page_end))
		;
}

/* The messages that [off, off + n) covers, in order. Count, or -1. */
static ssize_t
pieces(struct box *b, uint64_t off, size_t n, struct piece **out)
{
	struct piece *v = NULL;
	size_t nv = 0, cap = 0;
	ssize_t rc = -1;

	pthread_rwlock_rdlock(&b->lock);
	if (off > b->head.wire_size || n > b->head.wire_size - off) {
		errno = EINVAL;
		goto out;
	}
	served(b, off + n);
	for (size_t i = first_beyond(b, off); i < b->in->nwire; i++) {
		const struct mt_record *r = &b->rec[b->in->by_wire[i]];

		if (r->wire_off >= off + n)
			break;
		if (nv == cap) {
			struct piece *w = reallocarray(v, cap = cap * 2 + 32, sizeof *w);

			if (w == NULL)
				goto out;
			v = w;
		}
		v[nv++] = (struct piece){r->uid, (r->bits & MT_LOST) != 0, r->wire_off,
					 r->wire_size};
	}
	rc = (ssize_t)nv;
out:
	pthread_rwlock_unlock(&b->lock);
	if (rc == -1)
		free(v);
	else
		*out = v;
	return rc;
}

/* Is there a page of the read of which nothing is left? */
static bool
hits_dead_page(const struct piece *v, size_t nv, uint64_t off, size_t n)
{
	uint64_t from = 0;
	bool in_gap = false;

	for (size_t i = 0; i <= nv; i++) {
		bool gone = i < nv && v[i].gone;
		uint64_t a, z;

		if (gone && !in_gap) {
			from = v[i].wire_off;
			in_gap = true;
		}
		if (gone || !in_gap)
			continue;
		in_gap = false;
		/* [from, to) is gone; beyond what the read covers nobody can tell */
		a = (from < off ? off : from);
		z = i < nv ? v[i].wire_off : v[i - 1].wire_off + v[i - 1].wire_size;
		z = z > off + n ? off + n : z;
		if ((a + PAGE - 1) / PAGE * PAGE + PAGE <= z)
			return true;
		if (a == off && z == off + n) /* nothing else was asked for */
			return true;
	}
	return false;
}

static int
read_piece(struct box *b, const struct piece *p, uint64_t off, size_t n, char *out)
{
	uint64_t from = off > p->wire_off ? off - p->wire_off : 0;
	uint64_t to = p->wire_off + p->wire_size < off + n ? p->wire_size : off + n - p->wire_off;
	char *at = out + (p->wire_off + from - off);
	struct message *m;
	int rc;

	if (p->wire_size == 0)
		return 0;
	if (p->gone) {
		memset(at, 0, (size_t)(to - from));
		return 0;
	}
	if ((m = take_kept(b, p->uid)) == NULL && message_open_row(b, p->uid, &m) == -1)
		return -1;
	rc = message_read(m, from, at, (size_t)(to - from));
	if (rc == 0 && p->wire_size > KEEP_ABOVE && to < p->wire_size)
		keep(b, m);
	else {
		int saved = errno;

		message_close(m);
		errno = saved;
	}
	return rc;
}

/* Between messages there may be octets of none: what follows a page that was read. */
static void
blank_gaps(const struct piece *v, size_t nv, uint64_t off, size_t n, char *out)
{
	uint64_t at = off, end = off + n;

	for (size_t i = 0; i <= nv && at < end; i++) {
		uint64_t next = i < nv && v[i].wire_off < end ? v[i].wire_off : end;

		if (next > at)
			memset(out + (at - off), 0, (size_t)(next - at));
		if (i < nv && v[i].wire_off + v[i].wire_size > at)
			at = v[i].wire_off + v[i].wire_size;
	}
}

int
box_wire_read(struct box *b, uint64_t off, void *out, size_t n)
{
	struct piece *v;
	ssize_t nv;
	int rc = 0;

	if (n == 0)
		return 0;
	if ((nv = pieces(b, off, n, &v)) == -1)
		return -1;
	if (hits_dead_page(v, (size_t)nv, off, n)) {
		errno = EIO;
		rc = -1;
	}
	blank_gaps(v, (size_t)nv, off, n, out);
	for (ssize_t i = 0; rc == 0 && i < nv; i++)
		if ((rc = read_piece(b, &v[i], off, n, out)) == -1)
			errno = EIO; /* whatever it was: these octets are not to be had */
	free(v);
	return rc;
}
