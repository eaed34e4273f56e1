/*
 * mbox: the driver on real files: what reading leaves alone, what others change, what is
 * written and reads back, what goes on being readable.
 */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "storage/crlf.h"
#include "tests/unit/support/mboxbox.h"

#define FROM(n) "From a@b Thu Nov 29 22:33:5" #n " 2001\n"

static const char three[] =
    FROM(1) "A: 1\n\none\n\n" FROM(2) "A: 2\n\ntwo\n\n" FROM(3) "A: 3\n\nthree\n\n";

static struct mboxbox m;

static void
must(int rc, const char *what)
{
	if (rc == -1)
		check_fail("%s: %s", what, strerror(errno));
}

static void
reopen(void)
{
	mboxbox_close(&m);
	mboxbox_open(&m);
}

static struct mt_header
head(void)
{
	struct mt_header h;

	must(box_refresh(m.inbox), "box_refresh");
	box_header(m.inbox, &h);
	return h;
}

static struct numset
one(struct numrange *room, uint32_t lo, uint32_t hi)
{
	*room = (struct numrange){lo, hi};
	return (struct numset){.r = room, .n = 1};
}

static void
set_flags(uint32_t uid, enum flag_how how, uint16_t flags, uint32_t keywords)
{
	struct numrange room;
	struct numset set = one(&room, uid, uid);
	struct flag_change c = {how, flags, keywords, UINT64_MAX};

	must(box_flags(m.inbox, &set, &c, NULL), "box_flags");
}

static void
expunge(uint32_t lo, uint32_t hi)
{
	struct numrange room;
	struct numset set = one(&room, lo, hi);

	must(box_expunge(m.inbox, &set, false, NULL), "box_expunge");
}

/* All of a message, as it goes out. */
static struct span
wire(uint32_t uid)
{
	static char text[1 << 20];
	struct message *msg;
	struct mt_record r;

	must(box_sized(m.inbox, uid, &r), "box_sized");
	must(message_open(m.inbox, uid, &msg), "message_open");
	must(message_read(msg, 0, text, (size_t)r.wire_size), "message_read");
	message_close(msg);
	return (struct span){text, (size_t)r.wire_size};
}

static void
check_message(uint32_t uid, const char *want)
{
	check_span(wire(uid), span_of(want), "UID %u", uid);
}

static void
check_uids(const char *want)
{
	struct mt_record r = {0};
	char text[256] = "";

	must(box_refresh(m.inbox), "box_refresh");
	while (box_next(m.inbox, r.uid, &r) == 0)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%u ", r.uid);
	check_span(span_of(text), span_of(want), "UIDs");
}

static uint16_t
flags_of(uint32_t uid)
{
	struct mt_record r;

	must(box_record(m.inbox, uid, &r), "box_record");
	return r.flags;
}

/* ---- reading ------------------------------------------------------------------------------ */

static void
reading_writes_nothing(void **state)
{
	struct stat before, after;
	uint32_t validity;
	struct numset recent = {0};

	(void)state;
	mboxbox_make(&m, span_of(three));
	must(fstatat(m.top, "inbox", &before, 0), "stat");
	validity = head().uidvalidity;
	check_uids("1 2 3 ");
	check_message(1, "A: 1\r\n\r\none\r\n");
	check_message(3, "A: 3\r\n\r\nthree\r\n");
	must(box_claim_recent(m.inbox, &recent), "claim");
	numset_free(&recent);
	reopen();
	check_num(head().uidvalidity, validity, "UIDVALIDITY after a restart");
	check_uids("1 2 3 ");
	must(fstatat(m.top, "inbox", &after, 0), "stat");
	check_span(mboxbox_get(&m, "inbox"), span_of(three), "the file");
	check_num((uint64_t)after.st_mtim.tv_nsec, (uint64_t)before.st_mtim.tv_nsec,
	          "mtime");
	check_num((uint64_t)after.st_ctim.tv_nsec, (uint64_t)before.st_ctim.tv_nsec,
	          "ctime");
	mboxbox_remove(&m);
}

static void
what_others_do_is_seen(void **state)
{
	(void)state;
	mboxbox_make(&m, span_of(three));
	check_uids("1 2 3 ");
	mboxbox_add(&m, "inbox", SPAN(FROM(4) "A: 4\n\nfour\n\n"));
	check_uids("1 2 3 4 ");
	/* the second one removed, flags set, in a file that tells no UIDs */
	mboxbox_put(
	    &m, "inbox",
	    SPAN(FROM(1) "A: 1\nStatus: RO\n\none\n\n" FROM(
	        3) "A: 3\nX-Status: F\n\nthree\n\n" FROM(4) "A: 4\n\nfour\n\n"));
	check_uids("1 3 4 ");
	check_num(flags_of(1), MT_SEEN, "flags of 1");
	check_num(flags_of(3), MT_FLAGGED, "flags of 3");
	check_message(4, "A: 4\r\n\r\nfour\r\n");
	reopen();
	check_uids("1 3 4 ");
	/* another message in its place: never under its UID */
	mboxbox_put(&m, "inbox",
	            SPAN(FROM(1) "A: 9\n\none\n\n" FROM(3) "A: 3\n\nthree\n\n"));
	check_uids("3 5 ");
	check_message(5, "A: 9\r\n\r\none\r\n");
	mboxbox_remove(&m);
}

static void
a_last_line_without_end_is_completed_by_others(void **state)
{
	(void)state;
	mboxbox_make(&m, SPAN(FROM(1) "A: 1\n\none"));
	check_message(1, "A: 1\r\n\r\none\r\n");
	mboxbox_add(&m, "inbox", SPAN("\n\n" FROM(2) "A: 2\n\ntwo\n"));
	check_uids("1 2 ");
	check_message(1, "A: 1\r\n\r\none\r\n");
	check_message(2, "A: 2\r\n\r\ntwo\r\n");
	check_num((uint64_t)mboxbox_deliver(m.inbox, SPAN("A: 3\n\nthree")), 3, "UID");
	check_message(2, "A: 2\r\n\r\ntwo\r\n");
	mboxbox_remove(&m);
}

static void
what_is_no_mbox_is_not_touched(void **state)
{
	struct box *top, *b;

	(void)state;
	mboxbox_make(&m, SPAN(""));
	mboxbox_put(&m, "notes", SPAN("some text\n"));
	must(store_top(m.store, &top), "top");
	must(box_child(top, "notes", &b), "notes");
	check_num((uint64_t)(box_refresh(b) == -1), 1, "refused");
	check_num((uint64_t)errno, EIO, "errno");
	check_span(mboxbox_get(&m, "notes"), SPAN("some text\n"), "the file");
	box_unref(b);
	box_unref(top);
	mboxbox_remove(&m);
}

static void
an_open_message_stays_right(void **state)
{
	struct message *msg;
	char text[64];

	(void)state;
	mboxbox_make(&m, span_of(three));
	(void)wire(3);
	must(message_open(m.inbox, 3, &msg), "message_open");
	mboxbox_put(&m, "inbox",
	            SPAN(FROM(2) "A: 2\n\ntwo\n\n" FROM(3) "A: 3\n\nthree\n\n"));
	must(message_read(msg, 0, text, 15), "message_read");
	check_mem(text, 15, "A: 3\r\n\r\nthree\r\n", "moved");
	mboxbox_put(
	    &m, "inbox",
	    SPAN(FROM(2) "A: 2\n\ntwo\n\n" FROM(3) "A: 3\n\nTHREE and more\n\n"));
	check_num((uint64_t)(message_read(msg, 0, text, 15) == -1), 1,
	          "an error, not others' octets");
	message_close(msg);
	mboxbox_remove(&m);
}

/* ---- writing -------------------------------------------------------------------------------- */

static void
flags_find_their_place(void **state)
{
	struct stat first, second;
	unsigned number;

	(void)state;
	mboxbox_make(&m, span_of(three));
	must(box_keyword(m.inbox, SPAN("Work"), true, &number), "keyword");
	set_flags(2, FLAGS_ADD, MT_SEEN, 1u << number);
	must(fstatat(m.top, "inbox", &first, 0), "stat");
	check_true(memmem(mboxbox_get(&m, "inbox").p, (size_t)first.st_size,
	                  "X-IMAPbase: ", 12) != NULL,
	           "the first change writes the UIDs");
	set_flags(1, FLAGS_ADD,
	          MT_ANSWERED | MT_FLAGGED | MT_DRAFT | MT_DELETED | MT_SEEN,
	          1u << number);
	set_flags(2, FLAGS_REPLACE, MT_FLAGGED, 0);
	must(fstatat(m.top, "inbox", &second, 0), "stat");
	check_num((uint64_t)second.st_size, (uint64_t)first.st_size, "in place");
	for (int i = 0; i < 2; i++) {
		check_num(flags_of(1), MT_FLAGS, "flags of 1");
		check_num(flags_of(2), MT_FLAGGED, "flags of 2");
		check_message(1, "A: 1\r\n\r\none\r\n");
		check_message(2, "A: 2\r\n\r\ntwo\r\n");
		check_message(3, "A: 3\r\n\r\nthree\r\n");
		reopen();
	}
	mboxbox_remove(&m);
}

static void
uids_outlive_the_index_once_written(void **state)
{
	uint32_t validity;
	char index[96];

	(void)state;
	mboxbox_make(&m, span_of(three));
	expunge(1, 1);
	check_num(mboxbox_deliver(m.inbox, SPAN("A: 4\n\nfour\n")), 4, "UID");
	validity = head().uidvalidity;
	mboxbox_close(&m);
	snprintf(index, sizeof index, "rm -r %s/index", m.scratch);
	check_num((uint64_t)system(index), 0, "rm");
	mboxbox_open(&m);
	check_num(head().uidvalidity, validity, "UIDVALIDITY");
	check_uids("2 3 4 ");
	check_num(head().uidnext, 5, "UIDNEXT");
	mboxbox_remove(&m);
}

static void
an_emptied_mailbox_reuses_nothing(void **state)
{
	uint32_t validity;

	(void)state;
	mboxbox_make(&m, span_of(three));
	validity = head().uidvalidity;
	expunge(1, 3);
	check_num(mboxbox_get(&m, "inbox").n, 0, "the file");
	reopen();
	check_num(head().uidvalidity, validity, "UIDVALIDITY");
	check_num(mboxbox_deliver(m.inbox, SPAN("A: 4\n\nfour\n")), 4, "UID");
	mboxbox_add(&m, "inbox", SPAN(FROM(5) "A: 5\n\nfive\n\n"));
	check_uids("4 5 ");
	mboxbox_remove(&m);
}

/* The wire octets of what was delivered. */
static struct span
as_wire(struct span in)
{
	static char out[1 << 20];
	struct crlf conv = {0};
	size_t used, n = crlf_push(&conv, in, out, sizeof out - 2, &used);

	n += crlf_end(&conv, out + n);
	return (struct span){out, n};
}

static const char *const letters[] = {
    "",
    "\n",
    "\r\n",
    "\r",
    "\n\n\n",
    "x",
    "A: b",
    "A: b\n",
    "A: b\n\n",
    "A: b\n\n\n",
    "A: b\r\n\r\nbody\r\n",
    "A: b\n\nbody\r",
    "A: b\n\nbody\r\r\n",
    "A: b\n\nbody\r\r\r\nmore\rx\n",
    " begins with a blank\nA: b\n\nbody",
    "From a@b Thu Nov 29 22:33:52 2001\nA: b\n\nbody\n",
    "A: b\nFrom a@b Thu Nov 29 22:33:52 2001\nC: d\n\nbody\n",
    "A: b\n\nFrom here\n>From there\n>>From everywhere\nFrom\n",
    "A: b\n\n>From there only\n",
    "A: b\n\ntext\n\nFrom a@b Thu Nov 29 22:33:52 2001\n\ntext\n",
    "A: b\n\nends in From ",
    "A: b\n\nends so\n>>From",
    "A: b\n\n.\n..\n\n\n",
    "no header at all\nFrom me\n",
};

static void
deliver_all(const char *begin)
{
	mboxbox_make(&m, span_of(begin));
	for (unsigned round = 0; round < 2; round++)
		for (size_t i = 0; i < ARRAY_LEN(letters); i++)
			(void)mboxbox_deliver(m.inbox, span_of(letters[i]));
	for (unsigned look = 0; look < 3; look++) {
		size_t n = ARRAY_LEN(letters), before = (size_t)head().nmessage - 2 * n;

		for (size_t i = 0; i < 2 * n; i++)
			check_span(wire((uint32_t)(before + i + 1)),
			           as_wire(span_of(letters[i % n])),
			           "letter %zu, look %u", i, look);
		if (look == 0)
			set_flags((uint32_t)(before + 3), FLAGS_ADD, MT_FLAGS, 0);
		else
			reopen();
	}
	mboxbox_remove(&m);
}

static void
what_is_delivered_reads_back(void **state)
{
	(void)state;
	deliver_all("");
	deliver_all(three);
	deliver_all("From a@b Thu Nov 29 22:33:51 2001\r\nA: 1\r\n\r\none\r\n\r\n");
	deliver_all(FROM(1) "A: 1\n\nno end");
}

static void
fields_of_the_file_do_not_arrive(void **state)
{
	(void)state;
	mboxbox_make(&m, span_of(three));
	(void)mboxbox_deliver(
	    m.inbox, SPAN("A: b\nStatus: RO\nx-uid: 77\n more\nX-IMAPbase: 1 9\n"
	                  "X-Status : D\nC: d\n\nStatus: RO\n"));
	check_message(4, "A: b\r\nC: d\r\n\r\nStatus: RO\r\n");
	check_num(flags_of(4), 0, "flags");
	check_num(head().uidnext, 5, "UIDNEXT");
	mboxbox_remove(&m);
}

static void
what_is_held_stays_readable(void **state)
{
	struct mt_record r;
	struct cursor *c;
	struct mt_event ev[16];
	char text[13];

	(void)state;
	mboxbox_make(&m, span_of(three));
	(void)wire(1);
	(void)wire(2);
	must(cursor_open(m.inbox, true, &c), "cursor_open");
	must(box_record(m.inbox, 2, &r), "box_record");
	expunge(1, 2);
	must(box_wire_read(m.inbox, r.wire_off, text, 13), "box_wire_read");
	check_mem(text, 13, "A: 2\r\n\r\ntwo\r\n", "held");
	check_message(3, "A: 3\r\n\r\nthree\r\n");
	while (cursor_read(c, ev, 16) > 0)
		;
	cursor_close(c);
	check_uids("3 ");
	mboxbox_remove(&m);
}

static void
folders_are_directories(void **state)
{
	struct box *top, *a, *b;

	(void)state;
	mboxbox_make(&m, span_of(three));
	must(store_create(m.store, SPAN("A/B c"), USE_SENT), "create");
	must(store_top(m.store, &top), "top");
	must(box_child(top, "A", &a), "A");
	check_num((uint64_t)box_kind(a), BOX_PARENT, "a directory");
	must(box_child(a, "B c", &b), "B c");
	check_num(mboxbox_deliver(b, SPAN("A: b\n")), 1, "UID");
	check_num((uint64_t)(store_create(m.store, SPAN("A/B c/d"), 0) == -1), 1,
	          "refused");
	check_num((uint64_t)errno, ENOTSUP, "a file has no children");
	must(store_rename(m.store, SPAN("A/B c"), SPAN("E")), "rename");
	must(box_refresh(b), "the box follows");
	check_num(mboxbox_deliver(b, SPAN("A: c\n")), 2, "UID");
	check_num((uint64_t)faccessat(m.top, "A", F_OK, 0), (uint64_t)-1,
	          "an empty directory goes");
	must(store_delete(m.store, SPAN("E")), "delete");
	box_unref(a);
	box_unref(b);
	box_unref(top);
	mboxbox_remove(&m);
}

static struct stat synced[64];
static size_t nsynced;
static ino_t above; /* in it a folder was made, and it has not been synced since; 0 */

int
fsync(int fd)
{
	struct stat st;

	must(fstat(fd, &st), "fstat");
	if (nsynced < ARRAY_LEN(synced))
		synced[nsynced++] = st;
	if (st.st_ino == above)
		above = 0;
	return (int)syscall(SYS_fsync, fd);
}

int
mkdirat(int dir, const char *name, mode_t mode)
{
	int rc = (int)syscall(SYS_mkdirat, dir, name, mode);
	struct stat st;

	must(fstat(dir, &st), "fstat");
	if (rc == 0)
		above = st.st_ino;
	return rc;
}

static void
check_synced(const char *dir)
{
	struct stat st;
	size_t i = 0;

	must(fstatat(m.top, dir, &st, 0), dir);
	while (i < nsynced && (synced[i].st_ino != st.st_ino || synced[i].st_dev != st.st_dev))
		i++;
	check_true(i < nsynced, "%s was synced", dir);
}

/* A mailbox is as durable as every directory above it; so is what the index has of it. */
static void
names_are_durable(void **state)
{
	(void)state;
	/* its UIDVALIDITY stands there already: nothing else is written beside the folder */
	mboxbox_make(&m, SPAN(FROM(1) "X-IMAPbase: 1234567890 1\nX-UID: 1\nA: 1\n\none\n\n"));
	check_num(above, 0, "the index folder of the INBOX was synced");
	nsynced = 0;
	must(store_create(m.store, SPAN("A/B/C"), 0), "create");
	check_synced(".");
	check_synced("A");
	check_synced("A/B");
	nsynced = 0;
	must(store_rename(m.store, SPAN("A/B/C"), SPAN("D/E/F")), "rename");
	check_synced(".");
	check_synced("D");
	check_synced("D/E");
	mboxbox_remove(&m);
}

/* Its file is `inbox`: what lies in a directory INBOX is not in the way. */
static void
nothing_is_made_below_the_inbox(void **state)
{
	(void)state;
	mboxbox_make(&m, span_of(three));
	errno = 0;
	check_num((uint64_t)store_create(m.store, SPAN("INBOX/x"), 0), (uint64_t)-1, "create");
	check_num((uint64_t)errno, ENOTSUP, "create");
	must(store_create(m.store, SPAN("E"), 0), "create");
	check_num((uint64_t)store_rename(m.store, SPAN("E"), SPAN("INBOX/x")), (uint64_t)-1,
	          "rename");
	check_num((uint64_t)errno, ENOTSUP, "rename");
	check_num((uint64_t)faccessat(m.top, "INBOX", F_OK, 0), (uint64_t)-1, "INBOX/");
	mboxbox_close(&m);
	must(mkdirat(m.top, "INBOX", 0700), "mkdir");
	mboxbox_open(&m);
	check_uids("1 2 3 ");
	mboxbox_remove(&m);
}

/* What an mbox needs is in the index that another daemon has: a new one will not do. */
static void
an_index_is_one_daemons(void **state)
{
	char index[96];
	struct env *other = NULL;

	(void)state;
	mboxbox_make(&m, span_of(three));
	snprintf(index, sizeof index, "%s/index", m.scratch);
	errno = 0;
	check_num((uint64_t)env_open(
	              &(struct env_conf){.index_path = index, .alone_ms = 1}, &other),
	          (uint64_t)-1, "env_open");
	check_num((uint64_t)errno, EBUSY, "env_open");
	check_num((uint64_t)store_needs_index("mbox:/nowhere"), 1, "an mbox");
	check_num((uint64_t)store_needs_index("maildir:/nowhere"), 0, "a Maildir");
	mboxbox_remove(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_index_is_one_daemons),
	    cmocka_unit_test(reading_writes_nothing),
	    cmocka_unit_test(what_others_do_is_seen),
	    cmocka_unit_test(a_last_line_without_end_is_completed_by_others),
	    cmocka_unit_test(what_is_no_mbox_is_not_touched),
	    cmocka_unit_test(an_open_message_stays_right),
	    cmocka_unit_test(flags_find_their_place),
	    cmocka_unit_test(uids_outlive_the_index_once_written),
	    cmocka_unit_test(an_emptied_mailbox_reuses_nothing),
	    cmocka_unit_test(what_is_delivered_reads_back),
	    cmocka_unit_test(fields_of_the_file_do_not_arrive),
	    cmocka_unit_test(what_is_held_stays_readable),
	    cmocka_unit_test(folders_are_directories),
	    cmocka_unit_test(names_are_durable),
	    cmocka_unit_test(nothing_is_made_below_the_inbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
