/*
 * room: what fs/ knows about a mailbox beside storage/: who has hidden files open,
 * which changes the kernel's pages have still to be told, which RELEASEs were read and
 * are not done, up to which UID somebody was told. Made at first use, swept when idle.
 */
#ifndef FS_ROOM_H
#define FS_ROOM_H

#include <pthread.h>

#include "fs/fs.h"

struct listener;

#define ROOM_NGONE 16

struct wire_range {
	uint64_t off, size;
};

struct room {
	uint32_t number;
	struct room *next; /* rooms->lock: chain of the table */
	unsigned refs;	   /* rooms->lock */
	_Atomic uint32_t told;	   /* UIDs up to this one may be known to somebody */
	_Atomic int64_t fresh_ms;  /* when the store was last looked at */
	unsigned pending;	   /* rooms->lock: RELEASEs of drafts under way */
	unsigned nopen;		   /* rooms->lock: open hidden files */
	int64_t idle_ms;	   /* rooms->lock: when nopen fell to 0 */
	struct box *box;	   /* rooms->lock: reference while the cursor is there */
	struct cursor *cursor;	   /* rooms->lock; read by the notify thread only. Pages of
				      wire and index are cached only while it is there */
	struct listener *listeners; /* rooms->lock */
	_Atomic unsigned nlisteners; /* written under rooms->lock */
	bool queued;		    /* rooms->lock: waits for the notify thread */
	struct room *queue_next;    /* rooms->lock */
	_Atomic bool has_gone;	    /* ngone > 0 */
	_Atomic uint64_t serial;    /* of the last event that the notify thread took */
	/* The notify thread's own, once the cursor is there: */
	uint64_t index_size, wire_size; /* as the kernel was last told */
	uint32_t generation;
	struct wire_range gone[ROOM_NGONE]; /* expunged, but perhaps held just then */
	size_t ngone;			    /* more than ROOM_NGONE: anywhere */
};

#define ROOM_NHASH 4096

struct rooms {
	pthread_mutex_t lock;
	pthread_cond_t released; /* a pending RELEASE is done */
	struct room *hash[ROOM_NHASH];
	_Atomic unsigned npending; /* sum of room->pending */
	struct room *queue, **queue_end;
	pthread_cond_t work; /* for the notify thread: queue, stop */
	bool stop;
};

int rooms_open(struct rooms **);
void rooms_clear(struct rooms *); /* let go of all mailboxes: before their stores close */
void rooms_close(struct rooms *); /* once storage/ wakes nobody any more */

struct room *room_get(struct rooms *, uint32_t number); /* NULL: ENOMEM */
void room_put(struct rooms *, struct room *);

/* The room if there is one: rooms->lock is held, no reference is taken. */
struct room *room_find(struct rooms *, uint32_t number);

/* Somebody may know the UIDs up to this one. */
void room_told(struct rooms *, uint32_t number, uint32_t uid);
bool room_was_told(struct rooms *, uint32_t number, uint32_t uid);

/*
 * Hidden files open: while any is, changes are followed for the kernel's pages and
 * the mailbox is watched. `enter` gives the room with a reference that `leave` takes.
 */
int room_enter(struct fs *, struct box *, struct room **);
void room_leave(struct fs *, struct room *);

/* RELEASEs read but not done; `wait` returns once those of a mailbox are done. */
void room_release_read(struct rooms *, uint32_t number);
void room_release_done(struct rooms *, uint32_t number);
void room_wait_released(struct rooms *, uint32_t number);

/* Have the notify thread look at a room; any thread. */
void room_wake(struct rooms *, uint32_t number);

/* Let go of rooms that nobody used for a while; `inval` is called, without a lock, for
 * each one whose pages the kernel must forget then. */
void rooms_sweep(struct fs *, void (*inval)(struct fs *, uint32_t number,
					    uint32_t generation));

#endif
