/*
 * mboxtwin: an mbox scanned in several ways that must come to the same: by the scanner, cut
 * anywhere, with and without counting; by several threads. Sizes are compared with those of
 * the visible octets put together.
 */
#ifndef TESTS_MBOXTWIN_H
#define TESTS_MBOXTWIN_H

#include <errno.h>
#include <string.h>

#include "storage/base/buf.h"
#include "storage/crlf.h"
#include "storage/grow.h"
#include "storage/mbox_chunks.h"

struct twin { /* {0} is ready */
	struct mboxscan_msg *v;
	size_t n, cap;
	struct buf said;   /* `MSG NAME VALUE` of what names keywords */
	struct buf hidden; /* of the message at hand: uint64_t from, to */
	const char *wrong; /* NULL */
	int error;         /* errno; 0 */
};

static inline void
twin_free(struct twin *t)
{
	free(t->v);
	buf_free(&t->said);
	buf_free(&t->hidden);
	*t = (struct twin){0};
}

static inline void
twin_note_field(struct twin *t, const struct mboxscan_field *f)
{
	if (f->value.n > 0 && (f->name == MBOX_X_IMAPBASE || f->name == MBOX_X_IMAP ||
	                       f->name == MBOX_X_KEYWORDS))
		if (buf_addf(&t->said, "%zu %d ", t->n, (int)f->name) == -1 ||
		    buf_add(&t->said, f->value) == -1 || buf_addc(&t->said, '\n') == -1)
			t->wrong = "no memory";
}

static inline int
twin_note_message(struct twin *t, const struct mboxscan_msg *m)
{
	if (GROW(t->v, t->n, t->cap) == -1)
		return -1;
	t->v[t->n++] = *m;
	return 0;
}

static inline void
twin_on_field(void *arg, const struct mboxscan_field *f)
{
	struct twin *t = arg;
	uint64_t range[2] = {f->off, f->off + f->size};

	if (buf_add(&t->hidden, (struct span){(const char *)range, sizeof range}) == -1)
		t->wrong = "no memory";
	twin_note_field(t, f);
}

static inline void
twin_check_count(struct twin *t, struct span file, const struct mboxscan_msg *m)
{
	struct wire_count c = {0};
	uint64_t at = m->header, range[2];

	for (size_t i = 0; i <= t->hidden.n; i += sizeof range) {
		range[0] = range[1] = m->end;
		if (i < t->hidden.n)
			memcpy(range, t->hidden.p + i, sizeof range);
		if (range[0] > at)
			wire_count_push(
			    &c, (struct span){file.p + at, (size_t)(range[0] - at)});
		at = range[1];
	}
	wire_count_end(&c);
	if (c.stored != m->visible)
		t->wrong = "the octets that are visible";
	else if (m->counted == m->quoted)
		t->wrong = "counted, or not";
	else if (m->counted && (c.wire != m->wire || c.header_size != m->header_size))
		t->wrong = "the sizes on the wire";
	else if (m->counted && c.bits != m->bits)
		t->wrong = "the bits";
	t->hidden.n = 0;
}

/* Pushed in pieces of `step` octets. */
static inline void
twin_scan(struct span file, size_t step, bool count, struct twin *t)
{
	static struct mboxscan s;
	enum mboxscan_ev ev = MBOXSCAN_MORE;

	mboxscan_begin(&s, 0, file.n, true);
	s.field = twin_on_field;
	s.arg = t;
	s.count = count;
	while (ev == MBOXSCAN_MORE || ev == MBOXSCAN_MESSAGE) {
		struct span in = span_from(file, (size_t)s.want);

		if (in.n > step)
			in.n = step;
		if ((ev = mboxscan_push(&s, &in)) != MBOXSCAN_MESSAGE)
			continue;
		if (count)
			twin_check_count(t, file, &s.msg);
		t->hidden.n = 0;
		if (twin_note_message(t, &s.msg) == -1)
			t->wrong = "no memory";
	}
	if (ev == MBOXSCAN_NO_MBOX)
		t->error = ENOTSUP;
}

static inline void
twin_on_chunk_field(void *arg, const struct mboxscan_field *f)
{
	twin_note_field(arg, f);
}

static inline int
twin_on_chunk_message(void *arg, const struct mboxscan_msg *m)
{
	return twin_note_message(arg, m);
}

static inline void
twin_chunks(int fd, uint64_t size, bool count, uint64_t chunk, struct pool *pool,
            struct twin *t)
{
	struct mbox_pass p = {
	    .fd = fd,
	    .size = size,
	    .first = true,
	    .count = count,
	    .field = twin_on_chunk_field,
	    .each = twin_on_chunk_message,
	    .arg = t,
	};

	if (mbox_chunks_scan(&p, pool, 2, chunk) == -1)
		t->error = errno;
}

static inline bool
twin_same_message(const struct mboxscan_msg *a, const struct mboxscan_msg *b)
{
	if (a->counted && b->counted &&
	    (a->wire != b->wire || a->header_size != b->header_size ||
	     a->bits != b->bits))
		return false;
	return a->off == b->off && a->header == b->header && a->body == b->body &&
	       a->end == b->end && a->next == b->next && a->visible == b->visible &&
	       a->head == b->head && a->ident == b->ident && a->date == b->date &&
	       a->date_off == b->date_off && a->uid == b->uid && a->flags == b->flags &&
	       a->old == b->old && a->quoted == b->quoted && a->pseudo == b->pseudo &&
	       a->crlf == b->crlf && a->uidvalidity == b->uidvalidity &&
	       a->last_uid == b->last_uid;
}

/* What is not the same in both; NULL. */
static inline const char *
twin_differ(const struct twin *a, const struct twin *b)
{
	if (a->wrong != NULL || b->wrong != NULL)
		return a->wrong != NULL ? a->wrong : b->wrong;
	if (a->error != b->error)
		return "whether it is an mbox";
	if (a->n != b->n)
		return "the number of messages";
	for (size_t i = 0; i < a->n; i++)
		if (!twin_same_message(&a->v[i], &b->v[i]))
			return "a message";
	return span_eq(buf_span(&a->said), buf_span(&b->said)) ? NULL : "the keywords";
}

#endif
