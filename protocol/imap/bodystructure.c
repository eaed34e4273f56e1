#include "protocol/imap/bodystructure.h"

#include <inttypes.h>

#include "protocol/imap/envelope.h"
#include "protocol/imap/print.h"

struct printer {
	struct buf *b;
	bool extensible;
	bool failed;
};

static void
put(struct printer *p, struct span s)
{
	if (!p->failed && buf_add(p->b, s) == -1)
		p->failed = true;
}

static void
put_number(struct printer *p, uint64_t n)
{
	if (!p->failed && buf_addf(p->b, " %" PRIu64, n) == -1)
		p->failed = true;
}

/* After a space; `instead` when it is not given. */
static void
put_nstring(struct printer *p, struct span s, struct span instead)
{
	put(p, SPAN(" "));
	if (!p->failed && imap_print_nstring(p->b, s.p != NULL ? s : instead) == -1)
		p->failed = true;
}

static const struct span nil = {0};

/* ---- the pieces of a part ---------------------------------------------------------------- */

static bool
is_text(const struct part *part)
{
	return part->kind == PART_LEAF && span_caseeq(part->content.type, SPAN("text"));
}

/* Of text, the charset that the lack of one means (RFC 2045 section 5.2) is said. */
static void
put_params(struct printer *p, const struct param *q, bool text)
{
	bool charset = text && param_find(q, SPAN("charset")).p == NULL;

	if (q == NULL && !charset) {
		put(p, SPAN(" NIL"));
		return;
	}
	put(p, SPAN(" ("));
	for (; q != NULL; q = q->next) {
		if (!p->failed && imap_print_string(p->b, q->name) == -1)
			p->failed = true;
		put_nstring(p, q->value, SPAN(""));
		if (q->next != NULL || charset)
			put(p, SPAN(" "));
	}
	put(p, charset ? SPAN("\"charset\" \"us-ascii\")") : SPAN(")"));
}

static void
put_disposition(struct printer *p, const struct part *part)
{
	if (part->disposition.p == NULL) {
		put(p, SPAN(" NIL"));
		return;
	}
	put(p, SPAN(" ("));
	if (!p->failed && imap_print_string(p->b, part->disposition) == -1)
		p->failed = true;
	put_params(p, part->disposition_params, false);
	put(p, SPAN(")"));
}

static void
put_languages(struct printer *p, const struct param *q)
{
	if (q == NULL) {
		put(p, SPAN(" NIL"));
		return;
	}
	put(p, SPAN(" ("));
	for (; q != NULL; q = q->next) {
		if (!p->failed && imap_print_string(p->b, q->name) == -1)
			p->failed = true;
		if (q->next != NULL)
			put(p, SPAN(" "));
	}
	put(p, SPAN(")"));
}

/* What all parts end with. */
static void
put_extension(struct printer *p, const struct part *part)
{
	put_disposition(p, part);
	put_languages(p, part->languages);
	put_nstring(p, part->location, nil);
}

static void
put_type(struct printer *p, struct span type, struct span subtype)
{
	if (!p->failed && imap_print_string(p->b, type) == -1)
		p->failed = true;
	put_nstring(p, subtype, SPAN(""));
}

static void
put_size(struct printer *p, const struct part *part)
{
	put_nstring(p, part->id, nil);
	put_nstring(p, part->description, nil);
	put_nstring(p, part->encoding, SPAN("7bit"));
	put_number(p, part->body_size);
}

/* ---- the kinds of parts: what is before the children, and what after them --------------------- */

static void
begin_multipart(struct printer *p, const struct part *part)
{
	/* the grammar wants one part at least */
	if (part->child == NULL)
		put(p, SPAN("(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL "
		            "\"7bit\" 0 0"));
	if (part->child == NULL && p->extensible)
		put(p, SPAN(" NIL NIL NIL NIL"));
	if (part->child == NULL)
		put(p, SPAN(")"));
}

static void
end_multipart(struct printer *p, const struct part *part)
{
	put_nstring(p, part->content.subtype, SPAN(""));
	if (!p->extensible)
		return;
	put_params(p, part->content.params, false);
	put_extension(p, part);
}

static void
begin_message(struct printer *p, const struct part *part)
{
	put_type(p, part->content.type, part->content.subtype);
	put_params(p, part->content.params, false);
	put_size(p, part);
	put(p, SPAN(" "));
	if (!p->failed && envelope_print(part->child->envelope, p->b) == -1)
		p->failed = true;
	put(p, SPAN(" "));
}

static void
begin_leaf(struct printer *p, const struct part *part)
{
	if (part->kind == PART_OPAQUE) {
		put_type(p, SPAN("application"), SPAN("octet-stream"));
		put(p, SPAN(" NIL"));
	} else {
		put_type(p, part->content.type, part->content.subtype);
		put_params(p, part->content.params, is_text(part));
	}
	put_size(p, part);
}

static void
end_single(struct printer *p, const struct part *part)
{
	if (is_text(part) || part->kind == PART_MESSAGE)
		put_number(p, part->body_lines);
	if (!p->extensible)
		return;
	put_nstring(p, part->md5, nil);
	put_extension(p, part);
}

static void
begin_part(struct printer *p, const struct part *part)
{
	put(p, SPAN("("));
	switch (part->kind) {
	case PART_MULTIPART:
		begin_multipart(p, part);
		break;
	case PART_MESSAGE:
		begin_message(p, part);
		break;
	case PART_LEAF:
	case PART_OPAQUE:
		begin_leaf(p, part);
		break;
	}
}

static void
end_part(struct printer *p, const struct part *part)
{
	if (part->kind == PART_MULTIPART)
		end_multipart(p, part);
	else
		end_single(p, part);
	put(p, SPAN(")"));
}

int
bodystructure_print(const struct part *root, bool extensible, struct buf *b)
{
	struct printer p = {.b = b, .extensible = extensible};
	const struct part *part = root;
	size_t was = b->n;

	for (;;) {
		begin_part(&p, part);
		if (part->child != NULL) {
			part = part->child;
			continue;
		}
		end_part(&p, part);
		while (part != root && part->next == NULL) {
			part = part->parent;
			end_part(&p, part);
		}
		if (part == root)
			break;
		part = part->next;
	}
	if (!p.failed)
		return 0;
	b->n = was;
	return -1;
}
