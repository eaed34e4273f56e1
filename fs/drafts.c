/*
 * drafts: the table of drafts, by slot and by name; what concerns many of them. Its lock is
 * taken with at most one draft's own lock held. A draft stands in it (one reference) from
 * its creation until it has neither a name nor an open file.
 */
#include <stdlib.h>
#include <time.h>

#include "fs/drafts_private.h"
#include "fs/loop.h"
#include "storage/base/hash.h"

#define ALIAS_MS     60000 /* how long a written name stays an alias */
#define YOUNG_MS     5000  /* how long at least, when slots are needed */
#define DRAFT_MOST   4096  /* drafts of one user that are not delivered */
#define ALIAS_MOST   16384 /* aliases; the oldest go first */
#define DRAFT_NHASH  8192

struct drafts {
	pthread_mutex_t lock; /* everything */
	struct hash_key key;  /* users choose the names */
	struct draft *slot[NODE_NDRAFT];
	struct draft *hash[DRAFT_NHASH];
	uint32_t next_slot, nused;
	uint64_t generation;
};

int
drafts_open(struct drafts **out)
{
	struct drafts *ds = calloc(1, sizeof *ds);

	if (ds == NULL)
		return -1;
	pthread_mutex_init(&ds->lock, NULL);
	hash_random(&ds->key);
	ds->generation = (uint64_t)time(NULL) << 20; /* above those of an earlier daemon */
	*out = ds;
	return 0;
}

/* ---- the table; each with drafts->lock held ------------------------------------------ */

static struct draft **
bucket(struct drafts *ds, uint32_t number, bool in_new, const char *name)
{
	uint64_t h = hash64(&ds->key, span_of(name));

	return &ds->hash[(h ^ number ^ in_new) % DRAFT_NHASH];
}

static struct draft *
find(struct drafts *ds, uint32_t number, bool in_new, const char *name)
{
	struct draft *d = *bucket(ds, number, in_new, name);

	for (; d != NULL; d = d->hash_next)
		if (box_number(d->box) == number && d->in_new == in_new &&
		    strcmp(d->name, name) == 0)
			return d;
	return NULL;
}

static void
hash_in(struct drafts *ds, struct draft *d)
{
	struct draft **b = bucket(ds, box_number(d->box), d->in_new, d->name);

	d->hash_next = *b;
	*b = d;
}

static void
hash_out(struct drafts *ds, struct draft *d)
{
	struct draft **at = bucket(ds, box_number(d->box), d->in_new, d->name);

	while (*at != d)
		at = &(*at)->hash_next;
	*at = d->hash_next;
}

/* Its name resolves no longer. */
static void
drop_name(struct drafts *ds, struct draft *d)
{
	if (d->name == NULL)
		return;
	hash_out(ds, d);
	free(d->name);
	d->name = NULL;
}

static unsigned
count_drafts(struct drafts *ds, const struct store *store)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < NODE_NDRAFT; i++)
		n += ds->slot[i] != NULL && ds->slot[i]->state == DRAFT &&
		     box_store(ds->slot[i]->box) == store;
	return n;
}

static int
take_slot(struct drafts *ds, struct draft *d)
{
	if (ds->nused >= DRAFT_MOST &&
	    count_drafts(ds, box_store(d->box)) >= DRAFT_MOST)
		goto full;
	for (uint32_t i = 0; i < NODE_NDRAFT; i++) {
		uint32_t at = ds->next_slot++ % NODE_NDRAFT;

		if (ds->slot[at] == NULL) {
			ds->slot[at] = d;
			ds->nused++;
			d->slot = at;
			d->generation = ++ds->generation;
			return 0;
		}
	}
full:
	errno = ENFILE;
	return -1;
}

/* ---- references ------------------------------------------------------------------------ */

static struct draft *
with_ref(struct drafts *ds, struct draft *d, int err)
{
	if (d != NULL)
		d->refs++;
	pthread_mutex_unlock(&ds->lock);
	if (d == NULL)
		errno = err;
	return d;
}

struct draft *
draft_find(struct fs *fs, const struct box *box, bool in_new, const char *name)
{
	struct drafts *ds = fs->drafts;

	pthread_mutex_lock(&ds->lock);
	return with_ref(ds, find(ds, box_number(box), in_new, name), ENOENT);
}

struct draft *
draft_get(struct fs *fs, uint32_t slot)
{
	struct drafts *ds = fs->drafts;

	loop_yield(); /* its lock may be held over a delivery */
	pthread_mutex_lock(&ds->lock);
	return with_ref(ds, ds->slot[slot], ESTALE);
}

uint32_t
draft_box_number(struct fs *fs, uint32_t slot)
{
	struct drafts *ds = fs->drafts;
	uint32_t number = 0;

	pthread_mutex_lock(&ds->lock);
	if (ds->slot[slot] != NULL)
		number = box_number(ds->slot[slot]->box);
	pthread_mutex_unlock(&ds->lock);
	return number;
}

void
draft_put(struct fs *fs, struct draft *d)
{
	unsigned left;

	pthread_mutex_lock(&fs->drafts->lock);
	left = --d->refs;
	pthread_mutex_unlock(&fs->drafts->lock);
	if (left > 0)
		return;
	if (d->stage != NULL)
		stage_discard(d->stage);
	box_unref(d->box);
	pthread_mutex_destroy(&d->lock);
	free(d->name);
	free(d);
}

/* d->lock held. Out of the table once nothing can lead to it; the caller has a
 * reference of its own. */
void
drafts_leave_if_unused(struct fs *fs, struct draft *d)
{
	struct drafts *ds = fs->drafts;

	pthread_mutex_lock(&ds->lock);
	if (d->name == NULL && d->nopen == 0 && ds->slot[d->slot] == d) {
		ds->slot[d->slot] = NULL;
		ds->nused--;
		d->refs--;
	}
	pthread_mutex_unlock(&ds->lock);
}

/* d->lock held. */
void
drafts_set_state(struct fs *fs, struct draft *d, enum draft_state state)
{
	pthread_mutex_lock(&fs->drafts->lock);
	d->state = state;
	if (state == ALIAS)
		d->expires_ms = fs_now_ms() + ALIAS_MS;
	if (state == GONE ||
	    (state == ALIAS && (node_name_uid(d->name) != 0 || draft_is_append(d))))
		drop_name(fs->drafts, d);
	pthread_mutex_unlock(&fs->drafts->lock);
}

/* d->lock held; `name` is taken over. */
void
drafts_set_name(struct fs *fs, struct draft *d, struct box *to, bool in_new, char *name)
{
	struct box *was = d->box;

	pthread_mutex_lock(&fs->drafts->lock);
	drop_name(fs->drafts, d);
	box_ref(to);
	d->box = to;
	d->in_new = in_new;
	d->name = name;
	hash_in(fs->drafts, d);
	pthread_mutex_unlock(&fs->drafts->lock);
	box_unref(was);
}

/* ---- many at once ---------------------------------------------------------------------------- */

/* The next draft of the table at or above *slot that `want` says yes to (table's lock
 * held then), as a reference. */
static struct draft *
next(struct fs *fs, uint32_t *slot, bool (*want)(struct draft *, const void *),
     const void *arg)
{
	struct drafts *ds = fs->drafts;
	struct draft *d = NULL;

	pthread_mutex_lock(&ds->lock);
	for (; ds->nused > 0 && *slot < NODE_NDRAFT && d == NULL; ++*slot)
		if (ds->slot[*slot] != NULL && want(ds->slot[*slot], arg))
			d = ds->slot[*slot];
	return with_ref(ds, d, ENOENT);
}

static bool
in_box(struct draft *d, const void *box)
{
	return d->box == box;
}

static bool
any(struct draft *d, const void *arg)
{
	(void)d, (void)arg;
	return true;
}

static bool
due(struct draft *d, const void *now)
{
	return d->state == DRAFT || (d->state == ALIAS && d->expires_ms <= *(const int64_t *)now);
}

bool
drafts_in_box(struct fs *fs, const struct box *box)
{
	struct draft *d;
	bool found = false;

	for (uint32_t at = 0; !found && (d = next(fs, &at, in_box, box)) != NULL;) {
		pthread_mutex_lock(&d->lock);
		found = d->state == DRAFT && (d->nopen > 0 || stage_size(d->stage) > 0);
		pthread_mutex_unlock(&d->lock);
		draft_put(fs, d);
	}
	return found;
}

void
drafts_forget_box(struct fs *fs, const struct box *box)
{
	struct draft *d;

	for (uint32_t at = 0; (d = next(fs, &at, in_box, box)) != NULL;) {
		pthread_mutex_lock(&d->lock);
		draft_forget(fs, d);
		pthread_mutex_unlock(&d->lock);
		draft_put(fs, d);
	}
}

static void
sweep(struct fs *fs, int64_t now)
{
	struct draft *d;

	for (uint32_t at = 0; (d = next(fs, &at, due, &now)) != NULL;) {
		pthread_mutex_lock(&d->lock);
		if (d->state == ALIAS && d->nopen == 0)
			draft_forget(fs, d);
		else if (d->nopen == 0 && draft_is_deliverable(d))
			draft_deliver(fs, d);
		pthread_mutex_unlock(&d->lock);
		draft_put(fs, d);
	}
}

static uint32_t
used(struct drafts *ds)
{
	uint32_t n;

	pthread_mutex_lock(&ds->lock);
	n = ds->nused;
	pthread_mutex_unlock(&ds->lock);
	return n;
}

void
drafts_sweep(struct fs *fs)
{
	int64_t now = fs_now_ms();

	if (used(fs->drafts) > ALIAS_MOST) /* many at once: names live shorter */
		now += ALIAS_MS / 2;
	sweep(fs, now);
}

/* ---- entering ------------------------------------------------------------------------ */

static int
enter(struct drafts *ds, struct draft *d)
{
	int status = -1;

	pthread_mutex_lock(&ds->lock);
	if (find(ds, d->home, d->in_new, d->name) != NULL)
		errno = EEXIST;
	else if ((status = take_slot(ds, d)) == 0)
		hash_in(ds, d);
	pthread_mutex_unlock(&ds->lock);
	return status;
}

/* Aliases of many deliveries in a short time must not keep out the next one. */
int
drafts_enter(struct fs *fs, struct draft *d)
{
	if (enter(fs->drafts, d) == 0)
		return 0;
	if (errno != ENFILE)
		return -1;
	sweep(fs, fs_now_ms() + ALIAS_MS - YOUNG_MS);
	return enter(fs->drafts, d);
}

/* ---- the end ------------------------------------------------------------------------- */

void
drafts_close(struct fs *fs)
{
	struct draft *d;

	if (fs->drafts == NULL)
		return;
	for (uint32_t at = 0; (d = next(fs, &at, any, NULL)) != NULL;) {
		pthread_mutex_lock(&d->lock);
		draft_keep_promise(fs, d);
		d->nopen = 0;
		draft_forget(fs, d);
		pthread_mutex_unlock(&d->lock);
		draft_put(fs, d);
	}
	pthread_mutex_destroy(&fs->drafts->lock);
	free(fs->drafts);
	fs->drafts = NULL;
}
