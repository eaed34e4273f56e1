#include "storage/mime/fold.h"

#include <errno.h>

#include "storage/mime/utf8.h"

#ifdef MT_UTF8PROC
#include <utf8proc.h>
#endif
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* ---- one character ---------------------------------------------------------------------------- */

/* Octets written to `out`, which has room for FOLD_READY_MAX. */
static size_t
fold_anew(uint32_t c, char *out)
{
#ifdef MT_UTF8PROC
	utf8proc_int32_t part[FOLD_READY_MAX / 4];
	utf8proc_ssize_t n;
	size_t made = 0;
	int last = 0;

	n = utf8proc_decompose_char(utf8proc_totitle((utf8proc_int32_t)c), part,
	                            ARRAY_LEN(part),
	                            UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &last);
	if (n > 0 && n <= (utf8proc_ssize_t)ARRAY_LEN(part)) {
		for (utf8proc_ssize_t i = 0; i < n; i++)
			made += utf8_print((uint32_t)part[i], out + made);
		return made;
	}
#endif
	if (c >= 'a' && c <= 'z')
		c = c - 'a' + 'A';
	return utf8_print(c, out);
}

/*
 * What was found lately, since a text has few different characters and looking one up in
 * tables takes long. One thread's, as charset.h is; of all of Unicode, so nothing an
 * outsider chooses makes it wrong, only slower.
 */
enum { CACHE_SIZE = 4096, CACHED_MAX = 11 };

static struct cached {
	uint32_t character; /* 0: none, as NUL needs no looking up */
	uint8_t n;
	char text[CACHED_MAX];
} cache[CACHE_SIZE];

static size_t
fold_one(uint32_t c, char *out)
{
	struct cached *e = &cache[c % CACHE_SIZE];
	size_t n;

	if (e->character == c && c != 0) {
		memcpy(out, e->text, CACHED_MAX);
		return e->n;
	}
	n = fold_anew(c, out);
	if (n <= CACHED_MAX) {
		e->character = c;
		e->n = (uint8_t)n;
		memcpy(e->text, out, n);
	}
	return n;
}

/* The first character of what is held: false when it waits for more. */
static bool
fold_held(struct fold *f)
{
	uint32_t c;
	int n = utf8_first((struct span){f->held, f->nheld}, &c);

	if (n == UTF8_MORE)
		return false;
	if (n == UTF8_BAD) {
		memcpy(f->ready, UTF8_REPLACEMENT, 3);
		f->nready = 3;
		n = 1;
	} else
		f->nready = (uint8_t)fold_one(c, f->ready);
	f->nheld = (uint8_t)(f->nheld - n);
	memmove(f->held, f->held + n, f->nheld);
	return true;
}

/* ---- many -------------------------------------------------------------------------------------- */

/* ASCII at the front of `in`, as much as there is room for; octets. */
static size_t
fold_ascii(struct span in, char *out, size_t cap)
{
	size_t n = 0, end = in.n < cap ? in.n : cap;

#ifdef __SSE2__
	const __m128i before = _mm_set1_epi8('a' - 1), behind = _mm_set1_epi8('z' + 1);
	const __m128i small = _mm_set1_epi8('a' - 'A');

	for (; end - n >= 16; n += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(in.p + n)), is;

		if (_mm_movemask_epi8(v) != 0)
			break;
		is =
		    _mm_and_si128(_mm_cmpgt_epi8(v, before), _mm_cmplt_epi8(v, behind));
		v = _mm_sub_epi8(v, _mm_and_si128(is, small));
		_mm_storeu_si128((__m128i *)(out + n), v);
	}
#endif
	for (; n < end && (uint8_t)in.p[n] < 0x80; n++)
		out[n] = in.p[n] >= 'a' && in.p[n] <= 'z' ? (char)(in.p[n] - 'a' + 'A')
		                                          : in.p[n];
	return n;
}

/* Whole characters, as long as whatever they become has room. */
static size_t
fold_run(struct span *in, char *out, size_t cap)
{
	size_t done = 0;

	for (;;) {
		size_t n = fold_ascii(*in, out + done, cap - done);
		uint32_t c;
		int octets;

		done += n;
		*in = span_from(*in, n);
		if (in->n == 0 || cap - done < FOLD_READY_MAX ||
		    (octets = utf8_first(*in, &c)) <= 0)
			return done;
		done += fold_one(c, out + done);
		*in = span_from(*in, (size_t)octets);
	}
}

static size_t
give_ready(struct fold *f, char *out, size_t cap)
{
	size_t n = (size_t)(f->nready - f->from);

	n = n < cap ? n : cap;
	memcpy(out, f->ready + f->from, n);
	f->from = (uint8_t)(f->from + n);
	if (f->from == f->nready)
		f->from = f->nready = 0;
	return n;
}

size_t
fold_push(struct fold *f, struct span *in, char *out, size_t cap)
{
	size_t done = 0, n;

	for (;;) {
		done += give_ready(f, out + done, cap - done);
		if (f->nready > 0)
			return done;
		if (f->nheld > 0 && fold_held(f))
			continue;
		if (in->n == 0 || done == cap)
			return done;
		if (f->nheld == 0) {
			n = fold_run(in, out + done, cap - done);
			done += n;
			if (in->n == 0 || done == cap)
				return done;
		}
		f->held[f->nheld++] = *in->p;
		*in = span_from(*in, 1);
	}
}

size_t
fold_end(struct fold *f, char *out, size_t cap)
{
	size_t done = 0;

	for (;;) {
		done += give_ready(f, out + done, cap - done);
		if (f->nready > 0 || f->nheld == 0)
			return done;
		/* a character that stops short: each of its octets */
		memcpy(f->ready, UTF8_REPLACEMENT, 3);
		f->nready = 3;
		f->nheld--;
	}
}

int
fold_text(struct span text, struct buf *out)
{
	struct fold f = {0};
	char room[512];
	size_t n;
	int rc;

	do {
		n = fold_push(&f, &text, room, sizeof room);
		rc = buf_add(out, (struct span){room, n});
	} while (rc == 0 && n == sizeof room);
	while (rc == 0) {
		n = fold_end(&f, room, sizeof room);
		rc = buf_add(out, (struct span){room, n});
		if (n < sizeof room)
			break;
	}
	return rc;
}

/* ---- the needle ---------------------------------------------------------------------------------- */

/* Knuth, Morris and Pratt: by prefix, how much of its beginning is its end too. */
static void
borders(struct span s, uint32_t *back)
{
	size_t k = 0;

	for (size_t i = 1; i < s.n; i++) {
		while (k > 0 && s.p[i] != s.p[k])
			k = back[k - 1];
		k += s.p[i] == s.p[k];
		back[i] = (uint32_t)k;
	}
}

int
match_make(struct arena *a, struct span needle, struct match *m)
{
	struct buf folded = {0};
	uint32_t *back;

	*m = (struct match){0};
	if (fold_text(needle, &folded) == -1)
		goto fail;
	if (folded.n > UINT32_MAX / sizeof *back) {
		errno = EMSGSIZE;
		goto fail;
	}
	m->needle = arena_copy(a, buf_span(&folded));
	back = arena_alloc(a, (folded.n + 1) * sizeof *back);
	if (m->needle.p == NULL || back == NULL)
		goto fail;
	buf_free(&folded);
	borders(m->needle, back);
	m->back = back;
	match_begin(m);
	return 0;
fail:
	buf_free(&folded);
	return -1;
}

void
match_begin(struct match *m)
{
	m->at = 0;
	m->found = m->needle.n == 0;
}

/* Octet by octet, from where it stands. */
static void
match_slowly(struct match *m, struct span s)
{
	const char *needle = m->needle.p;
	size_t at = m->at;

	for (size_t i = 0; i < s.n; i++) {
		while (at > 0 && s.p[i] != needle[at])
			at = m->back[at - 1];
		at += s.p[i] == needle[at];
		if (at == m->needle.n) {
			m->found = true;
			return;
		}
	}
	m->at = at;
}

/*
 * What begins before a piece or goes on behind it is found octet by octet in its first
 * and last octets, fewer than the needle has; what lies within by memmem(3), which is
 * linear too (at worst 256 steps an octet), and usually far quicker.
 */
bool
match_push(struct match *m, struct span s)
{
	size_t edge;

	if (m->found || s.n == 0)
		return m->found;
	edge = m->needle.n - 1;
	if (s.n <= 2 * edge + 64) {
		match_slowly(m, s);
		return m->found;
	}
	if (m->at > 0)
		match_slowly(m, (struct span){s.p, edge});
	if (!m->found && memmem(s.p, s.n, m->needle.p, m->needle.n) != NULL)
		m->found = true;
	if (!m->found) {
		m->at = 0;
		match_slowly(m, span_from(s, s.n - edge));
	}
	return m->found;
}
