#include "protocol/pop3/drop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/base/hash.h"

#define FREEZE_MAX 10 /* attempts while the index is being built anew */

#define OFF_BITS  48
#define SIZE_BITS 40

/* ---- freezing ---------------------------------------------------------------------------- */

static void
forget(struct drop *d)
{
	d->n = d->unsized = 0;
	d->octets = d->wire_end = 0;
	buf_reset(&d->own);
	free(d->own_at);
	d->own_at = NULL;
}

static int
grow(struct drop *d)
{
	size_t cap = d->cap == 0 ? 256 : d->cap + d->cap / 2;
	struct drop_message *m;

	if (d->n < d->cap)
		return 0;
	if ((m = reallocarray(d->m, cap, sizeof *m)) == NULL)
		return -1;
	d->m = m;
	d->cap = cap;
	return 0;
}

static uint64_t
bits_of(const struct mt_record *r)
{
	return (uint64_t)((r->bits & MT_DOT ? DROP_DOT : 0) |
	                  (r->bits & MT_NUL ? DROP_NUL : 0) |
	                  (r->bits & MT_UIDL ? DROP_OWN_UIDL : 0));
}

static int
add_record(void *arg, const struct mt_record *r)
{
	struct drop *d = arg;

	if (r->wire_off == MT_OFF_UNKNOWN) {
		d->unsized++;
		return 0;
	}
	if (r->wire_off >> OFF_BITS != 0 || r->wire_size >> SIZE_BITS != 0) {
		errno = EOVERFLOW;
		return -1;
	}
	if (grow(d) == -1)
		return -1;
	d->m[d->n++] = (struct drop_message){
	    .uid = r->uid,
	    .size_low = (uint32_t)r->wire_size,
	    .size_high = (uint8_t)(r->wire_size >> 32),
	    .wire_off = r->wire_off & ((1ULL << OFF_BITS) - 1),
	    .bits = (uint8_t)bits_of(r),
	};
	if (r->wire_off + r->wire_size > d->wire_end)
		d->wire_end = r->wire_off + r->wire_size;
	return 0;
}

static int
read_index(struct drop *d, struct view *v)
{
	struct mt_header head;
	int rc = -1;

	for (int i = 0; i < FREEZE_MAX && rc == -1; i++) {
		forget(d);
		rc = view_scan(v, &head, add_record, d);
		if (rc == -1 && errno != ESTALE)
			return -1;
	}
	d->uidvalidity = head.uidvalidity;
	return rc;
}

/* ---- names of the store ------------------------------------------------------------------ */

#define NO_NAME UINT32_MAX

/* Merges names, which come in ascending order of UIDs, with the messages. */
struct merge {
	struct drop *d;
	const struct uidl *uidl; /* NULL: the names are unique ids already */
	size_t at;
};

static int
keep_uidl(struct drop *d, size_t i, const char *uidl, size_t n)
{
	if (d->own.n >= NO_NAME) {
		errno = EOVERFLOW;
		return -1;
	}
	d->own_at[i] = (uint32_t)d->own.n;
	if (buf_addc(&d->own, (char)n) == -1)
		return -1;
	return buf_add(&d->own, (struct span){uidl, n});
}

static int
merge_name(void *arg, uint32_t uid, struct span name)
{
	struct merge *g = arg;
	struct drop *d = g->d;
	char uidl[UIDL_MAX];
	size_t n;

	while (g->at < d->n && d->m[g->at].uid < uid)
		g->at++;
	if (g->at == d->n || d->m[g->at].uid != uid)
		return 0;
	if (g->uidl == NULL && !(d->m[g->at].bits & DROP_OWN_UIDL))
		return 0; /* it got one since: the next session shows it */
	n = g->uidl == NULL ? uidl_conform(name, uidl)
	                    : uidl_print(g->uidl, d->uidvalidity, uid, name, uidl);
	return keep_uidl(d, g->at, uidl, n);
}

static int
merge_names(struct drop *d, struct view *v, enum view_name which,
            const struct uidl *uidl)
{
	struct merge g = {.d = d, .uidl = uidl};

	return view_names(v, which, d->m[0].uid, d->m[d->n - 1].uid, merge_name, &g);
}

/* Without a name a message went away in these moments: nobody has seen it yet. */
static void
leave_out_nameless(struct drop *d, bool all_need)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->n; i++) {
		bool needs = all_need || d->m[i].bits & DROP_OWN_UIDL;

		if (needs && d->own_at[i] == NO_NAME)
			continue;
		d->own_at[kept] = d->own_at[i];
		d->m[kept++] = d->m[i];
	}
	d->n = kept;
}

static struct span
own_uidl(const struct drop *d, size_t i)
{
	const char *p = d->own.p + d->own_at[i];

	return (struct span){p + 1, (unsigned char)*p};
}

struct key {
	uint64_t hash;
	size_t i;
};

static int
by_hash_then_number(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->i < y->i ? -1 : x->i > y->i;
}

/* Another unique id for m[i], whose own an earlier message has: by its UID too. */
static int
tell_apart(struct drop *d, size_t i)
{
	struct span own = own_uidl(d, i);
	char text[UIDL_MAX + 16], uidl[UIDL_MAX];
	int n = snprintf(text, sizeof text, "%u %.*s", d->m[i].uid, (int)own.n, own.p);

	return keep_uidl(d, i, uidl,
	                 uidl_conform((struct span){text, (size_t)n}, uidl));
}

/*
 * A store may name two messages alike (copies that other programs made of files and
 * lists): a client would never fetch the second.
 */
static int
tell_all_apart(struct drop *d)
{
	struct key *keys = reallocarray(NULL, d->n, sizeof *keys);
	size_t n = 0;
	int rc = 0;

	if (keys == NULL)
		return -1;
	for (size_t i = 0; i < d->n; i++)
		if (d->own_at[i] != NO_NAME)
			keys[n++] =
			    (struct key){hash64(&hash_fixed, own_uidl(d, i)), i};
	qsort(keys, n, sizeof *keys, by_hash_then_number);
	for (size_t k = 1; k < n && rc == 0; k++)
		if (keys[k].hash == keys[k - 1].hash)
			rc = tell_apart(d, keys[k].i);
	free(keys);
	return rc;
}

static int
read_names(struct drop *d, struct view *v, const struct uidl *uidl)
{
	bool own = false;

	for (size_t i = 0; i < d->n && !own; i++)
		own = d->m[i].bits & DROP_OWN_UIDL;
	if (d->n == 0 || (!own && !uidl->needs_name))
		return 0;
	if ((d->own_at = reallocarray(NULL, d->n, sizeof *d->own_at)) == NULL)
		return -1;
	for (size_t i = 0; i < d->n; i++)
		d->own_at[i] = NO_NAME;
	if (uidl->needs_name && merge_names(d, v, VIEW_BASE_NAMES, uidl) != 0)
		return -1;
	if (own && merge_names(d, v, VIEW_UIDLS, NULL) != 0)
		return -1;
	leave_out_nameless(d, uidl->needs_name);
	return d->n == 0 ? 0 : tell_all_apart(d);
}

/* The room for more that will never come. */
static void
give_back(struct drop *d)
{
	struct drop_message *m = d->n == 0 ? NULL : reallocarray(d->m, d->n, sizeof *m);

	if (m != NULL) {
		d->m = m;
		d->cap = d->n;
	}
}

int
drop_freeze(struct drop *d, struct view *v, const struct uidl *uidl)
{
	int saved;

	*d = (struct drop){0};
	if (read_index(d, v) == -1 || read_names(d, v, uidl) == -1) {
		saved = errno;
		drop_free(d);
		errno = saved;
		return -1;
	}
	give_back(d);
	drop_reset(d);
	return 0;
}

/* ---- the session's use of it ------------------------------------------------------------- */

struct drop_message *
drop_find(struct drop *d, uint64_t n)
{
	if (n == 0 || n > d->n || d->m[n - 1].bits & DROP_DELETED)
		return NULL;
	return &d->m[n - 1];
}

void
drop_delete(struct drop *d, struct drop_message *m)
{
	m->bits |= DROP_DELETED;
	d->alive--;
	d->octets -= drop_size(m);
}

void
drop_reset(struct drop *d)
{
	d->alive = d->n;
	d->octets = 0;
	for (size_t i = 0; i < d->n; i++) {
		d->m[i].bits &= (uint8_t)~DROP_DELETED;
		d->octets += drop_size(&d->m[i]);
	}
}

int
drop_deleted(const struct drop *d, struct numset *set)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->m[i].bits & DROP_DELETED &&
		    numset_add(set, d->m[i].uid, d->m[i].uid) == -1)
			return -1;
	return 0;
}

size_t
drop_uidl(const struct drop *d, const struct uidl *uidl, const struct drop_message *m,
          char out[static UIDL_MAX])
{
	size_t i = (size_t)(m - d->m);
	struct span own;

	if (d->own_at == NULL || d->own_at[i] == NO_NAME)
		return uidl_print(uidl, d->uidvalidity, m->uid, (struct span){NULL, 0},
		                  out);
	own = own_uidl(d, i);
	memcpy(out, own.p, own.n);
	return own.n;
}

void
drop_free(struct drop *d)
{
	free(d->m);
	free(d->own_at);
	buf_free(&d->own);
	*d = (struct drop){0};
}
