#include "storage/mime/param.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "storage/mime/lex.h"

/* A parameter as written, and what RFC 2231 sees in its name. */
struct raw {
	struct span name, value; /* in the arena */
	struct span key;         /* the name up to `*` */
	unsigned section;        /* `*1` */
	bool extended;           /* `*` at the end: charset and percent signs */
};

struct parse {
	struct lex lex;
	struct buf text;
	struct arena *arena;
	struct param **end; /* where the next parameter is hung on */
	struct raw *raw;    /* those of RFC 2231 */
	size_t nraw, cap;
	bool full;
};

static struct parse
begin(struct span value, struct arena *arena)
{
	return (struct parse){.lex = {.p = value.p, .end = span_from(value, value.n).p},
	                      .arena = arena};
}

static int
finish(struct parse *p)
{
	int e = p->lex.nomem ? ENOMEM : p->full ? errno : 0;

	buf_free(&p->text);
	free(p->raw);
	if (e == 0)
		return 0;
	errno = e;
	return -1;
}

static struct span
keep(struct parse *p)
{
	struct span s = arena_copy(p->arena, buf_span(&p->text));

	if (s.p == NULL)
		p->full = true;
	return s;
}

static void
add(struct parse *p, struct span name, struct span value)
{
	struct param *q = p->full ? NULL : arena_alloc(p->arena, sizeof *q);

	if (q == NULL) {
		p->full = true;
		return;
	}
	*q = (struct param){.name = name, .value = value};
	*p->end = q;
	p->end = &q->next;
}

/* ---- RFC 2231 ------------------------------------------------------------------------ */

/* `key*`, `key*0`, `key*0*`: false when the name is nothing of the kind. */
static bool
divide(struct raw *r)
{
	const char *star = r->name.n > 0 ? memchr(r->name.p, '*', r->name.n) : NULL;
	struct span rest;

	if (star == NULL)
		return false;
	r->key = (struct span){r->name.p, (size_t)(star - r->name.p)};
	rest = span_from(r->name, r->key.n + 1);
	if (rest.n == 0) {
		r->extended = true;
		return true;
	}
	for (; rest.n > 0 && rest.p[0] >= '0' && rest.p[0] <= '9';
	     rest = span_from(rest, 1))
		r->section = r->section > PARAM_MAX
		                 ? r->section
		                 : r->section * 10 + (unsigned)(rest.p[0] - '0');
	r->extended = rest.n > 0 && rest.p[0] == '*';
	return rest.n == (r->extended ? 1 : 0);
}

static int
remember(struct parse *p, const struct raw *r)
{
	if (p->nraw == p->cap) {
		size_t cap = p->cap == 0 ? 8 : 2 * p->cap;
		struct raw *more = realloc(p->raw, cap * sizeof *more);

		if (more == NULL) {
			p->lex.nomem = true;
			return -1;
		}
		p->raw = more;
		p->cap = cap;
	}
	p->raw[p->nraw++] = *r;
	return 0;
}

static int
by_key_and_section(const void *va, const void *vb)
{
	const struct raw *a = va, *b = vb;
	size_t n = a->key.n < b->key.n ? a->key.n : b->key.n;
	int c = n > 0 ? memcmp(a->key.p, b->key.p, n) : 0;

	if (c == 0 && a->key.n != b->key.n)
		c = a->key.n < b->key.n ? -1 : 1;
	if (c == 0 && a->section != b->section)
		c = a->section < b->section ? -1 : 1;
	if (c ==
	    0) /* in the order of the field: names were copied one after the other */
		c = (uintptr_t)a->value.p < (uintptr_t)b->value.p ? -1 : 1;
	return c;
}

/* A plain piece among encoded ones. */
static void
add_escaped(struct parse *p, struct span s)
{
	struct span piece;

	while (s.n > 0) {
		const char *percent = memchr(s.p, '%', s.n);
		size_t n = percent != NULL ? (size_t)(percent - s.p) : s.n;

		piece = (struct span){s.p, n};
		lex_add(&p->lex, &p->text, piece);
		if (percent != NULL)
			lex_add(&p->lex, &p->text, SPAN("%25"));
		s = span_from(s, percent != NULL ? n + 1 : n);
	}
}

static void
join(struct parse *p, const struct raw *r, size_t n, bool extended)
{
	struct span name = r->key, value;

	if (extended) {
		buf_reset(&p->text);
		lex_add(&p->lex, &p->text, r->key);
		lex_add(&p->lex, &p->text, SPAN("*"));
		name = keep(p);
	}
	buf_reset(&p->text);
	if (extended && !r->extended)
		lex_add(&p->lex, &p->text, SPAN("''"));
	for (size_t i = 0; i < n; i++)
		if (extended && !r[i].extended)
			add_escaped(p, r[i].value);
		else
			lex_add(&p->lex, &p->text, r[i].value);
	value = n == 1 && r->extended == extended ? r->value : keep(p);
	add(p, name, value);
}

/* Join what belongs together, unless a section is missing: then they stay as they came. */
static void
join_all(struct parse *p)
{
	size_t i, j;

	if (p->nraw > 0)
		qsort(p->raw, p->nraw, sizeof *p->raw, by_key_and_section);
	for (i = 0; i < p->nraw; i = j) {
		bool whole = true, extended = false;

		for (j = i; j < p->nraw && span_caseeq(p->raw[i].key, p->raw[j].key);
		     j++) {
			whole = whole && p->raw[j].section == j - i;
			extended = extended || p->raw[j].extended;
		}
		if (whole)
			join(p, p->raw + i, j - i, extended);
		else
			for (size_t k = i; k < j; k++)
				add(p, p->raw[k].name, p->raw[k].value);
	}
}

/* ---- parameters ------------------------------------------------------------------------ */

/* `name=?utf-8?q?...?=`, an encoded-word where none may be: up to a blank or `;`. */
static void
stray_word(struct parse *p)
{
	const char *from = p->lex.p;

	while (p->lex.p < p->lex.end && strchr("; \t\r\n", *p->lex.p) == NULL)
		p->lex.p++;
	lex_add(&p->lex, &p->text, (struct span){from, (size_t)(p->lex.p - from)});
}

/* After the `=`, to p->text. False: it did not end. */
static bool
param_value(struct parse *p)
{
	enum lex_ret r = lex_blanks(&p->lex);

	buf_reset(&p->text);
	if (r != LEX_MORE)
		return r == LEX_END;
	if (*p->lex.p == '"')
		return lex_quoted(&p->lex, &p->text) != LEX_BAD;
	if (*p->lex.p == '=') {
		stray_word(p);
		return true;
	}
	return lex_token(&p->lex, &p->text) != LEX_BAD;
}

/* `;name=value`. False: it is broken, and the position somewhere in it. */
static bool
one(struct parse *p)
{
	struct raw r = {0};

	if (*p->lex.p != ';')
		return false;
	p->lex.p++;
	buf_reset(&p->text);
	if (lex_blanks(&p->lex) != LEX_MORE ||
	    lex_token(&p->lex, &p->text) != LEX_MORE || *p->lex.p != '=')
		return false;
	p->lex.p++;
	r.name = keep(p);
	if (!param_value(p))
		return false;
	r.value = keep(p);
	if (divide(&r))
		return remember(p, &r) == 0;
	add(p, r.name, r.value);
	return true;
}

static void
params(struct parse *p, struct param **list)
{
	p->end = list;
	for (unsigned n = 0; p->lex.p < p->lex.end && n < PARAM_MAX; n++)
		while (p->lex.p < p->lex.end && !one(p) && p->lex.p < p->lex.end)
			p->lex.p++;
	join_all(p);
}

struct span
param_find(const struct param *q, struct span name)
{
	for (; q != NULL; q = q->next)
		if (span_caseeq(q->name, name))
			return q->value;
	return (struct span){0};
}

/* ---- the fields -------------------------------------------------------------------------- */

/* `type/subtype`; false: it is broken, and nothing after it counts. */
static bool
types(struct parse *p, struct content_type *c)
{
	enum lex_ret r;

	if (lex_blanks(&p->lex) != LEX_MORE)
		return false;
	r = lex_token(&p->lex, &p->text);
	c->type = keep(p);
	if (r != LEX_MORE || *p->lex.p != '/')
		return false;
	p->lex.p++;
	if (lex_blanks(&p->lex) != LEX_MORE)
		return false;
	buf_reset(&p->text);
	r = lex_token(&p->lex, &p->text);
	c->subtype = keep(p);
	return r != LEX_BAD;
}

int
param_content_type(struct span value, struct arena *arena, struct content_type *c)
{
	struct parse p = begin(value, arena);
	bool more;

	*c = (struct content_type){.type = SPAN(""), .subtype = SPAN("")};
	more = types(&p, c);
	if (more)
		params(&p, &c->params);
	return finish(&p);
}

int
param_disposition(struct span value, struct arena *arena, struct span *disposition,
                  struct param **list)
{
	struct parse p = begin(value, arena);

	(void)lex_blanks(&p.lex);
	if (lex_token(&p.lex, &p.text) != LEX_BAD) {
		*disposition = keep(&p);
		params(&p, list);
	}
	return finish(&p);
}

int
param_encoding(struct span value, struct arena *arena, struct span *encoding)
{
	struct parse p = begin(value, arena);

	(void)lex_blanks(&p.lex);
	if (lex_token(&p.lex, &p.text) == LEX_END && p.text.n > 0)
		*encoding = keep(&p);
	return finish(&p);
}

int
param_languages(struct span value, struct arena *arena, struct param **list)
{
	struct parse p = begin(value, arena);

	p.end = list;
	(void)lex_blanks(&p.lex);
	for (unsigned n = 0; n < PARAM_MAX; n++) {
		buf_reset(&p.text);
		if (lex_atom(&p.lex, &p.text) == LEX_BAD)
			break;
		add(&p, keep(&p), (struct span){0});
		if (!lex_at(&p.lex, ','))
			break;
		p.lex.p++;
		(void)lex_blanks(&p.lex);
	}
	return finish(&p);
}
