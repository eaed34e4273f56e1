/*
 * Whole sessions over a mailbox of plain files, with a daemon that refuses or answers as the
 * test says: what the client is told where something does not go as usual.
 */
#include "tests/unit/support/check.h"
#include "tests/unit/support/fakebox.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
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
	/* what ctl does with commands that begin so; it agrees to all others */
	const char *verb;
	int error;          /* 0: `answer` */
	const char *answer; /* data lines */
	void (*act)(void);
} t;

static int
run_ctl(void *arg, struct mt_ctl *ctl)
{
	struct buf reply = {0};
	bool ours = t.verb != NULL &&
	            span_starts((struct span){ctl->text, ctl->size}, span_of(t.verb));

	(void)arg;
	(void)buf_add(&t.fb.asked, (struct span){ctl->text, ctl->size});
	if (ours && t.act != NULL)
		t.act();
	if (ours && t.error != 0)
		(void)buf_addf(&reply, "error %s no\n", strerrorname_np(t.error));
	else
		(void)buf_addf(&reply, "%sok\n",
		               ours && t.answer != NULL ? t.answer : "");
	memcpy(ctl->text, reply.p, reply.n);
	ctl->size = (uint32_t)reply.n;
	buf_free(&reply);
	return 0;
}

static struct mt_record *
deliver(const char *octets)
{
	const char *body = strstr(octets, "\r\n\r\n");
	struct mt_record *r = fakebox_add(&t.fb, span_of(octets), 0);

	r->header_size =
	    (uint32_t)(body == NULL ? strlen(octets) : (size_t)(body + 4 - octets));
	r->modseq = ++t.fb.head.modseq;
	fakebox_seal(r);
	fakebox_publish(&t.fb);
	return r;
}

static void
expunge(size_t row)
{
	struct mt_record *r = &t.fb.rec[row];

	r->bits |= MT_EXPUNGED;
	r->modseq = ++t.fb.head.modseq;
	fakebox_seal(r);
	fakebox_publish(&t.fb);
	fakebox_event(&t.fb, MT_EV_EXPUNGED, r);
}

static int
setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	fakebox_make(&t.fb);
	t.fb.head.modseq = 100;
	for (int i = 0; i < 3; i++)
		(void)deliver(mail);
	t.client = memfd_create("client", MFD_CLOEXEC);
	assert_int_not_equal(t.client, -1);
	out_open(&t.out, t.client, 1000);
	t.conf = (struct imap_conf){.view = fakebox_conf(&t.fb),
	                            .name = "ann",
	                            .names = {'.', ""},
	                            .append_max = 1000};
	t.conf.view.ctl = run_ctl;
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

/* Only the end of the answer is looked at. */
static void
say_end(const char *command, const char *want)
{
	struct buf b = {0};
	struct span got;
	size_t n = strlen(want);

	assert_int_equal(imap_push(&t.im, span_of(command)), IMAP_MORE);
	got = reply(&b);
	check_span(span_from(got, got.n > n ? got.n - n : 0), span_of(want), "%.60s",
	           command);
	buf_free(&b);
}

/* ---- FETCH ----------------------------------------------------------------------------- */

/* What a section takes is given back before the next one: no number of messages is too many. */
static void
memory_of_sections_does_not_add_up(void **state)
{
	enum { SECTIONS = IMAP_SECTIONS_MAX, MESSAGES = 360 };
	struct buf command = {0};

	(void)state;
	while (t.fb.head.nrecord < MESSAGES)
		(void)deliver(mail);
	say_end("a SELECT INBOX\r\n", "a OK [READ-WRITE] SELECT completed.\r\n");
	assert_int_equal(buf_addf(&command, "b FETCH 1:* (UID"), 0);
	for (int i = 0; i < SECTIONS; i++)
		assert_int_equal(buf_addf(&command, " RFC822.HEADER"), 0);
	assert_int_equal(buf_add(&command, SPAN(")\r\n\0")), 0);
	say_end(command.p, "\r\n\r\n)\r\nb OK FETCH completed.\r\n");
	command.n -= 4;
	assert_int_equal(buf_add(&command, SPAN(" RFC822)\r\n\0")), 0);
	say(command.p, "b BAD Too many sections in one FETCH.\r\n");
	buf_free(&command);
}

/* A list of items is never empty (RFC 9051 section 9, msg-att). */
static void
no_empty_fetch_response(void **state)
{
	(void)state;
	(void)deliver("MIME-Version: 1.0\r\n"
	              "Content-Transfer-Encoding: rot13\r\n\r\nobql\r\n");
	say_end("a SELECT INBOX\r\n", "a OK [READ-WRITE] SELECT completed.\r\n");
	say("b FETCH 4 BINARY.PEEK[1]\r\n",
	    "b NO [UNKNOWN-CTE] The encoding of some parts is not known.\r\n");
	say("c FETCH 4 (UID BINARY.PEEK[1])\r\n",
	    "* 4 FETCH (UID 4)\r\n"
	    "c NO [UNKNOWN-CTE] The encoding of some parts is not known.\r\n");
}

/* A full disk keeps nobody from reading: only \Seen is missing. */
static void
what_cannot_be_marked_is_read(void **state)
{
	(void)state;
	say_end("a SELECT INBOX\r\n", "a OK [READ-WRITE] SELECT completed.\r\n");
	t.verb = "flags ";
	t.error = ENOSPC;
	say("b FETCH 1:2 BODY[TEXT]\r\n",
	    "* 1 FETCH (BODY[TEXT] {6}\r\nbody\r\n)\r\n"
	    "* 2 FETCH (BODY[TEXT] {6}\r\nbody\r\n)\r\nb OK FETCH completed.\r\n");
}

static void
seen_of_the_second(void)
{
	struct mt_record *r = &t.fb.rec[1];

	r->flags = MT_SEEN;
	r->modseq = ++t.fb.head.modseq;
	fakebox_seal(r);
	fakebox_publish(&t.fb);
}

/* The flag that a FETCH set of a message that could not be read then. */
static void
what_was_left_out_is_told_later(void **state)
{
	(void)state;
	say_end("a SELECT INBOX\r\n", "a OK [READ-WRITE] SELECT completed.\r\n");
	fakebox_vanish(&t.fb, &t.fb.rec[1]);
	fakebox_publish(&t.fb);
	t.verb = "flags ";
	t.act = seen_of_the_second;
	say("b FETCH 2 (ENVELOPE BODY[TEXT])\r\n",
	    "b NO [EXPUNGEISSUED] Some messages were removed by another program.\r\n");
	say("c NOOP\r\n", "* 2 FETCH (FLAGS (\\Seen))\r\nc OK NOOP completed.\r\n");
}

static void
header_fields_by_name(void **state)
{
	struct buf command = {0};

	(void)state;
	(void)deliver("To: a\r\nTO: b\r\nToo: c\r\nX: d\r\n e\r\n\r\nbody\r\n");
	say_end("a SELECT INBOX\r\n", "a OK [READ-WRITE] SELECT completed.\r\n");
	say("b FETCH 4 BODY.PEEK[HEADER.FIELDS (x \"to\" to)]\r\n",
	    "* 4 FETCH (BODY[HEADER.FIELDS (x \"to\" to)] {26}\r\n"
	    "To: a\r\nTO: b\r\nX: d\r\n e\r\n\r\n)\r\nb OK FETCH completed.\r\n");
	say("c FETCH 4 BODY.PEEK[HEADER.FIELDS.NOT (TO T ooT)]\r\n",
	    "* 4 FETCH (BODY[HEADER.FIELDS.NOT (TO T ooT)] {20}\r\n"
	    "Too: c\r\nX: d\r\n e\r\n\r\n)\r\nc OK FETCH completed.\r\n");
	assert_int_equal(buf_addf(&command, "d FETCH 4 BODY.PEEK[HEADER.FIELDS ("), 0);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(buf_addf(&command, "%x-X ", (i * 7919) % 5003), 0);
	assert_int_equal(buf_add(&command, SPAN("too)]\r\n\0")), 0);
	say_end(command.p,
	        " too)] {10}\r\nToo: c\r\n\r\n)\r\nd OK FETCH completed.\r\n");
	buf_free(&command);
}

static void
a_set_is_no_section(void **state)
{
	(void)state;
	say_end("a SELECT INBOX\r\n", "a OK [READ-WRITE] SELECT completed.\r\n");
	say("b FETCH 1[2] UID\r\n",
	    "b BAD FETCH takes a set of messages and items.\r\n");
}

/* ---- SELECT ---------------------------------------------------------------------------- */

static void
mail_that_cannot_be_changed_is_read_only(void **state)
{
	(void)state;
	t.verb = "recent";
	t.error = EROFS;
	say_end("a SELECT INBOX\r\n", "a OK [READ-ONLY] EXAMINE completed.\r\n");
	say("b STORE 1 +FLAGS (\\Seen)\r\n",
	    "b NO [READ-ONLY] The mailbox is selected read-only.\r\n");
	t.error = EDQUOT; /* for now */
	say_end("c SELECT INBOX\r\n", "c OK [READ-WRITE] SELECT completed.\r\n");
	t.error = EACCES; /* a parent of mailboxes only */
	say("d SELECT INBOX\r\n", "* OK [CLOSED] Previous mailbox closed.\r\n"
	                          "d NO [NONEXISTENT] SELECT: no such mailbox.\r\n");
}

static void
another_comes(void)
{
	struct mt_record *r = deliver(mail);

	r->bits |= MT_RECENT;
	fakebox_seal(r);
	fakebox_publish(&t.fb);
	fakebox_event(&t.fb, MT_EV_NEW, r);
}

/* What arrives while \Recent is being claimed is claimed too, and told so when it is told. */
static void
recent_of_what_is_still_to_come(void **state)
{
	(void)state;
	say_end("a SELECT INBOX\r\n", "a OK [READ-WRITE] SELECT completed.\r\n");
	another_comes();
	t.verb = "recent";
	t.answer = "recent 4:5\n";
	t.act = another_comes;
	say("b NOOP\r\n", "* 4 EXISTS\r\n* 1 RECENT\r\nb OK NOOP completed.\r\n");
	t.verb = NULL;
	say("c NOOP\r\n", "* 5 EXISTS\r\n* 2 RECENT\r\nc OK NOOP completed.\r\n");
	say("d FETCH 5 FLAGS\r\n",
	    "* 5 FETCH (FLAGS (\\Recent))\r\nd OK FETCH completed.\r\n");
}

static void
parameters_that_are_refused_leave_nothing(void **state)
{
	struct buf bad = {0}, b = {0};
	size_t before = 0;

	(void)state;
	say_end("a ENABLE QRESYNC\r\n", "a OK ENABLE completed.\r\n");
	assert_int_equal(buf_addf(&bad, "b SELECT INBOX (QRESYNC (1 1 "), 0);
	for (int i = 1; i < 20000; i += 2)
		assert_int_equal(buf_addf(&bad, "%d,", i), 0);
	assert_int_equal(buf_addf(&bad, "20001) NONSENSE)\r\nc NOOP\r\n"), 0);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(imap_push(&t.im, buf_span(&bad)), IMAP_MORE);
		(void)reply(&b);
		if (i == 10)
			before = mallinfo2().uordblks;
	}
	check_num((uint64_t)(mallinfo2().uordblks < before + 65536), 1, "octets");
	buf_free(&bad);
	buf_free(&b);
}

/* ---- COPY, MOVE ------------------------------------------------------------------------ */

static void
first_goes(void)
{
	expunge(0);
}

static void
move_tells_its_modseq(void **state)
{
	(void)state;
	t.verb = "move ";
	t.answer = "copyuid 77 1 5\n";
	t.act = first_goes;
	say_end("a ENABLE QRESYNC\r\n", "a OK ENABLE completed.\r\n");
	say_end("b SELECT INBOX\r\n", "b OK [READ-WRITE] SELECT completed.\r\n");
	say("c MOVE 1 Archive\r\n", "* OK [COPYUID 77 1 5] Moved.\r\n* VANISHED 1\r\n"
	                            "c OK [HIGHESTMODSEQ 104] MOVE completed.\r\n");
}

/* ENOENT is the mailbox or a message: only the first is one to create. */
static void
what_is_not_there_is_named(void **state)
{
	(void)state;
	t.verb = "copy ";
	t.error = ENOENT;
	say_end("a SELECT INBOX\r\n", "a OK [READ-WRITE] SELECT completed.\r\n");
	say("b COPY 1 Nowhere\r\n",
	    "b NO [TRYCREATE] COPY: there is no such mailbox.\r\n");
	say("c COPY 1 INBOX\r\n", "c NO [EXPUNGEISSUED] COPY: some of the messages "
	                          "are gone.\r\n");
}

/* What is expunged while the client knows it still: all is copied or nothing. */
static void
no_copy_of_some(void **state)
{
	(void)state;
	t.verb = "copy ";
	t.answer = "copyuid 77 1,3 5:6\n";
	say_end("a SELECT INBOX\r\n", "a OK [READ-WRITE] SELECT completed.\r\n");
	expunge(1);
	buf_reset(&t.fb.asked);
	say("b COPY 1:3 INBOX\r\n", "* 2 EXPUNGE\r\nb NO [EXPUNGEISSUED] COPY: some of "
	                            "the messages are gone.\r\n");
	check_span(buf_span(&t.fb.asked), SPAN("copy 1:3 INBOXexpunge 5:6"), "asked");
	say("c COPY 1:2 INBOX\r\n", "c OK [COPYUID 77 1,3 5:6] COPY completed.\r\n");
}

/* ---- VANISHED -------------------------------------------------------------------------- */

/* `*` is the last that is there, and yet what vanished behind it is asked for with it. */
static void
the_last_one_vanished(void **state)
{
	(void)state;
	say_end("a ENABLE QRESYNC\r\n", "a OK ENABLE completed.\r\n");
	say_end("b SELECT INBOX\r\n", "b OK [READ-WRITE] SELECT completed.\r\n");
	expunge(2);
	say("c NOOP\r\n", "* VANISHED 3\r\nc OK NOOP completed.\r\n");
	t.verb = "vanished 50 ";
	t.answer = "vanished 3\n";
	say("d UID FETCH 1:* (UID) (CHANGEDSINCE 50 VANISHED)\r\n",
	    "* VANISHED (EARLIER) 3\r\n* 1 FETCH (UID 1 MODSEQ (101))\r\n"
	    "* 2 FETCH (UID 2 MODSEQ (102))\r\nd OK FETCH completed.\r\n");
	say("e UID FETCH 1:2 (UID) (CHANGEDSINCE 50 VANISHED)\r\n",
	    "* 1 FETCH (UID 1 MODSEQ (101))\r\n* 2 FETCH (UID 2 MODSEQ (102))\r\n"
	    "e OK FETCH completed.\r\n");
}

/* ---- IDLE ------------------------------------------------------------------------------ */

static void
the_longest_tag(void **state)
{
	static const char tag[] =
	    "0123456789012345678901234567890123456789012345678901234567890123";
	char command[128], want[128];

	(void)state;
	_Static_assert(sizeof tag - 1 == PARSER_TAG_MAX, "the longest");
	snprintf(command, sizeof command, "%s IDLE\r\n", tag);
	snprintf(want, sizeof want, "%s OK IDLE completed.\r\n", tag);
	say(command, "+ idling\r\n");
	say("DONE\r\n", want);
}

/* ---- APPEND ---------------------------------------------------------------------------- */

/* A client that does not wait with its octets is told why they are not wanted. */
static void
a_large_refused_literal_is_passed_over(void **state)
{
	enum { PIECE = 1 << 20, PIECES = 70 };
	char *piece = malloc(PIECE);
	struct buf b = {0};

	(void)state;
	assert_non_null(piece);
	memset(piece, 'x', PIECE);
	imap_close(&t.im);
	t.conf.append_max = (uint64_t)PIECE * PIECES;
	assert_int_equal(imap_open(&t.im, &t.conf, &t.out), 0);
	say("a APPEND Nowhere {73400320+}\r\n", "");
	for (int i = 0; i < PIECES; i++)
		assert_int_equal(imap_push(&t.im, (struct span){piece, PIECE}),
		                 IMAP_MORE);
	say("\r\nb NOOP\r\n", "a NO [TRYCREATE] There is no such mailbox.\r\n"
	                      "b OK NOOP completed.\r\n");
	assert_int_equal(imap_push(&t.im, SPAN("c APPEND INBOX {73400321+}\r\n")),
	                 IMAP_BROKEN);
	check_span(reply(&b), SPAN("* BYE Literal too large\r\n"), "too large");
	buf_free(&b);
	free(piece);
}

/* ---- sets ------------------------------------------------------------------------------ */

static void
neighbours_stay_together(void **state)
{
	static const struct {
		const char *set;
		size_t most;
		const char *want; /* `i+n` of each run */
	} row[] = {
	    {"10,20,30,40,50", 99, "0+5 "},
	    {"1:100", 99, "0+5 "},
	    {"10,20,30,40,50", 2, "0+2 2+2 4+1 "},
	    {"1:100", 2, "0+2 2+2 4+1 "},
	    {"10,30,50", 99, "0+1 2+1 4+1 "},
	    {"11:19,25,60:70", 99, ""},
	    {"5,10:15,20,45:55", 99, "0+2 4+1 "},
	    {"10:20,30:40", 2, "0+2 2+2 "},
	    {"50:60", 1, "4+1 "},
	    {"60,70", 99, ""},
	};
	struct message m[] = {{.uid = 10}, {.uid = 20}, {.uid = 30},
	                      {.uid = 40}, {.uid = 50}, {.uid = 60}};
	struct mailbox mb = {.m = m, .n = 6, .ntold = 5};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct numset set = {0};
		struct mailbox_run run = {0};
		struct buf got = {0};

		assert_int_equal(numset_parse(span_of(row[i].set), 0, 99, &set), 0);
		while (mailbox_next_run(&mb, &set, row[i].most, &run))
			assert_int_equal(buf_addf(&got, "%zu+%zu ", run.i, run.n), 0);
		check_span(buf_span(&got), span_of(row[i].want), "row %zu", i);
		numset_free(&set);
		buf_free(&got);
	}
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(memory_of_sections_does_not_add_up),
	    TEST(no_empty_fetch_response),
	    TEST(what_cannot_be_marked_is_read),
	    TEST(what_was_left_out_is_told_later),
	    TEST(header_fields_by_name),
	    TEST(a_set_is_no_section),
	    TEST(mail_that_cannot_be_changed_is_read_only),
	    TEST(recent_of_what_is_still_to_come),
	    TEST(parameters_that_are_refused_leave_nothing),
	    TEST(move_tells_its_modseq),
	    TEST(what_is_not_there_is_named),
	    TEST(no_copy_of_some),
	    TEST(the_last_one_vanished),
	    TEST(the_longest_tag),
	    TEST(a_large_refused_literal_is_passed_over),
	    cmocka_unit_test(neighbours_stay_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
