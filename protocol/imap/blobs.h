/*
 * blobs: texts that were made of messages, kept in the mailbox's `cache` for the next time
 * (fs/abi.h). Many are read and written at a time; asked for in ascending order of UIDs
 * they cost no trip of their own.
 */
#ifndef IMAP_BLOBS_H
#define IMAP_BLOBS_H

#include "protocol/view.h"

/* What a blob is; the numbers are on disk. A text that is made otherwise gets a new one. */
enum blob_kind { BLOB_ENVELOPE = 1, BLOB_BODYSTRUCTURE = 2, BLOB_BODY = 3 };

struct blobs {
	struct view *view; /* borrowed */
	char *in;	   /* what was read, whole blobs */
	size_t nin, at;
	uint64_t lo, hi; /* all blobs of UIDs lo <= uid < hi are in it */
	struct buf out;	 /* what is to be written */
};

/* Nothing here fails: a blob that cannot be had is made again. */
void blobs_open(struct blobs *, struct view *);
bool blobs_get(struct blobs *, uint32_t uid, enum blob_kind, struct span *text); /* borrowed
									 until the next call */
void blobs_put(struct blobs *, uint32_t uid, enum blob_kind, struct span text);
void blobs_close(struct blobs *); /* writes what is left */

#endif
