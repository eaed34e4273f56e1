#include "storage/mime/decode.h"

#include <strings.h>

/* ---- which one --------------------------------------------------------------------------- */

static const struct {
	struct span name;
	enum encoding encoding;
} names[] = {
    {{"7bit", 4}, ENCODING_NONE},
    {{"8bit", 4}, ENCODING_NONE},
    {{"binary", 6}, ENCODING_NONE},
    {{"base64", 6}, ENCODING_BASE64},
    {{"quoted-printable", 16}, ENCODING_QP},
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Blanks and comments off the front, each `(` with its `)`; not recursive. */
static struct span
skip_comments(struct span s)
{
	size_t depth = 0;

	for (; s.n > 0; s = span_from(s, 1)) {
		if (*s.p == '(')
			depth++;
		else if (*s.p == ')' && depth > 0)
			depth--;
		else if (depth > 0 && *s.p == '\\' && s.n > 1)
			s = span_from(s, 1);
		else if (depth == 0 && !is_blank(*s.p))
			break;
	}
	return s;
}

enum encoding
encoding_of(struct span value)
{
	struct span s = skip_comments(value);
	size_t n = 0;

	while (n < s.n && !is_blank(s.p[n]) && s.p[n] != '(' && s.p[n] != ';')
		n++;
	if (n == 0)
		return ENCODING_NONE;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_caseeq((struct span){s.p, n}, names[i].name))
			return names[i].encoding;
	return ENCODING_UNKNOWN;
}

/* ---- what goes out ------------------------------------------------------------------------- */

struct pump {
	struct decode *d;
	const char *in, *in_end;
	char *out, *out_end;
};

/* What is decided; it waits when there is no room. */
static void
give(struct pump *p, char c)
{
	if (p->out < p->out_end && p->d->nready == 0)
		*p->out++ = c;
	else
		p->d->ready[p->d->nready++] = c;
}

static void
give_held(struct pump *p)
{
	for (size_t i = 0; i < p->d->nheld; i++)
		give(p, p->d->held[i]);
	p->d->nheld = 0;
}

/* Write what waits. False: there is more of it than room. */
static bool
give_ready(struct pump *p)
{
	struct decode *d = p->d;

	while (d->from < d->nready && p->out < p->out_end)
		*p->out++ = d->ready[d->from++];
	if (d->from < d->nready)
		return false;
	d->from = d->nready = 0;
	return true;
}

/* ---- nothing to undo ------------------------------------------------------------------------ */

static void
pass_run(struct pump *p)
{
	size_t n = (size_t)(p->in_end - p->in), room = (size_t)(p->out_end - p->out);

	n = n < room ? n : room;
	if (n > 0)
		memcpy(p->out, p->in, n);
	p->in += n;
	p->out += n;
}

/* ---- base64 (section 6.8) -------------------------------------------------------------------- */

enum { B_PAD = 64, B_BLANK, B_OTHER };

static const uint8_t base64[256] = {
    /* 0 */ 66,   66, 66, 66, 66, 66, 66, 66, 66, 65, 65, 66, 66, 65, 66, 66,
    66,           66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    /* ' ' */ 65, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 62, 66, 66, 66, 63,
    /* '0' */ 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 66, 66, 66, 64, 66, 66,
    /* '@' */ 66, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14,
    15,           16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 66, 66, 66, 66, 66,
    /* '`' */ 66, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41,           42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 66, 66, 66, 66, 66,
    /* 128 */ 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66,           66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66,           66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66,           66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66,           66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66,           66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66,           66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66,           66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
};

/* Whole quanta, while they come without anything between them. */
static void
base64_run(struct pump *p)
{
	while (p->in_end - p->in >= 4 && p->out_end - p->out >= 3) {
		const uint8_t *s = (const uint8_t *)p->in;
		uint32_t a = base64[s[0]], b = base64[s[1]], c = base64[s[2]],
		         e = base64[s[3]];
		uint32_t bits = a << 18 | b << 12 | c << 6 | e;

		if ((a | b | c | e) >= B_PAD)
			return;
		p->out[0] = (char)(bits >> 16);
		p->out[1] = (char)(bits >> 8);
		p->out[2] = (char)bits;
		p->in += 4;
		p->out += 3;
	}
}

/* What a quantum of `state` characters gives; one alone gives nothing. */
static void
base64_flush(struct pump *p)
{
	struct decode *d = p->d;

	if (d->state == 2)
		give(p, (char)(d->bits >> 4));
	if (d->state == 3) {
		give(p, (char)(d->bits >> 10));
		give(p, (char)(d->bits >> 2));
	}
	d->state = 0;
	d->bits = 0;
}

/* State: characters of the quantum so far; or one `=` more may come (nheld is 1). */
static void
base64_one(struct pump *p, char c)
{
	struct decode *d = p->d;
	uint8_t v = base64[(uint8_t)c];

	if (v == B_BLANK)
		return;
	if (v == B_PAD) {
		d->broken |= d->state < 2 && d->nheld == 0;
		d->nheld = d->state == 2;
		base64_flush(p);
		return;
	}
	if (v == B_OTHER) {
		d->broken = true;
		return;
	}
	d->broken |= d->nheld != 0; /* `=` alone where two belong */
	d->nheld = 0;
	d->bits = d->bits << 6 | v;
	if (++d->state == 4) {
		give(p, (char)(d->bits >> 16));
		give(p, (char)(d->bits >> 8));
		give(p, (char)d->bits);
		d->state = 0;
		d->bits = 0;
	}
}

static void
base64_end(struct pump *p)
{
	p->d->broken |= p->d->state != 0 || p->d->nheld != 0;
	p->d->nheld = 0;
	base64_flush(p);
}

/* ---- quoted-printable (section 6.7) ------------------------------------------------------------ */

enum {
	Q_TEXT,
	Q_BLANKS, /* held: blanks, perhaps a CR behind them */
	Q_BLANKS_CR,
	Q_EQUALS,  /* held: `=` */
	Q_HEX,     /* held: `=` and a digit */
	Q_SOFT,    /* held: `=` and blanks */
	Q_SOFT_CR, /* held: likewise, and CR */
};

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f') /* not allowed, and usual */
		return c - 'a' + 10;
	return -1;
}

static bool
is_qp_text(char c)
{
	return c != '=' && c != ' ' && c != '\t';
}

/*
 * Octets that stand for themselves. Blanks do too when something other than a line's end
 * comes behind them.
 */
static void
qp_run(struct pump *p)
{
	const char *in = p->in;
	char *out = p->out;

	while (in < p->in_end && out < p->out_end) {
		if (is_qp_text(*in))
			*out++ = *in++;
		else if (*in == ' ' && p->in_end - in >= 2 && in[1] > ' ' &&
		         in[1] != '=' && p->out_end - out >= 2) {
			*out++ = *in++;
			*out++ = *in++;
		} else
			break;
	}
	p->in = in;
	p->out = out;
}

static void
hold(struct pump *p, char c, uint8_t state)
{
	p->d->held[p->d->nheld++] = c;
	p->d->state = state;
}

static void qp_one(struct pump *, char);

/* It was nothing special after all: what is held stands for itself, and c is looked at. */
static void
qp_again(struct pump *p, char c)
{
	give_held(p);
	p->d->state = Q_TEXT;
	qp_one(p, c);
}

static void
qp_text(struct pump *p, char c)
{
	if (c == '=')
		hold(p, c, Q_EQUALS);
	else if (c == ' ' || c == '\t')
		hold(p, c, Q_BLANKS);
	else
		give(p, c);
}

/* Blanks at the end of a line were added on the way (rule 3). */
static void
qp_blanks(struct pump *p, char c)
{
	struct decode *d = p->d;

	if (c == '\n') {
		d->nheld = 0;
		if (d->state == Q_BLANKS_CR)
			give(p, '\r');
		give(p, '\n');
		d->state = Q_TEXT;
	} else if (d->state == Q_BLANKS && d->nheld < DECODE_HELD_MAX - 2 &&
	           (c == ' ' || c == '\t' || c == '\r'))
		hold(p, c, c == '\r' ? Q_BLANKS_CR : Q_BLANKS);
	else
		qp_again(p, c);
}

/* Behind `=`: digits, or blanks and the end of a line (rules 1 and 5). */
static void
qp_equals(struct pump *p, char c)
{
	struct decode *d = p->d;

	if (c == '\n') {
		d->nheld = 0;
		d->state = Q_TEXT;
	} else if (d->state == Q_EQUALS && hex(c) >= 0)
		hold(p, c, Q_HEX);
	else if (d->state != Q_SOFT_CR && d->nheld < DECODE_HELD_MAX - 2 &&
	         (c == ' ' || c == '\t' || c == '\r'))
		hold(p, c, c == '\r' ? Q_SOFT_CR : Q_SOFT);
	else {
		d->broken = true;
		qp_again(p, c);
	}
}

static void
qp_hex(struct pump *p, char c)
{
	struct decode *d = p->d;

	if (hex(c) >= 0) {
		char v = (char)(hex(d->held[1]) << 4 | hex(c));

		d->nheld = 0;
		d->state = Q_TEXT;
		give(p, v);
	} else {
		d->broken = true;
		qp_again(p, c);
	}
}

/* Comes back to itself once at most, by way of Q_TEXT. */
static void
qp_one(struct pump *p, char c)
{
	switch (p->d->state) {
	case Q_TEXT:
		qp_text(p, c);
		break;
	case Q_BLANKS:
	case Q_BLANKS_CR:
		qp_blanks(p, c);
		break;
	case Q_HEX:
		qp_hex(p, c);
		break;
	default:
		qp_equals(p, c);
		break;
	}
}

static void
qp_end(struct pump *p)
{
	struct decode *d = p->d;

	if (d->state == Q_HEX) {
		d->broken = true;
		give_held(p);
	}
	if (d->state == Q_BLANKS_CR) /* a CR that ends no line */
		give(p, '\r');
	d->nheld = 0;
	d->state = Q_TEXT;
}

/* ---- any ---------------------------------------------------------------------------------------- */

void
decode_init(struct decode *d, enum encoding encoding)
{
	d->encoding = encoding;
	d->broken = false;
	d->state = d->nheld = d->from = d->nready = 0;
	d->bits = 0;
}

static bool
is_between(const struct decode *d)
{
	return d->state == 0 && d->nheld == 0;
}

size_t
decode_push(struct decode *d, struct span *in, char *out, size_t cap)
{
	struct pump p = {d, in->p, in->p == NULL ? NULL : in->p + in->n, out,
	                 out + cap};

	while (give_ready(&p) && p.in < p.in_end && p.out < p.out_end) {
		if (d->encoding == ENCODING_BASE64) {
			if (is_between(d))
				base64_run(&p);
			if (p.in < p.in_end)
				base64_one(&p, *p.in++);
		} else if (d->encoding == ENCODING_QP) {
			if (is_between(d))
				qp_run(&p);
			if (p.in < p.in_end)
				qp_one(&p, *p.in++);
		} else
			pass_run(&p);
	}
	in->n = (size_t)(p.in_end - p.in);
	in->p = p.in;
	return (size_t)(p.out - out);
}

size_t
decode_end(struct decode *d, char *out, size_t cap)
{
	struct pump p = {d, NULL, NULL, out, out + cap};

	if (give_ready(&p)) {
		if (d->encoding == ENCODING_BASE64)
			base64_end(&p);
		else if (d->encoding == ENCODING_QP)
			qp_end(&p);
		give_ready(&p);
	}
	return (size_t)(p.out - out);
}
