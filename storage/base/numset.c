#include "storage/base/numset.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/base/num.h"

/* The first range that ends at or after v. */
static size_t
find(const struct numset *s, uint32_t v)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->r[mid].hi < v)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int
numset_add(struct numset *s, uint32_t lo, uint32_t hi)
{
	size_t i, j;

	i = find(s, lo > 1 ? lo - 1 : lo); /* a range that ends just before is joined */
	for (j = i; j < s->n && (hi == UINT32_MAX || s->r[j].lo <= hi + 1); j++) {
		if (s->r[j].lo < lo)
			lo = s->r[j].lo;
		if (s->r[j].hi > hi)
			hi = s->r[j].hi;
	}
	if (i == j && s->n == s->cap) {
		size_t cap = s->cap == 0 ? 8 : s->cap * 2;
		struct numrange *r = reallocarray(s->r, cap, sizeof *r);

		if (r == NULL)
			return -1;
		s->r = r;
		s->cap = cap;
	}
	memmove(s->r + i + 1, s->r + j, (s->n - j) * sizeof *s->r);
	s->r[i] = (struct numrange){lo, hi};
	s->n = s->n - (j - i) + 1;
	return 0;
}

static int
bound(struct span s, uint32_t star, uint32_t *out)
{
	if (span_eq(s, SPAN("*"))) {
		*out = star;
		return 0;
	}
	if (num_u32(s, out) == -1 || *out == 0) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

int
numset_parse(struct span text, uint32_t star, size_t most, struct numset *set)
{
	struct span item, first;
	bool comma = text.n > 0 && text.p[text.n - 1] == ',';

	if (text.n == 0 || comma)
		goto bad;
	while (span_cut(&text, ',', &item)) {
		uint32_t lo, hi;
		bool range = item.n > 0 && memchr(item.p, ':', item.n) != NULL;

		if (!span_cut(&item, ':', &first) || bound(first, star, &lo) == -1)
			goto bad;
		hi = lo;
		if (range && bound(item, star, &hi) == -1)
			goto bad;
		if (lo > hi) {
			uint32_t t = lo;

			lo = hi, hi = t;
		}
		if (lo == 0) /* `*` of an empty mailbox names nothing */
			lo = 1;
		if (hi == 0)
			continue;
		if (numset_add(set, lo, hi) == -1)
			return -1;
		if (set->n > most) {
			errno = EMSGSIZE;
			return -1;
		}
	}
	return 0;
bad:
	errno = EINVAL;
	return -1;
}

bool
numset_has(const struct numset *s, uint32_t v)
{
	size_t i = find(s, v);

	return i < s->n && s->r[i].lo <= v;
}

uint64_t
numset_count(const struct numset *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += (uint64_t)s->r[i].hi - s->r[i].lo + 1;
	return n;
}

int
numset_print(const struct numset *s, struct buf *out)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *comma = i == 0 ? "" : ",";
		struct numrange r = s->r[i];

		if ((r.lo == r.hi ? buf_addf(out, "%s%u", comma, r.lo)
				  : buf_addf(out, "%s%u:%u", comma, r.lo, r.hi)) == -1)
			return -1;
	}
	return 0;
}

void
numset_free(struct numset *s)
{
	free(s->r);
	*s = (struct numset){0};
}
