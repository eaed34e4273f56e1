#include "storage/mime/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* By the first octet: how many, and the bounds of the second (RFC 3629 section 4). */
static int
sequence(uint8_t first, uint8_t *lo, uint8_t *hi)
{
	*lo = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	*hi = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return UTF8_BAD;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

int
utf8_first(struct span s, uint32_t *character)
{
	uint8_t lo, hi;
	int n = sequence((uint8_t)s.p[0], &lo, &hi);
	uint32_t c = (uint8_t)s.p[0];

	if (n <= 1) {
		*character = c;
		return n;
	}
	c &= 0x7fU >> n;
	for (size_t i = 1; i < (size_t)n; i++) {
		uint8_t o;

		if (i == s.n)
			return UTF8_MORE;
		o = (uint8_t)s.p[i];
		if (o < lo || o > hi)
			return UTF8_BAD;
		lo = 0x80;
		hi = 0xbf;
		c = c << 6 | (o & 0x3f);
	}
	*character = c;
	return n;
}

size_t
utf8_print(uint32_t c, char out[static 4])
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	if (n == 1) {
		out[0] = (char)c;
		return 1;
	}
	for (size_t i = n; --i > 0; c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(c | (0xf00U >> n & 0xff));
	return n;
}

size_t
utf8_ascii(struct span s)
{
	size_t n = 0;

#ifdef __SSE2__
	while (s.n - n >= 16 &&
	       _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(s.p + n))) == 0)
		n += 16;
#endif
	while (n < s.n && (uint8_t)s.p[n] < 0x80)
		n++;
	return n;
}
