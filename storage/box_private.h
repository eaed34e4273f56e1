/* box_private: what the files of the core share about a box; drivers do not look here. */
#ifndef STORAGE_BOX_PRIVATE_H
#define STORAGE_BOX_PRIVATE_H

#include "storage/driver.h"
#include "storage/env.h"
#include "storage/indexfile.h"
#include "storage/vanished.h"

#define EVENTS_MAX 16384 /* events kept for the slowest cursor; then it gets OVERFLOW */
#define WIRE_OPEN  4	 /* large messages kept open between reads of `wire` */

struct held {
	uint32_t row;
	uint64_t serial; /* of the expunge */
};

#define WIRE_PAGE 4096u /* of the kernel's page cache */

struct box_private {
	int dir;		/* io: the index folder */
	struct index_image old; /* io: between open and load */

	/* lock: index files */
	int index_fd;
	bool small; /* nothing that can be lost is written */
	struct vanished vanished;
	bool index_forgotten; /* then it was removed */
	bool index_lost; /* a write failed: said once, tried anew at the next load */

	/* lock, between box_begin and box_commit */
	uint64_t modseq;      /* that the changes of this commit get */
	uint32_t *dirty;      /* rows to be written */
	size_t ndirty, dirty_cap;
	struct vanished_row *gone; /* what vanishes with it */
	size_t ngone, gone_cap;
	bool gone_lost; /* one of these could not be noted */
	bool header_dirty, visible; /* visible: `.mailbox` or modseq changes */
	size_t rec_cap;

	/* lock: the sized rows in the order of their wire offsets */
	uint32_t *by_wire;
	size_t nwire, wire_cap;
	_Atomic uint64_t wire_served; /* end of the last page of `wire` that was read */

	/* lock: events.c */
	struct mt_event *event; /* [nevent], the first has serial event_base */
	size_t nevent, event_cap;
	uint64_t event_base;
	struct cursor *cursors;
	struct held *held;
	size_t nheld, held_cap;

	/* size_lock: sizer.c */
	pthread_mutex_t size_lock;
	pthread_cond_t sized;
	uint32_t size_next; /* rows below are counted, in work, or failed */
	unsigned size_jobs; /* running */
	uint32_t *failed;   /* rows that could not be counted */
	size_t nfailed, failed_cap;

	/* wire_lock: message.c */
	pthread_mutex_t wire_lock;
	struct message *wire_open[WIRE_OPEN];

	/* refresh.c */
	_Atomic bool refresh_queued, stale;
	_Atomic unsigned look_again; /* ticks until it is refreshed once more; 0: not */
	pthread_mutex_t watch_lock;
	unsigned watched;    /* watch_lock */
	size_t nwatch;	     /* watch_lock */
	int64_t watch_id[4]; /* watch_lock */

	/* cache_lock: cache.c */
	pthread_mutex_t cache_lock;
	struct blobs *blobs;
};

/* ---- box.c, edit.c ------------------------------------------------------------------------ */

uint64_t box_next_modseq(uint64_t last); /* what a change now gets */
void box_wake(struct box *);		 /* tells env's owner; no lock needed */
void box_edit_sized(struct box *, uint32_t row, const struct mt_record *counted);
bool box_open_locked(struct box *); /* io: opens index folder and driver state if need be */

/* ---- events.c; box->lock for writing ------------------------------------------------ */

void events_add(struct box *, enum mt_event_type, uint32_t row);
void events_hold(struct box *, uint32_t row);
void events_free(struct box *);

/* ---- cache.c --------------------------------------------------------------------------- */

void cache_free(struct box *);

#endif
