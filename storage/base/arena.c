#include "storage/base/arena.h"

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define BLOCK_SIZE 8192 /* octets of a usual block */

struct arena_block {
	struct arena_block *next;
	size_t size, used; /* octets at data */
	alignas(max_align_t) char data[];
};

static struct arena_block *
new_block(struct arena *a, size_t n)
{
	size_t size = n > BLOCK_SIZE ? n : BLOCK_SIZE;
	struct arena_block *b;

	if (size > SIZE_MAX - sizeof *b || (b = malloc(sizeof *b + size)) == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	*b = (struct arena_block){.next = a->blocks, .size = size};
	a->blocks = b;
	return b;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	size_t step = alignof(max_align_t);
	struct arena_block *b = a->blocks;
	void *p;

	if (n > SIZE_MAX - step) {
		errno = ENOMEM;
		return NULL;
	}
	n = (n + step - 1) / step * step;
	if (a->max != 0 && n > a->max - a->used) {
		errno = EMSGSIZE;
		return NULL;
	}
	if ((b == NULL || n > b->size - b->used) && (b = new_block(a, n)) == NULL)
		return NULL;
	p = b->data + b->used;
	b->used += n;
	a->used += n;
	return memset(p, 0, n);
}

struct span
arena_copy(struct arena *a, struct span s)
{
	char *p = arena_alloc(a, s.n > 0 ? s.n : 1);

	if (p == NULL)
		return (struct span){NULL, 0};
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return (struct span){p, s.n};
}

void
arena_reset(struct arena *a)
{
	struct arena_block *b, *next, *kept = NULL;

	/* one is kept: nobody would look into a second one again */
	for (b = a->blocks; b != NULL; b = next) {
		next = b->next;
		if (kept == NULL && b->size <= ARENA_KEEP)
			kept = b;
		else
			free(b);
	}
	if (kept != NULL) {
		kept->used = 0;
		kept->next = NULL;
	}
	a->blocks = kept;
	a->used = 0;
}

void
arena_free(struct arena *a)
{
	struct arena_block *b, *next;

	for (b = a->blocks; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	a->blocks = NULL;
	a->used = 0;
}

void
arena_wipe(struct arena *a)
{
	for (struct arena_block *b = a->blocks; b != NULL; b = b->next)
		explicit_bzero(b->data, b->used);
	arena_free(a);
}
