#include "protocol/server/shareduid.h"

#include <stdlib.h>

#include "protocol/confine.h"
#include "storage/base/hash.h"

#ifdef MT_SECCOMP
#define ABI_ENOUGH 1 /* a session's filter has no kill(2) */
#else
#define ABI_ENOUGH 6 /* Landlock keeps signals apart from this version on */
#endif

struct shareduid_row {
	uint32_t uid;
	uint64_t user; /* hash of the name */
};

bool
shareduid_kept_apart(void)
{
	return confine_landlock() >= ABI_ENOUGH;
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
