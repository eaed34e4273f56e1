#include "storage/crlf.h"

#include "fs/abi.h"

/* The plain twin is compiled by the tests too, to be compared with the fast one. */
#if defined(__SSE2__) && !defined(CRLF_PLAIN)
#define CRLF_SSE2
#include <emmintrin.h>
#define BLOCK 16
#endif

/* ---- converting ------------------------------------------------------------------ */

struct pump { /* between two octets: both sides, and what stands before */
	const char *in, *in_end;
	char *out, *out_end;
	char last;
};

/* One octet; false when it does not fit. */
static inline bool
pump_one(struct pump *p)
{
	char c = *p->in;

	if (c == '\n' && p->last != '\r') {
		if (p->out_end - p->out < 2)
			return false;
		*p->out++ = '\r';
	}
	if (p->out == p->out_end)
		return false;
	*p->out++ = p->last = c;
	p->in++;
	return true;
}

#ifdef CRLF_SSE2
static inline unsigned
lf_mask(__m128i v)
{
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('\n')));
}

/*
 * Copy two blocks at a time and mend behind the copy: when an LF is among them, all
 * behind it is taken back and copied again one place further on.
 */
static void
pump_fast(struct pump *p)
{
	const char *in = p->in;
	char *out = p->out, last = p->last;

	while (p->in_end - in >= 2 * BLOCK && p->out_end - out >= 2 * BLOCK + 1) {
		__m128i a = _mm_loadu_si128((const __m128i *)in);
		__m128i b = _mm_loadu_si128((const __m128i *)(in + BLOCK));
		unsigned lf = lf_mask(a) | lf_mask(b) << BLOCK;
		size_t n = 2 * BLOCK;

		_mm_storeu_si128((__m128i *)out, a);
		_mm_storeu_si128((__m128i *)(out + BLOCK), b);
		if (lf != 0) {
			n = (size_t)__builtin_ctz(lf);
			/* no branch: whether lines end in CR LF is not to be guessed */
			bool bare = (n > 0 ? in[n - 1] : last) != '\r';

			out[n] = '\r';
			out += bare;
			out[n] = '\n';
			n++;
		}
		in += n;
		out += n;
		last = in[-1];
	}
	p->in = in;
	p->out = out;
	p->last = last;
}
#else
static void
pump_fast(struct pump *p)
{
	while (p->in < p->in_end && p->out < p->out_end) {
		size_t n = (size_t)(p->in_end - p->in), room = (size_t)(p->out_end - p->out);
		const char *lf;

		n = n < room ? n : room;
		if ((lf = memchr(p->in, '\n', n)) != NULL)
			n = (size_t)(lf - p->in);
		memcpy(p->out, p->in, n);
		p->in += n;
		p->out += n;
		if (n > 0)
			p->last = p->in[-1];
		if (lf == NULL || !pump_one(p))
			return;
	}
}
#endif

size_t
crlf_push(struct crlf *c, struct span in, char *out, size_t cap, size_t *used)
{
	struct pump p = {in.p, in.p + in.n, out, out + cap, c->last};
	size_t made;

	pump_fast(&p);
	while (p.in < p.in_end && pump_one(&p))
		;
	*used = (size_t)(p.in - in.p);
	made = (size_t)(p.out - out);
	c->wire += made;
	c->last = p.last;
	return made;
}

size_t
crlf_end(struct crlf *c, char out[static 2])
{
	if (c->wire == 0 || c->last == '\n')
		return 0;
	out[0] = '\r';
	out[1] = c->last = '\n';
	c->wire += 2;
	return 2;
}

/* ---- counting -------------------------------------------------------------------- */

struct tally {
	uint64_t bare; /* LFs without a CR before them */
	bool dot, nul, high;
};

static inline void
tally_one(struct tally *t, char before, char c)
{
	t->bare += c == '\n' && before != '\r';
	t->dot |= c == '.' && before == '\n';
	t->nul |= c == '\0';
	t->high |= (unsigned char)c >= 0x80;
}

#ifdef CRLF_SSE2
static uint64_t
sum_bytes(__m128i v)
{
	__m128i sad = _mm_sad_epu8(v, _mm_setzero_si128());

	return (uint64_t)_mm_cvtsi128_si64(sad) +
	       (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(sad, sad));
}

/* What was seen, one lane per octet of a block. */
struct lanes {
	__m128i bare; /* counts, as bytes: 255 blocks at most */
	__m128i dot, nul, high;
};

static inline void
count_block(struct lanes *l, const char *p)
{
	__m128i lf = _mm_set1_epi8('\n'), v = _mm_loadu_si128((const __m128i *)p);
	__m128i before = _mm_loadu_si128((const __m128i *)(p - 1));
	__m128i bare = _mm_andnot_si128(_mm_cmpeq_epi8(before, _mm_set1_epi8('\r')),
					_mm_cmpeq_epi8(v, lf));
	__m128i dot = _mm_and_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('.')),
				    _mm_cmpeq_epi8(before, lf));

	l->bare = _mm_sub_epi8(l->bare, bare);
	l->dot = _mm_or_si128(l->dot, dot);
	l->nul = _mm_or_si128(l->nul, _mm_cmpeq_epi8(v, _mm_setzero_si128()));
	l->high = _mm_or_si128(l->high, v);
}

/* Whole blocks of s; p[-1] is there. Returns octets done. */
static size_t
tally_blocks(struct tally *t, struct span s)
{
	const __m128i zero = _mm_setzero_si128();
	struct lanes l = {zero, zero, zero, zero};
	size_t blocks = s.n / BLOCK, done = 0;

	while (done < blocks) {
		size_t stop = blocks - done > 255 ? done + 255 : blocks;

		for (l.bare = zero; done < stop; done++)
			count_block(&l, s.p + done * BLOCK);
		t->bare += sum_bytes(l.bare);
	}
	t->dot |= _mm_movemask_epi8(l.dot) != 0;
	t->nul |= _mm_movemask_epi8(l.nul) != 0;
	t->high |= _mm_movemask_epi8(l.high) != 0;
	return blocks * BLOCK;
}
#else
static size_t
tally_blocks(struct tally *t, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		tally_one(t, (s.p + i)[-1], s.p[i]);
	return s.n;
}
#endif

/* `before`: the octet that stands before s. */
static void
tally(struct tally *t, char before, struct span s)
{
	size_t done = 1;

	if (s.n == 0)
		return;
	tally_one(t, before, s.p[0]);
	done += tally_blocks(t, span_from(s, 1));
	for (; done < s.n; done++)
		tally_one(t, s.p[done - 1], s.p[done]);
}

/* ---- skipping -------------------------------------------------------------------- */

size_t
crlf_skip(struct crlf *c, struct span in, uint64_t wire_off)
{
	size_t taken = 0;

	while (taken < in.n && c->wire < wire_off) {
		uint64_t room = wire_off - c->wire;
		/* half of the room always fits: an octet makes two at most */
		size_t n = room / 2 < in.n - taken ? (size_t)(room / 2) : in.n - taken;
		struct span s = {in.p + taken, n > 0 ? n : 1};
		struct tally t = {0};

		tally(&t, c->last, s);
		if (s.n + t.bare > room)
			break;
		c->wire += s.n + t.bare;
		c->last = s.p[s.n - 1];
		taken += s.n;
	}
	return taken;
}

/* ---- what is to be known of a message -------------------------------------------- */

enum { LINE_EMPTY, LINE_CR, LINE_TEXT };

/*
 * The octets of s up to and with the LF that ends the header, and in_body is set; all
 * of s when that does not come. An empty line is one that is empty on the wire.
 */
static size_t
header_part(struct wire_count *c, struct span s)
{
	size_t i = 0;

	while (i < s.n) {
		char o = s.p[i];

		if (c->line == LINE_TEXT) {
			const char *lf = memchr(s.p + i, '\n', s.n - i);

			if (lf == NULL)
				return s.n;
			i = (size_t)(lf - s.p) + 1;
			c->line = LINE_EMPTY;
			continue;
		}
		i++;
		if (o == '\n') {
			c->in_body = true;
			return i;
		}
		c->line = o == '\r' && c->line == LINE_EMPTY ? LINE_CR : LINE_TEXT;
	}
	return s.n;
}

static uint32_t
saturate(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static void
count(struct wire_count *c, struct span s)
{
	struct tally t = {0};

	if (s.n == 0)
		return;
	/* the beginning of a message is the beginning of a line */
	tally(&t, c->stored == 0 ? '\n' : c->last, s);
	c->stored += s.n;
	c->wire += s.n + t.bare;
	c->last = s.p[s.n - 1];
	c->bits |= (uint16_t)((t.dot ? MT_DOT : 0) | (t.nul ? MT_NUL : 0) |
			      (t.high ? MT_8BIT : 0));
}

void
wire_count_push(struct wire_count *c, struct span stored)
{
	if (!c->in_body) {
		size_t n = header_part(c, stored);

		count(c, (struct span){stored.p, n});
		stored = span_from(stored, n);
		if (c->in_body)
			c->header_size = saturate(c->wire);
	}
	count(c, stored);
}

void
wire_count_end(struct wire_count *c)
{
	if (c->stored > 0 && c->last != '\n')
		c->wire += 2;
	if (!c->in_body)
		c->header_size = saturate(c->wire);
}
