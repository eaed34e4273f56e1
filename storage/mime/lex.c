#include "storage/mime/lex.h"

void
lex_add(struct lex *l, struct buf *b, struct span s)
{
	if (buf_add(b, s) == -1)
		l->nomem = true;
}

static void
add_from(struct lex *l, struct buf *b, const char *from)
{
	lex_add(l, b, (struct span){from, (size_t)(l->p - from)});
}

static enum lex_ret
more(const struct lex *l)
{
	return l->p < l->end ? LEX_MORE : LEX_END;
}

/* Of ASCII: what an atom may hold (RFC 5322 section 3.2.3), and what besides of it a token
 * may not (RFC 2045 section 5.1). */
static const bool atext[128] = {
    ['!'] = 1, ['#' ... '\''] = 1, ['*'] = 1, ['+'] = 1,         ['-'] = 1,
    ['/'] = 1, ['0' ... '9'] = 1,  ['='] = 1, ['?'] = 1,         ['A' ... 'Z'] = 1,
    ['^'] = 1, ['_'] = 1,          ['`'] = 1, ['a' ... 'z'] = 1, ['{' ... '~'] = 1,
};

bool
lex_atext(char c)
{
	return (unsigned char)c >= 0x80 || atext[(unsigned char)c];
}

static bool
token_char(char c)
{
	return c == '.' || (lex_atext(c) && c != '/' && c != '?' && c != '=');
}

/* At a `(`. Comments nest, which a count is enough for. */
static enum lex_ret
comment(struct lex *l)
{
	struct buf none = {0}, *b = l->comment != NULL ? l->comment : &none;
	const char *from = ++l->p;
	unsigned level = 1;

	buf_reset(b);
	for (; l->p < l->end; l->p++) {
		if (*l->p == '(')
			level++;
		if (*l->p == ')' && --level == 0) {
			if (b != &none)
				add_from(l, b, from);
			l->p++;
			return more(l);
		}
		if (*l->p == '\\') {
			if (b != &none)
				add_from(l, b, from);
			from = ++l->p;
			if (l->p == l->end)
				break;
		}
	}
	return LEX_BAD;
}

enum lex_ret
lex_blanks(struct lex *l)
{
	while (l->p < l->end) {
		if (*l->p == '(') {
			if (comment(l) == LEX_BAD)
				return LEX_BAD;
		} else if (*l->p == ' ' || *l->p == '\t' || *l->p == '\r' ||
		           *l->p == '\n')
			l->p++;
		else
			break;
	}
	return more(l);
}

/* A run of octets of one kind, perhaps none, and the blanks after it. */
static enum lex_ret
run(struct lex *l, struct buf *b, bool (*of)(char))
{
	const char *from = l->p;

	while (l->p < l->end && of(*l->p))
		l->p++;
	add_from(l, b, from);
	return lex_blanks(l);
}

enum lex_ret
lex_atom(struct lex *l, struct buf *b)
{
	if (l->p == l->end || !lex_atext(*l->p))
		return LEX_BAD;
	return run(l, b, lex_atext);
}

enum lex_ret
lex_dot_atom(struct lex *l, struct buf *b)
{
	enum lex_ret r;

	if (l->p == l->end || !lex_atext(*l->p))
		return LEX_BAD;
	while ((r = run(l, b, lex_atext)) == LEX_MORE && *l->p == '.') {
		lex_add(l, b, SPAN("."));
		l->p++;
		if (lex_blanks(l) != LEX_MORE || !lex_atext(*l->p))
			return LEX_BAD;
	}
	return r;
}

enum lex_ret
lex_token(struct lex *l, struct buf *b)
{
	return run(l, b, token_char);
}

/* What was read since `from`, without the CR of a fold that ends here. */
static void
add_fold(struct lex *l, struct buf *b, const char *from)
{
	size_t n = (size_t)(l->p - from);

	if (n > 0 && from[n - 1] == '\r')
		n--;
	lex_add(l, b, (struct span){from, n});
}

enum lex_ret
lex_quoted(struct lex *l, struct buf *b)
{
	const char *from = ++l->p;

	for (; l->p < l->end; l->p++) {
		if (*l->p == '"') {
			add_from(l, b, from);
			l->p++;
			return lex_blanks(l);
		}
		if (*l->p == '\n') {
			add_fold(l, b, from);
			from = l->p + 1;
		} else if (*l->p == '\\') {
			add_from(l, b, from);
			from = ++l->p;
			if (l->p == l->end)
				break;
		}
	}
	return LEX_BAD;
}

static bool
atext_or_dot(char c)
{
	return c == '.' || lex_atext(c);
}

enum lex_ret
lex_phrase(struct lex *l, struct buf *b)
{
	enum lex_ret r;

	if (l->p == l->end)
		return LEX_END;
	if (*l->p == '.')
		return LEX_BAD;
	for (;;) {
		r = *l->p == '"' ? lex_quoted(l, b) : run(l, b, atext_or_dot);
		if (r != LEX_MORE)
			return r;
		if (*l->p != '"' && !atext_or_dot(*l->p))
			return lex_blanks(l);
		lex_add(l, b, SPAN(" "));
	}
}

static enum lex_ret
domain_literal(struct lex *l, struct buf *b)
{
	const char *from = l->p;

	for (; l->p < l->end; l->p++) {
		if (*l->p == '\\') {
			if (++l->p == l->end)
				break;
		} else if (*l->p == ']') {
			l->p++;
			add_from(l, b, from);
			return lex_blanks(l);
		}
	}
	return LEX_BAD;
}

enum lex_ret
lex_domain(struct lex *l, struct buf *b)
{
	l->p++;
	if (lex_blanks(l) != LEX_MORE)
		return LEX_BAD;
	return *l->p == '[' ? domain_literal(l, b) : lex_dot_atom(l, b);
}
