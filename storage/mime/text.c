/*
 * Lines first: where boundaries are looked for, a line that begins with `-` is held until
 * it is known whether it is one. What is none goes to the header or the body that is open.
 */
#include "storage/mime/text.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/base/arena.h"
#include "storage/base/buf.h"
#include "storage/mime/charset.h"
#include "storage/mime/decode.h"
#include "storage/mime/param.h"
#include "storage/mime/words.h"

enum { BOUNDARY_MAX = 1024, ROOM = 4096, BLOCK = 512 };

struct boundary {
	bool digest; /* its parts are messages when they do not say otherwise */
	size_t n;
	char text[BOUNDARY_MAX];
};

/* A field that says what the body is. */
struct kept {
	bool there;
	struct buf value;
};

struct text {
	struct text_sink sink;
	enum {
		IN_HEADER,
		IN_BODY,
		IN_BOUNDARY, /* what follows a boundary in its line */
	} where;
	bool failed;     /* ENOMEM */
	bool line_start; /* the next octet begins a line */
	bool final;      /* IN_BOUNDARY: of the closing one */

	/* header */
	enum text_place place;
	bool digest; /* the part is a message unless its header says otherwise */
	enum {
		F_START,
		F_START_CR,
		F_NAME,
		F_LEAD, /* blanks before the value */
		F_VALUE,
	} state;
	bool open;   /* a field is */
	bool lead;   /* nothing of its value has come but blanks */
	bool wanted; /* the sink wants its value */
	struct kept *keep;
	struct kept type, encoding;
	struct words words;
	size_t nname;
	char name[TEXT_NAME_MAX];

	/* body */
	bool body_open; /* the sink wants it */
	struct decode decode;
	struct charset charset;

	/* boundaries */
	size_t nstack, nheld;
	char held[2 + BOUNDARY_MAX + 2];
	struct boundary stack[TEXT_DEPTH_MAX];

	struct arena arena; /* of parameters, while they are looked at */
};

struct text *
text_new(const struct text_sink *sink)
{
	struct text *t = calloc(1, sizeof *t);

	if (t != NULL) {
		t->sink = *sink;
		t->type.value.max = t->encoding.value.max = TEXT_FIELD_MAX;
		words_init(&t->words);
		charset_begin(&t->charset, SPAN(""));
		text_begin(t);
	}
	return t;
}

void
text_free(struct text *t)
{
	if (t == NULL)
		return;
	words_drop(&t->words);
	charset_drop(&t->charset);
	buf_free(&t->type.value);
	buf_free(&t->encoding.value);
	arena_free(&t->arena);
	free(t);
}

static void
open_header(struct text *t, enum text_place place, bool digest)
{
	t->where = IN_HEADER;
	t->place = place;
	t->digest = digest;
	t->state = F_START;
	t->open = t->wanted = false;
	t->keep = NULL;
	t->type.there = t->encoding.there = false;
}

void
text_begin(struct text *t)
{
	words_drop(&t->words);
	charset_drop(&t->charset);
	t->failed = t->body_open = false;
	t->line_start = true;
	t->nstack = t->nheld = 0;
	open_header(t, TEXT_TOP, false);
}

/* ---- fields ------------------------------------------------------------------------------------- */

static void
send_value(struct text *t, struct span in)
{
	char room[ROOM];
	size_t n;

	do {
		n = words_push(&t->words, &in, room, sizeof room);
		if (n > 0)
			t->sink.value(t->sink.arg, (struct span){room, n});
	} while (n == sizeof room);
}

static void
keep_value(struct text *t, struct span in)
{
	struct buf *b = &t->keep->value;
	size_t room = b->max - b->n;

	if (in.n > room)
		in.n = room;
	if (buf_add(b, in) == -1)
		t->failed = true;
}

static void
take_value(struct text *t, struct span in)
{
	if (t->keep != NULL)
		keep_value(t, in);
	if (t->wanted)
		send_value(t, in);
}

/* The first of each counts. */
static struct kept *
kept_field(struct text *t, struct span name)
{
	struct kept *k = NULL;

	if (span_caseeq(name, SPAN("Content-Type")))
		k = &t->type;
	else if (span_caseeq(name, SPAN("Content-Transfer-Encoding")))
		k = &t->encoding;
	if (k == NULL || k->there)
		return NULL;
	k->there = true;
	buf_reset(&k->value);
	return k;
}

static void
open_field(struct text *t, struct span name)
{
	t->open = true;
	t->keep = kept_field(t, name);
	t->wanted = t->sink.field(t->sink.arg, t->place, name);
	if (t->wanted)
		words_init(&t->words);
}

static void
close_field(struct text *t)
{
	char room[ROOM];
	size_t n;

	if (t->open && t->wanted) {
		do {
			n = words_end(&t->words, room, sizeof room);
			if (n > 0)
				t->sink.value(t->sink.arg, (struct span){room, n});
		} while (n == sizeof room);
		t->sink.field_end(t->sink.arg);
	}
	t->open = t->wanted = false;
	t->keep = NULL;
}

static void
name_ends(struct text *t)
{
	struct span name = span_trim((struct span){t->name, t->nname});

	t->state = F_LEAD;
	t->lead = true;
	open_field(t, name);
}

/* It was no name: there is no colon, or none within what a name can have. */
static void
no_name(struct text *t)
{
	t->state = F_VALUE;
	t->lead = false;
	open_field(t, SPAN(""));
	take_value(t, (struct span){t->name, t->nname});
}

static size_t
take_name(struct text *t, struct span in)
{
	size_t i = 0;

	while (i < in.n) {
		char c = in.p[i];

		if (c == '\n' || t->nname == TEXT_NAME_MAX) {
			no_name(t);
			return i;
		}
		i++;
		if (c == ':') {
			name_ends(t);
			return i;
		}
		t->name[t->nname++] = c;
	}
	return i;
}

static size_t
take_lead(struct text *t, struct span in)
{
	size_t i = 0;

	while (i < in.n && (in.p[i] == ' ' || in.p[i] == '\t' || in.p[i] == '\r'))
		i++;
	if (i < in.n && in.p[i] == '\n') {
		t->state = F_START;
		return i + 1;
	}
	if (i < in.n) {
		t->state = F_VALUE;
		t->lead = false;
	}
	return i;
}

static size_t
take_line(struct text *t, struct span in)
{
	const char *lf = memchr(in.p, '\n', in.n);
	size_t n = lf == NULL ? in.n : (size_t)(lf - in.p) + 1;

	if (t->keep != NULL || t->wanted)
		take_value(t, (struct span){in.p, n});
	if (lf != NULL)
		t->state = F_START;
	return n;
}

static void end_header(struct text *);

/* The first octet of a line, perhaps behind a CR that turned out to be none of its end. */
static size_t
take_start(struct text *t, char c)
{
	if (c == '\n') {
		end_header(t);
		return 1;
	}
	if (c == '\r' && t->state == F_START) {
		t->state = F_START_CR;
		return 1;
	}
	if ((c == ' ' || c == '\t') && t->open) {
		t->state = t->lead ? F_LEAD : F_VALUE;
		return 0;
	}
	close_field(t);
	t->nname = 0;
	t->state = F_NAME;
	return 0;
}

static size_t
take_header(struct text *t, struct span in)
{
	switch (t->state) {
	case F_START:
	case F_START_CR:
		return take_start(t, *in.p);
	case F_NAME:
		return take_name(t, in);
	case F_LEAD:
		return take_lead(t, in);
	default:
		return take_line(t, in);
	}
}

/* ---- bodies --------------------------------------------------------------------------------------- */

static void
send_text(struct text *t, struct span in)
{
	if (in.n > 0)
		t->sink.text(t->sink.arg, in);
}

/* Runs that are ASCII stay where they are; what lies between goes through the charset. */
static void
convert(struct text *t, struct span in)
{
	char room[ROOM];
	size_t n;

	while (in.n > 0) {
		size_t plain = charset_plain(&t->charset, in);
		struct span block;

		send_text(t, (struct span){in.p, plain});
		in = span_from(in, plain);
		block = (struct span){in.p, in.n < BLOCK ? in.n : BLOCK};
		in = span_from(in, block.n);
		do {
			n = charset_push(&t->charset, &block, room, sizeof room);
			send_text(t, (struct span){room, n});
		} while (n == sizeof room);
	}
}

static void
take_text(struct text *t, struct span in)
{
	char room[ROOM];
	size_t n;

	if (t->decode.encoding == ENCODING_NONE) {
		convert(t, in);
		return;
	}
	do {
		n = decode_push(&t->decode, &in, room, sizeof room);
		convert(t, (struct span){room, n});
	} while (n == sizeof room);
}

/* One in an encoding that nobody knows cannot be read. */
static void
open_body(struct text *t, struct span charset)
{
	enum encoding e = t->encoding.there ? encoding_of(buf_span(&t->encoding.value))
	                                    : ENCODING_NONE;

	if (e == ENCODING_UNKNOWN || !t->sink.body(t->sink.arg))
		return;
	t->body_open = true;
	decode_init(&t->decode, e);
	charset_begin(&t->charset, charset);
}

static void
close_body(struct text *t)
{
	char room[ROOM];
	size_t n;

	if (!t->body_open)
		return;
	do {
		n = decode_end(&t->decode, room, sizeof room);
		convert(t, (struct span){room, n});
	} while (n == sizeof room);
	do {
		n = charset_end(&t->charset, room, sizeof room);
		send_text(t, (struct span){room, n});
	} while (n == sizeof room);
	t->body_open = false;
	t->sink.body_end(t->sink.arg);
}

/* ---- what a body is ---------------------------------------------------------------------------------- */

/* A multipart without a boundary, or too deep, has no parts that could be found. */
static void
push_boundary(struct text *t, const struct content_type *type)
{
	struct span text = param_find(type->params, SPAN("boundary"));
	struct boundary *b = &t->stack[t->nstack];

	if (text.p == NULL || t->nstack == TEXT_DEPTH_MAX)
		return;
	b->digest = span_caseeq(type->subtype, SPAN("digest"));
	b->n = text.n < sizeof b->text ? text.n : sizeof b->text;
	memcpy(b->text, text.p, b->n);
	t->nstack++;
}

static bool
is_message(const struct text *t, const struct content_type *type)
{
	if (type->type.p == NULL)
		return t->digest;
	return span_caseeq(type->type, SPAN("message")) &&
	       (span_caseeq(type->subtype, SPAN("rfc822")) ||
	        span_caseeq(type->subtype, SPAN("global")));
}

static bool
is_text(const struct content_type *type)
{
	return type->type.p == NULL || span_caseeq(type->type, SPAN("text")) ||
	       span_caseeq(type->type, SPAN("message"));
}

static void
begin_body(struct text *t, const struct content_type *type)
{
	t->where = IN_BODY;
	if (type->type.p != NULL && span_caseeq(type->type, SPAN("multipart")))
		push_boundary(t, type);
	else if (is_message(t, type))
		open_header(t, TEXT_WITHIN, false);
	else if (is_text(type))
		open_body(t, param_find(type->params, SPAN("charset")));
}

static void
end_header(struct text *t)
{
	struct content_type type = {0};

	close_field(t);
	/* the arena has no ceiling but that of the field: only memory can be short */
	if (t->type.there &&
	    param_content_type(buf_span(&t->type.value), &t->arena, &type) == -1)
		t->failed = true;
	else
		begin_body(t, &type);
	arena_reset(&t->arena);
}

/* The octets end within the header: that of a message within has no body either. */
static void
cut_header(struct text *t)
{
	if (t->state == F_NAME)
		no_name(t);
	close_field(t);
	t->where = IN_BODY;
}

/* ---- boundaries ---------------------------------------------------------------------------------------- */

/* What is open ends here. */
static void
end_part(struct text *t)
{
	if (t->where == IN_HEADER)
		cut_header(t);
	close_body(t);
}

/*
 * The boundary that the line begins with, behind `--`. One that is all of it, or all but
 * `--` at the end, is what was meant; else the longest, among equal ones the innermost.
 */
static const struct boundary *
find_boundary(const struct text *t, struct span line)
{
	bool dashes =
	    line.n > 2 && line.p[line.n - 1] == '-' && line.p[line.n - 2] == '-';
	const struct boundary *best = NULL;

	for (size_t i = t->nstack; i-- > 0;) {
		const struct boundary *b = &t->stack[i];

		if (!span_starts(line, (struct span){b->text, b->n}))
			continue;
		if (b->n == line.n || (dashes && b->n + 2 == line.n))
			return b;
		if (best == NULL || best->n < b->n)
			best = b;
	}
	return best;
}

static void
begin_boundary(struct text *t, const struct boundary *b, struct span line)
{
	end_part(t);
	t->final = span_starts(span_from(line, b->n), SPAN("--"));
	t->nstack = (size_t)(b - t->stack) + (t->final ? 0 : 1);
	t->where = IN_BOUNDARY;
}

static size_t
take_boundary(struct text *t, struct span in)
{
	const char *lf = memchr(in.p, '\n', in.n);

	if (lf == NULL)
		return in.n;
	if (t->final)
		t->where = IN_BODY; /* behind the last part: nobody's */
	else
		open_header(t, TEXT_PART, t->stack[t->nstack - 1].digest);
	return (size_t)(lf - in.p) + 1;
}

/* ---- lines ------------------------------------------------------------------------------------------------ */

static size_t
take(struct text *t, struct span in)
{
	size_t n = in.n;

	if (t->where == IN_HEADER)
		n = take_header(t, in);
	else if (t->where == IN_BOUNDARY)
		n = take_boundary(t, in);
	else if (t->body_open)
		take_text(t, in);
	if (n > 0)
		t->line_start = in.p[n - 1] == '\n';
	return n;
}

static void
take_all(struct text *t, struct span in)
{
	while (in.n > 0)
		in = span_from(in, take(t, in));
}

/* Whether the line is a boundary can be told; it ends in an LF, or is long enough. */
static void
decide(struct text *t)
{
	struct span held = {t->held, t->nheld}, line;
	const struct boundary *b = NULL;

	t->nheld = 0;
	t->line_start = false;
	if (span_starts(held, SPAN("--"))) {
		line = span_from(held, 2);
		if (line.n > 0 && line.p[line.n - 1] == '\n')
			line.n--;
		line = (struct span){line.p, line.n};
		while (line.n > 0 && strchr(" \t\r", line.p[line.n - 1]) != NULL &&
		       line.p[line.n - 1] != '\0')
			line.n--;
		b = find_boundary(t, line);
	}
	if (b != NULL)
		begin_boundary(t, b, line);
	take_all(t, held);
}

/* Octets of a line that may be a boundary: taken. */
static size_t
hold(struct text *t, struct span in)
{
	size_t i = 0;

	while (i < in.n) {
		char c = in.p[i++];

		t->held[t->nheld++] = c;
		if (c == '\n' || t->nheld == sizeof t->held ||
		    (t->nheld <= 2 && c != '-')) {
			decide(t);
			break;
		}
	}
	return i;
}

/* Octets before the next line that may be a boundary. */
static size_t
before_boundary(const struct text *t, struct span in)
{
	const char *at;

	if (t->nstack == 0)
		return in.n;
	at = memmem(in.p, in.n, "\n-", 2);
	return at == NULL ? in.n : (size_t)(at - in.p) + 1;
}

int
text_push(struct text *t, struct span in)
{
	while (in.n > 0 && !t->failed) {
		size_t n;

		if (t->nstack > 0 && (t->nheld > 0 || (t->line_start && *in.p == '-')))
			n = hold(t, in);
		else
			n = take(t, (struct span){in.p, before_boundary(t, in)});
		in = span_from(in, n);
	}
	if (t->failed)
		errno = ENOMEM;
	return t->failed ? -1 : 0;
}

int
text_end(struct text *t)
{
	if (t->nheld > 0)
		decide(t);
	end_part(t);
	if (t->failed)
		errno = ENOMEM;
	return t->failed ? -1 : 0;
}
