/*
 * status: what STATUS tells of a mailbox (RFC 9051 section 6.3.11, RFC 3501, 7162, 7889,
 * 8438, 8474), taken by a look of its own, also at the selected mailbox. Most is in the
 * index's header; RECENT, DELETED and SIZE cost a pass over its records, and only SIZE
 * waits for sizes to be counted.
 */
#ifndef IMAP_STATUS_H
#define IMAP_STATUS_H

#include "protocol/imap/imap.h"

struct status {
	struct mt_header head;
	uint64_t recent, deleted, size; /* only when their items were asked for */
};

/* The set of items that a list names. False: it is none. */
bool status_items(const struct arg *list, unsigned *items);

/* -1 errno; EAGAIN: SIZE was asked for, and some sizes could not be found out. */
int status_take(struct imap *, struct span path, unsigned items, struct status *);

/* `* STATUS name (...)`. -1: no memory or no connection. */
int status_print(struct imap *, struct span path, unsigned items,
                 const struct status *);

#endif
