/*
 * box: the inside of store.h's box, as the drivers see it. Private to storage/.
 *
 * Records stand in rows: row i is record i of `index`. Rows are appended in ascending
 * UID order and never move while the box is loaded; an expunged one stays as a
 * tombstone. A driver keeps what it needs per row (names) in arrays of its own, also
 * under box->lock.
 */
#ifndef STORAGE_BOX_H
#define STORAGE_BOX_H

#include <pthread.h>

#include "storage/store.h"

struct driver;

struct store {
	struct env *env;
	const struct driver *driver;
	void *drv;	/* the driver's, from store_open to store_close */
	char *name;	/* for the log */
	char *location; /* path of the top, for the log; never opened again */
	int root;	/* the top directory */
	char *inbox;	/* mbox: path of the INBOX when it does not lie below the top; NULL */
	int inbox_dir;	/* mbox: the directory that holds it; -1 */
	bool inbox_only; /* mbox: there is nothing but the INBOX */
	bool inbox_spool; /* mbox: no user has a say in which directory holds it */
	int index_dir;	/* where this store's index folders lie; the daemon's */
	struct cred cred;
	bool has_cred;
	bool readonly; /* asked for, or found out by the driver */
	pthread_mutex_t tree; /* the box tree: names, numbers, children */
	struct box *top;      /* tree */
	bool listed;	      /* tree: list() ran */
	struct store *next;   /* env->lock */
	pthread_mutex_t life; /* guards nbox; a leaf */
	pthread_cond_t empty;
	size_t nbox; /* boxes not freed yet: background work may hold some for a moment */
};

/* What flags a row is to have; computed by box.c from a flag_change. */
struct flag_edit {
	uint32_t row;
	uint16_t flags;
	uint32_t keywords;
};

struct box {
	struct store *store;
	uint32_t number;
	_Atomic unsigned refs;
	_Atomic enum box_kind kind; /* written under tree */
	char *name;	    /* tree: component as the tree shows it; "" for the top */
	char *path;	    /* whole path as the tree shows it; changes only under tree,
			       io and lock together, so any one of them is enough to read it */
	struct box *parent, *child, *sibling; /* tree */
	struct box *hint;		      /* tree: the child that was found last */
	struct box *next_number;	      /* env's table */
	bool linked;			      /* tree: stands in it */
	bool seen;			      /* tree: met by the list() that runs now */
	_Atomic bool dead;

	pthread_mutex_t io; /* driver operations */
	void *drv;	    /* io: the driver's, from open to close */
	bool open;	    /* io: driver->open succeeded */
	bool loaded;	    /* io: the first sync is done */

	pthread_rwlock_t lock; /* everything below; see box_begin */
	struct mt_header head;
	struct mt_record *rec; /* [head.nrecord] */
	struct box_private *in; /* box.c's own */
};

/* ---- for drivers: taking a store in ------------------------------------------- */

/*
 * The first sync. `list` ascends by uid; each gives uid, flags, keywords, bits
 * (RECENT, UIDL), date, save_date, name_hash; and the sizes when it has counted them: where
 * wire_size is 0 they are filled from the index file, if uid and name_hash agree. Row i is
 * list[i] afterwards. `head` gives uidvalidity, uidnext, guid, keywords (nkeyword,
 * keyword). io held.
 */
int box_load(struct box *, const struct mt_header *head, const struct mt_record *list,
	     size_t n);

/* Before box_known: whose index file it must be; another mailbox's, or one from before a
 * reset of UIDVALIDITY, is forgotten. box_load is then given the same. io held. */
void box_expect(struct box *, uint32_t uidvalidity, const uint8_t guid[16]);

/* Before box_load: does the index file know this message, so that box_load will fill in
 * date and save_date? Then `list` may leave date at INT64_MIN. io held. */
bool box_known(const struct box *, uint32_t uid, uint32_t name_hash);

/* Before box_load: does the index file know that this UID was told for a message, which may
 * have vanished since? io held. */
bool box_told_uid(const struct box *, uint32_t uid);

/* Before box_load: the UIDNEXT that the index file remembers under this UIDVALIDITY, 0 when
 * none: new UIDs start there at least, also when the store was restored from an older copy. */
uint32_t box_known_uidnext(const struct box *, uint32_t uidvalidity);

/* The box's own index folder, the daemon's (not under cred_enter). Borrowed. */
int box_index_dir(const struct box *);
/* A folder of the index; durably when the driver has in it what must not be lost. */
int store_make_index_dir(const struct store *, int above, const char *name);

/*
 * Edits: box_begin takes box->lock for writing, box_commit gives modseqs, writes the
 * index file, releases the lock and wakes who waits. In between no I/O on the store.
 */
void box_begin(struct box *);
/* With its sizes, unless wire_size is 0. */
int box_edit_add(struct box *, const struct mt_record *); /* uid above every row's;
						      row = head.nrecord - 1 after it; ENOMEM */
void box_edit_flags(struct box *, uint32_t row, uint16_t flags, uint32_t keywords);
void box_edit_recent(struct box *, uint32_t row, bool recent);
void box_edit_date(struct box *, uint32_t row, int64_t date);
/* The same wire octets are stored in another number of octets now. */
void box_edit_stored(struct box *, uint32_t row, uint64_t stored_size);
void box_edit_gone(struct box *, uint32_t row, bool held); /* held: source() still works */
void box_edit_uidnext(struct box *, uint32_t uidnext); /* never lowers it */
void box_edit_keyword(struct box *, unsigned number, struct span name);
void box_commit(struct box *);

/* UIDVALIDITY changed, or the mailbox is gone from the store: everyone must let go. */
void box_kill(struct box *);

/* The live row of a UID (lock held): -1 when there is none. */
int64_t box_row(const struct box *, uint32_t uid);
/* The first row, live or not, whose UID is at least `uid` (lock held); nrecord: none. */
size_t box_row_from(const struct box *, uint32_t uid);
static inline bool
box_row_live(const struct box *b, uint32_t row)
{
	return !(b->rec[row].bits & MT_EXPUNGED);
}

/* Is a cursor open that is to go on reading what is expunged? No lock held. */
bool events_anyone_holds(struct box *);

/* Switch the calling thread to the store's credentials and back. Nests. */
void cred_enter(const struct store *);
void cred_leave(const struct store *);

/* The daemon's own ids for a moment, however deep the thread has entered: for the index
 * files. Give what cred_suspend returned to cred_resume. */
unsigned cred_suspend(const struct store *);
void cred_resume(const struct store *, unsigned);

/* Within cred_enter: the user's id goes on with another group for a moment. False: the store
 * has no credentials of its own, or that group is not to be had. */
bool cred_group_enter(const struct store *, gid_t);
void cred_group_leave(const struct store *);

#endif
