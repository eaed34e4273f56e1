/*
 * mboxscan: before the first message; its header line by line; the leap over a body whose
 * length is announced, and the look at what lies behind it; the search through any other.
 */
#include "storage/mboxscan.h"

#include <string.h>

#include "storage/base/hash.h"
#include "storage/mboxscan_private.h"

#define BODY_STEP                                                                      \
	8192 /* octets that are searched, then counted while they are at hand */

enum state {
	START,  /* before the first From_ line */
	HEADER, /* in a line of it, or at the start of one */
	PEEK,   /* at the end of a body as its Content-Length has it */
	COUNT,  /* in such a body: the end is right, its octets are counted */
	LINE,   /* at the start of a body's line, or in one that may be a From_ line */
	BODY,   /* in a line that is none */
	DONE,
};

/* ---- octets ---------------------------------------------------------------------------------- */

static void
note_tail(struct mboxscan *s, const char *p, size_t n)
{
	if (n >= sizeof s->tail)
		memcpy(s->tail, p + n - sizeof s->tail, sizeof s->tail);
	else {
		memmove(s->tail, s->tail + n, sizeof s->tail - n);
		memcpy(s->tail + sizeof s->tail - n, p, n);
	}
}

/* Off the front of the input, past `want`. */
static struct span
take(struct mboxscan *s, struct span *in, size_t n)
{
	struct span part = {in->p, n};

	*in = span_from(*in, n);
	s->want += n;
	return part;
}

static void
start_line(struct mboxscan *s)
{
	s->line_off = s->want;
	s->line_n = 0;
	s->line_long = false;
	memcpy(s->kept, s->tail, sizeof s->kept);
}

/* Up to the end of the line; true when that came. What line[] has no room for is returned
 * in *over, with line_long set. */
static bool
gather_line(struct mboxscan *s, struct span *in, struct span *over)
{
	const char *lf = in->n > 0 ? memchr(in->p, '\n', in->n) : NULL;
	struct span part = take(s, in, lf != NULL ? (size_t)(lf - in->p) + 1 : in->n);
	size_t room = s->line_long ? 0 : sizeof s->line - s->line_n;
	size_t n = part.n < room ? part.n : room;

	note_tail(s, part.p, part.n);
	if (n > 0) {
		memcpy(s->line + s->line_n, part.p, n);
		s->line_n += n;
	}
	*over = span_from(part, n);
	return lf != NULL;
}

struct span
mboxscan_line_text(const struct mboxscan *s)
{
	struct span t = {s->line, s->line_n};

	if (t.n > 0 && t.p[t.n - 1] == '\n')
		t.n--;
	if (t.n > 0 && t.p[t.n - 1] == '\r')
		t.n--;
	return t;
}

static bool
is_from(const struct mboxscan *s, struct mboxfrom *f)
{
	return !s->line_long && mboxfrom_parse(mboxscan_line_text(s), f);
}

/* ---- a message begins and ends ----------------------------------------------------------------- */

/* Its From_ line has just been taken; `want` is behind it. */
static void
begin_message(struct mboxscan *s, const struct mboxfrom *f)
{
	bool crlf = s->line_n > 1 && s->line[s->line_n - 2] == '\r';

	s->cur = (struct mboxscan_msg){
	    .off = s->line_off,
	    .header = s->want,
	    .date = f->date,
	    .date_off = f->date_off,
	    .quoted = span_eq(f->sender, SPAN(MBOXSCAN_QUOTED)),
	    .crlf = crlf,
	};
	s->first = !s->any;
	s->any = true;
	s->daemon = span_eq(f->sender, SPAN("MAILER-DAEMON"));
	s->has_length = false;
	s->now = MBOX_VISIBLE;
	s->block_n = 0;
	s->seen = (struct wire_count){0};
	s->state = HEADER;
	start_line(s);
}

/* Octets of an empty line, if `tail` ends in one. */
static unsigned
empty_line(const char tail[4])
{
	if (tail[3] != '\n')
		return 0;
	return tail[2] == '\n' ? 1 : tail[2] == '\r' && tail[1] == '\n' ? 2 : 0;
}

/* `cut` octets before `next` are an empty line that is not of it; `eol`: of its last line end. */
static void
report(struct mboxscan *s, uint64_t end, uint64_t next, unsigned eol, unsigned cut)
{
	struct mboxscan_msg *m = &s->cur;
	struct hash_key key = {m->head, 1};

	if (m->body == 0)
		m->body = end;
	m->visible += end >= m->body ? end - m->body : 0;
	m->visible -= end < m->body ? m->body - end : 0;
	if (end < m->body)
		m->body = end;
	m->end = end;
	m->next = next;
	key.k1 = m->visible > eol ? m->visible - eol : 0;
	m->ident = hash64(&key, SPAN("mbox"));
	s->msg = *m;
	mboxscan_end_count(s, cut);
}

/* The message ends before `at`, where the next begins; `tail` lies before it. Its last line
 * may be a hidden field when it is a header only: no line end is left out then. */
static void
end_message(struct mboxscan *s, uint64_t at, const char tail[4])
{
	unsigned cut = s->cur.body != 0 ? empty_line(tail) : 0;
	const char *last = tail + 3 - cut;
	unsigned eol = *last != '\n' ? 0 : last > tail && last[-1] == '\r' ? 2 : 1;

	if (at - cut < s->cur.body || s->cur.body == 0)
		eol = 0;
	report(s, at - cut, at, eol, cut);
}

/* ---- the header ---------------------------------------------------------------------------------- */

static void
begin_body(struct mboxscan *s)
{
	s->state = LINE;
	s->want = s->cur.body;
	start_line(s);
}

static enum mboxscan_ev
end_header(struct mboxscan *s)
{
	mboxscan_finish_field(s);
	mboxscan_end_visible(s);
	mboxscan_count(s, (struct span){s->line, s->line_n});
	s->cur.visible += s->line_n;
	s->cur.body = s->want;
	memcpy(s->head_tail, s->tail, sizeof s->head_tail);
	begin_body(s);
	if (s->header_only) {
		s->msg = s->cur;
		s->state = DONE;
		return MBOXSCAN_MESSAGE;
	}
	if (s->has_length && s->length <= s->size - s->cur.body) {
		s->state = PEEK;
		s->peek_end = s->cur.body + s->length;
		s->blank = false;
		if (s->length > sizeof s->tail)
			s->want = s->peek_end - sizeof s->tail;
	}
	return MBOXSCAN_MORE;
}

/* A From_ line where a header was, or where a body's line may begin. */
static enum mboxscan_ev
next_message(struct mboxscan *s, const struct mboxfrom *f)
{
	if (s->cur.body == 0) {
		mboxscan_finish_field(s);
		mboxscan_end_visible(s);
	}
	end_message(s, s->line_off, s->kept);
	if (s->header_only)
		s->state = DONE;
	else
		begin_message(s, f);
	return MBOXSCAN_MESSAGE;
}

static enum mboxscan_ev
header_line(struct mboxscan *s)
{
	struct mboxfrom f;

	if (!s->line_long && mboxscan_line_text(s).n == 0)
		return end_header(s);
	if (is_from(s, &f))
		return next_message(s, &f);
	if (!s->line_long)
		mboxscan_begin_line(s);
	start_line(s);
	return MBOXSCAN_MORE;
}

static enum mboxscan_ev
push_header(struct mboxscan *s, struct span *in)
{
	struct span over;
	bool whole = gather_line(s, in, &over);

	if (over.n > 0) {
		if (!s->line_long) {
			s->line_long = true;
			mboxscan_begin_line(s);
		}
		mboxscan_feed(s, over);
	}
	return whole ? header_line(s) : MBOXSCAN_MORE;
}

/* ---- behind a body whose length is announced ------------------------------------------------------- */

/* START takes it from there: the line is taken once more. */
static enum mboxscan_ev
end_counted(struct mboxscan *s)
{
	report(s, s->peek_end, s->peek_next, s->peek_eol, 0);
	s->want = s->peek_next;
	s->state = s->want == s->size ? DONE : START;
	start_line(s);
	return MBOXSCAN_MESSAGE;
}

/* The announced end is right; the next message begins at `next`. Its octets are still to come. */
static enum mboxscan_ev
begin_count(struct mboxscan *s, uint64_t next)
{
	s->peek_next = next;
	s->want = s->cur.body;
	s->state = COUNT;
	return s->want == s->peek_end ? end_counted(s) : MBOXSCAN_MORE;
}

static enum mboxscan_ev
push_count(struct mboxscan *s, struct span *in)
{
	uint64_t left = s->peek_end - s->want;

	mboxscan_count(s, take(s, in, left < in->n ? (size_t)left : in->n));
	return s->want == s->peek_end ? end_counted(s) : MBOXSCAN_MORE;
}

static enum mboxscan_ev
peeked_line(struct mboxscan *s)
{
	struct mboxfrom f;

	if (!s->blank && !s->line_long && mboxscan_line_text(s).n == 0) {
		s->blank = true;
		s->line_off = s->want;
		s->line_n = 0;
		return MBOXSCAN_MORE;
	}
	if (!is_from(s, &f)) {
		memcpy(s->tail, s->head_tail, sizeof s->tail);
		begin_body(s);
		return MBOXSCAN_MORE;
	}
	if (s->count)
		return begin_count(s, s->line_off);
	report(s, s->peek_end, s->line_off, s->peek_eol, 0);
	begin_message(s, &f);
	return MBOXSCAN_MESSAGE;
}

static void
at_peek_end(struct mboxscan *s)
{
	s->line_off = s->want;
	s->line_n = 0;
	s->line_long = false;
	s->peek_eol = s->tail[3] != '\n' ? 0 : s->tail[2] == '\r' ? 2 : 1;
}

static enum mboxscan_ev
push_peek(struct mboxscan *s, struct span *in)
{
	struct span few, over;
	bool whole;

	if (s->want < s->peek_end) {
		size_t n = (size_t)(s->peek_end - s->want) < in->n
		               ? (size_t)(s->peek_end - s->want)
		               : in->n;
		struct span part = take(s, in, n);

		note_tail(s, part.p, part.n);
	}
	if (s->want == s->peek_end)
		at_peek_end(s);
	if (in->n == 0)
		return MBOXSCAN_MORE;
	/* no more than says that this is no From_ line, however long it is */
	few.n = in->n < sizeof s->line - s->line_n ? in->n : sizeof s->line - s->line_n;
	few.p = in->p;
	*in = span_from(*in, few.n);
	whole = gather_line(s, &few, &over);
	*in = (struct span){in->p - few.n, in->n + few.n};
	if (!whole && s->line_n < sizeof s->line)
		return MBOXSCAN_MORE;
	s->line_long = !whole;
	return peeked_line(s);
}

/* ---- any other body ------------------------------------------------------------------------------------ */

/* What was gathered is of the body after all. */
static void
count_line(struct mboxscan *s)
{
	mboxscan_count(s, (struct span){s->line, s->line_n});
}

static enum mboxscan_ev
body_line(struct mboxscan *s)
{
	struct mboxfrom f;

	if (is_from(s, &f))
		return next_message(s, &f);
	count_line(s);
	start_line(s);
	return MBOXSCAN_MORE;
}

/* At the start of a line: only what begins as a From_ line does is gathered. */
static enum mboxscan_ev
push_line(struct mboxscan *s, struct span *in)
{
	static const char from[] = "From ";
	struct span over;
	bool whole;

	while (s->line_n < sizeof from - 1 && in->n > 0) {
		if (in->p[0] != from[s->line_n]) {
			count_line(s);
			s->state = BODY;
			return MBOXSCAN_MORE;
		}
		s->line[s->line_n++] = in->p[0];
		note_tail(s, in->p, 1);
		(void)take(s, in, 1);
	}
	if (in->n == 0)
		return MBOXSCAN_MORE;
	whole = gather_line(s, in, &over);
	if (over.n == 0)
		return whole ? body_line(s) : MBOXSCAN_MORE;
	count_line(s); /* too long for one */
	mboxscan_count(s, over);
	s->state = whole ? LINE : BODY;
	start_line(s);
	return MBOXSCAN_MORE;
}

static enum mboxscan_ev
push_body(struct mboxscan *s, struct span *in)
{
	size_t most = in->n < BODY_STEP ? in->n : BODY_STEP;
	size_t at = mboxscan_find(in->p, most), n = at == most ? at : at + 1;
	struct span part = take(s, in, n);

	note_tail(s, part.p, part.n);
	mboxscan_count(s, part);
	if (at < n) {
		s->state = LINE;
		start_line(s);
	}
	return MBOXSCAN_MORE;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

void
mboxscan_begin(struct mboxscan *s, uint64_t off, uint64_t size, bool first)
{
	s->want = off;
	s->size = size;
	s->any = !first;
	s->field = NULL;
	s->arg = NULL;
	s->header_only = s->count = false;
	s->state = START;
	memset(s->tail, 0, sizeof s->tail);
	start_line(s);
}

static enum mboxscan_ev
push_start(struct mboxscan *s, struct span *in)
{
	struct mboxfrom f;
	struct span over;

	if (!gather_line(s, in, &over))
		return over.n > 0 ? MBOXSCAN_NO_MBOX : MBOXSCAN_MORE;
	if (over.n == 0 && mboxscan_line_text(s).n == 0)
		start_line(s);
	else if (over.n == 0 && is_from(s, &f))
		begin_message(s, &f);
	else
		return MBOXSCAN_NO_MBOX;
	return MBOXSCAN_MORE;
}

/* The last line has no end: it may be a From_ line all the same. */
static enum mboxscan_ev
end_in_line(struct mboxscan *s)
{
	struct mboxfrom f;

	if (s->line_n > 0 && is_from(s, &f))
		return next_message(s, &f);
	if (s->state == HEADER && s->line_n > 0 && !s->line_long)
		mboxscan_begin_line(s);
	else if (s->state == LINE)
		count_line(s);
	return MBOXSCAN_MORE;
}

static enum mboxscan_ev
end_last(struct mboxscan *s)
{
	if (s->cur.body == 0) {
		mboxscan_finish_field(s);
		mboxscan_end_visible(s);
		s->state = DONE;
		if (s->header_only) {
			s->cur.body = s->size;
			s->msg = s->cur;
			return MBOXSCAN_MESSAGE;
		}
	}
	s->state = DONE;
	end_message(s, s->size, s->tail);
	return MBOXSCAN_MESSAGE;
}

static enum mboxscan_ev
push_end(struct mboxscan *s)
{
	struct mboxfrom f;
	enum mboxscan_ev ev;

	switch ((enum state)s->state) {
	case START:
		s->state = DONE;
		if (s->line_n == 0)
			return MBOXSCAN_END;
		if (!is_from(s, &f))
			return MBOXSCAN_NO_MBOX;
		begin_message(s, &f);
		return MBOXSCAN_MORE;
	case PEEK:
		if (s->want == s->peek_end)
			at_peek_end(s);
		if (s->line_n > 0)
			return peeked_line(s);
		if (s->count)
			return begin_count(s, s->size);
		s->state = DONE;
		report(s, s->peek_end, s->size, s->peek_eol, 0);
		return MBOXSCAN_MESSAGE;
	case COUNT: /* ends by itself */
		break;
	case HEADER:
	case LINE:
		if ((ev = end_in_line(s)) != MBOXSCAN_MORE)
			return ev;
		return end_last(s);
	case BODY:
		return end_last(s);
	case DONE:
		break;
	}
	return MBOXSCAN_END;
}

enum mboxscan_ev
mboxscan_push(struct mboxscan *s, struct span *in)
{
	enum mboxscan_ev ev = MBOXSCAN_MORE;

	if (s->state == DONE)
		return MBOXSCAN_END;
	while (in->n > 0 && s->state != DONE && ev == MBOXSCAN_MORE) {
		uint64_t at = s->want + in->n;

		switch ((enum state)s->state) {
		case START:
			ev = push_start(s, in);
			break;
		case HEADER:
			ev = push_header(s, in);
			break;
		case PEEK:
			ev = push_peek(s, in);
			break;
		case COUNT:
			ev = push_count(s, in);
			break;
		case LINE:
			ev = push_line(s, in);
			break;
		case BODY:
			ev = push_body(s, in);
			break;
		case DONE:
			break;
		}
		if (s->want + in->n != at) /* it leapt: what is left lies elsewhere */
			return ev;
	}
	if (ev == MBOXSCAN_MORE && in->n == 0 && s->want == s->size)
		ev = push_end(s);
	return ev;
}

bool
mboxscan_peeks(const struct mboxscan *s)
{
	return s->state == PEEK;
}
