#include "storage/base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

char *
buf_room(struct buf *b, size_t n)
{
	size_t want, cap;
	char *p;

	if (n > SIZE_MAX / 2 - b->n || (b->max != 0 && b->n + n > b->max)) {
		errno = EMSGSIZE;
		return NULL;
	}
	want = b->n + n;
	if (want <= b->cap && b->p != NULL)
		return b->p + b->n;
	for (cap = b->cap < 64 ? 64 : b->cap; cap < want;)
		cap *= 2;
	if ((p = realloc(b->p, cap)) == NULL)
		return NULL;
	b->p = p;
	b->cap = cap;
	return p + b->n;
}

int
buf_add(struct buf *b, struct span s)
{
	char *at = buf_room(b, s.n);

	if (at == NULL)
		return -1;
	if (s.n > 0)
		memcpy(at, s.p, s.n);
	b->n += s.n;
	return 0;
}

int
buf_addc(struct buf *b, char c)
{
	return buf_add(b, (struct span){&c, 1});
}

int
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *at;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	/* one octet more than is kept: vsnprintf wants to end with a NUL */
	if (n < 0 || (b->max != 0 && b->n + (size_t)n > b->max)) {
		errno = EMSGSIZE;
		return -1;
	}
	if (b->max != 0) {
		size_t max = b->max;

		b->max = 0;
		at = buf_room(b, (size_t)n + 1);
		b->max = max;
	} else
		at = buf_room(b, (size_t)n + 1);
	if (at == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(at, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
	return 0;
}

void
buf_drop(struct buf *b, size_t n)
{
	if (n >= b->n) {
		b->n = 0;
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

void
buf_reset(struct buf *b)
{
	b->n = 0;
}

void
buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){.max = b->max};
}
