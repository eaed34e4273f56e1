#include "protocol/pop3/uidl.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "storage/base/hash.h"
#include "storage/base/num.h"

enum { DIGITS_HEX = 8, DIGITS_DECIMAL = 10 }; /* of a 32-bit number */

/* ---- compiling --------------------------------------------------------------------------- */

/* What is left of the format while it is compiled. */
struct source {
	struct span rest;
	struct uidl *u;
	size_t ntext; /* octets of u->text in use */
	const char *why;
};

static int
no(struct source *s, const char *why)
{
	s->why = why;
	return -1;
}

static struct uidl_part *
add_part(struct source *s)
{
	if (s->u->npart == UIDL_PART_MAX) {
		s->why = "it has too many parts";
		return NULL;
	}
	return &s->u->part[s->u->npart++];
}

static int
add_text(struct source *s, char c)
{
	struct uidl_part *p = s->u->npart > 0 ? &s->u->part[s->u->npart - 1] : NULL;

	if (c < 0x21 || c > 0x7e)
		return no(s, "a unique id has no blanks and no 8-bit characters");
	if (p == NULL || p->what != UIDL_TEXT) {
		if ((p = add_part(s)) == NULL)
			return -1;
		*p = (struct uidl_part){.what = UIDL_TEXT, .off = (uint8_t)s->ntext};
	}
	s->u->text[s->ntext++] = c;
	p->n++;
	return 0;
}

static int
add_variable(struct source *s, struct uidl_part part)
{
	struct uidl_part *p;

	if (part.what == UIDL_NAME && part.letters != UIDL_AS_IS)
		return no(s, "names that differ in case only would come out alike");
	if ((p = add_part(s)) == NULL)
		return -1;
	*p = part;
	s->u->needs_name |= part.what == UIDL_NAME;
	return 0;
}

static const struct {
	char letter;
	const char *name;
	int what; /* -1: known, but not to be had */
} variables[] = {
    {'u', "uid", UIDL_UID},
    {'v', "uidvalidity", UIDL_VALIDITY},
    {'f', "filename", UIDL_NAME},
    {'g', "guid", UIDL_NAME},
    {'m', "md5", -1},
};

static const char no_md5[] = "%m (MD5 of the header) is only known for mbox files";

static int
take_letter(struct source *s, struct uidl_part *part)
{
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		if (variables[i].letter == s->rest.p[0]) {
			s->rest = span_from(s->rest, 1);
			if (variables[i].what == -1)
				return no(s, no_md5);
			part->what = (unsigned)variables[i].what;
			return 0;
		}
	return no(s, "%u, %v, %f, %g and %% are the variables");
}

/* Digits of a width: with a leading 0 a filling, else a cut, which must cut nothing. */
static int
take_width(struct source *s, struct uidl_part *part, unsigned *cut)
{
	bool fill = s->rest.n > 0 && s->rest.p[0] == '0';
	unsigned width = 0;

	while (s->rest.n > 0 && s->rest.p[0] >= '0' && s->rest.p[0] <= '9') {
		width = width * 10 + (unsigned)(s->rest.p[0] - '0');
		if (width > UIDL_MAX)
			return no(s, "a width is larger than a unique id may be");
		s->rest = span_from(s->rest, 1);
	}
	if (fill)
		part->zeros = (uint8_t)width;
	else
		*cut = width;
	return 0;
}

static void
take_modifiers(struct source *s, struct uidl_part *part)
{
	for (; s->rest.n > 0; s->rest = span_from(s->rest, 1))
		switch (s->rest.p[0]) {
		case 'X':
			part->hex = true;
			break;
		case 'L':
			part->letters = UIDL_LOWER;
			break;
		case 'U':
			part->letters = UIDL_UPPER;
			break;
		default:
			return;
		}
}

/* `%08Xu`, after its percent sign. */
static int
compile_short(struct source *s)
{
	struct uidl_part part = {0};
	unsigned cut = 0;

	if (take_width(s, &part, &cut) == -1)
		return -1;
	take_modifiers(s, &part);
	if (s->rest.n == 0)
		return no(s, "it ends in the middle of a variable");
	if (take_letter(s, &part) == -1)
		return -1;
	if (part.what == UIDL_NAME && (part.hex || part.zeros > 0 || cut > 0))
		return no(s, "a name has neither width nor hexadecimal form");
	if (cut > 0 && cut < (part.hex ? DIGITS_HEX : DIGITS_DECIMAL))
		return no(s, "a width without a leading 0 would cut numbers");
	return add_variable(s, part);
}

/* ` | hex(8)` and the like, of one variable in braces. */
static int
take_filter(struct source *s, struct span filter, struct uidl_part *part)
{
	struct span name, arg = filter;
	uint32_t width = 0;

	if (span_eq(filter, SPAN("lower")) || span_eq(filter, SPAN("upper"))) {
		part->letters = filter.p[0] == 'l' ? UIDL_LOWER : UIDL_UPPER;
		return 0;
	}
	(void)span_cut(&arg, '(', &name);
	if (!span_eq(name, SPAN("hex")) || part->what == UIDL_NAME)
		return no(s, "hex(N) of a number, lower and upper are the filters");
	part->hex = true;
	if (name.n == filter.n)
		return 0;
	if (arg.n < 2 || arg.p[arg.n - 1] != ')')
		return no(s, "hex(N) lacks its number");
	arg.n--;
	if (num_u32(arg, &width) == -1 || width > UIDL_MAX)
		return no(s, "hex(N) lacks a sensible number");
	if (width < DIGITS_HEX)
		return no(s, "hex(N) below 8 would cut numbers");
	part->zeros = (uint8_t)width;
	return 0;
}

/* `%{uid | hex(8)}`, after its opening brace. */
static int
compile_long(struct source *s)
{
	const char *end = memchr(s->rest.p, '}', s->rest.n);
	struct uidl_part part = {0};
	struct span inner, word;

	if (end == NULL)
		return no(s, "a brace is not closed");
	inner = (struct span){s->rest.p, (size_t)(end - s->rest.p)};
	s->rest = span_from(s->rest, inner.n + 1);
	if (!span_cut(&inner, '|', &word))
		return no(s, "%{} names no variable");
	word = span_trim(word);
	for (size_t i = 0;; i++) {
		if (i == ARRAY_LEN(variables))
			return no(
			    s, "uid, uidvalidity, filename and guid are the variables");
		if (!span_eq(word, span_of(variables[i].name)))
			continue;
		if (variables[i].what == -1)
			return no(s, no_md5);
		part.what = (unsigned)variables[i].what;
		break;
	}
	while (span_cut(&inner, '|', &word))
		if (take_filter(s, span_trim(word), &part) == -1)
			return -1;
	return add_variable(s, part);
}

static int
compile_one(struct source *s)
{
	char c = s->rest.p[0];

	s->rest = span_from(s->rest, 1);
	if (c != '%')
		return add_text(s, c);
	if (s->rest.n == 0)
		return no(s, "it ends in the middle of a variable");
	c = s->rest.p[0];
	if (c != '%' && c != '{')
		return compile_short(s);
	s->rest = span_from(s->rest, 1);
	return c == '%' ? add_text(s, c) : compile_long(s);
}

static size_t
longest(const struct uidl_part *p)
{
	size_t digits = p->hex ? DIGITS_HEX : DIGITS_DECIMAL;

	switch (p->what) {
	case UIDL_TEXT:
		return p->n;
	case UIDL_UID:
	case UIDL_VALIDITY:
		return digits > p->zeros ? digits : p->zeros;
	case UIDL_NAME:
		return 0; /* however long it comes out, uidl_conform() helps */
	}
	return 0;
}

/*
 * Two numbers side by side may run into each other (`%u%v`), but UIDVALIDITY is one and
 * the same within a mailbox, so distinct UIDs stay distinct.
 */
static int
verify(struct source *s)
{
	bool unique = false;
	size_t n = 0;

	for (size_t i = 0; i < s->u->npart; i++) {
		const struct uidl_part *p = &s->u->part[i];

		unique |= p->what == UIDL_UID || p->what == UIDL_NAME;
		n += longest(p);
	}
	if (!unique)
		return no(s, "without %u, %f or %g all messages would look the same");
	if (n > UIDL_MAX)
		return no(s, "it may come out longer than 70 characters");
	return 0;
}

int
uidl_compile(struct span format, struct uidl *u, const char **why)
{
	struct source s = {.rest = format, .u = u};

	*u = (struct uidl){0};
	if (format.n > UIDL_FORMAT_MAX) {
		*why = "it is too long";
		return -1;
	}
	while (s.rest.n > 0)
		if (compile_one(&s) == -1)
			goto bad;
	if (verify(&s) == 0)
		return 0;
bad:
	*why = s.why;
	return -1;
}

/* ---- printing ---------------------------------------------------------------------------- */

/* Room for every part at its longest: nothing is cut, so nothing comes out alike. */
struct room {
	char p[UIDL_PART_MAX * NAME_MAX + UIDL_FORMAT_MAX];
	size_t n;
};

static void
put(struct room *room, struct span s)
{
	if (s.n > 0)
		memcpy(room->p + room->n, s.p, s.n);
	room->n += s.n;
}

static void
put_number(struct room *room, const struct uidl_part *p, uint32_t number)
{
	char digits[UIDL_MAX + 16];
	int n =
	    snprintf(digits, sizeof digits, p->hex ? "%0*x" : "%0*u", p->zeros, number);

	put(room, (struct span){digits, (size_t)n});
}

static void
change_case(char *p, const char *end, bool upper)
{
	for (; p < end; p++)
		if (upper && *p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
		else if (!upper && *p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
}

size_t
uidl_print(const struct uidl *u, uint32_t uidvalidity, uint32_t uid, struct span name,
           char out[static UIDL_MAX])
{
	struct room room = {.n = 0};

	if (name.n > NAME_MAX) /* no file system has such a name */
		name.n = NAME_MAX;
	for (const struct uidl_part *p = u->part; p < u->part + u->npart; p++) {
		size_t from = room.n;

		switch (p->what) {
		case UIDL_TEXT:
			put(&room, (struct span){u->text + p->off, p->n});
			break;
		case UIDL_UID:
			put_number(&room, p, uid);
			break;
		case UIDL_VALIDITY:
			put_number(&room, p, uidvalidity);
			break;
		case UIDL_NAME:
			put(&room, name);
			break;
		}
		if (p->letters != UIDL_AS_IS)
			change_case(room.p + from, room.p + room.n,
			            p->letters == UIDL_UPPER);
	}
	return uidl_conform((struct span){room.p, room.n}, out);
}

static bool
conforms(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	return s.n > 0 && s.n <= UIDL_MAX;
}

size_t
uidl_conform(struct span name, char out[static UIDL_MAX])
{
	static const struct hash_key second = {.k0 = 1};

	if (conforms(name)) {
		memcpy(out, name.p, name.n);
		return name.n;
	}
	return (size_t)snprintf(out, UIDL_MAX, "~%016" PRIx64 "%016" PRIx64,
	                        hash64(&hash_fixed, name), hash64(&second, name));
}
