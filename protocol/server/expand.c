#include "protocol/server/expand.h"

#include <errno.h>

static const char unknown[] =
    "a variable is unknown: %u %n %d %h and %% are known, with L, U or a width before "
    "the letter";

/* What a variable's text goes through, in this order. */
struct form {
	size_t skip, width; /* width 0: all */
	enum { AS_IS, LOWER, UPPER } letters;
};

static struct span
name_part(struct span user)
{
	struct span n;

	return span_cut(&user, '@', &n) ? n : user;
}

static struct span
domain_part(struct span user)
{
	struct span n;

	span_cut(&user, '@', &n);
	return user;
}

/* The variable of a letter. -1: there is none. */
static int
by_letter(char c, const struct expand_vars *v, struct span *out)
{
	switch (c) {
	case 'u':
		*out = v->user;
		return 0;
	case 'n':
		*out = name_part(v->user);
		return 0;
	case 'd':
		*out = domain_part(v->user);
		return 0;
	case 'h':
		*out = v->home;
		errno = ENOENT;
		return v->home.n > 0 ? 0 : -1;
	}
	errno = EINVAL;
	return -1;
}

static int
by_name(struct span name, const struct expand_vars *v, struct span *out)
{
	static const struct {
		const char *name;
		char letter;
	} names[] = {{"user", 'u'}, {"username", 'n'}, {"domain", 'd'}, {"home", 'h'}};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_eq(name, span_of(names[i].name)))
			return by_letter(names[i].letter, v, out);
	return -1;
}

/* `{user | username | lower}` without its braces. */
static int
braced(struct span s, const struct expand_vars *v, struct form *f, struct span *out)
{
	struct span part;

	if (!span_cut(&s, '|', &part) || by_name(span_trim(part), v, out) == -1)
		return -1;
	while (span_cut(&s, '|', &part)) {
		part = span_trim(part);
		if (span_eq(part, SPAN("username")))
			*out = name_part(*out);
		else if (span_eq(part, SPAN("domain")))
			*out = domain_part(*out);
		else if (span_eq(part, SPAN("lower")))
			f->letters = LOWER;
		else if (span_eq(part, SPAN("upper")))
			f->letters = UPPER;
		else
			return -1;
	}
	return 0;
}

static size_t
digits(struct span *s)
{
	size_t v = 0;

	while (s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9') {
		if (v < 100000)
			v = v * 10 + (size_t)(s->p[0] - '0');
		*s = span_from(*s, 1);
	}
	return v;
}

static void
letters(struct span *s, struct form *f)
{
	for (; s->n > 0; *s = span_from(*s, 1))
		if (s->p[0] == 'L')
			f->letters = LOWER;
		else if (s->p[0] == 'U')
			f->letters = UPPER;
		else
			break;
}

static void
modifiers(struct span *s, struct form *f)
{
	letters(s, f);
	f->width = digits(s);
	if (s->n > 0 && s->p[0] == '.') {
		*s = span_from(*s, 1);
		f->skip = f->width;
		f->width = digits(s);
	}
	letters(s, f);
}

/* The variable after a %: take it off *s. -1: there is none such. */
static int
variable(struct span *s, const struct expand_vars *v, struct form *f, struct span *out)
{
	const char *end;

	modifiers(s, f);
	if (s->n == 0)
		return -1;
	if (s->p[0] == '%') {
		*out = SPAN("%");
		*s = span_from(*s, 1);
		return 0;
	}
	if (s->p[0] == '{') {
		struct span in;

		if ((end = memchr(s->p, '}', s->n)) == NULL)
			return -1;
		in = (struct span){s->p + 1, (size_t)(end - s->p) - 1};
		*s = span_from(*s, in.n + 2);
		return braced(in, v, f, out);
	}
	if (by_letter(s->p[0], v, out) == -1)
		return -1;
	*s = span_from(*s, 1);
	return 0;
}

static int
add_formed(struct buf *out, struct span s, const struct form *f)
{
	s = span_from(s, f->skip);
	if (f->width != 0 && s.n > f->width)
		s.n = f->width;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (f->letters == LOWER && c >= 'A' && c <= 'Z')
			c = (char)(c + ('a' - 'A'));
		else if (f->letters == UPPER && c >= 'a' && c <= 'z')
			c = (char)(c - ('a' - 'A'));
		if (buf_addc(out, c) == -1)
			return -1;
	}
	return 0;
}

int
expand(struct span t, const struct expand_vars *v, struct buf *out)
{
	while (t.n > 0) {
		struct form f = {0};
		struct span text;

		if (t.p[0] != '%') {
			const char *next = memchr(t.p, '%', t.n);

			text = (struct span){t.p, next ? (size_t)(next - t.p) : t.n};
			t = span_from(t, text.n);
		} else {
			t = span_from(t, 1);
			errno = EINVAL;
			if (variable(&t, v, &f, &text) == -1)
				return -1;
		}
		if (add_formed(out, text, &f) == -1)
			return -1;
	}
	return 0;
}

int
expand_path(struct span t, const struct expand_vars *v, struct buf *out)
{
	if (t.n > 0 && t.p[0] == '~' && (t.n == 1 || t.p[1] == '/')) {
		if (v->home.n == 0) {
			errno = ENOENT;
			return -1;
		}
		if (buf_add(out, v->home) == -1)
			return -1;
		t = span_from(t, 1);
	}
	return expand(t, v, out);
}

const char *
expand_check(struct span t)
{
	const struct expand_vars none = {SPAN("u"), SPAN("h")};
	struct buf b = {.max = 1 << 20};
	const char *why = NULL;

	if (expand(t, &none, &b) == -1)
		why = errno == EINVAL ? unknown : "the value is too long";
	buf_free(&b);
	return why;
}
