/*
 * draft: files that are being written. A draft has a name that works and a stage that
 * takes its bytes. At its last close, when it has bytes and a name without a leading
 * dot, it is delivered and its name becomes an alias of the message for a while. The
 * name `<n>.eml` is never an alias: it would hide another message.
 *
 *	state	stage	who leaves it, whereto
 *	DRAFT	yes	last close, rename, commit: ALIAS (delivered); unlink, last
 *			close when a write or flush has failed: GONE; last close of a
 *			name of new/ that begins with MT_APPEND: GONE
 *	ALIAS	no	a while, rename to <n>.eml, unlink, expunge: GONE; opening it
 *			with O_TRUNC: DRAFT again, for another message
 *	GONE	maybe	the last close frees it
 */
#ifndef FS_DRAFT_H
#define FS_DRAFT_H

#include <pthread.h>

#include "fs/fs.h"

enum draft_state { DRAFT, ALIAS, GONE };

struct draft {
	uint32_t slot;
	uint64_t generation; /* of the slot: tells the kernel a reused one from the old */
	uint32_t home;	     /* mailbox number in its node id: where it was made */
	pthread_mutex_t lock;
	/* Changed with both this lock and the table's held, so read under either: */
	enum draft_state state;
	struct box *box; /* reference: where it is now */
	bool in_new;	 /* in the mailbox's .mailtree/new/ */
	char *name;	 /* NULL once it does not resolve any more */
	/* lock: */
	struct stage *stage;
	uint32_t uid; /* of the message, once delivered */
	int64_t date; /* INTERNALDATE asked for; INT64_MIN: none */
	uint16_t flags; /* asked for by ctl `mark` */
	uint32_t keywords; /* of `box`, likewise */
	mode_t mode;
	bool dirty;   /* written to since the last flush */
	bool flushed; /* some flush was answered */
	int err;      /* bytes were lost, and the writer was told so: no message comes of
			 it until it is written anew from the start; 0: none were */
	unsigned nopen;
	/* the table's lock: */
	unsigned refs;
	int64_t expires_ms; /* an alias */
	struct draft *hash_next;
};

int drafts_open(struct drafts **);
/* Deliver what was closed, forget the rest: the end of the daemon. */
void drafts_close(struct fs *);

/* References; each is given back by draft_put. NULL: ENOENT, ESTALE. */
struct draft *draft_find(struct fs *, const struct box *, bool in_new, const char *name);
struct draft *draft_get(struct fs *, uint32_t slot);
void draft_put(struct fs *, struct draft *);

/* A new draft, open once. EEXIST, EACCES, EROFS, ENFILE. */
int draft_create(struct fs *, struct box *, bool in_new, const char *name, mode_t,
		 struct draft **);

/* The mailbox that a draft is in now; 0 when there is no such draft. */
uint32_t draft_box_number(struct fs *, uint32_t slot);

/*
 * Verbs. All take d->lock themselves. An alias that is opened or asked for its entry
 * answers ENOENT when its message is gone.
 */
int draft_entry(struct fs *, struct draft *, struct fuse_entry_param *);
int draft_open(struct fs *, struct draft *, int flags); /* for its bytes; counted */
int draft_flush(struct fs *, struct draft *, bool always);
void draft_release(struct fs *, struct draft *);
void draft_mark(struct draft *, uint16_t flags, uint32_t keywords, int64_t date);
int draft_set_date(struct fs *, struct draft *, int64_t date);
int draft_unlink(struct fs *, struct draft *); /* an alias: the message is expunged */

/* Give it another name; delivers when that is what the name was missing. A draft that
 * has this name already is replaced. */
int draft_rename(struct fs *, struct draft *, struct box *to, bool in_new,
		 const char *name);

/* Deliver these (each DRAFT, with d->lock NOT held by the caller) as one. */
struct draft_commit {
	struct draft *draft;
	uint16_t flags;
	uint32_t keywords;
	int64_t date; /* INT64_MIN: the draft's own, else now */
};
int draft_commit(struct fs *, struct box *, const struct draft_commit *, size_t n,
		 uint32_t *uids);

/* A message left `box`: aliases of it are names of nothing. */
void drafts_forget_box(struct fs *, const struct box *); /* all of a removed mailbox */
bool drafts_in_box(struct fs *, const struct box *);	 /* some draft with bytes or open */

/* Aliases that have lived long enough go; deliveries that failed are tried again. */
void drafts_sweep(struct fs *);

#endif
