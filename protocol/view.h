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

#include <sys/types.h>

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
	/*
	 * What is opened: all; only what can be looked at (no hold, no commands: a read-only
	 * mount has neither); or only commands (no hold, no index).
	 */
	enum view_mode { VIEW_WHOLE, VIEW_LOOK, VIEW_COMMANDS } mode;
};

struct view {
	struct view_conf conf; /* strings borrowed */
	int dir;               /* the mailbox's directory */
	int hidden;            /* its .mailtree */
	int events, index, ctl;
	int lock;  /* -1: not ours */
	int cache; /* -1: not opened yet */
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

/* The n records from `row` on, each whole; tombstones too. -1 ESTALE: there are fewer. */
int view_rows(struct view *, uint32_t row, struct mt_record *, size_t n);

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

/* Ask that the sizes of these messages be counted, and wait while it goes on. 1: some
 * stay unknown. */
int view_sizes(struct view *, const struct numset *);

/*
 * Change flags: `list` as ctl takes it (`\Seen,$Later`; keywords are made when they do
 * not exist and how is not `-`). `modified` (may be NULL) gets the UIDs that unchangedsince
 * (UINT64_MAX: none) kept from the change.
 */
int view_flags(struct view *, char how, struct span list, const struct numset *,
               uint64_t unchangedsince, struct numset *modified);

/* As view_expunge, only those with \Deleted; `gone` (may be NULL) gets what went. */
int view_expunge_deleted(struct view *, const struct numset *, struct numset *gone);

/*
 * Copy or move to the mailbox with that path. from and to get the UIDs; both ascend, so
 * the k-th of one is the k-th of the other. A copy that fails leaves nothing behind; of a
 * move some may have been moved, and `from` says which. ENOENT: no such mailbox.
 */
int view_copy(struct view *, const struct numset *, struct span path, bool move,
              uint32_t *uidvalidity, struct numset *from, struct numset *to);

/* Take over \Recent: `recent` gets UIDs that nobody had claimed. */
int view_recent(struct view *, struct numset *recent);

/*
 * UIDs that vanished after `since` (a modseq). 1: what is known does not reach back so far
 * (RFC 7162 section 3.2.5.2): every UID below UIDNEXT that is not there may have.
 */
int view_vanished(struct view *, uint64_t since, struct numset *);

/* ---- delivery -------------------------------------------------------------------------- */

/*
 * A descriptor to write a message to; nothing is delivered before view_commit(). `name` is
 * the session's own, without a slash, and short. Keep it open until view_commit() or
 * view_unstage() is done: at its close what was not committed is forgotten, so that nothing
 * stays of a session that dies. EEXIST: the name is in use.
 */
int view_stage(struct view *, const char *name);
int view_unstage(struct view *, const char *name); /* give it up */

struct view_delivery {
	const char *name;  /* as staged; written and still open */
	int64_t date;      /* unix seconds; INT64_MIN: now */
	struct span flags; /* as view_flags takes them; may be empty */
};
/* All or none, durable on return; `uids` in the same order. At most VIEW_COMMIT_MAX, whose
 * names have at most 40 octets when there are so many. */
#define VIEW_COMMIT_MAX 256
int view_commit(struct view *, const struct view_delivery *, size_t n, struct numset *uids);

/* ---- news ------------------------------------------------------------------------------ */

/* Events that have come, at most `most` of them; 0: none at present. v->events can be
 * polled for reading. ENODEV, ENOTCONN, ESTALE, EIO: the mailbox or the daemon is gone. */
ssize_t view_news(struct view *, struct mt_event *, size_t most);

/* ---- blobs of sessions (abi.h, `cache`) ---------------------------------------------------- */

/* Whole blobs with right checks, ascending by UID, from `uid` on; octets. 0: none. */
ssize_t view_cache_read(struct view *, uint32_t uid, void *, size_t cap);
/* Heads with blobs, each padded; the check is filled in here. */
int view_cache_write(struct view *, void *, size_t n);

/* ---- mailboxes as a whole: any view with commands, usually INBOX's -------------------------- */

/* Special uses (RFC 6154, 8457). */
enum view_use {
	VIEW_ALL = 1,
	VIEW_ARCHIVE = 2,
	VIEW_DRAFTS = 4,
	VIEW_FLAGGED = 8,
	VIEW_JUNK = 16,
	VIEW_SENT = 32,
	VIEW_TRASH = 64,
	VIEW_IMPORTANT = 128,
};

struct view_mailbox {
	struct span path; /* in the tree, `Archive/2024`; borrowed */
	bool exists;      /* false: a missing parent, or only subscribed */
	bool subscribed;
	bool leaf;    /* nothing can lie below it */
	unsigned use; /* enum view_use, as stored with the mailbox */
};

/* Every mailbox, missing parent and subscribed name, in the order of their paths' octets.
 * `each` != 0 stops and is returned. */
int view_mailboxes(struct view *, int (*each)(void *, const struct view_mailbox *), void *);

int view_create(struct view *, struct span path, unsigned use); /* EEXIST; EINVAL a name
                                                                   that cannot be;
                                                                   ENOTSUP below a leaf */
/* With its messages; its children stay. ENOENT, EBUSY (INBOX); ETIMEDOUT: locked. */
int view_delete(struct view *, struct span path);
/* With its children. ENOENT, EEXIST, EBUSY (INBOX), ENOTSUP. */
int view_rename(struct view *, struct span from, struct span to);
int view_subscribe(struct view *, struct span path, bool on); /* it need not exist */

#endif
