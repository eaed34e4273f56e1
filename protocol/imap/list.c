/*
 * LIST and LSUB (RFC 9051 section 6.3.9, RFC 3501 sections 6.3.8 and 6.3.9, RFC 5258, 5819,
 * 6154). LSUB is LIST (SUBSCRIBED RECURSIVEMATCH) told in an older way: what is not
 * subscribed but leads to something subscribed that is not told itself is \Noselect.
 */
#include <errno.h>

#include "protocol/imap/boxlist.h"
#include "protocol/imap/imap.h"
#include "protocol/imap/names.h"
#include "protocol/imap/pattern.h"
#include "protocol/imap/status.h"
#include "protocol/use.h"

/* What an outsider can push against. */
enum {
	LIST_PATTERNS_MAX = 1024,
	LIST_STEPS_MAX = 100 * 1000 * 1000, /* of matching, all of a command together */
};

enum selection {
	SELECT_SUBSCRIBED = 1,
	SELECT_REMOTE = 2, /* there are none */
	SELECT_RECURSIVEMATCH = 4,
	SELECT_SPECIAL_USE = 8,
};

enum wanted {
	WANT_SUBSCRIBED = 1,
	WANT_CHILDREN = 2,    /* always told */
	WANT_SPECIAL_USE = 4, /* always told */
};

struct list {
	bool lsub;
	bool extended;
	unsigned selection, wanted;
	unsigned status; /* items of RETURN (STATUS (...)) */
	struct pattern *pattern;
	size_t npattern;
	uint64_t steps;
};

/* How a node stands to what was asked for. */
struct standing {
	bool matches; /* the patterns */
	bool meets;   /* the selection */
	bool below;   /* something below meets it */
	bool hidden;  /* something below meets it and does not match */
};

/* ---- arguments ----------------------------------------------------------------------------- */

struct option {
	const char *name;
	unsigned bit;
};

static const struct option selections[] = {
    {"SUBSCRIBED", SELECT_SUBSCRIBED},
    {"REMOTE", SELECT_REMOTE},
    {"RECURSIVEMATCH", SELECT_RECURSIVEMATCH},
    {"SPECIAL-USE", SELECT_SPECIAL_USE},
    {NULL, 0},
};

static const struct option returns[] = {
    {"SUBSCRIBED", WANT_SUBSCRIBED},
    {"CHILDREN", WANT_CHILDREN},
    {"SPECIAL-USE", WANT_SPECIAL_USE},
    {NULL, 0},
};

static bool
take_option(const struct option *known, const struct arg *a, unsigned *set)
{
	for (; known->name != NULL; known++)
		if (arg_is_atom(a, known->name)) {
			*set |= known->bit;
			return true;
		}
	return false;
}

static const char *
take_selection(struct list *l, const struct arg *a)
{
	for (; a != NULL; a = a->next)
		if (!take_option(selections, a, &l->selection))
			return "Unknown selection option.";
	if (l->selection & SELECT_RECURSIVEMATCH &&
	    !(l->selection & (SELECT_SUBSCRIBED | SELECT_SPECIAL_USE)))
		return "RECURSIVEMATCH needs another selection option.";
	return NULL;
}

static const char *
take_returns(struct list *l, const struct arg *a)
{
	if (!arg_is_atom(a, "RETURN") || a->next == NULL || a->next->type != ARG_LIST ||
	    a->next->next != NULL)
		return "RETURN and a list is what may follow the patterns.";
	for (a = a->next->child; a != NULL; a = a->next)
		if (arg_is_atom(a, "STATUS")) {
			if ((a = a->next) == NULL || !status_items(a, &l->status))
				return "STATUS takes a list of known items.";
		} else if (!take_option(returns, a, &l->wanted))
			return "Unknown return option.";
	return NULL;
}

/* Reference and pattern together, as text. What cannot be a name matches nothing. */
static int
add_pattern(struct imap *im, struct list *l, const struct arg *reference,
            const struct arg *a)
{
	struct buf wire = {0}, text = {0};
	int rc = -1;

	if (buf_add(&wire, reference->text) == 0 && buf_add(&wire, a->text) == 0) {
		const char *why = name_decode(name_is_utf8(im), buf_span(&wire), &text);

		rc = why != NULL ? 0
		                 : pattern_make(&im->arena, buf_span(&text),
		                                im->conf->names.separator,
		                                &l->pattern[l->npattern++]);
	}
	buf_free(&wire);
	buf_free(&text);
	return rc;
}

static const char *
take_patterns(struct imap *im, struct list *l, const struct arg *reference)
{
	const struct arg *one = reference->next;
	const struct arg *a = one->type == ARG_LIST ? one->child : one;
	size_t n = 0;

	for (const struct arg *p = a; p != NULL; p = p->next)
		n++;
	if (n > LIST_PATTERNS_MAX)
		return "Too many patterns.";
	l->pattern = arena_alloc(&im->arena, (n + 1) * sizeof *l->pattern);
	if (l->pattern == NULL)
		return "Too much at once.";
	for (; a != NULL; a = one->type == ARG_LIST ? a->next : NULL) {
		if (!arg_is_astring(a))
			return "A pattern is a name with wildcards.";
		if (a->text.n > 0 && add_pattern(im, l, reference, a) == -1)
			return "Too much at once.";
	}
	return NULL;
}

/* NULL, or what to answer BAD with. */
static const char *
take_arguments(struct imap *im, struct list *l, const struct arg *a)
{
	const char *why = NULL;

	if (!l->lsub && a->type == ARG_LIST) {
		l->extended = true;
		why = take_selection(l, a->child);
		a = a->next;
	}
	if (why != NULL)
		return why;
	if (!arg_is_astring(a) || a->next == NULL)
		return "A reference and a pattern are needed.";
	if (a->next->type == ARG_LIST || a->next->next != NULL) {
		if (l->lsub)
			return "LSUB takes a reference and a pattern.";
		l->extended = true;
	}
	if ((why = take_patterns(im, l, a)) != NULL || a->next->next == NULL)
		return why;
	return take_returns(l, a->next->next);
}

/* ---- what is told ---------------------------------------------------------------------------- */

static bool
meets(const struct list *l, const struct boxnode *node)
{
	if (l->selection & SELECT_SUBSCRIBED && !node->subscribed)
		return false;
	if (l->selection & SELECT_SPECIAL_USE && node->use == 0)
		return false;
	return l->selection & (SELECT_SUBSCRIBED | SELECT_SPECIAL_USE) ||
	       node->exists || node->children;
}

static bool
matches(struct list *l, struct span text)
{
	for (size_t i = 0; i < l->npattern; i++) {
		struct pattern *p = &l->pattern[i];
		uint64_t before = p->steps;
		bool yes = pattern_matches(p, text);

		l->steps += p->steps - before + 1;
		if (yes)
			return true;
	}
	return false;
}

/* From below to above, so that each node has heard of all below. NULL: too much. */
static struct standing *
take_standings(struct imap *im, struct list *l, const struct boxlist *boxes)
{
	struct standing *all = arena_alloc(&im->arena, (boxes->n + 1) * sizeof *all);

	for (size_t i = boxes->n; all != NULL && i-- > 0;) {
		const struct boxnode *node = &boxes->node[i];
		struct standing *s = &all[i], *above;

		s->meets = meets(l, node);
		s->matches = matches(l, node->text);
		if (l->steps > LIST_STEPS_MAX) {
			errno = EMSGSIZE;
			return NULL;
		}
		if (node->parent == BOXLIST_TOP)
			continue;
		above = &all[node->parent];
		above->below |= s->below || s->meets;
		above->hidden |= s->hidden || (s->meets && !s->matches);
	}
	return all;
}

static bool
is_told(const struct list *l, const struct standing *s)
{
	return s->matches &&
	       (s->meets || (l->selection & SELECT_RECURSIVEMATCH && s->hidden));
}

/* ---- telling ----------------------------------------------------------------------------------- */

struct words { /* in parentheses, parted by spaces */
	struct buf *b;
	const char *between;
	int rc;
};

static void
say(struct words *w, bool really, struct span word)
{
	if (!really || w->rc == -1)
		return;
	if ((w->rc = buf_add(w->b, span_of(w->between))) == 0)
		w->rc = buf_add(w->b, word);
	w->between = " ";
}

static int
add_attributes(const struct list *l, const struct boxnode *node,
               const struct standing *s, bool selectable, struct buf *b)
{
	struct words w = {.b = b, .between = ""};
	/* with CHILDINFO what is below need not exist */
	bool children =
	    node->children || (l->selection & SELECT_RECURSIVEMATCH && s->below);
	unsigned left = node->use;
	const char *use;

	if (l->lsub) {
		say(&w, !s->meets, SPAN("\\Noselect"));
		return w.rc;
	}
	say(&w, !node->exists, SPAN("\\NonExistent"));
	say(&w, !selectable,
	    SPAN("\\Noselect")); /* for those that know no \NonExistent */
	say(&w, true, children ? SPAN("\\HasChildren") : SPAN("\\HasNoChildren"));
	say(&w, node->leaf && !children, SPAN("\\NoInferiors"));
	say(&w,
	    node->subscribed &&
	        (l->wanted & WANT_SUBSCRIBED || l->selection & SELECT_SUBSCRIBED),
	    SPAN("\\Subscribed"));
	while ((use = use_name(&left)) != NULL)
		say(&w, true, span_of(use));
	return w.rc;
}

static int
add_childinfo(const struct list *l, struct buf *b)
{
	struct words w = {.b = b, .between = ""};

	w.rc = buf_add(b, SPAN(" (\"CHILDINFO\" ("));
	say(&w, l->selection & SELECT_SUBSCRIBED, SPAN("\"SUBSCRIBED\""));
	say(&w, l->selection & SELECT_SPECIAL_USE, SPAN("\"SPECIAL-USE\""));
	return w.rc == 0 ? buf_add(b, SPAN("))")) : -1;
}

static int
add_line(struct imap *im, const struct list *l, const struct boxnode *node,
         const struct standing *s, bool selectable, struct buf *b)
{
	if (buf_addf(b, "* %s (", l->lsub ? "LSUB" : "LIST") == -1 ||
	    add_attributes(l, node, s, selectable, b) == -1 ||
	    buf_addf(b, ") \"%c\" ", im->conf->names.separator) == -1 ||
	    name_print(name_is_utf8(im), node->text, b) == -1)
		return -1;
	if (!l->lsub && l->selection & SELECT_RECURSIVEMATCH && s->below &&
	    add_childinfo(l, b) == -1)
		return -1;
	return buf_add(b, SPAN("\r\n"));
}

/* What cannot be looked into is told as such (RFC 9051 section 6.3.9.2). */
static int
tell(struct imap *im, const struct list *l, const struct boxnode *node,
     const struct standing *s)
{
	struct buf b = {0};
	struct status status;
	bool selectable = node->exists, looked = false;
	int rc;

	if (l->status != 0 && node->exists) {
		looked = status_take(im, node->path, l->status, &status) == 0;
		selectable = looked || (errno != ENOENT && errno != EACCES);
	}
	rc = add_line(im, l, node, s, selectable, &b);
	if (rc == 0)
		rc = out_copy(im->out, buf_span(&b));
	buf_free(&b);
	if (rc == 0 && looked)
		rc = status_print(im, node->path, l->status, &status);
	return rc;
}

static int
tell_all(struct imap *im, struct list *l, const char *name)
{
	struct boxlist boxes = {0};
	struct standing *s;

	if (boxlist_take(im, &boxes) == -1 ||
	    (s = take_standings(im, l, &boxes)) == NULL)
		return imap_failed(im, name);
	for (size_t i = 0; i < boxes.n; i++)
		if (is_told(l, &s[i]) && tell(im, l, &boxes.node[i], &s[i]) == -1)
			return -1;
	return imap_ok(im, NULL, "%s completed.", name);
}

/* ---- the commands -------------------------------------------------------------------------------- */

/* `LIST "" ""` asks for the separator, and the root that the reference has. */
static int
tell_separator(struct imap *im, struct span reference)
{
	const struct imap_names *names = &im->conf->names;
	struct span prefix = span_of(names->prefix);
	struct buf b = {0};
	int rc = buf_addf(&b, "* LIST (\\Noselect) \"%c\" ", names->separator);

	if (!span_starts(reference, prefix))
		prefix = SPAN("");
	if (rc == 0)
		rc = name_print(name_is_utf8(im), prefix, &b);
	if (rc == 0)
		rc = buf_add(&b, SPAN("\r\n"));
	if (rc == 0)
		rc = out_copy(im->out, buf_span(&b));
	buf_free(&b);
	return rc == -1 ? -1 : imap_ok(im, NULL, "LIST completed.");
}

int
cmd_list(struct imap *im, const struct arg *args)
{
	struct list l = {0};
	const char *why = take_arguments(im, &l, args);

	if (why != NULL)
		return imap_bad(im, "%s", why);
	if (!l.extended && args->next->text.n == 0)
		return tell_separator(im, args->text);
	return tell_all(im, &l, "LIST");
}

int
cmd_lsub(struct imap *im, const struct arg *args)
{
	struct list l = {.lsub = true,
	                 .selection = SELECT_SUBSCRIBED | SELECT_RECURSIVEMATCH};
	const char *why = take_arguments(im, &l, args);

	if (why != NULL)
		return imap_bad(im, "%s", why);
	return tell_all(im, &l, "LSUB");
}
