/*
 * numset: a set of numbers 1..2^32-1 as ascending, disjoint ranges: UIDs or
 * sequence numbers (RFC 9051 sequence-set). {0} is the empty set.
 */
#ifndef BASE_NUMSET_H
#define BASE_NUMSET_H

#include <stdint.h>

#include "storage/base/buf.h"

struct numrange {
	uint32_t lo, hi; /* both inside */
};

struct numset {
	struct numrange *r; /* owned; ascending, neither touching nor overlapping */
	size_t n, cap;
};

/*
 * Parse `1:5,7,9:*`. `*` stands for `star` (RFC 9051 section 9: the largest number
 * in use), and `9:*` with star 3 is 3:9. EINVAL names nothing else than a bad set;
 * EMSGSIZE when it would need more than `most` ranges. *set must be empty before.
 */
int numset_parse(struct span, uint32_t star, size_t most, struct numset *set);

int numset_add(struct numset *, uint32_t lo, uint32_t hi); /* any order; -1 ENOMEM */
bool numset_has(const struct numset *, uint32_t);
uint64_t numset_count(const struct numset *);
int numset_print(const struct numset *, struct buf *); /* `1:5,7` */
void numset_free(struct numset *);

#endif
