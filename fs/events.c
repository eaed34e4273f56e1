#include "fs/events.h"

#include <poll.h>
#include <stdlib.h>

#include "fs/ops.h"

/* ---- open --------------------------------------------------------------------------- */

/* Somebody waits in poll(2), to be told once. */
struct poller {
	struct fuse_pollhandle *ph;
	struct poller *next;
};

static void
link_listener(struct fs *fs, struct listener *l)
{
	pthread_mutex_lock(&fs->rooms->lock);
	l->serial = l->room->serial;
	l->next = l->room->listeners;
	l->room->listeners = l;
	l->room->nlisteners++;
	pthread_mutex_unlock(&fs->rooms->lock);
}

static struct poller *
unlink_listener(struct fs *fs, struct listener *l)
{
	struct listener **at = &l->room->listeners;
	struct poller *p;

	pthread_mutex_lock(&fs->rooms->lock);
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	l->room->nlisteners--;
	p = l->poller;
	pthread_mutex_unlock(&fs->rooms->lock);
	return p;
}

static void
free_poller(struct poller *p)
{
	if (p != NULL)
		fuse_pollhandle_destroy(p->ph);
	free(p);
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

	if (l == NULL)
		return;
	free_poller(unlink_listener(fs, l));
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

/* By the room's number, so that who waits elsewhere is not passed over each time. */
#define NPARKED 256

static pthread_mutex_t parked_lock = PTHREAD_MUTEX_INITIALIZER;
static struct parked *parked[NPARKED]; /* parked_lock */

static struct parked **
parked_of(const struct room *r)
{
	return &parked[r->number % NPARKED];
}

#define MOST_EVENTS 512 /* in one answer */

static size_t
take_events(struct fs *fs, struct listener *l, struct mt_event *ev, size_t most)
{
	unsigned listeners = l->room->nlisteners;
	uint32_t told = 0;
	size_t n;

	n = cursor_read(l->cursor, ev, most);
	if (n > 0)
		l->serial = ev[n - 1].serial;
	for (size_t i = 0; i < n; i++) {
		ev[i].listeners = (uint16_t)(listeners < UINT16_MAX ? listeners : UINT16_MAX);
		if (ev[i].rec.uid > told)
			told = ev[i].rec.uid;
	}
	if (told > 0)
		room_told(fs->rooms, l->room->number, told);
	return n;
}

static struct parked *
take_parked(struct parked **at, fuse_req_t req)
{
	struct parked *p;

	while (*at != NULL && (*at)->req != req)
		at = &(*at)->next;
	if ((p = *at) != NULL)
		*at = p->next;
	return p;
}

/* All or nothing: an interrupted read has taken no event. */
static void
interrupted(fuse_req_t req, void *chain)
{
	struct parked *p;

	pthread_mutex_lock(&parked_lock);
	p = take_parked(chain, req);
	pthread_mutex_unlock(&parked_lock);
	if (p == NULL)
		return;
	fuse_reply_err(req, EINTR);
	free(p);
}

/*
 * Under parked_lock, so that the notify thread either sees the read parked or has its
 * events taken here. Events, or -1 with errno: answer that, and free p; 0: it is parked.
 */
static ssize_t
take_or_park(struct fs *fs, struct parked *p, struct mt_event *ev, bool wait)
{
	struct parked **chain = parked_of(p->listener->room);
	ssize_t n;

	pthread_mutex_lock(&parked_lock);
	if ((n = (ssize_t)take_events(fs, p->listener, ev, p->most)) == 0) {
		n = -1;
		if (!wait)
			errno = EAGAIN;
		else if (fuse_req_interrupted(p->req))
			errno = EINTR;
		else {
			p->next = *chain;
			*chain = p;
			n = 0;
		}
	}
	pthread_mutex_unlock(&parked_lock);
	return n;
}

/* Answer it with what there is, or park it. */
static void
answer_read(struct fs *fs, struct parked *p, bool wait)
{
	struct mt_event *ev = (struct mt_event *)fs_scratch(MOST_EVENTS * sizeof *ev);
	struct room *r = p->listener->room;
	uint32_t number = r->number;
	ssize_t n = -1;
	bool has_gone;

	if (ev == NULL)
		errno = ENOMEM;
	else
		n = take_or_park(fs, p, ev, wait);
	if (n == 0)
		return;
	/* once answered, the client may close it: the listener is not ours any more */
	has_gone = n > 0 && r->has_gone;
	if (n == -1)
		fuse_reply_err(p->req, errno);
	else
		fuse_reply_buf(p->req, (char *)ev, (size_t)n * sizeof *ev);
	free(p);
	if (has_gone) /* this was perhaps the last who held it */
		room_wake(fs->rooms, number);
}

static void
events_read(fuse_req_t req, struct node n, size_t size, off_t off,
	    struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct listener *l = handle_get(fs->handles, fi->fh);
	size_t most = size / sizeof(struct mt_event);
	struct parked *p;

	(void)n, (void)off;
	if (most > MOST_EVENTS)
		most = MOST_EVENTS;
	if (l == NULL || most == 0)
		fuse_reply_err(req, l == NULL ? EBADF : EINVAL);
	else if ((p = malloc(sizeof *p)) == NULL)
		fuse_reply_err(req, ENOMEM);
	else {
		*p = (struct parked){.req = req, .listener = l, .most = most};
		fuse_req_interrupt_func(req, interrupted, parked_of(l->room));
		answer_read(fs, p, !(fi->flags & O_NONBLOCK));
	}
}

/* ---- poll --------------------------------------------------------------------------- */

/* The kernel asks for readiness, and with `ph` to be told of it: the last one counts. */
static int
put_poller(struct fs *fs, struct listener *l, struct fuse_pollhandle *ph)
{
	struct poller *p = malloc(sizeof *p), *was;

	if (p == NULL)
		return -1;
	*p = (struct poller){.ph = ph};
	pthread_mutex_lock(&fs->rooms->lock);
	was = l->poller;
	l->poller = p;
	pthread_mutex_unlock(&fs->rooms->lock);
	free_poller(was);
	return 0;
}

void
events_poll(fuse_req_t req, struct node n, struct fuse_file_info *fi,
	    struct fuse_pollhandle *ph)
{
	struct fs *fs = fs_of(req);
	struct listener *l = n.kind == NODE_EVENTS ? handle_get(fs->handles, fi->fh) : NULL;

	if (l != NULL && (ph == NULL || put_poller(fs, l, ph) == 0)) {
		/* asked after the handle is in place: nothing can slip through between */
		fuse_reply_poll(req, cursor_ready(l->cursor) ? POLLIN | POLLRDNORM : 0);
		return;
	}
	if (ph != NULL)
		fuse_pollhandle_destroy(ph);
	if (l != NULL)
		fuse_reply_err(req, ENOMEM);
	else
		fuse_reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
}

/* ---- the notify thread ------------------------------------------------------------------ */

/* Each read that was parked when it came, once: who is answered soon parks the next. */
static void
answer_parked(struct fs *fs, struct room *r)
{
	struct parked **at = parked_of(r), *first = NULL, **end = &first, *p;

	pthread_mutex_lock(&parked_lock);
	while ((p = *at) != NULL)
		if (p->listener->room == r) {
			*at = p->next;
			*end = p;
			end = &p->next;
		} else
			at = &p->next;
	*end = NULL;
	pthread_mutex_unlock(&parked_lock);
	while ((p = first) != NULL) {
		first = p->next;
		answer_read(fs, p, true);
	}
}

/* Also once: those that have been told ask again before they have read. */
static void
tell_pollers(struct fs *fs, struct room *r)
{
	struct poller *first = NULL, *p;

	pthread_mutex_lock(&fs->rooms->lock);
	for (struct listener *l = r->listeners; l != NULL; l = l->next)
		if ((p = l->poller) != NULL) {
			l->poller = NULL;
			p->next = first;
			first = p;
		}
	pthread_mutex_unlock(&fs->rooms->lock);
	while ((p = first) != NULL) {
		first = p->next;
		fuse_lowlevel_notify_poll(p->ph);
		free_poller(p);
	}
}

void
events_wake(struct fs *fs, struct room *r)
{
	answer_parked(fs, r);
	tell_pollers(fs, r);
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

void
events_drop_parked(struct fs *fs)
{
	struct parked *p;

	(void)fs;
	for (size_t i = 0; i < NPARKED; i++)
		while ((p = parked[i]) != NULL) {
			parked[i] = p->next;
			fuse_reply_err(p->req, ENOTCONN);
			free(p);
		}
}

const struct file_ops events_ops = {
	.open = events_open, .read = events_read, .release = events_release};
