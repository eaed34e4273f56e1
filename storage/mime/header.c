#include "storage/mime/header.h"

#include <assert.h>

static bool
blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Hold what fits; all of it counts. */
static int
hold(struct header *h, const char *p, size_t n)
{
	size_t max = h->max != 0 ? h->max : HEADER_FIELD_MAX;
	size_t room = max - h->held.n;

	h->size += n;
	return buf_add(&h->held, (struct span){p, n < room ? n : room});
}

/* What is held without its last line end; there is none when it was cut. */
static struct span
whole(const struct header *h, bool cut)
{
	struct span s = buf_span(&h->held);

	if (!cut && s.n > 0 && s.p[s.n - 1] == '\n')
		s.n--;
	if (!cut && s.n > 0 && s.n < h->held.n && s.p[s.n - 1] == '\r')
		s.n--;
	return s;
}

static bool
line_ends(struct span s)
{
	return s.n == 0 || s.p[0] == '\n' ||
	       (s.n > 1 && s.p[0] == '\r' && s.p[1] == '\n');
}

/*
 * Cut a field at its colon, which lies in the first line. When that has nothing but blanks
 * after it, all but one of them are kept.
 */
static void
divide(struct field *f, struct span s)
{
	const char *lf = s.n > 0 ? memchr(s.p, '\n', s.n) : NULL;
	size_t first = lf != NULL ? (size_t)(lf - s.p) : s.n;
	const char *colon = first > 0 ? memchr(s.p, ':', first) : NULL;
	struct span line;

	f->value = s;
	if (colon == NULL)
		return;
	f->name = (struct span){s.p, (size_t)(colon - s.p)};
	while (f->name.n > 0 && blank(f->name.p[f->name.n - 1]))
		f->name.n--;
	line = f->value = span_from(s, (size_t)(colon - s.p) + 1);
	while (f->value.n > 0 && blank(f->value.p[0]))
		f->value = span_from(f->value, 1);
	if (line_ends(f->value) && line.n > f->value.n)
		f->value = span_from(line, 1);
}

static enum header_ev
tell(struct header *h)
{
	h->field = (struct field){.off = h->begin, .size = h->size - h->begin};
	h->field.cut = h->field.size > h->held.n;
	divide(&h->field, whole(h, h->field.cut));
	h->open = false;
	h->told = true;
	return HEADER_FIELD;
}

static void
forget(struct header *h)
{
	if (h->told)
		buf_reset(&h->held);
	h->told = false;
}

/* A line begins that is not the empty one: of the field under way, or of the next? */
static enum header_ev
begin_line(struct header *h, char first)
{
	if (h->open && !blank(first))
		return tell(h);
	if (!h->open) {
		h->begin = h->size;
		h->open = true;
	}
	if (h->state == HEADER_CR && hold(h, "\r", 1) == -1)
		return HEADER_NOMEM;
	h->state = HEADER_LINE;
	return HEADER_MORE;
}

/* The first octet of a line: `in` is used up, or the state is another. */
static enum header_ev
push_start(struct header *h, struct span *in)
{
	char c = in->p[0];

	if (c == '\n') {
		if (h->open)
			return tell(h);
		h->size += h->state == HEADER_CR ? 2 : 1;
		h->lines++;
		h->state = HEADER_DONE;
		*in = span_from(*in, 1);
		return HEADER_END;
	}
	if (c == '\r' && h->state == HEADER_START) {
		h->state = HEADER_CR;
		*in = span_from(*in, 1);
		return HEADER_MORE;
	}
	return begin_line(h, h->state == HEADER_CR ? '\r' : c);
}

static enum header_ev
push_line(struct header *h, struct span *in)
{
	const char *lf = memchr(in->p, '\n', in->n);
	size_t n = lf != NULL ? (size_t)(lf - in->p) + 1 : in->n;

	if (hold(h, in->p, n) == -1)
		return HEADER_NOMEM;
	if (lf != NULL) {
		h->lines++;
		h->state = HEADER_START;
	}
	*in = span_from(*in, n);
	return HEADER_MORE;
}

enum header_ev
header_push(struct header *h, struct span *in)
{
	enum header_ev ev = HEADER_MORE;

	if (h->state == HEADER_DONE)
		return HEADER_END;
	forget(h);
	while (in->n > 0 && ev == HEADER_MORE)
		ev = h->state == HEADER_LINE ? push_line(h, in) : push_start(h, in);
	return ev;
}

enum header_ev
header_finish(struct header *h)
{
	if (h->state == HEADER_DONE)
		return HEADER_END;
	forget(h);
	if (h->state == HEADER_CR && !h->open && begin_line(h, '\r') == HEADER_NOMEM)
		return HEADER_NOMEM;
	if (h->open)
		return tell(h);
	h->state = HEADER_DONE;
	return HEADER_END;
}

void
header_reset(struct header *h)
{
	struct buf held = h->held;

	buf_reset(&held);
	*h = (struct header){.max = h->max, .held = held};
}

void
header_free(struct header *h)
{
	buf_free(&h->held);
	*h = (struct header){.max = h->max};
}

size_t
header_unfold(struct span v, char *out)
{
	size_t n = 0;

	while (v.n > 0) {
		const char *end = memchr(v.p, '\n', v.n);
		size_t k = end != NULL ? (size_t)(end - v.p) : v.n;
		struct span line = {v.p, k};

		if (end != NULL && k > 0 && v.p[k - 1] == '\r')
			line.n--;
		for (size_t i = 0; i < line.n; i++)
			out[n++] = line.p[i] == '\r' ? ' ' : line.p[i];
		v = span_from(v, end != NULL ? k + 1 : k);
	}
	return n;
}
