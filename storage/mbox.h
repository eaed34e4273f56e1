/*
 * mbox: the driver for mbox files, as its own files share it. Private to storage/mbox*.c.
 *
 * The truth lies in the file as far as the usual headers tell it: flags, keywords, dates,
 * UIDs once somebody has written them. Reading never writes the file: UIDs that it does
 * not tell stand in `mbox-uids` of the box's index folder, durably before anybody is told
 * them, until the first change writes them. A message is found again by its ident (a hash
 * of its header and size), wherever others have moved it to.
 *
 * Offsets in memory hold for the file as it was when it had `stamp`. Every use compares:
 * a reader after it has read (source->stamp), a writer under the locks.
 *
 * What is written goes through a journal, `mbox-journal` in the index folder:
 *
 *	1  under the write locks, the file still having the stamp, the new octets and what
 *	   tells the old ones are written to the journal and synced; then the stamp is
 *	   compared once more
 *	2  the patches are written in place, longer files having been made long before
 *	3  what is appended is written by one write to the end, wherever that is now
 *	4  synced; a shorter file is cut, when nobody has appended to it meanwhile
 *	5  delivered stages and the journal are removed
 *
 * Recovery, when the mailbox is opened: a file that is neither before nor after nor between
 * was changed by somebody else, and is left alone. Patches are done again, an append that is
 * not whole is taken back (its stages are delivered again), what others appended stays.
 *
 * Files in the index folder (the daemon's own):
 *
 *	mbox-uids		UIDVALIDITY, UIDNEXT, keywords, UIDs by ident
 *	mbox-journal		a change under way
 *	mbox-ID.mt-draft	a stage: nobody was promised anything
 *	mbox-ID.mt-keep-N	a stage flushed with N octets: recovery delivers it
 */
#ifndef STORAGE_MBOX_H
#define STORAGE_MBOX_H

#include <sys/stat.h>

#include "storage/dotlock.h"
#include "storage/driver.h"
#include "storage/mboxscan.h"
#include "storage/stage.h"

#define MBOX_UIDS    "mbox-uids"
#define MBOX_JOURNAL "mbox-journal"
#define MBOX_STAGE   "mbox-"
#define MBOX_DRAFT   ".mt-draft"
#define MBOX_KEEP    ".mt-keep-"

#define MBOX_NOWHERE  UINT64_MAX
#define MBOX_LOCK_MS  30000 /* wait for the locks: changes */
#define MBOX_LOOK_MS  2000  /* the same: looking */
#define MBOX_DOUBT_MS 700   /* a look at the end only is followed by a whole one */

/* Where a row's message lies. */
struct mbox_row {
	uint64_t off; /* of its From_ line; MBOX_NOWHERE: gone. Held: in the spool */
	uint64_t end; /* of the message */
	uint64_t head, ident; /* as mboxscan has them */
	bool held;
	bool has_uid; /* the file tells its UID */
};

struct mbox {
	struct box *box;
	int dir;    /* that holds the file */
	char *name; /* of the file in dir */
	bool writable;
	bool exists; /* as at the last look */
	struct file_stamp stamp;
	bool known; /* the rows are those of the file with that stamp */
	bool dirty; /* only the end was looked at */
	int64_t dirty_ms;
	bool crlf;  /* lines of the file end in CR LF */
	bool based; /* its first message has an X-IMAPbase or X-IMAP that counts */
	uint32_t base_last; /* last UID there */
	uint32_t uidvalidity, uidnext;
	uint32_t claimed; /* \Recent is claimed up to this UID */
	uint8_t guid[16];
	bool uids_written; /* mbox-uids is there */
	unsigned nkeyword;
	char keyword[MT_NKEYWORD][MT_KEYWORD_MAX + 1];
	struct mbox_row *row; /* box->lock; as many as the box has records */
	size_t nrow, row_cap;
	int spool; /* of what is held; no name; -1 */
	uint64_t spool_end;
	size_t nheld;
};

static inline struct mbox *
mbox_of(struct box *b)
{
	return b->drv;
}

/* `user/mailbox`, for the log; borrowed until the thread's next call. */
const char *mbox_who(const struct mbox *);
int64_t mbox_now_ms(void); /* monotonic */

/* ---- mbox.c ---------------------------------------------------------------------------- */

/* The file: O_RDONLY or O_RDWR; ENOENT. */
int mbox_open_file(const struct mbox *, int flags);

/* ---- mbox_lock.c ----------------------------------------------------------------------- */

struct mbox_lock {
	struct dotlock dot;
	int fd; /* the file's, borrowed */
};

/* All that mbox_write_locks says, in its order, or none of it: EAGAIN, and who holds it has
 * been logged. `fd` is open for writing. */
int mbox_lock_write(struct mbox *, int fd, unsigned timeout_ms, struct mbox_lock *);
int mbox_lock_read(struct mbox *, int fd, unsigned timeout_ms, struct mbox_lock *);
void mbox_unlock(struct mbox_lock *);

/* ---- mbox_sync.c ----------------------------------------------------------------------- */

int mbox_sync(struct box *);
/* By one who holds the write locks of `fd`: the rows are those of the file on return. */
int mbox_sync_locked(struct mbox *, int fd);

/* ---- mbox_uids.c ------------------------------------------------------------------------ */

struct mbox_uid {
	uint64_t ident;
	int64_t date;
	uint32_t uid;
	bool taken;
};

struct mbox_uids { /* mbox-uids as read; {0} is an empty one */
	struct mbox_uid *v;
	size_t n, cap;
};

/* Into an empty list and m. What is not whole counts as absent. */
void mbox_uids_read(struct mbox *, struct mbox_uids *);
/* Durably: m's, and a line for each of the list. */
int mbox_uids_write(struct mbox *, const struct mbox_uids *);
uint32_t mbox_uidvalidity_next(struct mbox *);

/* ---- mbox_journal.c --------------------------------------------------------------------- */

/* What is to be done to a file. Octets are copied from it or given. */
struct mbox_plan;

/* ---- mbox_change.c, mbox_deliver.c, mbox_tree.c ------------------------------------------- */

int mbox_set_flags(struct box *, const struct flag_edit *, size_t n);
int mbox_add_keyword(struct box *, struct span name, unsigned *number);
int mbox_expunge(struct box *, const uint32_t *rows, size_t n, bool hold);
void mbox_unhold(struct box *, uint32_t row);
int mbox_set_date(struct box *, uint32_t row, int64_t date);
int mbox_claim_recent(struct box *, const uint32_t *rows, size_t n);

int mbox_stage_open(struct box *, struct stage *);
int mbox_stage_keep(struct stage *, bool deliverable);
void mbox_stage_discard(struct stage *);
int mbox_deliver(struct box *, const struct delivery *, size_t n, uint32_t *uids);
int mbox_copy(struct box *, const uint32_t *rows, size_t n, struct box *to, bool move,
              uint32_t *to_uids);

#endif
