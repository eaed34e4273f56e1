#include "protocol/imap/searchkey.h"

#include <errno.h>
#include <limits.h>

#include "fs/abi.h"
#include "storage/base/num.h"
#include "storage/mime/charset.h"
#include "storage/mime/date.h"

/* ---- what is being read ------------------------------------------------------------------------ */

/*
 * What is open: lists, whose keys are all to match, and NOTs and ORs that wait for their
 * keys. A list knows what is next in it; the others take from the innermost list.
 */
struct frame {
	enum { FRAME_LIST, FRAME_NOT, FRAME_OR } what;
	uint32_t have;          /* values so far */
	size_t list;            /* the innermost list: this frame, or one below */
	const struct arg *next; /* LIST */
};

struct reading {
	struct search *s;
	const struct search_scope *scope;
	struct arena *arena;
	struct span charset;
	struct buf frames;
	size_t nkey;
	const char *why;
	enum search_verdict verdict; /* once something failed */
};

static bool
fail(struct reading *r, enum search_verdict verdict, const char *why)
{
	r->verdict = verdict;
	r->why = why;
	return false;
}

static bool
bad(struct reading *r, const char *why)
{
	return fail(r, SEARCH_BAD, why);
}

static bool
nomem(struct reading *r)
{
	return fail(r, SEARCH_NOMEM, "The search needs too much memory.");
}

static bool
add(struct reading *r, struct buf *b, const void *p, size_t n)
{
	return buf_add(b, (struct span){p, n}) == 0 || nomem(r);
}

static bool
add_step(struct reading *r, int what, uint32_t n)
{
	const struct search_step step = {what, n};

	return add(r, &r->s->steps, &step, sizeof step);
}

/* A leaf with its step; what it owns is the search's from here on, or freed. */
static bool
add_leaf(struct reading *r, struct search_leaf *l)
{
	uint32_t n = (uint32_t)(r->s->leaves.n / sizeof *l);

	if (!add(r, &r->s->leaves, l, sizeof *l)) {
		numset_free(&l->set);
		return false;
	}
	if (l->cost > r->s->cost)
		r->s->cost = l->cost;
	return add_step(r, STEP_LEAF, n);
}

static size_t
nframe(const struct reading *r)
{
	return r->frames.n / sizeof(struct frame);
}

static struct frame *
frame(const struct reading *r, size_t i)
{
	return (struct frame *)(void *)r->frames.p + i;
}

static bool
open_frame(struct reading *r, int what, const struct arg *next)
{
	size_t n = nframe(r);
	const struct frame f = {.what = what,
	                        .next = next,
	                        .list = what == FRAME_LIST ? n : frame(r, n - 1)->list};

	return add(r, &r->frames, &f, sizeof f);
}

/* The next argument of the innermost list, or NULL. */
static const struct arg *
next_arg(struct reading *r)
{
	struct frame *list = frame(r, frame(r, nframe(r) - 1)->list);
	const struct arg *a = list->next;

	if (a != NULL)
		list->next = a->next;
	return a;
}

/* ---- keys --------------------------------------------------------------------------------------- */

struct row {
	const char *name;
	bool (*read)(struct reading *, const struct row *);
	enum search_key key;
	enum search_cost cost;
	bool negated;
	uint64_t number;
	const char *field;
};

static struct search_leaf
leaf_of(const struct row *row)
{
	return (struct search_leaf){
	    .key = row->key, .cost = row->cost, .number = row->number};
}

static bool
finish_leaf(struct reading *r, const struct row *row, struct search_leaf *l)
{
	return add_leaf(r, l) && (!row->negated || add_step(r, STEP_NOT, 1));
}

static bool
read_bare(struct reading *r, const struct row *row)
{
	struct search_leaf l = leaf_of(row);

	return finish_leaf(r, row, &l);
}

static bool
read_new(struct reading *r, const struct row *row) /* RECENT UNSEEN */
{
	struct search_leaf recent = {.key = KEY_RECENT, .cost = COST_MESSAGE};
	struct search_leaf seen = {
	    .key = KEY_FLAG, .cost = COST_MESSAGE, .number = MT_SEEN};

	(void)row;
	return add_leaf(r, &recent) && add_leaf(r, &seen) && add_step(r, STEP_NOT, 1) &&
	       add_step(r, STEP_AND, 2);
}

static bool
read_keyword(struct reading *r, const struct row *row)
{
	struct search_leaf l = leaf_of(row);
	const struct arg *a = next_arg(r);

	if (a == NULL || a->type != ARG_ATOM || a->has_section || a->text.n == 0 ||
	    a->text.p[0] == '\\')
		return bad(r, "A keyword is missing in SEARCH.");
	l.text = a->text;
	return finish_leaf(r, row, &l);
}

static bool
take_date(struct reading *r, int32_t *day)
{
	const struct arg *a = next_arg(r);

	if (a == NULL || (a->type != ARG_ATOM && a->type != ARG_QUOTED) ||
	    !date_day(a->text, day))
		return bad(r, "SEARCH wants a date such as 1-Feb-1994.");
	return true;
}

static bool
read_before(struct reading *r, const struct row *row)
{
	struct search_leaf l = leaf_of(row);
	int32_t day;

	if (!take_date(r, &day))
		return false;
	l.from = INT64_MIN;
	l.to = (int64_t)day - 1;
	return finish_leaf(r, row, &l);
}

static bool
read_on(struct reading *r, const struct row *row)
{
	struct search_leaf l = leaf_of(row);
	int32_t day;

	if (!take_date(r, &day))
		return false;
	l.from = l.to = day;
	return finish_leaf(r, row, &l);
}

static bool
read_since(struct reading *r, const struct row *row)
{
	struct search_leaf l = leaf_of(row);
	int32_t day;

	if (!take_date(r, &day))
		return false;
	l.from = day;
	l.to = INT64_MAX;
	return finish_leaf(r, row, &l);
}

static bool
take_number(struct reading *r, uint64_t most, uint64_t *v)
{
	const struct arg *a = next_arg(r);

	if (a == NULL || a->type != ARG_ATOM || a->has_section ||
	    num_u64(a->text, v) == -1 || *v > most)
		return bad(r, "SEARCH wants a number.");
	return true;
}

static bool
read_older(struct reading *r, const struct row *row)
{
	struct search_leaf l = leaf_of(row);
	uint64_t seconds;

	if (!take_number(r, UINT32_MAX, &seconds))
		return false;
	if (seconds == 0)
		return bad(r, "The interval must not be 0.");
	l.from = INT64_MIN;
	l.to = r->scope->now - (int64_t)seconds;
	return finish_leaf(r, row, &l);
}

static bool
read_younger(struct reading *r, const struct row *row)
{
	struct search_leaf l = leaf_of(row);
	uint64_t seconds;

	if (!take_number(r, UINT32_MAX, &seconds))
		return false;
	if (seconds == 0)
		return bad(r, "The interval must not be 0.");
	l.from = r->scope->now - (int64_t)seconds;
	l.to = INT64_MAX;
	return finish_leaf(r, row, &l);
}

static bool
read_larger(struct reading *r, const struct row *row)
{
	struct search_leaf l = leaf_of(row);
	uint64_t size;

	if (!take_number(r, INT64_MAX - 1, &size)) /* number64 has 63 bits */
		return false;
	l.from = (int64_t)size + 1;
	l.to = INT64_MAX;
	return finish_leaf(r, row, &l);
}

static bool
read_smaller(struct reading *r, const struct row *row)
{
	struct search_leaf l = leaf_of(row);
	uint64_t size;

	if (!take_number(r, INT64_MAX, &size))
		return false;
	l.from = INT64_MIN;
	l.to = (int64_t)size - 1;
	return finish_leaf(r, row, &l);
}

/* In an empty mailbox `*` is no message: 1 will do, since nothing is looked at. */
static bool
read_a_set(struct reading *r, const struct row *row, struct span text, uint32_t star)
{
	struct search_leaf l = leaf_of(row);

	if (span_eq(text, SPAN("$"))) {
		l.key = KEY_SAVED;
		return finish_leaf(r, row, &l);
	}
	if (numset_parse(text, star > 0 ? star : 1, r->scope->ranges_max, &l.set) == 0)
		return finish_leaf(r, row, &l);
	numset_free(&l.set);
	if (errno == ENOMEM)
		return nomem(r);
	return bad(r,
	           errno == EMSGSIZE ? "The set has too many ranges." : "Not a set.");
}

static bool
read_uids(struct reading *r, const struct row *row)
{
	const struct arg *a = next_arg(r);

	if (a == NULL || a->type != ARG_ATOM || a->has_section)
		return bad(r, "A set of UIDs is missing.");
	return read_a_set(r, row, a->text, r->scope->last_uid);
}

/* RFC 7162 section 3.1.5; an entry's name is of no use to us, as all flags share one. */
static bool
read_modseq(struct reading *r, const struct row *row)
{
	struct search_leaf l = leaf_of(row);
	const struct arg *a = next_arg(r);

	if (a != NULL && a->type == ARG_QUOTED) {
		a = next_arg(r);
		if (!arg_is_atom(a, "priv") && !arg_is_atom(a, "shared") &&
		    !arg_is_atom(a, "all"))
			return bad(r,
			           "MODSEQ wants priv, shared or all behind a name.");
		a = next_arg(r);
	}
	if (a == NULL || a->type != ARG_ATOM || num_u64(a->text, &l.number) == -1 ||
	    l.number > INT64_MAX)
		return bad(r, "MODSEQ wants a number.");
	r->s->modseq = true;
	return finish_leaf(r, row, &l);
}

/* A string in the charset of the command, folded. */
static bool
take_needle(struct reading *r, struct search_leaf *l)
{
	const struct arg *a = next_arg(r);
	struct buf utf8 = {0};
	bool done, broken = false;

	if (!arg_is_astring(a))
		return bad(r, "SEARCH wants a string.");
	done = charset_text(r->charset, a->text, &utf8, &broken) == 0 &&
	       match_make(r->arena, buf_span(&utf8), &l->match) == 0;
	buf_free(&utf8);
	if (!done)
		return nomem(r);
	return !broken || bad(r, "A string is not in the charset of SEARCH.");
}

static bool
read_text(struct reading *r, const struct row *row)
{
	struct search_leaf l = leaf_of(row);

	if (row->field != NULL)
		l.text = span_of(row->field);
	return take_needle(r, &l) && finish_leaf(r, row, &l);
}

static bool
read_header(struct reading *r, const struct row *row)
{
	struct search_leaf l = leaf_of(row);
	const struct arg *a = next_arg(r);

	if (!arg_is_astring(a))
		return bad(r, "HEADER wants the name of a field.");
	l.text = a->text;
	return take_needle(r, &l) && finish_leaf(r, row, &l);
}

static bool
read_or(struct reading *r, const struct row *row)
{
	(void)row;
	return open_frame(r, FRAME_OR, NULL);
}

/* Two of them one after the other are none: so however many there are, one waits. */
static bool
read_not(struct reading *r, const struct row *row)
{
	(void)row;
	if (frame(r, nframe(r) - 1)->what != FRAME_NOT)
		return open_frame(r, FRAME_NOT, NULL);
	r->frames.n -= sizeof(struct frame);
	return true;
}

static const struct row rows[] = {
    {"ALL", read_bare, KEY_ALL, COST_NONE, false, 0, NULL},
    {"ANSWERED", read_bare, KEY_FLAG, COST_MESSAGE, false, MT_ANSWERED, NULL},
    {"BCC", read_text, KEY_HEADER, COST_HEADER, false, 0, "Bcc"},
    {"BEFORE", read_before, KEY_DATE, COST_RECORD, false, 0, NULL},
    {"BODY", read_text, KEY_BODY, COST_BODY, false, 0, NULL},
    {"CC", read_text, KEY_HEADER, COST_HEADER, false, 0, "Cc"},
    {"DELETED", read_bare, KEY_FLAG, COST_MESSAGE, false, MT_DELETED, NULL},
    {"DRAFT", read_bare, KEY_FLAG, COST_MESSAGE, false, MT_DRAFT, NULL},
    {"FLAGGED", read_bare, KEY_FLAG, COST_MESSAGE, false, MT_FLAGGED, NULL},
    {"FROM", read_text, KEY_HEADER, COST_HEADER, false, 0, "From"},
    {"HEADER", read_header, KEY_HEADER, COST_HEADER, false, 0, NULL},
    {"KEYWORD", read_keyword, KEY_KEYWORD, COST_MESSAGE, false, 0, NULL},
    {"LARGER", read_larger, KEY_SIZE, COST_SIZE, false, 0, NULL},
    {"MODSEQ", read_modseq, KEY_MODSEQ, COST_MESSAGE, false, 0, NULL},
    {"NEW", read_new, KEY_RECENT, COST_MESSAGE, false, 0, NULL},
    {"NOT", read_not, KEY_ALL, COST_NONE, false, 0, NULL},
    {"OLD", read_bare, KEY_RECENT, COST_MESSAGE, true, 0, NULL},
    {"OLDER", read_older, KEY_MOMENT, COST_RECORD, false, 0, NULL},
    {"ON", read_on, KEY_DATE, COST_RECORD, false, 0, NULL},
    {"OR", read_or, KEY_ALL, COST_NONE, false, 0, NULL},
    {"RECENT", read_bare, KEY_RECENT, COST_MESSAGE, false, 0, NULL},
    {"SAVEDATESUPPORTED", read_bare, KEY_ALL, COST_NONE, false, 0, NULL},
    {"SAVEDBEFORE", read_before, KEY_SAVED_DATE, COST_RECORD, false, 0, NULL},
    {"SAVEDON", read_on, KEY_SAVED_DATE, COST_RECORD, false, 0, NULL},
    {"SAVEDSINCE", read_since, KEY_SAVED_DATE, COST_RECORD, false, 0, NULL},
    {"SEEN", read_bare, KEY_FLAG, COST_MESSAGE, false, MT_SEEN, NULL},
    {"SENTBEFORE", read_before, KEY_SENT, COST_HEADER, false, 0, NULL},
    {"SENTON", read_on, KEY_SENT, COST_HEADER, false, 0, NULL},
    {"SENTSINCE", read_since, KEY_SENT, COST_HEADER, false, 0, NULL},
    {"SINCE", read_since, KEY_DATE, COST_RECORD, false, 0, NULL},
    {"SMALLER", read_smaller, KEY_SIZE, COST_SIZE, false, 0, NULL},
    {"SUBJECT", read_text, KEY_HEADER, COST_HEADER, false, 0, "Subject"},
    {"TEXT", read_text, KEY_TEXT, COST_BODY, false, 0, NULL},
    {"TO", read_text, KEY_HEADER, COST_HEADER, false, 0, "To"},
    {"UID", read_uids, KEY_UIDS, COST_MESSAGE, false, 0, NULL},
    {"UNANSWERED", read_bare, KEY_FLAG, COST_MESSAGE, true, MT_ANSWERED, NULL},
    {"UNDELETED", read_bare, KEY_FLAG, COST_MESSAGE, true, MT_DELETED, NULL},
    {"UNDRAFT", read_bare, KEY_FLAG, COST_MESSAGE, true, MT_DRAFT, NULL},
    {"UNFLAGGED", read_bare, KEY_FLAG, COST_MESSAGE, true, MT_FLAGGED, NULL},
    {"UNKEYWORD", read_keyword, KEY_KEYWORD, COST_MESSAGE, true, 0, NULL},
    {"UNSEEN", read_bare, KEY_FLAG, COST_MESSAGE, true, MT_SEEN, NULL},
    {"YOUNGER", read_younger, KEY_MOMENT, COST_RECORD, false, 0, NULL},
};
static const struct row numbers = {"", NULL, KEY_NUMBERS, COST_MESSAGE, false, 0, NULL};

static const struct row *
find_row(const struct arg *a)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (arg_is_atom(a, rows[i].name))
			return &rows[i];
	return NULL;
}

/* One key, or what begins one. */
static bool
read_key(struct reading *r)
{
	const struct arg *a = next_arg(r);
	const struct row *row;

	if (a == NULL)
		return bad(r, "A search key is missing.");
	if (++r->nkey > SEARCH_KEYS_MAX)
		return bad(r, "Too many search keys.");
	if (a->type == ARG_LIST)
		return open_frame(r, FRAME_LIST, a->child);
	if ((row = find_row(a)) != NULL)
		return row->read(r, row);
	if (a->type == ARG_ATOM && !a->has_section && a->text.n > 0 &&
	    strchr("0123456789*$", a->text.p[0]) != NULL)
		return read_a_set(r, &numbers, a->text, r->scope->last_number);
	return bad(r, "Unknown search key.");
}

/* ---- the whole ------------------------------------------------------------------------------------ */

/* A value has been made: it goes to whoever waits for one, who may make another of it. */
static bool
hand_up(struct reading *r)
{
	while (r->frames.n > 0) {
		struct frame *f = frame(r, nframe(r) - 1);

		f->have++;
		if (f->what == FRAME_LIST || (f->what == FRAME_OR && f->have < 2))
			break;
		if (!add_step(r, f->what == FRAME_NOT ? STEP_NOT : STEP_OR, f->have))
			return false;
		r->frames.n -= sizeof *f;
	}
	return true;
}

static bool
close_list(struct reading *r)
{
	uint32_t have = frame(r, nframe(r) - 1)->have;

	if (have == 0)
		return bad(r, "A search key is missing.");
	r->frames.n -= sizeof(struct frame);
	return (have == 1 || add_step(r, STEP_AND, have)) && hand_up(r);
}

static bool
read_keys(struct reading *r, const struct arg *a)
{
	if (!open_frame(r, FRAME_LIST, a))
		return false;
	while (r->frames.n > 0) {
		const struct frame *f = frame(r, nframe(r) - 1);
		size_t steps = r->s->steps.n;

		if (f->what == FRAME_LIST && f->next == NULL) {
			if (!close_list(r))
				return false;
		} else if (!read_key(r) || (r->s->steps.n > steps && !hand_up(r)))
			return false;
	}
	return true;
}

static bool
read_return(struct reading *r, const struct arg *list)
{
	static const struct {
		const char *name;
		unsigned bit;
	} options[] = {
	    {"MIN", RETURN_MIN},     {"MAX", RETURN_MAX},   {"ALL", RETURN_ALL},
	    {"COUNT", RETURN_COUNT}, {"SAVE", RETURN_SAVE},
	};

	if (list == NULL || list->type != ARG_LIST)
		return bad(r, "RETURN wants a list.");
	r->s->extended = true;
	for (const struct arg *a = list->child; a != NULL; a = a->next) {
		unsigned bit = 0;

		for (size_t i = 0; i < ARRAY_LEN(options); i++)
			if (arg_is_atom(a, options[i].name))
				bit = options[i].bit;
		if (bit == 0)
			return bad(r, "Unknown option of RETURN.");
		r->s->returns |= bit;
	}
	if (r->s->returns == 0)
		r->s->returns = RETURN_ALL;
	return true;
}

static bool
read_charset(struct reading *r, const struct arg *name)
{
	if (r->scope->utf8)
		return bad(r, "No CHARSET after ENABLE UTF8=ACCEPT.");
	if (!arg_is_astring(name))
		return bad(r, "CHARSET wants a name.");
	r->charset = name->text;
	return charset_known(name->text) ||
	       fail(r, SEARCH_BADCHARSET, "That charset is not known here.");
}

static bool
read_all(struct reading *r, const struct arg *a)
{
	if (arg_is_atom(a, "RETURN")) {
		if (!read_return(r, a->next))
			return false;
		a = a->next->next;
	}
	if (arg_is_atom(a, "CHARSET")) {
		if (!read_charset(r, a->next))
			return false;
		a = a->next->next;
	}
	return read_keys(r, a);
}

enum search_verdict
search_parse(const struct arg *args, const struct search_scope *scope,
             struct arena *arena, struct search *s, const char **why)
{
	struct reading r = {.s = s, .scope = scope, .arena = arena};
	bool done;

	*s = (struct search){0};
	done = read_all(&r, args);
	s->leaf = (struct search_leaf *)(void *)s->leaves.p;
	s->nleaf = s->leaves.n / sizeof *s->leaf;
	/* each leaf is one value at most that waits */
	if (done && buf_room(&s->values, s->nleaf) == NULL)
		done = nomem(&r);
	buf_free(&r.frames);
	*why = r.why;
	return done ? SEARCH_OK : r.verdict;
}

void
search_free(struct search *s)
{
	for (size_t i = 0; i < s->nleaf; i++)
		numset_free(&s->leaf[i].set);
	buf_free(&s->steps);
	buf_free(&s->leaves);
	buf_free(&s->values);
	*s = (struct search){0};
}

/* ---- running it ------------------------------------------------------------------------------------- */

static uint8_t
negate(uint8_t v)
{
	return v == VALUE_YES ? VALUE_NO : v == VALUE_NO ? VALUE_YES : VALUE_UNKNOWN;
}

/* One value of n: `decides` when any of them is that, else unknown when any is. */
static uint8_t
combine(const uint8_t *v, size_t n, enum search_value decides)
{
	uint8_t all = negate((uint8_t)decides);

	for (size_t i = 0; i < n; i++) {
		if (v[i] == decides)
			return v[i];
		if (v[i] == VALUE_UNKNOWN)
			all = VALUE_UNKNOWN;
	}
	return all;
}

enum search_value
search_run(const struct search *s, enum search_value (*leaf)(void *, size_t), void *arg)
{
	const struct search_step *step =
	    (const struct search_step *)(const void *)s->steps.p;
	size_t nstep = s->steps.n / sizeof *step, n = 0;
	uint8_t *v = (uint8_t *)s->values.p;

	for (size_t i = 0; i < nstep; i++) {
		switch (step[i].what) {
		case STEP_LEAF:
			v[n++] = (uint8_t)leaf(arg, step[i].n);
			break;
		case STEP_NOT:
			v[n - 1] = negate(v[n - 1]);
			break;
		case STEP_AND:
		case STEP_OR:
			n -= step[i].n;
			v[n] = combine(v + n, step[i].n,
			               step[i].what == STEP_AND ? VALUE_NO : VALUE_YES);
			n++;
			break;
		}
	}
	return (enum search_value)v[0];
}
