#include "storage/boxname.h"

#include <errno.h>

#include "storage/base/utf7.h"

static const char hex[] = "0123456789ABCDEF";

int
boxname_errno(enum boxname_error e)
{
	switch (e) {
	case BOXNAME_OK:
		return 0;
	case BOXNAME_LONG:
		return ENAMETOOLONG;
	case BOXNAME_MEMORY:
		return ENOMEM;
	default:
		return EINVAL;
	}
}

const char *
boxname_strerror(enum boxname_error e)
{
	static const char *const text[] = {
	    [BOXNAME_OK] = "no error",
	    [BOXNAME_EMPTY] = "empty name",
	    [BOXNAME_DOT] = "name begins with a dot",
	    [BOXNAME_SEPARATOR] = "separator within a name",
	    [BOXNAME_LONG] = "name too long",
	    [BOXNAME_ESCAPE] = "not the canonical form of a name",
	    [BOXNAME_STORE] = "not a Maildir++ name",
	    [BOXNAME_MEMORY] = "out of memory",
	};

	return (size_t)e < ARRAY_LEN(text) ? text[e] : "unknown error";
}

/* ---- one level ------------------------------------------------------------------- */

static bool
holds(struct span s, char c)
{
	return s.n > 0 && memchr(s.p, c, s.n) != NULL;
}

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool
has_control(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (is_control(s.p[i]))
			return true;
	return false;
}

static int
hex_value(char c)
{
	const char *at;

	if (c >= 'a' && c <= 'f')
		c = (char)(c - 'a' + 'A');
	return c != '\0' && (at = strchr(hex, c)) != NULL ? (int)(at - hex) : -1;
}

/* The octet that an escape at the beginning of s stands for, or -1. */
static int
escaped(struct span s)
{
	int hi, lo;

	if (s.n < 3 || s.p[0] != '%' || (hi = hex_value(s.p[1])) == -1 ||
	    (lo = hex_value(s.p[2])) == -1)
		return -1;
	return hi << 4 | lo;
}

static bool
is_message(struct span s)
{
	size_t digits = 0;

	while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	return digits > 0 && span_eq(span_from(s, digits), SPAN(".eml"));
}

static int
add_escape(struct buf *out, char c)
{
	unsigned char u = (unsigned char)c;
	char text[3] = {'%', hex[u >> 4], hex[u & 15]};

	return buf_add(out, (struct span){text, 3});
}

/* `foreign`: no UTF-7, but could be taken for the UTF-8 of a name that is. */
static int
add_shown(struct buf *out, struct span text, bool foreign)
{
	bool first = is_message(text) || text.p[0] == '.' || span_eq(text, SPAN("%"));

	for (; text.n > 0; text = span_from(text, 1), first = false) {
		char c = text.p[0];
		bool hide = first || is_control(c) || escaped(text) != -1 ||
			    (foreign && (c == '&' || (unsigned char)c > 0x7f));

		if ((hide ? add_escape(out, c) : buf_addc(out, c)) == -1)
			return -1;
	}
	return 0;
}

enum boxname_error
boxname_level_to_tree(struct span store, struct buf *out)
{
	struct buf text = {0};
	size_t before = out->n;
	bool decoded;
	int rc;

	if (store.n == 0)
		return buf_addc(out, '%') == 0 ? BOXNAME_OK : BOXNAME_MEMORY;
	if (holds(store, '\0') || holds(store, '/'))
		return BOXNAME_STORE;
	if (store.n > BOXNAME_MAX) /* though what it decodes to may fit */
		return BOXNAME_LONG;
	decoded = utf7_decode(store, &text) == 0;
	if (!decoded && errno == ENOMEM)
		return BOXNAME_MEMORY;
	if (decoded && !has_control(buf_span(&text)))
		rc = add_shown(out, buf_span(&text), false);
	else
		rc = add_shown(out, store, utf8_is_valid(store));
	buf_free(&text);
	if (rc == 0 && out->n - before <= BOXNAME_MAX)
		return BOXNAME_OK;
	out->n = before;
	return rc == -1 ? BOXNAME_MEMORY : BOXNAME_LONG;
}

/* Whether this octet, when it had to be escaped, tells that the name is no UTF-7. */
static bool
is_foreign(int octet)
{
	return octet == '&' || octet > 0x7f || is_control((char)octet);
}

/* Take the escapes out. *foreign: the octets are those of the store as they stand. */
static int
unescape(struct span tree, struct buf *out, bool *foreign)
{
	*foreign = !utf8_is_valid(tree);
	while (tree.n > 0) {
		int octet = escaped(tree);

		if (octet != -1 && is_foreign(octet))
			*foreign = true;
		if (buf_addc(out, octet != -1 ? (char)octet : tree.p[0]) == -1)
			return -1;
		tree = span_from(tree, octet != -1 ? 3 : 1);
	}
	return 0;
}

static enum boxname_error
store_level(struct span tree, struct buf *out)
{
	struct buf text = {0};
	bool foreign;
	int rc;

	if (span_eq(tree, SPAN("%")))
		return BOXNAME_OK;
	rc = unescape(tree, &text, &foreign);
	if (rc == 0)
		rc = foreign ? buf_add(out, buf_span(&text))
			     : utf7_encode(buf_span(&text), out);
	buf_free(&text);
	return rc == 0 ? BOXNAME_OK : BOXNAME_MEMORY;
}

/* Only what the tree itself would show is a name: nothing has two. */
static enum boxname_error
check_shown(struct span store, struct span tree)
{
	struct buf again = {0};
	enum boxname_error e = boxname_level_to_tree(store, &again);

	if (e != BOXNAME_MEMORY && (e != BOXNAME_OK || !span_eq(buf_span(&again), tree)))
		e = BOXNAME_ESCAPE;
	buf_free(&again);
	return e;
}

enum boxname_error
boxname_level_to_store(struct span tree, char sep, struct buf *out)
{
	size_t before = out->n;
	struct span made;
	enum boxname_error e;

	if (tree.n == 0)
		return BOXNAME_EMPTY;
	if (tree.p[0] == '.')
		return BOXNAME_DOT;
	if (holds(tree, '/'))
		return BOXNAME_SEPARATOR;
	if (tree.n > BOXNAME_MAX)
		return BOXNAME_LONG;
	e = store_level(tree, out);
	made = span_from(buf_span(out), before);
	if (e == BOXNAME_OK && made.n > BOXNAME_MAX)
		e = BOXNAME_LONG;
	if (e == BOXNAME_OK && (holds(made, '/') || (sep != 0 && holds(made, sep))))
		e = BOXNAME_SEPARATOR;
	if (e == BOXNAME_OK)
		e = check_shown(made, tree);
	if (e != BOXNAME_OK)
		out->n = before;
	return e;
}

/* ---- Maildir++ ------------------------------------------------------------------- */

#define DOT_INBOX   ".INBOX"  /* a folder that is not the Maildir itself, */
#define SHOWN_INBOX "%49NBOX" /* so it must not be shown by that name */

/* An empty level counts too, also one behind the last separator. */
static bool
next_level(struct span *rest, bool *more, char sep, struct span *level)
{
	const char *at;

	if (!*more)
		return false;
	at = rest->n == 0 ? NULL : memchr(rest->p, sep, rest->n);
	*more = at != NULL;
	*level = (struct span){rest->p, at == NULL ? rest->n : (size_t)(at - rest->p)};
	*rest = span_from(*rest, level->n + (at != NULL));
	return true;
}

static enum boxname_error
add_fixed(struct buf *out, struct span text)
{
	return buf_add(out, text) == 0 ? BOXNAME_OK : BOXNAME_MEMORY;
}

enum boxname_error
boxname_to_tree(struct span store, struct buf *out)
{
	enum boxname_error e = BOXNAME_OK;
	size_t before = out->n;
	struct span rest, level;
	bool more = true;

	if (store.n == 0)
		return add_fixed(out, SPAN(BOXNAME_INBOX));
	if (span_eq(store, SPAN(DOT_INBOX)))
		return add_fixed(out, SPAN(SHOWN_INBOX));
	if (span_eq(store, SPAN(".")) || span_eq(store, SPAN("..")))
		return BOXNAME_DOT;
	if (store.p[0] != '.')
		return BOXNAME_STORE;
	if (store.n > BOXNAME_MAX)
		return BOXNAME_LONG;
	rest = span_from(store, 1);
	while (e == BOXNAME_OK && next_level(&rest, &more, '.', &level)) {
		if (out->n > before && buf_addc(out, '/') == -1)
			e = BOXNAME_MEMORY;
		else
			e = boxname_level_to_tree(level, out);
	}
	if (e != BOXNAME_OK)
		out->n = before;
	return e;
}

enum boxname_error
boxname_to_store(struct span tree, struct buf *out)
{
	enum boxname_error e = BOXNAME_OK;
	size_t before = out->n;
	struct span level, made;
	bool more = true;

	if (tree.n == 0)
		return BOXNAME_EMPTY;
	if (span_eq(tree, SPAN(BOXNAME_INBOX)))
		return BOXNAME_OK;
	if (span_eq(tree, SPAN(SHOWN_INBOX)))
		return add_fixed(out, SPAN(DOT_INBOX));
	while (e == BOXNAME_OK && next_level(&tree, &more, '/', &level)) {
		if (buf_addc(out, '.') == -1)
			e = BOXNAME_MEMORY;
		else
			e = boxname_level_to_store(level, '.', out);
	}
	made = span_from(buf_span(out), before);
	if (e == BOXNAME_OK && made.n > BOXNAME_MAX)
		e = BOXNAME_LONG;
	if (e == BOXNAME_OK && (span_eq(made, SPAN(".")) || span_eq(made, SPAN(".."))))
		e = BOXNAME_DOT;
	if (e != BOXNAME_OK)
		out->n = before;
	return e;
}
