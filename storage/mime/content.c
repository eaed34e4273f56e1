#include "storage/mime/content.h"

static int
content_type(struct part *p, struct arena *a, struct span v)
{
	return p->content.type.p != NULL ? 0 : param_content_type(v, a, &p->content);
}

static int
encoding(struct part *p, struct arena *a, struct span v)
{
	return p->encoding.p != NULL ? 0 : param_encoding(v, a, &p->encoding);
}

static int
disposition(struct part *p, struct arena *a, struct span v)
{
	return p->disposition_params != NULL
	           ? 0
	           : param_disposition(v, a, &p->disposition, &p->disposition_params);
}

static int
language(struct part *p, struct arena *a, struct span v)
{
	return p->languages != NULL ? 0 : param_languages(v, a, &p->languages);
}

static int
unfolded(struct arena *a, struct span v, struct span *to)
{
	char *p;

	if (to->p != NULL)
		return 0;
	if ((p = arena_alloc(a, v.n > 0 ? v.n : 1)) == NULL)
		return -1;
	*to = (struct span){p, header_unfold(v, p)};
	return 0;
}

static int
id(struct part *p, struct arena *a, struct span v)
{
	return unfolded(a, v, &p->id);
}

static int
description(struct part *p, struct arena *a, struct span v)
{
	return unfolded(a, v, &p->description);
}

static int
md5(struct part *p, struct arena *a, struct span v)
{
	return unfolded(a, v, &p->md5);
}

static int
location(struct part *p, struct arena *a, struct span v)
{
	return unfolded(a, v, &p->location);
}

/* The first of each counts. */
static const struct row {
	const char *name; /* after `Content-` */
	int (*take)(struct part *, struct arena *, struct span value);
} rows[] = {
    {"Type", content_type},       {"Transfer-Encoding", encoding},
    {"Disposition", disposition}, {"ID", id},
    {"Description", description}, {"MD5", md5},
    {"Language", language},       {"Location", location},
};

int
content_field(struct part *p, struct arena *arena, const struct field *f)
{
	struct span prefix = SPAN("Content-"), name = span_from(f->name, prefix.n);

	if (name.n == 0 || !span_caseeq((struct span){f->name.p, prefix.n}, prefix))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_caseeq(name, span_of(rows[i].name)))
			return rows[i].take(p, arena, f->value);
	return 0;
}

void
content_forget(struct part *p)
{
	*p = (struct part){
	    .parent = p->parent,
	    .next = p->next,
	    .header_off = p->header_off,
	    .header_size = p->header_size,
	    .header_lines = p->header_lines,
	    .envelope = p->envelope,
	};
}

static bool
in_digest(const struct part *p)
{
	return p->parent != NULL && p->parent->kind == PART_MULTIPART &&
	       span_caseeq(p->parent->content.subtype, SPAN("digest"));
}

void
content_default(struct part *p)
{
	static const struct content_type text = {.type = {"text", 4},
	                                         .subtype = {"plain", 5}};
	static const struct content_type message = {.type = {"message", 7},
	                                            .subtype = {"rfc822", 6}};

	if (p->content.type.n == 0 || p->content.subtype.n == 0)
		p->content = p->content.type.p == NULL && in_digest(p) ? message : text;
}
