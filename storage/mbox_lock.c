/*
 * mbox_lock: the locks of an mbox, in the order that the settings say. fcntl locks are those
 * of the open file description (which meet the others' POSIX locks): the classic ones go
 * when any descriptor of the file is closed by any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/mbox.h"

#define FIRST_WAIT_MS 2
#define MOST_WAIT_MS  100

static const struct mbox_locks defaults = {
    .read = {MBOX_LOCK_FCNTL},
    .write = {MBOX_LOCK_DOTLOCK, MBOX_LOCK_FCNTL},
    .dotlock_stale_s = 120,
};

const struct mbox_locks *mbox_locks = &defaults;

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
			errno = EAGAIN;
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

/* /proc/locks: `1: POSIX  ADVISORY  WRITE 708 08:02:1234 0 EOF` */
static bool
holder_in_proc(int fd, char *out, size_t cap)
{
	unsigned long long ino;
	unsigned major, minor;
	char line[256], kind[16];
	struct stat st;
	bool found = false;
	long pid;
	FILE *f;

	if (fstat(fd, &st) == -1 || (f = fopen("/proc/locks", "re")) == NULL)
		return false;
	while (!found && fgets(line, sizeof line, f) != NULL)
		if (strstr(line, "->") == NULL &&
		    sscanf(line, "%*d: %15s %*s %*s %ld %x:%x:%llu", kind, &pid, &major,
		           &minor, &ino) == 5 &&
		    ino == st.st_ino && pid > 0 && pid != (long)getpid()) {
			name_of_pid((pid_t)pid, out, cap);
			found = true;
		}
	fclose(f);
	return found;
}

static void
say_held(const struct mbox *m, const char *what, int fd)
{
	char who[128] = "another process";

	(void)holder_in_proc(fd, who, sizeof who);
	log_error("%s: the %s lock is held by %s", mbox_who(m), what, who);
	errno = EAGAIN;
}

/* ---- the dotlock ------------------------------------------------------------------------------- */

/* In a spool directory that only the group `mail` may write there can be none: the others
 * must do. */
static int
take_dotlock(struct mbox *m, int64_t until, struct mbox_lock *l)
{
	int64_t left = until - mbox_now_ms();
	struct buf holder = {.max = 256};
	int rc, saved;

	rc = dotlock_take_stale(m->dir, m->name, left > 0 ? (unsigned)left : 0,
	                        mbox_locks->dotlock_stale_s, &l->dot, &holder);
	saved = errno;
	if (rc == -1 && saved == EAGAIN)
		log_error("%s: %s.lock is held by %.*s", mbox_who(m), m->name,
		          (int)holder.n, holder.n > 0 ? holder.p : "");
	else if (rc == -1 && (saved == EACCES || saved == EPERM || saved == EROFS)) {
		if (!m->dotless_said)
			log_warn("%s: cannot make %s.lock: %s; going on without it",
			         mbox_who(m), m->name, strerror(saved));
		m->dotless_said = true;
		rc = 0;
	}
	buf_free(&holder);
	errno = saved;
	return rc;
}

/* ---- all ------------------------------------------------------------------------------------------ */

static int
take_one(struct mbox *m, enum mbox_lock_kind kind, bool exclusive, int64_t until,
         struct mbox_lock *l)
{
	int rc = 0;

	switch (kind) {
	case MBOX_LOCK_DOTLOCK:
		return take_dotlock(m, until, l);
	case MBOX_LOCK_FCNTL:
		if ((rc = wait_for(try_fcntl, l->fd, exclusive, until)) == -1 &&
		    errno == EAGAIN)
			say_held(m, "fcntl", l->fd);
		break;
	case MBOX_LOCK_FLOCK:
		if ((rc = wait_for(try_flock, l->fd, exclusive, until)) == -1 &&
		    errno == EAGAIN)
			say_held(m, "flock", l->fd);
		break;
	case MBOX_LOCK_NONE:
		break;
	}
	return rc;
}

static int
take_all(struct mbox *m, const enum mbox_lock_kind kinds[3], int fd, bool exclusive,
         unsigned timeout_ms, struct mbox_lock *l)
{
	int64_t until = mbox_now_ms() + timeout_ms;
	int saved;

	*l = (struct mbox_lock){.fd = fd};
	for (int i = 0; i < 3; i++)
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
	return take_all(m, mbox_locks->write, fd, true, timeout_ms, l);
}

int
mbox_lock_read(struct mbox *m, int fd, unsigned timeout_ms, struct mbox_lock *l)
{
	return take_all(m, mbox_locks->read, fd, false, timeout_ms, l);
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
		(void)dotlock_drop(&l->dot);
	errno = saved;
}
