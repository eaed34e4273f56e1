/*
 * indexfile: `index` of one mailbox's index folder (abi.h: header and records, the very
 * bytes that sessions read). Ours to lose: written without fsync and believed only where
 * the checks say so; whatever does not hold is left out and made anew.
 */
#ifndef STORAGE_INDEXFILE_H
#define STORAGE_INDEXFILE_H

#include "fs/abi.h"
#include "storage/base/span.h"

struct index_image {
	struct mt_header head; /* all zero when there was nothing to believe */
	struct mt_record *rec; /* owned; ascending by uid, checks verified, tombstones left out */
	size_t n;
	bool whole; /* no record was left out but tombstones */
};

/* Never fails: what cannot be read or believed is absent. */
void indexfile_read(int dir, struct index_image *);
void indexfile_free(struct index_image *);
const struct mt_record *indexfile_find(const struct index_image *, uint32_t uid);

/* A new `index`, replacing what was there. Returns its descriptor, to be written on. */
int indexfile_create(int dir, const struct mt_header *, const struct mt_record *, size_t n);

/* The folder `number` below `index_dir` and what is in it, of a number given up. */
void indexfile_remove(int index_dir, uint32_t number);

/* It is not what it says any more: nobody is to believe it later. */
void indexfile_forget(int dir);

/* Set the checks. */
void indexfile_seal_header(struct mt_header *);
void indexfile_seal_record(struct mt_record *);

#endif
