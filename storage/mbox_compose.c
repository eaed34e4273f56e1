#include "storage/mbox_compose.h"

#include <stdlib.h>

#define STEP 65536
#define GATHER_MAX                                                                     \
	(MBOXFROM_MAX + 2) /* as far as mboxscan looks for the name of a field */

struct compose {
	struct mbox_journal *j;
	const struct mbox_letter *letter;
	bool crlf, quote;
	bool in_header, started;
	bool hidden;           /* the field that the line continues is left out */
	char line[GATHER_MAX]; /* the beginning of a line of the header */
	size_t line_n;
	bool decided; /* what becomes of that line */
	/* ends of lines */
	uint64_t crs; /* held back */
	char last;    /* octet that went out; 0: none */
	/* quoting */
	bool at_start;    /* of a line */
	uint64_t gt;      /* held back there, */
	unsigned matched; /* and of `From ` */
};

static const char from_text[] = "From ";

/* ---- does it need quoting? ---------------------------------------------------------------------- */

struct search {
	unsigned matched;
	bool skip; /* to the end of the line */
};

static bool
search_from(struct search *s, struct span in)
{
	while (in.n > 0) {
		const char *lf;

		if (!s->skip && in.p[0] == from_text[s->matched]) {
			in = span_from(in, 1);
			if (++s->matched == sizeof from_text - 1)
				return true;
			continue;
		}
		lf = memchr(in.p, '\n', in.n);
		s->matched = 0;
		s->skip = lf == NULL;
		in = lf == NULL ? (struct span){in.p, 0}
		                : span_from(in, (size_t)(lf - in.p) + 1);
	}
	return false;
}

/* 1, 0; -1 */
static int
needs_quoting(const struct mbox_letter *l, char *room)
{
	struct search s = {0};

	for (uint64_t at = 0; at < l->size;) {
		size_t n = l->size - at < STEP ? (size_t)(l->size - at) : STEP;

		if (l->read(l->arg, at, room, n) == -1)
			return -1;
		if (search_from(&s, (struct span){room, n}))
			return 1;
		at += n;
	}
	return 0;
}

/* ---- out: ends of lines -------------------------------------------------------------------------- */

static int
put(struct compose *c, struct span s)
{
	if (s.n == 0)
		return 0;
	c->last = s.p[s.n - 1];
	return mbox_journal_data(c->j, s);
}

static int
put_crs(struct compose *c)
{
	for (; c->crs > 0; c->crs--)
		if (put(c, SPAN("\r")) == -1)
			return -1;
	return 0;
}

/* One CR before an LF goes, or comes, as the file has it; several are the message's own. */
static int
put_lf(struct compose *c)
{
	if (c->crs == 1 && !c->crlf)
		c->crs = 0;
	if (c->crs == 0 && c->crlf)
		c->crs = 1;
	return put_crs(c) == -1 ? -1 : put(c, SPAN("\n"));
}

static int
put_lines(struct compose *c, struct span in)
{
	while (in.n > 0) {
		size_t n = 0;

		if (in.p[0] == '\r')
			c->crs++;
		else if (in.p[0] == '\n') {
			if (put_lf(c) == -1)
				return -1;
		} else {
			while (n < in.n && in.p[n] != '\r' && in.p[n] != '\n')
				n++;
			if (put_crs(c) == -1 || put(c, (struct span){in.p, n}) == -1)
				return -1;
		}
		in = span_from(in, n == 0 ? 1 : n);
	}
	return 0;
}

/* ---- out: quoting ----------------------------------------------------------------------------------- */

static int
put_start(struct compose *c, bool quoted)
{
	for (c->gt += quoted; c->gt > 0; c->gt--)
		if (put_lines(c, SPAN(">")) == -1)
			return -1;
	if (put_lines(c, (struct span){from_text, c->matched}) == -1)
		return -1;
	c->matched = 0;
	c->at_start = false;
	return 0;
}

static int
put_quoted(struct compose *c, struct span in)
{
	if (!c->quote)
		return put_lines(c, in);
	while (in.n > 0) {
		const char *lf;
		size_t n;

		if (c->at_start && in.p[0] == '>' && c->matched == 0) {
			c->gt++;
			in = span_from(in, 1);
			continue;
		}
		if (c->at_start && in.p[0] == from_text[c->matched]) {
			in = span_from(in, 1);
			if (++c->matched == sizeof from_text - 1 &&
			    put_start(c, true) == -1)
				return -1;
			continue;
		}
		if (c->at_start && put_start(c, false) == -1)
			return -1;
		lf = memchr(in.p, '\n', in.n);
		n = lf == NULL ? in.n : (size_t)(lf - in.p) + 1;
		if (put_lines(c, (struct span){in.p, n}) == -1)
			return -1;
		in = span_from(in, n);
		c->at_start = lf != NULL;
	}
	return 0;
}

/* What was held back of a last line. */
static int
put_rest(struct compose *c)
{
	if (c->quote && c->at_start && put_start(c, false) == -1)
		return -1;
	return put_crs(c);
}

static int
end_line(struct compose *c)
{
	if (c->last == 0 || c->last == '\n')
		return 0;
	/* a CR at the end is not that of the end of a line */
	return put(c, c->crlf || c->last == '\r' ? SPAN("\r\n") : SPAN("\n"));
}

/* ---- the header ----------------------------------------------------------------------------------------- */

static int
put_meta(struct compose *c)
{
	struct buf text = {0};
	int rc = -1;

	c->in_header = false;
	if (put_rest(c) == 0 && end_line(c) == 0 &&
	    mbox_print_meta(c->j->m, &c->letter->meta, c->crlf, &text) == 0)
		rc = put(c, buf_span(&text));
	c->at_start = true;
	buf_free(&text);
	return rc;
}

static bool
is_hidden(const struct compose *c)
{
	struct span line = {c->line, c->line_n};
	size_t colon;

	if (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
		return c->hidden && c->started;
	return mboxscan_line(line, &colon) != MBOX_VISIBLE;
}

/* The line is whole, or as long as is looked at. */
static int
decide(struct compose *c, bool whole)
{
	struct span line = {c->line, c->line_n};

	c->decided = true;
	if (whole && (line.n == 1 || (line.n == 2 && line.p[0] == '\r'))) {
		if (put_meta(c) == -1)
			return -1;
		return put_quoted(c, line);
	}
	c->hidden = is_hidden(c);
	c->started = true;
	return c->hidden ? 0 : put_quoted(c, line);
}

static int
header(struct compose *c, struct span *in)
{
	while (in->n > 0 && c->in_header) {
		const char *lf = memchr(in->p, '\n', in->n);
		size_t n = lf == NULL ? in->n : (size_t)(lf - in->p) + 1, k = n;

		if (!c->decided) {
			k = sizeof c->line - c->line_n < n ? sizeof c->line - c->line_n
			                                   : n;
			memcpy(c->line + c->line_n, in->p, k);
			c->line_n += k;
			if ((k == n && lf != NULL) || c->line_n == sizeof c->line)
				if (decide(c, k == n && lf != NULL) == -1)
					return -1;
		} else if (!c->hidden && put_quoted(c, (struct span){in->p, k}) == -1)
			return -1;
		*in = span_from(*in, k);
		if (k == n && lf != NULL) {
			c->line_n = 0;
			c->decided = false;
		}
	}
	return 0;
}

/* ---- all of it -------------------------------------------------------------------------------------------- */

static int
begin(struct compose *c)
{
	struct buf line = {0};
	int rc = mboxfrom_print(c->quote ? SPAN(MBOXSCAN_QUOTED) : c->letter->sender,
	                        c->letter->date, &line);

	if (rc == 0)
		rc = buf_add(&line, c->crlf ? SPAN("\r\n") : SPAN("\n"));
	if (rc == 0)
		rc = mbox_journal_data(c->j, buf_span(&line));
	buf_free(&line);
	return rc;
}

static int
push(struct compose *c, struct span in)
{
	if (c->in_header && header(c, &in) == -1)
		return -1;
	return put_quoted(c, in);
}

static int
finish(struct compose *c)
{
	if (c->in_header && c->line_n > 0 && !c->decided && decide(c, false) == -1)
		return -1;
	if (c->in_header && put_meta(c) == -1)
		return -1;
	if (put_rest(c) == -1 || end_line(c) == -1)
		return -1;
	return put(c, c->crlf ? SPAN("\r\n") : SPAN("\n"));
}

int
mbox_compose(struct mbox_journal *j, const struct mbox_letter *l, bool crlf)
{
	struct compose c = {
	    .j = j, .letter = l, .crlf = crlf, .in_header = true, .at_start = true};
	char *room = malloc(STEP);
	int rc = room == NULL ? -1 : needs_quoting(l, room);

	c.quote = rc == 1;
	if (rc != -1)
		rc = begin(&c);
	for (uint64_t at = 0; at < l->size && rc == 0;) {
		size_t n = l->size - at < STEP ? (size_t)(l->size - at) : STEP;

		rc = l->read(l->arg, at, room, n);
		if (rc == 0)
			rc = push(&c, (struct span){room, n});
		at += n;
	}
	if (rc == 0)
		rc = finish(&c);
	free(room);
	return rc;
}
