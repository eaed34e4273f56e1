/*
 * mbox_lock: the locks of an mbox, in the order that the settings say. Who is to write takes
 * those of writing from the start: a read lock is never raised, so no two wait for each other
 * with one in hand. fcntl locks are those
 * of the open file description (which meet the others' POSIX locks): the classic ones go
 * when any descriptor of the file is closed by any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/base/num.h"
#include "storage/mbox.h"

#define FIRST_WAIT_MS 2
#define MOST_WAIT_MS  100

unsigned
mbox_lock_ms(void)
{
	return mboxconf.lock_timeout_s * 1000;
}

const char *
mbox_file(const struct mbox *m)
{
	static _Thread_local char text[512];
	char proc[40];
	ssize_t n;

	snprintf(proc, sizeof proc, "/proc/self/fd/%d", m->dir);
	n = readlink(proc, text, sizeof text - NAME_MAX - 2);
	snprintf(text + (n > 0 ? n : 0), sizeof text - (size_t)(n > 0 ? n : 0), "%s%s",
	         n > 0 ? "/" : "", m->name);
	return text;
}

/* ---- one lock ---------------------------------------------------------------------------- */

static int
try_fcntl(int fd, bool exclusive)
{
	struct flock l = {.l_type = exclusive ? F_WRLCK : F_RDLCK,
	                  .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &l);
}

static int
try_flock(int fd, bool exclusive)
{
	return flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
}

static int
wait_for(int (*try)(int, bool), int fd, bool exclusive, int64_t until)
{
	int64_t pause = FIRST_WAIT_MS;

	while (try(fd, exclusive) == -1) {
		int64_t left = until - mbox_now_ms();

		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return -1;
		if (left <= 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		usleep((useconds_t)(pause < left ? pause : left) * 1000);
		pause = pause * 3 / 2 < MOST_WAIT_MS ? pause * 3 / 2 : MOST_WAIT_MS;
	}
	return 0;
}

/* ---- who holds it? -------------------------------------------------------------------------- */

static void
name_of_pid(pid_t pid, char *out, size_t cap)
{
	char path[48], name[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1) {
		n = read(fd, name, sizeof name - 1);
		close(fd);
	}
	while (n > 0 && name[n - 1] == '\n')
		n--;
	snprintf(out, cap, "process %ld (%.*s)", (long)pid, n > 0 ? (int)n : 1,
	         n > 0 ? name : "?");
}

/* A lock of an open file description has no process: who has it open cannot be asked. */
static void
holder_of_fcntl(int fd, char *out, size_t cap)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK && l.l_pid > 0)
		name_of_pid(l.l_pid, out, cap);
}

/* /proc/locks: `1: FLOCK  ADVISORY  WRITE 708 08:02:1234 0 EOF` */
static void
holder_of_flock(int fd, char *out, size_t cap)
{
	unsigned long long ino;
	char line[256], kind[16];
	struct stat st;
	long pid;
	FILE *f;

	if (fstat(fd, &st) == -1 || (f = fopen("/proc/locks", "re")) == NULL)
		return;
	while (fgets(line, sizeof line, f) != NULL)
		if (strstr(line, "->") == NULL &&
		    sscanf(line, "%*d: %15s %*s %*s %ld %*x:%*x:%llu", kind, &pid,
		           &ino) == 3 &&
		    strcmp(kind, "FLOCK") == 0 && ino == st.st_ino && pid > 0 &&
		    pid != (long)getpid()) {
			name_of_pid((pid_t)pid, out, cap);
			break;
		}
	fclose(f);
}

/* `PID`, `PID:HOST`; what other programs write there is not repeated in the log. */
static void
holder_of_dotlock(struct span text, char *out, size_t cap)
{
	struct span pid;
	char host[65];
	uint32_t v;

	text = span_trim(text);
	while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\0'))
		text.n--;
	if (!span_cut(&text, ':', &pid) || num_u32(pid, &v) == -1 || v == 0 ||
	    v > INT32_MAX)
		return;
	if (text.n == 0) {
		snprintf(out, cap, "process %u", v);
		return;
	}
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] <= ' ' || text.p[i] > '~')
			return;
	if (gethostname(host, sizeof host - 1) == 0 && span_eq(text, span_of(host)))
		name_of_pid((pid_t)v, out, cap);
	else
		snprintf(out, cap, "process %u of %.*s", v, text.n < 64 ? (int)text.n : 64,
		         text.p);
}

static void
say_held(const struct mbox *m, const char *what, const char *who)
{
	log_error("%s: %s: the %s lock is held by %s", mbox_who(m), mbox_file(m), what,
	          who);
}

/* ---- the dotlock ------------------------------------------------------------------------------- */

static unsigned
left_ms(int64_t until)
{
	int64_t left = until - mbox_now_ms();

	return left > 0 ? (unsigned)left : 0;
}

static int
make_dotlock(struct mbox *m, int64_t until, struct mbox_lock *l, struct buf *holder)
{
	int rc = dotlock_take_stale(m->dir, m->name, left_ms(until),
	                            mboxconf.dotlock_change_s, &l->dot, holder);

	if (rc == 0 || errno != EACCES)
		return rc;
	if (!mbox_spool_enter(m)) {
		errno = EACCES;
		return -1;
	}
	rc = dotlock_take_stale(m->dir, m->name, left_ms(until),
	                        mboxconf.dotlock_change_s, &l->dot, holder);
	l->grouped = rc == 0;
	mbox_spool_leave(m);
	return rc;
}

static bool
is_impossible(int error)
{
	return error == EACCES || error == EPERM || error == EROFS || error == ENOSPC ||
	       error == EDQUOT;
}

/* Said once: it stays so. */
static int
go_without(struct mbox *m, int why)
{
	if (!m->dotless_said)
		log_warn("%s: cannot make %s.lock: %s; going on without it", mbox_who(m),
		         mbox_file(m), strerror(why));
	m->dotless_said = true;
	return 0;
}

static int
take_dotlock(struct mbox *m, bool must, bool exclusive, int64_t until,
             struct mbox_lock *l)
{
	struct buf holder = {.max = 256};
	char who[128] = "another program";
	int rc = make_dotlock(m, until, l, &holder), saved = errno;

	if (rc == -1 && saved == EAGAIN) {
		saved = ETIMEDOUT;
		if (exclusive) {
			holder_of_dotlock(buf_span(&holder), who, sizeof who);
			say_held(m, "dotlock", who);
		}
	} else if (rc == -1 && is_impossible(saved) && !must)
		rc = go_without(m, saved);
	else if (rc == -1)
		log_error("%s: cannot make %s.lock: %s", mbox_who(m), mbox_file(m),
		          strerror(saved));
	buf_free(&holder);
	errno = saved;
	return rc;
}

/* ---- all ------------------------------------------------------------------------------------------ */

/* Those that the kernel keeps for a descriptor. */
static const struct kept_lock {
	const char *name;
	int (*try)(int fd, bool exclusive);
	void (*holder)(int fd, char *out, size_t cap);
} by_fcntl = {"fcntl", try_fcntl, holder_of_fcntl},
  by_flock = {"flock", try_flock, holder_of_flock};

static int
take_kept(struct mbox *m, const struct kept_lock *k, bool exclusive, int64_t until,
          struct mbox_lock *l)
{
	char who[128] = "another program";
	int rc = wait_for(k->try, l->fd, exclusive, until), saved = errno;

	if (rc == -1 && saved == ETIMEDOUT && exclusive) {
		k->holder(l->fd, who, sizeof who);
		say_held(m, k->name, who);
	}
	errno = saved;
	return rc;
}

static int
take_one(struct mbox *m, enum mbox_lock_kind kind, bool exclusive, int64_t until,
         struct mbox_lock *l)
{
	switch (kind) {
	case MBOX_LOCK_DOTLOCK:
		return take_dotlock(m, exclusive, exclusive, until, l);
	case MBOX_LOCK_DOTLOCK_TRY:
		return take_dotlock(m, false, exclusive, until, l);
	case MBOX_LOCK_FCNTL:
	case MBOX_LOCK_LOCKF:
		return take_kept(m, &by_fcntl, exclusive, until, l);
	case MBOX_LOCK_FLOCK:
		return take_kept(m, &by_flock, exclusive, until, l);
	case MBOX_LOCK_NONE:
		break;
	}
	return 0;
}

static int
take_all(struct mbox *m, const enum mbox_lock_kind kinds[MBOXCONF_NLOCK], int fd,
         bool exclusive, unsigned timeout_ms, struct mbox_lock *l)
{
	int64_t until = mbox_now_ms() + timeout_ms;
	int saved;

	*l = (struct mbox_lock){.m = m, .fd = fd};
	for (int i = 0; i < MBOXCONF_NLOCK; i++)
		if (take_one(m, kinds[i], exclusive, until, l) == -1) {
			saved = errno;
			mbox_unlock(l);
			errno = saved;
			return -1;
		}
	return 0;
}

int
mbox_lock_write(struct mbox *m, int fd, unsigned timeout_ms, struct mbox_lock *l)
{
	return take_all(m, mboxconf.write, fd, true, timeout_ms, l);
}

int
mbox_lock_read(struct mbox *m, int fd, unsigned timeout_ms, struct mbox_lock *l)
{
	return take_all(m, mboxconf.read, fd, false, timeout_ms, l);
}

/* It goes as it came. */
static void
drop_dotlock(struct mbox_lock *l)
{
	bool grouped = l->grouped && mbox_spool_enter(l->m);

	if (dotlock_drop(&l->dot) == -1)
		log_error("%s: cannot remove %s.lock: %m", mbox_who(l->m), mbox_file(l->m));
	if (grouped)
		mbox_spool_leave(l->m);
}

void
mbox_unlock(struct mbox_lock *l)
{
	struct flock none = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
	int saved = errno;

	if (l->fd != -1) {
		(void)fcntl(l->fd, F_OFD_SETLK, &none);
		(void)flock(l->fd, LOCK_UN);
	}
	if (l->dot.held)
		drop_dotlock(l);
	errno = saved;
}
