#include "storage/base/num.h"

#include <errno.h>

static int
digit(char c, unsigned base, unsigned *value)
{
	if (c >= '0' && c <= '9')
		*value = (unsigned)(c - '0');
	else if (c >= 'a' && c <= 'f')
		*value = (unsigned)(c - 'a') + 10;
	else if (c >= 'A' && c <= 'F')
		*value = (unsigned)(c - 'A') + 10;
	else
		return -1;
	return *value < base ? 0 : -1;
}

static int
parse(struct span s, unsigned base, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	unsigned d;

	if (s.n == 0) {
		errno = EINVAL;
		return -1;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (digit(s.p[i], base, &d) == -1) {
			errno = EINVAL;
			return -1;
		}
		if (v > (max - d) / base) {
			errno = ERANGE;
			return -1;
		}
		v = v * base + d;
	}
	*out = v;
	return 0;
}

int
num_u64(struct span s, uint64_t *out)
{
	return parse(s, 10, UINT64_MAX, out);
}

static int
narrow(struct span s, unsigned base, uint32_t *out)
{
	uint64_t v;

	if (parse(s, base, UINT32_MAX, &v) == -1)
		return -1;
	*out = (uint32_t)v;
	return 0;
}

int
num_u32(struct span s, uint32_t *out)
{
	return narrow(s, 10, out);
}

int
num_hex32(struct span s, uint32_t *out)
{
	return narrow(s, 16, out);
}
