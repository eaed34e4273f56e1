#include "protocol/server/confscan.h"

#include <errno.h>

static bool
blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool
name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '/' ||
	       c == ':' || c == '!' || c == '@' || c == '*';
}

/* ---- lines ------------------------------------------------------------------------ */

/* The octet after the quote that closes the one at `at`; 0 when none does. */
static size_t
quote_end(struct span s, size_t at)
{
	char quote = s.p[at];

	for (size_t i = at + 1; i < s.n; i++)
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == quote)
			return i + 1;
	return 0;
}

/*
 * What is left of a physical line without its comment. As Dovecot does, a `#` begins
 * a comment wherever it stands outside quotes; one without a blank before it may have
 * been meant otherwise, so the reader is told. An apostrophe that nothing closes quotes
 * nothing; behind a `"` that nothing closes there is no telling.
 */
static struct span
without_comment(struct span s, bool *doubtful)
{
	for (size_t i = 0, end; i < s.n; i++)
		if (s.p[i] == '"' || s.p[i] == '\'') {
			if ((end = quote_end(s, i)) != 0)
				i = end - 1;
			else if (s.p[i] == '"')
				break;
		} else if (s.p[i] == '#') {
			*doubtful = *doubtful || (i > 0 && !blank(s.p[i - 1]));
			return (struct span){s.p, i};
		}
	return s;
}

/* Append one physical line; *more: it continues in the next one. NULL or the reason. */
static const char *
add_line(struct confscan *c, struct span line, bool *more)
{
	const char *begin = line.p;
	struct span s;

	*more = false;
	if (memchr(line.n > 0 ? line.p : "", '\0', line.n) != NULL)
		return "a NUL octet: this is not a text file";
	s = span_trim(without_comment(line, &c->doubtful));
	if (s.n > 0 && s.p[s.n - 1] == '\\') {
		*more = true;
		s.n--;
		s = span_trim(s);
	}
	if (c->ncut == CONFSCAN_CUTS_MAX)
		return "too many lines continue one another with \\";
	c->cut[c->ncut++] = (struct confscan_cut){
	    c->text.n, c->line, s.n > 0 ? (unsigned)(s.p - begin) + 1 : 1};
	if (buf_add(&c->text, s) == -1 || (*more && buf_addc(&c->text, ' ') == -1))
		return errno == EMSGSIZE ? "the line is longer than 65536 octets"
		                         : "out of memory";
	return NULL;
}

/* The next logical line that is not empty. False at the end. */
static bool
next_line(struct confscan *c, const char **why)
{
	struct span line;
	bool more = false;

	*why = NULL;
	buf_reset(&c->text);
	c->text.max = CONFSCAN_LINE_MAX;
	c->at = 0;
	c->ncut = 0;
	c->doubtful = false;
	while (span_cut(&c->rest, '\n', &line)) {
		const char *bad;

		c->line++;
		if ((bad = add_line(c, line, &more)) != NULL && *why == NULL)
			*why = bad;
		if (more)
			continue;
		if (*why != NULL || span_trim(buf_span(&c->text)).n > 0)
			return true;
		buf_reset(&c->text);
		c->ncut = 0;
	}
	return *why != NULL || span_trim(buf_span(&c->text)).n > 0;
}

static void
place(const struct confscan *c, size_t at, struct confscan_item *it)
{
	size_t i = c->ncut;

	while (i > 1 && c->cut[i - 1].at > at)
		i--;
	it->line = i > 0 ? c->cut[i - 1].line : c->line;
	it->col = i > 0 ? c->cut[i - 1].col + (unsigned)(at - c->cut[i - 1].at) : 1;
}

/* ---- items of a line -------------------------------------------------------------- */

static void
skip_blanks(struct confscan *c)
{
	while (c->at < c->text.n && blank(c->text.p[c->at]))
		c->at++;
}

static enum confscan_ev
bad(struct confscan *c, struct confscan_item *it, const char *why)
{
	it->why = why;
	c->at = c->text.n; /* the rest of the line would only confuse */
	return CONFSCAN_BAD;
}

/* Text between quotes, `\x` being x, into c->value. */
static struct span
unescape(struct confscan *c, struct span s)
{
	buf_reset(&c->value);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		if (buf_addc(&c->value, s.p[i]) == -1)
			return (struct span){NULL, 0};
	}
	return buf_span(&c->value);
}

/* Does `name =` begin at `at`? The blank before the `=` tells it from `a=b`. */
static bool
setting_at(struct span s, size_t at)
{
	size_t i = at;

	while (i < s.n && name_char(s.p[i]))
		i++;
	if (i == at || i >= s.n || !blank(s.p[i]))
		return false;
	while (i < s.n && blank(s.p[i]))
		i++;
	return i < s.n && s.p[i] == '=' && (i + 1 == s.n || blank(s.p[i + 1]));
}

/* Does `name {` or `name argument {` begin at `at`? */
static bool
block_at(struct span s, size_t at)
{
	struct span rest = span_from(s, at), w;
	size_t n = 0;

	while (n < 3 && span_word(&rest, &w) && !span_eq(w, SPAN("}"))) {
		if (n > 0 && span_eq(w, SPAN("{")))
			return true;
		n++;
	}
	return false;
}

/* Did something follow the `{` of the innermost block on its line? */
static bool
in_loose(const struct confscan *c)
{
	return c->depth > 0 && c->depth <= 64 && (c->loose >> (c->depth - 1) & 1);
}

/*
 * Where an unquoted value that begins at `at` ends, in a block on one line: before a
 * brace that it did not open itself (as `%{user}` does), or the next setting or block.
 */
static size_t
inline_end(struct span s, size_t at)
{
	unsigned open = 0;

	for (size_t i = at; i < s.n; i++) {
		if (i > at && blank(s.p[i - 1]) && (setting_at(s, i) || block_at(s, i)))
			return i;
		if (s.p[i] == '{')
			open++;
		else if (s.p[i] == '}' && open-- == 0)
			return i;
	}
	return s.n;
}

static enum confscan_ev
take_value(struct confscan *c, struct confscan_item *it)
{
	struct span s = buf_span(&c->text);
	size_t end;

	skip_blanks(c);
	if (c->at < s.n && (s.p[c->at] == '"' || s.p[c->at] == '\'')) {
		if ((end = quote_end(s, c->at)) == 0 && s.p[c->at] == '"')
			return bad(c, it,
			           "the quote is never closed: add a \" at the end");
		if (end != 0 && (end == s.n || in_loose(c))) {
			it->quoted = true;
			it->value = unescape(
			    c, (struct span){s.p + c->at + 1, end - c->at - 2});
			c->at = end;
			return CONFSCAN_SET;
		}
	}
	end = in_loose(c) ? inline_end(s, c->at) : s.n;
	it->value = span_trim((struct span){s.p + c->at, end - c->at});
	c->at = end;
	return CONFSCAN_SET;
}

/* After the name of a block: an argument, then `{`. */
static enum confscan_ev
take_block(struct confscan *c, struct confscan_item *it)
{
	struct span s = buf_span(&c->text);
	size_t begin = c->at, end;

	if (c->at < s.n && s.p[c->at] != '{') {
		if (s.p[c->at] == '"') {
			if ((end = quote_end(s, c->at)) == 0)
				return bad(c, it, "the quote is never closed");
			it->value = unescape(
			    c, (struct span){s.p + begin + 1, end - begin - 2});
		} else {
			for (end = begin;
			     end < s.n && !blank(s.p[end]) && s.p[end] != '{';)
				end++;
			it->value = (struct span){s.p + begin, end - begin};
		}
		c->at = end;
		skip_blanks(c);
	}
	if (c->at >= s.n || s.p[c->at] != '{')
		return bad(c, it, "expected `name = value` or `name {`");
	c->at++;
	skip_blanks(c);
	if (c->depth < 64)
		c->loose = (c->loose & ~(UINT64_C(1) << c->depth)) |
		           (uint64_t)(c->at < s.n) << c->depth;
	c->depth++;
	return CONFSCAN_OPEN;
}

static enum confscan_ev
take_include(struct confscan *c, struct confscan_item *it, enum confscan_ev ev)
{
	it->value = span_trim(span_from(buf_span(&c->text), c->at));
	c->at = c->text.n;
	if (it->value.n == 0)
		return bad(c, it, "!include needs a path");
	return ev;
}

static enum confscan_ev
take_item(struct confscan *c, struct confscan_item *it)
{
	struct span s = buf_span(&c->text);
	size_t begin = c->at;

	if (s.p[c->at] == '}') {
		c->at++;
		if (c->depth > 0)
			c->depth--;
		return CONFSCAN_CLOSE;
	}
	while (c->at < s.n && name_char(s.p[c->at]))
		c->at++;
	it->name = (struct span){s.p + begin, c->at - begin};
	if (it->name.n == 0)
		return bad(c, it, "expected the name of a setting");
	skip_blanks(c);
	if (span_eq(it->name, SPAN("!include")))
		return take_include(c, it, CONFSCAN_INCLUDE);
	if (span_eq(it->name, SPAN("!include_try")))
		return take_include(c, it, CONFSCAN_INCLUDE_TRY);
	if (c->at < s.n && s.p[c->at] == '=') {
		c->at++;
		return take_value(c, it);
	}
	return take_block(c, it);
}

enum confscan_ev
confscan_next(struct confscan *c, struct confscan_item *it)
{
	enum confscan_ev ev;
	const char *why;

	*it = (struct confscan_item){0};
	skip_blanks(c);
	if (c->at >= c->text.n) {
		if (!next_line(c, &why)) {
			it->line = c->line + 1;
			it->col = 1;
			return CONFSCAN_END;
		}
		if (why != NULL) {
			place(c, 0, it);
			return bad(c, it, why);
		}
		skip_blanks(c);
	}
	place(c, c->at, it);
	ev = take_item(c, it);
	it->doubtful = c->doubtful;
	c->doubtful = false;
	return ev;
}

void
confscan_free(struct confscan *c)
{
	buf_free(&c->text);
	buf_free(&c->value);
}
