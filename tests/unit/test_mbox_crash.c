/*
 * mbox, killed: every operation runs in a child that is stopped for good before its
 * first, second, third... system call. Whoever opens the store next must find the state
 * before or after, whole, and everything that had been acknowledged (S3, S4).
 */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/mboxconf.h"
#include "tests/unit/support/mboxbox.h"

enum { NMESSAGE = 4, CALLS_MAX = 4000 };

static struct mboxbox m;
static unsigned unfinished; /* stops that left something to be completed */

/* What the child had been told before it died. */
static struct acked {
	_Atomic unsigned steps;
	uint32_t uids[8];
} * acked;

static void
must(int rc, const char *what)
{
	if (rc == -1)
		check_fail("%s: %s", what, strerror(errno));
}

/* ---- the store and its contents ------------------------------------------------------- */

static struct box *
mailbox(const char *name)
{
	struct box *top, *b = NULL;

	must(store_top(m.store, &top), "top");
	if (box_child(top, name, &b) == -1)
		b = NULL;
	box_unref(top);
	if (b != NULL)
		must(box_refresh(b), name);
	return b;
}

/* INBOX with `0\n`, `1\n`..., whose UIDs nobody has written; A with one message; C/D empty. */
static void
make_store(bool fresh)
{
	struct buf text = {0};
	struct box *a, *top;

	for (unsigned i = 0; i < NMESSAGE; i++)
		(void)buf_addf(&text, "From a@b Thu Nov 29 22:33:5%u 2001\n%u\n\n", i,
		               i);
	mboxbox_make(&m, buf_span(&text));
	buf_free(&text);
	must(store_create(m.store, SPAN("A"), 0), "A");
	must(store_create(m.store, SPAN("C/D"), 0), "C/D");
	must(store_top(m.store, &top), "top");
	must(box_child(top, "A", &a), "A");
	mboxbox_deliver(a, SPAN("a\n"));
	if (!fresh) { /* the UIDs are written, flags fit their place */
		struct flag_change c = {FLAGS_ADD, MT_DRAFT, 0, UINT64_MAX};
		struct numset set = {.r = &(struct numrange){1, NMESSAGE}, .n = 1};

		must(box_flags(m.inbox, &set, &c, NULL), "box_flags");
		c.how = FLAGS_REMOVE;
		must(box_flags(m.inbox, &set, &c, NULL), "box_flags");
	}
	box_unref(a);
	box_unref(top);
	mboxbox_close(&m);
}

/* Not looked into. */
static struct box *
mailbox_or_parent(const char *name)
{
	struct box *top, *b = NULL;

	must(store_top(m.store, &top), "top");
	if (box_child(top, name, &b) == -1)
		b = NULL;
	box_unref(top);
	return b;
}

/* How many messages of the mailbox have this first octet; the last one's record. */
static unsigned
copies(struct box *b, char c, struct mt_record *last)
{
	struct mt_record r = {0};
	unsigned n = 0;

	while (b != NULL && box_next(b, r.uid, &r) == 0) {
		struct message *msg;
		char text[3];

		must(message_open(b, r.uid, &msg), "message_open");
		message_record(msg, &r);
		check_num(r.wire_size, 3, "size of UID %u", r.uid);
		must(message_read(msg, 0, text, 3), "message_read");
		message_close(msg);
		if (text[0] != c)
			continue;
		n++;
		if (last != NULL)
			*last = r;
	}
	return n;
}

static uint64_t
messages(struct box *b)
{
	struct mt_header h = {0};

	if (b != NULL)
		box_header(b, &h);
	return h.nmessage;
}

/* ---- operations: run in the child; check: run after it was killed ----------------------- */

static struct numset
range(struct numrange *room, uint32_t lo, uint32_t hi)
{
	*room = (struct numrange){lo, hi};
	return (struct numset){.r = room, .n = 1};
}

static void
run_deliver(void)
{
	struct delivery d = {.date = 1234567};

	must(stage_open(m.inbox, &d.stage), "stage_open");
	must(stage_write(d.stage, "x\n", 2, 0), "stage_write");
	must(stage_flush(d.stage, true), "stage_flush");
	acked->steps = 1;
	must(stage_write(d.stage, "not flushed", 11, 2), "stage_write");
	must(stage_truncate(d.stage, 2), "stage_truncate");
	must(box_deliver(m.inbox, &d, 1, acked->uids), "box_deliver");
	acked->steps = 2;
}

static void
check_deliver(unsigned call)
{
	struct mt_record r = {0};
	unsigned n = copies(m.inbox, 'x', &r);

	check_true(n == 1 || (n == 0 && acked->steps == 0),
	           "call %u: %u copies, %u steps", call, n, acked->steps);
	if (acked->steps == 2) {
		check_num(r.uid, acked->uids[0], "call %u", call);
		check_num((uint64_t)r.date, 1234567, "call %u", call);
	}
	check_num(messages(m.inbox), NMESSAGE + n, "call %u", call);
}

static void
run_deliver_three(void)
{
	struct delivery d[3];

	for (unsigned i = 0; i < 3; i++) {
		d[i] =
		    (struct delivery){.date = INT64_MIN, .flags = i == 1 ? 0 : MT_SEEN};
		must(stage_open(m.inbox, &d[i].stage), "stage_open");
		must(stage_write(d[i].stage, (char[]){(char)('x' + i), '\n'}, 2, 0),
		     "stage_write");
		must(stage_flush(d[i].stage, false), "stage_flush");
	}
	must(box_deliver(m.inbox, d, 3, acked->uids), "box_deliver");
	acked->steps = 1;
}

static void
check_deliver_three(unsigned call)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 3; i++) {
		struct mt_record r = {0};
		unsigned k = copies(m.inbox, (char)('x' + i), &r);

		check_true(k <= 1, "call %u: %u copies of %u", call, k, i);
		if (k == 1)
			check_num(r.flags, i == 1 ? 0 : MT_SEEN, "call %u: flags of %u",
			          call, i);
		if (acked->steps == 1)
			check_num(r.uid, acked->uids[i], "call %u: UID of %u", call, i);
		n += k;
	}
	check_true(n == 3 || (n == 0 && acked->steps == 0), "call %u: %u of 3", call,
	           n);
	check_num(messages(m.inbox), NMESSAGE + n, "call %u", call);
}

static void
run_flags(void)
{
	struct flag_change c = {FLAGS_ADD, MT_SEEN | MT_FLAGGED, 0, UINT64_MAX};
	struct numrange room;
	struct numset set = range(&room, 1, NMESSAGE);

	must(box_flags(m.inbox, &set, &c, NULL), "box_flags");
	acked->steps = 1;
}

static void
check_flags(unsigned call)
{
	for (uint32_t uid = 1; uid <= NMESSAGE; uid++) {
		struct mt_record r;

		must(box_record(m.inbox, uid, &r), "box_record");
		check_true(r.flags == (MT_SEEN | MT_FLAGGED) ||
		               (r.flags == 0 && acked->steps == 0),
		           "call %u: flags %u of UID %u", call, r.flags, uid);
	}
	check_num(messages(m.inbox), NMESSAGE, "call %u", call);
}

static void
run_keyword(void)
{
	unsigned number;

	must(box_keyword(m.inbox, SPAN("Keyword"), true, &number), "box_keyword");
	acked->steps = 1;
}

static void
check_keyword(unsigned call)
{
	unsigned number;

	if (acked->steps == 1)
		must(box_keyword(m.inbox, SPAN("Keyword"), false, &number), "kept");
	must(box_keyword(m.inbox, SPAN("Keyword"), true, &number), "made");
	check_num(number, 0, "call %u", call);
}

static void
run_expunge(void)
{
	struct numrange room;
	struct numset set = range(&room, 2, 3);
	struct cursor *c;

	must(cursor_open(m.inbox, true, &c), "cursor_open");
	must(box_expunge(m.inbox, &set, false, NULL), "box_expunge");
	acked->steps = 1;
}

static void
check_expunge(unsigned call)
{
	unsigned n = copies(m.inbox, '1', NULL) + copies(m.inbox, '2', NULL);

	check_true(n == 0 || acked->steps == 0, "call %u: %u left", call, n);
	check_num(copies(m.inbox, '0', NULL) + copies(m.inbox, '3', NULL), 2, "call %u",
	          call);
	check_num(messages(m.inbox), 2 + n, "call %u", call);
	check_true(n == 0 || n == 2, "call %u: both or none", call);
}

static void
copy_or_move(bool move)
{
	struct numset from = {0}, to = {0};
	struct numrange room;
	struct numset set = range(&room, 1, 3);
	struct box *a = mailbox("A");

	must(box_copy(m.inbox, &set, a, move, &from, &to), "box_copy");
	acked->steps = 1;
	box_unref(a);
}

static void
run_copy(void)
{
	copy_or_move(false);
}

static void
check_copy(unsigned call)
{
	struct box *a = mailbox("A");

	check_num(messages(m.inbox), NMESSAGE, "call %u: originals", call);
	check_true(messages(a) == 4 || (messages(a) == 1 && acked->steps == 0),
	           "call %u: %lu in A", call, (unsigned long)messages(a));
	check_num(copies(a, 'a', NULL), 1, "call %u", call);
	box_unref(a);
}

static void
run_move(void)
{
	copy_or_move(true);
}

static void
check_move(unsigned call)
{
	struct box *a = mailbox("A");

	for (char c = '0'; c < '0' + NMESSAGE; c++) {
		unsigned here = copies(m.inbox, c, NULL), there = copies(a, c, NULL);

		/* two files: it may be in both, but never in none, nor twice in one */
		check_true(here <= 1 && there <= 1 && here + there >= 1,
		           "call %u: message %c: %u, %u", call, c, here, there);
		if (acked->steps == 1)
			check_true(there == (c < '3') && here == (c >= '3'),
			           "call %u: message %c", call, c);
	}
	check_num(copies(a, 'a', NULL), 1, "call %u", call);
	box_unref(a);
}

static void
run_rename_box(void)
{
	must(store_rename(m.store, SPAN("A"), SPAN("E/F")), "store_rename");
	acked->steps = 1;
}

static struct box *
by_path(const char *parent, const char *name)
{
	struct box *above = mailbox_or_parent(parent), *b = NULL;

	if (above != NULL && box_child(above, name, &b) == -1)
		b = NULL;
	box_unref(above);
	if (b != NULL)
		must(box_refresh(b), name);
	return b;
}

static void
check_rename_box(unsigned call)
{
	struct box *a = mailbox("A"), *f = by_path("E", "F");

	check_true((a == NULL) != (f == NULL), "call %u: one name", call);
	check_true(f != NULL || acked->steps == 0, "call %u: acknowledged", call);
	check_num(copies(a != NULL ? a : f, 'a', NULL), 1, "call %u", call);
	box_unref(a);
	box_unref(f);
}

static void
run_remove_box(void)
{
	must(store_delete(m.store, SPAN("A")), "store_delete");
	acked->steps = 1;
}

static void
check_remove_box(unsigned call)
{
	struct box *a = mailbox("A");

	if (a != NULL) {
		check_num(acked->steps, 0, "call %u: acknowledged", call);
		check_num(copies(a, 'a', NULL), 1, "call %u", call);
	}
	box_unref(a);
}

static void
run_date(void)
{
	must(box_set_date(m.inbox, 2, 1234567890), "box_set_date");
	acked->steps = 1;
}

static void
check_date(unsigned call)
{
	struct mt_record r;

	must(box_record(m.inbox, 2, &r), "box_record");
	check_true(r.date == 1234567890 || (acked->steps == 0 && r.date == 1007073231),
	           "call %u: date %ld", call, (long)r.date);
	check_num(messages(m.inbox), NMESSAGE, "call %u", call);
}

static void
run_expunge_all(void)
{
	struct numrange room;
	struct numset set = range(&room, 1, UINT32_MAX);

	must(box_expunge(m.inbox, &set, false, NULL), "box_expunge");
	acked->steps = 1;
}

static void
check_expunge_all(unsigned call)
{
	struct mt_header h;

	check_true(messages(m.inbox) == 0 ||
	               (messages(m.inbox) == NMESSAGE && acked->steps == 0),
	           "call %u: %lu left", call, (unsigned long)messages(m.inbox));
	box_header(m.inbox, &h);
	check_num(h.uidnext, NMESSAGE + 1, "call %u: UIDNEXT", call);
}

static const struct op {
	const char *name;
	bool fresh; /* nobody has written to the mailbox */
	void (*run)(void);
	void (*check)(unsigned call);
} ops[] = {
    {"deliver", false, run_deliver, check_deliver},
    {"deliver into a fresh one", true, run_deliver, check_deliver},
    {"deliver three", false, run_deliver_three, check_deliver_three},
    {"flags in place", false, run_flags, check_flags},
    {"first flags", true, run_flags, check_flags},
    {"keyword", false, run_keyword, check_keyword},
    {"expunge", false, run_expunge, check_expunge},
    {"first expunge", true, run_expunge, check_expunge},
    {"expunge all", false, run_expunge_all, check_expunge_all},
    {"expunge all of a fresh one", true, run_expunge_all, check_expunge_all},
    {"date", false, run_date, check_date},
    {"copy", false, run_copy, check_copy},
    {"move", false, run_move, check_move},
    {"rename a mailbox", false, run_rename_box, check_rename_box},
    {"delete a mailbox", false, run_remove_box, check_remove_box},
};

/* ---- the child --------------------------------------------------------------------------- */

static void
child(const struct op *op)
{
	mboxbox_open(&m);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
		_exit(3);
	raise(SIGSTOP);
	op->run();
	_exit(0);
}

/* Let it enter `call` system calls, then kill it. False: it ended before. */
static bool
run_until(pid_t pid, unsigned call)
{
	int status;

	/* two stops a call: on the way in and on the way out */
	for (unsigned stops = 0; stops < 2 * call + 1; stops++) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == -1 ||
		    waitpid(pid, &status, __WALL) == -1)
			check_fail("ptrace: %s", strerror(errno));
		if (WIFEXITED(status)) {
			check_num((uint64_t)WEXITSTATUS(status), 0, "the operation");
			return false;
		}
		check_true(WIFSTOPPED(status), "status %x", status);
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, __WALL) != -1 && !WIFEXITED(status) &&
	       !WIFSIGNALED(status))
		;
	return true;
}

static bool
kill_at(const struct op *op, unsigned call)
{
	bool killed;
	int status;
	pid_t pid;

	memset(acked, 0, sizeof *acked);
	make_store(op->fresh);
	fflush(NULL);
	if ((pid = fork()) == 0)
		child(op);
	must(pid, "fork");
	if (waitpid(pid, &status, __WALL) == -1 || !WIFSTOPPED(status))
		check_fail("%s: the child ended early", op->name);
	killed = run_until(pid, call);
	unfinished += mboxbox_is_unfinished(&m);
	mboxbox_open(&m);
	op->check(call);
	mboxbox_close(&m);
	mboxbox_open(&m); /* and once more: recovery is not needed twice */
	op->check(call);
	mboxbox_remove(&m);
	return killed;
}

static void
killed_anywhere(void **state)
{
	acked = mmap(NULL, sizeof *acked, PROT_READ | PROT_WRITE,
	             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	(void)state;
	assert_true(acked != MAP_FAILED);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		unsigned stride = CALLS_MAX / check_rounds(CALLS_MAX),
		         call = (unsigned)i % stride;

		while (kill_at(&ops[i], call))
			call += stride;
		check_true(call > 5 && call < CALLS_MAX, "%s: %u calls", ops[i].name,
		           call);
		printf("%s: killed at 1 in %u of %u system calls\n", ops[i].name,
		       stride, call);
	}
	check_true(unfinished > 0, "no stop left a journal");
	munmap(acked, sizeof *acked);
}

/* Kill an expunge at the first call behind which there is a journal. */
static void
leave_a_journal(void)
{
	for (unsigned call = 0;; call++) {
		int status;
		pid_t pid;

		make_store(false);
		fflush(NULL);
		if ((pid = fork()) == 0) {
			mboxbox_open(&m);
			must(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1 ? -1 : 0, "ptrace");
			raise(SIGSTOP);
			must(box_expunge(m.inbox,
			                 &(struct numset){.r = &(struct numrange){1, 2}, .n = 1},
			                 false, NULL),
			     "box_expunge");
			_exit(0);
		}
		must(pid, "fork");
		if (waitpid(pid, &status, __WALL) == -1 || !WIFSTOPPED(status))
			check_fail("the child ended early");
		if (!run_until(pid, call))
			check_fail("no journal in %u calls", call);
		if (mboxbox_is_unfinished(&m))
			return;
		mboxbox_open(&m);
		mboxbox_remove(&m);
	}
}

/* What is half done is not looked at: while it cannot be completed, there is no mailbox. */
static void
locked_by_another_after_a_kill(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	unsigned usual = mboxconf.lock_timeout_s;
	int fd;

	(void)state;
	leave_a_journal();
	fd = openat(m.top, "inbox", O_RDWR | O_CLOEXEC);
	must(fd, "inbox");
	must(fcntl(fd, F_OFD_SETLK, &lock), "a lock of another program");
	mboxconf.lock_timeout_s = 1;
	mboxbox_open_store(&m);
	check_num((uint64_t)box_refresh(m.inbox), (uint64_t)-1, "locked");
	check_true(mboxbox_is_unfinished(&m), "the journal waits");
	close(fd);
	must(box_refresh(m.inbox), "not locked any more");
	check_true(!mboxbox_is_unfinished(&m), "it is completed");
	check_num(messages(m.inbox), NMESSAGE - 2, "messages");
	mboxconf.lock_timeout_s = usual;
	mboxbox_remove(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(killed_anywhere),
	    cmocka_unit_test(locked_by_another_after_a_kill),
	};
	const char *memory = getenv("MT_MEMORY");

	/* some thousand stores are made and thrown away, and a killed process takes nothing
	 * along that it had written: memory will do */
	if (memory == NULL && access("/dev/shm", W_OK) == 0)
		memory = "/dev/shm";
	if (memory != NULL)
		setenv("TMPDIR", memory, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
