#include "protocol/server/shellvars.h"

#include <stdlib.h>

static const char too_long[] = "the value is longer than 16384 octets";
static const char no_end[] = "the quote is never closed";
static const char command[] = "this is a command of the shell, which is not run";
static const char substituted[] =
    "the value comes from a command, which is not run: write what it would say";

/* ---- the text ------------------------------------------------------------------------- */

static bool
at(const struct shellvars *s, char c)
{
	return s->rest.n > 0 && s->rest.p[0] == c;
}

static char
take(struct shellvars *s)
{
	char c = s->rest.p[0];

	s->rest = span_from(s->rest, 1);
	s->line += c == '\n';
	return c;
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void
skip_line(struct shellvars *s)
{
	while (s->rest.n > 0 && take(s) != '\n')
		;
}

/* What stands between two assignments: blanks, ends of lines, `;`, comments. */
static void
skip_between(struct shellvars *s)
{
	while (s->rest.n > 0)
		if (at(s, '#'))
			skip_line(s);
		else if (blank(s->rest.p[0]) || at(s, '\n') || at(s, ';'))
			take(s);
		else if (span_starts(s->rest, SPAN("\\\n")))
			take(s), take(s);
		else
			return;
}

static size_t
name_length(struct span s)
{
	size_t n = 0;

	while (n < s.n &&
	       ((s.p[n] >= 'a' && s.p[n] <= 'z') || (s.p[n] >= 'A' && s.p[n] <= 'Z') ||
	        s.p[n] == '_' || (n > 0 && s.p[n] >= '0' && s.p[n] <= '9')))
		n++;
	return n;
}

/* ---- values --------------------------------------------------------------------------- */

static const char *
put(struct shellvars *s, struct span text)
{
	return buf_add(&s->value, text) == 0 ? NULL : too_long;
}

/* `$NAME` or `${NAME}`; any other `$` is itself. */
static const char *
take_variable(struct shellvars *s)
{
	struct span name = span_from(s->rest, 1);
	bool braced = name.n > 0 && name.p[0] == '{';
	const struct shellvar *v;

	if (name.n > 0 && name.p[0] == '(')
		return substituted;
	if (braced)
		name = span_from(name, 1);
	name.n = name_length(name);
	if (name.n == 0 && !braced) {
		take(s);
		return put(s, SPAN("$"));
	}
	if (braced && (name.n == 0 || name.p + name.n == s->rest.p + s->rest.n ||
	               name.p[name.n] != '}'))
		return "what stands between ${ and } is no name";
	v = shellvars_get(s, name);
	s->rest = span_from(s->rest, 1 + name.n + (braced ? 2 : 0));
	if (v == NULL)
		return NULL;
	if ((s->expanded += strlen(v->value)) > SHELLVARS_EXPANDED_MAX)
		return "variables bring in too much";
	return put(s, span_of(v->value));
}

/* Behind a backslash: an octet that means itself, or an end of line that is none. */
static const char *
take_escaped(struct shellvars *s, const char *special)
{
	struct span both = {s->rest.p, s->rest.n < 2 ? s->rest.n : 2};

	take(s);
	if (s->rest.n == 0)
		return put(s, both);
	if (take(s) == '\n')
		return NULL;
	if (special == NULL || strchr(special, both.p[1]) != NULL)
		both = span_from(both, 1);
	return put(s, both);
}

/* The text in single quotes, from the first of them on. */
static const char *
take_single(struct shellvars *s)
{
	const char *end;
	struct span text;

	take(s);
	if (s->rest.n == 0 || (end = memchr(s->rest.p, '\'', s->rest.n)) == NULL)
		return no_end;
	text = (struct span){s->rest.p, (size_t)(end - s->rest.p)};
	while (s->rest.p < end)
		take(s);
	take(s);
	return put(s, text);
}

static const char *
take_double(struct shellvars *s)
{
	const char *why = NULL;

	take(s);
	while (why == NULL && s->rest.n > 0) {
		if (at(s, '"')) {
			take(s);
			return NULL;
		}
		if (at(s, '$'))
			why = take_variable(s);
		else if (at(s, '\\'))
			why = take_escaped(s, "$`\"\\");
		else if (at(s, '`'))
			why = substituted;
		else {
			struct span one = {s->rest.p, 1};

			take(s);
			why = put(s, one);
		}
	}
	return why != NULL ? why : no_end;
}

/* A word of the shell, into s->value. NULL, or what is wrong. */
static const char *
take_word(struct shellvars *s)
{
	const char *why = NULL;

	while (why == NULL && s->rest.n > 0 && !blank(s->rest.p[0]) && !at(s, '\n') &&
	       !at(s, ';'))
		switch (s->rest.p[0]) {
		case '"':
			why = take_double(s);
			break;
		case '\'':
			why = take_single(s);
			break;
		case '$':
			why = take_variable(s);
			break;
		case '\\':
			why = take_escaped(s, NULL);
			break;
		case '`':
			return substituted;
		case '&':
		case '|':
		case '<':
		case '>':
		case '(':
		case ')':
			return command;
		default:
			why = put(s, (struct span){s->rest.p, 1});
			take(s);
		}
	return why;
}

/* ---- assignments ---------------------------------------------------------------------- */

const struct shellvar *
shellvars_get(const struct shellvars *s, struct span name)
{
	for (size_t i = 0; i < s->n; i++)
		if (span_eq(name, span_of(s->var[i].name)))
			return &s->var[i];
	return NULL;
}

/* The variable's row, made when it is new. NULL: too many, or no memory. */
static struct shellvar *
row(struct shellvars *s, struct span name)
{
	struct shellvar *v = (struct shellvar *)shellvars_get(s, name), *grown;

	if (v != NULL)
		return v;
	if (s->n == SHELLVARS_MAX ||
	    (grown = realloc(s->var, (s->n + 1) * sizeof *grown)) == NULL)
		return NULL;
	s->var = grown;
	grown += s->n;
	*grown = (struct shellvar){.name = strndup(name.p, name.n)};
	if (grown->name == NULL)
		return NULL;
	s->n++;
	return grown;
}

static const char *
assign(struct shellvars *s, struct span name, unsigned line)
{
	struct span value = buf_span(&s->value);
	char *text;
	struct shellvar *v;

	if (value.n > 0 && memchr(value.p, '\0', value.n) != NULL)
		return "a NUL octet: this is not a text file";
	if ((text = strndup(value.n > 0 ? value.p : "", value.n)) == NULL)
		return "out of memory";
	if ((v = row(s, name)) == NULL) {
		free(text);
		return "too many variables, or out of memory";
	}
	free(v->value);
	v->value = text;
	v->line = line;
	return NULL;
}

static enum shellvars_ev
bad(struct shellvars *s, struct shellvars_item *it, const char *why)
{
	it->why = why;
	skip_line(s);
	return SHELLVARS_BAD;
}

enum shellvars_ev
shellvars_next(struct shellvars *s, struct shellvars_item *it)
{
	const char *why;

	skip_between(s);
	*it = (struct shellvars_item){.line = s->line + 1};
	if (s->rest.n == 0)
		return SHELLVARS_END;
	if (span_starts(s->rest, SPAN("export ")))
		s->rest = span_from(s->rest, sizeof "export " - 1);
	it->name = (struct span){s->rest.p, name_length(s->rest)};
	if (it->name.n == 0 || it->name.n == s->rest.n || s->rest.p[it->name.n] != '=')
		return bad(s, it, command);
	s->rest = span_from(s->rest, it->name.n + 1);
	buf_reset(&s->value);
	s->value.max = SHELLVARS_VALUE_MAX;
	if ((why = take_word(s)) != NULL ||
	    (why = assign(s, it->name, it->line)) != NULL)
		return bad(s, it, why);
	it->value = buf_span(&s->value);
	return SHELLVARS_SET;
}

void
shellvars_free(struct shellvars *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->var[i].name);
		free(s->var[i].value);
	}
	free(s->var);
	buf_free(&s->value);
	*s = (struct shellvars){0};
}
