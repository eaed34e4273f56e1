/*
 * watch: tells when something was created, renamed, removed or closed after writing
 * in a directory. One thread and one inotify instance; directories that inotify cannot
 * serve (network file systems, no watches left) are compared by fstat every poll_ms.
 * A report means "look again", no more: there are false ones, never missing ones.
 */
#ifndef STORAGE_WATCH_H
#define STORAGE_WATCH_H

#include <stdint.h>

#include "storage/base/span.h"

struct watch;

/* Called in the watch's thread, no lock held; may call watch_add and watch_del. */
typedef void watch_fn(void *arg, uint64_t cookie);

/* poll_ms: period of the fall-back, at least 10. `no_inotify`: poll everything. */
struct watch *watch_open(unsigned poll_ms, bool no_inotify, watch_fn *, void *arg);
void watch_close(struct watch *); /* not from its callback; drops every directory */

/*
 * Watch a directory; the descriptor may be closed afterwards. The same directory may be added
 * more than once, each with its own cookie. Returns an id >= 0, or -1 (ENOMEM, EMFILE).
 * What happens after the call returns is reported; a change shortly before may be too.
 */
int64_t watch_add(struct watch *, int dirfd, uint64_t cookie);

/*
 * Stop it. On return the callback does not run for this id and never will, unless it
 * is the callback itself that calls. An id that is not there is passed over.
 */
void watch_del(struct watch *, int64_t id);

/* Whether that directory is polled, not watched by inotify. For tests and the log. */
bool watch_polled(struct watch *, int64_t id);

#endif
