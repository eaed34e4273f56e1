#include "storage/mime/address.h"

#include <errno.h>

#include "storage/mime/lex.h"

struct parse {
	struct lex lex;
	struct buf text, comment;
	struct arena *arena;
	struct address_list *list;
	struct address a; /* the one under way */
	bool full;        /* the arena gave nothing */
};

/* What was read last, as a string of the address under way. */
static void
keep(struct parse *p, struct span *to, struct span s)
{
	*to = arena_copy(p->arena, s);
	if (to->p == NULL)
		p->full = true;
}

static void
keep_text(struct parse *p, struct span *to)
{
	keep(p, to, buf_span(&p->text));
}

/* The address under way is complete. */
static void
add(struct parse *p)
{
	struct address *a = p->full ? NULL : arena_alloc(p->arena, sizeof *a);

	if (a == NULL) {
		p->full = true;
		return;
	}
	*a = p->a;
	p->a = (struct address){0};
	if (p->list->last == NULL)
		p->list->first = a;
	else
		p->list->last->next = a;
	p->list->last = a;
}

/* So that it is none of the two ends of a group. */
static void
add_mended(struct parse *p)
{
	if (p->a.mailbox.p == NULL)
		p->a.mailbox = SPAN("MISSING_MAILBOX");
	if (p->a.host.n == 0)
		p->a.host = SPAN("MISSING_DOMAIN");
	add(p);
}

/*
 * Atoms and dots, also dots at either end and many at once: there are such addresses. No
 * blank may follow a dot, since then it is rather a name: `J. Doe`.
 */
static enum lex_ret
dotted(struct parse *p)
{
	enum lex_ret r = LEX_BAD;

	do {
		for (; lex_at(&p->lex, '.'); p->lex.p++) {
			lex_add(&p->lex, &p->text, SPAN("."));
			r = LEX_MORE;
		}
		if (p->lex.p == p->lex.end)
			return r == LEX_BAD ? LEX_BAD : LEX_END;
		if (*p->lex.p == '@')
			return r;
		r = lex_atom(&p->lex, &p->text);
	} while (r == LEX_MORE && *p->lex.p == '.');
	return r;
}

static enum lex_ret
local_part(struct parse *p)
{
	enum lex_ret r;

	buf_reset(&p->text);
	r = lex_at(&p->lex, '"') ? lex_quoted(&p->lex, &p->text) : dotted(p);
	if (r != LEX_BAD)
		keep_text(p, &p->a.mailbox);
	return r;
}

static enum lex_ret
domain(struct parse *p)
{
	enum lex_ret r;

	buf_reset(&p->text);
	r = lex_domain(&p->lex, &p->text);
	if (r != LEX_BAD)
		keep_text(p, &p->a.host);
	return r;
}

/* `@a,@b:` of an angle-addr, RFC 5322's obs-route. */
static bool
route(struct parse *p)
{
	buf_reset(&p->text);
	while (lex_at(&p->lex, '@')) {
		lex_add(&p->lex, &p->text, p->text.n > 0 ? SPAN(",@") : SPAN("@"));
		if (lex_domain(&p->lex, &p->text) != LEX_MORE)
			return false;
		while (lex_blanks(&p->lex) == LEX_MORE && *p->lex.p == ',')
			p->lex.p++;
	}
	if (p->lex.p == p->lex.end)
		return false;
	keep_text(p, &p->a.adl);
	if (*p->lex.p != ':')
		return false;
	p->lex.p++;
	return true;
}

/* At its `<`. False: it is broken. */
static bool
angle_addr(struct parse *p)
{
	p->lex.p++;
	if (lex_blanks(&p->lex) != LEX_MORE)
		return false;
	if (*p->lex.p == '@') {
		if (!route(p))
			p->a.adl = SPAN("INVALID_ROUTE");
		if (p->lex.p == p->lex.end || lex_blanks(&p->lex) != LEX_MORE)
			return false;
	}
	if (*p->lex.p != '>') {
		if (local_part(p) != LEX_MORE)
			return false;
		if (*p->lex.p == '@' && domain(p) != LEX_MORE)
			return false;
	}
	if (*p->lex.p != '>')
		return false;
	p->lex.p++;
	return lex_blanks(&p->lex) != LEX_BAD;
}

/* `phrase <addr>`; BAD: it is something else. */
static enum lex_ret
name_addr(struct parse *p)
{
	buf_reset(&p->text);
	if (lex_phrase(&p->lex, &p->text) != LEX_MORE || *p->lex.p != '<')
		return LEX_BAD;
	if (p->text.n > 0)
		keep_text(p, &p->a.name);
	if (!angle_addr(p))
		p->a.host = SPAN("SYNTAX_ERROR");
	return p->lex.p < p->lex.end ? LEX_MORE : LEX_END;
}

/*
 * A local part with neither domain nor comment is in p->text. One word alone is a mailbox,
 * unless it was quoted; several are somebody's name.
 */
static void
words_alone(struct parse *p, bool quoted)
{
	size_t n;

	lex_add(&p->lex, &p->text, SPAN(" "));
	n = p->text.n;
	if (lex_blanks(&p->lex) == LEX_MORE)
		(void)lex_phrase(&p->lex, &p->text);
	if (p->text.n != n) {
		p->a.mailbox = (struct span){0};
		keep_text(p, &p->a.name);
	} else if (quoted && p->a.host.p == NULL) {
		p->a.name = p->a.mailbox;
		p->a.mailbox = (struct span){0};
	}
}

/* `local@domain (name)` */
static enum lex_ret
addr_spec(struct parse *p)
{
	bool quoted = lex_at(&p->lex, '"'), alone = true;
	enum lex_ret r;

	buf_reset(&p->comment);
	r = local_part(p);
	if (r != LEX_END && lex_at(&p->lex, '@')) {
		enum lex_ret d = domain(p);

		alone = false;
		if (d != LEX_MORE)
			r = d;
	}
	if (p->comment.n > 0)
		keep(p, &p->a.name, buf_span(&p->comment));
	else if (alone) {
		words_alone(p, quoted);
		r = LEX_BAD;
	}
	return r;
}

static enum lex_ret
mailbox(struct parse *p)
{
	const char *start = p->lex.p;
	enum lex_ret r = name_addr(p);

	if (r == LEX_BAD) {
		p->lex.p = start;
		r = addr_spec(p);
	}
	add_mended(p);
	return r;
}

/* What is between `:` and `;`. False: the list does not go on to a `;`. */
static bool
members(struct parse *p)
{
	if (*p->lex.p == ';')
		return true;
	for (;;) {
		(void)mailbox(p);
		if (!lex_at(&p->lex, ','))
			return lex_at(&p->lex, ';');
		p->lex.p++;
		if (lex_blanks(&p->lex) != LEX_MORE)
			return false;
	}
}

/* `phrase: a, b;` BAD: it is something else. */
static enum lex_ret
group(struct parse *p)
{
	enum lex_ret r;

	buf_reset(&p->text);
	if (lex_phrase(&p->lex, &p->text) != LEX_MORE || *p->lex.p != ':')
		return LEX_BAD;
	p->lex.p++;
	r = lex_blanks(&p->lex);
	keep_text(p, &p->a.mailbox);
	add(p);
	if (r == LEX_MORE && members(p)) {
		p->lex.p++;
		r = lex_blanks(&p->lex);
	} else if (r == LEX_MORE)
		r = LEX_BAD;
	p->a = (struct address){0};
	add(p);
	return r == LEX_END ? LEX_END : LEX_MORE;
}

static void
addresses(struct parse *p)
{
	enum lex_ret r = lex_blanks(&p->lex);

	while (r == LEX_MORE && !p->full && !p->lex.nomem) {
		const char *start = p->lex.p;

		if ((r = group(p)) == LEX_BAD) {
			p->lex.p = start;
			r = mailbox(p);
		}
		if (r == LEX_END || !lex_at(&p->lex, ','))
			break;
		p->lex.p++;
		if ((r = lex_blanks(&p->lex)) == LEX_BAD)
			add_mended(p); /* ends with a comment that does not end */
	}
}

int
address_parse(struct span value, struct arena *arena, struct address_list *list)
{
	struct parse p = {.lex = {.p = value.p, .end = value.p + value.n},
	                  .arena = arena,
	                  .list = list};
	int e;

	if (value.n == 0)
		return 0;
	p.lex.comment = &p.comment;
	addresses(&p);
	e = p.lex.nomem ? ENOMEM : p.full ? errno : 0;
	buf_free(&p.text);
	buf_free(&p.comment);
	if (e == 0)
		return 0;
	errno = e;
	return -1;
}
