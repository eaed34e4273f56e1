/*
 * mbox: who looks keeps nobody waiting. An MDA that meets a lock sleeps for a whole second or
 * more, often with another lock in hand: no lock is held while we wait, be it for the clock or
 * for a disk.
 */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/support/mboxbox.h"

#define MESSAGE "From a@b Thu Nov 29 22:33:51 2001\nA: b\n\nc\n\n"

enum { NTRY = 100 };

static struct mboxbox m;
static _Atomic bool looking;
static _Atomic unsigned slept, synced, locked;

static void
must(int rc, const char *what)
{
	if (rc == -1)
		check_fail("%s: %s", what, strerror(errno));
}

/* ---- the calls that wait ------------------------------------------------------------------ */

/* Could an MDA lock the file now? */
static void
note(_Atomic unsigned *what)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int saved = errno, fd = openat(m.top, "inbox", O_RDWR | O_CLOEXEC);

	must(fd, "inbox");
	must(fcntl(fd, F_OFD_GETLK, &l), "F_OFD_GETLK");
	close(fd);
	locked += l.l_type != F_UNLCK;
	++*what;
	errno = saved;
}

int
usleep(useconds_t us)
{
	struct timespec t = {us / 1000000, (long)(us % 1000000) * 1000};

	if (looking)
		note(&slept);
	return nanosleep(&t, NULL);
}

int
fdatasync(int fd)
{
	if (looking)
		note(&synced);
	return (int)syscall(SYS_fdatasync, fd);
}

/* ---- tests --------------------------------------------------------------------------------- */

static void
look(void)
{
	looking = true;
	must(box_refresh(m.inbox), "box_refresh");
	looking = false;
}

/* The file has just been written to, so that its times have to settle, and the UID of what
 * came has to be durable. On a machine that is slow enough they have settled: once more. */
static void
no_lock_while_waiting(void **state)
{
	(void)state;
	mboxbox_make(&m, SPAN(MESSAGE));
	must(box_refresh(m.inbox), "box_refresh");
	for (int i = 0; i < NTRY && slept == 0; i++) {
		mboxbox_add(&m, "inbox", SPAN(MESSAGE));
		look();
	}
	check_true(slept > 0, "waited for the file's times");
	check_true(synced > 0, "waited for the disk");
	check_num(locked, 0, "waits with the lock in hand, of %u and %u", slept,
	          synced);
	mboxbox_remove(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_lock_while_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
