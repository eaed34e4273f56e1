#include "protocol/server/expand.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "storage/base/num.h"

#define TEXT_MAX      65536 /* octets of a variable on its way through modifiers */
#define MODIFIERS_MAX 10
#define WIDTH_MAX     100000

static const char unknown[] =
    "a variable is unknown: %u %n %d %h and %% are known, with a width and L U R T E D "
    "X M H "
    "N before the letter, and %{user}, %{username}, %{domain}, %{home} with filters";

/* How a variable's text is cut; H and N take both numbers for themselves. */
struct form {
	int offset, width; /* width 0: all; negative: so many before the end */
	bool zeros;
};

/* ---- variables ------------------------------------------------------------------------ */

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
	errno = EINVAL;
	return -1;
}

/* ---- what a text goes through --------------------------------------------------------- */

/* Each replaces the text: 0, or -1 errno. */
typedef int change(struct buf *text, struct form *);

static int
replace(struct buf *text, struct span by)
{
	struct buf fresh = {.max = TEXT_MAX};

	if (buf_add(&fresh, by) == -1) {
		buf_free(&fresh);
		return -1;
	}
	buf_free(text);
	*text = fresh;
	return 0;
}

static int
lower(struct buf *text, struct form *f)
{
	(void)f;
	for (size_t i = 0; i < text->n; i++)
		if (text->p[i] >= 'A' && text->p[i] <= 'Z')
			text->p[i] = (char)(text->p[i] + ('a' - 'A'));
	return 0;
}

static int
upper(struct buf *text, struct form *f)
{
	(void)f;
	for (size_t i = 0; i < text->n; i++)
		if (text->p[i] >= 'a' && text->p[i] <= 'z')
			text->p[i] = (char)(text->p[i] - ('a' - 'A'));
	return 0;
}

static int
reverse(struct buf *text, struct form *f)
{
	(void)f;
	for (size_t i = 0; i < text->n / 2; i++) {
		char c = text->p[i];

		text->p[i] = text->p[text->n - 1 - i];
		text->p[text->n - 1 - i] = c;
	}
	return 0;
}

static int
trim_end(struct buf *text, struct form *f)
{
	(void)f;
	while (text->n > 0 && isspace((unsigned char)text->p[text->n - 1]))
		text->n--;
	return 0;
}

/* Put `with` before, or instead of, each octet that is one of `which`. */
static int
mark(struct buf *text, const char *which, struct span with, bool instead)
{
	struct buf fresh = {.max = TEXT_MAX};

	for (size_t i = 0; i < text->n; i++) {
		bool is = memchr(which, text->p[i], strlen(which)) != NULL;

		if ((is && buf_add(&fresh, with) == -1) ||
		    (!(is && instead) && buf_addc(&fresh, text->p[i]) == -1)) {
			buf_free(&fresh);
			return -1;
		}
	}
	buf_free(text);
	*text = fresh;
	return 0;
}

static int
escape(struct buf *text, struct form *f)
{
	(void)f;
	return mark(text, "\"'\\", SPAN("\\"), false);
}

static int
ldap_dn(struct buf *text, struct form *f)
{
	(void)f;
	return mark(text, ".", SPAN(",dc="), true);
}

/* What is no number is 0. */
static int
number_in_hex(struct buf *text, struct form *f)
{
	uint64_t v;

	(void)f;
	if (num_u64(buf_span(text), &v) == -1)
		v = 0;
	buf_reset(text);
	return buf_addf(text, "%llx", (unsigned long long)v);
}

/* The 32 bits modulo the width, with at least `offset` digits. */
static int
put_hash(struct buf *text, struct form *f, uint64_t v)
{
	if (f->width > 0)
		v %= (uint64_t)f->width;
	buf_reset(text);
	if (buf_addf(text, "%0*x", f->offset > 0 && f->offset < 1000 ? f->offset : 1,
	             (unsigned)v) == -1)
		return -1;
	f->width = f->offset = 0;
	return 0;
}

/* The hash of P. J. Weinberger, as compilers and ELF have it. */
static int
hash(struct buf *text, struct form *f)
{
	uint32_t h = 0, high;

	for (size_t i = 0; i < text->n; i++) {
		h = (h << 4) + (unsigned char)text->p[i];
		if ((high = h & 0xf0000000u) != 0)
			h ^= (high >> 24) ^ high;
	}
	return put_hash(text, f, h);
}

static int
digest(struct buf *text, const char *name)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	size_t n;

	if (EVP_Q_digest(NULL, name, NULL, text->n > 0 ? text->p : "", text->n, md,
	                 &n) != 1) {
		errno = EINVAL;
		return -1;
	}
	return replace(text, (struct span){(const char *)md, n});
}

/* A hash whose bits are spread better: the first 64 of the MD5. */
static int
newer_hash(struct buf *text, struct form *f)
{
	uint64_t v = 0;

	if (digest(text, "MD5") == -1)
		return -1;
	for (size_t i = 0; i < 8; i++)
		v = v << 8 | (unsigned char)text->p[i];
	return put_hash(text, f, v);
}

static int
hexlify(struct buf *text, struct form *f)
{
	struct buf fresh = {.max = TEXT_MAX};

	(void)f;
	for (size_t i = 0; i < text->n; i++)
		if (buf_addf(&fresh, "%02x", (unsigned char)text->p[i]) == -1) {
			buf_free(&fresh);
			return -1;
		}
	buf_free(text);
	*text = fresh;
	return 0;
}

static int
md5(struct buf *text, struct form *f)
{
	return digest(text, "MD5") == 0 ? hexlify(text, f) : -1;
}

static change *
modifier(char c)
{
	static const struct {
		char letter;
		change *run;
	} all[] = {
	    {'L', lower},      {'U', upper},   {'R', reverse},       {'T', trim_end},
	    {'E', escape},     {'D', ldap_dn}, {'X', number_in_hex}, {'H', hash},
	    {'N', newer_hash}, {'M', md5}};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].letter == c)
			return all[i].run;
	return NULL;
}

/* ---- version 2.4's filters ------------------------------------------------------------ */

/* `name(argument, argument)`; both NULL when there are none. */
struct call {
	struct span name, arg[2];
	size_t narg;
};

static int
parse_call(struct span s, struct call *c)
{
	struct span rest, one;

	*c = (struct call){.name = span_trim(s)};
	if (c->name.n == 0 || c->name.p[c->name.n - 1] != ')')
		return 0;
	rest = (struct span){c->name.p, c->name.n - 1};
	if (!span_cut(&rest, '(', &c->name))
		return -1;
	c->name = span_trim(c->name);
	while (span_cut(&rest, ',', &one)) {
		if (c->narg == ARRAY_LEN(c->arg))
			return -1;
		one = span_trim(one);
		if (one.n >= 2 && (one.p[0] == '\'' || one.p[0] == '"') &&
		    one.p[one.n - 1] == one.p[0])
			one = (struct span){one.p + 1, one.n - 2};
		c->arg[c->narg++] = one;
	}
	return 0;
}

static int
integer(struct span s, int *out)
{
	bool minus = s.n > 0 && s.p[0] == '-';
	uint32_t v;

	if (num_u32(span_from(s, minus), &v) == -1 || v > WIDTH_MAX)
		return -1;
	*out = minus ? -(int)v : (int)v;
	return 0;
}

/* The text from an offset on, both counted from the end when negative. */
static struct span
cut_out(struct span s, int offset, int width)
{
	if (offset >= 0)
		s = span_from(s, (size_t)offset);
	else if (s.n > (size_t)-offset)
		s = span_from(s, s.n - (size_t)-offset);
	if (width > 0 && s.n > (size_t)width)
		s.n = (size_t)width;
	else if (width < 0)
		s.n = s.n > (size_t)-width ? s.n - (size_t)-width : 0;
	return s;
}

static int
filter_cut(struct buf *text, const struct call *c)
{
	bool substr = span_eq(c->name, SPAN("substr"));
	int offset = 0, width = 0;

	if (c->narg < 1 || (!substr && c->narg != 1) ||
	    integer(c->arg[0], substr ? &offset : &width) == -1 ||
	    (c->narg == 2 && integer(c->arg[1], &width) == -1))
		return -1;
	return replace(text, cut_out(buf_span(text), offset, width));
}

static int
filter_digest(struct buf *text, const struct call *c)
{
	static const char *const known[] = {"md5", "sha1", "sha256", "sha512"};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_eq(c->name, span_of(known[i])))
			return digest(text, known[i]);
	return -1;
}

/* *raw: the text is no text until hexlify. -1 EINVAL when there is no such filter. */
static int
filter(struct buf *text, struct span s, bool *raw)
{
	static const struct {
		const char *name;
		change *run;
	} plain[] = {{"lower", lower},
	             {"upper", upper},
	             {"reverse", reverse},
	             {"ldap_dn", ldap_dn},
	             {"hexlify", hexlify}};
	struct form none = {0};
	struct call c;

	errno = EINVAL;
	if (parse_call(s, &c) == -1)
		return -1;
	if (span_eq(c.name, SPAN("username")))
		return replace(text, name_part(buf_span(text)));
	if (span_eq(c.name, SPAN("domain")))
		return replace(text, domain_part(buf_span(text)));
	if (span_eq(c.name, SPAN("substr")) || span_eq(c.name, SPAN("truncate")))
		return filter_cut(text, &c);
	if (span_eq(c.name, SPAN("default")))
		return text->n > 0 || c.narg != 1 ? 0 : replace(text, c.arg[0]);
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (c.narg == 0 && span_eq(c.name, span_of(plain[i].name))) {
			*raw = *raw && plain[i].run != hexlify;
			return plain[i].run(text, &none);
		}
	*raw = true;
	return filter_digest(text, &c);
}

/* `{user | username | lower}` without its braces, into *text. */
static int
braced(struct span s, const struct expand_vars *v, struct buf *text)
{
	bool raw = false;
	struct span part;

	errno = EINVAL;
	if (!span_cut(&s, '|', &part) || by_name(span_trim(part), v, &part) == -1 ||
	    replace(text, part) == -1)
		return -1;
	while (span_cut(&s, '|', &part))
		if (filter(text, part, &raw) == -1)
			return -1;
	errno = EINVAL;
	return raw ? -1 : 0;
}

/* ---- templates ------------------------------------------------------------------------ */

/* Digits, perhaps with a `-` and a 0 before them, off *s. */
static int
take_number(struct span *s, bool *zeros)
{
	bool minus = s->n > 0 && s->p[0] == '-';
	int v = 0;

	*s = span_from(*s, minus);
	*zeros = s->n > 0 && s->p[0] == '0';
	for (; s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9'; *s = span_from(*s, 1))
		if (v < WIDTH_MAX / 10)
			v = v * 10 + (s->p[0] - '0');
	return minus ? -v : v;
}

/* `[OFFSET.]WIDTH`; a minus before a width alone means nothing. */
static void
take_form(struct span *s, struct form *f)
{
	f->width = take_number(s, &f->zeros);
	if (s->n > 0 && s->p[0] == '.') {
		f->offset = f->width;
		*s = span_from(*s, 1);
		f->width = take_number(s, &f->zeros);
	} else if (f->width < 0) {
		f->width = -f->width;
	}
}

/* The variable at the front of *s, its letter or its braces, into *text. */
static int
take_variable(struct span *s, const struct expand_vars *v, struct buf *text)
{
	struct span in;
	const char *end;

	errno = EINVAL;
	if (s->n == 0)
		return -1;
	if (s->p[0] == '{') {
		if ((end = memchr(s->p, '}', s->n)) == NULL)
			return -1;
		in = (struct span){s->p + 1, (size_t)(end - s->p) - 1};
		*s = span_from(*s, in.n + 2);
		return braced(in, v, text);
	}
	if (s->p[0] == '%')
		in = SPAN("%");
	else if (by_letter(s->p[0], v, &in) == -1)
		return -1;
	*s = span_from(*s, 1);
	return replace(text, in);
}

static int
put_formed(struct buf *out, struct span s, const struct form *f)
{
	if (f->width <= 0 || !f->zeros)
		return buf_add(out, cut_out(s, f->offset, f->width));
	s = cut_out(s, f->offset, 0);
	for (size_t n = s.n; n < (size_t)f->width; n++)
		if (buf_addc(out, '0') == -1)
			return -1;
	return buf_add(out, s);
}

/* What stands behind a %, off *s and onto *out. */
static int
put_variable(struct span *s, const struct expand_vars *v, struct buf *out)
{
	struct buf text = {.max = TEXT_MAX};
	change *run[MODIFIERS_MAX];
	struct form f = {0};
	size_t n = 0;
	int rc;

	take_form(s, &f);
	while (s->n > 0 && n < MODIFIERS_MAX && (run[n] = modifier(s->p[0])) != NULL) {
		*s = span_from(*s, 1);
		n++;
	}
	rc = take_variable(s, v, &text);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = run[i](&text, &f);
	if (rc == 0)
		rc = put_formed(out, buf_span(&text), &f);
	buf_free(&text);
	return rc;
}

int
expand(struct span t, const struct expand_vars *v, struct buf *out)
{
	while (t.n > 0)
		if (t.p[0] == '%') {
			t = span_from(t, 1);
			if (put_variable(&t, v, out) == -1)
				return -1;
		} else {
			const char *next = memchr(t.p, '%', t.n);
			size_t n = next != NULL ? (size_t)(next - t.p) : t.n;

			if (buf_add(out, (struct span){t.p, n}) == -1)
				return -1;
			t = span_from(t, n);
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
