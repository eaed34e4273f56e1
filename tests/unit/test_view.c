/* view: reading an index that others write, and speaking with ctl. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/fakebox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/io.h"

static struct fakebox fb;
static struct view view;

static int
setup(void **state)
{
	(void)state;
	fakebox_make(&fb);
	check_num((uint64_t)view_open(&(struct view_conf){.user_dir = fb.path,
	                                                  .mailbox = "INBOX",
	                                                  .ctl = fakebox_conf(&fb).ctl,
	                                                  .arg = &fb},
	                              &view),
	          0, "view_open: %s", strerror(errno));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	view_close(&view);
	view_close(&view);
	fakebox_remove(&fb);
	return 0;
}

static int
collect(void *arg, const struct mt_record *r)
{
	return buf_addf(arg, "%u ", r->uid);
}

static void
check_scan(const char *want)
{
	struct buf got = {0};
	struct mt_header head;

	check_num((uint64_t)view_scan(&view, &head, collect, &got), 0, "scan: %s",
	          strerror(errno));
	check_span(buf_span(&got), span_of(want), "scan");
	buf_free(&got);
}

static void
check_scan_fails(int error)
{
	struct buf got = {0};
	struct mt_header head;

	errno = 0;
	check_num((uint64_t)view_scan(&view, &head, collect, &got), (uint64_t)-1,
	          "scan");
	check_num((uint64_t)errno, (uint64_t)error, "scan");
	buf_free(&got);
}

static void
scans_what_lives(void **state)
{
	(void)state;
	check_scan("");
	for (int i = 0; i < 5; i++)
		(void)fakebox_add(&fb, SPAN("x\r\n"), i == 2 ? MT_EXPUNGED : 0);
	fakebox_publish(&fb);
	check_scan("1 2 4 5 ");
}

static int
stop_at_three(void *arg, const struct mt_record *r)
{
	*(uint32_t *)arg = r->uid;
	return r->uid == 3 ? 7 : 0;
}

static void
stops_when_told(void **state)
{
	struct mt_header head;
	uint32_t last = 0;

	(void)state;
	for (int i = 0; i < 5; i++)
		(void)fakebox_add(&fb, SPAN("x\r\n"), 0);
	fakebox_publish(&fb);
	check_num((uint64_t)view_scan(&view, &head, stop_at_three, &last), 7,
	          "each's value");
	check_num(last, 3, "no further");
}

/* Mends the index a while after the scan has met it torn. */
static void *
mend_later(void *arg)
{
	(void)arg;
	usleep(30000);
	fakebox_publish(&fb);
	return NULL;
}

static void
torn_at(off_t off, size_t n)
{
	char junk[64];
	pthread_t mender;

	memset(junk, 0xa5, sizeof junk);
	if (io_pwrite_all(fb.index, (struct span){junk, n}, off) == -1)
		check_fail("pwrite");
	check_num((uint64_t)pthread_create(&mender, NULL, mend_later, NULL), 0,
	          "thread");
	check_scan("1 2 3 ");
	pthread_join(mender, NULL);
}

static void
reads_torn_parts_again(void **state)
{
	static const struct {
		off_t off;
		size_t n;
	} row[] = {{8, 4},     {60, 8},        {252, 4},
	           {4096, 64}, {4096 + 64, 1}, {4096 + 3 * 64 - 1, 1}};

	(void)state;
	for (int i = 0; i < 3; i++)
		(void)fakebox_add(&fb, SPAN("x\r\n"), 0);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		fakebox_publish(&fb);
		torn_at(row[i].off, row[i].n);
	}
}

static void
gives_up_on_what_stays_torn(void **state)
{
	(void)state;
	(void)fakebox_add(&fb, SPAN("x\r\n"), 0)->check++;
	fakebox_publish(&fb);
	check_scan_fails(EIO);
}

static void
refuses_what_is_no_index(void **state)
{
	(void)state;
	fb.head.version++;
	fakebox_publish(&fb);
	check_scan_fails(EPROTONOSUPPORT);
	fb.head.version--;
	fb.head.magic[0] = 'M';
	fakebox_publish(&fb);
	check_scan_fails(EPROTONOSUPPORT);
	fb.head.magic[0] = 'm';
	(void)fakebox_add(&fb, SPAN("x\r\n"), 0);
	fakebox_publish(&fb);
	fb.head.nrecord = 500; /* says more than there is */
	fakebox_publish(&fb);
	if (ftruncate(fb.index, MT_HEADER_SIZE + 64) == -1)
		check_fail("ftruncate");
	check_scan_fails(ESTALE);
	fb.head.nrecord = 1;
}

static int
new_layout(void *arg, const struct mt_record *r)
{
	(void)r;
	fb.head.generation += *(unsigned *)arg;
	fakebox_publish(&fb);
	return 0;
}

static void
sees_a_new_layout(void **state)
{
	struct mt_header head;
	unsigned by = 1;

	(void)state;
	(void)fakebox_add(&fb, SPAN("x\r\n"), 0);
	fakebox_publish(&fb);
	check_num((uint64_t)view_scan(&view, &head, new_layout, &by), (uint64_t)-1,
	          "scan");
	check_num((uint64_t)errno, ESTALE, "scan");
	by = 0;
	check_num((uint64_t)view_scan(&view, &head, new_layout, &by), 0, "scan");
}

static void
falling_uids_are_corruption(void **state)
{
	(void)state;
	(void)fakebox_add(&fb, SPAN("x\r\n"), 0);
	fakebox_add(&fb, SPAN("x\r\n"), 0)->uid = 1;
	fakebox_seal(&fb.rec[1]);
	fakebox_publish(&fb);
	check_scan_fails(EIO);
}

static void
the_lock_excludes(void **state)
{
	struct view_conf conf = fakebox_conf(&fb);
	struct view other;

	(void)state;
	check_num((uint64_t)view_lock(&view), 0, "first");
	check_num((uint64_t)view_open(&conf, &other), 0, "second view");
	check_num((uint64_t)view_lock(&other), (uint64_t)-1, "second lock");
	check_num((uint64_t)errno, EBUSY, "second lock");
	view_close(&view);
	check_num((uint64_t)view_lock(&other), 0, "after the first has gone");
	view_close(&other);
}

static void
missing_mailbox(void **state)
{
	struct view_conf conf = fakebox_conf(&fb);
	struct view other;

	(void)state;
	conf.mailbox = "Nothing";
	check_num((uint64_t)view_open(&conf, &other), (uint64_t)-1, "open");
	check_num((uint64_t)errno, ENOENT, "open");
}

/* ---- ctl --------------------------------------------------------------------------------- */

static const char *canned;

static int
canned_ctl(void *arg, struct mt_ctl *ctl)
{
	(void)arg;
	ctl->size = (uint32_t)strlen(canned);
	memcpy(ctl->text, canned, ctl->size);
	return 0;
}

static void
reads_replies(void **state)
{
	static const struct {
		const char *reply, *data;
		int rc, error;
		uint32_t next;
	} row[] = {
	    {"ok\n", "", 0, 0, 0},
	    {"ok", "", 0, 0, 0},
	    {"1 a\n2 b\nok\n", "1 a\n2 b\n", 0, 0, 0},
	    {"1 a\nmore 17\n", "1 a\n", 1, 0, 17},
	    {"error ENOSPC no room\n", "", -1, ENOSPC, 0},
	    {"error EACCES\n", "", -1, EACCES, 0},
	    {"error EWHAT x\n", "", -1, EPROTO, 0},
	    {"", "", -1, EPROTO, 0},
	    {"\n", "", -1, EPROTO, 0},
	    {"okay\n", "", -1, EPROTO, 0},
	    {"more\n", "", -1, EPROTO, 0},
	    {"more x\n", "", -1, EPROTO, 0},
	};

	(void)state;
	view.conf.ctl = canned_ctl;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct buf data = {0};
		uint32_t next = 0;

		canned = row[i].reply;
		errno = 0;
		check_num((uint64_t)view_ctl(&view, SPAN("x"), &data, &next),
		          (uint64_t)row[i].rc, "row %zu", i);
		check_num((uint64_t)errno, (uint64_t)row[i].error, "row %zu: errno", i);
		check_num(next, row[i].next, "row %zu: next", i);
		check_span(buf_span(&data), span_of(row[i].data), "row %zu", i);
		buf_free(&data);
	}
}

static void
long_commands_are_split(void **state)
{
	struct numset set = {0};
	struct span asked, line;
	uint64_t lines = 0, uids = 0;

	(void)state;
	fb.head.uidnext = 100001;
	for (uint32_t uid = 1; uid <= 100000; uid += 7)
		check_num((uint64_t)numset_add(&set, uid, uid + 2), 0, "add");
	check_num((uint64_t)view_expunge(&view, &set), 0, "expunge");
	for (asked = buf_span(&fb.asked); span_cut(&asked, '\n', &line); lines++) {
		struct numset part = {0};

		check_true(line.n <= sizeof((struct mt_ctl *)NULL)->text, "fits");
		check_true(span_starts(line, SPAN("expunge ")), "verb");
		check_num(
		    (uint64_t)numset_parse(span_from(line, 8), 100000, 100000, &part),
		    0, "a set");
		uids += numset_count(&part);
		numset_free(&part);
	}
	check_true(lines > 5 && lines < 20, "%ju commands", (uintmax_t)lines);
	check_num(uids, numset_count(&set), "every UID once");
	numset_free(&set);
}

static void
nothing_to_expunge(void **state)
{
	struct numset none = {0};

	(void)state;
	check_num((uint64_t)view_expunge(&view, &none), 0, "expunge");
	check_num(fb.asked.n, 0, "not asked");
}

static void
expunge_fails_as_ctl_says(void **state)
{
	struct numset set = {0};

	(void)state;
	fb.refuse = EROFS;
	check_num((uint64_t)numset_add(&set, 1, 1), 0, "add");
	check_num((uint64_t)view_expunge(&view, &set), (uint64_t)-1, "expunge");
	check_num((uint64_t)errno, EROFS, "expunge");
	numset_free(&set);
}

static int
join(void *arg, uint32_t uid, struct span name)
{
	return buf_addf(arg, "%u=%.*s ", uid, (int)name.n, name.p);
}

static void
names_come_in_pages(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		(void)fakebox_add(&fb, SPAN("x\r\n"), 0);
	free(fb.name[4]);
	fb.name[4] = NULL;
	for (unsigned page = 0; page < 12; page++) {
		struct buf got = {0};

		fb.names_page = page;
		check_num(
		    (uint64_t)view_names(&view, VIEW_BASE_NAMES, 3, 9, join, &got), 0,
		    "page %u", page);
		check_span(
		    buf_span(&got),
		    SPAN("3=base.3.host 4=base.4.host 6=base.6.host 7=base.7.host "
		         "8=base.8.host 9=base.9.host "),
		    "page %u", page);
		buf_free(&got);
	}
}

static void
names_that_go_in_circles_end(void **state)
{
	struct buf got = {0};

	(void)state;
	view.conf.ctl = canned_ctl;
	canned = "3 a\nmore 3\n";
	check_num((uint64_t)view_names(&view, VIEW_UIDLS, 3, 9, join, &got),
	          (uint64_t)-1, "names");
	check_num((uint64_t)errno, EPROTO, "names");
	buf_free(&got);
}

static void
sync_waits_for_sizes(void **state)
{
	(void)state;
	check_num((uint64_t)view_sync(&view), 0, "all known");
	check_span(buf_span(&fb.asked), SPAN("sync\n"),
	           "no more is asked than must be");
	buf_reset(&fb.asked);
	fb.head.nunsized = 3;
	fakebox_publish(&fb);
	fb.unsized_for = 2;
	check_num((uint64_t)view_sync(&view), 0, "known in the end");
	check_span(buf_span(&fb.asked),
	           SPAN("sync\nsizes 1:4294967295 2000\nsizes 1:4294967295 2000\n"
	                "sizes 1:4294967295 2000\n"),
	           "asked");
	fb.unsized_for = 1000;
	check_num((uint64_t)view_sync(&view), 1, "gives up without progress");
	check_true(fb.unsized_for > 900, "soon");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(scans_what_lives),
	    T(stops_when_told),
	    T(reads_torn_parts_again),
	    T(gives_up_on_what_stays_torn),
	    T(refuses_what_is_no_index),
	    T(sees_a_new_layout),
	    T(falling_uids_are_corruption),
	    T(the_lock_excludes),
	    T(missing_mailbox),
	    T(reads_replies),
	    T(long_commands_are_split),
	    T(nothing_to_expunge),
	    T(expunge_fails_as_ctl_says),
	    T(names_come_in_pages),
	    T(names_that_go_in_circles_end),
	    T(sync_waits_for_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
