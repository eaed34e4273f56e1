/*
 * view: a mounted mailbox as an API, together with `reader` (message bytes) the only
 * code of the sessions that touches the mount. 0 or -1 with errno.
 *
 * Life: view_open (from here on every message that somebody expunges through mailtree
 * stays readable: the open `events` descriptor is the hold), view_lock (POP3 only),
 * view_sync, view_scan, then readers and ctl commands, view_close.
 */
#ifndef PROTOCOL_VIEW_H
#define PROTOCOL_VIEW_H

#include "fs/abi.h"
#include "storage/base/buf.h"
#include "storage/base/numset.h"

struct view_conf {
	const char *user_dir; /* the user's directory in a mount */
	const char *mailbox;  /* path from there; `INBOX` */
	/*
	 * Runs a ctl command in place of the ioctl, so that a view can lie over plain
	 * files in tests. NULL: the ioctl. 0 or -1 as the ioctl.
	 */
	int (*ctl)(void *arg, struct mt_ctl *);
	void *arg;
	bool look_only; /* no hold, no commands: a read-only mount has neither */
};

struct view {
	struct view_conf conf; /* strings borrowed */
	int dir;               /* the mailbox's directory */
	int hidden;            /* its .mailtree */
	int events, index, ctl;
	int lock; /* -1: not ours */
};

int view_open(const struct view_conf *, struct view *);

/* Take the maildrop for this session alone. EBUSY: somebody else has it. */
int view_lock(struct view *);

void view_close(struct view *); /* lets go of hold and lock; twice is fine */

/* ---- the index ----------------------------------------------------------------------- */

/* Have outside changes taken in and every size counted. 1: some sizes could not be found
 * out within a while without any progress, and stay unknown. */
int view_sync(struct view *);

int view_header(struct view *, struct mt_header *);

/*
 * Each live record in ascending order of UIDs, as the index is now, after *head. `each`
 * != 0 stops and is returned. ESTALE: the layout changed meanwhile, so forget what came
 * and call again.
 */
int view_scan(struct view *, struct mt_header *head,
              int (*each)(void *, const struct mt_record *), void *arg);

/* ---- commands ------------------------------------------------------------------------ */

/*
 * Run one ctl command (mailtree(7)). Its data lines go to *reply (may be NULL). 0, or 1
 * when there is more from *next on, or -1 with the errno that the daemon named.
 */
int view_ctl(struct view *, struct span command, struct buf *reply, uint32_t *next);

/* Remove the UIDs that are still there. All of them, or -1 and perhaps some. */
int view_expunge(struct view *, const struct numset *);

enum view_name { VIEW_BASE_NAMES, VIEW_UIDLS };

/* What the store calls the messages lo..hi, in ascending order; those without such a
 * name are passed over. `each` != 0 stops and is returned. */
int view_names(struct view *, enum view_name, uint32_t lo, uint32_t hi,
               int (*each)(void *, uint32_t uid, struct span name), void *arg);

#endif
