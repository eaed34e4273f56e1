/* mboxscan_find: the search for line ends that an F follows. */
#include <string.h>

#include "storage/mboxscan.h"

typedef unsigned char octets16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef unsigned long long words2 __attribute__((vector_size(16)));

static inline words2
lf_and_f(const char *p)
{
	octets16 a = *(const octets16 *)p, b = *(const octets16 *)(p + 1);

	return (words2)((a == '\n') & (b == 'F'));
}

/* 64 octets at a step, each compared with its neighbour: as fast as memory is read. */
size_t
mboxscan_find(const char *p, size_t n)
{
	size_t i = 0;

	for (; i + 65 <= n; i += 64) {
		words2 any = lf_and_f(p + i) | lf_and_f(p + i + 16) |
		             lf_and_f(p + i + 32) | lf_and_f(p + i + 48);

		if ((any[0] | any[1]) != 0)
			break;
	}
	for (; i < n; i++) {
		const char *at = memchr(p + i, '\n', n - i);

		if (at == NULL)
			return n;
		i = (size_t)(at - p);
		if (i + 1 == n || p[i + 1] == 'F')
			return i;
	}
	return n;
}
