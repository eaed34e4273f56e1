/*
 * Lock order: draft->lock, then drafts->lock. A draft stands in the table (one
 * reference) from its creation until it has neither a name nor an open file.
 */
#include "fs/draft.h"

#include <stdlib.h>
#include <time.h>

#include "fs/entry.h"
#include "fs/loop.h"
#include "fs/room.h"
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
static void
leave_if_unused(struct fs *fs, struct draft *d)
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
static void
set_state(struct fs *fs, struct draft *d, enum draft_state state)
{
	pthread_mutex_lock(&fs->drafts->lock);
	d->state = state;
	if (state == ALIAS)
		d->expires_ms = fs_now_ms() + ALIAS_MS;
	if (state == GONE || (state == ALIAS && node_name_uid(d->name) != 0))
		drop_name(fs->drafts, d);
	pthread_mutex_unlock(&fs->drafts->lock);
}

/* d->lock held. Recovery must not deliver what was removed, not even when it is still
 * open somewhere. */
static void
withdraw(struct draft *d)
{
	if (d->stage == NULL)
		return;
	if (d->nopen > 0) {
		if (d->flushed && stage_flush(d->stage, false) == -1)
			log_warn("a file that was removed while open may be delivered after "
				 "a crash: %m");
		return;
	}
	stage_discard(d->stage);
	d->stage = NULL;
}

/* d->lock held. */
static void
forget(struct fs *fs, struct draft *d)
{
	withdraw(d);
	set_state(fs, d, GONE);
	leave_if_unused(fs, d);
}

/* ---- birth ----------------------------------------------------------------------------- */

static struct draft *
new_draft(struct box *box, bool in_new, const char *name, mode_t mode)
{
	struct draft *d = calloc(1, sizeof *d);

	if (d == NULL)
		return NULL;
	if ((d->name = strdup(name)) == NULL || stage_open(box, &d->stage) == -1) {
		free(d->name);
		free(d);
		return NULL;
	}
	pthread_mutex_init(&d->lock, NULL);
	box_ref(box);
	d->box = box;
	d->home = box_number(box);
	d->in_new = in_new;
	d->mode = S_IFREG | (mode & 0777);
	d->date = INT64_MIN;
	d->nopen = 1;
	d->refs = 2; /* the table's and the caller's */
	return d;
}

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

static void sweep(struct fs *, int64_t now);

/* Aliases of many deliveries in a short time must not keep out the next one. */
static int
enter_somehow(struct fs *fs, struct draft *d)
{
	if (enter(fs->drafts, d) == 0)
		return 0;
	if (errno != ENFILE)
		return -1;
	sweep(fs, fs_now_ms() + ALIAS_MS - YOUNG_MS);
	return enter(fs->drafts, d);
}

int
draft_create(struct fs *fs, struct box *box, bool in_new, const char *name, mode_t mode,
	     struct draft **out)
{
	struct draft *d = new_draft(box, in_new, name, mode);
	int saved;

	if (d == NULL)
		return -1;
	if (enter_somehow(fs, d) == -1) {
		saved = errno;
		d->refs = 1;
		draft_put(fs, d);
		errno = saved;
		return -1;
	}
	*out = d;
	return 0;
}

/* ---- looking at it ----------------------------------------------------------------------- */

static void
stage_entry(struct draft *d, struct fuse_entry_param *e)
{
	uint64_t size = d->stage != NULL ? stage_size(d->stage) : 0;
	struct stat *st = &e->attr;

	st->st_ino = hash64(&hash_fixed,
			    (struct span){(const char *)&d->generation, 8});
	st->st_mode = d->mode;
	st->st_nlink = d->name != NULL;
	store_owner(box_store(d->box), &st->st_uid, &st->st_gid);
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
	st->st_blksize = 4096;
	st->st_mtime = d->date != INT64_MIN ? d->date : time(NULL);
	st->st_ctime = st->st_atime = st->st_mtime;
}

static int
alias_entry(struct fs *fs, struct draft *d, struct fuse_entry_param *e)
{
	struct mt_header h;
	struct mt_record r;

	if (box_sized(d->box, d->uid, &r) == -1) {
		if (errno == ENOENT)
			forget(fs, d);
		return -1;
	}
	box_header(d->box, &h);
	entry_message(d->box, &h, &r, e);
	return 0;
}

int
draft_entry(struct fs *fs, struct draft *d, struct fuse_entry_param *e)
{
	int status = 0;

	*e = (struct fuse_entry_param){0};
	pthread_mutex_lock(&d->lock);
	if (d->state == ALIAS)
		status = alias_entry(fs, d, e);
	else
		stage_entry(d, e);
	pthread_mutex_unlock(&d->lock);
	e->ino = node_id((struct node){NODE_DRAFT, d->home, d->slot});
	e->generation = d->generation;
	e->entry_timeout = e->attr_timeout = 0; /* it may become something else any time */
	return status;
}

/* ---- delivery ----------------------------------------------------------------------------- */

/* d->lock held. Lacks it nothing that a message needs? */
static bool
deliverable(const struct draft *d)
{
	return d->state == DRAFT && d->err == 0 && d->name != NULL && d->name[0] != '.' &&
	       stage_size(d->stage) > 0;
}

static void
log_failed(const struct draft *d)
{
	struct buf path = {0};
	int saved = errno;

	if (box_path(d->box, &path) == 0) {
		errno = saved;
		log_error("%.*s: cannot deliver \"%s\", it stays staged: %m", (int)path.n,
			  path.p, d->name);
	}
	buf_free(&path);
	errno = saved;
}

/* d->lock held, nobody has it open. */
static int
deliver(struct fs *fs, struct draft *d)
{
	struct delivery one = {.stage = d->stage, .date = d->date};

	if (box_deliver(d->box, &one, 1, &d->uid) == -1) {
		log_failed(d);
		return -1;
	}
	d->stage = NULL;
	set_state(fs, d, ALIAS);
	leave_if_unused(fs, d);
	return 0;
}

int
draft_flush(struct fs *fs, struct draft *d, bool always)
{
	int status = 0;

	(void)fs;
	pthread_mutex_lock(&d->lock);
	if (d->state == DRAFT && d->err != 0) {
		errno = d->err;
		status = -1;
	} else if (d->state == DRAFT && (always || (d->dirty && stage_size(d->stage) > 0))) {
		if ((status = stage_flush(d->stage, deliverable(d))) == 0) {
			d->dirty = false;
			d->flushed = true;
		} else
			d->err = errno; /* asked again, the disk would say that all is well */
	}
	pthread_mutex_unlock(&d->lock);
	return status;
}

void
draft_release(struct fs *fs, struct draft *d)
{
	pthread_mutex_lock(&d->lock);
	if (--d->nopen == 0) {
		if (deliverable(d))
			deliver(fs, d); /* failed: logged, tried again by the sweep */
		else if (d->state == DRAFT && d->err != 0)
			forget(fs, d);
		leave_if_unused(fs, d);
	}
	pthread_mutex_unlock(&d->lock);
}

/* ---- opening what exists -------------------------------------------------------------------- */

/* An alias is written anew: its message stays, this becomes another one. */
static int
restart(struct fs *fs, struct draft *d)
{
	if (stage_open(d->box, &d->stage) == -1)
		return -1;
	d->uid = 0;
	d->date = INT64_MIN;
	d->dirty = d->flushed = false;
	d->err = 0;
	set_state(fs, d, DRAFT);
	return 0;
}

int
draft_open(struct fs *fs, struct draft *d, int flags)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	int status = 0;

	pthread_mutex_lock(&d->lock);
	if (d->state == GONE && d->stage == NULL) {
		errno = ESTALE;
		status = -1;
	} else if (d->state == ALIAS && writes && flags & O_TRUNC && d->name != NULL)
		status = restart(fs, d);
	else if (d->state == ALIAS && writes) {
		errno = EEXIST;
		status = -1;
	} else if (d->stage != NULL && flags & O_TRUNC) {
		if ((status = stage_truncate(d->stage, 0)) == 0)
			d->err = 0;
		d->dirty = true;
	}
	if (status == 0)
		d->nopen++;
	pthread_mutex_unlock(&d->lock);
	return status;
}

int
draft_set_date(struct fs *fs, struct draft *d, int64_t date)
{
	int status = 0;

	pthread_mutex_lock(&d->lock);
	d->date = date;
	if (d->state == ALIAS && !room_was_told(fs->rooms, box_number(d->box), d->uid))
		status = box_set_date(d->box, d->uid, date);
	pthread_mutex_unlock(&d->lock);
	return status;
}

/* ---- names ------------------------------------------------------------------------------------ */

int
draft_unlink(struct fs *fs, struct draft *d)
{
	struct numset uid = {0}, gone = {0};
	int status = 0;

	pthread_mutex_lock(&d->lock);
	if (d->state == ALIAS && ((status = numset_add(&uid, d->uid, d->uid)) == -1 ||
				  (status = box_expunge(d->box, &uid, false, &gone)) == -1))
		goto out;
	forget(fs, d);
out:
	pthread_mutex_unlock(&d->lock);
	numset_free(&uid);
	numset_free(&gone);
	return status;
}

/* The draft that had the name gives it up. */
static void
replaced(struct fs *fs, struct draft *other)
{
	pthread_mutex_lock(&other->lock);
	forget(fs, other);
	pthread_mutex_unlock(&other->lock);
}

/* Stages belong to a mailbox: the bytes move to one of the other mailbox. What was made
 * durable is so there before it goes here. */
static int
restage(struct draft *d, struct box *to, const char *name)
{
	char chunk[65536];
	struct stage *s;
	uint64_t off;
	size_t got;
	int saved;

	if (stage_open(to, &s) == -1)
		return -1;
	for (off = 0; off < stage_size(d->stage); off += got)
		if (stage_read(d->stage, chunk, sizeof chunk, off, &got) == -1 ||
		    got == 0 || stage_write(s, chunk, got, off) == -1)
			goto undo;
	if (d->flushed && stage_flush(s, d->err == 0 && off > 0 && name[0] != '.') == -1)
		goto undo;
	stage_discard(d->stage);
	d->stage = s;
	d->dirty = !d->flushed;
	return 0;
undo:
	saved = errno;
	stage_discard(s);
	errno = saved;
	return -1;
}

/* d->lock held. The message or the bytes go to the other mailbox. */
static int
change_box(struct draft *d, struct box *to, const char *name)
{
	struct numset uid = {0}, now = {0};
	int status;

	if (d->state == DRAFT)
		return restage(d, to, name);
	if ((status = numset_add(&uid, d->uid, d->uid)) == 0 &&
	    (status = box_copy(d->box, &uid, to, true, NULL, &now)) == 0) {
		if (now.n == 1)
			d->uid = now.r[0].lo;
		else {
			errno = ENOENT;
			status = -1;
		}
	}
	numset_free(&uid);
	numset_free(&now);
	return status;
}

/* d->lock held; `name` is taken over. */
static void
set_name(struct fs *fs, struct draft *d, struct box *to, bool in_new, char *name)
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

/* d->lock held. What the new name means for it. */
static int
settle(struct fs *fs, struct draft *d)
{
	if (d->state == ALIAS) {
		set_state(fs, d, ALIAS);
		leave_if_unused(fs, d);
		return 0;
	}
	if (d->nopen > 0)
		return d->dirty ? 0 : stage_flush(d->stage, deliverable(d));
	return deliverable(d) ? deliver(fs, d) : 0;
}

int
draft_rename(struct fs *fs, struct draft *d, struct box *to, bool in_new,
	     const char *name)
{
	char *copy = strdup(name);
	struct draft *other;
	int status = -1, saved;

	if (copy == NULL)
		return -1;
	other = draft_find(fs, to, in_new, name);
	pthread_mutex_lock(&d->lock);
	if (d->state == GONE || d->name == NULL)
		errno = ENOENT;
	else if (to == d->box || change_box(d, to, name) == 0) {
		set_name(fs, d, to, in_new, copy);
		copy = NULL;
		status = settle(fs, d);
	}
	saved = errno;
	pthread_mutex_unlock(&d->lock);
	if (other != NULL && other != d && copy == NULL) /* now that the name is taken */
		replaced(fs, other);
	if (other != NULL)
		draft_put(fs, other);
	free(copy);
	errno = saved;
	return status;
}

/* ---- commit ------------------------------------------------------------------------------------ */

static int
by_slot(const void *a, const void *b)
{
	const struct draft_commit *const *x = a, *const *y = b;

	return ((*x)->draft->slot > (*y)->draft->slot) -
	       ((*x)->draft->slot < (*y)->draft->slot);
}

/* All locks, lowest slot first; EINVAL when one is named twice. */
static int
lock_all(const struct draft_commit *c, const struct draft_commit **sorted, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sorted[i] = &c[i];
	qsort(sorted, n, sizeof *sorted, by_slot);
	for (size_t i = 1; i < n; i++)
		if (sorted[i]->draft == sorted[i - 1]->draft) {
			errno = EINVAL;
			return -1;
		}
	for (size_t i = 0; i < n; i++)
		pthread_mutex_lock(&sorted[i]->draft->lock);
	return 0;
}

static int
fill(struct box *box, const struct draft_commit *c, struct delivery *dl, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct draft *d = c[i].draft;

		if (d->state != DRAFT || d->box != box || d->err != 0) {
			errno = d->state == DRAFT && d->err != 0 ? d->err : ENOENT;
			return -1;
		}
		dl[i] = (struct delivery){d->stage, c[i].flags, c[i].keywords,
					  c[i].date != INT64_MIN ? c[i].date : d->date};
	}
	return 0;
}

int
draft_commit(struct fs *fs, struct box *box, const struct draft_commit *c, size_t n,
	     uint32_t *uids)
{
	const struct draft_commit **sorted = reallocarray(NULL, n, sizeof *sorted);
	struct delivery *dl = reallocarray(NULL, n, sizeof *dl);
	int status = -1;

	if (sorted == NULL || dl == NULL || lock_all(c, sorted, n) == -1)
		goto out;
	if (fill(box, c, dl, n) == 0 && box_deliver(box, dl, n, uids) == 0) {
		for (size_t i = 0; i < n; i++) {
			c[i].draft->stage = NULL;
			c[i].draft->uid = uids[i];
			set_state(fs, c[i].draft, ALIAS);
			leave_if_unused(fs, c[i].draft);
		}
		status = 0;
	}
	for (size_t i = n; i-- > 0;)
		pthread_mutex_unlock(&sorted[i]->draft->lock);
out:
	free(sorted);
	free(dl);
	return status;
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
		forget(fs, d);
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

static void
sweep(struct fs *fs, int64_t now)
{
	struct draft *d;

	for (uint32_t at = 0; (d = next(fs, &at, due, &now)) != NULL;) {
		pthread_mutex_lock(&d->lock);
		if (d->state == ALIAS && d->nopen == 0)
			forget(fs, d);
		else if (d->nopen == 0 && deliverable(d))
			deliver(fs, d);
		pthread_mutex_unlock(&d->lock);
		draft_put(fs, d);
	}
}

void
drafts_sweep(struct fs *fs)
{
	int64_t now = fs_now_ms();

	if (used(fs->drafts) > ALIAS_MOST) /* many at once: names live shorter */
		now += ALIAS_MS / 2;
	sweep(fs, now);
}

/* d->lock held. At the end of the daemon: what was promised is delivered; where that
 * cannot be, its file stays for recovery. */
static void
keep_promise(struct fs *fs, struct draft *d)
{
	if (!deliverable(d) || !d->flushed || d->dirty || deliver(fs, d) == 0)
		return;
	(void)stage_flush(d->stage, true);
	stage_leave(d->stage);
	d->stage = NULL;
}

void
drafts_close(struct fs *fs)
{
	struct draft *d;

	if (fs->drafts == NULL)
		return;
	for (uint32_t at = 0; (d = next(fs, &at, any, NULL)) != NULL;) {
		pthread_mutex_lock(&d->lock);
		keep_promise(fs, d);
		d->nopen = 0;
		forget(fs, d);
		pthread_mutex_unlock(&d->lock);
		draft_put(fs, d);
	}
	pthread_mutex_destroy(&fs->drafts->lock);
	free(fs->drafts);
	fs->drafts = NULL;
}
