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
 *	mbox-places		where the messages lie: only to be quick after a restart
 *	mbox-journal		a change under way
 *	mbox-ID.mt-draft	a stage: nobody was promised anything
 *	mbox-ID.mt-keep-N	a stage flushed with N octets: recovery delivers it
 */
#ifndef STORAGE_MBOX_H
#define STORAGE_MBOX_H

#include <sys/stat.h>

#include "storage/dotlock.h"
#include "storage/driver.h"
#include "storage/keywords.h"
#include "storage/mboxconf.h"
#include "storage/mboxscan.h"
#include "storage/stage.h"

#define MBOX_UIDS    "mbox-uids"
#define MBOX_JOURNAL "mbox-journal"
#define MBOX_STAGE   "mbox-"
#define MBOX_DRAFT   ".mt-draft"
#define MBOX_KEEP    ".mt-keep-"

#define MBOX_NOWHERE  UINT64_MAX
#define MBOX_LOOK_MS  2000  /* wait for the locks at most: looking */
#define MBOX_DOUBT_MS 700   /* a look at the end only is followed by a whole one */

/* Where a row's message lies. */
struct mbox_row {
	uint64_t off; /* of its From_ line; MBOX_NOWHERE: gone. Held: in the spool */
	uint64_t end; /* of the message */
	uint64_t head, ident, visible; /* as mboxscan has them */
	bool old;                      /* likewise, at the last look */
	bool held;
	bool has_uid; /* the file tells its UID */
};

struct mbox {
	struct box *box;
	int dir;    /* that holds the file */
	char *name; /* of the file in dir */
	bool writable;
	bool loaded; /* the rows stand */
	bool exists; /* as at the last look */
	struct file_stamp stamp;
	_Atomic bool known; /* the rows are those of the file with that stamp: taken back by who
	                       holds io, looked at by who holds the box's lock */
	bool dirty; /* only the end was looked at */
	int64_t dirty_ms;
	bool crlf;  /* lines of the file end in CR LF */
	bool based; /* its first message has an X-IMAPbase or X-IMAP that counts */
	uint32_t base_last;  /* last UID there */
	uint32_t base_named; /* the keywords that it names: Dovecot knows no others */
	uint32_t uidvalidity, uidnext;
	uint32_t claimed; /* \Recent is claimed up to this UID */
	uint8_t guid[16];
	bool uids_written; /* mbox-uids is there */
	unsigned nkeyword;
	char keyword[MT_NKEYWORD][MT_KEYWORD_MAX + 1];
	struct mbox_row *row; /* box->lock; as many as the box has records */
	size_t nrow, row_cap;
	bool placed; /* mbox-places has the rows of the file with that stamp */
	struct file_stamp placed_stamp;
	int spool; /* of what is held; no name; -1 */
	uint64_t spool_end;
	size_t nheld;
	bool dotless_said, no_mbox_said; /* logged once per box */
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
int mbox_source(struct box *, uint32_t row, struct source *);

/* ---- mbox_lock.c ----------------------------------------------------------------------- */

struct mbox_lock {
	const struct mbox *m;
	struct dotlock dot;
	int fd;       /* the file's, borrowed */
	bool grouped; /* the dotlock was made through the spool's group */
};

/* All that mboxconf names, in its order, or none: ETIMEDOUT, and who holds which has been
 * logged. `fd` is open for writing. */
int mbox_lock_write(struct mbox *, int fd, unsigned timeout_ms, struct mbox_lock *);
/* For looking: without dotlocks where they cannot be made, and ETIMEDOUT is not logged. */
int mbox_lock_read(struct mbox *, int fd, unsigned timeout_ms, struct mbox_lock *);
void mbox_unlock(struct mbox_lock *);

/* Wait so long for the locks of a change. */
unsigned mbox_lock_ms(void);
/* Where the file is now, for the log; borrowed until the thread's next call. */
const char *mbox_file(const struct mbox *);

/* ---- mbox_spool.c ----------------------------------------------------------------------- */

/*
 * In a spool directory that users may not write (/var/mail, root:mail 2775) a daemon of
 * root's makes dotlocks and an INBOX that is not there with the user's id and the group that
 * may. Nothing that is there already is opened meanwhile but dotlocks.
 */
bool mbox_spool_enter(const struct mbox *); /* false: this is none, or no group may */
void mbox_spool_leave(const struct mbox *);
bool mbox_spool_may_make(const struct mbox *);
/* Whose an INBOX elsewhere has to be; (uid_t)-1: whoever's. */
uid_t mbox_spool_owner(const struct mbox *);

/* ---- mbox_scan.c ----------------------------------------------------------------------- */

/* Run the scanner, begun by the caller, over a file of `size` octets. ENOTSUP: no mbox; EIO:
 * it is shorter. each -1 ends it. */
int mbox_scan_file(int fd, uint64_t size, struct mboxscan *,
                   int (*each)(void *, const struct mboxscan_msg *), void *arg);

/* The header of the message at `off`: as header_only has it. */
int mbox_scan_header(int fd, uint64_t off, uint64_t size, bool first,
                     struct mboxscan_msg *,
                     void (*field)(void *, const struct mboxscan_field *), void *arg);

/* ---- mbox_places.c --------------------------------------------------------------------- */

/* For the next daemon, when the rows are certainly those of the file; io is held. */
void mbox_places_write(struct mbox *);

/* ---- mbox_sync.c ----------------------------------------------------------------------- */

int mbox_sync(struct box *, bool doubt);
/* By one who holds the write locks of `fd`: the rows are those of the file on return; their
 * flags too with `all`, else those of what has come last. */
int mbox_sync_locked(struct mbox *, int fd, bool all);
/* The same, after a change of our own that left what lies below `from` as it was. */
int mbox_sync_from(struct mbox *, int fd, uint64_t from);

/* ---- mbox_uids.c ------------------------------------------------------------------------ */

struct mbox_uid {
	uint64_t ident;
	int64_t date;
	uint32_t uid;
	bool taken; /* a message in the file is this one */
};

struct mbox_uids { /* ascending; {0} is an empty list */
	struct mbox_uid *v;
	size_t n, cap;
};

/* Into an empty list, and what m has of it. What is not whole counts as absent: then
 * m->uidvalidity is 0. */
void mbox_uids_read(struct mbox *, struct mbox_uids *);
void mbox_uids_free(struct mbox_uids *);
/* Durable: the whole file; more of the UIDs; one more keyword, which m has already. */
int mbox_uids_write(struct mbox *, const struct mbox_uids *);
int mbox_uids_append(struct mbox *, const struct mbox_uids *);
int mbox_uids_append_keyword(struct mbox *, struct span name);

/* The number of a keyword, which it gets now if need be; -1: it is none, or there are too
 * many. In memory. */
int mbox_keyword(struct mbox *, struct span name);

uint32_t mbox_uidvalidity_next(struct mbox *);

/* ---- mbox_header.c ----------------------------------------------------------------------- */

/* What the hidden fields of a message are to say. */
struct mbox_meta {
	uint32_t uidvalidity, last_uid; /* X-IMAPbase, unless 0 */
	uint32_t uid;                   /* X-UID, unless 0 */
	uint16_t flags;
	bool old;
	uint32_t keywords;
	struct span more_keywords; /* that have no number; a blank before each */
	struct span base_keywords; /* likewise, behind X-IMAPbase */
};

/* The fields, with room for other flags. */
int mbox_print_meta(const struct mbox *, const struct mbox_meta *, bool crlf,
                    struct buf *);
/* `R`, `O`; `A`, `F`, `T`, `D`; names: the values alone. */
void mbox_print_status(uint16_t flags, bool old, char out[static 3]);
void mbox_print_xstatus(uint16_t flags, char out[static 5]);
int mbox_print_keywords(const struct mbox *, uint32_t keywords, struct span more,
                        struct buf *);
/* What X-IMAPbase names, a blank before each: `have`, and what m has besides. */
int mbox_print_base_keywords(const struct mbox *, struct span have, struct buf *);
static inline uint32_t
mbox_all_keywords(const struct mbox *m)
{
	return (1u << m->nkeyword) - 1;
}

/* ---- mbox_quote.c ------------------------------------------------------------------------ */

/* Octets of a message on their way from an mbox to a file: without mboxrd quoting. */
struct mbox_unquote { /* {.to, .quoted} is ready; nothing to free */
	int to;
	bool quoted;   /* else nothing is taken away */
	uint64_t size; /* octets written so far, final after the end */
	bool in_line;  /* its own */
	uint64_t gt;
	unsigned matched;
};

int mbox_unquote_copy(struct mbox_unquote *, int from, uint64_t off, uint64_t size);
int mbox_unquote_end(struct mbox_unquote *);

/* ---- mbox_tree.c ------------------------------------------------------------------------- */

int mbox_tree_open(struct store *);
void mbox_tree_close(struct store *);
/* The directory (to be closed) and the name (to be freed) of a mailbox's file, which must
 * be there but for the INBOX. ENOENT. */
int mbox_tree_find(struct store *, const char *path, int *dir, char **name);
/* The same of one that need not be there; the directories above must be. EINVAL: no mailbox
 * can be called so. */
int mbox_tree_parent(struct store *, const char *path, int *dir, char **name);
/* `A/B` of the tree as `A/B` on disk, added with a NUL behind. EINVAL, ENAMETOOLONG. */
int mbox_tree_disk(struct span path, struct buf *out);
int mbox_list(struct store *, int (*each)(void *, const char *path), void *);
bool mbox_list_changed(struct store *);

/* ---- mbox_folders.c ---------------------------------------------------------------------- */

int mbox_create(struct store *, const char *path, unsigned use);
int mbox_remove(struct store *, const char *path);
int mbox_erase(struct store *, const char *path, struct buf *rest);
void mbox_discard(struct store *, const char *rest);
int mbox_rename(struct store *, const char *path, const char *newpath);
unsigned mbox_use(struct store *, const char *path);

/* ---- mbox_subs.c ------------------------------------------------------------------------- */

int mbox_subscriptions(struct store *, int (*each)(void *, const char *path), void *);
int mbox_subscribe(struct store *, const char *path, bool on);

/* ---- mbox_recover.c ----------------------------------------------------------------------- */

/* Complete what a journal tells. -1 when it cannot be, because somebody keeps the file locked
 * for example: then it may be in the middle of a change, and is not to be looked at. */
int mbox_recover(struct mbox *);

/* ---- mbox_change.c, mbox_deliver.c ------------------------------------------------------- */

int mbox_set_flags(struct box *, const struct flag_edit *, size_t n);
int mbox_add_keyword(struct box *, struct span name, unsigned *number);
int mbox_expunge(struct box *, const uint32_t *rows, size_t n, bool hold);
void mbox_unhold(struct box *, uint32_t row);
int mbox_set_date(struct box *, uint32_t row, int64_t date);
int mbox_claim_recent(struct box *, const uint32_t *rows, size_t n);

/* A writer at work: the file open and locked, the rows as the file is. */
struct mbox_writing {
	struct mbox *m;
	int fd;
	struct mbox_lock lock;
};
/* `append`: nothing but appending is meant; an INBOX that is not there is made. */
int mbox_begin_writing(struct mbox *, bool append, struct mbox_writing *);
void mbox_end_writing(struct mbox_writing *);
/* A patch that makes X-IMAPbase tell `last`. 1: begun; 0: it need not, or cannot. */
struct mbox_journal;
int mbox_patch_base(struct mbox_writing *, struct mbox_journal *, uint32_t last);
/* After a change of the file that moved nothing. */
void mbox_take_stamp(struct mbox_writing *);
void mbox_recover_stages(struct mbox *);

int mbox_stage_open(struct box *, struct stage *);
int mbox_stage_keep(struct stage *, bool deliverable);
void mbox_stage_discard(struct stage *);
int mbox_deliver(struct box *, const struct delivery *, size_t n, uint32_t *uids);
int mbox_copy(struct box *, const uint32_t *rows, size_t n, struct box *to, bool move,
              uint32_t *to_uids);

#endif
