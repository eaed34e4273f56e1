#include "protocol/imap/section.h"

#include <stdlib.h>
#include <strings.h>

#include "protocol/imap/print.h"
#include "storage/base/num.h"

/* ---- what is in the brackets ------------------------------------------------------------- */

/* Take `1.2.` off the front. */
static bool
take_numbers(struct span *text, struct arena *arena, struct section *s,
             const char **why)
{
	uint32_t numbers[SECTION_DEPTH_MAX], *copy;
	struct span rest = *text, one;

	while (rest.n > 0 && rest.p[0] >= '0' && rest.p[0] <= '9') {
		*why = "A part number is too large, or there are too many.";
		(void)span_cut(&rest, '.', &one);
		if (s->n == SECTION_DEPTH_MAX || num_u32(one, &numbers[s->n]) == -1)
			return false;
		*why = "Part numbers begin at 1.";
		if (numbers[s->n++] == 0)
			return false;
		*why = "A section does not end in a dot.";
		if (rest.n == 0 && text->p[text->n - 1] == '.')
			return false;
	}
	*text = rest;
	*why = "Out of memory.";
	if ((copy = arena_alloc(arena, (s->n + 1) * sizeof *copy)) == NULL)
		return false;
	memcpy(copy, numbers, s->n * sizeof *copy);
	s->numbers = copy;
	return true;
}

static const struct {
	const char *name;
	enum section_kind kind;
} kinds[] = {
    {"", SECTION_ALL},
    {"HEADER", SECTION_HEADER},
    {"HEADER.FIELDS", SECTION_FIELDS},
    {"HEADER.FIELDS.NOT", SECTION_FIELDS_NOT},
    {"TEXT", SECTION_TEXT},
    {"MIME", SECTION_MIME},
};

static bool
has_fields(const struct section *s)
{
	return s->kind == SECTION_FIELDS || s->kind == SECTION_FIELDS_NOT;
}

static bool
take_kind(struct span text, struct section *s, const char **why)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (span_caseeq(text, span_of(kinds[i].name))) {
			s->kind = kinds[i].kind;
			*why = "MIME needs a part number.";
			return s->kind != SECTION_MIME || s->n > 0;
		}
	*why = "No such section.";
	return false;
}

static int
by_name(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return x->n == 0 ? 0 : strncasecmp(x->p, y->p, x->n);
}

/* Many names and a header of many fields: each is to be found soon. */
static bool
sort_fields(struct section *s, struct arena *arena)
{
	struct span *names;
	size_t n = 0;

	for (const struct arg *f = s->fields; f != NULL; f = f->next)
		n++;
	if ((names = arena_alloc(arena, n * sizeof *names)) == NULL)
		return false;
	for (const struct arg *f = s->fields; f != NULL; f = f->next)
		names[s->nnames++] = f->text;
	qsort(names, n, sizeof *names, by_name);
	s->names = names;
	return true;
}

bool
section_names(const struct section *s, struct span name)
{
	return s->nnames > 0 &&
	       bsearch(&name, s->names, s->nnames, sizeof name, by_name) != NULL;
}

static bool
take_fields(const struct arg *a, struct arena *arena, struct section *s,
            const char **why)
{
	*why = "Names of header fields are missing.";
	if (a == NULL || a->type != ARG_LIST || a->child == NULL || a->next != NULL)
		return false;
	*why = "A header field's name is a string.";
	for (const struct arg *f = a->child; f != NULL; f = f->next)
		if (!arg_is_astring(f))
			return false;
	s->fields = a->child;
	*why = "Out of memory.";
	return sort_fields(s, arena);
}

/* `<from.count>` */
static bool
take_partial(struct span text, struct section *s, const char **why)
{
	struct span from;

	if (text.n == 0)
		return true;
	*why = "A partial range is <first.count>, count not 0.";
	if (text.n < 2 || text.p[0] != '<' || text.p[text.n - 1] != '>')
		return false;
	text = (struct span){text.p + 1, text.n - 2};
	s->partial = true;
	return span_cut(&text, '.', &from) && num_u64(from, &s->from) == 0 &&
	       num_u64(text, &s->count) == 0 && s->count > 0;
}

/* ---- the label ------------------------------------------------------------------------------ */

static int
add_fields(const struct section *s, struct buf *b)
{
	int rc = buf_addf(b, " (");

	for (const struct arg *f = s->fields; f != NULL && rc == 0; f = f->next) {
		rc = f->type == ARG_ATOM ? buf_add(b, f->text)
		                         : imap_print_string(b, f->text);
		if (rc == 0 && f->next != NULL)
			rc = buf_addc(b, ' ');
	}
	return rc == 0 ? buf_addc(b, ')') : -1;
}

static int
add_label(const struct section *s, struct buf *b)
{
	const char *name = s->size ? "BINARY.SIZE" : s->binary ? "BINARY" : "BODY";
	int rc = buf_addf(b, "%s[", name);

	for (size_t i = 0; i < s->n && rc == 0; i++)
		rc = buf_addf(b, "%s%u", i > 0 ? "." : "", s->numbers[i]);
	if (rc == 0 && s->kind != SECTION_ALL)
		rc = buf_addf(b, "%s%s", s->n > 0 ? "." : "", kinds[s->kind].name);
	if (rc == 0 && has_fields(s))
		rc = add_fields(s, b);
	if (rc == 0)
		rc = buf_addc(b, ']');
	if (rc == 0 && s->partial)
		rc = buf_addf(b, "<%ju>", (uintmax_t)s->from);
	return rc;
}

static bool
make_label(struct section *s, struct arena *arena)
{
	struct buf b = {0};
	bool good = add_label(s, &b) == 0;

	if (good)
		s->label = arena_copy(arena, buf_span(&b));
	buf_free(&b);
	return good && s->label.p != NULL;
}

/* ---- parsing ---------------------------------------------------------------------------------- */

bool
section_parse(const struct arg *a, struct arena *arena, struct section *s,
              const char **why)
{
	static const struct {
		const char *name;
		bool peek, binary, size;
	} names[] = {
	    {"BODY", false, false, false},     {"BODY.PEEK", true, false, false},
	    {"BINARY", false, true, false},    {"BINARY.PEEK", true, true, false},
	    {"BINARY.SIZE", true, true, true},
	};
	const struct arg *in = a->child;
	struct span text = in != NULL ? in->text : SPAN("");
	size_t i;

	*s = (struct section){0};
	*why = "No such item of FETCH.";
	for (i = 0; !span_caseeq(a->text, span_of(names[i].name));)
		if (++i == ARRAY_LEN(names))
			return false;
	s->peek = names[i].peek;
	s->binary = names[i].binary;
	s->size = names[i].size;
	*why = "No such section.";
	if (in != NULL && (in->type != ARG_ATOM || in->has_section))
		return false;
	if (!take_numbers(&text, arena, s, why) || !take_kind(text, s, why) ||
	    !take_partial(a->tail, s, why))
		return false;
	*why = "BINARY takes part numbers only.";
	if (s->binary && s->kind != SECTION_ALL)
		return false;
	*why = "BINARY.SIZE takes no range.";
	if (s->size && s->partial)
		return false;
	*why = "Something follows the section.";
	if (!has_fields(s) && in != NULL && in->next != NULL)
		return false;
	if (has_fields(s) && !take_fields(in->next, arena, s, why))
		return false;
	*why = "Out of memory.";
	return make_label(s, arena);
}

bool
section_rfc822(const struct arg *a, struct section *s)
{
	static const struct {
		const char *name;
		enum section_kind kind;
		bool peek;
	} names[] = {{"RFC822", SECTION_ALL, false},
	             {"RFC822.HEADER", SECTION_HEADER, true},
	             {"RFC822.TEXT", SECTION_TEXT, false}};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (arg_is_atom(a, names[i].name)) {
			*s = (struct section){.kind = names[i].kind,
			                      .peek = names[i].peek,
			                      .label = span_of(names[i].name)};
			return true;
		}
	return false;
}
