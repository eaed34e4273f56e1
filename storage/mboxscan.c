/*
 * mboxscan: before the first message; its header line by line; the leap over a body whose
 * length is announced, and the look at what lies behind it; the search through any other.
 */
#include "storage/mboxscan.h"

#include "fs/abi.h"
#include "storage/base/hash.h"
#include "storage/base/num.h"

#define BASE_MAX 0xf0000000u /* above: somebody wants us to run out of UIDs */

enum state {
	START,  /* before the first From_ line */
	HEADER, /* in a line of it, or at the start of one */
	PEEK,   /* at the end of a body as its Content-Length has it */
	LINE,   /* at the start of a body's line, or in one that may be a From_ line */
	BODY,   /* in a line that is none */
	DONE,
};

static const char *const names[MBOX_NHIDDEN] = {
    [MBOX_CONTENT_LENGTH] = "Content-Length",
    [MBOX_STATUS] = "Status",
    [MBOX_X_IMAP] = "X-IMAP",
    [MBOX_X_IMAPBASE] = "X-IMAPbase",
    [MBOX_X_KEYWORDS] = "X-Keywords",
    [MBOX_X_STATUS] = "X-Status",
    [MBOX_X_UID] = "X-UID",
};

enum mboxscan_name
mboxscan_name(struct span name)
{
	unsigned i = 0;

	while (i < MBOX_NHIDDEN && !span_caseeq(name, span_of(names[i])))
		i++;
	return (enum mboxscan_name)i;
}

enum mboxscan_name
mboxscan_line(struct span line, size_t *colon)
{
	int first = line.n > 0 ? line.p[0] | 32 : 0;
	const char *at;

	/* most fields are none of ours, and the first letter says so */
	if (first != 'x' && first != 's' && first != 'c')
		return MBOX_VISIBLE;
	if ((at = memchr(line.p, ':', line.n)) == NULL)
		return MBOX_VISIBLE;
	*colon = (size_t)(at - line.p);
	return mboxscan_name(span_trim((struct span){line.p, *colon}));
}

/* ---- searching --------------------------------------------------------------------------- */

typedef unsigned char octets16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef unsigned long long words2 __attribute__((vector_size(16)));

static inline words2
lf_and_f(const char *p)
{
	octets16 a = *(const octets16 *)p, b = *(const octets16 *)(p + 1);

	return (words2)((a == '\n') & (b == 'F'));
}

/* 64 octets at a step, each compared with its neighbour: as fast as memory is read. */
size_t
mboxscan_find(const char *p, size_t n)
{
	size_t i = 0;

	for (; i + 65 <= n; i += 64) {
		words2 any = lf_and_f(p + i) | lf_and_f(p + i + 16) |
		             lf_and_f(p + i + 32) | lf_and_f(p + i + 48);

		if ((any[0] | any[1]) != 0)
			break;
	}
	for (; i < n; i++) {
		const char *at = memchr(p + i, '\n', n - i);

		if (at == NULL)
			return n;
		i = (size_t)(at - p);
		if (i + 1 == n || p[i + 1] == 'F')
			return i;
	}
	return n;
}

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

/* The line that was gathered, without LF and CR. */
static struct span
line_text(const struct mboxscan *s)
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
	return !s->line_long && mboxfrom_parse(line_text(s), f);
}

/* ---- a message begins and ends ----------------------------------------------------------------- */

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

static void
mix(struct mboxscan *s)
{
	uint64_t h = s->cur.head ^ (s->block_n * 0x9e3779b97f4a7c15u), w[2];
	size_t n = (s->block_n + 15) / 16 * 16;

	memset(s->block + s->block_n, 0, n - s->block_n);
	for (size_t i = 0; i < n; i += 16) {
		memcpy(w, s->block + i, sizeof w);
		h = fold(w[0] ^ 0xa0761d6478bd642fu, w[1] ^ h ^ 0xe7037ed1a0b428dbu);
	}
	s->cur.head = h;
	s->block_n = 0;
}

static void
hash_octets(struct mboxscan *s, struct span in)
{
	while (in.n > 0) {
		size_t n = sizeof s->block - s->block_n;

		if (n > in.n)
			n = in.n;
		memcpy(s->block + s->block_n, in.p, n);
		s->block_n += n;
		in = span_from(in, n);
		if (s->block_n == sizeof s->block)
			mix(s);
	}
}

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

static void
report(struct mboxscan *s, uint64_t end, uint64_t next, unsigned eol)
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
}

/* The message ends before `at`, where the next begins; `tail` lies before it. */
static void
end_message(struct mboxscan *s, uint64_t at, const char tail[4])
{
	unsigned cut = s->cur.body != 0 ? empty_line(tail) : 0;
	const char *last = tail + 3 - cut;
	unsigned eol = *last != '\n' ? 0 : last > tail && last[-1] == '\r' ? 2 : 1;

	report(s, at - cut, at, eol);
}

/* ---- fields ---------------------------------------------------------------------------------------- */

static uint32_t
uid_of(struct span value)
{
	uint32_t uid;

	return num_u32(value, &uid) == 0 && uid <= MBOXSCAN_UID_MAX ? uid : 0;
}

static bool
take_base(struct mboxscan *s, struct span rest)
{
	struct span w;
	uint32_t validity, last;

	if (!s->first || !span_word(&rest, &w) || num_u32(w, &validity) == -1 ||
	    validity == 0 || !span_word(&rest, &w) || num_u32(w, &last) == -1 ||
	    last > MBOXSCAN_UID_MAX)
		return false;
	if (s->cur.uidvalidity == 0) {
		s->cur.uidvalidity = validity;
		s->cur.last_uid = last;
	}
	return true;
}

static void
take_status(struct mboxscan_msg *m, struct span letters, bool x)
{
	static const struct {
		char c;
		uint16_t flag;
	} row[] = {
	    {'A', MT_ANSWERED}, {'F', MT_FLAGGED}, {'T', MT_DRAFT}, {'D', MT_DELETED}};

	for (size_t i = 0; i < letters.n; i++) {
		if (!x && letters.p[i] == 'R')
			m->flags |= MT_SEEN;
		if (!x && letters.p[i] == 'O')
			m->old = true;
		for (size_t k = 0; x && k < ARRAY_LEN(row); k++)
			if (letters.p[i] == row[k].c)
				m->flags |= row[k].flag;
	}
}

static void
take_length(struct mboxscan *s, struct span value)
{
	if (!s->has_length && num_u64(value, &s->length) == 0)
		s->has_length = true;
}

static void
take_value(struct mboxscan *s, enum mboxscan_name name, struct span value)
{
	struct mboxscan_msg *m = &s->cur;

	switch (name) {
	case MBOX_CONTENT_LENGTH:
		take_length(s, value);
		break;
	case MBOX_STATUS:
	case MBOX_X_STATUS:
		take_status(m, value, name == MBOX_X_STATUS);
		break;
	case MBOX_X_IMAPBASE:
		(void)take_base(s, value);
		break;
	case MBOX_X_IMAP:
		/* who sends mail with such a field does not write that From_ line */
		if (take_base(s, value) && s->daemon)
			m->pseudo = true;
		break;
	case MBOX_X_UID:
		/* in the first message, what stands before the base was not written with it */
		if (m->uid == 0 && (!s->first || m->uidvalidity != 0))
			m->uid = uid_of(value);
		break;
	default:
		break;
	}
}

/* The field that was gathered is through. */
static void
finish_hidden(struct mboxscan *s)
{
	struct mboxscan_field *f = &s->hidden;

	if (s->now == MBOX_VISIBLE)
		return;
	s->now = MBOX_VISIBLE;
	for (size_t i = 0; i < s->value_n; i++)
		if (s->value[i] == '\r' || s->value[i] == '\n' || s->value[i] == '\t')
			s->value[i] = ' ';
	f->value = span_trim((struct span){s->value, s->value_n});
	take_value(s, f->name, f->value);
	if (s->field != NULL)
		s->field(s->arg, f);
}

static void
feed(struct mboxscan *s, struct span part)
{
	size_t room = sizeof s->value - s->value_n;

	if (s->now == MBOX_VISIBLE) {
		s->cur.visible += part.n;
		hash_octets(s, part);
		return;
	}
	s->hidden.size += part.n;
	if (part.n > room)
		part.n = room;
	memcpy(s->value + s->value_n, part.p, part.n);
	s->value_n += part.n;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void
begin_hidden(struct mboxscan *s, enum mboxscan_name name, size_t colon)
{
	s->now = name;
	s->value_n = 0;
	s->hidden = (struct mboxscan_field){.name = name,
	                                    .off = s->line_off,
	                                    .size = colon + 1,
	                                    .value_off = s->line_off + colon + 1};
	if (!s->line_long)
		s->hidden.value_room = (uint32_t)(line_text(s).n - colon - 1);
}

/* The line is whole, or longer than line[]: what field is it of? Its octets are fed. */
static void
begin_line(struct mboxscan *s)
{
	struct span line = {s->line, s->line_n};
	enum mboxscan_name what;
	size_t colon;

	if (line.n > 0 && is_blank(line.p[0])) {
		s->hidden.value_room = 0;
		feed(s, line);
		return;
	}
	finish_hidden(s);
	if ((what = mboxscan_line(line, &colon)) != MBOX_VISIBLE) {
		begin_hidden(s, what, colon);
		line = span_from(line, colon + 1);
	}
	feed(s, line);
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
	finish_hidden(s);
	mix(s);
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
		finish_hidden(s);
		mix(s);
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

	if (!s->line_long && line_text(s).n == 0)
		return end_header(s);
	if (is_from(s, &f))
		return next_message(s, &f);
	if (!s->line_long)
		begin_line(s);
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
			begin_line(s);
		}
		feed(s, over);
	}
	return whole ? header_line(s) : MBOXSCAN_MORE;
}

/* ---- behind a body whose length is announced ------------------------------------------------------- */

static enum mboxscan_ev
peeked_line(struct mboxscan *s)
{
	struct mboxfrom f;

	if (!s->blank && !s->line_long && line_text(s).n == 0) {
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
	report(s, s->peek_end, s->line_off, s->peek_eol);
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

static enum mboxscan_ev
body_line(struct mboxscan *s)
{
	struct mboxfrom f;

	if (is_from(s, &f))
		return next_message(s, &f);
	start_line(s);
	return MBOXSCAN_MORE;
}

/* At the start of a line: only what begins as a From_ line does is gathered. */
static enum mboxscan_ev
push_line(struct mboxscan *s, struct span *in)
{
	static const char from[] = "From ";
	struct span over;

	while (s->line_n < sizeof from - 1 && in->n > 0) {
		if (in->p[0] != from[s->line_n]) {
			s->state = BODY;
			return MBOXSCAN_MORE;
		}
		s->line[s->line_n++] = in->p[0];
		note_tail(s, in->p, 1);
		(void)take(s, in, 1);
	}
	if (in->n == 0)
		return MBOXSCAN_MORE;
	if (gather_line(s, in, &over))
		return body_line(s);
	if (over.n > 0)
		s->state = BODY;
	return MBOXSCAN_MORE;
}

static enum mboxscan_ev
push_body(struct mboxscan *s, struct span *in)
{
	size_t at = mboxscan_find(in->p, in->n), n = at == in->n ? at : at + 1;
	struct span part = take(s, in, n);

	note_tail(s, part.p, part.n);
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
	s->header_only = false;
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
	if (over.n == 0 && line_text(s).n == 0)
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

	if (s->line_n == 0 || !is_from(s, &f)) {
		if (s->state == HEADER && s->line_n > 0 && !s->line_long)
			begin_line(s);
		return MBOXSCAN_MORE;
	}
	return next_message(s, &f);
}

static enum mboxscan_ev
end_last(struct mboxscan *s)
{
	if (s->cur.body == 0) {
		finish_hidden(s);
		mix(s);
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
		s->state = DONE;
		report(s, s->peek_end, s->size, s->peek_eol);
		return MBOXSCAN_MESSAGE;
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

bool
mboxscan_keyword(struct span *rest, struct span *keyword)
{
	return span_word(rest, keyword);
}
