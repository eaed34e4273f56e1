#include "protocol/imap/parser.h"

#define CHUNK_MIN 128 /* octets of text that are allocated at once, at least */

/* What the next octet belongs to. */
enum at {
	AT_TAG,
	AT_NAME,
	AT_ARG,   /* an argument may begin, or the list or the line end */
	AT_TILDE, /* `~`, perhaps of `~{` */
	AT_ATOM,  /* also what follows a section */
	AT_QUOTED,
	AT_ESCAPE, /* behind a `\` in a quoted string */
	AT_AFTER,  /* behind an argument */
	AT_BRACE,  /* `{` up to the end of its line */
	AT_CR,     /* of the end of the command */
	/* from here on octets do not count for limits.line */
	AT_HELD,
	AT_STREAM,
	AT_SWALLOW, /* a literal of a command that is BAD */
	AT_SKIP,    /* the lines of such a command */
};

/* `{n+}` CR LF, as it comes. Also looked for in what is skipped: octets follow it. */
struct brace {
	enum { BRACE_NONE, BRACE_OPEN, BRACE_CLOSED, BRACE_CR, BRACE_END } at;
	bool digits, nonsync;
	uint64_t size; /* UINT64_MAX: that or more */
};

/* A list, or a section, that is open. */
struct frame {
	struct frame *up; /* NULL: the command itself */
	struct arg *arg;
	struct arg **tail; /* where the next argument goes */
	bool section;
};

struct parser_state {
	enum at at;
	enum parser_ev ev; /* told until the caller has acted on it */
	size_t line;       /* octets so far that limits.line counts */
	char tag[PARSER_TAG_MAX];
	struct arg *first;
	struct frame base, *frame;
	unsigned depth, nargs, ntop;
	bool in_section, in_tail;
	struct arg *arg;     /* the one whose text is being read */
	struct span *into;   /* that text, or its tail, or the name */
	struct arg *pending; /* a literal that is announced */
	struct brace brace;
	size_t held;   /* octets of literals */
	uint64_t left; /* octets of the literal */
	struct chunk {
		char *p;
		size_t begin, n, cap; /* begin: of the text that is being read */
	} chunk;
};

void
parser_init(struct parser *p, const struct parser_limits *limits, struct arena *arena)
{
	*p = (struct parser){.limits = *limits, .arena = arena};
}

void
parser_next(struct parser *p)
{
	parser_init(p, &p->limits, p->arena);
}

/* ---- failure ----------------------------------------------------------------------- */

/* The command is BAD. The octet that makes it so has not been taken yet. */
static void
fail(struct parser *p, const char *why)
{
	p->why = why;
	p->state->at = AT_SKIP;
}

static void
fail_memory(struct parser *p)
{
	fail(p, "Command needs too much memory");
}

/* The rest of a literal, which the client is sending, is no more of interest. */
static void
swallow(struct parser *p, uint64_t left)
{
	p->state->left = left;
	p->state->at = left > 0 ? AT_SWALLOW : AT_SKIP;
}

/* What is on its way cannot be stopped, only outlasted, and that not for ever. */
static void
swallow_nonsync(struct parser *p, uint64_t size)
{
	if (size > p->limits.nonsync) {
		p->why = "Literal too large";
		p->state->ev = PARSER_FATAL;
	} else
		swallow(p, size);
}

/* ---- what octets may be ------------------------------------------------------------ */

/* An atom as far as the syntax of a line goes; what fits where is for the commands. */
static bool
is_atom_char(char c)
{
	unsigned char u = (unsigned char)c;

	return u > ' ' && u < 0x7f && c != '(' && c != ')' && c != '{' && c != '"';
}

static bool
is_tag_char(char c)
{
	return is_atom_char(c) && c != '+' && c != '%' && c != '*' && c != '\\';
}

bool
parser_tag_chars(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_tag_char(s.p[i]))
			return false;
	return true;
}

static char
eat(struct span *in)
{
	char c = *in->p;

	*in = span_from(*in, 1);
	return c;
}

/* One octet more. False: it makes this no announcement of a literal. */
static bool
brace_push(struct brace *b, char c)
{
	if (c == '{')
		*b = (struct brace){.at = BRACE_OPEN};
	else if (b->at == BRACE_OPEN && c >= '0' && c <= '9' && !b->nonsync) {
		uint64_t digit = (uint64_t)(c - '0');

		b->digits = true;
		b->size = b->size > (UINT64_MAX - digit) / 10 ? UINT64_MAX
		                                              : b->size * 10 + digit;
	} else if (b->at == BRACE_OPEN && c == '+' && b->digits && !b->nonsync)
		b->nonsync = true;
	else if (b->at == BRACE_OPEN && c == '}' && b->digits)
		b->at = BRACE_CLOSED;
	else if (b->at == BRACE_CLOSED && c == '\r')
		b->at = BRACE_CR;
	else if ((b->at == BRACE_CLOSED || b->at == BRACE_CR) && c == '\n')
		b->at = BRACE_END;
	else
		b->at = BRACE_NONE;
	return b->at != BRACE_NONE;
}

/* ---- text -------------------------------------------------------------------------- */

/* Texts lie one behind the other in chunks; one that outgrows its chunk moves. */
static bool
text_add(struct parser *p, struct span run)
{
	struct chunk *c = &p->state->chunk;
	size_t have = c->n - c->begin;

	if (run.n > c->cap - c->n) {
		size_t cap =
		    (have + run.n) * 2 > CHUNK_MIN ? (have + run.n) * 2 : CHUNK_MIN;
		char *room = arena_alloc(p->arena, cap);

		if (room == NULL)
			return false;
		if (have > 0)
			memcpy(room, c->p + c->begin, have);
		*c = (struct chunk){.p = room, .n = have, .cap = cap};
	}
	if (run.n > 0)
		memcpy(c->p + c->n, run.p, run.n);
	c->n += run.n;
	return true;
}

static void
text_end(struct parser_state *s)
{
	struct chunk *c = &s->chunk;

	*s->into = (struct span){c->p == NULL ? "" : c->p + c->begin, c->n - c->begin};
	c->begin = c->n;
}

/* ---- the tree ---------------------------------------------------------------------- */

static struct arg *
new_arg(struct parser *p, enum arg_type type)
{
	struct arg *a;

	if (p->state->nargs == p->limits.args) {
		fail(p, "Too many arguments");
		return NULL;
	}
	if ((a = arena_alloc(p->arena, sizeof *a)) == NULL) {
		fail_memory(p);
		return NULL;
	}
	p->state->nargs++;
	a->type = type;
	a->text = SPAN("");
	return a;
}

static void
link_arg(struct parser *p, struct arg *a)
{
	struct parser_state *s = p->state;

	*s->frame->tail = a;
	s->frame->tail = &a->next;
	if (s->depth == 0)
		s->ntop++;
	p->cmd.args = s->first;
}

/* Begin an argument with a text. False: the command has failed. */
static bool
begin(struct parser *p, enum arg_type type, enum at at)
{
	struct arg *a = new_arg(p, type);

	if (a == NULL)
		return false;
	link_arg(p, a);
	p->state->arg = a;
	p->state->into = &a->text;
	p->state->in_tail = false;
	p->state->at = at;
	return true;
}

/* What comes now is inside `a`. */
static void
descend(struct parser *p, struct arg *a, bool section)
{
	struct parser_state *s = p->state;
	struct frame *f;

	if (s->depth == p->limits.depth) {
		fail(p, "Too many lists within lists");
		return;
	}
	if ((f = arena_alloc(p->arena, sizeof *f)) == NULL) {
		fail_memory(p);
		return;
	}
	*f = (struct frame){s->frame, a, &a->child, section};
	s->frame = f;
	s->depth++;
	s->in_section |= section;
	s->at = AT_ARG;
}

static void
open_list(struct parser *p, struct span *in)
{
	struct arg *a = new_arg(p, ARG_LIST);

	if (a == NULL)
		return;
	link_arg(p, a);
	descend(p, a, false);
	if (p->why == NULL)
		(void)eat(in);
}

static void
close_list(struct parser *p, struct span *in)
{
	struct parser_state *s = p->state;

	if (s->frame->up == NULL || s->frame->section) {
		fail(p, "Unexpected )");
		return;
	}
	(void)eat(in);
	s->frame = s->frame->up;
	s->depth--;
	s->at = AT_AFTER;
}

static void
open_section(struct parser *p, struct span *in)
{
	struct arg *a =
	    (struct arg *)((char *)p->state->into - offsetof(struct arg, text));

	a->has_section = true;
	a->tail = SPAN("");
	descend(p, a, true);
	if (p->why == NULL)
		(void)eat(in);
}

static void
close_section(struct parser *p, struct span *in)
{
	struct parser_state *s = p->state;

	(void)eat(in);
	s->into = &s->frame->arg->tail;
	s->in_tail = true;
	s->in_section = false;
	s->frame = s->frame->up;
	s->depth--;
	s->at = AT_ATOM;
}

/* ---- the end of a line ------------------------------------------------------------- */

static void
finish(struct parser *p)
{
	struct parser_state *s = p->state;

	if (p->cmd.tag.n == 0)
		p->why = "Empty command";
	else if (p->cmd.name.n == 0)
		p->why = "Missing command";
	else if (s->frame->up != NULL)
		p->why = s->frame->section ? "Missing ]" : "Missing )";
	s->ev = p->why == NULL ? PARSER_COMMAND : PARSER_BAD;
}

/* A CR or LF is next. */
static void
end_line(struct parser *p, struct span *in)
{
	if (eat(in) == '\n')
		finish(p);
	else
		p->state->at = AT_CR;
}

static void
step_cr(struct parser *p, struct span *in)
{
	if (*in->p == '\n')
		end_line(p, in);
	else
		fail(p, "CR without LF");
}

/* ---- tag and name ------------------------------------------------------------------ */

static void
fail_tag(struct parser *p, const char *why)
{
	p->cmd.tag = (struct span){NULL, 0}; /* nothing to answer under */
	fail(p, why);
}

static void
step_tag(struct parser *p, struct span *in)
{
	struct parser_state *s = p->state;
	size_t n = p->cmd.tag.n;
	char c = *in->p;

	if (is_tag_char(c)) {
		if (n == PARSER_TAG_MAX) {
			fail_tag(p, "Tag too long");
			return;
		}
		s->tag[n] = eat(in);
		p->cmd.tag = (struct span){s->tag, n + 1};
	} else if (c == ' ' && n > 0) {
		(void)eat(in);
		s->into = &p->cmd.name;
		s->at = AT_NAME;
	} else if (c == '\r' || c == '\n')
		end_line(p, in);
	else
		fail_tag(p, "Invalid tag");
}

static void
end_name(struct parser *p)
{
	struct parser_state *s = p->state;

	text_end(s);
	if (!p->cmd.uid && span_caseeq(p->cmd.name, SPAN("UID"))) {
		p->cmd.uid = true;
		p->cmd.name = (struct span){NULL, 0};
		return;
	}
	s->at = AT_ARG;
}

static size_t
atom_run(struct span in)
{
	size_t n = 0;

	while (n < in.n && is_atom_char(in.p[n]))
		n++;
	return n;
}

static void
step_name(struct parser *p, struct span *in)
{
	size_t n = atom_run(*in);

	if (!text_add(p, (struct span){in->p, n})) {
		fail_memory(p);
		return;
	}
	*in = span_from(*in, n);
	if (in->n == 0)
		return;
	if (*in->p != ' ' && *in->p != '\r' && *in->p != '\n') {
		fail(p, "Invalid command name");
		return;
	}
	end_name(p);
	if (*in->p != ' ')
		end_line(p, in);
	else if (p->cmd.name.n == 0 && !p->cmd.uid)
		fail(p, "Missing command");
	else
		(void)eat(in);
}

/* ---- arguments --------------------------------------------------------------------- */

/* `{` is next. The argument is linked only when the caller has decided. */
static void
open_brace(struct parser *p, struct span *in, bool literal8)
{
	struct parser_state *s = p->state;

	if ((s->pending = new_arg(p, ARG_LITERAL)) == NULL)
		return;
	s->pending->literal8 = literal8;
	(void)brace_push(&s->brace, eat(in));
	s->at = AT_BRACE;
}

static void
step_arg(struct parser *p, struct span *in)
{
	struct parser_state *s = p->state;

	switch (*in->p) {
	case ' ':
		(void)eat(in);
		return;
	case '\r':
	case '\n':
		end_line(p, in);
		return;
	case '(':
		open_list(p, in);
		return;
	case ')':
		close_list(p, in);
		return;
	case '{':
		open_brace(p, in, false);
		return;
	case '~':
		(void)eat(in);
		s->at = AT_TILDE;
		return;
	case '"':
		if (begin(p, ARG_QUOTED, AT_QUOTED))
			(void)eat(in);
		return;
	case ']':
		if (s->frame->section) {
			close_section(p, in);
			return;
		}
	}
	(void)begin(p, ARG_ATOM, AT_ATOM);
}

static void
step_tilde(struct parser *p, struct span *in)
{
	if (*in->p == '{')
		open_brace(p, in, true);
	else if (begin(p, ARG_ATOM, AT_ATOM) && !text_add(p, SPAN("~")))
		fail_memory(p);
}

/* As the next octet of an atom `c` begins a section. */
static bool
opens_section(const struct parser *p, char c)
{
	const struct parser_state *s = p->state;

	return c == '[' && !s->in_section && !s->in_tail &&
	       span_caseeq(p->cmd.name, SPAN("FETCH"));
}

static size_t
arg_run(const struct parser *p, struct span in)
{
	bool opens = opens_section(p, '['), closes = p->state->frame->section;
	size_t n = 0;

	while (n < in.n && is_atom_char(in.p[n]) && !(opens && in.p[n] == '[') &&
	       !(closes && in.p[n] == ']'))
		n++;
	return n;
}

static void
step_atom(struct parser *p, struct span *in)
{
	struct parser_state *s = p->state;
	size_t n = arg_run(p, *in);

	if (!text_add(p, (struct span){in->p, n})) {
		fail_memory(p);
		return;
	}
	*in = span_from(*in, n);
	if (in->n == 0)
		return;
	switch (*in->p) {
	case ' ':
	case ')':
	case ']':
	case '\r':
	case '\n':
		text_end(s);
		s->at = AT_AFTER;
		return;
	case '[':
		text_end(s);
		open_section(p, in);
		return;
	default:
		fail(p, "Invalid character in atom");
	}
}

static void
step_quoted(struct parser *p, struct span *in)
{
	struct parser_state *s = p->state;
	size_t n = 0;

	while (n < in->n && strchr("\"\\\r\n", in->p[n]) == NULL) /* NUL is found too */
		n++;
	if (!text_add(p, (struct span){in->p, n})) {
		fail_memory(p);
		return;
	}
	*in = span_from(*in, n);
	if (in->n == 0)
		return;
	if (*in->p == '"') {
		(void)eat(in);
		text_end(s);
		s->at = AT_AFTER;
	} else if (*in->p == '\\') {
		(void)eat(in);
		s->at = AT_ESCAPE;
	} else
		fail(p, "Invalid character in quoted string");
}

static void
step_escape(struct parser *p, struct span *in)
{
	if (*in->p != '"' && *in->p != '\\')
		fail(p, "Invalid escape in quoted string");
	else if (!text_add(p, (struct span){in->p, 1}))
		fail_memory(p);
	else {
		(void)eat(in);
		p->state->at = AT_QUOTED;
	}
}

static void
step_after(struct parser *p, struct span *in)
{
	switch (*in->p) {
	case ' ':
		(void)eat(in);
		p->state->at = AT_ARG;
		return;
	case '\r':
	case '\n':
		end_line(p, in);
		return;
	case ')':
		close_list(p, in);
		return;
	case ']':
		if (p->state->frame->section) {
			close_section(p, in);
			return;
		}
	}
	fail(p, "Missing space between arguments");
}

/* ---- literals ---------------------------------------------------------------------- */

static void
announce(struct parser *p)
{
	struct parser_state *s = p->state;

	p->literal = (struct parser_literal){
	    .size = s->brace.size,
	    .sync = !s->brace.nonsync,
	    .literal8 = s->pending->literal8,
	    .depth = s->depth,
	    .index = s->depth == 0 ? s->ntop : s->ntop - 1,
	};
	s->brace = (struct brace){0};
	s->ev = PARSER_LITERAL;
	if (p->literal.size > INT64_MAX) /* number64 */
		parser_refuse(p, "Literal too large");
}

static void
step_brace(struct parser *p, struct span *in)
{
	struct brace next = p->state->brace;

	if (*in->p == '{' || !brace_push(&next, *in->p)) {
		fail(p, "Invalid literal");
		return;
	}
	(void)eat(in);
	p->state->brace = next;
	if (next.at == BRACE_END)
		announce(p);
}

/* Its octets come now. */
static void
take(struct parser *p, enum arg_type type, enum at at)
{
	struct parser_state *s = p->state;

	s->pending->type = type;
	link_arg(p, s->pending);
	s->into = &s->pending->text;
	s->left = p->literal.size;
	s->at = s->left > 0 ? at : AT_AFTER;
	s->ev = PARSER_MORE;
}

bool
parser_accept(struct parser *p)
{
	struct parser_state *s = p->state;

	if (p->literal.size > p->limits.memory - s->held) {
		parser_refuse(p, "Literal too large");
		return false;
	}
	s->held += (size_t)p->literal.size;
	take(p, ARG_LITERAL, AT_HELD);
	return true;
}

void
parser_stream(struct parser *p)
{
	take(p, ARG_STREAM, AT_STREAM);
}

void
parser_refuse(struct parser *p, const char *why)
{
	p->why = why;
	p->state->ev = p->literal.sync ? PARSER_BAD : PARSER_MORE;
	if (!p->literal.sync)
		swallow_nonsync(p, p->literal.size);
}

/* The octets of the literal in `in` up to a NUL that may not be there; empty: it is first. */
static struct span
literal_run(const struct parser *p, struct span in)
{
	if (in.n > p->state->left)
		in.n = (size_t)p->state->left;
	return in;
}

static void
literal_take(struct parser *p, struct span run, struct span *in)
{
	*in = span_from(*in, run.n);
	p->state->left -= run.n;
}

/* What is held may become a name or a key: a NUL ends nothing there, so there is none. */
static bool
holds_nul(struct parser *p, struct span run)
{
	if (p->literal.literal8 || memchr(run.p, '\0', run.n) == NULL)
		return false;
	p->why = "NUL in a literal that is no literal8";
	swallow(p, p->state->left);
	return true;
}

static void
step_held(struct parser *p, struct span *in)
{
	struct parser_state *s = p->state;
	struct span run = literal_run(p, *in);

	literal_take(p, run, in);
	if (holds_nul(p, run))
		return;
	if (!text_add(p, run)) {
		fail_memory(p);
		swallow(p, s->left);
		return;
	}
	if (s->left == 0) {
		text_end(s);
		s->at = AT_AFTER;
	}
}

static void
step_stream(struct parser *p, struct span *in)
{
	struct span run = literal_run(p, *in);

	literal_take(p, run, in);
	p->octets = run;
	p->state->ev = PARSER_OCTETS;
	if (p->state->left == 0)
		p->state->at = AT_AFTER;
}

/* ---- after a failure --------------------------------------------------------------- */

static void
step_swallow(struct parser *p, struct span *in)
{
	struct parser_state *s = p->state;
	size_t n = in->n < s->left ? in->n : (size_t)s->left;

	*in = span_from(*in, n);
	swallow(p, s->left - n);
}

/* To the end of the line, and on over each literal that is sent without being asked for. */
static void
step_skip(struct parser *p, struct span *in)
{
	struct parser_state *s = p->state;

	while (in->n > 0) {
		char c = eat(in);

		(void)brace_push(&s->brace, c);
		if (c != '\n')
			continue;
		if (s->brace.at == BRACE_END && s->brace.nonsync)
			swallow_nonsync(p, s->brace.size);
		else
			s->ev = PARSER_BAD;
		s->brace = (struct brace){0};
		return;
	}
}

/* ---- the machine ------------------------------------------------------------------- */

static void (*const steps[])(struct parser *, struct span *in) = {
    [AT_TAG] = step_tag,         [AT_NAME] = step_name,   [AT_ARG] = step_arg,
    [AT_TILDE] = step_tilde,     [AT_ATOM] = step_atom,   [AT_QUOTED] = step_quoted,
    [AT_ESCAPE] = step_escape,   [AT_AFTER] = step_after, [AT_BRACE] = step_brace,
    [AT_CR] = step_cr,           [AT_HELD] = step_held,   [AT_STREAM] = step_stream,
    [AT_SWALLOW] = step_swallow, [AT_SKIP] = step_skip,
};

/* A step with no more in sight than limits.line still allows. */
static void
step_counted(struct parser *p, struct span *in)
{
	size_t room = p->limits.line - p->state->line;
	struct span view = {in->p, in->n < room ? in->n : room};
	size_t before = view.n;

	if (room == 0) {
		fail(p, "Command too long");
		return;
	}
	steps[p->state->at](p, &view);
	p->state->line += before - view.n;
	*in = span_from(*in, before - view.n);
}

static bool
start(struct parser *p)
{
	struct parser_state *s = arena_alloc(p->arena, sizeof *s);

	if (s == NULL) {
		p->why = "Out of memory";
		return false;
	}
	s->base.tail = &s->first;
	s->frame = &s->base;
	p->state = s;
	return true;
}

enum parser_ev
parser_push(struct parser *p, struct span *in)
{
	struct parser_state *s;
	enum parser_ev ev;

	if (p->state == NULL && in->n == 0)
		return PARSER_MORE; /* who says nothing costs nothing */
	if (p->state == NULL && !start(p))
		return PARSER_FATAL;
	s = p->state;
	while (s->ev == PARSER_MORE && in->n > 0)
		if (s->at < AT_HELD)
			step_counted(p, in);
		else
			steps[s->at](p, in);
	if ((ev = s->ev) == PARSER_OCTETS)
		s->ev = PARSER_MORE;
	return ev;
}
