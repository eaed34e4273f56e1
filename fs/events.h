/*
 * events: `.mailtree/events`, open. Each open one is a listener with a cursor of its
 * own, which holds expunged messages until it has read of it. A read with nothing to
 * say is parked and answered by the notify thread; so are polls.
 */
#ifndef FS_EVENTS_H
#define FS_EVENTS_H

#include "fs/room.h"

struct poller;

struct listener {
	struct box *box;   /* reference */
	struct room *room; /* entered */
	struct cursor *cursor;
	_Atomic uint64_t serial;     /* of the last event that was read */
	struct poller *poller;	     /* rooms->lock */
	struct listener *next;	     /* rooms->lock: of the room */
};

/* By the notify thread, when something happened in the mailbox: answer parked reads,
 * wake pollers. */
void events_wake(struct fs *, struct room *);

/* Has every listener of the room read the event `serial`? By the notify thread. */
bool events_all_read(struct fs *, struct room *, uint64_t serial);

/* The session is over: what is still parked is dropped. */
void events_drop_parked(struct fs *);

#endif
