/*
 * One thread waits for inotify and, while there is a directory to poll, for the next
 * period. It works by ids, never by pointers: an entry may go between the event and
 * the report. `busy` is the entry that the thread looks at or reports just now; who
 * deletes that one waits.
 *
 * Lock order: watch->lock is innermost, and not held over a callback or over stat.
 */
#include "storage/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/log.h"

#define NBUCKET	    1024
#define POLL_MIN_MS 10
/* A change within the time stamp's tick of the last look cannot be seen: coarsest is FAT. */
#define SETTLE_MS 2500
#define EVENTS                                                                           \
	(IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE |          \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct stamp {
	uint64_t ino, size;
	struct statx_timestamp mtime, ctime;
};

struct entry {
	int64_t id;
	uint64_t cookie;
	int fd;		    /* -1: inotify does it, or the directory is gone */
	int wd;		    /* lock: -1 when inotify does not do it */
	struct stamp stamp; /* thread: as last looked at */
	uint64_t settle_ms; /* thread: report once more when this time has come; 0: no */
	struct entry *id_next, *wd_next; /* lock */
};

struct ids {
	int64_t *id;
	size_t n, cap;
};

struct watch {
	unsigned poll_ms;
	watch_fn *fn;
	void *arg;
	int inotify; /* -1: poll everything */
	int wake;    /* eventfd: something to poll has come, or closing */
	pthread_t thread;
	struct ids due; /* thread */
	bool lost;	/* thread: `due` had no room, so all are due */

	pthread_mutex_t lock;
	pthread_cond_t idle;		/* lock: busy changed */
	int64_t busy;			/* lock: id, or -1 */
	int64_t last_id;		/* lock */
	size_t npolled;			/* lock */
	bool closing;			/* lock */
	bool told;			/* lock: that watches ran out was logged */
	struct entry *by_id[NBUCKET];	/* lock */
	struct entry *by_wd[NBUCKET];	/* lock */
};

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- the tables; lock held ------------------------------------------------------- */

static struct entry **
id_slot(struct watch *w, int64_t id)
{
	struct entry **at = &w->by_id[(uint64_t)id % NBUCKET];

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->id_next;
	return at;
}

static struct entry **
wd_bucket(struct watch *w, int wd)
{
	return &w->by_wd[(unsigned)wd % NBUCKET];
}

static void
wd_link(struct watch *w, struct entry *e)
{
	struct entry **at = wd_bucket(w, e->wd);

	e->wd_next = *at;
	*at = e;
}

/* Take e out of its chain; tells whether another one has the same wd. */
static bool
wd_unlink(struct watch *w, struct entry *e)
{
	bool shared = false;

	for (struct entry **at = wd_bucket(w, e->wd); *at != NULL;) {
		if (*at == e) {
			*at = e->wd_next;
			continue;
		}
		shared |= (*at)->wd == e->wd;
		at = &(*at)->wd_next;
	}
	return shared;
}

static bool
is_polled(const struct entry *e)
{
	return e->fd != -1;
}

/* ---- what is due for a report; the thread's own ---------------------------------- */

static void
due_add(struct watch *w, int64_t id)
{
	struct ids *d = &w->due;

	for (size_t i = 0; i < d->n && i < 8; i++) /* the same one mostly comes in a row */
		if (d->id[d->n - 1 - i] == id)
			return;
	if (d->n == d->cap) {
		size_t cap = d->cap == 0 ? 64 : d->cap * 2;
		int64_t *more = reallocarray(d->id, cap, sizeof *more);

		if (more == NULL) {
			w->lost = true; /* a false report too many, but none missing */
			return;
		}
		d->id = more;
		d->cap = cap;
	}
	d->id[d->n++] = id;
}

static void
due_all(struct watch *w, bool polled_only)
{
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < NBUCKET; i++)
		for (struct entry *e = w->by_id[i]; e != NULL; e = e->id_next)
			if (!polled_only || is_polled(e))
				due_add(w, e->id);
	pthread_mutex_unlock(&w->lock);
}

/* ---- looking at a directory ------------------------------------------------------ */

static bool
same_time(struct statx_timestamp a, struct statx_timestamp b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Compare for inequality only: clocks go backwards too. */
static bool
stamp_changed(struct entry *e)
{
	struct statx st;
	struct stamp now;
	bool changed;

	/* FORCE_SYNC: NFS would else answer out of its cache for half a minute */
	if (statx(e->fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) ==
	    -1)
		return true; /* ESTALE, EIO: who looks again will see why */
	now = (struct stamp){st.stx_ino, st.stx_size, st.stx_mtime, st.stx_ctime};
	changed = now.ino != e->stamp.ino || now.size != e->stamp.size ||
		  !same_time(now.mtime, e->stamp.mtime) ||
		  !same_time(now.ctime, e->stamp.ctime);
	e->stamp = now;
	return changed;
}

static bool
poll_changed(struct entry *e)
{
	uint64_t now = now_ms();

	if (stamp_changed(e)) {
		e->settle_ms = now + SETTLE_MS;
		return true;
	}
	if (e->settle_ms == 0 || now < e->settle_ms)
		return false;
	e->settle_ms = 0;
	return true;
}

/* File systems on which others make changes that the kernel here does not see. */
static bool
is_remote(int fd)
{
	static const unsigned long remote[] = {
	    NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, 0xff534d42 /* CIFS */, 0xfe534d42 /* SMB2 */,
	    FUSE_SUPER_MAGIC, V9FS_MAGIC, CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC,
	    0x6b414653 /* kAFS */, CODA_SUPER_MAGIC, NCP_SUPER_MAGIC,
	    0x0bd00bd0 /* Lustre */, 0x47504653 /* GPFS */, 0x01161970 /* GFS2 */,
	    OCFS2_SUPER_MAGIC, 0x19830326 /* BeeGFS */, 0xaad7aaea /* PanFS */,
	    0x013111a8 /* IBRIX */, 0x786f4256 /* VirtualBox folders */,
	    0xbacbacbc /* VMware folders */, 0x20030528 /* OrangeFS */,
	};
	struct statfs st;

	if (fstatfs(fd, &st) == -1)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(remote); i++)
		if (((unsigned long)st.f_type & 0xffffffff) == remote[i])
			return true;
	return false;
}

/* ---- the thread ------------------------------------------------------------------ */

/* Hold on to an entry while it is looked at and reported without the lock. */
static struct entry *
busy_begin(struct watch *w, int64_t id)
{
	struct entry *e;

	pthread_mutex_lock(&w->lock);
	e = w->closing ? NULL : *id_slot(w, id);
	w->busy = e == NULL ? -1 : id;
	pthread_mutex_unlock(&w->lock);
	return e;
}

static void
busy_end(struct watch *w)
{
	pthread_mutex_lock(&w->lock);
	w->busy = -1;
	pthread_cond_broadcast(&w->idle);
	pthread_mutex_unlock(&w->lock);
}

/* `look`: report only what has changed by its stat. */
static void
report(struct watch *w, int64_t id, bool look)
{
	struct entry *e = busy_begin(w, id);

	if (e == NULL)
		return;
	/* afterwards e may be gone: the callback may delete it */
	if (!look || poll_changed(e))
		w->fn(w->arg, e->cookie);
	busy_end(w);
}

/* The lowest id above `id` in a bucket, or -1. */
static int64_t
id_above(struct watch *w, size_t bucket, int64_t id)
{
	int64_t next = -1;

	pthread_mutex_lock(&w->lock);
	for (struct entry *e = w->by_id[bucket]; e != NULL; e = e->id_next)
		if (e->id > id && (next == -1 || e->id < next))
			next = e->id;
	pthread_mutex_unlock(&w->lock);
	return next;
}

static void
report_due(struct watch *w, bool look)
{
	for (size_t i = 0; i < w->due.n; i++)
		report(w, w->due.id[i], look);
	w->due.n = 0;
	if (!w->lost)
		return;
	w->lost = false;
	for (size_t i = 0; i < NBUCKET; i++)
		for (int64_t id = id_above(w, i, 0); id != -1; id = id_above(w, i, id))
			report(w, id, false);
}

/* The kernel let go of it: the directory is gone, or its file system. The last report. */
static void
wd_lost(struct watch *w, int wd)
{
	struct entry **at = wd_bucket(w, wd);

	while (*at != NULL) {
		struct entry *e = *at;

		if (e->wd != wd) {
			at = &e->wd_next;
			continue;
		}
		*at = e->wd_next;
		e->wd = -1;
		due_add(w, e->id);
	}
}

static void
take_event(struct watch *w, const struct inotify_event *ev)
{
	if (ev->mask & IN_Q_OVERFLOW) {
		due_all(w, false);
		return;
	}
	pthread_mutex_lock(&w->lock);
	for (struct entry *e = *wd_bucket(w, ev->wd); e != NULL; e = e->wd_next)
		if (e->wd == ev->wd)
			due_add(w, e->id);
	if (ev->mask & IN_IGNORED)
		wd_lost(w, ev->wd);
	pthread_mutex_unlock(&w->lock);
}

static void
take_events(struct watch *w)
{
	char room[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(w->inotify, room, sizeof room);

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *ev = (const void *)(room + at);

		take_event(w, ev);
		at += (ssize_t)(sizeof *ev + ev->len);
	}
}

/* What to wait for, in ms: -1 while nothing is to be polled. */
static int
wait_ms(struct watch *w, uint64_t next, bool *closing)
{
	uint64_t now = now_ms();
	bool any;

	pthread_mutex_lock(&w->lock);
	any = w->npolled > 0;
	*closing = w->closing;
	pthread_mutex_unlock(&w->lock);
	if (!any)
		return -1;
	return next <= now ? 0 : (int)(next - now);
}

static void *
run(void *arg)
{
	struct watch *w = arg;
	uint64_t next = now_ms() + w->poll_ms;

	for (;;) {
		struct pollfd fds[2] = {{.fd = w->wake, .events = POLLIN},
					{.fd = w->inotify, .events = POLLIN}};
		bool closing;
		int ms = wait_ms(w, next, &closing);
		uint64_t count;

		if (closing)
			return NULL;
		if (poll(fds, 2, ms) == -1 && errno != EINTR)
			log_error("watch: poll: %s", strerror(errno));
		if (fds[0].revents != 0 && read(w->wake, &count, sizeof count) == -1)
			log_error("watch: eventfd: %s", strerror(errno));
		if (fds[1].revents != 0) {
			take_events(w);
			report_due(w, false);
		}
		if (now_ms() < next)
			continue;
		due_all(w, true);
		report_due(w, true);
		next = now_ms() + w->poll_ms;
	}
}

/* ---- from outside ---------------------------------------------------------------- */

static int
start(struct watch *w)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all); /* signals are for the main thread */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = rc;
	return rc == 0 ? 0 : -1;
}

struct watch *
watch_open(unsigned poll_ms, bool no_inotify, watch_fn *fn, void *arg)
{
	struct watch *w = calloc(1, sizeof *w);
	int saved;

	if (w == NULL)
		return NULL;
	w->poll_ms = poll_ms < POLL_MIN_MS ? POLL_MIN_MS : poll_ms;
	w->fn = fn;
	w->arg = arg;
	w->busy = -1;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->idle, NULL);
	w->inotify = no_inotify ? -1 : inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if ((w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) != -1 && start(w) == 0)
		return w;
	saved = errno;
	if (w->wake != -1)
		close(w->wake);
	if (w->inotify != -1)
		close(w->inotify);
	free(w);
	errno = saved;
	return NULL;
}

static void
wake_up(struct watch *w)
{
	uint64_t one = 1;

	if (write(w->wake, &one, sizeof one) == -1 && errno != EAGAIN)
		log_error("watch: eventfd: %s", strerror(errno));
}

static void
entry_free(struct entry *e)
{
	if (e->fd != -1)
		close(e->fd);
	free(e);
}

void
watch_close(struct watch *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_mutex_unlock(&w->lock);
	wake_up(w);
	pthread_join(w->thread, NULL);
	for (size_t i = 0; i < NBUCKET; i++)
		while (w->by_id[i] != NULL) {
			struct entry *e = w->by_id[i];

			w->by_id[i] = e->id_next;
			entry_free(e);
		}
	if (w->inotify != -1)
		close(w->inotify);
	close(w->wake);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->idle);
	free(w->due.id);
	free(w);
}

/* A watch descriptor, or -1: it must be polled. Lock held. */
static int
add_inotify(struct watch *w, int fd)
{
	char path[64];
	int wd;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	wd = inotify_add_watch(w->inotify, path, EVENTS);
	if (wd == -1 && !w->told) {
		w->told = true;
		log_warn("watch: polling instead of inotify from now on where need be: %s",
			 strerror(errno));
	}
	return wd;
}

/* Lock held. */
static int64_t
give_id(struct watch *w, struct entry *e)
{
	e->id = ++w->last_id;
	*id_slot(w, e->id) = e;
	return e->id;
}

/* -1: inotify cannot do it. */
static int64_t
watch_it(struct watch *w, struct entry *e, int dirfd)
{
	int64_t id = -1;

	if (w->inotify == -1 || is_remote(dirfd))
		return -1;
	pthread_mutex_lock(&w->lock);
	if ((e->wd = add_inotify(w, dirfd)) != -1) {
		wd_link(w, e);
		id = give_id(w, e);
	}
	pthread_mutex_unlock(&w->lock);
	return id;
}

static int64_t
poll_it(struct watch *w, struct entry *e, int dirfd)
{
	int64_t id;

	if ((e->fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0)) == -1)
		return -1;
	(void)stamp_changed(e); /* what it looks like before the call returns */
	e->settle_ms = now_ms() + SETTLE_MS;
	pthread_mutex_lock(&w->lock);
	w->npolled++;
	id = give_id(w, e);
	pthread_mutex_unlock(&w->lock);
	wake_up(w); /* it may be asleep without a period */
	return id;
}

int64_t
watch_add(struct watch *w, int dirfd, uint64_t cookie)
{
	struct entry *e = calloc(1, sizeof *e);
	int64_t id;

	if (e == NULL)
		return -1;
	e->cookie = cookie;
	e->fd = e->wd = -1;
	if ((id = watch_it(w, e, dirfd)) == -1 && (id = poll_it(w, e, dirfd)) == -1)
		free(e);
	return id;
}

void
watch_del(struct watch *w, int64_t id)
{
	struct entry *e, **slot;

	pthread_mutex_lock(&w->lock);
	slot = id_slot(w, id);
	if ((e = *slot) != NULL) {
		*slot = e->id_next;
		if (is_polled(e))
			w->npolled--;
		if (e->wd != -1 && !wd_unlink(w, e))
			(void)inotify_rm_watch(w->inotify, e->wd);
	}
	while (w->busy == id && !pthread_equal(pthread_self(), w->thread))
		pthread_cond_wait(&w->idle, &w->lock);
	pthread_mutex_unlock(&w->lock);
	if (e != NULL)
		entry_free(e);
}

bool
watch_polled(struct watch *w, int64_t id)
{
	struct entry *e;
	bool polled;

	pthread_mutex_lock(&w->lock);
	e = *id_slot(w, id);
	polled = e != NULL && is_polled(e);
	pthread_mutex_unlock(&w->lock);
	return polled;
}
