#include "protocol/base64.h"

#include <stdint.h>

/* The six bits of a character, or -1. */
static int
value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* A group of four: octets that it stands for, or 0: it is none. `last`: it may be padded. */
static size_t
group(const char *p, bool last, unsigned char out[static 3])
{
	size_t n = last && p[3] == '=' ? p[2] == '=' ? 1 : 2 : 3;
	uint32_t bits = 0;

	for (size_t i = 0; i < 4; i++) {
		int v = i <= n ? value(p[i]) : 0;

		if (v == -1)
			return 0;
		bits = bits << 6 | (uint32_t)v;
	}
	if (n < 3 && (bits & (n == 1 ? 0xffffu : 0xffu)) != 0)
		return 0;
	for (size_t i = 0; i < 3; i++)
		out[i] = (unsigned char)(bits >> (16 - 8 * i));
	return n;
}

ptrdiff_t
base64_decode(struct span s, char *out, size_t cap)
{
	size_t done = 0;

	if (s.n % 4 != 0)
		return -1;
	for (size_t i = 0; i < s.n; i += 4) {
		unsigned char three[3];
		size_t n = group(s.p + i, i + 4 == s.n, three);

		if (n == 0 || n > cap - done)
			return -1;
		memcpy(out + done, three, n);
		done += n;
	}
	return (ptrdiff_t)done;
}

int
base64_encode(struct span s, struct buf *b)
{
	static const char digit[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)s.p;

	for (size_t i = 0; i < s.n; i += 3) {
		size_t n = s.n - i < 3 ? s.n - i : 3;
		uint32_t bits = (uint32_t)p[i] << 16 |
		                (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
		                (n > 2 ? (uint32_t)p[i + 2] : 0);
		char four[4] = {digit[bits >> 18], digit[bits >> 12 & 63],
		                n > 1 ? digit[bits >> 6 & 63] : '=',
		                n > 2 ? digit[bits & 63] : '='};

		if (buf_add(b, (struct span){four, 4}) == -1)
			return -1;
	}
	return 0;
}
