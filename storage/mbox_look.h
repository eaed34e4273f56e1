/* mbox_look: one look at an mbox file, from the scan to the rows. Private to mbox*.c. */
#ifndef STORAGE_MBOX_LOOK_H
#define STORAGE_MBOX_LOOK_H

#include "storage/base/hash.h"
#include "storage/mbox.h"

struct mbox_found { /* a message in the file, in the file's order */
	struct mboxscan_msg msg;
	uint32_t keywords;
	uint32_t uid; /* that it has or gets */
	int64_t row;  /* -1: it has none yet */
	bool has_uid; /* the file tells it */
	bool fresh;   /* it was numbered in this look */
};

struct mbox_look {
	struct mbox *m;
	int fd; /* -1: there is no file */
	struct file_stamp stamp;
	uint64_t from; /* rows below it were not looked at */
	struct mbox_found *v;
	size_t n, cap;
	bool based, crlf;
	uint32_t uidvalidity, base_last;
	uint32_t keywords;          /* of the message being scanned */
	uint32_t named, base_named; /* by its X-IMAPbase; by the one that counts */
	bool locked; /* the write locks are held */
	struct mbox_lock *lock; /* else that of looking, which goes when the file is read */
	bool all;    /* of the file, although it seems only to have grown */
	bool count;  /* the sizes too: they are not known yet */
	bool ours;   /* only we have changed it, and nothing below `from` */
};

/* A change right after the stamp was taken must show in the next one. Does it; wait until it
 * does. */
bool mbox_look_is_settled(int fd);
void mbox_look_settle(int fd);

/* Fill v from what an earlier daemon knew, if the file is as it was then. The sizes are not
 * in it. */
bool mbox_places_take(struct mbox_look *);

/* Fill v from the file, `from` on. ENOTSUP: it is no mbox. EAGAIN: it is being written. */
int mbox_look_scan(struct mbox_look *);

/*
 * Give each its row or its UID. `old` (NULL: the box is loaded, its rows count) are the
 * messages that are known. EOVERFLOW: no UIDs are left.
 */
int mbox_look_number(struct mbox_look *, struct mbox_uids *old);

/* What the index knows a message by. */
static inline uint32_t
mbox_name_hash(const struct mboxscan_msg *msg, uint64_t visible)
{
	uint64_t what[2] = {msg->head, visible};

	return hash_check(what, sizeof what);
}

static inline bool
mbox_look_is_whole(const struct mbox_look *l)
{
	return l->from == 0;
}

#endif
