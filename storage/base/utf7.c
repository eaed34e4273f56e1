#include "storage/base/utf7.h"

#include <errno.h>
#include <stdint.h>

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* ---- UTF-8 ----------------------------------------------------------------------- */

/* Take one character off *s; false when it is not strictly UTF-8. */
static bool
take_utf8(struct span *s, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char)s->p[0];
	size_t n = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (n == 0 || first > 0xf4 || s->n < n)
		return false;
	*c = n == 1 ? first : first & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		unsigned char u = (unsigned char)s->p[i];

		if ((u & 0xc0) != 0x80)
			return false;
		*c = *c << 6 | (u & 0x3f);
	}
	if (*c < least[n] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff))
		return false;
	*s = span_from(*s, n);
	return true;
}

bool
utf8_is_valid(struct span s)
{
	uint32_t c;

	while (s.n > 0)
		if (!take_utf8(&s, &c))
			return false;
	return true;
}

static int
add_utf8(struct buf *out, uint32_t c)
{
	char u[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; c >>= 6)
		u[i] = (char)(0x80 | (c & 0x3f));
	u[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xf0) | c);
	return buf_add(out, (struct span){u, n});
}

/* ---- modified UTF-7 -------------------------------------------------------------- */

static int
malformed(void)
{
	errno = EINVAL;
	return -1;
}

static bool
is_direct(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

struct bits {
	uint32_t acc;
	unsigned n;
};

static int
encode_unit(struct bits *b, uint16_t unit, struct buf *out)
{
	b->acc = b->acc << 16 | unit;
	for (b->n += 16; b->n >= 6; b->n -= 6)
		if (buf_addc(out, base64[b->acc >> (b->n - 6) & 63]) == -1)
			return -1;
	return 0;
}

/* A run of characters that are not direct, as `&...-`. */
static int
encode_run(struct span *s, struct buf *out)
{
	struct bits b = {0};
	struct span rest = *s;
	uint32_t c;

	if (buf_addc(out, '&') == -1)
		return -1;
	for (; rest.n > 0 && !is_direct((unsigned char)rest.p[0]); *s = rest) {
		if (!take_utf8(&rest, &c))
			return malformed();
		if (c >= 0x10000 &&
		    encode_unit(&b, (uint16_t)(0xd7c0 + (c >> 10)), out) == -1)
			return -1;
		if (encode_unit(&b, (uint16_t)(c < 0x10000 ? c : 0xdc00 | (c & 0x3ff)),
				out) == -1)
			return -1;
	}
	if (b.n > 0 && buf_addc(out, base64[b.acc << (6 - b.n) & 63]) == -1)
		return -1;
	return buf_addc(out, '-');
}

int
utf7_encode(struct span utf8, struct buf *out)
{
	size_t before = out->n;

	while (utf8.n > 0) {
		char c = utf8.p[0];
		int rc;

		if (!is_direct((unsigned char)c)) {
			rc = encode_run(&utf8, out);
		} else {
			rc = c == '&' ? buf_add(out, SPAN("&-")) : buf_addc(out, c);
			utf8 = span_from(utf8, 1);
		}
		if (rc == -1) {
			out->n = before;
			return -1;
		}
	}
	return 0;
}

struct units {
	struct buf *out;
	uint16_t high; /* a first surrogate that waits for its second */
};

static int
decode_unit(struct units *u, uint16_t unit)
{
	if (u->high != 0) {
		uint32_t c = 0x10000 + ((u->high & 0x3ffu) << 10) + (unit & 0x3ff);

		if (unit < 0xdc00 || unit > 0xdfff)
			return malformed();
		u->high = 0;
		return add_utf8(u->out, c);
	}
	if (unit >= 0xdc00 && unit <= 0xdfff)
		return malformed();
	if (unit >= 0xd800 && unit <= 0xdbff) {
		u->high = unit;
		return 0;
	}
	return add_utf8(u->out, unit);
}

/* What stands between '&' and '-', not empty. */
static int
decode_run(struct span run, struct buf *out)
{
	struct units u = {out, 0};
	struct bits b = {0};

	for (size_t i = 0; i < run.n; i++) {
		const char *at = run.p[i] == '\0' ? NULL : strchr(base64, run.p[i]);

		if (at == NULL)
			return malformed();
		b.acc = b.acc << 6 | (uint32_t)(at - base64);
		if ((b.n += 6) < 16)
			continue;
		b.n -= 16;
		if (decode_unit(&u, (uint16_t)(b.acc >> b.n)) == -1)
			return -1;
	}
	return u.high == 0 ? 0 : malformed();
}

static int
decode(struct span s, struct buf *out)
{
	struct span head, run;

	while (s.n > 0) {
		const char *amp = memchr(s.p, '&', s.n);

		head = (struct span){s.p, amp == NULL ? s.n : (size_t)(amp - s.p)};
		if (buf_add(out, head) == -1)
			return -1;
		if (amp == NULL)
			return 0;
		s = span_from(s, head.n + 1);
		if (s.n == 0 || memchr(s.p, '-', s.n) == NULL)
			return malformed();
		span_cut(&s, '-', &run);
		if ((run.n == 0 ? buf_addc(out, '&') : decode_run(run, out)) == -1)
			return -1;
	}
	return 0;
}

int
utf7_decode(struct span utf7, struct buf *out)
{
	struct buf again = {0};
	size_t before = out->n;
	int rc = decode(utf7, out);

	/* what is not written in the one canonical way is not taken: octets that should
	 * be direct, runs side by side, bits left over */
	if (rc == 0) {
		rc = utf7_encode(span_from(buf_span(out), before), &again);
		if (rc == 0 && !span_eq(buf_span(&again), utf7))
			rc = malformed();
		buf_free(&again);
	}
	if (rc == -1)
		out->n = before;
	return rc;
}
