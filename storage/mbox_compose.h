/*
 * mbox_compose: octets of a message in, octets of an mbox out: From_ line, the message
 * without fields that would be taken for the file's, our fields at the end of its header,
 * its lines ended as the file's are, quoted when need be, an empty line behind.
 */
#ifndef STORAGE_MBOX_COMPOSE_H
#define STORAGE_MBOX_COMPOSE_H

#include "storage/mbox_journal.h"

/* `n` octets of a message at `off`, all or -1. */
typedef int mbox_octets(void *arg, uint64_t off, void *to, size_t n);

struct mbox_letter {
	mbox_octets *read;
	void *arg;
	uint64_t size;
	struct span sender; /* empty: nobody knows */
	int64_t date;
	struct mbox_meta meta;
};

/* Adds it to the journal's data. */
int mbox_compose(struct mbox_journal *, const struct mbox_letter *, bool crlf);

#endif
