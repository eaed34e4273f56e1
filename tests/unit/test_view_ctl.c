/* view_ctl, view_boxes: sets of any length, answers in pages, blobs, staging, mailboxes. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/fakebox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"

static struct fakebox fb;
static struct view view;

/* What ctl answers, one after the other, and what it was asked. */
static const char *const *script;
static struct buf asked;

static int
scripted_ctl(void *arg, struct mt_ctl *ctl)
{
	(void)arg;
	check_true(*script != NULL, "asked once too often: %.*s", (int)ctl->size,
	           ctl->text);
	(void)buf_add(&asked, (struct span){ctl->text, ctl->size});
	(void)buf_addc(&asked, '|');
	ctl->size = (uint32_t)strlen(*script);
	memcpy(ctl->text, *script++, ctl->size);
	return 0;
}

static void
set_script(const char *const *answers)
{
	static const char *copy[8];
	size_t n = 0;

	do
		copy[n] = answers[n];
	while (answers[n++] != NULL);
	script = copy;
	buf_reset(&asked);
}

#define SCRIPT(...) set_script((const char *const[]){__VA_ARGS__, NULL})
#define NO_SCRIPT   set_script((const char *const[]){NULL})

static void
was_asked(const char *want)
{
	check_span(buf_span(&asked), span_of(want), "asked");
	check_true(*script == NULL, "more was to be asked");
}

static int
setup(void **state)
{
	struct view_conf conf;

	(void)state;
	fakebox_make(&fb);
	conf = fakebox_conf(&fb);
	conf.ctl = scripted_ctl;
	check_num((uint64_t)view_open(&conf, &view), 0, "view_open: %s",
	          strerror(errno));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	view_close(&view);
	fakebox_remove(&fb);
	buf_free(&asked);
	return 0;
}

static struct numset
set_of(const char *text)
{
	struct numset set = {0};

	check_num((uint64_t)numset_parse(span_of(text), 0, 100000, &set), 0, "%s",
	          text);
	return set;
}

static void
is_set(struct numset *got, const char *want)
{
	struct buf text = {0};

	(void)numset_print(got, &text);
	check_span(buf_span(&text), span_of(want), "set");
	buf_free(&text);
	numset_free(got);
}

/* ---- rows and news --------------------------------------------------------------------- */

static void
rows_by_number(void **state)
{
	struct mt_record rec[300];

	(void)state;
	for (int i = 0; i < 300; i++)
		(void)fakebox_add(&fb, SPAN("x\r\n"), i == 7 ? MT_EXPUNGED : 0);
	fakebox_publish(&fb);
	for (uint32_t row = 0; row < 300; row += 13)
		for (size_t n = 0; n <= 300 - row; n += 1 + n / 3) {
			memset(rec, 0xa5, sizeof rec);
			check_num((uint64_t)view_rows(&view, row, rec, n), 0, "%u, %zu",
			          row, n);
			for (size_t i = 0; i < n; i++)
				check_num(rec[i].uid, row + i + 1, "row %u, %zu of %zu",
				          row, i, n);
		}
	check_num((uint64_t)view_rows(&view, 299, rec, 2), (uint64_t)-1,
	          "past the end");
	check_num((uint64_t)errno, ESTALE, "past the end");
	fb.rec[5].check++;
	fakebox_publish(&fb);
	check_num((uint64_t)view_rows(&view, 5, rec, 1), (uint64_t)-1, "torn for good");
	check_num((uint64_t)errno, EIO, "torn for good");
}

static void
news(void **state)
{
	struct mt_event ev[2];

	(void)state;
	check_num((uint64_t)view_news(&view, ev, 2), 0, "none");
	for (int i = 0; i < 3; i++)
		fakebox_event(&fb, MT_EV_NEW, fakebox_add(&fb, SPAN("x\r\n"), 0));
	check_num((uint64_t)view_news(&view, ev, 2), 2, "two");
	check_num(ev[1].rec.uid, 2, "UID");
	check_num((uint64_t)view_news(&view, ev, 2), 1, "one");
	check_num(ev[0].rec.uid, 3, "UID");
	check_num((uint64_t)view_news(&view, ev, 2), 0, "none");
}

/* ---- flags, expunge ---------------------------------------------------------------------- */

static void
flags_go_on_from_where_the_answer_ended(void **state)
{
	struct numset set = set_of("1:10,20,30:40"), modified = {0};

	(void)state;
	SCRIPT("modified 2,4\nmore 8\n", "more 35\n", "modified 36\nok\n");
	check_num(
	    (uint64_t)view_flags(&view, '+', SPAN("\\Seen,$x"), &set, 77, &modified), 0,
	    "flags");
	was_asked("flags +\\Seen,$x 1:10,20:20,30:40 unchangedsince 77|"
	          "flags +\\Seen,$x 8:10,20:20,30:40 unchangedsince 77|"
	          "flags +\\Seen,$x 35:40 unchangedsince 77|");
	is_set(&modified, "2,4,36");
	SCRIPT("ok\n");
	check_num((uint64_t)view_flags(&view, '=', SPAN(""), &set, UINT64_MAX, NULL), 0,
	          "flags");
	was_asked("flags = 1:10,20:20,30:40|");
	numset_free(&set);
}

static void
answers_that_are_none(void **state)
{
	static const char *const bad[] = {
	    "more 1\n",         "more 0\n", "expunged 1\nok\n", "modified\nok\n",
	    "modified x\nok\n", "\nok\n",   "modified 5:*\nok", "what\n"};
	struct numset set = set_of("1:10"), none = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct numset modified = {0};

		SCRIPT(bad[i]);
		check_num(
		    (uint64_t)view_flags(&view, '-', SPAN("x"), &set, 1, &modified),
		    i == 6 ? 0 : (uint64_t)-1, "row %zu", i);
		check_true(i == 6 || errno == EPROTO, "row %zu: %s", i,
		           strerror(errno));
		numset_free(&modified);
	}
	SCRIPT("error ENOSPC all 26\n");
	check_num((uint64_t)view_flags(&view, '+', SPAN("x"), &set, 1, NULL),
	          (uint64_t)-1, "full");
	check_num((uint64_t)errno, ENOSPC, "full");
	NO_SCRIPT;
	check_num((uint64_t)view_flags(&view, '+', SPAN("x"), &none, 1, NULL), 0,
	          "nobody is asked");
	numset_free(&set);
}

static void
long_sets_are_said_in_parts(void **state)
{
	struct numset set = {0}, gone = {0};

	(void)state;
	for (uint32_t uid = 1; uid < 12000; uid += 3)
		check_num((uint64_t)numset_add(&set, uid, uid), 0, "add");
	SCRIPT("expunged 1\nok\n", "ok\n", "expunged 9998\nok\n");
	check_num((uint64_t)view_expunge_deleted(&view, &set, &gone), 0, "expunge");
	for (struct span all = buf_span(&asked), one; span_cut(&all, '|', &one);)
		check_true(one.n <= sizeof((struct mt_ctl *)NULL)->text &&
		               span_eq(span_from(one, one.n - 8), SPAN(" deleted")),
		           "%zu octets", one.n);
	is_set(&gone, "1,9998");
	numset_free(&set);
}

static void
sizes(void **state)
{
	struct numset set = set_of("5:9");

	(void)state;
	SCRIPT("more 1\n", "ok\n");
	check_num((uint64_t)view_sizes(&view, &set), 0, "sizes");
	was_asked("sizes 5:9 2000|sizes 5:9 2000|");
	numset_free(&set);
}

/* ---- copy ------------------------------------------------------------------------------------ */

static void
copies_in_parts(void **state)
{
	struct numset set = set_of("1:4294967295"), from = {0}, to = {0};
	uint32_t validity = 0;

	(void)state;
	fb.head.uidnext = 21; /* what comes later is not meant */
	fakebox_publish(&fb);
	SCRIPT("copyuid 9 1:5,8 100:105\nmore 9\n", "copyuid 9 9:11 106:108\nok\n");
	check_num(
	    (uint64_t)view_copy(&view, &set, SPAN("A b"), false, &validity, &from, &to),
	    0, "copy");
	was_asked("copy 1:20 A b|copy 9:20 A b|");
	check_num(validity, 9, "UIDVALIDITY");
	is_set(&from, "1:5,8:11");
	is_set(&to, "100:108");
	numset_free(&set);
}

static void
a_copy_that_fails_leaves_nothing(void **state)
{
	struct numset set = set_of("1:20"), from = {0}, to = {0};
	uint32_t validity;
	char hidden[160], other[128];

	(void)state;
	fb.head.uidnext = 21;
	fakebox_publish(&fb);
	snprintf(other, sizeof other, "%s/Other", fb.path);
	snprintf(hidden, sizeof hidden, "%s/" MT_HIDDEN, other);
	check_num((uint64_t)mkdir(other, 0700), 0, "mkdir");
	check_num((uint64_t)mkdir(hidden, 0700), 0, "mkdir");
	SCRIPT("copyuid 9 1:5 100:104\nmore 9\n", "error EDQUOT full\n", "ok\n");
	check_num((uint64_t)view_copy(&view, &set, SPAN("Other"), false, &validity,
	                              &from, &to),
	          (uint64_t)-1, "copy");
	check_num((uint64_t)errno, EDQUOT, "copy");
	was_asked("copy 1:20 Other|copy 9:20 Other|expunge 100:104|");
	is_set(&from, "");
	is_set(&to, "");
	SCRIPT("copyuid 9 1:5 100:104\nmore 9\n", "error EDQUOT full\n");
	check_num((uint64_t)view_copy(&view, &set, SPAN("Other"), true, &validity,
	                              &from, &to),
	          (uint64_t)-1, "move");
	was_asked("move 1:20 Other|move 9:20 Other|");
	is_set(&from, "1:5");
	is_set(&to, "100:104");
	numset_free(&set);
	(void)rmdir(hidden);
	(void)rmdir(other);
}

/* ---- recent, vanished ------------------------------------------------------------------------- */

static void
what_vanished(void **state)
{
	struct numset set = {0};

	(void)state;
	SCRIPT("vanished 1:3,7\nmore 9\n", "vanished 9\nok\n");
	check_num((uint64_t)view_vanished(&view, 5, &set), 0, "vanished");
	was_asked("vanished 5 1|vanished 5 9|");
	is_set(&set, "1:3,7,9");
	SCRIPT("incomplete\nok\n");
	check_num((uint64_t)view_vanished(&view, 5, &set), 1, "incomplete");
	SCRIPT("more 1\n");
	check_num((uint64_t)view_vanished(&view, 5, &set), (uint64_t)-1, "in circles");
	SCRIPT("recent 4:5\nok\n");
	check_num((uint64_t)view_recent(&view, &set), 0, "recent");
	is_set(&set, "4:5");
}

/* ---- delivery ----------------------------------------------------------------------------------- */

static void
stages_and_commits(void **state)
{
	const struct view_delivery d[] = {
	    {"one", 1234567890, SPAN("\\Seen,$x")},
	    {".two", INT64_MIN, {NULL, 0}},
	    {"three", -1, SPAN("y")},
	};
	struct numset uids = {0};
	char dir[128];
	int fd;

	(void)state;
	snprintf(dir, sizeof dir, "%s/INBOX/" MT_HIDDEN "/" MT_NEW, fb.path);
	check_num((uint64_t)mkdir(dir, 0700), 0, "mkdir");
	fd = view_stage(&view, "one");
	check_true(fd != -1, "stage: %s", strerror(errno));
	check_num((uint64_t)view_stage(&view, "one"), (uint64_t)-1, "in use");
	check_num((uint64_t)errno, EEXIST, "in use");
	check_num((uint64_t)faccessat(view.hidden, MT_NEW "/" MT_APPEND "one", F_OK, 0),
	          0, "its name");
	check_num((uint64_t)view_stage(&view, "a/b"), (uint64_t)-1, "a slash");
	check_num((uint64_t)view_stage(&view, ""), (uint64_t)-1, "nothing");
	close(fd);
	SCRIPT("uids 7:9\nok\n");
	check_num((uint64_t)view_commit(&view, d, 3, &uids), 0, "commit");
	was_asked("commit " MT_APPEND "one date 1234567890 flags \\Seen,$x\n"
	          "commit " MT_APPEND ".two\n"
	          "commit " MT_APPEND "three date -1 flags y\n|");
	is_set(&uids, "7:9");
	check_num((uint64_t)view_unstage(&view, "one"), 0, "unstage");
	check_num((uint64_t)view_unstage(&view, "one"), (uint64_t)-1, "once more");
	check_num((uint64_t)rmdir(dir), 0, "rmdir");
}

static int marks, commits;

static int
counting_ctl(void *arg, struct mt_ctl *ctl)
{
	struct span text = {ctl->text, ctl->size}, line;

	(void)arg;
	while (span_cut(&text, '\n', &line))
		*(span_starts(line, SPAN("mark ")) ? &marks : &commits) += 1;
	ctl->size = 3;
	memcpy(ctl->text, "ok\n", 3);
	return 0;
}

static void
long_commits_are_said_in_parts(void **state)
{
	struct view_delivery d[VIEW_COMMIT_MAX + 1];
	struct numset uids = {0};
	char flags[3000], name[41];

	(void)state;
	memset(flags, 'k', sizeof flags);
	memset(name, 'n', 40);
	name[40] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(d); i++)
		d[i] = (struct view_delivery){name, 1700000000, {flags, sizeof flags}};
	view.conf.ctl = counting_ctl;
	check_num((uint64_t)view_commit(&view, d, VIEW_COMMIT_MAX, &uids), 0,
	          "commit: %s", strerror(errno));
	check_num((uint64_t)marks, VIEW_COMMIT_MAX, "marks");
	check_num((uint64_t)commits, VIEW_COMMIT_MAX, "commits");
	check_num((uint64_t)view_commit(&view, d, VIEW_COMMIT_MAX + 1, &uids),
	          (uint64_t)-1, "too many");
	check_num((uint64_t)errno, EMSGSIZE, "too many");
	check_num((uint64_t)view_commit(&view, d, 0, &uids), 0, "none");
}

/* ---- blobs --------------------------------------------------------------------------------------- */

static size_t
put_blob(char *at, uint32_t uid, const char *text)
{
	struct mt_blob b = {.uid = uid, .size = (uint32_t)strlen(text)};
	size_t whole = sizeof b + (b.size + 7) / 8 * 8;

	memset(at, 0, whole);
	memcpy(at, &b, sizeof b);
	memcpy(at + sizeof b, text, b.size);
	return whole;
}

/* A plain file stands for `cache`, so what is written at 0 is read for UID 0. */
static void
blobs(void **state)
{
	char name[128], out[256], in[256];
	size_t n;
	int fd;

	(void)state;
	snprintf(name, sizeof name, "%s/INBOX/" MT_HIDDEN "/" MT_CACHE, fb.path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	n = put_blob(out, 3, "three");
	n += put_blob(out + n, 5, "");
	n += put_blob(out + n, 9, "nine nine nine");
	check_num((uint64_t)view_cache_write(&view, out, n - 8), (uint64_t)-1,
	          "not whole");
	check_num((uint64_t)errno, EINVAL, "not whole");
	check_num((uint64_t)view_cache_write(&view, out, n), 0, "write");
	check_num((uint64_t)view_cache_read(&view, 0, in, sizeof in), n, "read");
	check_true(memcmp(in, out, n) == 0, "the same");
	check_num((uint64_t)view_cache_read(&view, 0, in, n - 1), n - 16 - 16,
	          "what fits");
	for (size_t at = 0; at < n; at++) {
		char bad = (char)(out[at] ^ 0x40);
		ssize_t got;

		check_num(
		    (uint64_t)io_pwrite_all(fd, (struct span){&bad, 1}, (off_t)at), 0,
		    "spoil");
		got = view_cache_read(&view, 0, in, sizeof in);
		check_true(got >= 0 && (size_t)got <= n && (size_t)got % 8 == 0,
		           "octet %zu: %zd", at, got);
		check_num(
		    (uint64_t)io_pwrite_all(fd, (struct span){&out[at], 1}, (off_t)at),
		    0, "mend");
	}
	check_num((uint64_t)unlink(name), 0, "unlink");
	close(fd);
}

/* ---- mailboxes ------------------------------------------------------------------------------------ */

static int
add_mailbox(void *arg, const struct view_mailbox *m)
{
	return buf_addf(arg, "%d%d%u<%.*s>", m->exists, m->subscribed, m->use,
	                (int)m->path.n, m->path.p);
}

static int
stop_at_once(void *arg, const struct view_mailbox *m)
{
	(void)arg, (void)m;
	return 5;
}

static void
mailboxes_in_pages(void **state)
{
	static const char *const bad[] = {"more 1\n", "m- -\nok\n", "m - A\nok\n",
	                                  "m-\nok\n", "m- - \nok\n"};
	struct buf got = {0};

	(void)state;
	SCRIPT("-- - A\nm- \\Sent,\\Later,\\Junk A/B c \nmore 1\n",
	       "ms - INBOX\n-s - x\nok\n");
	check_num((uint64_t)view_mailboxes(&view, add_mailbox, &got), 0, "list");
	was_asked("mailboxes|mailboxes A/B c |");
	check_span(buf_span(&got), SPAN("000<A>1048<A/B c >110<INBOX>010<x>"), "list");
	SCRIPT("-- - A\nmore 1\n");
	check_num((uint64_t)view_mailboxes(&view, stop_at_once, NULL), 5, "stopped");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		SCRIPT(bad[i]);
		check_num((uint64_t)view_mailboxes(&view, add_mailbox, &got),
		          (uint64_t)-1, "row %zu", i);
		check_num((uint64_t)errno, EPROTO, "row %zu", i);
	}
	buf_free(&got);
}

static void
changes_of_mailboxes(void **state)
{
	(void)state;
	SCRIPT("ok\n", "ok\n", "ok\n", "ok\n", "ok\n", "ok\n");
	check_num((uint64_t)view_create(&view, SPAN("A b"), 0), 0, "create");
	check_num((uint64_t)view_create(&view, SPAN("A"), VIEW_SENT | VIEW_ALL), 0,
	          "create");
	check_num((uint64_t)view_delete(&view, SPAN(" A")), 0, "delete");
	check_num((uint64_t)view_rename(&view, SPAN("A b"), SPAN("C/d e")), 0,
	          "rename");
	check_num((uint64_t)view_subscribe(&view, SPAN("A"), true), 0, "subscribe");
	check_num((uint64_t)view_subscribe(&view, SPAN("A"), false), 0, "unsubscribe");
	was_asked(
	    "create A b|create A\t\\All,\\Sent|delete  A|rename A b\tC/d e|subscribe A|"
	    "unsubscribe A|");
	SCRIPT("error EBUSY INBOX stays\n");
	check_num((uint64_t)view_delete(&view, SPAN("INBOX")), (uint64_t)-1, "INBOX");
	check_num((uint64_t)errno, EBUSY, "INBOX");
	NO_SCRIPT; /* nobody is asked */
	for (int i = 0; i < 4; i++) {
		static const struct span name[] = {SPAN(""), SPAN("a\tb"), SPAN("a\nb"),
		                                   SPAN("a\n")};

		errno = 0;
		check_num((uint64_t)view_create(&view, name[i], 0), (uint64_t)-1,
		          "row %d", i);
		check_num((uint64_t)errno, EINVAL, "row %d", i);
		check_num((uint64_t)view_rename(&view, SPAN("A"), name[i]),
		          (uint64_t)-1, "row %d", i);
		check_num((uint64_t)view_rename(&view, name[i], SPAN("A")),
		          (uint64_t)-1, "row %d", i);
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(rows_by_number),
	    T(news),
	    T(flags_go_on_from_where_the_answer_ended),
	    T(answers_that_are_none),
	    T(long_sets_are_said_in_parts),
	    T(sizes),
	    T(copies_in_parts),
	    T(a_copy_that_fails_leaves_nothing),
	    T(what_vanished),
	    T(stages_and_commits),
	    T(long_commits_are_said_in_parts),
	    T(blobs),
	    T(mailboxes_in_pages),
	    T(changes_of_mailboxes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
