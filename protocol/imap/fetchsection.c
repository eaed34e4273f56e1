/*
 * FETCH: octets of sections. A section is ranges of the message's wire octets, in order,
 * and perhaps an empty line behind them; what is decoded is gone through twice, because
 * its length comes first. Only lengths that are known are announced, and a message that
 * ends otherwise ends the connection.
 */
#include <errno.h>
#include <inttypes.h>

#include "protocol/imap/fetch.h"
#include "storage/base/log.h"
#include "storage/mime/decode.h"

#define RANGES_MAX (1u << 19) /* header fields that one section can name */

struct range {
	uint64_t off, size;
};

struct ranges {
	struct range *r; /* in f->ranges; ascending */
	size_t n, cap;
	uint64_t size;   /* octets of all */
	bool empty_line; /* follows */
};

/* ---- which octets ------------------------------------------------------------------------------ */

static int
add_range(struct fetch *f, struct ranges *g, uint64_t off, uint64_t size)
{
	struct range *last = g->n > 0 ? &g->r[g->n - 1] : NULL;

	g->size += size;
	if (last != NULL && last->off + last->size == off) {
		last->size += size;
		return 0;
	}
	if (g->n == g->cap) {
		size_t cap = g->cap * 2 + 8;
		struct range *r = g->cap < RANGES_MAX
		                      ? arena_alloc(&f->ranges, cap * sizeof *r)
		                      : NULL;

		if (r == NULL)
			return -1;
		if (g->n > 0)
			memcpy(r, g->r, g->n * sizeof *r);
		g->r = r;
		g->cap = cap;
	}
	g->r[g->n++] = (struct range){off, size};
	return 0;
}

/* Go over one range of the message; `each` != 0 stops and is returned. -1: unreadable. */
static int
walk(struct fetch *f, const struct mt_record *r, struct range g,
     int (*each)(void *, struct span), void *arg)
{
	struct reader *reader = &f->im->box->reader;
	struct span octets;
	int rc;

	if (g.size == 0)
		return 0;
	if (fetch_begin(f, r) == -1)
		return -1;
	reader_skip(reader, g.off);
	while (g.size > 0) {
		if ((rc = reader_next(reader, &octets)) != 1)
			return -1;
		if (octets.n > g.size)
			octets.n = (size_t)g.size;
		g.size -= octets.n;
		if ((rc = each(arg, octets)) != 0)
			return rc;
	}
	return 0;
}

struct fields {
	struct fetch *f;
	const struct section *s;
	struct header header;
	uint64_t off; /* of the header in the message */
	struct ranges *out;
	bool failed;
};

static int
take_field(struct fields *w)
{
	const struct field *h = &w->header.field;

	if (section_names(w->s, h->name) != (w->s->kind == SECTION_FIELDS))
		return 0;
	return add_range(w->f, w->out, w->off + h->off, h->size);
}

static int
push_header(void *arg, struct span octets)
{
	struct fields *w = arg;

	for (;;)
		switch (header_push(&w->header, &octets)) {
		case HEADER_MORE:
			return 0;
		case HEADER_FIELD:
			if (take_field(w) == -1) {
				w->failed = true;
				return 1;
			}
			break;
		case HEADER_END:
			return 1;
		case HEADER_NOMEM:
			w->failed = true;
			return 1;
		}
}

/* The fields of a header that are named, or that are not. */
static int
pick_fields(struct fetch *f, const struct mt_record *r, const struct section *s,
            struct range header, struct ranges *out)
{
	struct fields w = {.f = f, .s = s, .off = header.off, .out = out};
	int rc = walk(f, r, header, push_header, &w);

	if (rc == 0 && !w.failed && header_finish(&w.header) == HEADER_FIELD)
		w.failed = take_field(&w) == -1;
	header_free(&w.header);
	out->empty_line = true;
	return rc == -1 || w.failed ? -1 : 0;
}

/* The header of the message, or of the one that the numbers name. False: there is none. */
static int
find_header(struct fetch *f, const struct mt_record *r, const struct section *s,
            struct range *header, struct range *text)
{
	const struct part *root, *message;

	if (s->n == 0) {
		*header = (struct range){0, r->header_size};
		*text = (struct range){r->header_size, r->wire_size - r->header_size};
		return 1;
	}
	if ((root = fetch_structure(f, r)) == NULL)
		return -1;
	if ((message = part_message(root, s->numbers, s->n)) == NULL)
		return 0;
	*header = (struct range){message->header_off, message->header_size};
	*text = (struct range){message->body_off, message->body_size};
	return 1;
}

static int
find_part(struct fetch *f, const struct mt_record *r, const struct section *s,
          struct ranges *out, enum encoding *encoding)
{
	const struct part *root, *part;

	if (s->n == 0)
		return add_range(f, out, 0, r->wire_size) == -1 ? -1 : 1;
	if ((root = fetch_structure(f, r)) == NULL)
		return -1;
	if ((part = part_find(root, s->numbers, s->n)) == NULL)
		return 0;
	if (s->kind == SECTION_MIME)
		return add_range(f, out, part->header_off, part->header_size) == -1 ? -1
		                                                                    : 1;
	if (part->kind == PART_LEAF)
		*encoding = encoding_of(part->encoding);
	return add_range(f, out, part->body_off, part->body_size) == -1 ? -1 : 1;
}

/* 1; 0: there is no such part; -1. */
static int
find(struct fetch *f, const struct mt_record *r, const struct section *s,
     struct ranges *out, enum encoding *encoding)
{
	struct range header, text;
	int rc;

	if (s->kind == SECTION_ALL || s->kind == SECTION_MIME)
		return find_part(f, r, s, out, encoding);
	if ((rc = find_header(f, r, s, &header, &text)) != 1)
		return rc;
	switch (s->kind) {
	case SECTION_HEADER:
		return add_range(f, out, header.off, header.size) == -1 ? -1 : 1;
	case SECTION_TEXT:
		return add_range(f, out, text.off, text.size) == -1 ? -1 : 1;
	default:
		return pick_fields(f, r, s, header, out) == -1 ? -1 : 1;
	}
}

/* ---- printing ------------------------------------------------------------------------------------- */

/* Of octets 0.. that go by, print those from `skip` on, `left` of them. */
struct sink {
	struct fetch *f;
	uint64_t skip, left;
	bool replace_nul; /* a literal holds none (RFC 9051 section 4.3) */
	bool copy;        /* the octets do not stay */
};

static int
print_octets(const struct sink *k, struct span octets)
{
	struct out *out = k->f->im->out;
	char copy[4096];

	if (!k->replace_nul || memchr(octets.p, '\0', octets.n) == NULL)
		return k->copy ? out_copy(out, octets) : out_ref(out, octets);
	while (octets.n > 0) {
		size_t n = octets.n < sizeof copy ? octets.n : sizeof copy;

		for (size_t i = 0; i < n; i++)
			copy[i] = octets.p[i] == '\0' ? (char)0x80 : octets.p[i];
		if (out_copy(out, (struct span){copy, n}) == -1)
			return -1;
		octets = span_from(octets, n);
	}
	return 0;
}

static int
sink_push(struct sink *k, struct span octets)
{
	size_t skip = octets.n < k->skip ? octets.n : (size_t)k->skip;

	octets = span_from(octets, skip);
	k->skip -= skip;
	if (octets.n > k->left)
		octets.n = (size_t)k->left;
	k->left -= octets.n;
	return octets.n == 0 ? 0 : print_octets(k, octets);
}

/* The reader's memory may be filled anew after this: what points at it goes out. */
static int
push_plain(void *arg, struct span octets)
{
	struct sink *k = arg;

	if (sink_push(k, octets) == -1)
		return 2;
	if (k->f->im->box->reader.body.where != BODY_IN_WINDOW &&
	    out_flush(k->f->im->out) == -1)
		return 2;
	return k->left == 0 ? 1 : 0;
}

/* What is within the range that the client asked for: *skip and how many octets. */
static uint64_t
part_of(const struct section *s, uint64_t size, uint64_t *skip)
{
	*skip = 0;
	if (!s->partial)
		return size;
	*skip = s->from;
	if (s->from >= size)
		return 0;
	return s->count < size - s->from ? s->count : size - s->from;
}

static int
print_label(struct fetch *f, const struct section *s)
{
	const struct buf *b = &f->text;
	const char *blank = b->n > 0 && b->p[b->n - 1] == '(' ? "" : " ";

	if (buf_addf(&f->text, "%s", blank) == -1 || buf_add(&f->text, s->label) == -1)
		return -1;
	return buf_addc(&f->text, ' ');
}

static int
send_text(struct fetch *f)
{
	int rc = out_copy(f->im->out, buf_span(&f->text));

	/* the next item is not the first of the list */
	buf_reset(&f->text);
	f->begun = true;
	return rc;
}

static int
print_plain(struct fetch *f, const struct mt_record *r, const struct section *s,
            const struct ranges *g)
{
	struct sink k = {.f = f, .replace_nul = !s->binary && r->bits & MT_NUL};
	uint64_t size = g->size + (g->empty_line ? 2 : 0);
	const char *tilde = s->binary && r->bits & MT_NUL ? "~" : "";

	k.left = part_of(s, size, &k.skip);
	if (buf_addf(&f->text, "%s{%" PRIu64 "}\r\n", tilde, k.left) == -1 ||
	    send_text(f) == -1)
		return -1;
	for (size_t i = 0; i < g->n && k.left > 0; i++) {
		if (k.skip >= g->r[i].size) {
			k.skip -= g->r[i].size;
			continue;
		}
		/* what is not asked for need not be read */
		struct range rest = {g->r[i].off + k.skip, g->r[i].size - k.skip};

		k.skip = 0;
		if (walk(f, r, rest, push_plain, &k) == -1 || f->im->out->broken)
			return -1;
	}
	if (g->empty_line && k.left > 0 && sink_push(&k, SPAN("\r\n")) == -1)
		return -1;
	return k.left == 0 ? 0 : -1;
}

/* ---- decoding -------------------------------------------------------------------------------------- */

struct decoding {
	struct decode decode;
	uint64_t size;
	bool has_nul;
	struct sink *sink; /* NULL: only counted */
	int rc;
};

static void
take_decoded(struct decoding *d, struct span octets)
{
	d->size += octets.n;
	if (d->sink == NULL)
		d->has_nul |= octets.n > 0 && memchr(octets.p, '\0', octets.n) != NULL;
	else if (d->rc == 0)
		d->rc = sink_push(d->sink, octets);
}

static int
push_encoded(void *arg, struct span octets)
{
	struct decoding *d = arg;
	char out[8192];
	size_t n;

	do {
		n = decode_push(&d->decode, &octets, out, sizeof out);
		take_decoded(d, (struct span){out, n});
	} while (n == sizeof out || octets.n > 0);
	return d->rc;
}

static int
decode_all(struct fetch *f, const struct mt_record *r, const struct ranges *g,
           struct decoding *d, enum encoding encoding)
{
	char out[DECODE_HELD_MAX];
	size_t n;

	decode_init(&d->decode, encoding);
	for (size_t i = 0; i < g->n; i++)
		if (walk(f, r, g->r[i], push_encoded, d) != 0)
			return -1;
	do {
		n = decode_end(&d->decode, out, sizeof out);
		take_decoded(d, (struct span){out, n});
	} while (n == sizeof out);
	return d->rc;
}

static int
print_decoded(struct fetch *f, const struct mt_record *r, const struct section *s,
              const struct ranges *g, const struct decoding *counted,
              enum encoding encoding)
{
	struct sink k = {.f = f, .copy = true};
	struct decoding d = {.sink = &k};

	k.left = part_of(s, counted->size, &k.skip);
	if (buf_addf(&f->text, "%s{%" PRIu64 "}\r\n", counted->has_nul ? "~" : "",
	             k.left) == -1 ||
	    send_text(f) == -1)
		return -1;
	if (decode_all(f, r, g, &d, encoding) == -1)
		return -1;
	return k.left == 0 ? 0 : -1;
}

static int
print_binary(struct fetch *f, const struct mt_record *r, const struct section *s,
             const struct ranges *g, enum encoding encoding)
{
	struct decoding counted = {0};

	if (encoding == ENCODING_NONE) {
		if (s->size)
			return buf_addf(&f->text, "%" PRIu64, g->size);
		return print_plain(f, r, s, g);
	}
	if (decode_all(f, r, g, &counted, encoding) == -1)
		return -1;
	if (s->size)
		return buf_addf(&f->text, "%" PRIu64, counted.size);
	return print_decoded(f, r, s, g, &counted, encoding);
}

/* ---- one section -------------------------------------------------------------------------------------- */

static int
print(struct fetch *f, const struct mt_record *r, const struct section *s)
{
	struct ranges g = {0};
	enum encoding encoding = ENCODING_NONE;
	int rc = find(f, r, s, &g, &encoding);

	if (rc == -1)
		return -1;
	if (rc == 1 && s->binary && encoding == ENCODING_UNKNOWN) {
		f->unknown_cte = true;
		return 0;
	}
	if (print_label(f, s) == -1)
		return -1;
	if (rc == 0)
		return buf_addf(&f->text, s->size ? "0" : "NIL");
	return s->binary ? print_binary(f, r, s, &g, encoding)
	                 : print_plain(f, r, s, &g);
}

int
fetch_section(struct fetch *f, const struct mt_record *r, const struct section *s)
{
	int rc = print(f, r, s);

	arena_reset(&f->ranges);
	if (rc != -1 || f->im->out->broken)
		return rc;
	if (!f->begun)
		return 1;
	/* what has been announced is all that may follow */
	log_error("%s: %s: UID %" PRIu32 " ended early: connection dropped",
	          f->im->conf->name, f->im->box->path, r->uid);
	f->im->out->broken = true;
	return -1;
}
