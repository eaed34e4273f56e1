#include "fs/room.h"

#include "fs/loop.h"

#include <stdatomic.h>
#include <stdlib.h>

#define IDLE_MS 300000 /* after the last close, the kernel's pages are kept this long */

int
rooms_open(struct rooms **out)
{
	struct rooms *rs = calloc(1, sizeof *rs);

	if (rs == NULL)
		return -1;
	pthread_mutex_init(&rs->lock, NULL);
	pthread_cond_init(&rs->released, NULL);
	pthread_cond_init(&rs->work, NULL);
	rs->queue_end = &rs->queue;
	*out = rs;
	return 0;
}

static void
free_room(struct room *r)
{
	if (r->cursor != NULL) {
		cursor_close(r->cursor);
		box_unwatch(r->box);
		box_unref(r->box);
	}
	free(r);
}

/* The session is over and the notify thread has ended: only storage/ may still call
 * room_wake, which finds nothing. */
void
rooms_clear(struct rooms *rs)
{
	struct room *r;

	if (rs == NULL)
		return;
	for (size_t i = 0; i < ROOM_NHASH; i++)
		for (;;) {
			pthread_mutex_lock(&rs->lock);
			if ((r = rs->hash[i]) != NULL)
				rs->hash[i] = r->next;
			pthread_mutex_unlock(&rs->lock);
			if (r == NULL)
				break;
			free_room(r);
		}
}

void
rooms_close(struct rooms *rs)
{
	if (rs == NULL)
		return;
	pthread_cond_destroy(&rs->work);
	pthread_cond_destroy(&rs->released);
	pthread_mutex_destroy(&rs->lock);
	free(rs);
}

struct room *
room_find(struct rooms *rs, uint32_t number)
{
	struct room *r = rs->hash[number % ROOM_NHASH];

	while (r != NULL && r->number != number)
		r = r->next;
	return r;
}

struct room *
room_get(struct rooms *rs, uint32_t number)
{
	struct room *r;

	pthread_mutex_lock(&rs->lock);
	if ((r = room_find(rs, number)) == NULL && (r = calloc(1, sizeof *r)) != NULL) {
		r->number = number;
		r->fresh_ms = INT64_MIN / 2;
		r->next = rs->hash[number % ROOM_NHASH];
		rs->hash[number % ROOM_NHASH] = r;
	}
	if (r != NULL)
		r->refs++;
	pthread_mutex_unlock(&rs->lock);
	return r;
}

void
room_put(struct rooms *rs, struct room *r)
{
	pthread_mutex_lock(&rs->lock);
	if (--r->refs == 0 && r->cursor == NULL)
		r->idle_ms = fs_now_ms();
	pthread_mutex_unlock(&rs->lock);
}

/* ---- who was told ----------------------------------------------------------------- */

void
room_told(struct rooms *rs, uint32_t number, uint32_t uid)
{
	struct room *r = room_get(rs, number);
	uint32_t was;

	if (r == NULL)
		return;
	was = r->told;
	while (was < uid && !atomic_compare_exchange_weak(&r->told, &was, uid))
		;
	room_put(rs, r);
}

bool
room_was_told(struct rooms *rs, uint32_t number, uint32_t uid)
{
	struct room *r;
	bool told;

	pthread_mutex_lock(&rs->lock);
	r = room_find(rs, number);
	told = r != NULL && r->told >= uid;
	pthread_mutex_unlock(&rs->lock);
	return told;
}

/* ---- open hidden files -------------------------------------------------------------- */

/* Begin to follow a mailbox. The cursor is there before the first page is read, so no
 * change can slip in between. */
static int
follow(struct fs *fs, struct room *r, struct box *box)
{
	struct mt_header h;
	struct cursor *c;

	loop_yield();
	if (box_watch(box) == -1)
		return -1;
	if (cursor_open(box, false, &c) == -1) {
		box_unwatch(box);
		return -1;
	}
	box_header(box, &h);
	pthread_mutex_lock(&fs->rooms->lock);
	if (r->cursor == NULL) {
		r->index_size = h.header_size + h.nrecord * h.record_size;
		r->wire_size = h.wire_size;
		r->generation = h.generation;
		box_ref(box);
		r->box = box;
		r->cursor = c;
		c = NULL;
	}
	pthread_mutex_unlock(&fs->rooms->lock);
	if (c != NULL) { /* another thread was first */
		cursor_close(c);
		box_unwatch(box);
	}
	return 0;
}

int
room_enter(struct fs *fs, struct box *box, struct room **out)
{
	struct room *r = room_get(fs->rooms, box_number(box));
	bool followed;

	if (r == NULL)
		return -1;
	pthread_mutex_lock(&fs->rooms->lock);
	r->nopen++;
	followed = r->cursor != NULL;
	pthread_mutex_unlock(&fs->rooms->lock);
	if (!followed && follow(fs, r, box) == -1) {
		room_leave(fs, r);
		return -1;
	}
	*out = r;
	return 0;
}

void
room_leave(struct fs *fs, struct room *r)
{
	pthread_mutex_lock(&fs->rooms->lock);
	if (--r->nopen == 0)
		r->idle_ms = fs_now_ms();
	r->refs--;
	pthread_mutex_unlock(&fs->rooms->lock);
}

/* ---- releases ----------------------------------------------------------------------- */

void
room_release_read(struct rooms *rs, uint32_t number)
{
	struct room *r = room_get(rs, number);

	if (r == NULL)
		return; /* no memory: later requests may see the draft a moment longer */
	pthread_mutex_lock(&rs->lock);
	r->pending++;
	rs->npending++;
	pthread_mutex_unlock(&rs->lock);
}

void
room_release_done(struct rooms *rs, uint32_t number)
{
	struct room *r;

	pthread_mutex_lock(&rs->lock);
	if ((r = room_find(rs, number)) != NULL && r->pending > 0) {
		r->pending--;
		r->refs--;
		rs->npending--;
		pthread_cond_broadcast(&rs->released);
	}
	pthread_mutex_unlock(&rs->lock);
}

void
room_wait_released(struct rooms *rs, uint32_t number)
{
	struct room *r;

	if (rs->npending == 0)
		return;
	loop_yield();
	pthread_mutex_lock(&rs->lock);
	while ((r = room_find(rs, number)) != NULL && r->pending > 0)
		pthread_cond_wait(&rs->released, &rs->lock);
	pthread_mutex_unlock(&rs->lock);
}

/* ---- the notify thread's queue --------------------------------------------------------- */

void
room_wake(struct rooms *rs, uint32_t number)
{
	struct room *r;

	pthread_mutex_lock(&rs->lock);
	r = room_find(rs, number);
	if (r != NULL && !r->queued && (r->cursor != NULL || r->listeners != NULL)) {
		r->queued = true;
		r->queue_next = NULL;
		r->refs++;
		*rs->queue_end = r;
		rs->queue_end = &r->queue_next;
		pthread_cond_signal(&rs->work);
	}
	pthread_mutex_unlock(&rs->lock);
}

/* Nobody holds it and nobody did for a while, or its mailbox is gone. */
static bool
idle(const struct room *r, int64_t now)
{
	if (r->refs > 0 || r->nopen > 0 || r->listeners != NULL)
		return false;
	return now - r->idle_ms > IDLE_MS || (r->box != NULL && box_dead(r->box));
}

static struct room *
take_idle(struct rooms *rs, int64_t now)
{
	for (size_t i = 0; i < ROOM_NHASH; i++)
		for (struct room **at = &rs->hash[i]; *at != NULL; at = &(*at)->next)
			if (idle(*at, now)) {
				struct room *r = *at;

				*at = r->next;
				return r;
			}
	return NULL;
}

void
rooms_sweep(struct fs *fs,
	    void (*inval)(struct fs *, uint32_t number, uint32_t generation))
{
	int64_t now = fs_now_ms();
	struct room *r;

	for (;;) {
		pthread_mutex_lock(&fs->rooms->lock);
		r = take_idle(fs->rooms, now);
		pthread_mutex_unlock(&fs->rooms->lock);
		if (r == NULL)
			return;
		if (r->cursor != NULL)
			inval(fs, r->number, r->generation);
		free_room(r);
	}
}
