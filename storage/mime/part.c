/*
 * One pass, line by line. Only a line that begins with `-` while boundaries are looked for
 * is held back, and of it no more than a boundary needs; all other octets are counted and
 * passed over where they lie.
 *
 * What is open is a path from the root to `part`. Each multipart of it has its boundary on
 * a stack, since a boundary of an outer one ends the inner ones too (RFC 2046 section
 * 5.1.2). A part's lines are known by difference: until it is closed, header_lines and
 * body_lines are what was counted where header or body begin.
 */
#include "storage/mime/part.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "storage/mime/content.h"

struct boundary {
	struct part *part;
	size_t n;
	char text[MIME_BOUNDARY_MAX];
};

/* A place in the message. */
struct place {
	uint64_t off, lines;
};

struct mime {
	struct arena *arena;
	struct part *root, *part;
	unsigned depth;  /* of part; the root is 0 */
	unsigned nparts; /* all of them */
	struct part
	    *last[MIME_DEPTH_MAX + 2]; /* last child of the open part at a depth */
	struct boundary stack[MIME_DEPTH_MAX + 1];
	unsigned nstack;
	struct header header;
	bool is_mime; /* the header under way says so */
	enum {
		IN_HEADER,
		IN_BODY,
		IN_BOUNDARY, /* what follows a boundary in its line */
	} where;
	bool final; /* IN_BOUNDARY: of the closing one */
	bool line_start;
	bool top_header; /* the root's is complete */
	bool nomem;
	char last_octet;
	unsigned eol; /* octets of the line end before this line that a boundary would
			 take with it */
	struct place at;
	size_t nheld;
	char held[2 + MIME_BOUNDARY_MAX + 2]; /* begin of a line, not yet counted */
};

/* ---- the tree ---------------------------------------------------------------------------- */

/* An allocation that failed: without memory all fails, a full arena leaves things out. */
static void
failed(struct mime *m)
{
	if (errno == ENOMEM)
		m->nomem = true;
}

static bool
is_message(const struct part *p)
{
	return p->parent == NULL || p->parent->kind == PART_MESSAGE;
}

static void
open_header(struct mime *m, struct place at)
{
	m->part->header_off = at.off;
	m->part->header_lines = at.lines;
	m->is_mime = m->part->parent != NULL && m->part->parent->kind == PART_MULTIPART;
	m->where = IN_HEADER;
	m->eol = 0;
	m->line_start = true;
	header_reset(&m->header);
	if (is_message(m->part)) {
		m->part->envelope = arena_alloc(m->arena, sizeof *m->part->envelope);
		if (m->part->envelope == NULL)
			failed(m);
	}
}

/* A child of the open part becomes the open one. */
static int
open_child(struct mime *m, struct place at)
{
	struct part *p = NULL;

	if (m->nparts < MIME_PARTS_MAX &&
	    (p = arena_alloc(m->arena, sizeof *p)) == NULL)
		failed(m);
	if (p == NULL)
		return -1;
	p->parent = m->part;
	if (m->last[m->depth] == NULL)
		m->part->child = p;
	else
		m->last[m->depth]->next = p;
	m->last[m->depth++] = p;
	m->last[m->depth] = NULL;
	m->nparts++;
	m->part = p;
	open_header(m, at);
	return 0;
}

static void
close_part(struct mime *m, struct place at)
{
	struct part *p = m->part;

	p->body_size = at.off - p->body_off;
	p->body_lines = at.lines - p->body_lines;
	if (m->depth > 0) {
		m->depth--;
		m->part = p->parent;
	}
}

/* ---- headers -------------------------------------------------------------------------- */

static void
take_field(struct mime *m)
{
	const struct field *f = &m->header.field;

	if (span_caseeq(f->name, SPAN("MIME-Version")) ||
	    span_caseeq(f->name, SPAN("Content-Type")))
		m->is_mime = true;
	if (content_field(m->part, m->arena, f) == -1)
		failed(m);
	if (m->part->envelope != NULL &&
	    envelope_field(m->part->envelope, m->arena, f) == -1)
		failed(m);
}

static bool
is_type(const struct part *p, struct span type)
{
	return span_caseeq(p->content.type, type);
}

static bool
is_subtype(const struct part *p, struct span subtype)
{
	return span_caseeq(p->content.subtype, subtype);
}

static enum part_kind
kind_of(const struct mime *m, const struct part *p)
{
	bool multipart = is_type(p, SPAN("multipart"));
	bool message = is_type(p, SPAN("message")) &&
	               (is_subtype(p, SPAN("rfc822")) || is_subtype(p, SPAN("global")));

	if (!multipart && !message)
		return PART_LEAF;
	if (m->depth == MIME_DEPTH_MAX || m->nparts == MIME_PARTS_MAX)
		return PART_OPAQUE;
	return multipart ? PART_MULTIPART : PART_MESSAGE;
}

/* A multipart without a boundary has no parts that could be found. */
static void
push_boundary(struct mime *m)
{
	struct span text = param_find(m->part->content.params, SPAN("boundary"));
	struct boundary *b = &m->stack[m->nstack];

	if (text.p == NULL)
		return;
	b->part = m->part;
	b->n = text.n < sizeof b->text ? text.n : sizeof b->text;
	if (b->n > 0)
		memcpy(b->text, text.p, b->n);
	m->nstack++;
}

/* The open part's header ends here, and its body begins. */
static void
end_header(struct mime *m, struct place at, bool empty_line)
{
	struct part *p = m->part;

	p->header_size = at.off - p->header_off;
	p->header_lines = at.lines - p->header_lines;
	if (!m->is_mime)
		content_forget(p);
	content_default(p);
	p->body_off = at.off;
	p->body_lines = at.lines;
	p->kind = kind_of(m, p);
	m->where = IN_BODY;
	m->eol = 0;
	m->line_start = true;
	if (m->depth == 0)
		m->top_header = true;
	if (m->nparts == MIME_PARTS_MAX) /* all that follows belongs to this part */
		m->nstack = 0;
	if (p->kind == PART_MULTIPART && empty_line)
		push_boundary(m);
	if (p->kind == PART_MESSAGE && open_child(m, at) == -1)
		p->kind = PART_OPAQUE;
}

/* No octet comes any more that belongs to the header under way: nor to one that it opens,
 * of a message that is nothing at all. */
static void
cut_header(struct mime *m, struct place at)
{
	while (m->where == IN_HEADER && !m->nomem) {
		enum header_ev ev;

		while ((ev = header_finish(&m->header)) == HEADER_FIELD)
			take_field(m);
		if (ev == HEADER_NOMEM)
			m->nomem = true;
		end_header(m, at, false);
	}
}

/* ---- boundaries -------------------------------------------------------------------------------- */

/*
 * The boundary that the line begins with, after `--`. One that is all of the line, or all
 * but `--` at the end, is what was meant; else the longest, among equal ones the innermost.
 */
static struct boundary *
find_boundary(struct mime *m, struct span line)
{
	bool dashes =
	    line.n > 2 && line.p[line.n - 1] == '-' && line.p[line.n - 2] == '-';
	struct boundary *best = NULL;

	for (unsigned i = m->nstack; i-- > 0;) {
		struct boundary *b = &m->stack[i];

		if (b->n > line.n || memcmp(b->text, line.p, b->n) != 0)
			continue;
		if (b->n == line.n || (dashes && b->n + 2 == line.n))
			return b;
		if (best == NULL || best->n < b->n)
			best = b;
	}
	return best;
}

static bool
closes(const struct boundary *b, struct span line)
{
	return line.n >= b->n + 2 && memcmp(line.p + b->n, "--", 2) == 0;
}

/* The line that begins here is a boundary: it ends all that is open within its part, and
 * takes the line end before it. */
static void
end_parts(struct mime *m, struct boundary *b, bool final)
{
	struct place end = {m->at.off - m->eol, m->at.lines - (m->eol > 0)};

	cut_header(m, end);
	while (m->part != b->part)
		close_part(m, end);
	m->nstack = (unsigned)(b - m->stack) + (final ? 0 : 1);
	m->final = final;
	m->where = IN_BOUNDARY;
}

/* A boundary's line has ended. */
static void
after_boundary(struct mime *m)
{
	m->where = IN_BODY;
	m->line_start = true;
	m->eol = 0; /* belongs to the boundary already */
	if (!m->final && open_child(m, m->at) == -1)
		m->nstack = 0; /* the arena is full: the rest stays unseen */
}

/* ---- lines ----------------------------------------------------------------------------------------- */

static void
pass(struct mime *m, struct span taken)
{
	m->at.off += taken.n;
	m->last_octet = taken.p[taken.n - 1];
}

/* The LF is the last of `taken`. */
static void
pass_line(struct mime *m, struct span taken)
{
	char before = taken.n > 1 ? taken.p[taken.n - 2] : m->last_octet;

	m->eol = before == '\r' ? 2 : 1;
	m->at.lines++;
	m->line_start = true;
	pass(m, taken);
}

/* Up to the end of a line. */
static void
take_header(struct mime *m, struct span *in)
{
	const char *lf = memchr(in->p, '\n', in->n);
	struct span line = {in->p, lf != NULL ? (size_t)(lf - in->p) + 1 : in->n};
	struct span rest = line;
	enum header_ev ev;

	m->line_start = false;
	while ((ev = header_push(&m->header, &rest)) == HEADER_FIELD)
		take_field(m);
	if (ev == HEADER_NOMEM)
		m->nomem = true;
	if (lf != NULL)
		pass_line(m, line);
	else
		pass(m, line);
	if (ev == HEADER_END)
		end_header(m, m->at, true);
	*in = span_from(*in, line.n);
}

/* Do these octets begin as a boundary does, as far as they go? */
static bool
dashes(const char *p, const char *end)
{
	return *p == '-' && (p + 1 == end || p[1] == '-');
}

/* Up to where a line may be a boundary. */
static void
take_body(struct mime *m, struct span *in)
{
	const char *p = in->p, *end = p + in->n, *lf;
	struct span taken = *in;

	m->line_start = false;
	while ((lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		p = lf + 1;
		if (p == end || (m->nstack > 0 && dashes(p, end)))
			break;
		m->at.lines++;
	}
	if (lf != NULL) {
		taken.n = (size_t)(p - in->p);
		pass_line(m, taken);
	} else
		pass(m, taken);
	*in = span_from(*in, taken.n);
}

static void
take_boundary(struct mime *m, struct span *in)
{
	const char *lf = memchr(in->p, '\n', in->n);
	struct span taken = {in->p, lf != NULL ? (size_t)(lf - in->p) + 1 : in->n};

	m->line_start = false;
	if (lf != NULL) {
		pass_line(m, taken);
		after_boundary(m);
	} else
		pass(m, taken);
	*in = span_from(*in, taken.n);
}

static void
take(struct mime *m, struct span *in)
{
	switch (m->where) {
	case IN_HEADER:
		take_header(m, in);
		break;
	case IN_BODY:
		take_body(m, in);
		break;
	case IN_BOUNDARY:
		take_boundary(m, in);
		break;
	}
}

/* This is enough of a line to know, or all there is: the next take() passes over it. */
static void
decide(struct mime *m, struct span begin)
{
	struct span line = span_from(begin, 2), text = line;
	struct boundary *b = NULL;

	if (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n -= text.n > 1 && text.p[text.n - 2] == '\r' ? 2 : 1;
	if (span_starts(begin, SPAN("--")))
		b = find_boundary(m, text);
	if (b != NULL)
		end_parts(m, b, closes(b, line));
	m->line_start = false;
}

static void
decide_held(struct mime *m)
{
	struct span held = {m->held, m->nheld};

	m->nheld = 0;
	decide(m, held);
	while (held.n > 0 && !m->nomem)
		take(m, &held);
}

/* What a boundary needs of the line that begins with `s`; *enough: that is there. */
static struct span
begin_of_line(struct span s, size_t room, bool *enough)
{
	size_t n = s.n < room ? s.n : room;
	const char *lf = memchr(s.p, '\n', n);

	*enough = lf != NULL || n == room;
	return (struct span){s.p, lf != NULL ? (size_t)(lf - s.p) + 1 : n};
}

/* A line that may be a boundary. Only what is cut by the end of `in` is held. */
static void
look(struct mime *m, struct span *in)
{
	bool enough;
	struct span s = begin_of_line(*in, sizeof m->held - m->nheld, &enough);

	if (m->nheld == 0 && enough) {
		decide(m, s);
		return;
	}
	memcpy(m->held + m->nheld, s.p, s.n);
	m->nheld += s.n;
	*in = span_from(*in, s.n);
	if (enough)
		decide_held(m);
}

/* ---- a message ------------------------------------------------------------------------------------- */

struct mime *
mime_init(struct arena *arena)
{
	struct mime *m = calloc(1, sizeof *m);

	if (m == NULL || (m->root = arena_alloc(arena, sizeof *m->root)) == NULL) {
		free(m);
		errno =
		    ENOMEM; /* an arena that has no room for one part is of no use */
		return NULL;
	}
	m->arena = arena;
	m->part = m->root;
	m->nparts = 1;
	m->header.max = MIME_FIELD_MAX;
	open_header(m, (struct place){0});
	return m;
}

int
mime_push(struct mime *m, struct span in)
{
	while (in.n > 0 && !m->nomem)
		if (m->nheld > 0 ||
		    (m->line_start && m->nstack > 0 && m->where != IN_BOUNDARY &&
		     dashes(in.p, in.p + in.n)))
			look(m, &in);
		else
			take(m, &in);
	if (!m->nomem)
		return 0;
	errno = ENOMEM;
	return -1;
}

bool
mime_header_done(const struct mime *m)
{
	return m->top_header;
}

struct part *
mime_end(struct mime *m)
{
	struct part *root;

	if (m == NULL)
		return NULL;
	if (m->nheld > 0)
		decide_held(m);
	cut_header(m, m->at);
	while (m->depth > 0)
		close_part(m, m->at);
	close_part(m, m->at);
	root = m->nomem ? NULL : m->root;
	mime_free(m);
	if (root == NULL)
		errno = ENOMEM;
	return root;
}

void
mime_free(struct mime *m)
{
	if (m == NULL)
		return;
	header_free(&m->header);
	free(m);
}

/* ---- sections ---------------------------------------------------------------------------------------- */

/* The n-th part of a message or of a part that is a multipart. */
static const struct part *
nth(const struct part *p, uint32_t n)
{
	if (p->kind != PART_MULTIPART)
		return n == 1 ? p : NULL;
	for (p = p->child; p != NULL && n > 1; n--)
		p = p->next;
	return n == 1 ? p : NULL;
}

const struct part *
part_find(const struct part *p, const uint32_t *numbers, size_t n)
{
	for (size_t i = 0; i < n && p != NULL; i++) {
		if (i > 0 && p->kind == PART_MESSAGE)
			p = p->child;
		else if (i > 0 && p->kind != PART_MULTIPART)
			return NULL; /* a leaf has no parts but itself */
		p = nth(p, numbers[i]);
	}
	return p;
}

const struct part *
part_message(const struct part *root, const uint32_t *numbers, size_t n)
{
	const struct part *p = part_find(root, numbers, n);

	if (n == 0 || p == NULL)
		return p;
	return p->kind == PART_MESSAGE ? p->child : NULL;
}
