/* draft: the life of one draft. The table that they stand in is drafts.c's. */
#include "fs/drafts_private.h"

#include <stdlib.h>
#include <time.h>

#include "fs/entry.h"
#include "fs/room.h"
#include "storage/base/hash.h"

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
void
draft_forget(struct fs *fs, struct draft *d)
{
	withdraw(d);
	drafts_set_state(fs, d, GONE);
	drafts_leave_if_unused(fs, d);
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

int
draft_create(struct fs *fs, struct box *box, bool in_new, const char *name, mode_t mode,
	     struct draft **out)
{
	struct draft *d = new_draft(box, in_new, name, mode);
	int saved;

	if (d == NULL)
		return -1;
	if (drafts_enter(fs, d) == -1) {
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
			draft_forget(fs, d);
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

/* Either lock held. Does it belong to its writer alone, so that it goes with him? */
bool
draft_is_append(const struct draft *d)
{
	return d->in_new && d->name != NULL &&
	       span_starts(span_of(d->name), SPAN(MT_APPEND));
}

/* d->lock held. Lacks it nothing that a message needs? */
bool
draft_is_deliverable(const struct draft *d)
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
int
draft_deliver(struct fs *fs, struct draft *d)
{
	struct delivery one = {.stage = d->stage, .date = d->date};

	if (box_deliver(d->box, &one, 1, &d->uid) == -1) {
		log_failed(d);
		return -1;
	}
	d->stage = NULL;
	drafts_set_state(fs, d, ALIAS);
	drafts_leave_if_unused(fs, d);
	return 0;
}

/* d->lock held. At the end of the daemon: what was promised is delivered; where that
 * cannot be, its file stays for recovery. */
void
draft_keep_promise(struct fs *fs, struct draft *d)
{
	if (!draft_is_deliverable(d) || !d->flushed || d->dirty || draft_deliver(fs, d) == 0)
		return;
	(void)stage_flush(d->stage, true);
	stage_leave(d->stage);
	d->stage = NULL;
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
		if ((status = stage_flush(d->stage, draft_is_deliverable(d))) == 0) {
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
		if (draft_is_deliverable(d))
			draft_deliver(fs, d); /* failed: logged, tried again by the sweep */
		else if (d->state == DRAFT && (d->err != 0 || draft_is_append(d)))
			draft_forget(fs, d);
		drafts_leave_if_unused(fs, d);
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
	d->flags = 0;
	d->keywords = 0;
	d->dirty = d->flushed = false;
	d->err = 0;
	drafts_set_state(fs, d, DRAFT);
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

void
draft_mark(struct draft *d, uint16_t flags, uint32_t keywords, int64_t date)
{
	pthread_mutex_lock(&d->lock);
	d->flags = flags;
	d->keywords = keywords;
	d->date = date;
	pthread_mutex_unlock(&d->lock);
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
	draft_forget(fs, d);
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
	draft_forget(fs, other);
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
	d->keywords = 0; /* numbers of the mailbox that it was in */
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

/* d->lock held. What the new name means for it. */
static int
settle(struct fs *fs, struct draft *d)
{
	if (d->state == ALIAS) {
		drafts_set_state(fs, d, ALIAS);
		drafts_leave_if_unused(fs, d);
		return 0;
	}
	if (d->nopen > 0)
		return d->dirty ? 0 : stage_flush(d->stage, draft_is_deliverable(d));
	return draft_is_deliverable(d) ? draft_deliver(fs, d) : 0;
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
		drafts_set_name(fs, d, to, in_new, copy);
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
		dl[i] = (struct delivery){d->stage, (uint16_t)(c[i].flags | d->flags),
					  c[i].keywords | d->keywords,
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
			drafts_set_state(fs, c[i].draft, ALIAS);
			drafts_leave_if_unused(fs, c[i].draft);
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
