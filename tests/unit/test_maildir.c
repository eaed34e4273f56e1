/*
 * maildir: the driver on real directories: what Dovecot's files say before and after,
 * outside changes, mailboxes, planted files, what recovery finds.
 */
#include "tests/unit/support/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "tests/unit/support/maildirbox.h"

static struct maildirbox m;

static int
setup(void **state)
{
	(void)state;
	maildirbox_make(&m);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	maildirbox_remove(&m);
	return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- helpers ------------------------------------------------------------------------- */

static void
must(int rc, const char *what)
{
	if (rc == -1)
		check_fail("%s: %s", what, strerror(errno));
}

static void
put(const char *path, const char *text)
{
	int fd = openat(m.top, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd, path);
	must(io_write_all(fd, span_of(text)), path);
	close(fd);
}

/* The whole file, for the length of the test program. */
static const char *
get(const char *path)
{
	static char text[65536];
	int fd = openat(m.top, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	must(fd, path);
	n = io_pread_full(fd, text, sizeof text - 1, 0);
	must(n == -1 ? -1 : 0, path);
	text[n] = '\0';
	close(fd);
	return text;
}

static bool
exists(const char *path)
{
	return faccessat(m.top, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static size_t
entries(const char *path)
{
	int fd = openat(m.top, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dp = fd == -1 ? NULL : fdopendir(fd);
	size_t n = 0;

	assert_non_null(dp);
	while (readdir(dp) != NULL)
		n++;
	closedir(dp);
	return n - 2;
}

static void
reopen(void)
{
	maildirbox_close(&m);
	maildirbox_open(&m);
}

static size_t
count(struct box *b)
{
	struct mt_header h;

	box_header(b, &h);
	return (size_t)h.nmessage;
}

static struct mt_record
record(struct box *b, uint32_t uid)
{
	struct mt_record r = {0};

	must(box_record(b, uid, &r), "box_record");
	return r;
}

static void
check_base(struct box *b, uint32_t uid, const char *want)
{
	struct buf name = {0};

	must(box_base_name(b, uid, &name), "box_base_name");
	check_span(buf_span(&name), span_of(want), "base name of UID %u", uid);
	buf_free(&name);
}

static struct numset
one(struct numrange *room, uint32_t lo, uint32_t hi)
{
	*room = (struct numrange){lo, hi};
	return (struct numset){.r = room, .n = 1};
}

static void
set_flags(struct box *b, uint32_t uid, enum flag_how how, uint16_t flags, uint32_t keywords)
{
	struct numrange room;
	struct numset set = one(&room, uid, uid);
	struct flag_change c = {how, flags, keywords, UINT64_MAX};

	must(box_flags(b, &set, &c, NULL), "box_flags");
}

static void
settle(void)
{
	usleep(30000); /* out of the clock tick of what was done before */
	must(box_refresh(m.inbox), "refresh");
}

static void
check_text(struct box *b, uint32_t uid, const char *want)
{
	struct message *msg;
	struct mt_record r;
	char text[4096];

	must(message_open(b, uid, &msg), "message_open");
	message_record(msg, &r);
	must(message_read(msg, 0, text, (size_t)r.wire_size), "message_read");
	message_close(msg);
	check_mem(text, (size_t)r.wire_size, want, "UID %u", uid);
}

/* ---- Dovecot's files ------------------------------------------------------------------ */

static void
dovecot_state_is_taken_over(void **state)
{
	struct mt_header h;
	struct mt_record r;
	struct buf uidl = {0};

	(void)state;
	maildirbox_close(&m);
	put("cur/1000.M1P1.h:2,FSa", "a\n");
	put("cur/1001.M2P1.h,S=2:2,Sbz", "b\n");
	put("new/1002.M3P1.h", "c\n");
	put("dovecot-uidlist", "3 V1252415028 N30 G1d8eed0f4cfa9a4a3d0d0000b4e1d8a3 Xfuture\n"
			       "5 W4 S2 :1000.M1P1.h\n"
			       "7 PUID7-12 Qkept :1001.M2P1.h,S=2:2,S\n"
			       "8 :999.gone.h\n"
			       "29 :1002.M3P1.h\n");
	put("dovecot-keywords", "0 $Junk\n1 Important\n");
	maildirbox_open(&m);
	box_header(m.inbox, &h);
	check_num(h.uidvalidity, 1252415028, "uidvalidity");
	check_num(h.uidnext, 30, "uidnext");
	check_num(h.nmessage, 3, "messages");
	check_num(h.guid[0], 0x1d, "guid");
	check_mem(h.keyword[1], strlen(h.keyword[1]), "Important", "keyword 1");
	r = record(m.inbox, 5);
	check_num(r.flags, MT_FLAGGED | MT_SEEN, "flags of 5");
	check_num(r.keywords, 1, "keywords of 5");
	r = record(m.inbox, 7);
	check_num(r.keywords, 2, "a letter without a name is no keyword");
	check_num(r.bits & MT_UIDL, MT_UIDL, "own UIDL");
	must(box_uidl(m.inbox, 7, &uidl), "box_uidl");
	check_span(buf_span(&uidl), SPAN("UID7-12"), "UIDL");
	check_num((uint64_t)box_uidl(m.inbox, 5, &uidl), (uint64_t)-1, "no UIDL of its own");
	check_num(record(m.inbox, 29).bits & MT_RECENT, MT_RECENT, "recent");
	check_num(maildirbox_deliver(m.inbox, SPAN("d\n")), 30, "next UID");
	buf_free(&uidl);
}

/* Every key that we do not know stays; the dead record goes; UIDNEXT does not fall. */
static void
uidlist_keeps_what_it_had(void **state)
{
	const char *text;

	(void)state;
	maildirbox_close(&m);
	put("cur/1000.a.h:2,", "a\n");
	put("dovecot-uidlist", "3 V77 N30 G1d8eed0f4cfa9a4a3d0d0000b4e1d8a3 Xfuture\n"
			       "5 W4 Qkept :1000.a.h\n8 :999.gone.h\n");
	maildirbox_open(&m);
	text = get("dovecot-uidlist");
	check_mem(text, strlen(text),
		  "3 V77 N30 G1d8eed0f4cfa9a4a3d0d0000b4e1d8a3 Xfuture\n5 W4 Qkept :1000.a.h\n",
		  "rewritten");
	maildirbox_drop(&m, "2000.b.h", SPAN("b\n"));
	must(box_refresh(m.inbox), "refresh");
	text = get("dovecot-uidlist");
	check_true(strstr(text, "5 W4 Qkept :1000.a.h\n30 :2000.b.h\n") != NULL, "appended: %s", text);
}

static void
version_1_and_missing_guid(void **state)
{
	static const struct {
		const char *list;
		uint32_t uidnext;
	} row[] = {
	    {"1 77 30\n5 1000.a.h:2,\n", 30},
	    {"3 V77 N6\n5 :1000.a.h\n", 6},
	    {"3 V77 N2 G1d8eed0f4cfa9a4a3d0d0000b4e1d8a3\n5 :1000.a.h\n", 6},
	    {"3 V77 N6 G1d8eed0f4cfa9a4a3d0d0000b4e1d8a3\n5 :1000.a.h\n9 :torn", 6},
	};

	(void)state;
	put("cur/1000.a.h:2,", "a\n");
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct mt_header h;

		maildirbox_close(&m);
		put("dovecot-uidlist", row[i].list);
		maildirbox_open(&m);
		box_header(m.inbox, &h);
		check_num(h.uidvalidity, 77, "row %zu", i);
		check_num(h.uidnext >= row[i].uidnext, 1, "row %zu: uidnext %u", i, h.uidnext);
		check_num(h.nmessage, 1, "row %zu", i);
		check_base(m.inbox, 5, "1000.a.h");
		if (i < 2)
			check_true(strstr(get("dovecot-uidlist"), " G") != NULL, "row %zu: GUID",
				   i);
	}
	/* the torn append was cut off before the next one */
	maildirbox_drop(&m, "2000.b.h", SPAN("b\n"));
	must(box_refresh(m.inbox), "refresh");
	check_true(strstr(get("dovecot-uidlist"), "torn") == NULL, "torn line");
	check_true(strstr(get("dovecot-uidlist"), ":2000.b.h\n") != NULL, "appended");
}

static void
corrupt_list_gets_another_uidvalidity(void **state)
{
	struct mt_header before, after;

	(void)state;
	maildirbox_drop(&m, "2000.b.h", SPAN("b\n"));
	must(box_refresh(m.inbox), "refresh");
	box_header(m.inbox, &before);
	maildirbox_close(&m);
	put("dovecot-uidlist", "3 V77 N30 G1d8eed0f4cfa9a4a3d0d0000b4e1d8a3\n9 :b\n3 :a\n");
	maildirbox_open(&m);
	box_header(m.inbox, &after);
	check_num(after.nmessage, 1, "messages");
	check_true(after.uidvalidity != before.uidvalidity && after.uidvalidity != 77,
		   "uidvalidity %u", after.uidvalidity);
}

/* While a mailbox is open nobody's rm of the list changes a UID. */
static void
removed_list_is_written_again(void **state)
{
	struct mt_header before, after;

	(void)state;
	for (int i = 0; i < 3; i++)
		maildirbox_deliver(m.inbox, SPAN("x\n"));
	box_header(m.inbox, &before);
	must(unlinkat(m.top, "dovecot-uidlist", 0), "unlink");
	settle();
	box_header(m.inbox, &after);
	check_num(after.uidvalidity, before.uidvalidity, "uidvalidity");
	check_num(after.nmessage, 3, "messages");
	reopen();
	box_header(m.inbox, &after);
	check_num(after.uidvalidity, before.uidvalidity, "uidvalidity, reopened");
	check_num(record(m.inbox, 2).uid, 2, "UID");
}

static void
uidvalidity_by_dovecots_marker(void **state)
{
	struct box *top, *b;
	struct mt_header h;

	(void)state;
	must(unlinkat(m.top, "dovecot-uidvalidity", 0), "unlink");
	must(store_top(m.store, &top), "top");
	put("dovecot-uidvalidity", "70000001");
	put("dovecot-uidvalidity.70000001", "");
	must(box_mkdir(top, "A", &b), "mkdir");
	must(box_refresh(b), "refresh");
	box_header(b, &h);
	check_num(h.uidvalidity, 0x70000002, "the next one");
	check_true(exists("dovecot-uidvalidity.70000002"), "marker");
	check_true(!exists("dovecot-uidvalidity.70000001"), "old marker");
	check_mem(get("dovecot-uidvalidity"), 8, "70000002", "file");
	box_unref(b);
	box_unref(top);
}

static void
courier_is_taken_over(void **state)
{
	struct buf uidl = {0};
	struct mt_header h;

	(void)state;
	maildirbox_close(&m);
	(void)unlinkat(m.top, "dovecot-uidlist", 0);
	put("cur/1.a.h:2,S", "a\n");
	put("cur/2.b.h:2,", "b\n");
	put("new/3.c.h", "c\n");
	put("courierimapuiddb", "1 123456 10\n4 1.a.h\n6 2.b.h\n");
	put("courierpop3dsizelist", "/2 9 123456\n1.a.h:2,S 3 2:123456\n2.b.h:2, 3 8:123456\n");
	maildirbox_open(&m);
	box_header(m.inbox, &h);
	check_num(h.uidvalidity, 123456, "uidvalidity");
	check_base(m.inbox, 4, "1.a.h");
	check_base(m.inbox, 6, "2.b.h");
	check_base(m.inbox, 10, "3.c.h");
	must(box_uidl(m.inbox, 6, &uidl), "uidl");
	check_span(buf_span(&uidl), SPAN("UID8-123456"), "Courier's UIDL");
	check_true(strstr(get("dovecot-uidlist"), "6 PUID8-123456 :2.b.h\n") != NULL, "kept: %s",
		   get("dovecot-uidlist"));
	buf_free(&uidl);
}

/* ---- outside changes -------------------------------------------------------------------- */

static void
new_files_in_order_of_time(void **state)
{
	(void)state;
	maildirbox_drop(&m, "1000000000.z.h", SPAN("3\n"));
	maildirbox_drop(&m, "999999999.z.h", SPAN("1\n"));
	maildirbox_drop(&m, "1000000000.a.h", SPAN("2\n"));
	put("new/.hidden", "x");
	put("new/bad\rname", "x");
	must(symlinkat("/etc/passwd", m.top, "new/5.link.h"), "symlink");
	must(box_refresh(m.inbox), "refresh");
	check_num(count(m.inbox), 3, "messages");
	check_base(m.inbox, 1, "999999999.z.h");
	check_base(m.inbox, 2, "1000000000.a.h");
	check_base(m.inbox, 3, "1000000000.z.h");
	must(unlinkat(m.top, "new/bad\rname", 0), "unlink");
}

static void
odd_names(void **state)
{
	static const struct {
		const char *name;
		uint16_t flags;
	} row[] = {
	    {"cur/1.a:2,SRF", MT_SEEN | MT_ANSWERED | MT_FLAGGED},
	    {"cur/2.b;2,S", MT_SEEN},
	    {"cur/3.c", 0},
	    {"cur/4.d:1,S", 0},
	    {"cur/5.e:2,PSX,extra", MT_SEEN},
	    {"cur/6.\xff\xfe:2,T", MT_DELETED},
	    {"new/7.g:2,S", MT_SEEN},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		put(row[i].name, "x\n");
	must(box_refresh(m.inbox), "refresh");
	for (uint32_t i = 0; i < ARRAY_LEN(row); i++)
		check_num(record(m.inbox, i + 1).flags, row[i].flags, "row %u", i);
	for (uint32_t uid = 1; uid <= ARRAY_LEN(row); uid++)
		set_flags(m.inbox, uid, FLAGS_ADD, MT_DRAFT, 0);
	check_true(exists("cur/1.a:2,DFRS"), "sorted");
	check_true(exists("cur/2.b;2,DS"), "its separator");
	check_true(exists("cur/3.c:2,D"), "gets an info");
	check_true(exists("cur/5.e:2,DPSX,extra"), "unknown letters and the rest stay");
	check_true(exists("cur/7.g:2,DS"), "moved to cur/");
	check_num(record(m.inbox, 7).bits & MT_RECENT, 0, "and is no longer recent");
	settle();
	check_num(count(m.inbox), ARRAY_LEN(row), "nothing lost");
}

static void
one_message_with_two_names(void **state)
{
	struct numrange room;
	struct numset set;

	(void)state;
	put("cur/1.a:2,", "first\n");
	must(box_refresh(m.inbox), "refresh");
	put("new/1.a", "second\n");
	put("cur/1.a:2,F", "third\n");
	settle();
	check_num(count(m.inbox), 1, "one message");
	check_text(m.inbox, 1, "first\r\n");
	/* the name that it is to get is its twin's */
	set_flags(m.inbox, 1, FLAGS_ADD, MT_FLAGGED, 0);
	settle();
	check_text(m.inbox, 1, "first\r\n");
	check_num(count(m.inbox), 2, "the twin became a message");
	check_text(m.inbox, 2, "third\r\n");
	set = one(&room, 1, 2);
	must(box_expunge(m.inbox, &set, false, NULL), "expunge");
	check_num(entries("new"), 1, "nobody's file is removed");
}

static void
reappearing_file_gets_a_new_uid(void **state)
{
	(void)state;
	for (int again = 0; again < 2; again++) {
		put("cur/1.a:2,", "x\n");
		must(box_refresh(m.inbox), "refresh");
		check_num(count(m.inbox), 1, "there, %d", again);
		check_num(record(m.inbox, (uint32_t)again + 1).uid, (uint32_t)again + 1, "UID");
		must(unlinkat(m.top, "cur/1.a:2,", 0), "unlink");
		settle();
		check_num(count(m.inbox), 0, "gone, %d", again);
	}
	put("cur/1.a:2,", "x\n");
	reopen();
	check_num(count(m.inbox), 1, "there");
	check_num(record(m.inbox, 3).uid, 3, "UID after reopening");
	check_true(strstr(get("dovecot-uidlist"), "2 :") == NULL, "one record a file: %s",
		   get("dovecot-uidlist"));
}

/* Flags that somebody set between our look and our change are merged, not undone. */
static void
flags_merge(void **state)
{
	struct mt_record r;

	(void)state;
	put("cur/1.a:2,", "x\n");
	must(box_refresh(m.inbox), "refresh");
	for (int i = 0; i < 3; i++) {
		static const char *const name[] = {"cur/1.a:2,", "cur/1.a:2,S", "cur/1.a:2,FS",
						   "cur/1.a:2,FRST"};
		static const uint16_t flag[] = {MT_FLAGGED, MT_ANSWERED, MT_DRAFT};

		if (i == 1)
			must(renameat(m.top, "cur/1.a:2,F", m.top, "cur/1.a:2,FST"), "rename");
		set_flags(m.inbox, 1, FLAGS_ADD, flag[i], 0);
		(void)name;
	}
	r = record(m.inbox, 1);
	check_num(r.flags, MT_FLAGGED | MT_ANSWERED | MT_DRAFT | MT_SEEN | MT_DELETED, "merged");
	check_true(exists("cur/1.a:2,DFRST"), "name");
}

static void
keywords_by_name(void **state)
{
	unsigned number;
	struct box *top, *b;
	struct numrange room;
	struct numset set = one(&room, 1, 1);
	struct mt_header h;

	(void)state;
	put("dovecot-keywords", "0 $Junk\n3 $Label\nnonsense\n");
	put("cur/1.a:2,bd", "x\n");
	must(box_refresh(m.inbox), "refresh");
	check_num(record(m.inbox, 1).keywords, 8, "only letters that have names");
	must(box_keyword(m.inbox, SPAN("Second"), true, &number), "keyword");
	check_num(number, 1, "lowest free");
	check_num(record(m.inbox, 1).keywords, 10, "the letter got a meaning");
	check_true(strstr(get("dovecot-keywords"), "0 $Junk\n1 Second\n3 $Label\n") != NULL, "%s",
		   get("dovecot-keywords"));
	must(store_top(m.store, &top), "top");
	must(box_mkdir(top, "B", &b), "mkdir");
	must(box_keyword(b, SPAN("Other"), true, &number), "keyword");
	must(box_copy(m.inbox, &set, b, false, NULL, NULL), "copy");
	box_header(b, &h);
	check_mem(h.keyword[1], strlen(h.keyword[1]), "Second", "mapped by name");
	check_mem(h.keyword[2], strlen(h.keyword[2]), "$Label", "mapped by name");
	check_num(record(b, 1).keywords, 6, "mapped");
	box_unref(b);
	box_unref(top);
}

/* ---- mailboxes ----------------------------------------------------------------------------- */

static void
mailboxes(void **state)
{
	struct box *top, *a, *ab, *c;

	(void)state;
	must(store_top(m.store, &top), "top");
	must(box_mkdir(top, "A", &a), "mkdir A");
	check_true(exists(".A/maildirfolder") && exists(".A/cur"), "made");
	check_num((uint64_t)box_mkdir(top, "A", &c), (uint64_t)-1, "again");
	check_num((uint64_t)errno, EEXIST, "again");
	must(box_mkdir(a, "B", &ab), "mkdir A/B");
	check_true(exists(".A.B/cur"), "child");
	maildirbox_deliver(ab, SPAN("x\n"));
	check_num((uint64_t)box_rmdir(a, "B"), (uint64_t)-1, "not empty");
	check_num((uint64_t)errno, ENOTEMPTY, "not empty");
	check_true(exists(".A.B/new") && !exists("..mailtree-removed..A.B"), "back");
	must(box_rename(top, "A", top, "C"), "rename");
	check_true(exists(".C.B/cur") && exists(".C/cur") && !exists(".A.B"), "renamed");
	check_num(count(ab), 1, "its message");
	check_text(ab, 1, "x\r\n");
	check_num((uint64_t)box_rmdir(top, "INBOX"), (uint64_t)-1, "INBOX");
	check_num((uint64_t)errno, EBUSY, "INBOX");
	box_unref(a);
	box_unref(ab);
	must(box_child(top, "C", &c), "C");
	must(unlinkat(m.top, ".C.B/dovecot-uidlist", 0), "unlink");
	must(box_rmdir(c, "B") == -1 && errno == ENOTEMPTY ? 0 : -1, "still there");
	box_unref(c);
	box_unref(top);
}

static void
removal_takes_everything(void **state)
{
	struct box *top, *a;

	(void)state;
	must(store_top(m.store, &top), "top");
	must(box_mkdir(top, "A", &a), "mkdir");
	put(".A/cur/.nfs0001", "x");
	put(".A/tmp/leftover", "x");
	must(mkdirat(m.top, ".A/extra", 0700), "mkdir");
	put(".A/extra/file", "x");
	must(symlinkat("/etc", m.top, ".A/link"), "symlink");
	put("subscriptions", "A\n");
	must(box_rmdir(top, "A"), "rmdir");
	check_true(!exists(".A") && !exists("..mailtree-removed..A"), "gone");
	check_true(faccessat(AT_FDCWD, "/etc/passwd", F_OK, 0) == 0, "nothing outside");
	check_mem(get("subscriptions"), 2, "A\n", "still subscribed");
	box_unref(a);
	box_unref(top);
}

static void
cut_off_removals_and_renames(void **state)
{
	(void)state;
	maildirbox_close(&m);
	/* removal hidden, then a message came, then we died */
	must(mkdirat(m.top, "..mailtree-removed..Full", 0700), "mkdir");
	must(mkdirat(m.top, "..mailtree-removed..Full/new", 0700), "mkdir");
	must(mkdirat(m.top, "..mailtree-removed..Full/cur", 0700), "mkdir");
	put("..mailtree-removed..Full/new/1.a", "x\n");
	must(mkdirat(m.top, "..mailtree-removed..Empty", 0700), "mkdir");
	must(mkdirat(m.top, "..mailtree-removed..Empty/cur", 0700), "mkdir");
	/* one of two renames was done */
	must(mkdirat(m.top, ".New", 0700), "mkdir");
	must(mkdirat(m.top, ".Old.X", 0700), "mkdir");
	{
		int fd = openat(m.top, "..mailtree-rename", O_WRONLY | O_CREAT, 0600);
		static const char text[] = ".Old\0.New\0.Old.X\0.New.X\0../evil\0.Y";

		must(fd, "journal");
		must(io_write_all(fd, (struct span){text, sizeof text}), "journal");
		close(fd);
	}
	maildirbox_open(&m);
	check_true(exists(".Full/new/1.a"), "the message is back");
	check_true(!exists("..mailtree-removed..Empty"), "removed");
	check_true(exists(".New.X") && !exists(".Old.X"), "renamed");
	check_true(!exists("..mailtree-rename"), "journal gone");
}

/* ---- what the dead left -------------------------------------------------------------------- */

static void
leftovers(void **state)
{
	static const char held[] = "tmp/5.e.h-9.mt-held-0123456789abcdef";
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	int fd;

	(void)state;
	maildirbox_close(&m);
	put("tmp/1.a.h.mt-keep-4", "abc\nwritten after the flush");
	put("tmp/2.b.h.mt-draft", "nobody was promised this");
	put("tmp/3.c.h.mt-keep-2", "c\n");
	put("cur/3.c.h:2,S", "c\n");
	put("tmp/foreign", "x");
	put("tmp/4.d.h.mt-keep-2", "d\n");
	put("tmp/6.f.h.mt-keep-lots", "not ours");
	put(held, "x");
	utimensat(m.top, "tmp/foreign", old, 0);
	/* somebody is still writing this one */
	fd = openat(m.top, "tmp/4.d.h.mt-keep-2", O_RDWR | O_CLOEXEC);
	must(flock(fd, LOCK_EX | LOCK_NB), "flock");
	maildirbox_open(&m);
	check_num(count(m.inbox), 2, "messages");
	check_true(exists("new/1.a.h"), "delivered");
	check_mem(get("new/1.a.h"), strlen(get("new/1.a.h")), "abc\n", "cut to what was flushed");
	check_true(!exists("tmp/3.c.h.mt-keep-2"), "delivered before");
	check_true(exists("tmp/2.b.h.mt-draft"), "young draft");
	check_true(exists("tmp/foreign"), "foreign");
	check_true(exists("tmp/4.d.h.mt-keep-2"), "locked");
	check_true(exists("tmp/6.f.h.mt-keep-lots"), "no name of ours");
	check_true(!exists(held), "held by nobody");
	close(fd);
	reopen();
	check_true(exists("new/4.d.h"), "delivered when let go");
	check_num(count(m.inbox), 3, "messages");
}

static void
held_by_a_living_one(void **state)
{
	int fd;

	(void)state;
	maildirbox_close(&m);
	put("tmp/5.e.h-9.mt-held-0123456789abcdef", "x");
	put("tmp/0123456789abcdef.mt-holder", "");
	fd = openat(m.top, "tmp/0123456789abcdef.mt-holder", O_RDWR | O_CLOEXEC);
	must(flock(fd, LOCK_EX | LOCK_NB), "flock");
	maildirbox_open(&m);
	check_num(entries("tmp"), 2, "both stay");
	close(fd);
	reopen();
	check_num(entries("tmp"), 0, "both go");
}

static void
commit_is_carried_out(void **state)
{
	static const char text[] = "1.a.h.mt-draft\0c1.a.h:2,S\0"
				   "2.b.h.mt-draft\0n2.b.h\0"
				   "0.done.mt-draft\0n0.done\0"
				   "../../etc/x\0nevil\0";
	int fd;

	(void)state;
	maildirbox_close(&m);
	put("tmp/1.a.h.mt-draft", "a\n");
	put("tmp/2.b.h.mt-draft", "b\n");
	fd = openat(m.top, "tmp/0123456789abcdef.mt-commit", O_WRONLY | O_CREAT, 0600);
	must(fd, "commit");
	must(io_write_all(fd, (struct span){text, sizeof text - 1}), "commit");
	close(fd);
	maildirbox_open(&m);
	check_num(count(m.inbox), 2, "messages");
	check_true(exists("cur/1.a.h:2,S") && exists("new/2.b.h"), "in place");
	check_num(entries("tmp"), 0, "nothing left");
}

static void
several_are_delivered_in_order(void **state)
{
	struct delivery d[3];
	uint32_t uids[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		char text[8];

		snprintf(text, sizeof text, "%u\n", i);
		d[i] = (struct delivery){.date = 1000 + i, .flags = i == 1 ? MT_SEEN : 0};
		must(stage_open(m.inbox, &d[i].stage), "stage_open");
		must(stage_write(d[i].stage, text, 2, 0), "stage_write");
		must(stage_flush(d[i].stage, false), "stage_flush");
	}
	must(box_deliver(m.inbox, d, 3, uids), "box_deliver");
	for (unsigned i = 0; i < 3; i++) {
		struct mt_record r = record(m.inbox, uids[i]);

		check_num(uids[i], i + 1, "UID");
		check_num((uint64_t)r.date, 1000 + i, "date");
		check_num(r.flags, i == 1 ? MT_SEEN : 0, "flags");
	}
	check_num(entries("tmp"), 0, "nothing left in tmp/");
	check_num(entries("cur"), 1, "with flags");
	reopen();
	check_num(count(m.inbox), 3, "reopened");
	check_text(m.inbox, 3, "2\r\n");
	check_num((uint64_t)record(m.inbox, 2).date, 1001, "date, reopened");
}

/* ---- a store that is only looked at ----------------------------------------------------------- */

static void
open_readonly(void)
{
	char index[96], mail[96];
	struct box *top;

	snprintf(index, sizeof index, "%s/index-ro", m.scratch);
	snprintf(mail, sizeof mail, "%s/mail", m.scratch);
	must(env_open(&(struct env_conf){.index_path = index}, &m.env), "env");
	must(store_open(m.env,
			&(struct store_conf){
			    .name = "ro", .location = mail, .rootfd = -1, .readonly = true},
			&m.store),
	     "store");
	must(store_top(m.store, &top), "top");
	must(box_child(top, "INBOX", &m.inbox), "INBOX");
	box_unref(top);
	must(box_refresh(m.inbox), "refresh");
}

static void
read_only_has_uids_of_its_own(void **state)
{
	static const char list[] = "3 V77 N6 G1d8eed0f4cfa9a4a3d0d0000b4e1d8a3\n5 :1.a\n";
	struct flag_change c = {FLAGS_ADD, MT_SEEN, 0, UINT64_MAX};
	struct numset all = {.r = &(struct numrange){1, UINT32_MAX}, .n = 1};
	struct mt_header h;

	(void)state;
	maildirbox_close(&m);
	(void)unlinkat(m.top, "dovecot-uidvalidity", 0);
	put("dovecot-uidlist", list);
	put("cur/1.a:2,", "a\n");
	put("new/2.b", "b\n");
	open_readonly();
	check_base(m.inbox, 5, "1.a");
	check_base(m.inbox, 6, "2.b");
	check_num((uint64_t)box_flags(m.inbox, &all, &c, NULL), (uint64_t)-1, "flags");
	check_num((uint64_t)errno, EROFS, "flags");
	check_mem(get("dovecot-uidlist"), strlen(get("dovecot-uidlist")), list, "untouched");
	maildirbox_close(&m);
	open_readonly();
	check_base(m.inbox, 6, "2.b");

	/* the owner comes to the same result, and goes on */
	put("new/3.c", "c\n");
	put("dovecot-uidlist", "3 V77 N6 G1d8eed0f4cfa9a4a3d0d0000b4e1d8a3\n5 :1.a\n"
			       "6 :2.b\n9 :3.c\n");
	settle();
	check_base(m.inbox, 9, "3.c");
	box_header(m.inbox, &h);
	check_num(h.uidvalidity, 77, "the same UIDs");

	/* and now to another one */
	put("new/4.d", "d\n");
	settle();
	check_base(m.inbox, 10, "4.d");
	put("new/5.e", "e\n");
	put("dovecot-uidlist", "3 V77 N6 G1d8eed0f4cfa9a4a3d0d0000b4e1d8a3\n5 :1.a\n"
			       "6 :2.b\n9 :3.c\n10 :5.e\n11 :4.d\n");
	settle();
	for (int again = 0; again < 2; again++) {
		box_header(m.inbox, &h);
		check_num(h.nmessage, 5, "messages");
		check_base(m.inbox, 10, "4.d"); /* what we have said stays */
		check_base(m.inbox, 12, "5.e"); /* 11 is theirs */
		maildirbox_close(&m);
		open_readonly();
	}
	check_num(entries("tmp"), 0, "nothing written");
	check_true(!exists("dovecot-uidvalidity") && !exists("dovecot-uidlist.lock"), "nothing written");
	maildirbox_close(&m);
	maildirbox_open(&m);
}

/* ---- planted files --------------------------------------------------------------------------- */

static char victim[96];

static void
make_victim(void)
{
	int fd;

	snprintf(victim, sizeof victim, "%s/victim", m.scratch);
	fd = open(victim, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd, "victim");
	must(io_write_all(fd, SPAN("3 V1 N9 G1d8eed0f4cfa9a4a3d0d0000b4e1d8a3\n8 :1.a\n")), "victim");
	close(fd);
}

static void
victim_is_unharmed(const char *what)
{
	struct stat st;

	must(stat(victim, &st), what);
	check_num((uint64_t)st.st_size, 49, "%s: size", what);
}

static void
planted_in_place_of_state(void **state)
{
	static const char *const name[] = {"dovecot-uidlist", "dovecot-keywords",
					   "dovecot-uidlist.tmp", "dovecot-keywords.tmp",
					   "dovecot-uidvalidity", "courierimapuiddb"};

	(void)state;
	make_victim();
	for (size_t i = 0; i < ARRAY_LEN(name); i++)
		for (int kind = 0; kind < 3; kind++) {
			unsigned number;

			maildirbox_close(&m);
			(void)unlinkat(m.top, "dovecot-uidlist", 0);
			(void)unlinkat(m.top, name[i], 0);
			if (kind == 0)
				must(symlinkat(victim, m.top, name[i]), "symlink");
			else if (kind == 1)
				must(linkat(AT_FDCWD, victim, m.top, name[i], 0), "link");
			else
				must(mkfifoat(m.top, name[i], 0600), "mkfifo");
			must(env_open(&(struct env_conf){.index_path = victim}, &m.env) == -1 ? 0 : -1,
			     "index_path is no directory");
			{
				/* opening may fail, with an error; it may not go outside */
				char index[96], mail[96];
				struct box *top;

				snprintf(index, sizeof index, "%s/index", m.scratch);
				snprintf(mail, sizeof mail, "%s/mail", m.scratch);
				must(env_open(&(struct env_conf){.index_path = index}, &m.env),
				     "env");
				must(store_open(m.env,
						&(struct store_conf){.name = "test",
								     .location = mail,
								     .rootfd = -1},
						&m.store),
				     "store");
				must(store_top(m.store, &top), "top");
				must(box_child(top, "INBOX", &m.inbox), "INBOX");
				box_unref(top);
				if (box_refresh(m.inbox) == 0)
					(void)box_keyword(m.inbox, SPAN("Planted"), true, &number);
			}
			victim_is_unharmed(name[i]);
			(void)unlinkat(m.top, name[i], 0);
		}
	reopen();
}

static void
planted_directories(void **state)
{
	char outside[96];
	struct box *top, *b;
	int fd;

	(void)state;
	snprintf(outside, sizeof outside, "%s/outside", m.scratch);
	must(mkdir(outside, 0700), "mkdir");
	must(mkdirat(m.top, ".A", 0700), "mkdir");
	fd = openat(m.top, ".A", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(mkdirat(fd, "new", 0700), "mkdir");
	must(symlinkat(outside, fd, "cur"), "symlink");
	must(symlinkat(outside, fd, "tmp"), "symlink");
	must(symlinkat(outside, m.top, ".L"), "symlink");
	must(store_top(m.store, &top), "top");
	must(box_child(top, "A", &b), "A");
	check_num((uint64_t)box_refresh(b), (uint64_t)-1, "cur/ is a symlink");
	check_num((uint64_t)errno, ELOOP, "cur/ is a symlink");
	box_unref(b);
	check_num((uint64_t)box_child(top, "L", &b), (uint64_t)-1, "symlink to a directory");
	/* tmp/ only: nothing can be staged */
	must(unlinkat(fd, "cur", 0), "unlink");
	must(mkdirat(fd, "cur", 0700), "mkdir");
	must(box_child(top, "A", &b), "A");
	must(box_refresh(b), "refresh");
	{
		struct stage *s;

		check_num((uint64_t)stage_open(b, &s), (uint64_t)-1, "tmp/ is a symlink");
	}
	box_unref(b);
	box_unref(top);
	close(fd);
	must(rmdir(outside), "nothing was written outside");
}

static void
foreign_links_are_not_read(void **state)
{
	struct message *msg;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can give a file away\n");
		skip();
	}
	make_victim();
	must(chown(victim, 12345, 12345), "chown");
	must(linkat(AT_FDCWD, victim, m.top, "cur/1.a:2,", 0), "link");
	must(box_refresh(m.inbox), "refresh");
	check_num((uint64_t)message_open(m.inbox, 1, &msg), (uint64_t)-1, "somebody else's");
	check_num((uint64_t)errno, EMLINK, "errno");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(dovecot_state_is_taken_over),
	    T(uidlist_keeps_what_it_had),
	    T(version_1_and_missing_guid),
	    T(corrupt_list_gets_another_uidvalidity),
	    T(removed_list_is_written_again),
	    T(uidvalidity_by_dovecots_marker),
	    T(courier_is_taken_over),
	    T(new_files_in_order_of_time),
	    T(odd_names),
	    T(one_message_with_two_names),
	    T(reappearing_file_gets_a_new_uid),
	    T(flags_merge),
	    T(keywords_by_name),
	    T(mailboxes),
	    T(removal_takes_everything),
	    T(cut_off_removals_and_renames),
	    T(leftovers),
	    T(held_by_a_living_one),
	    T(commit_is_carried_out),
	    T(several_are_delivered_in_order),
	    T(read_only_has_uids_of_its_own),
	    T(planted_in_place_of_state),
	    T(planted_directories),
	    T(foreign_links_are_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
