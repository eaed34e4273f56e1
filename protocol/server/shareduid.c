#include "protocol/server/shareduid.h"

#include <stdlib.h>

#include "protocol/confine.h"
#include "protocol/seal.h"
#include "storage/base/hash.h"

#define ABI_SEALED   1 /* a session's filter has no kill(2) */
#define ABI_UNSEALED 6 /* Landlock keeps signals apart from this version on */

struct shareduid_row {
	uint32_t uid;
	uint64_t user; /* hash of the name */
};

bool
shareduid_kept_apart(void)
{
	return confine_landlock() >= (seal_built() ? ABI_SEALED : ABI_UNSEALED);
}

bool
shareduid_seen(struct shareduid *s, uint32_t uid, const char *user)
{
	uint64_t hash = hash64(&hash_fixed, span_of(user));
	struct shareduid_row *row = s->row;

	for (size_t i = 0; i < s->n; i++)
		if (row[i].uid == uid)
			return row[i].user != hash;
	if (s->n == SHAREDUID_MAX ||
	    (row = realloc(row, (s->n + 1) * sizeof *row)) == NULL)
		return true;
	s->row = row;
	s->row[s->n++] = (struct shareduid_row){uid, hash};
	return false;
}

void
shareduid_free(struct shareduid *s)
{
	free(s->row);
	*s = (struct shareduid){0};
}
