/*
 * mboxscan_visible: the octets of a message that others see: a hash of its header, by which
 * it is known again, and its size on the wire.
 */
#include <string.h>

#include "storage/mboxscan_private.h"

/*
 * Multiplied and folded, 16 octets at a step: half of an mbox of small messages is headers,
 * and SipHash would take longer than all the rest. Who makes idents collide confuses only
 * which of two messages of his own is which.
 */
static uint64_t
fold(uint64_t a, uint64_t b)
{
	unsigned __int128 r = (unsigned __int128)a * b;

	return (uint64_t)r ^ (uint64_t)(r >> 64);
}

void
mboxscan_end_visible(struct mboxscan *s)
{
	uint64_t h = s->cur.head ^ (s->block_n * 0x9e3779b97f4a7c15u), w[2];
	size_t n = (s->block_n + 15) / 16 * 16;

	mboxscan_count(s, (struct span){s->block, s->block_n});
	memset(s->block + s->block_n, 0, n - s->block_n);
	for (size_t i = 0; i < n; i += 16) {
		memcpy(w, s->block + i, sizeof w);
		h = fold(w[0] ^ 0xa0761d6478bd642fu, w[1] ^ h ^ 0xe7037ed1a0b428dbu);
	}
	s->cur.head = h;
	s->block_n = 0;
}

void
mboxscan_visible(struct mboxscan *s, struct span in)
{
	while (in.n > 0) {
		size_t n = sizeof s->block - s->block_n;

		if (n > in.n)
			n = in.n;
		memcpy(s->block + s->block_n, in.p, n);
		s->block_n += n;
		in = span_from(in, n);
		if (s->block_n == sizeof s->block)
			mboxscan_end_visible(s);
	}
}

/* ---- the size ------------------------------------------------------------------------------ */

void
mboxscan_count(struct mboxscan *s, struct span part)
{
	if (s->count && part.n > 0)
		wire_count_push(&s->seen, part);
}

void
mboxscan_end_count(struct mboxscan *s, unsigned cut)
{
	struct wire_count *c = &s->seen;

	if (!s->count || s->msg.quoted)
		return;
	if (cut > 0) { /* it was CR LF on the wire, behind a line end or nothing */
		c->stored -= cut;
		c->wire -= 2;
		c->last = '\n';
		c->in_body = c->in_body && c->header_size <= c->wire;
	}
	wire_count_end(c);
	s->msg.counted = true;
	s->msg.wire = c->wire;
	s->msg.header_size = c->header_size;
	s->msg.bits = c->bits;
}
