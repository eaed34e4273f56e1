/*
 * dotlock: the lock that Dovecot takes before it writes `dovecot-uidlist` and
 * `dovecot-keywords`: a file NAME.lock that holds `PID:HOST`, made by link(2) from a
 * file of its own, so that it is there with its content or not at all.
 *
 * Whose lock is stale: a process of this host that is no more; any other whose file
 * has not changed for DOTLOCK_STALE_S seconds by the clock of the file system, nor the
 * file that it locks been written to.
 * Locks held by other threads of this process count as live.
 */
#ifndef STORAGE_DOTLOCK_H
#define STORAGE_DOTLOCK_H

#include <stdint.h>
#include <sys/types.h>

#include "storage/base/buf.h"

#define DOTLOCK_STALE_S 120 /* as Dovecot has it for uidlists */
#define DOTLOCK_TOUCH_S 30  /* touch it when held for longer than this */

struct dotlock {
	int dir;	/* borrowed from dotlock_take until dotlock_drop */
	char name[256]; /* with `.lock` */
	int fd;		/* of the lock file, so that its inode is given to no other */
	dev_t dev;
	ino_t ino;
	bool held;
	struct dotlock *next; /* its own: this process's list */
};

/*
 * Take dir/NAME.lock, waiting at most timeout_ms. *l stays where it is until
 * dotlock_drop. EAGAIN: somebody holds it, and `holder` (may be NULL) gets the text of
 * that lock; EROFS, EACCES, ENOSPC, EDQUOT...: it cannot be made here.
 */
int dotlock_take(int dir, const char *name, unsigned timeout_ms, struct dotlock *l,
		 struct buf *holder);

/* The same for locks that go stale after another time (Dovecot's `subscriptions`: 30). */
int dotlock_take_stale(int dir, const char *name, unsigned timeout_ms, unsigned stale_s,
		       struct dotlock *l, struct buf *holder);

/* Keep it from going stale. ESTALE: somebody has overridden it: stop writing. */
int dotlock_touch(struct dotlock *);

/* Give it back. ESTALE: it was not ours any more (that of another is left alone). */
int dotlock_drop(struct dotlock *);

#endif
