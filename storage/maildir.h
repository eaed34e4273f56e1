/*
 * maildir: the Maildir and Maildir++ driver, as its own files share it. Private to
 * storage/maildir*.c.
 *
 * The truth lies in the store: names in new/ and cur/, `dovecot-uidlist`,
 * `dovecot-keywords`. In memory stands what the last look at them found; every use of
 * a name copes with its having changed since (ENOENT: look again).
 *
 * Durable states of a message, and what recovery (maildir_recover.c) does:
 *
 *	tmp/BASE.mt-draft	being written, or nobody was promised anything: removed
 *				after 36 hours when nobody holds its flock
 *	tmp/BASE.mt-keep-N	flushed as deliverable with N octets: cut to N and moved
 *				into new/ when nobody holds its flock
 *	tmp/ID.mt-commit	the moves of one delivery of several: carried out
 *	new/BASE		there; a UID is its own once the uidlist has it
 *	cur/BASE:2,FLAGS	there
 *	tmp/BASE-UID.mt-held-ID	expunged, kept for readers by whoever holds the flock of
 *				tmp/ID.mt-holder: removed when nobody does
 *
 * Memory: beside core's record of 64 octets some 75 octets a message (names.h), for a
 * base name of 50 octets with flags.
 */
#ifndef STORAGE_MAILDIR_H
#define STORAGE_MAILDIR_H

#include <sys/stat.h>

#include "storage/base/hash.h"
#include "storage/dotlock.h"
#include "storage/driver.h"
#include "storage/keywords.h"
#include "storage/maildir_names.h"
#include "storage/mdname.h"
#include "storage/stage.h"
#include "storage/uidlist.h"

#define MD_DRAFT	".mt-draft"
#define MD_KEEP		".mt-keep-"
#define MD_COMMIT	".mt-commit"
#define MD_HELD_MARK	".mt-held-"
#define MD_HOLDER	".mt-holder"
#define MD_TRASH	"..mailtree-removed." /* two dots: no mailbox name begins so */
#define MD_ERASED	"..mailtree-erased."
#define MD_FOLDERS	"..mailtree-rename"

#define MD_TICK_NS     20000000LL   /* coarsest clock tick of file times, with margin */
#define MD_TICK_1S_NS  1100000000LL /* on file systems that keep whole seconds */
#define MD_DOUBT_MS    700	    /* a directory that we changed is read again after it */
#define MD_LOCK_MS     30000	    /* wait for the uidlist's lock: changes */
#define MD_LOCK_CLOSE_MS 500
#define MD_LOCK_SYNC_MS 2000	    /* the same: looking; new messages then come later */
#define MD_UID_MAX     (UINT32_MAX - 65536) /* above: node ids of the hidden files */
#define MD_FILE_MAX    (1u << 30)   /* octets of an uidlist that we read at all */

/* What tells that a file or directory is not as it was: compared for inequality. */
struct md_stamp {
	uint64_t dev, ino;
	int64_t size, mtime_ns, ctime_ns;
};

struct md_stamp md_stamp(const struct stat *);
bool md_stamp_eq(const struct md_stamp *, const struct md_stamp *);
/* Could a change right after this stamp was taken have left it as it is? */
bool md_stamp_fresh(const struct md_stamp *);

enum md_trust {
	TRUST_NONE,  /* not read yet, or what was read is not to be relied on */
	TRUST_FRESH, /* changed in the tick in which it was read */
	TRUST_OURS,  /* as it was, but for changes of ours */
	TRUST_SURE,
};

struct md_dir {
	int fd;
	struct md_stamp stamp;
	enum md_trust trust;
	int64_t since_ms; /* TRUST_OURS: since when, monotonic */
};

/* The uidlist as we last read or wrote it; its records stand in rows. */
struct md_uids {
	struct md_stamp stamp;
	bool known;	/* stamp is that of what we hold */
	bool exists;
	uint32_t uidvalidity; /* 0: none yet */
	uint32_t uidnext;
	bool has_guid;
	uint8_t guid[16];
	char *extra;	/* other fields of the header; may be NULL */
	uint64_t whole; /* octets that hold whole lines */
	bool torn;	/* more than these are there */
	bool rewrite;	/* it has to be written anew: other version, no GUID */
	size_t nrecord; /* in the file */
	size_t rowless; /* of these never had a row */
	bool pending;	/* it has records above our last row: read it again next time */
};

struct maildir {
	struct box *box;
	int top;	     /* the mailbox's directory */
	struct md_dir dir[2]; /* MD_NEW, MD_CUR */
	int tmp;	     /* -1: there is none and we cannot make one */
	bool writable;	     /* else UIDs are private, in the box's index folder */
	bool killed;	     /* these rows are not those of the uidlist any more */
	bool deferred;	     /* files without UIDs were left for the next look */
	struct md_uids uids;
	struct md_stamp store_list; /* not writable: the store's own uidlist as last read */
	struct keywords keywords;
	struct md_stamp keywords_stamp;
	uint32_t keyword_mask; /* rows of the table that have a name */
	struct names names;    /* box->lock */
	int holder;	       /* flock'ed descriptor of tmp/ID.mt-holder, or -1 */
	char holder_id[17];
	size_t nheld;
	bool twins_said, name_said; /* logged once per box */
};

static inline struct maildir *
md_of(struct box *b)
{
	return b->drv;
}

struct md_store { /* store->drv */
	struct md_stamp top; /* tree: as at the last list() */
	enum md_trust trust;
};

/* ---- maildir.c ------------------------------------------------------------------- */

/* Open a mailbox's directory beneath the store. ENOENT. */
int md_open_top(struct store *, const char *path);
/* tmp/, made if it is missing. -1 with errno. */
int md_tmp(struct maildir *);
/* The directory of a row's file. */
static inline int
md_dirfd(const struct maildir *m, enum md_where where)
{
	return where == MD_HELD ? m->tmp : m->dir[where].fd;
}
/* `user/mailbox`, for the log; borrowed until the thread's next call. */
const char *md_who(const struct maildir *);
int64_t md_now_ms(void); /* monotonic */

/*
 * Changes of our own need no rescan: md_ours_begin before them tells which directories
 * were as we know them, md_ours_end takes over what became of these.
 */
unsigned md_ours_begin(const struct maildir *);
void md_ours_end(struct maildir *, unsigned before);

/* ---- maildir_scan.c -------------------------------------------------------------- */

struct md_file {
	uint64_t ino;
	uint32_t name; /* offset into the scan's names */
	uint32_t uid;  /* that it has, or gets; 0: none yet */
	uint8_t len, base;
	uint8_t where; /* MD_NEW, MD_CUR */
	bool twin;     /* another file has this base name and wins */
	bool has_twin; /* it wins over another */
	bool taken;    /* some row or record has it */
	bool old;	/* found in an earlier try, not in the last one */
};

struct md_scan {
	struct buf names; /* NUL behind each */
	struct md_file *file;
	size_t n, cap;
	uint32_t *slot; /* hash from base name to file + 1 */
	size_t nslot;
	struct hash_key *key;
	bool read[2];  /* which directories were */
	bool stable;   /* all of both, and nothing changed meanwhile */
};

/*
 * Read the directories that need it (`both`: whether they do or not), more than once
 * when something changes meanwhile and `complete` misses something in what was found:
 * only what a stable scan does not show is gone.
 */
int md_scan(struct maildir *, struct md_scan *, bool both,
	    bool (*complete)(const struct md_scan *, void *), void *);
bool md_scan_needed(const struct maildir *);
void md_scan_free(struct md_scan *);
/* A file by its whole name, be it a twin. Slow. */
struct md_file *md_scan_exact(const struct md_scan *, enum md_where, struct span name);
/* The winner among the files with that base name, or NULL. */
struct md_file *md_scan_find(const struct md_scan *, struct span base);
static inline struct span
md_file_name(const struct md_scan *s, const struct md_file *f)
{
	return (struct span){s->names.p + f->name, f->len};
}
static inline struct span
md_file_base(const struct md_scan *s, const struct md_file *f)
{
	return (struct span){s->names.p + f->name, f->base};
}
/* The order in which new files get UIDs: by the time in the name, then the name. */
void md_scan_sort_new(const struct md_scan *, struct md_file **, size_t n);

/* ---- maildir_uids.c -------------------------------------------------------------- */

struct md_entry { /* a record of an uidlist */
	uint32_t uid;
	uint32_t base, ext; /* offsets into the list's text, NUL behind each */
	uint16_t base_len, ext_len;
};

struct md_list { /* an uidlist as read, for the length of a sync */
	struct buf text;
	struct md_entry *e; /* ascending by uid */
	size_t n, cap;
};

/* Is the file not as m->uids has it? */
bool md_uids_changed(struct maildir *);
/*
 * Read it into an empty list and m->uids. 1; 0: there is none (m->uids.exists false,
 * UIDVALIDITY and UIDNEXT kept); a corrupt one is logged and counts as none.
 */
int md_uids_read(struct maildir *, struct md_list *);
void md_list_free(struct md_list *);
static inline struct span
md_entry_base(const struct md_list *l, const struct md_entry *e)
{
	return (struct span){l->text.p + e->base, e->base_len};
}
static inline struct span
md_entry_ext(const struct md_list *l, const struct md_entry *e)
{
	return (struct span){l->text.p + e->ext, e->ext_len};
}

/* For a private list that is not there yet: begin with what the store has. */
int md_uids_seed(struct maildir *, struct md_list *);

/* The lock of the uidlist and of dovecot-keywords. */
int md_uids_lock(struct maildir *, unsigned timeout_ms, struct dotlock *);
void md_uids_unlock(struct maildir *, struct dotlock *);

/* All below: lock held, and m->uids is what the file says. `lines` are whole records,
 * printed by uidlist_print_record; durable on return. */
int md_uids_append(struct maildir *, struct span lines, size_t nrecord, uint32_t last_uid);
int md_uids_replace(struct maildir *, struct span lines, size_t nrecord);

/* Courier's files, when they are there: fills an empty list and m->uids. 1, 0, -1. */
int md_courier_read(struct maildir *, struct md_list *);

/* A UIDVALIDITY that the store has not had, by dovecot-uidvalidity and its marker. */
uint32_t md_uidvalidity_next(struct maildir *);

/* ---- maildir_keywords.c ---------------------------------------------------------- */

/* Read dovecot-keywords if it changed: 1; 0: as it was; -1. */
int md_keywords_refresh(struct maildir *);
/* Between box_begin and box_commit: tell the box, and recount rows when letters got or
 * lost their meaning. */
void md_keywords_publish(struct maildir *, uint32_t old_mask);

int md_add_keyword(struct box *, struct span name, unsigned *number);

/* ---- maildir_change.c ------------------------------------------------------------ */

int md_set_flags(struct box *, const struct flag_edit *, size_t n);
int md_claim_recent(struct box *, const uint32_t *rows, size_t n);
int md_expunge(struct box *, const uint32_t *rows, size_t n, bool hold);
void md_unhold(struct box *, uint32_t row);
int md_set_date(struct box *, uint32_t row, int64_t date);

/* The name in tmp/ for an expunged file that is held; tmp/ and the holder stand. */
int md_held_name(struct maildir *, uint32_t row, char out[static MDNAME_MAX + 1],
		 size_t *base_len);
void md_holder_close(struct maildir *); /* and all that is still held */

/* Rename that overwrites nothing, where the file system can do that. */
int md_rename(int from_dir, const char *from, int to_dir, const char *to);

/* ---- maildir_deliver.c, maildir_copy.c ------------------------------------------- */

int md_stage_open(struct box *, struct stage *);
int md_stage_keep(struct stage *, bool deliverable);
void md_stage_discard(struct stage *);
int md_deliver(struct box *, const struct delivery *, size_t n, uint32_t *uids);
int md_copy(struct box *, const uint32_t *rows, size_t n, struct box *to, bool move,
	    uint32_t *to_uids);

/* A file on its way into a mailbox. */
struct md_placing {
	int from_dir;		     /* borrowed */
	char from[MDNAME_MAX + 1];
	char to[MDNAME_MAX + 1];
	size_t base_len;	     /* of `to` */
	enum md_where where;	     /* MD_NEW or MD_CUR */
	uint32_t row;		     /* md_copy: of the original */
	bool placed;
};

/* Set `to` and `where`: new/ when there are neither flags nor keywords. */
int md_placing_name(struct md_placing *, struct span base, uint16_t flags, uint32_t keywords);
/*
 * Move the files in and give them UIDs, in order: all, or none and they are back where
 * they were. Durable on return, and told to the box. uids[n]. Files in m's tmp/ are
 * all or none over a crash too. ENOENT: one of them is not there any more.
 */
int md_place(struct maildir *, struct md_placing *, size_t n, uint32_t *uids);

/* Copy a message's file with its date, durably. The new name must not be there. */
int md_copy_file(int from_dir, const char *from, int to_dir, const char *to);

/* ---- maildir_recover.c ----------------------------------------------------------- */

/* What daemons that are no more left in tmp/. Cannot fail: it logs. */
void md_recover(struct maildir *);

/*
 * The journal of several moves out of tmp/: from here to md_commit_end recovery
 * carries them out. Its descriptor (flock'ed), or -1.
 */
struct md_commit {
	int fd;
	char name[40];
};
int md_commit_begin(struct maildir *, const struct md_placing *, size_t n,
		    struct md_commit *);
void md_commit_end(struct maildir *, struct md_commit *);

/* ---- maildir_list.c -------------------------------------------------------------- */

int md_list(struct store *, int (*each)(void *, const char *), void *);
bool md_list_changed(struct store *);
bool md_listed(struct store *, const char *path);
int md_create(struct store *, const char *path, unsigned use);
int md_remove(struct store *, const char *path);
int md_erase(struct store *, const char *path, struct buf *rest);
void md_discard(struct store *, const char *rest);
int md_rename_box(struct store *, const char *path, const char *newpath);
void md_list_recover(struct store *);

/* ---- maildir_use.c, maildir_subs.c --------------------------------------------------- */

/* `mailtree-use` in the mailbox's directory. */
int md_write_use(int dir, unsigned use, mode_t);
unsigned md_use(struct store *, const char *path);

int md_subscriptions(struct store *, int (*each)(void *, const char *path), void *);
int md_subscribe(struct store *, const char *path, bool on);

/* ---- maildir_sync.c -------------------------------------------------------------- */

int md_sync(struct box *, bool doubt);
/* The rows are not those of the store any more: everyone must let go. -1, ESTALE. */
int md_kill(struct maildir *);
/* As md_sync, by one who holds the uidlist's lock already. */
int md_sync_locked(struct maildir *);
/* The record of a message with that file; asks the file for its dates unless the index
 * will know them. */
void md_fill_record(const struct maildir *, enum md_where, const char *name, uint32_t uid,
		    bool uidl, struct mt_record *);

#endif
