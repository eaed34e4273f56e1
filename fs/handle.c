#include "fs/handle.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define HANDLE_MAX (1u << 20) /* open files of the whole mount */

struct slot {
	void *object;
	void (*drop)(struct fs *, void *);
};

struct handles {
	pthread_mutex_t lock; /* everything */
	struct slot *slot;
	uint32_t *free; /* stack of free slots */
	uint32_t n, cap, nfree;
};

int
handles_open(struct handles **out)
{
	struct handles *h = calloc(1, sizeof *h);

	if (h == NULL)
		return -1;
	pthread_mutex_init(&h->lock, NULL);
	*out = h;
	return 0;
}

void
handles_close(struct fs *fs, struct handles *h)
{
	if (h == NULL)
		return;
	for (uint32_t i = 0; i < h->n; i++)
		if (h->slot[i].object != NULL)
			h->slot[i].drop(fs, h->slot[i].object);
	pthread_mutex_destroy(&h->lock);
	free(h->slot);
	free(h->free);
	free(h);
}

static int
grow(struct handles *h)
{
	uint32_t cap = h->cap == 0 ? 256 : h->cap * 2;
	uint32_t *f;
	struct slot *s;

	if (h->cap >= HANDLE_MAX) {
		errno = ENFILE;
		return -1;
	}
	if ((s = reallocarray(h->slot, cap, sizeof *s)) == NULL)
		return -1;
	h->slot = s;
	if ((f = reallocarray(h->free, cap, sizeof *f)) == NULL)
		return -1;
	h->free = f;
	h->cap = cap;
	return 0;
}

uint64_t
handle_put(struct handles *h, void *object, void (*drop)(struct fs *, void *))
{
	uint64_t fh = 0;
	uint32_t i;

	pthread_mutex_lock(&h->lock);
	if (h->nfree > 0)
		i = h->free[--h->nfree];
	else if (h->n < h->cap || grow(h) == 0)
		i = h->n++;
	else
		goto out;
	h->slot[i] = (struct slot){object, drop};
	fh = (uint64_t)i + 1;
out:
	pthread_mutex_unlock(&h->lock);
	return fh;
}

static void *
look(struct handles *h, uint64_t fh)
{
	return fh == 0 || fh > h->n ? NULL : h->slot[fh - 1].object;
}

void *
handle_get(struct handles *h, uint64_t fh)
{
	void *object;

	pthread_mutex_lock(&h->lock);
	object = look(h, fh);
	pthread_mutex_unlock(&h->lock);
	return object;
}

void *
handle_take(struct handles *h, uint64_t fh)
{
	void *object;

	pthread_mutex_lock(&h->lock);
	if ((object = look(h, fh)) != NULL) {
		h->slot[fh - 1].object = NULL;
		h->free[h->nfree++] = (uint32_t)(fh - 1);
	}
	pthread_mutex_unlock(&h->lock);
	return object;
}
