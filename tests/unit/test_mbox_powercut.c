/*
 * mbox, and the power goes: of what a journal is carried out with the disk has written some
 * sectors and not others; and a file that was being cut may still be as long as it was, with
 * the rest of its last block cleared. Whoever opens the store next finds before or after.
 */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "storage/base/buf.h"
#include "storage/base/hash.h"
#include "storage/base/io.h"
#include "storage/mbox_journal_private.h"
#include "tests/unit/support/mboxbox.h"

#define FROM   "From a@b Thu Nov 29 22:33:51 2001\n"
#define OTHER  "From c@d Thu Nov 29 22:33:52 2001\nA: other\n\nother\n\n"
#define STAGES "mbox-*.mt-keep-*"

enum {
	NMESSAGE = 4,
	LINES = 8,
	SECTOR = 512,
	SECTORS_MAX = 6,
	STEP = 16,
	WRITES_MAX = 8,
	NLINE = 7000
};

static struct mboxbox m;

static void
must(int rc, const char *what)
{
	if (rc == -1)
		check_fail("%s: %s", what, strerror(errno));
}

/* ---- files ---------------------------------------------------------------------------------- */

static struct buf
copy_of(struct span s)
{
	struct buf b = {0};

	must(buf_add(&b, s), "buf_add");
	return b;
}

static struct buf
octets_of(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	char room[4096];
	struct buf b = {0};
	ssize_t n;

	must(fd, name);
	while ((n = read(fd, room, sizeof room)) > 0)
		must(buf_add(&b, (struct span){room, (size_t)n}), name);
	must((int)n, name);
	close(fd);
	return b;
}

static void
put_octets(int dir, const char *name, struct span octets)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd, name);
	must(io_write_all(fd, octets), name);
	close(fd);
}

/* ---- what stood when the journal did ------------------------------------------------------------ */

static struct journal {
	int dir; /* the index folder; -1: none has stood yet */
	struct buf text, before, stage;
	char stage_name[64];
	struct mbox_journal_head head;
} stood;

static void
keep_stage(void)
{
	char pattern[96];
	glob_t found;

	snprintf(pattern, sizeof pattern, "%s/index/*/" STAGES, m.scratch);
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	snprintf(stood.stage_name, sizeof stood.stage_name, "%s",
	         strrchr(found.gl_pathv[0], '/') + 1);
	stood.stage = octets_of(stood.dir, stood.stage_name);
	globfree(&found);
}

/* The journal has its name now, and nothing else has been done. */
int
renameat(int olddir, const char *old, int newdir, const char *new)
{
	int rc = (int)syscall(SYS_renameat2, olddir, old, newdir, new, 0);

	if (rc == 0 && strcmp(new, MBOX_JOURNAL) == 0 && stood.dir == -1) {
		must(stood.dir = dup(newdir), "dup");
		stood.text = octets_of(stood.dir, MBOX_JOURNAL);
		stood.before = copy_of(mboxbox_get(&m, "inbox"));
		memcpy(&stood.head, stood.text.p, sizeof stood.head);
		keep_stage();
	}
	return rc;
}

/* ---- what stood behind each write in place ------------------------------------------------------ */

static struct buf written[WRITES_MAX];
static unsigned nwritten;

ssize_t
pwrite(int fd, const void *p, size_t n, off_t off)
{
	ssize_t done = syscall(SYS_pwrite64, fd, p, n, off);
	struct stat st, inbox;

	must(fstat(fd, &st), "fstat");
	must(fstatat(m.top, "inbox", &inbox, 0), "inbox");
	if (stood.dir != -1 && st.st_ino == inbox.st_ino && nwritten < WRITES_MAX)
		written[nwritten++] = copy_of(mboxbox_get(&m, "inbox"));
	return done;
}

/* ---- what cannot be read ------------------------------------------------------------------------ */

static struct stat unreadable; /* {0}: all can */

ssize_t
pread(int fd, void *to, size_t n, off_t off)
{
	struct stat st;

	must(fstat(fd, &st), "fstat");
	if (st.st_ino == unreadable.st_ino && st.st_dev == unreadable.st_dev) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pread64, fd, to, n, off);
}

static void
forget_writes(void)
{
	while (nwritten > 0)
		buf_free(&written[--nwritten]);
}

static int
setup(void **state)
{
	struct buf text = {0};

	(void)state;
	for (unsigned i = 0; i < NMESSAGE; i++) {
		must(buf_addf(&text, FROM "A: %u\n\n", i), "buf_addf");
		for (unsigned k = 0; k < LINES; k++)
			must(buf_addf(&text, "%050u\n", i * LINES + k), "buf_addf");
		must(buf_addf(&text, "\n"), "buf_addf");
	}
	mboxbox_make(&m, buf_span(&text));
	buf_free(&text);
	stood = (struct journal){.dir = -1};
	return 0;
}

static void
forget_journal(void)
{
	forget_writes();
	close(stood.dir);
	buf_free(&stood.text);
	buf_free(&stood.before);
	buf_free(&stood.stage);
	stood = (struct journal){.dir = -1};
}

static int
teardown(void **state)
{
	(void)state;
	mboxbox_remove(&m);
	forget_journal();
	return 0;
}

/* The power is back: the file has these octets, the journal stands. */
static void
put_back(struct span file)
{
	mboxbox_close(&m);
	put_octets(m.top, "inbox", file);
	put_octets(stood.dir, MBOX_JOURNAL, buf_span(&stood.text));
	if (stood.stage.n > 0)
		put_octets(stood.dir, stood.stage_name, buf_span(&stood.stage));
}

static void
open_after(struct span file)
{
	put_back(file);
	mboxbox_open(&m);
}

/* ---- changes ------------------------------------------------------------------------------------- */

static void
set_flags(uint16_t flags)
{
	struct numset set = {.r = &(struct numrange){1, NMESSAGE}, .n = 1};
	struct flag_change c = {FLAGS_ADD, flags, 0, UINT64_MAX};

	must(box_flags(m.inbox, &set, &c, NULL), "box_flags");
}

static void
grow(void)
{
	set_flags(MT_SEEN);
}

static void
expunge(void)
{
	struct numset set = {.r = &(struct numrange){2, 3}, .n = 1};

	must(box_expunge(m.inbox, &set, false, NULL), "box_expunge");
}

static void
deliver(void)
{
	struct delivery d = {.date = 1234567};
	uint32_t uid;

	must(stage_open(m.inbox, &d.stage), "stage_open");
	must(stage_write(d.stage, "A: x\n\nx\n", 8, 0), "stage_write");
	must(stage_flush(d.stage, true), "stage_flush");
	must(box_deliver(m.inbox, &d, 1, &uid), "box_deliver");
}

/* ---- in place -------------------------------------------------------------------------------------- */

/* Sector i is the new one where `news` has bit i; what the file did not have is NULs. */
static struct buf
mixture(struct span before, struct span after, unsigned news)
{
	size_t size = before.n > after.n ? before.n : after.n;
	struct buf b = {0};
	char *to = buf_room(&b, size);

	assert_non_null(to);
	for (size_t i = 0; i < size; i++) {
		struct span from =
		    news >> (i / SECTOR) & 1 && i < after.n ? after : before;

		to[i] = i < from.n ? from.p[i] : '\0';
	}
	b.n = size;
	return b;
}

static void
check_after(struct span file, struct span after, const char *what, unsigned n)
{
	open_after(file);
	check_span(mboxbox_get(&m, "inbox"), after, "%s %u", what, n);
}

static void
sectors(void (*change)(void))
{
	struct buf after, mixed;
	struct span b, a;
	unsigned n;

	change();
	after = copy_of(mboxbox_get(&m, "inbox"));
	a = buf_span(&after), b = buf_span(&stood.before);
	n = (unsigned)((b.n > a.n ? b.n : a.n) + SECTOR - 1) / SECTOR;
	check_true(n > 3 && n <= SECTORS_MAX, "%u sectors", n);
	for (unsigned news = 0; news < 1u << n; news++) {
		mixed = mixture(b, a, news);
		check_after(buf_span(&mixed), a, "sectors", news);
		buf_free(&mixed);
	}
	mixed = mixture(b, a, ~0u);
	for (size_t at = a.n; at < b.n;
	     at++) { /* to the end of a block of whatever size */
		mixed.p[at] = '\0';
		if ((at + 1) % SECTOR == 0 || at + 1 == b.n)
			check_after(buf_span(&mixed), a, "cleared up to",
			            (unsigned)at + 1);
	}
	check_after(a, a, "done", 0);
	buf_free(&mixed);
	buf_free(&after);
}

static void
it_gets_longer(void **state)
{
	(void)state;
	sectors(grow);
	check_true(stood.head.post_size > stood.head.pre_size, "it is longer");
}

/* Not yet as long as it is to be: nothing else has been done, and it is as it was. */
static void
it_is_getting_longer(void **state)
{
	struct buf file;

	(void)state;
	grow();
	for (uint64_t size = stood.head.pre_size; size < stood.head.post_size;
	     size += STEP) {
		file = copy_of(buf_span(&stood.before));
		while (file.n < size)
			must(buf_addc(&file, '\0'), "buf_addc");
		check_after(buf_span(&file), buf_span(&stood.before), "octets",
		            (unsigned)size);
		buf_free(&file);
	}
}

/* So that nothing is written afterwards but what moves. */
static void
write_uids(void)
{
	set_flags(MT_SEEN);
	forget_journal();
}

static void
it_gets_shorter(void **state)
{
	(void)state;
	write_uids();
	sectors(expunge);
	check_true(stood.head.post_size < stood.head.pre_size, "it is shorter");
}

/* Killed behind each write of a file that takes several. */
static void
in_several_writes(void **state)
{
	struct buf large = {0}, after;
	unsigned n;

	(void)state;
	for (unsigned i = 0; i < NLINE; i++)
		must(buf_addf(&large, "%060u\n", i), "buf_addf");
	for (unsigned i = 0; i < 2; i++) {
		mboxbox_add(&m, "inbox", SPAN(FROM "A: large\n\n"));
		mboxbox_add(&m, "inbox", buf_span(&large));
		mboxbox_add(&m, "inbox", SPAN("\n"));
	}
	must(box_refresh(m.inbox), "box_refresh");
	write_uids();
	expunge();
	check_true(stood.head.post_size < stood.head.pre_size, "it is shorter");
	after = copy_of(mboxbox_get(&m, "inbox"));
	n = nwritten;
	check_true(n > 2 && n < WRITES_MAX, "%u writes", n);
	nwritten = WRITES_MAX; /* those of recovery do not count */
	for (unsigned i = 0; i < n; i++)
		check_after(buf_span(&written[i]), buf_span(&after), "write", i);
	nwritten = n;
	buf_free(&large);
	buf_free(&after);
}

/* ---- what is in the way ----------------------------------------------------------------------------- */

static void
no_mailbox_yet(const char *what)
{
	mboxbox_open_store(&m);
	check_num((uint64_t)box_refresh(m.inbox), (uint64_t)-1, "%s", what);
	check_true(mboxbox_is_unfinished(&m), "%s: the journal waits", what);
}

static void
completed_now(struct span after, const char *what)
{
	must(box_refresh(m.inbox), what);
	check_true(!mboxbox_is_unfinished(&m), "%s: it is completed", what);
	check_span(mboxbox_get(&m, "inbox"), after, "%s", what);
}

/* That something cannot be read, or opened, says nothing about what is to be done. */
static void
it_is_completed_later(void **state)
{
	struct buf after, mixed;

	(void)state;
	grow();
	after = copy_of(mboxbox_get(&m, "inbox"));
	mixed = mixture(buf_span(&stood.before), buf_span(&after), 5);

	put_back(buf_span(&mixed));
	must(fstatat(stood.dir, MBOX_JOURNAL, &unreadable, 0), MBOX_JOURNAL);
	no_mailbox_yet("the journal cannot be read");
	unreadable = (struct stat){0};
	completed_now(buf_span(&after), "the journal");

	put_back(buf_span(&mixed));
	must(fstatat(m.top, "inbox", &unreadable, 0), "inbox");
	no_mailbox_yet("the file cannot be read");
	unreadable = (struct stat){0};
	completed_now(buf_span(&after), "the file");

	put_back(buf_span(&mixed));
	must(linkat(m.top, "inbox", m.top, ".link", 0), "linkat");
	no_mailbox_yet("the file has two names");
	must(unlinkat(m.top, ".link", 0), "unlinkat");
	completed_now(buf_span(&after), "two names");

	buf_free(&mixed);
	buf_free(&after);
}

/* ---- what is no journal ----------------------------------------------------------------------------- */

/* With these numbers in it, which its checks cover. */
static void
put_journal(struct span file, const struct mbox_journal_head *as, const struct mbox_patch *p)
{
	struct mbox_journal_head h = *as;
	char *tables = stood.text.p + h.tables_off;

	memcpy(tables, p, sizeof *p);
	h.tables_check = hash_check(tables, stood.text.n - h.tables_off);
	h.check = hash_check(&h, offsetof(struct mbox_journal_head, check));
	memcpy(stood.text.p, &h, sizeof h);
	put_back(file);
}

static void
it_cannot_be(void **state)
{
	const uint64_t far[] = {UINT64_MAX, UINT64_MAX - 4096, INT64_MAX, 1 << 20};
	struct mbox_patch right;
	struct buf longer;

	(void)state;
	grow();
	memcpy(&right, stood.text.p + stood.head.tables_off, sizeof right);
	longer = mixture(buf_span(&stood.before), mboxbox_get(&m, "inbox"), 0);
	for (size_t i = 0; i < ARRAY_LEN(far); i++)
		for (unsigned k = 0; k < 6; k++) {
			struct mbox_journal_head h = stood.head;
			struct mbox_patch p = right;
			uint64_t *number[] = {&p.off,   &p.old_n,     &p.new_n,
			                      &p.data_off, &h.post_size, &h.append_off};

			*number[k] = far[i];
			put_journal(buf_span(&longer), &h, &p);
			mboxbox_open(&m);
			check_span(mboxbox_get(&m, "inbox"), buf_span(&longer),
			           "number %u, %zu", k, i);
		}
	buf_free(&longer);
}

/* ---- at the end ------------------------------------------------------------------------------------ */

static unsigned
count_of(struct span hay, struct span needle)
{
	unsigned n = 0;

	for (size_t i = 0; i + needle.n <= hay.n; i++)
		n += memcmp(hay.p + i, needle.p, needle.n) == 0;
	return n;
}

/* `part` octets of what is appended are there, the last `cleared` of them NULs; then `behind`. */
static void
appended(size_t part, size_t cleared, struct span behind)
{
	struct buf b = copy_of(buf_span(&stood.before));
	struct span file;
	struct mt_header h;

	must(buf_add(&b, (struct span){stood.text.p + stood.head.append_off, part}),
	     "buf_add");
	memset(b.p + b.n - cleared, '\0', cleared);
	must(buf_add(&b, behind), "buf_add");
	open_after(buf_span(&b));
	box_header(m.inbox, &h);
	file = mboxbox_get(&m, "inbox");
	check_num(h.nmessage, NMESSAGE + 1 + (behind.n > 0), "%zu octets, %zu cleared",
	          part, cleared);
	check_num(count_of(file, SPAN("\nx\n")), 1,
	          "%zu octets, %zu cleared: delivered", part, cleared);
	check_num(count_of(file, SPAN("\nother\n")), behind.n > 0,
	          "%zu octets, %zu cleared", part, cleared);
	check_num(count_of(file, SPAN("\0")), 0, "%zu octets, %zu cleared: NULs", part,
	          cleared);
	buf_free(&b);
}

static void
it_is_appended(void **state)
{
	(void)state;
	deliver();
	check_true(stood.head.append_n > 50 && stood.stage.n > 0,
	           "a journal of an append");
	for (size_t part = stood.head.append_n % STEP; part <= stood.head.append_n;
	     part += STEP)
		for (size_t half = 0; half <= 2; half++) {
			appended(part, part * half / 2, SPAN(""));
			appended(part, part * half / 2, SPAN(OTHER));
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(it_gets_longer, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_is_getting_longer, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_gets_shorter, setup, teardown),
	    cmocka_unit_test_setup_teardown(in_several_writes, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_is_completed_later, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_cannot_be, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_is_appended, setup, teardown),
	};
	const char *memory = getenv("MT_MEMORY");

	/* what is made and thrown away here need not be written to a disk */
	if (memory == NULL && access("/dev/shm", W_OK) == 0)
		memory = "/dev/shm";
	if (memory != NULL)
		setenv("TMPDIR", memory, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
