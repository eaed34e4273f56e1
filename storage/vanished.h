/*
 * vanished: `log` of a mailbox's index folder: which UIDs vanished under which modseq, so
 * that a client that comes back is told of no more than these (RFC 7162 section 3.2.5.2).
 *
 * It is ours to lose, so it says from which modseq on it is complete, and claims nothing
 * else. Written without fsync: rows that a mailbox's header counts and the file has not, a
 * row whose check is wrong, another mailbox's file: then history begins anew.
 *
 * One thread at a time (box->lock for writing; for reading is enough for vanished_read).
 */
#ifndef STORAGE_VANISHED_H
#define STORAGE_VANISHED_H

#include "fs/abi.h"
#include "storage/base/numset.h"

#define VANISHED_MAX 65536 /* rows; when there are more the older half goes */

struct vanished_row {
	uint64_t modseq;
	uint32_t uid;
	uint32_t check; /* hash_check over the octets before it */
};

struct vanished { /* VANISHED_NONE is one that knows nothing */
	int dir;	  /* borrowed */
	int fd;		  /* -1: there is none, nothing is known */
	uint32_t uidvalidity;
	uint8_t guid[16];
	uint64_t start;	  /* all that vanished under a higher modseq is in it */
	uint64_t dropped; /* rows that were before the first one of the file */
	uint64_t nrow;
};
#define VANISHED_NONE ((struct vanished){.dir = -1, .fd = -1})

/*
 * What the folder has of this mailbox, when it is whole and has had `count` rows at least
 * (vanished_count() as the mailbox's header remembers it). Else false, and nothing is open.
 */
bool vanished_open(struct vanished *, int dir, const struct mt_header *, uint64_t count);

/* An empty one instead, complete from `start` on. -1: there is none then. */
int vanished_begin(struct vanished *, int dir, const struct mt_header *, uint64_t start);

/* Append; modseqs ascend. When that fails there is none from then on: the file goes. */
void vanished_add(struct vanished *, const struct vanished_row *, size_t n);

void vanished_give_up(struct vanished *); /* some were lost: the file goes, there is none */

uint64_t vanished_count(const struct vanished *); /* rows ever */

/* UIDs >= `from` that vanished after `since`, in any order and perhaps twice: *uids is the
 * caller's to free. 1: history does not reach back so far; -1 with errno. */
int vanished_read(const struct vanished *, uint64_t since, uint32_t from, uint32_t **uids,
		  size_t *n);

void vanished_close(struct vanished *);

#endif
