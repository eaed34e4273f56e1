/* LIST, LSUB, STATUS and the commands that change mailboxes, over a daemon's list that is
 * a table here. */
#include "protocol/imap/imap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "tests/unit/support/check.h"
#include "tests/unit/support/fakebox.h"

static struct {
	struct fakebox fb;
	struct imap_conf conf;
	struct imap im;
	struct out out;
	int fd;            /* what was sent */
	const char *boxes; /* lines of `mailboxes` */
	size_t page;       /* lines of one reply */
	struct buf asked;  /* the other commands, one per line */
	unsigned pages;    /* times that `mailboxes` was asked */
	struct {
		const char *begins;
		int error;
	} refuse;
} t;

/* ---- a daemon ----------------------------------------------------------------------------- */

/* The lines behind the path, as far as a page goes. */
static void
say_mailboxes(struct span after, struct buf *reply)
{
	struct span rest = span_of(t.boxes), line;
	size_t n = 0;

	t.pages++;
	while (span_cut(&rest, '\n', &line)) {
		struct span path = line, ignored;

		span_cut(&path, ' ', &ignored);
		span_cut(&path, ' ', &ignored);
		if (after.n > 0) {
			if (span_eq(path, after))
				after.n = 0;
			continue;
		}
		if (n++ == t.page) {
			assert_int_equal(buf_addf(reply, "more 1\n"), 0);
			return;
		}
		assert_int_equal(buf_add(reply, line), 0);
		assert_int_equal(buf_addc(reply, '\n'), 0);
	}
	assert_int_equal(buf_addf(reply, "ok\n"), 0);
}

static int
answer(void *arg, struct mt_ctl *ctl)
{
	struct span text = {ctl->text, ctl->size}, verb;
	struct buf reply = {0};

	(void)arg;
	if (span_starts(text, SPAN("mailboxes"))) {
		span_cut(&text, ' ', &verb);
		say_mailboxes(text, &reply);
	} else {
		assert_int_equal(buf_add(&t.asked, text), 0);
		assert_int_equal(buf_addc(&t.asked, '\n'), 0);
		assert_int_equal(t.refuse.begins != NULL &&
		                         span_starts(text, span_of(t.refuse.begins))
		                     ? buf_addf(&reply, "error %s no\n",
		                                strerrorname_np(t.refuse.error))
		                     : buf_addf(&reply, "ok\n"),
		                 0);
	}
	assert_true(reply.n <= sizeof ctl->text);
	memcpy(ctl->text, reply.p, reply.n);
	ctl->size = (uint32_t)reply.n;
	buf_free(&reply);
	return 0;
}

/* ---- a session ------------------------------------------------------------------------------ */

static const struct parser_limits limits = {
    .line = 100000, .memory = 100000, .nonsync = 1000, .depth = 8, .args = 5000};

static int
setup(void **state)
{
	struct view_conf home;
	char link[80];

	(void)state;
	memset(&t, 0, sizeof t);
	fakebox_make(&t.fb);
	snprintf(link, sizeof link, "%s/Archive", t.fb.path);
	assert_int_equal(symlink("INBOX", link), 0);
	t.page = 3;
	t.boxes = "";
	t.fd = memfd_create("out", MFD_CLOEXEC);
	assert_int_not_equal(t.fd, -1);
	out_open(&t.out, t.fd, 1000);
	t.conf = (struct imap_conf){.view.user_dir = t.fb.path,
	                            .name = "ann",
	                            .names = {'/', ""},
	                            .append_max = 1234};
	t.im =
	    (struct imap){.conf = &t.conf, .out = &t.out, .arena.max = IMAP_ARENA_MAX};
	home = (struct view_conf){.user_dir = t.fb.path,
	                          .mailbox = "INBOX",
	                          .ctl = answer,
	                          .mode = VIEW_COMMANDS};
	assert_int_equal(view_open(&home, &t.im.home), 0);
	parser_init(&t.im.parser, &limits, &t.im.arena);
	return 0;
}

static int
teardown(void **state)
{
	char link[80];

	(void)state;
	imap_close(&t.im);
	close(t.fd);
	buf_free(&t.asked);
	snprintf(link, sizeof link, "%s/Archive", t.fb.path);
	assert_int_equal(unlink(link), 0);
	fakebox_remove(&t.fb);
	return 0;
}

/* Every reply to a command, without CRs. Static. */
static const char *
replies(const char *command)
{
	static char text[65536];
	struct buf line = {0};
	ssize_t n;
	size_t out = 0;

	assert_int_equal(ftruncate(t.fd, 0), 0);
	assert_int_equal(lseek(t.fd, 0, SEEK_SET), 0);
	assert_int_equal(buf_addf(&line, "a %s\r\n", command), 0);
	assert_int_equal(imap_push(&t.im, buf_span(&line)), IMAP_MORE);
	buf_free(&line);
	n = io_pread_full(t.fd, text, sizeof text - 1, 0);
	assert_true(n > 0);
	for (ssize_t i = 0; i < n; i++)
		if (text[i] != '\r')
			text[out++] = text[i];
	text[out] = '\0';
	return text;
}

static void
check_reply(const char *command, const char *want)
{
	check_span(span_of(replies(command)), span_of(want), "%s", command);
}

struct exchange {
	const char *command, *reply;
};

static void
check_all(const struct exchange *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_reply(e[i].command, e[i].reply);
}

/* ---- LIST ------------------------------------------------------------------------------------- */

#define DONE     "a OK LIST completed.\n"
#define LSUBDONE "a OK LSUB completed.\n"

/* The mailboxes of RFC 9051 section 6.3.9.8, in other words. */
static const char fruit[] = "ms - Fruit/Apple\n"
                            "m- - Fruit/Banana\n"
                            "-s - Fruit/Peach\n"
                            "ms - INBOX\n"
                            "m- - Tofu\n"
                            "ms \\Sent Vegetable\n"
                            "ms - Vegetable/Broccoli\n"
                            "m- \\Junk,\\Trash Vegetable/Corn\n"
                            "-s - Wine/Red\n";

static const struct exchange lists[] = {
    {"LIST \"\" \"*\"",
     "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Fruit\"\n"
     "* LIST (\\HasNoChildren) \"/\" \"Fruit/Apple\"\n"
     "* LIST (\\HasNoChildren) \"/\" \"Fruit/Banana\"\n"
     "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\n"
     "* LIST (\\HasNoChildren) \"/\" \"Tofu\"\n"
     "* LIST (\\HasChildren \\Sent) \"/\" \"Vegetable\"\n"
     "* LIST (\\HasNoChildren) \"/\" \"Vegetable/Broccoli\"\n"
     "* LIST (\\HasNoChildren \\Junk \\Trash) \"/\" \"Vegetable/Corn\"\n" DONE},
    {"LIST \"\" %", "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Fruit\"\n"
                    "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\n"
                    "* LIST (\\HasNoChildren) \"/\" \"Tofu\"\n"
                    "* LIST (\\HasChildren \\Sent) \"/\" \"Vegetable\"\n" DONE},
    {"LIST Vegetable/ %",
     "* LIST (\\HasNoChildren) \"/\" \"Vegetable/Broccoli\"\n"
     "* LIST (\\HasNoChildren \\Junk \\Trash) \"/\" \"Vegetable/Corn\"\n" DONE},
    {"LIST Veg etable/%/%", DONE},
    {"LIST \"\" inbox", "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\n" DONE},
    {"LIST \"\" Nothing", DONE},
    {"LIST \"\" ../*", DONE},
    {"LIST \"\" /etc/*", DONE},
    {"LIST /etc/ *", DONE},
    {"LIST \"\" &AC8-*", DONE},
    {"LIST \"\" \"\"", "* LIST (\\Noselect) \"/\" \"\"\n" DONE},
    {"LIST Fruit/ \"\"", "* LIST (\\Noselect) \"/\" \"\"\n" DONE},
    /* extended: an empty pattern is none */
    {"LIST () \"\" \"\"", DONE},
    {"LIST \"\" (\"\" inbox \"to*\" \"To%\")",
     "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\n"
     "* LIST (\\HasNoChildren) \"/\" \"Tofu\"\n" DONE},
    {"LIST (SUBSCRIBED) \"\" *",
     "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Fruit/Apple\"\n"
     "* LIST (\\NonExistent \\Noselect \\HasNoChildren \\Subscribed) \"/\" "
     "\"Fruit/Peach\"\n"
     "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"\n"
     "* LIST (\\HasChildren \\Subscribed \\Sent) \"/\" \"Vegetable\"\n"
     "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Vegetable/Broccoli\"\n"
     "* LIST (\\NonExistent \\Noselect \\HasNoChildren \\Subscribed) \"/\" "
     "\"Wine/Red\"\n" DONE},
    {"LIST \"\" % RETURN (SUBSCRIBED CHILDREN)",
     "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Fruit\"\n"
     "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"\n"
     "* LIST (\\HasNoChildren) \"/\" \"Tofu\"\n"
     "* LIST (\\HasChildren \\Subscribed \\Sent) \"/\" \"Vegetable\"\n" DONE},
    {"LIST (REMOTE SUBSCRIBED RECURSIVEMATCH) \"\" %",
     "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Fruit\" "
     "(\"CHILDINFO\" (\"SUBSCRIBED\"))\n"
     "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"\n"
     "* LIST (\\HasChildren \\Subscribed \\Sent) \"/\" \"Vegetable\" "
     "(\"CHILDINFO\" (\"SUBSCRIBED\"))\n"
     "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Wine\" "
     "(\"CHILDINFO\" (\"SUBSCRIBED\"))\n" DONE},
    /* Fruit is not needed: what is below it is told */
    {"LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (Fruit Fruit/*)",
     "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Fruit/Apple\"\n"
     "* LIST (\\NonExistent \\Noselect \\HasNoChildren \\Subscribed) \"/\" "
     "\"Fruit/Peach\"\n" DONE},
    {"LIST (SPECIAL-USE) \"\" *",
     "* LIST (\\HasChildren \\Sent) \"/\" \"Vegetable\"\n"
     "* LIST (\\HasNoChildren \\Junk \\Trash) \"/\" \"Vegetable/Corn\"\n" DONE},
    {"LIST (SPECIAL-USE SUBSCRIBED) \"\" * RETURN (SPECIAL-USE)",
     "* LIST (\\HasChildren \\Subscribed \\Sent) \"/\" \"Vegetable\"\n" DONE},
    {"LIST (SPECIAL-USE RECURSIVEMATCH) \"\" %",
     "* LIST (\\HasChildren \\Sent) \"/\" \"Vegetable\" (\"CHILDINFO\" "
     "(\"SPECIAL-USE\"))\n" DONE},
    {"LSUB \"\" *",
     "* LSUB () \"/\" \"Fruit/Apple\"\n* LSUB () \"/\" \"Fruit/Peach\"\n"
     "* LSUB () \"/\" \"INBOX\"\n* LSUB () \"/\" \"Vegetable\"\n"
     "* LSUB () \"/\" \"Vegetable/Broccoli\"\n* LSUB () \"/\" \"Wine/Red\"\n" LSUBDONE},
    {"LSUB \"\" %",
     "* LSUB (\\Noselect) \"/\" \"Fruit\"\n* LSUB () \"/\" \"INBOX\"\n"
     "* LSUB () \"/\" \"Vegetable\"\n* LSUB (\\Noselect) \"/\" \"Wine\"\n" LSUBDONE},
    {"LSUB \"\" \"\"", LSUBDONE},
};

static void
list_by_the_rfc(void **state)
{
	(void)state;
	t.boxes = fruit;
	check_all(lists, ARRAY_LEN(lists));
}

static const char *const wrong[] = {
    "LIST \"\"",
    "LIST (SUBSCRIBED)",
    "LIST (SUBSCRIBED) \"\"",
    "LIST (RECURSIVEMATCH) \"\" *",
    "LIST (REMOTE RECURSIVEMATCH) \"\" *",
    "LIST (OTHER) \"\" *",
    "LIST (\"SUBSCRIBED\") \"\" *",
    "LIST \"\" * RETURN",
    "LIST \"\" * RETURN CHILDREN",
    "LIST \"\" * RETURN (OTHER)",
    "LIST \"\" * RETURN (STATUS)",
    "LIST \"\" * RETURN (STATUS ())",
    "LIST \"\" * RETURN (STATUS (OTHER))",
    "LIST \"\" * RETURN (CHILDREN) x",
    "LIST \"\" * *",
    "LIST \"\" ((a))",
    "LIST (\"\") (\"\") (a)",
    "LSUB \"\"",
    "LSUB (SUBSCRIBED) \"\" *",
    "LSUB \"\" (a b)",
    "LSUB \"\" a b",
    "STATUS INBOX",
    "STATUS INBOX MESSAGES",
    "STATUS INBOX ()",
    "STATUS INBOX (OTHER)",
    "STATUS INBOX (MESSAGES) x",
    "STATUS (INBOX) (MESSAGES)",
    "CREATE (a)",
    "CREATE a b",
    "CREATE a (USE)",
    "CREATE a (USE \\Sent)",
    "CREATE a (OTHER (\\Sent))",
    "CREATE a (USE (\\Sent)) x",
    "CREATE a (USE (\"\\\\Sent\"))",
    "DELETE a b",
    "RENAME a",
    "RENAME a b c",
    "RENAME a (b)",
    "SUBSCRIBE a b",
    "UNSUBSCRIBE (a)",
    "NAMESPACE x",
};

static void
wrong_arguments(void **state)
{
	(void)state;
	t.boxes = fruit;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		check_true(span_starts(span_of(replies(wrong[i])), SPAN("a BAD ")),
		           "%s: %s", wrong[i], replies(wrong[i]));
	assert_int_equal(t.asked.n, 0);
}

/* Names of clients, whatever the tree has to call them. */
static void
list_of_odd_names(void **state)
{
	static const struct exchange dots[] = {
	    {"LIST \"\" %", "* LIST (\\HasNoChildren) \".\" \"%25C3%BC\"\n"
	                    "* LIST (\\HasNoChildren) \".\" \"12\\\"\\\\x\"\n"
	                    "* LIST (\\HasChildren) \".\" \"A\"\n"
	                    "* LIST (\\HasNoChildren) \".\" \"A-\"\n"
	                    "* LIST (\\HasChildren) \".\" \"INBOX\"\n"
	                    "* LIST (\\HasNoChildren) \".\" \"&APw-\"\n" DONE},
	    {"LIST \"\" &APw-", "* LIST (\\HasNoChildren) \".\" \"&APw-\"\n" DONE},
	    {"LIST \"\" *.*", "* LIST (\\HasNoChildren) \".\" \"A.%00\"\n"
	                      "* LIST (\\HasNoChildren) \".\" \"A.B\"\n"
	                      "* LIST (\\HasNoChildren) \".\" \"INBOX.x\"\n" DONE},
	    {"LIST \"\" inbox.%", "* LIST (\\HasNoChildren) \".\" \"INBOX.x\"\n" DONE},
	};
	static const struct exchange prefixed[] = {
	    {"LIST \"\" %", "* LIST (\\HasChildren) \".\" \"INBOX\"\n" DONE},
	    {"LIST \"\" inbox.A*",
	     "* LIST (\\HasChildren) \".\" \"INBOX.A\"\n"
	     "* LIST (\\HasNoChildren) \".\" \"INBOX.A.%00\"\n"
	     "* LIST (\\HasNoChildren) \".\" \"INBOX.A.B\"\n"
	     "* LIST (\\HasNoChildren) \".\" \"INBOX.A-\"\n" DONE},
	    {"LIST \"\" *.x",
	     "* LIST (\\HasNoChildren) \".\" \"INBOX.INBOX.x\"\n" DONE},
	    {"LIST INBOX. \"\"", "* LIST (\\Noselect) \".\" \"INBOX.\"\n" DONE},
	    {"NAMESPACE",
	     "* NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\na OK NAMESPACE completed.\n"},
	};

	(void)state;
	t.boxes = "m- - 12\"\\x\n"
	          "m- - A\n"
	          "m- - A-\n"
	          "m- - A/%\n"
	          "m- - A/B\n"
	          "m- - INBOX\n"
	          "m- - INBOX/x\n"
	          "m- - %25C3%BC\n"
	          "m- - \xc3\xbc\n";
	t.conf.names.separator = '.';
	check_all(dots, ARRAY_LEN(dots));
	t.im.enabled = EN_UTF8;
	check_reply("LIST \"\" \"\xc3\xbc\"",
	            "* LIST (\\HasNoChildren) \".\" \"\xc3\xbc\"\n" DONE);
	t.im.enabled = 0;
	t.conf.names.prefix = "INBOX.";
	check_all(prefixed, ARRAY_LEN(prefixed));
}

static void
list_says_configured_uses(void **state)
{
	static const struct imap_special special[] = {
	    {"Sent", VIEW_SENT}, {"Gone", VIEW_TRASH}, {"Old/Junk", VIEW_JUNK}};

	(void)state;
	t.conf.special = special;
	t.conf.nspecial = ARRAY_LEN(special);
	t.boxes = "-s - Gone\nms - INBOX\nm- \\Archive Old/Junk\nm- \\Sent Sent\n";
	check_reply("LIST (SPECIAL-USE) \"\" *",
	            "* LIST (\\HasNoChildren \\Archive \\Junk) \"/\" \"Old/Junk\"\n"
	            "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\n" DONE);
}

/* A thousand mailboxes are a few round trips, and no mailbox is looked into. */
static void
list_of_many(void **state)
{
	struct buf boxes = {0};
	struct span text;
	size_t lines = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(buf_addf(&boxes, "m- - Folder-%04u/Sub\n", i), 0);
	assert_int_equal(buf_addc(&boxes, '\0'), 0);
	t.boxes = boxes.p;
	t.page = 400;
	text = span_of(replies("LIST \"\" %"));
	for (struct span line; span_cut(&text, '\n', &line);)
		lines++;
	assert_int_equal(lines, 1001);
	assert_int_equal(t.pages, 3);
	assert_int_equal(t.asked.n, 0);
	buf_free(&boxes);
}

static void
hostile_patterns_are_given_up(void **state)
{
	struct buf boxes = {0}, ask = {0};
	char name[201];

	(void)state;
	memset(name, 'a', sizeof name);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(buf_addf(&boxes, "m- - %.*s%04u\n", 200, name, i), 0);
	assert_int_equal(buf_addc(&boxes, '\0'), 0);
	t.boxes = boxes.p;
	t.page = 50;
	assert_int_equal(buf_addf(&ask, "LIST \"\" ("), 0);
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned k = 0; k < 30; k++)
			assert_int_equal(buf_addf(&ask, "*a%%a"), 0);
		assert_int_equal(buf_addf(&ask, "b "), 0);
	}
	assert_int_equal(buf_addf(&ask, "b)"), 0);
	assert_int_equal(buf_addc(&ask, '\0'), 0);
	assert_true(span_starts(span_of(replies(ask.p)), SPAN("a NO [LIMIT] LIST")));
	buf_free(&boxes);
	buf_free(&ask);
}

/* ---- STATUS ------------------------------------------------------------------------------------ */

static void
fill(void)
{
	struct mt_record *r;

	(void)fakebox_add(&t.fb, SPAN("one\r\n"), MT_RECENT);
	r = fakebox_add(&t.fb, SPAN("second\r\n"), 0);
	r->flags = MT_DELETED | MT_SEEN;
	fakebox_seal(r);
	t.fb.head.nunseen = 1;
	t.fb.head.modseq = 5000000000;
	for (uint8_t i = 0; i < 16; i++)
		t.fb.head.guid[i] = (uint8_t)(i * 17);
	fakebox_publish(&t.fb);
}

static void
status_of_a_mailbox(void **state)
{
	static const struct exchange rows[] = {
	    {"STATUS inbox (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)",
	     "* STATUS \"INBOX\" (MESSAGES 2 UIDNEXT 3 UIDVALIDITY 1234567890 UNSEEN "
	     "1)\n"
	     "a OK STATUS completed.\n"},
	    {"STATUS Archive (RECENT DELETED)",
	     "* STATUS \"Archive\" (RECENT 1 DELETED 1)\na OK STATUS completed.\n"},
	    {"STATUS INBOX (MAILBOXID APPENDLIMIT APPENDLIMIT)",
	     "* STATUS \"INBOX\" (APPENDLIMIT 1234 MAILBOXID "
	     "(00112233445566778899aabbccddeeff))\na OK STATUS completed.\n"},
	    {"STATUS Nothing (MESSAGES)",
	     "a NO [NONEXISTENT] STATUS: no such mailbox.\n"},
	    {"STATUS ../INBOX (MESSAGES)",
	     "a NO [CANNOT] A level of the name is `.` or `..`.\n"},
	};

	(void)state;
	fill();
	check_all(rows, ARRAY_LEN(rows));
	/* nothing of this waits for sizes */
	assert_int_equal(t.asked.n, 0);
	assert_int_equal(t.im.enabled, 0);
	check_reply(
	    "STATUS INBOX (HIGHESTMODSEQ)",
	    "* STATUS \"INBOX\" (HIGHESTMODSEQ 5000000000)\na OK STATUS completed.\n");
	assert_int_equal(t.im.enabled, EN_CONDSTORE);
}

static void
status_size_waits_for_sizes(void **state)
{
	static const char answer_to[] = "* STATUS \"INBOX\" (MESSAGES 2 SIZE 13)\n"
	                                "a OK STATUS completed.\n";

	(void)state;
	fill();
	check_reply("STATUS INBOX (SIZE MESSAGES)", answer_to);
	assert_int_equal(t.asked.n, 0); /* all are known */
	/* it asks, and gives up when one stays unknown */
	t.fb.head.nunsized = 1;
	fakebox_publish(&t.fb);
	assert_true(
	    span_starts(span_of(replies("STATUS INBOX (SIZE)")), SPAN("a NO ")));
	check_true(span_starts(buf_span(&t.asked), SPAN("sizes 1:429496729")), "%.*s",
	           (int)t.asked.n, t.asked.p);
	t.refuse.begins = "sizes";
	t.refuse.error = EIO;
	assert_true(
	    span_starts(span_of(replies("STATUS INBOX (SIZE)")), SPAN("a NO ")));
}

static void
list_with_status(void **state)
{
	(void)state;
	fill();
	t.boxes = "m- - Archive\nms - Gone\nms - INBOX\n-s - Wish\n";
	check_reply("LIST \"\" * RETURN (STATUS (MESSAGES) CHILDREN)",
	            "* LIST (\\HasNoChildren) \"/\" \"Archive\"\n"
	            "* STATUS \"Archive\" (MESSAGES 2)\n"
	            "* LIST (\\Noselect \\HasNoChildren) \"/\" \"Gone\"\n"
	            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\n"
	            "* STATUS \"INBOX\" (MESSAGES 2)\n" DONE);
	check_reply("LIST (SUBSCRIBED) \"\" (Wish INBOX) RETURN (STATUS (UIDNEXT))",
	            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"\n"
	            "* STATUS \"INBOX\" (UIDNEXT 3)\n"
	            "* LIST (\\NonExistent \\Noselect \\HasNoChildren \\Subscribed) "
	            "\"/\" \"Wish\"\n" DONE);
}

/* ---- changes ------------------------------------------------------------------------------------ */

static const struct {
	const char *command, *reply, *asked; /* NULL: nothing is asked of the daemon */
} changes[] = {
    {"CREATE New", "a OK CREATE completed.", "create New\n"},
    {"CREATE New/", "a OK CREATE completed.", "create New\n"},
    {"CREATE a/12.eml", "a OK CREATE completed.", "create a/%312.eml\n"},
    {"CREATE a%41", "a OK CREATE completed.", "create a%2541\n"},
    {"CREATE &APw-", "a OK CREATE completed.", "create \xc3\xbc\n"},
    {"CREATE New (USE (\\sent \\Drafts))", "a OK CREATE completed.",
     "create New\t\\Drafts,\\Sent\n"},
    {"CREATE New (USE ())", "a OK CREATE completed.", "create New\n"},
    {"CREATE New (USE (\\All))", "a NO [USEATTR]", NULL},
    {"CREATE New (USE (\\Sent \\Unheard))", "a NO [USEATTR]", NULL},
    {"CREATE inbox", "a NO [ALREADYEXISTS]", NULL},
    {"CREATE \"\"", "a NO [CANNOT]", NULL},
    {"CREATE /", "a NO [CANNOT]", NULL},
    {"CREATE a//", "a NO [CANNOT]", NULL},
    {"CREATE ../x", "a NO [CANNOT]", NULL},
    {"CREATE /etc", "a NO [CANNOT]", NULL},
    {"CREATE ~x", "a NO [CANNOT]", NULL},
    {"CREATE &AC8-", "a NO [CANNOT]", NULL},
    {"DELETE Tofu", "a OK DELETE completed.", "delete Tofu\n"},
    {"DELETE inbox", "a NO [CANNOT]", NULL},
    {"RENAME Tofu Soy/Tofu", "a OK RENAME completed.", "rename Tofu\tSoy/Tofu\n"},
    {"RENAME Tofu Tofu", "a NO [ALREADYEXISTS]", NULL},
    {"RENAME Tofu INBOX", "a NO [ALREADYEXISTS]", NULL},
    {"RENAME Tofu Tofu/x", "a NO [CANNOT]", NULL},
    {"RENAME Tofu Tofux", "a OK RENAME completed.", "rename Tofu\tTofux\n"},
    {"RENAME Tofu ../x", "a NO [CANNOT]", NULL},
    {"SUBSCRIBE Tofu", "a OK SUBSCRIBE completed.", "subscribe Tofu\n"},
    {"SUBSCRIBE Fruit", "a NO [NONEXISTENT]", NULL},
    {"SUBSCRIBE Nothing", "a NO [NONEXISTENT]", NULL},
    {"SUBSCRIBE Fruit/Peach", "a NO [NONEXISTENT]", NULL},
    {"SUBSCRIBE ../x", "a NO [CANNOT]", NULL},
    {"UNSUBSCRIBE Nothing", "a OK UNSUBSCRIBE completed.", "unsubscribe Nothing\n"},
};

static void
changes_reach_the_daemon(void **state)
{
	(void)state;
	t.boxes = fruit;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		const char *got = replies(changes[i].command);

		check_true(span_starts(span_of(got), span_of(changes[i].reply)),
		           "%s: %s", changes[i].command, got);
		check_span(buf_span(&t.asked),
		           span_of(changes[i].asked != NULL ? changes[i].asked : ""),
		           "%s", changes[i].command);
		buf_reset(&t.asked);
	}
}

static const struct {
	const char *begins;
	int error;
	const char *command, *reply;
} failures[] = {
    {"create", EEXIST, "CREATE Tofu", "a NO [ALREADYEXISTS]"},
    {"create", EINVAL, "CREATE a.b", "a NO [CANNOT]"},
    {"create", ENAMETOOLONG, "CREATE a", "a NO [CANNOT]"},
    {"create", EROFS, "CREATE a", "a NO [NOPERM]"},
    {"create", ENOTSUP, "CREATE a/b", "a NO [CANNOT]"},
    {"delete", ETIMEDOUT, "DELETE a", "a NO [INUSE]"},
    {"create", EDQUOT, "CREATE a", "a NO [OVERQUOTA]"},
    {"delete", ENOENT, "DELETE Nothing", "a NO [NONEXISTENT]"},
    {"delete", ENOENT, "DELETE Fruit", "a NO [HASCHILDREN]"},
    {"delete", EACCES, "DELETE Tofu", "a NO [NOPERM]"},
    {"rename", ENOENT, "RENAME Nothing x", "a NO [NONEXISTENT]"},
    {"rename", EEXIST, "RENAME Tofu Vegetable", "a NO [ALREADYEXISTS]"},
    {"subscribe", EACCES, "SUBSCRIBE Tofu", "a NO [NOPERM]"},
    {"create", EEXIST, "RENAME INBOX Tofu", "a NO [ALREADYEXISTS]"},
};

static void
failures_have_codes(void **state)
{
	(void)state;
	t.boxes = fruit;
	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		const char *got;

		t.refuse.begins = failures[i].begins;
		t.refuse.error = failures[i].error;
		got = replies(failures[i].command);
		check_true(span_starts(span_of(got), span_of(failures[i].reply)),
		           "%s: %s", failures[i].command, got);
	}
}

/* INBOX itself stays: its messages go. */
static void
rename_of_inbox(void **state)
{
	static const char wanted[] = "create Old\nmove 1:4294967294 Old\n";

	(void)state;
	t.boxes = fruit;
	check_reply("RENAME inbox Old", "a OK RENAME completed.\n");
	check_mem(t.asked.p, t.asked.n, wanted, "asked");
	buf_reset(&t.asked);
	/* a mailbox into which nothing went does not stay */
	t.refuse.begins = "move";
	t.refuse.error = ENOSPC;
	assert_true(span_starts(span_of(replies("RENAME inbox Old")),
	                        SPAN("a NO [OVERQUOTA]")));
	assert_true(span_starts(buf_span(&t.asked), span_of(wanted)));
	buf_drop(&t.asked, sizeof wanted - 1);
	check_mem(t.asked.p, t.asked.n, "delete Old\n", "asked");
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(list_by_the_rfc),     TEST(wrong_arguments),
	    TEST(list_of_odd_names),   TEST(list_says_configured_uses),
	    TEST(list_of_many),        TEST(hostile_patterns_are_given_up),
	    TEST(status_of_a_mailbox), TEST(status_size_waits_for_sizes),
	    TEST(list_with_status),    TEST(changes_reach_the_daemon),
	    TEST(failures_have_codes), TEST(rename_of_inbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
