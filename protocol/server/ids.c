#include "protocol/server/ids.h"

#include <errno.h>
#include <grp.h>
#include <unistd.h>

#include "storage/base/num.h"

#define GROUPS_MAX 64

static int
set_groups(struct span text, gid_t gid)
{
	gid_t group[GROUPS_MAX] = {gid};
	struct span one;
	size_t n = 1;
	uint32_t g;

	if (!span_eq(text, SPAN("-")))
		while (n < GROUPS_MAX && span_cut(&text, ',', &one)) {
			if (num_u32(one, &g) == -1)
				return -1;
			group[n++] = g;
		}
	return setgroups(n, group);
}

int
ids_become(const struct record *r)
{
	if (r->uid == 0) {
		errno = EPERM;
		return -1;
	}
	if (geteuid() == 0 && (set_groups(r->groups, r->gid) == -1 ||
	                       setresgid(r->gid, r->gid, r->gid) == -1 ||
	                       setresuid(r->uid, r->uid, r->uid) == -1))
		return -1;
	if (getuid() != r->uid || geteuid() != r->uid || setuid(0) == 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}
