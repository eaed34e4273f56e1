#include "fs/notify.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "fs/events.h"
#include "fs/room.h"

#define PAGE	  4096u
#define NAMES_MAX 256 /* names taken away for one batch of events; the rest age away */

struct forget_name {
	struct forget_name *next;
	fuse_ino_t dir;
	char name[];
};

struct notify {
	struct fs *fs;
	pthread_t pages, names;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t work;
	struct forget_name *first, **end;
	bool stop;
};

/* ---- names: waits while somebody works in that directory ------------------------------- */

void
notify_name(struct notify *n, fuse_ino_t dir, const char *name)
{
	struct forget_name *f = malloc(sizeof *f + strlen(name) + 1);

	if (f == NULL)
		return; /* the name ages away within a second */
	f->next = NULL;
	f->dir = dir;
	memcpy(f->name, name, strlen(name) + 1);
	pthread_mutex_lock(&n->lock);
	*n->end = f;
	n->end = &f->next;
	pthread_cond_signal(&n->work);
	pthread_mutex_unlock(&n->lock);
}

static struct forget_name *
next_name(struct notify *n)
{
	struct forget_name *f;

	pthread_mutex_lock(&n->lock);
	while (n->first == NULL && !n->stop)
		pthread_cond_wait(&n->work, &n->lock);
	if ((f = n->first) != NULL && (n->first = f->next) == NULL)
		n->end = &n->first;
	pthread_mutex_unlock(&n->lock);
	return f;
}

static void *
names_thread(void *arg)
{
	struct notify *n = arg;
	struct forget_name *f;

	while ((f = next_name(n)) != NULL) {
		fuse_lowlevel_notify_inval_entry(n->fs->session, f->dir, f->name,
						 strlen(f->name));
		free(f);
	}
	return NULL;
}

/* ---- what a batch of events says --------------------------------------------------------- */

struct batch {
	struct numset pages; /* of index, the header's page is 0 and not in it */
	uint32_t gone_uid[NAMES_MAX];
	size_t ngone;
	bool any, all; /* something happened; believe nothing any more */
};

static void
note_gone(struct room *r, struct batch *b, const struct mt_record *rec)
{
	if (b->ngone < NAMES_MAX)
		b->gone_uid[b->ngone++] = rec->uid;
	if (rec->wire_off == MT_OFF_UNKNOWN || rec->wire_size == 0)
		return;
	if (r->ngone < ROOM_NGONE)
		r->gone[r->ngone] = (struct wire_range){rec->wire_off, rec->wire_size};
	if (r->ngone <= ROOM_NGONE)
		r->ngone++;
	r->has_gone = true;
}

static void
note(struct room *r, struct batch *b, const struct mt_event *ev)
{
	b->any = true;
	r->serial = ev->serial;
	switch (ev->type) {
	case MT_EV_EXPUNGED:
		note_gone(r, b, &ev->rec);
		/* fall through */
	case MT_EV_NEW:
	case MT_EV_FLAGS:
	case MT_EV_SIZED:
		if (numset_add(&b->pages, 1 + ev->row / 64, 1 + ev->row / 64) == -1)
			b->all = true;
		break;
	case MT_EV_HEADER:
		break;
	default: /* OVERFLOW, RESET, what is not known here yet */
		b->all = true;
	}
}

/* ---- what the kernel is told -------------------------------------------------------------- */

struct target {
	struct fuse_session *se;
	struct box *box;
	fuse_ino_t index, wire, state, dir;
};

/* Unknown inodes and pages that are not there are no errors. */
static void
inval(const struct target *t, fuse_ino_t ino, uint64_t off, uint64_t len)
{
	fuse_lowlevel_notify_inval_inode(t->se, ino, (off_t)off, (off_t)len);
}

static void
store_page(const struct target *t, uint64_t off)
{
	struct fuse_bufvec v = FUSE_BUFVEC_INIT(PAGE);
	char page[PAGE];

	v.buf[0].mem = page;
	if (box_index_read(t->box, off, page, PAGE) == PAGE)
		fuse_lowlevel_notify_store(t->se, t->index, (off_t)off, &v, 0);
	else
		inval(t, t->index, off, PAGE);
}

/*
 * A store past the end does not extend the file: first the size is made known (any
 * inval forgets it) and the old last page, which ends in padding, is dropped.
 */
static void
grow(const struct target *t, fuse_ino_t ino, uint64_t *was, uint64_t now)
{
	if (now == *was)
		return;
	inval(t, ino, *was / PAGE * PAGE, PAGE);
	*was = now;
}

static void
tell_pages(const struct target *t, const struct numset *pages, uint64_t known)
{
	for (size_t i = 0; i < pages->n; i++)
		for (uint64_t p = pages->r[i].lo; p <= pages->r[i].hi; p++)
			if (p * PAGE < known)
				store_page(t, p * PAGE);
}

static void
tell_gone(struct fs *fs, const struct target *t, struct room *r)
{
	if (r->ngone == 0)
		return;
	if (r->ngone > ROOM_NGONE)
		inval(t, t->wire, 0, 0);
	else
		for (size_t i = 0; i < r->ngone; i++)
			inval(t, t->wire, r->gone[i].off, r->gone[i].size);
	if (!events_all_read(fs, r, r->serial))
		return; /* someone may still read them into the cache: again later */
	r->ngone = 0;
	r->has_gone = false;
}

static void
tell_all(const struct target *t, struct room *r, const struct mt_header *h)
{
	inval(t, t->index, 0, 0);
	inval(t, t->wire, 0, 0);
	r->index_size = h->header_size + h->nrecord * h->record_size;
	r->wire_size = h->wire_size;
	r->generation = h->generation;
}

static void
tell_changes(const struct target *t, struct room *r, const struct batch *b,
	     const struct mt_header *h)
{
	uint64_t known = r->index_size;

	grow(t, t->index, &r->index_size, h->header_size + h->nrecord * h->record_size);
	grow(t, t->wire, &r->wire_size, h->wire_size);
	tell_pages(t, &b->pages, known);
	store_page(t, 0); /* the header last: it says how many records count */
}

static void
tell_names(struct fs *fs, const struct target *t, const struct batch *b)
{
	char name[NODE_NAME_MAX];

	for (size_t i = 0; i < b->ngone; i++) {
		node_uid_name(b->gone_uid[i], name);
		notify_name(fs->notify, t->dir, name);
	}
}

static struct target
target_of(struct fs *fs, struct room *r)
{
	return (struct target){
		.se = fs->session,
		.box = r->box,
		.index = node_id((struct node){NODE_INDEX, r->number, r->generation}),
		.wire = node_id((struct node){NODE_WIRE, r->number, r->generation}),
		.state = node_id((struct node){NODE_STATE, r->number, 0}),
		.dir = fs_dir_ino(fs, r->box),
	};
}

/* ---- following --------------------------------------------------------------------------------- */

static void
take_batch(struct room *r, struct batch *b)
{
	struct mt_event ev[64];
	size_t n;

	while ((n = cursor_read(r->cursor, ev, ARRAY_LEN(ev))) > 0)
		for (size_t i = 0; i < n; i++)
			note(r, b, &ev[i]);
}

static void
follow(struct fs *fs, struct room *r)
{
	struct target t = target_of(fs, r);
	struct batch b = {0};
	struct mt_header h;

	take_batch(r, &b);
	box_header(r->box, &h);
	if (b.all || h.generation != r->generation)
		tell_all(&t, r, &h);
	else if (b.any)
		tell_changes(&t, r, &b, &h);
	tell_gone(fs, &t, r);
	if (b.any) {
		tell_names(fs, &t, &b);
		inval(&t, t.state, 0, 0);
		fuse_lowlevel_notify_inval_inode(t.se, t.dir, -1, 0);
	}
	numset_free(&b.pages);
}

static struct room *
next_room(struct rooms *rs)
{
	struct room *r;

	pthread_mutex_lock(&rs->lock);
	while (rs->queue == NULL && !rs->stop)
		pthread_cond_wait(&rs->work, &rs->lock);
	r = rs->stop ? NULL : rs->queue;
	if (r != NULL) {
		if ((rs->queue = r->queue_next) == NULL)
			rs->queue_end = &rs->queue;
		r->queued = false;
	}
	pthread_mutex_unlock(&rs->lock);
	return r;
}

static bool
has_cursor(struct rooms *rs, struct room *r)
{
	bool has;

	pthread_mutex_lock(&rs->lock);
	has = r->cursor != NULL;
	pthread_mutex_unlock(&rs->lock);
	return has;
}

static void *
pages_thread(void *arg)
{
	struct notify *n = arg;
	struct fs *fs = n->fs;
	struct room *r;

	while ((r = next_room(fs->rooms)) != NULL) {
		if (has_cursor(fs->rooms, r))
			follow(fs, r);
		events_wake(fs, r);
		room_put(fs->rooms, r);
	}
	return NULL;
}

/* ---- life ----------------------------------------------------------------------------------------- */

int
notify_open(struct fs *fs, struct notify **out)
{
	struct notify *n = calloc(1, sizeof *n);

	if (n == NULL)
		return -1;
	n->fs = fs;
	n->end = &n->first;
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->work, NULL);
	if ((errno = pthread_create(&n->names, NULL, names_thread, n)) != 0)
		goto undo;
	*out = n;
	if ((errno = pthread_create(&n->pages, NULL, pages_thread, n)) == 0)
		return 0;
	*out = NULL;
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_cond_signal(&n->work);
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->names, NULL);
undo:
	pthread_cond_destroy(&n->work);
	pthread_mutex_destroy(&n->lock);
	free(n);
	return -1;
}

void
notify_close(struct notify *n)
{
	if (n == NULL)
		return;
	pthread_mutex_lock(&n->fs->rooms->lock);
	n->fs->rooms->stop = true;
	pthread_cond_signal(&n->fs->rooms->work);
	pthread_mutex_unlock(&n->fs->rooms->lock);
	pthread_join(n->pages, NULL);
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_cond_signal(&n->work);
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->names, NULL);
	pthread_cond_destroy(&n->work);
	pthread_mutex_destroy(&n->lock);
	free(n);
}
