#include "storage/maildir_names.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define HEAD	  2 /* octets before the name: length of the base, of the UIDL */
#define ENTRY_MAX (HEAD + 255 + 1 + 255 + 1)

static size_t
entry_size(const char *e)
{
	size_t uidl = (unsigned char)e[1];

	return HEAD + strlen(e + HEAD) + 1 + (uidl > 0 ? uidl + 1 : 0);
}

/* Copy what is in use into fresh room. Failing is harmless: there is just more waste. */
static void
compact(struct names *t)
{
	size_t want = t->n - t->waste, n = 0;
	char *room = malloc(want + want / 8 + ENTRY_MAX);

	if (room == NULL)
		return;
	for (size_t i = 0; i < t->nrow; i++) {
		size_t size = entry_size(t->room + t->off[i]);

		memcpy(room + n, t->room + t->off[i], size);
		t->off[i] = (uint32_t)n;
		n += size;
	}
	free(t->room);
	t->room = room;
	t->cap = want + want / 8 + ENTRY_MAX;
	t->n = n;
	t->waste = 0;
}

static int
need(struct names *t, size_t octets)
{
	size_t cap;
	char *p;

	if (t->n + octets <= t->cap)
		return 0;
	cap = t->n + octets + t->n / 8 + 1024;
	if (cap > UINT32_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if ((p = realloc(t->room, cap)) == NULL)
		return -1;
	t->room = p;
	t->cap = cap;
	return 0;
}

static int
need_row(struct names *t)
{
	size_t cap = t->row_cap + t->row_cap / 4 + 64;
	uint32_t *off;
	uint8_t *where;

	if (t->nrow < t->row_cap)
		return 0;
	if ((off = reallocarray(t->off, cap, sizeof *off)) == NULL)
		return -1;
	t->off = off;
	if ((where = realloc(t->where, cap)) == NULL)
		return -1;
	t->where = where;
	t->row_cap = cap;
	return 0;
}

int
names_reserve(struct names *t, size_t nchange)
{
	if (t->waste > 4096 && t->waste > t->n / 4)
		compact(t);
	return need(t, nchange * ENTRY_MAX);
}

/* Write an entry into room that is there. Returns its offset. */
static uint32_t
put(struct names *t, struct span name, size_t base_len, struct span uidl)
{
	size_t at = t->n;
	char *e = t->room + at;

	assert(name.n <= 255 && base_len <= name.n && uidl.n <= 255);
	e[0] = (char)base_len;
	e[1] = (char)uidl.n;
	memcpy(e + HEAD, name.p, name.n);
	e[HEAD + name.n] = '\0';
	t->n += HEAD + name.n + 1;
	if (uidl.n > 0) {
		memcpy(t->room + t->n, uidl.p, uidl.n);
		t->room[t->n + uidl.n] = '\0';
		t->n += uidl.n + 1;
	}
	return (uint32_t)at;
}

int
names_add(struct names *t, enum md_where where, struct span name, size_t base_len,
	  struct span uidl)
{
	if (need(t, ENTRY_MAX) == -1 || need_row(t) == -1)
		return -1;
	t->off[t->nrow] = put(t, name, base_len, uidl);
	t->where[t->nrow++] = (uint8_t)where;
	return 0;
}

int
names_set(struct names *t, uint32_t row, enum md_where where, struct span name,
	  size_t base_len)
{
	char uidl[256];
	struct span own;

	assert(row < t->nrow);
	if (span_eq(name, span_of(names_get(t, row))) &&
	    base_len == names_base(t, row).n) {
		t->where[row] = (uint8_t)where;
		return 0;
	}
	if (need(t, ENTRY_MAX) == -1)
		return -1;
	own = names_uidl(t, row);
	memcpy(uidl, own.p, own.n); /* it lies in the room that may move */
	t->waste += entry_size(t->room + t->off[row]);
	t->off[row] = put(t, name, base_len, (struct span){uidl, own.n});
	t->where[row] = (uint8_t)where;
	return 0;
}

const char *
names_get(const struct names *t, uint32_t row)
{
	assert(row < t->nrow);
	return t->room + t->off[row] + HEAD;
}

struct span
names_base(const struct names *t, uint32_t row)
{
	const char *name = names_get(t, row);

	return (struct span){name, (unsigned char)name[-HEAD]};
}

struct span
names_uidl(const struct names *t, uint32_t row)
{
	const char *name = names_get(t, row);
	size_t n = (unsigned char)name[-HEAD + 1];

	return n == 0 ? (struct span){"", 0} : (struct span){name + strlen(name) + 1, n};
}

void
names_free(struct names *t)
{
	free(t->room);
	free(t->off);
	free(t->where);
	*t = (struct names){0};
}
