/*
 * mbox: who looks keeps nobody waiting. An MDA that meets a lock sleeps for a whole second or
 * more, often with another lock in hand: no lock is held while we wait, be it for the clock or
 * for a disk.
 */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/support/mboxbox.h"

#define MESSAGE "From a@b Thu Nov 29 22:33:51 2001\nA: b\n\nc\n\n"

#define X100                                                                           \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"                          \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"
#define LARGE X100 X100 X100 X100 X100 X100 X100 X100 X100 X100

enum { NTRY = 100, NMESSAGE = 3000, FEW = 1 << 20 };

static struct mboxbox m;
static _Atomic bool looking, adding; /* adding: to what is being read */
static _Atomic unsigned slept, synced, locked;
static _Atomic uint64_t nread; /* octets, of any file */

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

static bool
is_inbox(int fd)
{
	struct stat st, inbox;

	must(fstat(fd, &st), "fstat");
	must(fstatat(m.top, "inbox", &inbox, 0), "inbox");
	return st.st_ino == inbox.st_ino && st.st_dev == inbox.st_dev;
}

ssize_t
pread(int fd, void *to, size_t n, off_t off)
{
	ssize_t got = syscall(SYS_pread64, fd, to, n, off);

	if (looking && adding && is_inbox(fd)) {
		adding = false;
		slept = 0;
		mboxbox_add(&m, "inbox", SPAN(MESSAGE));
	}
	if (got > 0)
		nread += (uint64_t)got;
	return got;
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

/* A program that minds no locks writes while we read: once more, when the times have settled. */
static void
no_lock_while_waiting_again(void **state)
{
	(void)state;
	locked = 0;
	mboxbox_make(&m, SPAN(MESSAGE));
	must(box_refresh(m.inbox), "box_refresh");
	slept = 0;
	for (int i = 0; i < NTRY && slept == 0; i++) {
		mboxbox_add(&m, "inbox", SPAN(MESSAGE));
		adding = true;
		look();
		check_true(!adding, "it was read");
	}
	check_true(slept > 0, "waited for the file's times");
	check_num(locked, 0, "waits with the lock in hand, of %u", slept);
	mboxbox_remove(&m);
}

/* However large an mbox is: what has come in does not make its messages slow to read. */
static void
reading_a_file_that_grows(void **state)
{
	struct message *msg;
	char got[4];

	(void)state;
	mboxbox_make(&m, SPAN(MESSAGE));
	for (int i = 0; i < NMESSAGE; i++)
		mboxbox_add(&m, "inbox", SPAN(MESSAGE LARGE));
	must(box_refresh(m.inbox), "box_refresh");
	must(message_open(m.inbox, 1, &msg),
	     "message_open"); /* its size is known now */
	message_close(msg);
	mboxbox_add(&m, "inbox", SPAN(MESSAGE));
	nread = 0;
	must(message_open(m.inbox, 1, &msg), "message_open");
	must(message_read(msg, 0, got, sizeof got), "message_read");
	check_mem(got, sizeof got, "A: b", "octets");
	message_close(msg);
	check_true(nread < FEW, "%ju octets were read", (uintmax_t)nread);
	mboxbox_remove(&m);
}

static uint32_t
uidnext(void)
{
	struct mt_header h;

	box_header(m.inbox, &h);
	return h.uidnext;
}

/* One octet of the header of a message that is none of those which are looked at again; the
 * size is as it was, and so is the time that a program can set. */
static void
change_one(void)
{
	const off_t at = (off_t)(NMESSAGE / 2 * strlen(MESSAGE LARGE) + strlen(MESSAGE));
	int fd = openat(m.top, "inbox", O_RDWR | O_CLOEXEC);
	struct stat st;
	char octet;

	must(fd, "inbox");
	must(fstat(fd, &st), "fstat");
	must((int)pread(fd, &octet, 1, at + (off_t)strlen(MESSAGE) - 6), "pread");
	check_num((uint64_t)octet, 'b', "the value of A");
	must((int)pwrite(fd, "c", 1, at + (off_t)strlen(MESSAGE) - 6), "pwrite");
	must(futimens(fd, (const struct timespec[]){st.st_atim, st.st_mtim}), "futimens");
	close(fd);
}

/* After a restart: the very first look must see it, nobody asks twice. */
static void
places_are_those_of_one_stamp(void **state)
{
	(void)state;
	mboxbox_make(&m, SPAN(MESSAGE));
	for (int i = 0; i < NMESSAGE; i++)
		mboxbox_add(&m, "inbox", SPAN(MESSAGE LARGE));
	must(box_refresh(m.inbox), "box_refresh");
	mboxbox_close(&m);
	nread = 0;
	mboxbox_open(&m);
	check_true(nread < FEW, "%ju octets were read", (uintmax_t)nread);
	check_num(uidnext(), NMESSAGE + 2, "it is as it was");
	mboxbox_close(&m);
	change_one();
	mboxbox_open(&m);
	check_num(uidnext(), NMESSAGE + 3, "a message is another");
	mboxbox_remove(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_lock_while_waiting),
	    cmocka_unit_test(no_lock_while_waiting_again),
	    cmocka_unit_test(reading_a_file_that_grows),
	    cmocka_unit_test(places_are_those_of_one_stamp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
