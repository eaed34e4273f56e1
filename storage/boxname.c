#include "storage/boxname.h"

#include <errno.h>

#include "storage/base/treename.h"
#include "storage/base/utf7.h"

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

enum boxname_error
boxname_level_to_tree(struct span store, struct buf *out)
{
	struct buf text = {0};
	size_t before = out->n;
	bool decoded;
	int rc;

	if (store.n == 0)
		return buf_add(out, SPAN(TREENAME_EMPTY)) == 0 ? BOXNAME_OK : BOXNAME_MEMORY;
	if (holds(store, '\0') || holds(store, '/'))
		return BOXNAME_STORE;
	if (store.n > BOXNAME_MAX) /* though what it decodes to may fit */
		return BOXNAME_LONG;
	decoded = utf7_decode(store, &text) == 0;
	if (!decoded && errno == ENOMEM)
		return BOXNAME_MEMORY;
	if (decoded && !treename_has_control(buf_span(&text)))
		rc = treename_escape(buf_span(&text), false, out);
	else
		rc = treename_escape(store, true, out);
	buf_free(&text);
	if (rc == 0 && out->n - before <= BOXNAME_MAX)
		return BOXNAME_OK;
	out->n = before;
	return rc == -1 ? BOXNAME_MEMORY : BOXNAME_LONG;
}

static enum boxname_error
store_level(struct span tree, struct buf *out)
{
	struct buf text = {0};
	bool foreign;
	int rc;

	if (span_eq(tree, SPAN(TREENAME_EMPTY)))
		return BOXNAME_OK;
	rc = treename_unescape(tree, &text, &foreign);
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
