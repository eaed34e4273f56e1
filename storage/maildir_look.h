/*
 * maildir_look: one look at a mailbox: its uidlist, its directories, and what became of
 * rows, records and files. Private to maildir_look.c, maildir_record.c, maildir_sync.c.
 */
#ifndef STORAGE_MAILDIR_LOOK_H
#define STORAGE_MAILDIR_LOOK_H

#include "storage/maildir.h"

enum fate { FATE_KEEP, FATE_NAMED, FATE_GONE };

/* A record that has no row yet. */
struct found {
	const struct md_entry *entry; /* in the list */
	struct md_file *file;	      /* NULL: not found, but not known to be gone */
};

struct look {
	struct maildir *m;
	struct md_scan scan;
	struct md_list list;
	bool have_list; /* `list` is what m->uids was read from */
	bool locked;	/* by us */
	bool blocked;	/* there are records whose fate only a locked look can tell */
	bool replaced;	/* the uidlist holds only what lives now */
	bool reborn;	/* a new file has the base name of an expunged message */
	struct found *found; /* ascending */
	size_t nfound, found_cap;
	struct md_file **fresh; /* without UIDs; ascending once they have them */
	size_t nfresh, fresh_cap;
	uint8_t *fate;	   /* [names.nrow] */
	struct md_file **file; /* [names.nrow]: of FATE_NAMED */
	size_t ngone, nnamed;
};

/* From {.m = m} on. */
void look_free(struct look *);

static inline bool
look_loaded(const struct look *l)
{
	return l->m->box->loaded;
}

/* The UID of the last row; 0 without rows. */
uint32_t look_last_uid(const struct look *);

/*
 * Look, or look again: fills everything above. `locked`: the caller has the uidlist's
 * lock. -1 with ESTALE: the box was killed.
 */
int look_take(struct look *, bool locked);
int look_read_list(struct look *); /* into l->list, and m->uids */

/* ---- maildir_record.c: the lock is held ------------------------------------------ */

/* The uidlist has come to its last UID. RFC 9051 section 2.3.1.1: the mailbox then gets
 * another UIDVALIDITY and UIDs from 1. Under the lock; takes the look anew, or kills the
 * box when it is loaded (-1, ESTALE). */
bool look_out_of_uids(const struct look *);
int look_start_over(struct look *);

/* Is there anything to write, or that only a locked look can tell? */
bool look_must_write(const struct look *);
/* Is that nothing but records of new files, behind those that are there? Without a lock too. */
bool look_only_appends(const struct look *);
/* Give UIDs to fresh files and write them, or the whole list anew; durable. */
int look_write(struct look *);
/* Records that stay in the file without ever having got a row: should their files come
 * back, the list must be at hand. */
void look_count_rowless(struct look *);

#endif
