/*
 * driver: what one kind of store (Maildir, mbox) does for a box. Private to
 * storage/. A driver owns the names and files; box.c owns records, events, sizes,
 * the index files and everything that sessions see.
 *
 * Unless a row says otherwise a callback runs with box->io held (one driver operation
 * per box at a time) and box->lock not held, under the store's credentials.
 * Lock order: store->tree, box->io (two boxes: lower number first), box->lock.
 */
#ifndef STORAGE_DRIVER_H
#define STORAGE_DRIVER_H

#include "storage/box.h"
#include "storage/stamp.h"

/* Stored bytes of one message: ranges of one open file, in order. */
struct source {
	int fd; /* owned by whoever got it filled; close(2) it */
	uint64_t stored_size;
	int64_t date;  /* INTERNALDATE as the store says now, unix seconds */
	/* A file that holds more than this message: what is read is the message's as long as
	 * the file still has this stamp afterwards. */
	bool shared;
	struct file_stamp stamp;
	size_t nrange; /* Maildir: 1 */
	struct {
		uint64_t off, size;
	} range[16];
};

struct driver {
	const char *name;
	bool leaves; /* a mailbox has nothing below it */
	const char *journal; /* in a box's index folder: opening the box completes what it tells;
				NULL: none */

	/* store->root is open. Finds out whether it may be written. */
	int (*store_open)(struct store *);
	void (*store_close)(struct store *);

	/* Every mailbox, as tree paths (`INBOX`, `A/B`); parents need not be named. */
	int (*list)(struct store *, int (*each)(void *, const char *path), void *);
	/* Cheap: could list() answer otherwise than at its last call? store->tree held. */
	bool (*list_changed)(struct store *);
	/* Cheap: would list() still name this mailbox, which it has named? store->tree held.
	 * NULL: only by asking for all of them. */
	bool (*listed)(struct store *, const char *path);
	/* Whole mailboxes; durable on return. The store's tree lock is held, no box's. */
	int (*create)(struct store *, const char *path, unsigned use); /* enum mailbox_use */
	int (*remove)(struct store *, const char *path); /* ENOTEMPTY while messages */
	int (*rename)(struct store *, const char *path, const char *newpath); /* EEXIST;
								 children are renamed too */

	/* Remove it with its messages; children stay. It is gone, durably, on return; what is
	 * left to be done, with no lock held, is discard(), which takes what `rest` got. */
	int (*erase)(struct store *, const char *path, struct buf *rest);
	void (*discard)(struct store *, const char *rest);

	/* By path, no lock held. */
	unsigned (*use)(struct store *, const char *path); /* 0: none, or not readable */
	int (*subscriptions)(struct store *, int (*each)(void *, const char *path), void *);
	int (*subscribe)(struct store *, const char *path, bool on);

	/* Sets box->drv; opens directories; runs recovery of staged and held files. */
	int (*open)(struct box *);
	void (*close)(struct box *);
	/* Directories whose change means work for sync: at most 4 descriptors, borrowed. */
	size_t (*watch_dirs)(struct box *, int fds[4]);
	/* Cheap (a few stats): would sync find something? */
	bool (*changed)(struct box *);
	/* May be NULL. So small that its index folder is to keep only what cannot be found out
	 * again? The first sync asks, box->lock held. */
	bool (*small)(const struct box *);
	/*
	 * Take the store in. The first time through box_load(), later by box_edit_*.
	 * New messages have their UIDs durably in the store when it returns. `doubt`: look
	 * also where only changes of our own are known, others' may hide among them.
	 */
	int (*sync)(struct box *, bool doubt);

	/* Open a message's file for reading; box->lock is held for reading, io is not.
	 * ENOENT: it was renamed or removed (the caller syncs and tries again, a few times);
	 * a held one opens too. */
	int (*source)(struct box *, uint32_t row, struct source *);

	/* Names; box->lock held for reading. */
	int (*base_name)(struct box *, uint32_t row, struct buf *);
	int (*uidl)(struct box *, uint32_t row, struct buf *); /* ENOENT */

	/*
	 * Changes. Rows are live and ascending. Each does the store's part durably and
	 * then the box's part by box_begin, box_edit_x, box_commit.
	 */
	int (*set_flags)(struct box *, const struct flag_edit *, size_t n);
	int (*add_keyword)(struct box *, struct span name, unsigned *number);
	int (*expunge)(struct box *, const uint32_t *rows, size_t n, bool hold);
	void (*unhold)(struct box *, uint32_t row); /* the last cursor read the expunge */
	int (*deliver)(struct box *, const struct delivery *, size_t n, uint32_t *uids);
	int (*set_date)(struct box *, uint32_t row, int64_t date);
	/* Both boxes' io held. `to_uids` gets n UIDs. EXDEV: another kind of store. */
	int (*copy)(struct box *, const uint32_t *rows, size_t n, struct box *to, bool move,
		    uint32_t *to_uids);
	int (*claim_recent)(struct box *, const uint32_t *rows, size_t n);

	/* Stages: the descriptor and name live in struct stage (stage.h). */
	int (*stage_open)(struct box *, struct stage *);
	int (*stage_keep)(struct stage *, bool deliverable); /* after fsync of its bytes */
	void (*stage_discard)(struct stage *);
};

extern const struct driver maildir_driver, mbox_driver;

#endif
