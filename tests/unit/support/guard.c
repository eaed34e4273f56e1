#include "tests/unit/support/guard.h"

#include <err.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Every region that is out, so that a table of thousands of cuts can give them back. */
struct region {
	struct region *next;
	void *map;
	size_t size;
};

static struct region *regions;

/* Whole pages for n octets between two that fault. */
static char *
region_make(size_t n, size_t *pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct region *r = malloc(sizeof *r);
	char *p;

	*pages = (n + page - 1) / page * page;
	if (r == NULL)
		err(1, "guard");
	r->size = *pages + 2 * page;
	r->map = mmap(NULL, r->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->map == MAP_FAILED)
		err(1, "guard: mmap");
	p = (char *)r->map + page;
	if (*pages > 0 && mprotect(p, *pages, PROT_READ | PROT_WRITE) == -1)
		err(1, "guard: mprotect");
	r->next = regions;
	regions = r;
	return p;
}

char *
guarded_room(size_t n)
{
	size_t pages;
	char *p = region_make(n, &pages);

	return p + (pages - n);
}

struct span
guarded(struct span s)
{
	char *p = guarded_room(s.n);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return (struct span){p, s.n};
}

struct span
guarded_front(struct span s)
{
	size_t pages;
	char *p = region_make(s.n, &pages);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return (struct span){p, s.n};
}

void
guard_free_all(void)
{
	while (regions != NULL) {
		struct region *r = regions;

		regions = r->next;
		munmap(r->map, r->size);
		free(r);
	}
}
