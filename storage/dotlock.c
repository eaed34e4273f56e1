/*
 * One lock's life: a file of our own with our name in it; link(2) to the lock's name
 * until that succeeds; the judgement of whoever holds it meanwhile; touch; unlink.
 */
#include "storage/dotlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/num.h"

#define FIRST_WAIT_MS 2
#define MOST_WAIT_MS  100

/* The locks of this process, so that a thread can tell a live one from a left one. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct dotlock *held; /* lock */

static char host[65];

static void
learn_host(void)
{
	if (gethostname(host, sizeof host - 1) == -1)
		strcpy(host, "localhost");
}

/* ---- the file of our own --------------------------------------------------------- */

struct own {
	char name[128];
	int fd;
	struct stat st;
};

static int
own_make(int dir, struct own *o)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static _Atomic unsigned serial;
	char text[128];
	int n, saved;

	pthread_once(&once, learn_host);
	do { /* a name that is there was left by a process with our number */
		snprintf(o->name, sizeof o->name, "temp.%s.%ld.%u", host, (long)getpid(),
			 atomic_fetch_add(&serial, 1));
		o->fd = openat(dir, o->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	} while (o->fd == -1 && errno == EEXIST);
	if (o->fd == -1)
		return -1;
	n = snprintf(text, sizeof text, "%ld:%s", (long)getpid(), host);
	if (io_write_all(o->fd, (struct span){text, (size_t)n}) == 0 &&
	    fstat(o->fd, &o->st) == 0)
		return 0;
	saved = errno;
	unlinkat(dir, o->name, 0);
	close(o->fd);
	errno = saved;
	return -1;
}

static void
own_unlink(int dir, const struct own *o)
{
	int saved = errno;

	unlinkat(dir, o->name, 0);
	errno = saved;
}

/* ---- whose is it? ---------------------------------------------------------------- */

static bool
is_held_here(const struct stat *st)
{
	for (struct dotlock *l = held; l != NULL; l = l->next)
		if (l->ino == st->st_ino && l->dev == st->st_dev)
			return true;
	return false;
}

/* What the lock says about itself; empty when that cannot be read. */
static struct span
read_text(int dir, const char *name, char *room, size_t cap)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return (struct span){room, 0};
	n = io_pread_full(fd, room, cap, 0);
	close(fd);
	return (struct span){room, n > 0 ? (size_t)n : 0};
}

/* The process of this host that the text names, or -1. */
static pid_t
local_pid(struct span text)
{
	struct span pid;
	uint32_t v;

	if (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	if (!span_cut(&text, ':', &pid) || !span_eq(text, span_of(host)) ||
	    num_u32(pid, &v) == -1 || v == 0 || v > INT32_MAX)
		return -1;
	return (pid_t)v;
}

/* When the file that is locked was written to: its holder may be at work still. */
static time_t
written(int dir, const char *lock_name)
{
	char name[NAME_MAX + 1];
	struct stat st;

	snprintf(name, sizeof name, "%.*s", (int)(strlen(lock_name) - strlen(".lock")),
		 lock_name);
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mtime : 0;
}

/* `now` is the file system's time: that of a file that we have just touched there. */
static bool
is_old(int dir, const char *name, const struct stat *st, time_t now, unsigned stale_s)
{
	time_t changed = st->st_ctime, mtimes[] = {st->st_mtime, written(dir, name)};

	/* these count too, unless they lie in the future: then it would never be old */
	for (size_t i = 0; i < ARRAY_LEN(mtimes); i++)
		if (mtimes[i] <= now && mtimes[i] > changed)
			changed = mtimes[i];
	return now > changed + (time_t)stale_s;
}

static time_t
file_system_time(struct own *o)
{
	if (futimens(o->fd, NULL) == -1 || fstat(o->fd, &o->st) == -1)
		return time(NULL);
	return o->st.st_mtime;
}

static bool
is_stale(int dir, const char *name, const struct stat *st, struct own *o, unsigned stale_s)
{
	char room[512];
	pid_t pid;

	if (is_held_here(st))
		return false;
	if ((pid = local_pid(read_text(dir, name, room, sizeof room))) == -1)
		return is_old(dir, name, st, file_system_time(o), stale_s);
	/* our own number, but not in the list: left by one who had it before us */
	return pid == getpid() || (kill(pid, 0) == -1 && errno == ESRCH);
}

/* The time too, since inode numbers are used again. (ctime changes by the rename.) */
static bool
is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/*
 * Take a stale lock away. By rename, so that we can see what we took: when somebody
 * else was faster and it is a new one, it goes back.
 */
static void
override(int dir, const char *name, const struct stat *judged, struct own *o)
{
	char aside[sizeof o->name + 8];
	struct stat st;

	snprintf(aside, sizeof aside, "%s.stale", o->name);
	if (renameat(dir, name, dir, aside) == -1)
		return;
	if (fstatat(dir, aside, &st, AT_SYMLINK_NOFOLLOW) == 0 && !is_same(&st, judged))
		(void)linkat(dir, aside, dir, name, 0);
	unlinkat(dir, aside, 0);
}

/* ---- taking it ------------------------------------------------------------------- */

/* link(2), or rename without replacing where the file system knows no links. */
static int
put(int dir, const char *own, const char *name)
{
	if (linkat(dir, own, dir, name, 0) == 0)
		return 0;
	if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
		return -1;
	return renameat2(dir, own, dir, name, RENAME_NOREPLACE);
}

/* 1: ours now; 0: somebody holds it; -1. Under the lock, so that the list is true. */
static int
try_take(int dir, struct own *o, unsigned stale_s, struct dotlock *l)
{
	struct stat st;

	for (int attempt = 0; attempt < 3; attempt++) {
		if (put(dir, o->name, l->name) == 0) {
			l->fd = o->fd;
			l->dev = o->st.st_dev;
			l->ino = o->st.st_ino;
			l->held = true;
			l->next = held;
			held = l;
			return 1;
		}
		if (errno != EEXIST)
			return -1;
		if (fstatat(dir, l->name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
			if (errno != ENOENT)
				return -1;
			continue;
		}
		if (!is_stale(dir, l->name, &st, o, stale_s))
			return 0;
		override(dir, l->name, &st, o);
	}
	return 0;
}

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void
sleep_ms(uint64_t ms)
{
	struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

static int
wait_for(int dir, struct own *o, unsigned timeout_ms, unsigned stale_s, struct dotlock *l)
{
	uint64_t end = now_ms() + timeout_ms, pause = FIRST_WAIT_MS;

	for (;;) {
		uint64_t now;
		int rc;

		pthread_mutex_lock(&lock);
		rc = try_take(dir, o, stale_s, l);
		pthread_mutex_unlock(&lock);
		if (rc != 0)
			return rc == 1 ? 0 : -1;
		if ((now = now_ms()) >= end) {
			errno = EAGAIN;
			return -1;
		}
		sleep_ms(pause < end - now ? pause : end - now);
		pause = pause * 3 / 2 < MOST_WAIT_MS ? pause * 3 / 2 : MOST_WAIT_MS;
	}
}

static void
tell_holder(const struct dotlock *l, int dir, struct buf *holder)
{
	char room[256];
	int saved = errno;

	if (holder != NULL && saved == EAGAIN)
		(void)buf_add(holder, read_text(dir, l->name, room, sizeof room));
	errno = saved; /* of what failed, not of finding out about it */
}

int
dotlock_take_stale(int dir, const char *name, unsigned timeout_ms, unsigned stale_s,
		   struct dotlock *l, struct buf *holder)
{
	struct own o;
	int rc;

	*l = (struct dotlock){.dir = dir};
	if ((size_t)snprintf(l->name, sizeof l->name, "%s.lock", name) >= sizeof l->name) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (own_make(dir, &o) == -1)
		return -1;
	rc = wait_for(dir, &o, timeout_ms, stale_s, l);
	own_unlink(dir, &o);
	if (rc == 0)
		return 0;
	tell_holder(l, dir, holder);
	close(o.fd);
	return -1;
}

int
dotlock_take(int dir, const char *name, unsigned timeout_ms, struct dotlock *l,
	     struct buf *holder)
{
	return dotlock_take_stale(dir, name, timeout_ms, DOTLOCK_STALE_S, l, holder);
}

/* ---- holding it ------------------------------------------------------------------ */

static int
check_ours(const struct dotlock *l)
{
	struct stat st;

	if (l->held && fstatat(l->dir, l->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (st.st_ino == l->ino && st.st_dev == l->dev)
			return 0;
	} else if (l->held && errno != ENOENT)
		return -1;
	errno = ESTALE;
	return -1;
}

int
dotlock_touch(struct dotlock *l)
{
	if (check_ours(l) == -1)
		return -1;
	return futimens(l->fd, NULL);
}

static void
forget(struct dotlock *l)
{
	for (struct dotlock **at = &held; *at != NULL; at = &(*at)->next)
		if (*at == l) {
			*at = l->next;
			break;
		}
	l->held = false;
	close(l->fd);
}

int
dotlock_drop(struct dotlock *l)
{
	int rc, saved;

	if (!l->held) {
		errno = ESTALE;
		return -1;
	}
	pthread_mutex_lock(&lock);
	if ((rc = check_ours(l)) == 0)
		rc = unlinkat(l->dir, l->name, 0);
	saved = errno;
	forget(l);
	pthread_mutex_unlock(&lock);
	errno = saved;
	return rc;
}
