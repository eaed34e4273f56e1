#include "protocol/imap/names.h"

#include <errno.h>

#include "storage/base/treename.h"
#include "storage/base/utf7.h"

#define INBOX "INBOX"
#define SHOWN_INBOX                                                                    \
	"%49NBOX"   /* in the tree: a folder of that name that is another one */
#define EMPTY "%00" /* a level */

static const char no_memory[] = "There is too little memory.";
static const char no_spelling[] = "No mailbox is spelled so.";

/* Where a level stands. */
struct place {
	char separator;
	bool first;
	bool last;
	bool shadow; /* a first level `inbox` would be taken for INBOX */
};

static struct place
place_first(const struct imap_names *names)
{
	return (struct place){.separator = names->separator,
	                      .first = true,
	                      .shadow = names->prefix[0] == '\0'};
}

/* Cut a level off; an empty one counts too, also behind the last separator. */
static struct span
cut_level(struct span *rest, char separator, struct place *at)
{
	const char *end = rest->n == 0 ? NULL : memchr(rest->p, separator, rest->n);
	struct span level = {rest->p, end == NULL ? rest->n : (size_t)(end - rest->p)};

	at->last = end == NULL;
	*rest = span_from(*rest, level.n + (end != NULL));
	return level;
}

/* ---- escapes ---------------------------------------------------------------------------- */

static int
hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

/* The octet that two digits behind a '%' stand for there, or -1. */
static int
escape_value(const struct place *at, bool begins, struct span digits)
{
	int hi, lo, value;

	if (digits.n < 2 || (hi = hex_value(digits.p[0])) == -1 ||
	    (lo = hex_value(digits.p[1])) == -1)
		return -1;
	value = hi << 4 | lo;
	if (treename_is_foreign((unsigned char)value) || value == at->separator)
		return value;
	if (!begins || !at->first)
		return -1;
	if (value == '~')
		return value;
	return at->shadow && (value == 'I' || value == 'i') &&
	               span_caseeq(span_from(digits, 2), SPAN("NBOX"))
	           ? value
	           : -1;
}

/* Whether a '%' there would read as an escape, be it one of an escape's '%'. */
static bool
needs_escape(const struct place *at, bool begins, struct span percent)
{
	struct span digits = span_from(percent, 1);

	while (span_starts(digits, SPAN("25")))
		digits = span_from(digits, 2);
	return escape_value(at, begins, digits) != -1;
}

static int
add_escape(struct buf *out, char c)
{
	return buf_addf(out, "%%%02X", (unsigned char)c);
}

/* ---- path to text ------------------------------------------------------------------------- */

static int
add_text(const struct place *at, struct span octets, bool foreign, bool hide,
         struct buf *out)
{
	for (size_t i = 0; i < octets.n; i++) {
		char c = octets.p[i];
		bool escape =
		    (i == 0 && hide) || c == at->separator ||
		    (foreign && treename_is_foreign((unsigned char)c)) ||
		    (c == '%' && needs_escape(at, i == 0, span_from(octets, i)));

		if ((escape ? add_escape(out, c) : buf_addc(out, c)) == -1)
			return -1;
	}
	return 0;
}

static int
add_level(const struct place *at, struct span tree, struct buf *out)
{
	struct buf octets = {0};
	bool foreign, hide = false;
	struct span s;
	int rc;

	if (span_eq(tree, SPAN(TREENAME_EMPTY)))
		return buf_add(out, SPAN(EMPTY));
	rc = treename_unescape(tree, &octets, &foreign);
	s = buf_span(&octets);
	if (at->first && s.n > 0)
		hide = s.p[0] == '~' || (at->shadow && span_caseeq(s, SPAN(INBOX)) &&
		                         !span_eq(tree, SPAN(INBOX)));
	if (rc == 0)
		rc = add_text(at, s, foreign, hide, out);
	buf_free(&octets);
	return rc;
}

int
name_of_path(const struct imap_names *names, struct span path, struct buf *text)
{
	struct place at = place_first(names);
	size_t before = text->n;
	int rc;

	if (span_eq(path, SPAN(INBOX)))
		return buf_add(text, path);
	rc = buf_add(text, span_of(names->prefix));
	for (; rc == 0 && !at.last; at.first = false) {
		struct span level;

		if (!at.first)
			rc = buf_addc(text, names->separator);
		level = cut_level(&path, '/', &at);
		if (rc == 0)
			rc = add_level(&at, level, text);
	}
	if (rc == -1)
		text->n = before;
	return rc;
}

/* ---- text to path ------------------------------------------------------------------------- */

/* Take the escapes out. *foreign: it has octets that are no text. */
static const char *
unescape(const struct place *at, struct span text, struct buf *out, bool *foreign)
{
	bool begins = true;

	for (*foreign = false; text.n > 0; begins = false) {
		int value = text.p[0] == '%'
		                ? escape_value(at, begins, span_from(text, 1))
		                : -1;
		bool percent = value == -1 && span_starts(text, SPAN("%25")) &&
		               needs_escape(at, begins, text);

		if (value == 0)
			return no_spelling;
		if (value != -1 && treename_is_foreign((unsigned char)value))
			*foreign = true;
		if (buf_addc(out, value != -1 ? (char)value : text.p[0]) == -1)
			return no_memory;
		text = span_from(text, value != -1 || percent ? 3 : 1);
	}
	return NULL;
}

/* Only what would be sent for the level is a name of it: nothing has two. */
static const char *
check_spelling(const struct place *at, struct span tree, struct span text)
{
	struct buf again = {0};
	const char *why = NULL;

	if (add_level(at, tree, &again) == -1)
		why = no_memory;
	else if (!span_eq(buf_span(&again), text))
		why = no_spelling;
	buf_free(&again);
	return why;
}

static const char *
add_octets(const struct place *at, struct span octets, bool foreign, struct buf *out)
{
	if (span_eq(octets, SPAN(".")) || span_eq(octets, SPAN("..")))
		return "A level of the name is `.` or `..`.";
	if (at->first && at->last && span_eq(octets, SPAN(INBOX)))
		return buf_add(out, SPAN(SHOWN_INBOX)) == 0 ? NULL : no_memory;
	return treename_escape(octets, foreign, out) == 0 ? NULL : no_memory;
}

static const char *
level_to_tree(const struct place *at, struct span text, struct buf *out)
{
	struct buf octets = {0};
	size_t before = out->n;
	struct span tree;
	bool foreign;
	const char *why;

	if (text.n == 0)
		return "A level of the name is empty.";
	if (memchr(text.p, '/', text.n) != NULL)
		return "A level of the name holds a /.";
	if (at->first && text.p[0] == '~')
		return "The name begins with ~.";
	if (at->first && at->shadow && !at->last && span_caseeq(text, SPAN(INBOX)))
		return buf_add(out, SPAN(INBOX)) == 0 ? NULL : no_memory;
	if (span_eq(text, SPAN(EMPTY)))
		return buf_add(out, SPAN(TREENAME_EMPTY)) == 0 ? NULL : no_memory;
	if ((why = unescape(at, text, &octets, &foreign)) == NULL)
		why = add_octets(at, buf_span(&octets), foreign, out);
	buf_free(&octets);
	tree = span_from(buf_span(out), before);
	if (why == NULL && tree.n > TREENAME_MAX)
		return "A level of the name is too long.";
	return why != NULL ? why : check_spelling(at, tree, text);
}

/* INBOX has no case, also as a prefix. */
static bool
take_prefix(const char *prefix, struct span *text)
{
	struct span p = span_of(prefix), head = {text->p, p.n};
	size_t folded = span_starts(p, SPAN(INBOX)) ? sizeof INBOX - 1 : 0;

	if (text->n < p.n || !span_eq(span_from(head, folded), span_from(p, folded)) ||
	    !span_caseeq((struct span){head.p, folded}, (struct span){p.p, folded}))
		return false;
	*text = span_from(*text, p.n);
	return true;
}

const char *
name_to_path(const struct imap_names *names, struct span text, struct buf *path)
{
	struct place at = place_first(names);
	size_t before = path->n;
	const char *why = NULL;

	if (text.n == 0)
		return "The name is empty.";
	if (treename_has_control(text))
		return "The name holds control characters.";
	if (span_caseeq(text, SPAN(INBOX)))
		return buf_add(path, SPAN(INBOX)) == 0 ? NULL : no_memory;
	if (!take_prefix(names->prefix, &text))
		return "The name lacks the prefix that NAMESPACE tells.";
	for (; why == NULL && !at.last; at.first = false) {
		struct span level = cut_level(&text, names->separator, &at);

		if (!at.first && buf_addc(path, '/') == -1)
			why = no_memory;
		else
			why = level_to_tree(&at, level, path);
	}
	if (why != NULL)
		path->n = before;
	return why;
}

/* ---- on the wire ---------------------------------------------------------------------------- */

static bool
has_8bit(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 0x7f)
			return true;
	return false;
}

const char *
name_decode(bool utf8, struct span wire, struct buf *text)
{
	if (utf8) {
		if (!utf8_is_valid(wire))
			return "The name is not UTF-8.";
		return buf_add(text, wire) == 0 ? NULL : no_memory;
	}
	if (has_8bit(wire))
		return "The name holds 8-bit characters, and UTF-8 is not enabled.";
	if (treename_has_control(wire))
		return "The name holds control characters.";
	if (utf7_decode(wire, text) == 0)
		return NULL;
	return errno == ENOMEM ? no_memory : "The name is not modified UTF-7.";
}

/* Text has no control characters, so it can always be quoted. */
static int
add_quoted(struct span s, struct buf *b)
{
	int rc = buf_addc(b, '"');

	for (size_t i = 0; i < s.n && rc == 0; i++)
		rc = (s.p[i] == '"' || s.p[i] == '\\') && buf_addc(b, '\\') == -1
		         ? -1
		         : buf_addc(b, s.p[i]);
	return rc == 0 ? buf_addc(b, '"') : -1;
}

int
name_print(bool utf8, struct span text, struct buf *b)
{
	struct buf seven = {0};
	int rc;

	if (utf8)
		return add_quoted(text, b);
	if ((rc = utf7_encode(text, &seven)) == 0)
		rc = add_quoted(buf_span(&seven), b);
	buf_free(&seven);
	return rc;
}

/* ---- for the commands ------------------------------------------------------------------------ */

bool
imap_path(struct imap *im, const struct arg *a, struct span *path, const char **why)
{
	struct buf text = {0}, tree = {0};

	if (!arg_is_astring(a)) {
		*why = "That is no name.";
		return false;
	}
	if ((*why = name_decode(name_is_utf8(im), a->text, &text)) == NULL &&
	    (*why = name_to_path(&im->conf->names, buf_span(&text), &tree)) == NULL) {
		*path = arena_copy(&im->arena, buf_span(&tree));
		if (path->p == NULL)
			*why = no_memory;
	}
	buf_free(&text);
	buf_free(&tree);
	return *why == NULL;
}

int
imap_print_name(struct imap *im, struct span path, struct buf *b)
{
	struct buf text = {0};
	int rc = name_of_path(&im->conf->names, path, &text);

	if (rc == 0)
		rc = name_print(name_is_utf8(im), buf_span(&text), b);
	buf_free(&text);
	return rc;
}
