#include "fs/events.h"

#include <poll.h>
#include <stdlib.h>

#include "fs/ops.h"

/* ---- open --------------------------------------------------------------------------- */

static void
link_listener(struct fs *fs, struct listener *l)
{
	pthread_mutex_lock(&fs->rooms->lock);
	l->serial = l->room->serial;
	l->next = l->room->listeners;
	l->room->listeners = l;
	pthread_mutex_unlock(&fs->rooms->lock);
}

static struct fuse_pollhandle *
unlink_listener(struct fs *fs, struct listener *l)
{
	struct listener **at = &l->room->listeners;
	struct fuse_pollhandle *ph;

	pthread_mutex_lock(&fs->rooms->lock);
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	ph = l->ph;
	pthread_mutex_unlock(&fs->rooms->lock);
	return ph;
}

static struct listener *
new_listener(struct fs *fs, struct box *box)
{
	struct listener *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	if (room_enter(fs, box, &l->room) == -1)
		goto undo;
	if (cursor_open(box, true, &l->cursor) == -1)
		goto leave;
	box_ref(box);
	l->box = box;
	link_listener(fs, l);
	return l;
leave:
	room_leave(fs, l->room);
undo:
	free(l);
	return NULL;
}

static void
free_listener(struct fs *fs, void *listener)
{
	struct listener *l = listener;
	struct fuse_pollhandle *ph;

	if (l == NULL)
		return;
	ph = unlink_listener(fs, l);
	if (ph != NULL)
		fuse_pollhandle_destroy(ph);
	cursor_close(l->cursor);
	/* what only this one still held is gone now: the kernel's pages of it too */
	room_wake(fs->rooms, l->room->number);
	room_leave(fs, l->room);
	box_unref(l->box);
	free(l);
}

static void
events_open(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct box *box = fs_box(fs, n);
	struct listener *l;

	fi->direct_io = 1;
	fi->nonseekable = 1;
	if (box == NULL) {
		fuse_reply_err(req, errno);
		return;
	}
	if ((l = new_listener(fs, box)) == NULL)
		fuse_reply_err(req, errno);
	else if ((fi->fh = handle_put(fs->handles, l, free_listener)) == 0) {
		fuse_reply_err(req, errno);
		free_listener(fs, l);
	} else if (fuse_reply_open(req, fi) == -ENOENT)
		free_listener(fs, handle_take(fs->handles, fi->fh));
	box_unref(box);
}

static void
events_release(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);

	(void)n;
	free_listener(fs, handle_take(fs->handles, fi->fh));
	fuse_reply_err(req, 0);
}

/* ---- read --------------------------------------------------------------------------- */

struct parked {
	fuse_req_t req;
	struct listener *listener;
	size_t most; /* events that fit */
	struct parked *next;
};

static pthread_mutex_t parked_lock = PTHREAD_MUTEX_INITIALIZER;
static struct parked *parked; /* parked_lock */

#define MOST_EVENTS 512 /* in one answer */

static size_t
take_events(struct fs *fs, struct listener *l, struct mt_event *ev, size_t most)
{
	uint32_t told = 0;
	size_t n;

	n = cursor_read(l->cursor, ev, most);
	if (n > 0)
		l->serial = ev[n - 1].serial;
	for (size_t i = 0; i < n; i++)
		if (ev[i].rec.uid > told)
			told = ev[i].rec.uid;
	if (told > 0)
		room_told(fs->rooms, l->room->number, told);
	return n;
}

static struct parked *
take_parked(fuse_req_t req)
{
	struct parked **at = &parked, *p;

	while (*at != NULL && (*at)->req != req)
		at = &(*at)->next;
	if ((p = *at) != NULL)
		*at = p->next;
	return p;
}

/* All or nothing: an interrupted read has taken no event. */
static void
interrupted(fuse_req_t req, void *arg)
{
	struct parked *p;

	(void)arg;
	pthread_mutex_lock(&parked_lock);
	p = take_parked(req);
	pthread_mutex_unlock(&parked_lock);
	if (p == NULL)
		return;
	fuse_reply_err(req, EINTR);
	free(p);
}

/*
 * Under parked_lock, so that the notify thread either sees the read parked or has its
 * events taken here. -1 with errno: answer that; 0: it is parked.
 */
static ssize_t
take_or_park(struct fs *fs, fuse_req_t req, struct listener *l, struct mt_event *ev,
	     size_t most, bool wait)
{
	struct parked *p = calloc(1, sizeof *p);
	ssize_t n = -1;

	pthread_mutex_lock(&parked_lock);
	if (p == NULL)
		errno = ENOMEM;
	else if ((n = (ssize_t)take_events(fs, l, ev, most)) == 0) {
		n = -1;
		if (!wait)
			errno = EAGAIN;
		else if (fuse_req_interrupted(req))
			errno = EINTR;
		else {
			*p = (struct parked){req, l, most, parked};
			parked = p;
			p = NULL;
			n = 0;
		}
	}
	pthread_mutex_unlock(&parked_lock);
	free(p);
	return n;
}

static void
events_read(fuse_req_t req, struct node n, size_t size, off_t off,
	    struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct listener *l = handle_get(fs->handles, fi->fh);
	size_t most = size / sizeof(struct mt_event);
	struct mt_event *ev;
	ssize_t got;

	(void)n, (void)off;
	if (most > MOST_EVENTS)
		most = MOST_EVENTS;
	if (l == NULL || most == 0) {
		fuse_reply_err(req, l == NULL ? EBADF : EINVAL);
		return;
	}
	if ((ev = (struct mt_event *)fs_scratch(MOST_EVENTS * sizeof *ev)) == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	fuse_req_interrupt_func(req, interrupted, NULL);
	got = take_or_park(fs, req, l, ev, most, !(fi->flags & O_NONBLOCK));
	if (got == -1)
		fuse_reply_err(req, errno);
	else if (got > 0) {
		/* once answered, the client may close it: *l is not ours any more */
		bool has_gone = l->room->has_gone;
		uint32_t number = l->room->number;

		fuse_reply_buf(req, (char *)ev, (size_t)got * sizeof *ev);
		if (has_gone) /* this was perhaps the last who held it */
			room_wake(fs->rooms, number);
	}
}

/* ---- poll --------------------------------------------------------------------------- */

void
events_poll(fuse_req_t req, struct node n, struct fuse_file_info *fi,
	    struct fuse_pollhandle *ph)
{
	struct fs *fs = fs_of(req);
	struct listener *l = n.kind == NODE_EVENTS ? handle_get(fs->handles, fi->fh) : NULL;
	struct fuse_pollhandle *was = ph;

	if (l == NULL) {
		if (ph != NULL)
			fuse_pollhandle_destroy(ph);
		fuse_reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
		return;
	}
	if (ph != NULL) {
		pthread_mutex_lock(&fs->rooms->lock);
		was = l->ph;
		l->ph = ph;
		pthread_mutex_unlock(&fs->rooms->lock);
	}
	/* asked after the handle is in place: nothing can slip through in between */
	fuse_reply_poll(req, cursor_ready(l->cursor) ? POLLIN | POLLRDNORM : 0);
	if (was != NULL)
		fuse_pollhandle_destroy(was);
}

/* ---- the notify thread ------------------------------------------------------------------ */

static bool
answer_one(struct fs *fs, struct room *r)
{
	struct mt_event *ev = (struct mt_event *)fs_scratch(MOST_EVENTS * sizeof *ev);
	struct parked **at, *p = NULL;
	size_t n = 0;

	if (ev == NULL)
		return false;
	pthread_mutex_lock(&parked_lock);
	for (at = &parked; *at != NULL; at = &(*at)->next)
		if ((*at)->listener->room == r &&
		    (n = take_events(fs, (*at)->listener, ev, (*at)->most)) > 0) {
			p = *at;
			*at = p->next;
			break;
		}
	pthread_mutex_unlock(&parked_lock);
	if (p == NULL)
		return false;
	fuse_reply_buf(p->req, (char *)ev, n * sizeof *ev);
	free(p);
	return true;
}

bool
events_all_read(struct fs *fs, struct room *r, uint64_t serial)
{
	bool all = true;

	pthread_mutex_lock(&fs->rooms->lock);
	for (struct listener *l = r->listeners; l != NULL && all; l = l->next)
		all = l->serial >= serial;
	pthread_mutex_unlock(&fs->rooms->lock);
	return all;
}

static struct fuse_pollhandle *
take_poller(struct fs *fs, struct room *r)
{
	struct fuse_pollhandle *ph = NULL;

	pthread_mutex_lock(&fs->rooms->lock);
	for (struct listener *l = r->listeners; l != NULL && ph == NULL; l = l->next) {
		ph = l->ph;
		l->ph = NULL;
	}
	pthread_mutex_unlock(&fs->rooms->lock);
	return ph;
}

void
events_wake(struct fs *fs, struct room *r)
{
	struct fuse_pollhandle *ph;

	while (answer_one(fs, r))
		;
	while ((ph = take_poller(fs, r)) != NULL) {
		fuse_lowlevel_notify_poll(ph);
		fuse_pollhandle_destroy(ph);
	}
}

void
events_drop_parked(struct fs *fs)
{
	struct parked *p;

	(void)fs;
	while ((p = parked) != NULL) {
		parked = p->next;
		fuse_reply_err(p->req, ENOTCONN);
		free(p);
	}
}

const struct file_ops events_ops = {
	.open = events_open, .read = events_read, .release = events_release};
