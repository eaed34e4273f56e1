/*
 * What a session tells of others' doings, and when: a whole session over a mailbox of plain
 * files, whose `events` the tests write.
 */
#include "tests/unit/support/check.h"
#include "tests/unit/support/fakebox.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "protocol/imap/imap.h"
#include "storage/base/io.h"

static const char mail[] = "Subject: one\r\n\r\nbody\r\n";

static struct test {
	struct fakebox fb;
	struct imap_conf conf;
	struct imap im;
	struct out out;
	int client;
	unsigned claims; /* of \Recent */
} t;

/* A daemon that agrees to everything; flags are what the test says in records. */
static int
agree(void *arg, struct mt_ctl *ctl)
{
	(void)arg;
	t.claims += ctl->size >= 6 && memcmp(ctl->text, "recent", 6) == 0;
	ctl->size = 3;
	memcpy(ctl->text, "ok\n", 3);
	return 0;
}

static void
publish(struct mt_record *r)
{
	t.fb.head.modseq++;
	r->modseq = t.fb.head.modseq;
	fakebox_seal(r);
	fakebox_publish(&t.fb);
}

static struct mt_record *
deliver(void)
{
	struct mt_record *r = fakebox_add(&t.fb, span_of(mail), 0);

	r->header_size = (uint32_t)strlen(mail) - 6;
	publish(r);
	return r;
}

static void
deliver_loud(void)
{
	fakebox_event(&t.fb, MT_EV_NEW, deliver());
}

static void
expunge(size_t row)
{
	struct mt_record *r = &t.fb.rec[row];

	r->bits |= MT_EXPUNGED;
	publish(r);
	fakebox_event(&t.fb, MT_EV_EXPUNGED, r);
}

static void
flag(size_t row, uint16_t flags)
{
	struct mt_record *r = &t.fb.rec[row];

	r->flags = flags;
	publish(r);
	fakebox_event(&t.fb, MT_EV_FLAGS, r);
}

static int
setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	fakebox_make(&t.fb);
	t.fb.head.modseq = 100;
	for (int i = 0; i < 5; i++)
		(void)deliver();
	t.client = memfd_create("client", MFD_CLOEXEC);
	assert_int_not_equal(t.client, -1);
	out_open(&t.out, t.client, 1000);
	t.conf = (struct imap_conf){.view = fakebox_conf(&t.fb),
	                            .name = "ann",
	                            .names = {'.', ""},
	                            .append_max = 1000};
	t.conf.view.ctl = agree;
	assert_int_equal(imap_open(&t.im, &t.conf, &t.out), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	imap_close(&t.im);
	close(t.client);
	fakebox_remove(&t.fb);
	return 0;
}

/* What the client got since the last call. */
static struct span
reply(struct buf *b)
{
	buf_reset(b);
	assert_int_equal(lseek(t.client, 0, SEEK_SET), 0);
	assert_int_equal(io_slurp(t.client, b), 0);
	assert_int_equal(ftruncate(t.client, 0), 0);
	assert_int_equal(lseek(t.client, 0, SEEK_SET), 0);
	return buf_span(b);
}

static void
say(const char *command, const char *want)
{
	struct buf b = {0};

	assert_int_equal(imap_push(&t.im, span_of(command)), IMAP_MORE);
	check_span(reply(&b), span_of(want), "%s", command);
	buf_free(&b);
}

/* Without looking at the answer. */
static void
quietly(const char *command)
{
	struct buf b = {0};

	assert_int_equal(imap_push(&t.im, span_of(command)), IMAP_MORE);
	(void)reply(&b);
	buf_free(&b);
}

static void
expunges_count_down_before_exists(void **state)
{
	(void)state;
	quietly("a SELECT INBOX\r\n");
	expunge(1);
	deliver_loud();
	expunge(3);
	deliver_loud();
	say("b NOOP\r\n", "* 4 EXPUNGE\r\n* 2 EXPUNGE\r\n* 5 EXISTS\r\n* 0 RECENT\r\n"
	                  "b OK NOOP completed.\r\n");
	say("c UID FETCH 1:* (UID)\r\n",
	    "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 3)\r\n"
	    "* 3 FETCH (UID 5)\r\n* 4 FETCH (UID 6)\r\n"
	    "* 5 FETCH (UID 7)\r\nc OK FETCH completed.\r\n");
}

static void
who_came_and_went_is_not_spoken_of(void **state)
{
	(void)state;
	quietly("a SELECT INBOX\r\n");
	deliver_loud();
	deliver_loud();
	expunge(5);
	say("b NOOP\r\n", "* 6 EXISTS\r\n* 0 RECENT\r\nb OK NOOP completed.\r\n");
	expunge(6);
	say("c NOOP\r\n", "* 6 EXPUNGE\r\nc OK NOOP completed.\r\n");
}

/* FETCH, STORE and SEARCH by number: nothing moves, and all can still be read. */
static void
numbers_stay_during_commands_by_number(void **state)
{
	(void)state;
	quietly("a SELECT INBOX\r\n");
	expunge(0);
	deliver_loud();
	say("b FETCH 1,5 (UID BODY.PEEK[TEXT])\r\n",
	    "* 1 FETCH (UID 1 BODY[TEXT] {6}\r\nbody\r\n)\r\n"
	    "* 5 FETCH (UID 5 BODY[TEXT] {6}\r\nbody\r\n)\r\nb OK FETCH "
	    "completed.\r\n");
	say("c FETCH 6 (UID)\r\n", "c BAD There is no message of that number.\r\n");
	say("d SEARCH ALL\r\n", "* SEARCH 1 2 3 4 5\r\nd OK SEARCH completed.\r\n");
	say("e UID FETCH 1 (UID)\r\n",
	    "* 1 FETCH (UID 1)\r\n* 1 EXPUNGE\r\n* 5 EXISTS\r\n* 0 RECENT\r\n"
	    "e OK FETCH completed.\r\n");
}

static void
flags_are_told_once(void **state)
{
	(void)state;
	quietly("a SELECT INBOX\r\n");
	flag(2, MT_SEEN | MT_FLAGGED);
	flag(2, MT_SEEN);
	say("b NOOP\r\n", "* 3 FETCH (FLAGS (\\Seen))\r\nb OK NOOP completed.\r\n");
	say("c NOOP\r\n", "c OK NOOP completed.\r\n");
	/* back to what the client knows: it is no news, or it is told as it is */
	flag(2, MT_SEEN);
	say("d NOOP\r\n", "d OK NOOP completed.\r\n");
}

/* The client fetched it before the news were read: an older event says nothing new. */
static void
an_older_event_is_no_news(void **state)
{
	struct mt_record old;

	(void)state;
	quietly("a SELECT INBOX\r\n");
	flag(2, MT_SEEN);
	old = t.fb.rec[2];
	flag(2, MT_ANSWERED);
	say("b NOOP\r\n", "* 3 FETCH (FLAGS (\\Answered))\r\nb OK NOOP completed.\r\n");
	t.fb.rec[2] = old;
	fakebox_event(&t.fb, MT_EV_FLAGS, &t.fb.rec[2]);
	say("c NOOP\r\n", "c OK NOOP completed.\r\n");
}

static void
qresync_says_vanished_and_modseq(void **state)
{
	(void)state;
	say("a ENABLE QRESYNC\r\n", "* ENABLED QRESYNC\r\na OK ENABLE completed.\r\n");
	quietly("b SELECT INBOX\r\n");
	expunge(0);
	expunge(1);
	expunge(4);
	flag(2, MT_DRAFT);
	say("c NOOP\r\n",
	    "* VANISHED 1:2,5\r\n* 1 FETCH (UID 3 FLAGS (\\Draft) MODSEQ (109))\r\n"
	    "c OK NOOP completed.\r\n");
}

/* RFC 7162 section 6: a modseq above news that are held back is not one to begin from. */
static void
a_safe_modseq_is_told(void **state)
{
	(void)state;
	quietly("a ENABLE QRESYNC\r\n");
	quietly("b SELECT INBOX\r\n");
	expunge(0);
	t.fb.rec[2].flags = MT_SEEN;
	publish(&t.fb.rec[2]);
	say("c STORE 3 +FLAGS (\\Seen)\r\n",
	    "* 3 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (107))\r\n"
	    "* OK [HIGHESTMODSEQ 105] Some news are delayed.\r\nc OK STORE "
	    "completed.\r\n");
	fakebox_event(&t.fb, MT_EV_FLAGS, &t.fb.rec[2]);
	say("d NOOP\r\n", "* VANISHED 1\r\nd OK NOOP completed.\r\n");
	say("e STORE 2 +FLAGS.SILENT (\\Seen)\r\n", "* 2 FETCH (UID 3 MODSEQ (107))\r\n"
	                                            "e OK STORE completed.\r\n");
}

/* Silence is for what the client can know; what somebody else did is said. */
static void
silence_ends_where_others_interfere(void **state)
{
	(void)state;
	quietly("a SELECT INBOX\r\n");
	t.fb.rec[0].flags = MT_SEEN;
	publish(&t.fb.rec[0]);
	t.fb.rec[1].flags = MT_SEEN | MT_ANSWERED;
	publish(&t.fb.rec[1]);
	say("b STORE 1:2 +FLAGS.SILENT (\\Seen)\r\n",
	    "* 2 FETCH (FLAGS (\\Answered \\Seen))\r\nb OK STORE completed.\r\n");
}

static void
overflow_reads_all_again(void **state)
{
	(void)state;
	quietly("a SELECT INBOX\r\n");
	t.fb.rec[1].bits |= MT_EXPUNGED;
	publish(&t.fb.rec[1]);
	t.fb.rec[3].flags = MT_FLAGGED;
	publish(&t.fb.rec[3]);
	(void)deliver();
	fakebox_event(&t.fb, MT_EV_OVERFLOW, NULL);
	say("b NOOP\r\n",
	    "* 2 EXPUNGE\r\n* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n"
	    "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft "
	    "\\*)] Flags permitted.\r\n"
	    "* 5 EXISTS\r\n* 0 RECENT\r\n* 3 FETCH (FLAGS (\\Flagged))\r\n"
	    "b OK NOOP completed.\r\n");
}

static void
nothing_between_commands_but_in_idle(void **state)
{
	struct buf b = {0};

	(void)state;
	quietly("a SELECT INBOX\r\n");
	check_num((uint64_t)(imap_poll_fd(&t.im) == -1), 1, "nobody waits for news");
	deliver_loud();
	assert_int_equal(imap_news(&t.im), IMAP_MORE);
	check_span(reply(&b), SPAN(""), "between commands");
	say("b IDLE\r\n", "+ idling\r\n* 6 EXISTS\r\n* 0 RECENT\r\n");
	check_num((uint64_t)(imap_poll_fd(&t.im) == -1), 0, "news are waited for");
	expunge(2);
	assert_int_equal(imap_news(&t.im), IMAP_MORE);
	check_span(reply(&b), SPAN("* 3 EXPUNGE\r\n"), "in IDLE");
	say("DO", "");
	say("NE\r\n", "b OK IDLE completed.\r\n");
	buf_free(&b);
}

/* Who idles leaves \Recent for later: others want to hear of the message first. */
static void
idle_claims_nothing(void **state)
{
	struct mt_record *r;
	struct buf b = {0};

	(void)state;
	quietly("a SELECT INBOX\r\n");
	t.claims = 0;
	say("b IDLE\r\n", "+ idling\r\n");
	r = deliver();
	r->bits |= MT_RECENT;
	publish(r);
	fakebox_event(&t.fb, MT_EV_NEW, r);
	assert_int_equal(imap_news(&t.im), IMAP_MORE);
	check_span(reply(&b), SPAN("* 6 EXISTS\r\n* 0 RECENT\r\n"), "in IDLE");
	check_num(t.claims, 0, "claims in IDLE");
	say("DONE\r\n", "* 0 RECENT\r\nb OK IDLE completed.\r\n");
	check_num(t.claims, 1, "claims after IDLE");
	say("c NOOP\r\n", "c OK NOOP completed.\r\n");
	check_num(t.claims, 1, "claims when there is nothing to claim");
	buf_free(&b);
}

/* The number of those that are \Recent follows what comes and goes. */
static void
recents_are_counted(void **state)
{
	struct mt_record *r;

	(void)state;
	t.fb.rec[1].bits |= MT_RECENT;
	publish(&t.fb.rec[1]);
	quietly("a EXAMINE INBOX\r\n");
	r = deliver();
	r->bits |= MT_RECENT;
	publish(r);
	fakebox_event(&t.fb, MT_EV_NEW, r);
	say("b NOOP\r\n", "* 6 EXISTS\r\n* 2 RECENT\r\nb OK NOOP completed.\r\n");
	expunge(1);
	expunge(2);
	deliver_loud();
	say("c NOOP\r\n", "* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n* 5 EXISTS\r\n* 1 RECENT\r\n"
	                  "c OK NOOP completed.\r\n");
	fakebox_event(&t.fb, MT_EV_OVERFLOW, NULL);
	deliver_loud();
	say("d NOOP\r\n",
	    "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n"
	    "* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n"
	    "* 6 EXISTS\r\n* 1 RECENT\r\nd OK NOOP completed.\r\n");
}

static void
a_mailbox_that_goes_ends_the_session(void **state)
{
	struct buf b = {0};

	(void)state;
	quietly("a SELECT INBOX\r\n");
	fakebox_event(&t.fb, MT_EV_RESET, NULL);
	assert_int_equal(imap_push(&t.im, SPAN("b NOOP\r\n")), IMAP_BROKEN);
	check_span(reply(&b), SPAN("* BYE The selected mailbox is gone.\r\n"), "bye");
	buf_free(&b);
}

/* Removed behind our back: left out before anything was announced, and said at the end. */
static void
what_others_removed_is_left_out(void **state)
{
	(void)state;
	quietly("a SELECT INBOX\r\n");
	fakebox_vanish(&t.fb, &t.fb.rec[1]);
	fakebox_publish(&t.fb);
	say("b FETCH 1:3 (UID BODY.PEEK[TEXT])\r\n",
	    "* 1 FETCH (UID 1 BODY[TEXT] {6}\r\nbody\r\n)\r\n"
	    "* 3 FETCH (UID 3 BODY[TEXT] {6}\r\nbody\r\n)\r\n"
	    "b NO [EXPUNGEISSUED] Some messages were removed by another program.\r\n");
	say("c FETCH 2 (UID FLAGS)\r\n",
	    "* 2 FETCH (UID 2 FLAGS ())\r\nc OK FETCH completed.\r\n");
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(expunges_count_down_before_exists),
	    TEST(who_came_and_went_is_not_spoken_of),
	    TEST(numbers_stay_during_commands_by_number),
	    TEST(flags_are_told_once),
	    TEST(an_older_event_is_no_news),
	    TEST(qresync_says_vanished_and_modseq),
	    TEST(a_safe_modseq_is_told),
	    TEST(silence_ends_where_others_interfere),
	    TEST(overflow_reads_all_again),
	    TEST(nothing_between_commands_but_in_idle),
	    TEST(idle_claims_nothing),
	    TEST(recents_are_counted),
	    TEST(a_mailbox_that_goes_ends_the_session),
	    TEST(what_others_removed_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
