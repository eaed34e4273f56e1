/*
 * store: stored mail as messages with UIDs and wire bytes. The one header of storage/
 * that fs/ includes. Everything here may be called from any thread; nothing calls back
 * while a lock is held. All: 0 (or a count) or -1 with errno.
 *
 * Life: env (the process) > store (one user's mail) > box (one directory of the tree:
 * a mailbox, the top, or a missing parent) > message, stage, cursor.
 */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include <sys/statvfs.h>
#include <sys/types.h>

#include "fs/abi.h"
#include "storage/base/buf.h"
#include "storage/base/numset.h"

struct env;
struct store;
struct box;

/* ---- the process ------------------------------------------------------------- */

struct env_conf {
	const char *index_path; /* made when missing (0700); copied */
	unsigned alone_ms; /* wait so long for another daemon to leave it, then EBUSY; 0: after
			      a moment have a private one below it, made anew */
	unsigned nsizer;	/* counting threads; 0: two per processor */
	unsigned poll_ms;	/* period of checks where inotify is not to be had */
	bool no_inotify;	/* for tests: poll everywhere */
	bool quick_end;		/* for tests: do not wait for the disk at the end, so that all
				   mail looks changed once after the machine was started */
	/*
	 * Called from any thread when events were added to a box or it died. It hands
	 * over to a thread of the caller's and calls nothing of this header.
	 */
	void (*wake)(void *arg, uint32_t number);
	void *arg;
};

/*
 * A setting of mboxes for the whole process, before any store is opened, by Dovecot's name
 * for it (mailtreed(8)). NULL, or why it cannot be (static).
 */
const char *store_set_mbox(struct span name, struct span value);

/*
 * Does its index hold what stands nowhere else? Then a private one will not do (alone_ms):
 * UIDs that an mbox does not tell, under what octets it was told those that it does, changes
 * that were cut off. False also when that is no location.
 */
bool store_needs_index(const char *location);

int env_open(const struct env_conf *, struct env **);
void env_close(struct env *); /* every store of it is closed before */

/* ---- one user's mail --------------------------------------------------------- */

/* Whose rights file accesses use; the daemon's own when a store has none. */
struct cred {
	uid_t uid;
	gid_t gid;
	size_t ngroup;
	gid_t groups[64];
};

struct store_conf {
	const char *name;     /* user, or another short unique name: index folder and log */
	/* `maildir:/path`; `mbox:/path` (a directory), `mbox:/path:INBOX=/file`,
	 * `mbox::INBOX=/file` (nothing else); or a path whose kind is found out */
	const char *location;
	int rootfd;	      /* the top directory, already open: taken over on success;
				 -1: open it */
	int inboxfd; /* for `INBOX=`: the directory that holds it, likewise; 0: open it */
	const struct cred *cred; /* copied; NULL: as the process is */
	bool readonly;		 /* never write to the store */
	bool index_in_own_folder; /* index files in index_path/name/ (many users); else in
				     index_path itself (one user) */
};

int store_open(struct env *, const struct store_conf *, struct store **);
void store_close(struct store *); /* no box reference is left */
int store_statvfs(struct store *, struct statvfs *);
bool store_readonly(const struct store *);
void store_owner(const struct store *, uid_t *, gid_t *);

/* The path that a location names: a directory, or a file when that is all there is. Caller
 * frees; NULL with errno. */
char *store_path(const char *location);

/* ---- directories of the tree -------------------------------------------------- */

enum box_kind {
	BOX_TOP,    /* the user's directory: mailboxes only */
	BOX_PARENT, /* no mailbox, but children: no messages, delivery EACCES */
	BOX_MAIL,
};

/* Each call that hands out a box hands out a reference. */
void box_ref(struct box *);
void box_unref(struct box *); /* NULL is fine */

int store_top(struct store *, struct box **);
struct box *box_by_number(struct env *, uint32_t number); /* NULL, ESTALE */
uint32_t box_number(const struct box *);
enum box_kind box_kind(const struct box *);
struct store *box_store(const struct box *);
int box_parent(struct box *, struct box **);	  /* ENOENT for the top */
int box_path(struct box *, struct buf *out);	  /* `INBOX`, `Archive/2024`; empty: top */
bool box_dead(const struct box *);		  /* removed, or a new UIDVALIDITY */

/* Names here are tree names: one component, UTF-8, escaped as mailtree(7) says. */
int box_child(struct box *, const char *name, struct box **); /* ENOENT */
int box_children(struct box *, int (*each)(void *, const char *name, struct box *),
		 void *); /* each != 0 stops and is returned; the box is borrowed */

int box_mkdir(struct box *parent, const char *name, struct box **);
int box_rmdir(struct box *parent, const char *name); /* ENOTEMPTY, EBUSY for INBOX */
int box_rename(struct box *from, const char *name, struct box *to, const char *newname);

/* ---- mailboxes by path ----------------------------------------------------------- */

/* Paths from the top, `Archive/2024`, as the tree shows them. */

/* Special uses (RFC 6154, RFC 8457), kept in the store beside the mailbox's mail. */
enum mailbox_use {
	USE_ALL = 1,
	USE_ARCHIVE = 2,
	USE_DRAFTS = 4,
	USE_FLAGGED = 8,
	USE_JUNK = 16,
	USE_SENT = 32,
	USE_TRASH = 64,
	USE_IMPORTANT = 128,
};
bool use_find(struct span name, unsigned *use); /* `\Sent`, without case; adds the bit */
int use_print(unsigned use, char sep, struct buf *); /* `\Sent,\Trash`; nothing for 0 */

struct store_mailbox {
	struct span path;
	bool exists;	 /* false: a missing parent, or only subscribed */
	bool subscribed;
	unsigned use;	 /* enum mailbox_use */
	bool leaf;	 /* nothing can lie below it */
};

/*
 * Those whose paths come after `after` (empty: all) in the order of their octets. `each`
 * != 0 stops and is returned. A file of subscriptions that cannot be read is logged, and
 * is as an empty one.
 */
int store_mailboxes(struct store *, struct span after,
		    int (*each)(void *, const struct store_mailbox *), void *);

/*
 * Durable on return. Superior names need not exist, and are missing parents then. EINVAL,
 * ENAMETOOLONG: a name that the store cannot keep or the tree would show otherwise.
 */
int store_create(struct store *, struct span path, unsigned use); /* EEXIST; ENOTSUP below
						      a leaf */
int store_delete(struct store *, struct span path); /* with its messages; children stay.
						      ENOENT, EBUSY for INBOX; ETIMEDOUT:
						      another program has it locked */
int store_rename(struct store *, struct span from, struct span to); /* with its children.
						      ENOENT, EEXIST, EBUSY for INBOX;
						      ENOTSUP */
int store_subscribe(struct store *, struct span path, bool on); /* it need not exist */

/* ---- what is in a mailbox ------------------------------------------------------ */

/*
 * Look whether somebody else changed the store (a few stats; a scan when so) and
 * take it in; loads the mailbox at first use. Every other call works on what the
 * last refresh or the watcher saw. EACCES, EIO: the store cannot be read.
 */
int box_refresh(struct box *);

/* Keep it fresh without being asked, by inotify or polling, while watched. Counted. */
int box_watch(struct box *);
void box_unwatch(struct box *);

void box_header(struct box *, struct mt_header *);

/* The live message `uid` (ENOENT), or the first live one above `uid` (ENOENT: none). */
int box_record(struct box *, uint32_t uid, struct mt_record *);
int box_next(struct box *, uint32_t uid, struct mt_record *);

/* Up to `most` live messages above `uid`, ascending. Returns how many. */
size_t box_list(struct box *, uint32_t uid, struct mt_record *, size_t most);

/* As box_record, and the size is known: counted now if need be; rest counted ahead. */
int box_sized(struct box *, uint32_t uid, struct mt_record *);

/* Wait until the sizes of all live messages of the set are known, or timeout_ms. 1: all
 * are; 0: timed out; -1. */
int box_want_sizes(struct box *, const struct numset *, int timeout_ms);

/* The bytes of `index` at off; fewer than n only at its end. */
ssize_t box_index_read(struct box *, uint64_t off, void *, size_t n);

/* `n` octets of `wire` at off, all of them or -1: EIO where nothing readable is left. */
int box_wire_read(struct box *, uint64_t off, void *, size_t n);

/* ---- one message, open --------------------------------------------------------- */

/* An open message gives its bytes or an error (EIO, ESTALE), never wrong bytes. */
struct message;
int message_open(struct box *, uint32_t uid, struct message **);
int message_read(struct message *, uint64_t wire_off, void *, size_t n); /* all or -1 */
void message_record(const struct message *, struct mt_record *); /* as at the opening */
void message_close(struct message *);

/* Names that the store has for a message: its base name (`%f`, `%g`), its own UIDL. */
int box_base_name(struct box *, uint32_t uid, struct buf *out);
int box_uidl(struct box *, uint32_t uid, struct buf *out); /* ENOENT: none of its own */

/* ---- delivery ------------------------------------------------------------------- */

/*
 * A stage is a message that is being written. Durable once flushed: recovery delivers
 * a stage that was flushed as `deliverable` and that nobody holds any more; any other
 * is removed when it is old. Bytes are stored as they are written.
 */
struct stage;
int stage_open(struct box *, struct stage **); /* EACCES for a BOX_PARENT, EROFS */
int stage_write(struct stage *, const void *, size_t n, uint64_t off);
int stage_read(struct stage *, void *, size_t n, uint64_t off, size_t *got);
int stage_truncate(struct stage *, uint64_t size);
int stage_reserve(struct stage *, uint64_t size); /* posix_fallocate; EOPNOTSUPP */
uint64_t stage_size(const struct stage *);
int stage_flush(struct stage *, bool deliverable);
void stage_discard(struct stage *); /* forget it, remove its file */
void stage_leave(struct stage *);   /* forget it, leave its file to recovery */

struct delivery {
	struct stage *stage; /* consumed on success */
	uint16_t flags;
	uint32_t keywords;
	int64_t date; /* INTERNALDATE; INT64_MIN: now */
};

/* Deliver all under consecutive UIDs, in order, or none. Durable on return. */
int box_deliver(struct box *, const struct delivery *, size_t n, uint32_t *uids);

/* Set INTERNALDATE of a message that nobody was told of yet. */
int box_set_date(struct box *, uint32_t uid, int64_t date);

/* ---- changes: absolute, so doing one twice is harmless ---------------------------- */

enum flag_how { FLAGS_ADD, FLAGS_REMOVE, FLAGS_REPLACE };
struct flag_change {
	enum flag_how how;
	uint16_t flags;
	uint32_t keywords;
	uint64_t unchangedsince; /* RFC 7162; UINT64_MAX: whatever the modseq */
};

/* UIDs not there are passed over; `modified` (may be NULL) gets those that
 * unchangedsince kept from the change. */
int box_flags(struct box *, const struct numset *, const struct flag_change *,
	      struct numset *modified);

/* Number of a keyword, made when `create`. ENOENT; ENOSPC when all 26 are taken;
 * EINVAL when it is no RFC 9051 atom or too long. */
int box_keyword(struct box *, struct span name, bool create, unsigned *number);

/* Expunge those of the set that are there (`deleted_only`: and have \Deleted). */
int box_expunge(struct box *, const struct numset *, bool deleted_only,
		struct numset *expunged);

/*
 * Copy or move; the copies get consecutive UIDs in ascending order of the originals,
 * which `from` and `to` (both may be NULL) list in the same order. All or none.
 * EXDEV between users or kinds of store.
 */
int box_copy(struct box *, const struct numset *, struct box *to_box, bool move,
	     struct numset *from, struct numset *to);

/* Take over \Recent (Maildir: new/ to cur/); `recent` gets the UIDs. */
int box_claim_recent(struct box *, struct numset *recent);

/*
 * UIDs from `from` on that vanished after the modseq `since`, and are not there. 1: what is
 * known does not reach back so far; the set says nothing then.
 */
int box_vanished(struct box *, uint64_t since, uint32_t from, struct numset *);

/* ---- news ------------------------------------------------------------------------ */

/*
 * A cursor reads the changes of a mailbox from its opening on; a message expunged
 * through mailtree stays readable in `wire` until every cursor has read that event,
 * unless the cursor is opened with `hold` false.
 */
struct cursor;
int cursor_open(struct box *, bool hold, struct cursor **);
size_t cursor_read(struct cursor *, struct mt_event *, size_t most); /* 0: nothing new */
bool cursor_ready(struct cursor *);
void cursor_close(struct cursor *);

/* ---- blobs of sessions (abi.h, `cache`) -------------------------------------------- */

ssize_t box_cache_read(struct box *, uint32_t from_uid, void *, size_t cap);
int box_cache_write(struct box *, const void *, size_t n); /* EINVAL: not whole blobs */

/* ---- verification ------------------------------------------------------------------ */

/* Verify S1-S3 for the mailbox: each violation as one line to `say`. Count, or -1. */
int box_check(struct box *, void (*say)(void *, const char *line), void *);

#endif
