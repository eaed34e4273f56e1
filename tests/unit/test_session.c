/* session: POP3 after login as transcripts over a mailbox of plain files, at every cut. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/fakebox.h"
#include "tests/unit/support/guard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/pop3/session.h"
#include "storage/base/io.h"

static struct fakebox fb;
static struct view view;
static struct out out;
static struct uidl uidl;
static int client; /* what the client would have got */

static void
add(const char *octets, unsigned bits)
{
	(void)fakebox_add(&fb, span_of(octets), bits);
}

static void
use_format(const char *format)
{
	const char *why;

	check_num((uint64_t)uidl_compile(span_of(format), &uidl, &why), 0, "%s",
	          format);
}

static int
setup(void **state)
{
	(void)state;
	fakebox_make(&fb);
	use_format(UIDL_DEFAULT);
	client = memfd_create("client", MFD_CLOEXEC);
	add("A: b\r\n\r\none\r\ntwo\r\n", 0); /* 18 */
	add(".A: b\r\n\r\n.\r\n..x\r\n", 0);  /* 17 */
	add("gone\r\n", MT_EXPUNGED);
	add("", 0);
	add("A: \xc3\xa4\r\n\r\n\xff\r\n", 0); /* 12 */
	fakebox_publish(&fb);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fakebox_remove(&fb);
	close(client);
	return 0;
}

static void
begin(struct session *s)
{
	struct session_conf conf = {.uidl = &uidl, .name = "test"};
	struct view_conf vc = fakebox_conf(&fb);

	if (ftruncate(client, 0) == -1 || lseek(client, 0, SEEK_SET) == -1)
		check_fail("memfd");
	out_open(&out, client, 1000);
	check_num((uint64_t)view_open(&vc, &view), 0, "view_open: %s", strerror(errno));
	check_num((uint64_t)session_open(s, &conf, &view, &out), 0, "session_open: %s",
	          strerror(errno));
}

static void
end(struct session *s)
{
	session_close(s);
	view_close(&view);
}

static enum session_ev
push_in_steps(struct session *s, struct span in, size_t step)
{
	enum session_ev ev = SESSION_MORE;

	while (in.n > 0 && ev == SESSION_MORE) {
		size_t n = in.n < step ? in.n : step;

		ev = session_push(s, guarded((struct span){in.p, n}));
		in = span_from(in, n);
	}
	guard_free_all();
	return ev;
}

/* What the client got, added to `got`. */
static void
received(struct buf *got)
{
	buf_reset(got);
	check_num((uint64_t)io_slurp(client, got), 0, "slurp");
}

static void
rewind_client(void)
{
	if (lseek(client, 0, SEEK_SET) == -1)
		check_fail("lseek");
}

static enum session_ev
converse(const char *in, size_t step, struct buf *got)
{
	struct session s;
	enum session_ev ev;

	begin(&s);
	ev = push_in_steps(&s, span_of(in), step);
	end(&s);
	rewind_client();
	received(got);
	return ev;
}

#define NONE    "-ERR There is no such message.\r\n"
#define ARG     "-ERR Bad arguments.\r\n"
#define MSG1    "A: b\r\n\r\none\r\ntwo\r\n"
#define MSG2    "..A: b\r\n\r\n..\r\n...x\r\n"
#define OK1     "+OK 18 octets\r\n" MSG1 ".\r\n"
#define OK2     "+OK 17 octets\r\n" MSG2 ".\r\n"
#define TOP     "+OK top of message follows\r\n"
#define DEL     "+OK Marked to be deleted.\r\n"
#define U1      "00000001499602d2"
#define U2      "00000002499602d2"
#define U4      "00000004499602d2"
#define U5      "00000005499602d2"
#define UNKNOWN "-ERR Unknown command, or not after login.\r\n"

static const struct {
	const char *in, *want;
	enum session_ev ev;
	const char *expunged;
} row[] = {
    {"", "", SESSION_MORE, ""},
    {"STAT\r\n", "+OK 4 47\r\n", SESSION_MORE, ""},
    {"stat \r\nSTAT x\r\n", "+OK 4 47\r\n" ARG, SESSION_MORE, ""},
    {"LIST\r\n", "+OK 4 messages (47 octets)\r\n1 18\r\n2 17\r\n3 0\r\n4 12\r\n.\r\n",
     SESSION_MORE, ""},
    {"LIST 2\r\nLIST 5\r\nLIST 0\r\nLIST -1\r\nLIST x\r\nLIST "
     "99999999999999999999\r\nLIST 1 2\r\n",
     "+OK 2 17\r\n" NONE NONE NONE NONE NONE NONE, SESSION_MORE, ""},
    {"UIDL\r\n",
     "+OK 4 messages (47 octets)\r\n1 " U1 "\r\n2 " U2 "\r\n3 " U4 "\r\n4 " U5
     "\r\n.\r\n",
     SESSION_MORE, ""},
    {"UIDL 3\r\nUIDL 5\r\n", "+OK 3 " U4 "\r\n" NONE, SESSION_MORE, ""},
    {"RETR 1\r\nRETR 2\r\n", OK1 OK2, SESSION_MORE, ""},
    {"RETR 2\r\nRETR 1\r\nretr 01\r\n", OK2 OK1 OK1, SESSION_MORE, ""},
    {"RETR 3\r\n", "+OK 0 octets\r\n.\r\n", SESSION_MORE, ""},
    {"RETR 4\r\n", "+OK 12 octets\r\nA: \xc3\xa4\r\n\r\n\xff\r\n.\r\n", SESSION_MORE,
     ""},
    {"RETR\r\nRETR 5\r\nRETR 1 1\r\n", ARG NONE NONE, SESSION_MORE, ""},
    {"TOP 1 0\r\nTOP 1 1\r\nTOP 1 2\r\nTOP 1 1000\r\n",
     TOP "A: b\r\n\r\n.\r\n" TOP "A: b\r\n\r\none\r\n.\r\n" TOP MSG1 ".\r\n" TOP MSG1
         ".\r\n",
     SESSION_MORE, ""},
    {"TOP 2 0\r\nTOP 2 1\r\nTOP 3 9\r\n",
     TOP "..A: b\r\n\r\n.\r\n" TOP "..A: b\r\n\r\n..\r\n.\r\n" TOP ".\r\n",
     SESSION_MORE, ""},
    {"TOP 1\r\nTOP\r\nTOP 1 x\r\nTOP 1 -1\r\nTOP x 1\r\nTOP 9 1\r\n",
     "-ERR TOP takes a message number and a number of lines.\r\n" ARG
     "-ERR TOP takes a message number and a number of lines.\r\n"
     "-ERR TOP takes a message number and a number of lines.\r\n" NONE NONE,
     SESSION_MORE, ""},
    {"NOOP\r\nnoop\n", "+OK\r\n+OK\r\n", SESSION_MORE, ""},
    {"DELE 2\r\nDELE 2\r\nRETR 2\r\nTOP 2 0\r\nLIST 2\r\nUIDL 2\r\nSTAT\r\n",
     DEL NONE NONE NONE NONE NONE "+OK 3 30\r\n", SESSION_MORE, ""},
    {"DELE 2\r\nLIST\r\nUIDL\r\n",
     DEL "+OK 3 messages (30 octets)\r\n1 18\r\n3 0\r\n4 12\r\n.\r\n"
         "+OK 3 messages (30 octets)\r\n1 " U1 "\r\n3 " U4 "\r\n4 " U5 "\r\n.\r\n",
     SESSION_MORE, ""},
    {"DELE 2\r\nRSET\r\nRETR 2\r\nQUIT\r\n",
     DEL "+OK 4 47\r\n" OK2 "+OK Logging out.\r\n", SESSION_QUIT, ""},
    {"DELE 2\r\nDELE 1\r\nDELE 4\r\nQUIT\r\nSTAT\r\n",
     DEL DEL DEL "+OK Logging out.\r\n", SESSION_QUIT, "expunge 1:2,5:5\n"},
    {"QUIT\r\n", "+OK Logging out.\r\n", SESSION_QUIT, ""},
    {"DELE 1\r\nQUIT", DEL, SESSION_MORE, ""},
    {"DELE 1\r\nQUIT x\r\n", DEL ARG, SESSION_MORE, ""},
    {"USER a\r\nPASS b\r\nUTF8\r\nLAST\r\n\r\n \r\nRETR1\r\n",
     UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN, SESSION_MORE, ""},
    {"LANG\r\nLANG en\r\nLANG xx\r\n",
     "+OK Language listing follows:\r\ni-default Default (English)\r\nen "
     "English\r\n.\r\n"
     "+OK en Language changed\r\n-ERR en Language not available\r\n",
     SESSION_MORE, ""},
    {"CAPA\r\n",
     "+OK Capability list "
     "follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
     "UTF8\r\nLANG\r\nEXPIRE NEVER\r\nIMPLEMENTATION mailtree\r\nUSER\r\n.\r\n",
     SESSION_MORE, ""},
    {"ST\rAT\r\n", "-ERR Bad character in command.\r\n", SESSION_MORE, ""},
};

static void
answers_alike_however_cut(void **state)
{
	struct buf got = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++) {
			enum session_ev ev = converse(row[i].in, step, &got);
			struct span asked;

			check_span(buf_span(&got), span_of(row[i].want),
			           "row %zu, step %zu", i, step);
			check_num(ev, row[i].ev, "row %zu, step %zu: event", i, step);
			asked = span_from(buf_span(&fb.asked), strlen("sync\n"));
			check_span(asked, span_of(row[i].expunged),
			           "row %zu, step %zu: ctl", i, step);
			/* as it was, for the next cut */
			for (unsigned m = 0; m < 5; m++) {
				fb.rec[m].bits &= (uint16_t)~MT_EXPUNGED;
				fb.rec[m].bits |= (uint16_t)(m == 2 ? MT_EXPUNGED : 0);
				fakebox_seal(&fb.rec[m]);
			}
			fakebox_publish(&fb);
			buf_reset(&fb.asked);
		}
	buf_free(&got);
}

static void
lines_have_255_octets(void **state)
{
	char line[301];
	struct buf got = {0};

	(void)state;
	for (size_t n = 250; n < 260; n++) {
		memset(line, ' ', n);
		memcpy(line, "STAT", 4);
		memcpy(line + n - 2, "\r\n", 3);
		(void)converse(line, 11, &got);
		check_span(buf_span(&got),
		           n <= 255 ? SPAN("+OK 4 47\r\n")
		                    : SPAN("-ERR Command line too long.\r\n"),
		           "%zu octets", n);
	}
	buf_free(&got);
}

static void
nul_in_a_command(void **state)
{
	struct session s;
	struct buf got = {0};

	(void)state;
	begin(&s);
	(void)session_push(&s, (struct span){"DELE 1\0\r\nQUI\0T\r\nSTAT\r\n", 22});
	end(&s);
	rewind_client();
	received(&got);
	check_span(
	    buf_span(&got),
	    SPAN("-ERR Bad character in command.\r\n-ERR Bad character in command.\r\n"
	         "+OK 4 47\r\n"),
	    "NUL");
	buf_free(&got);
}

static void
nonsense_ends(void **state)
{
	struct buf in = {0}, got = {0};

	(void)state;
	for (unsigned i = 0; i < 2 * SESSION_BAD_MAX; i++)
		(void)buf_addf(&in, "X\r\n");
	(void)buf_addc(&in, '\0');
	check_num(converse(in.p, in.n, &got), SESSION_BROKEN, "ends");
	check_true(got.n > 0 && memmem(got.p, got.n, "-ERR Too many bad commands.\r\n",
	                               29) != NULL,
	           "and says why");
	buf_free(&in);
	buf_free(&got);
}

/* ---- what others do meanwhile -------------------------------------------------------------- */

static void
numbers_are_frozen(void **state)
{
	struct session s;
	struct buf got = {0};

	(void)state;
	begin(&s);
	add("new\r\n", 0);
	fb.rec[0].bits |= MT_EXPUNGED; /* through mailtree: its octets stay for us */
	fakebox_seal(&fb.rec[0]);
	fakebox_publish(&fb);
	(void)session_push(&s, SPAN("STAT\r\nRETR 1\r\nRETR 5\r\n"));
	end(&s);
	rewind_client();
	received(&got);
	check_span(buf_span(&got), SPAN("+OK 4 47\r\n" OK1 NONE), "frozen");
	buf_free(&got);
}

static void
removed_by_another_program(void **state)
{
	struct session s;
	struct buf got = {0};

	(void)state;
	begin(&s);
	fakebox_vanish(&fb, &fb.rec[0]);
	(void)session_push(&s, SPAN("RETR 1\r\nTOP 1 0\r\nRETR 2\r\nLIST 1\r\n"));
	end(&s);
	rewind_client();
	received(&got);
#define REMOVED "-ERR [SYS/PERM] message 1 has been removed by another program\r\n"
	check_span(buf_span(&got), SPAN(REMOVED REMOVED OK2 "+OK 1 18\r\n"), "removed");
	buf_free(&got);
}

/* Once the length is announced, nothing but so many octets may follow. */
static void
length_is_kept_or_the_connection_dropped(void **state)
{
	static char large[4 * READER_WINDOW];
	struct session s;
	struct buf got = {0};
	char nul = 0, announced[64];
	enum session_ev ev;

	(void)state;
	memset(large, 'x', sizeof large);
	memcpy(large + sizeof large - 2, "\r\n", 2);
	(void)fakebox_add(&fb, (struct span){large, sizeof large}, 0);
	fakebox_publish(&fb);
	begin(&s);
	fakebox_vanish(&fb, &fb.rec[5]);
	if (io_pwrite_all(fb.wire, (struct span){large, sizeof large},
	                  (off_t)fb.rec[5].wire_off) == -1 ||
	    io_pwrite_all(fb.wire, (struct span){&nul, 1},
	                  (off_t)fb.rec[5].wire_off + 3 * READER_WINDOW) == -1)
		check_fail("pwrite");
	ev = session_push(&s, SPAN("RETR 5\r\nDELE 1\r\nQUIT\r\n"));
	end(&s);
	rewind_client();
	received(&got);
	check_num(ev, SESSION_BROKEN, "dropped");
	snprintf(announced, sizeof announced, "+OK %zu octets\r\n", sizeof large);
	check_true(span_starts(buf_span(&got), span_of(announced)), "announced");
	check_true(got.n < sizeof large, "not all of it");
	check_true(memchr(got.p, '\0', got.n) == NULL, "no wrong octet");
	check_true(memmem(fb.asked.p, fb.asked.n, "expunge", 7) == NULL,
	           "QUIT was not reached");
	buf_free(&got);
}

static void
quit_tells_when_deleting_fails(void **state)
{
	struct session s;
	struct buf got = {0};

	(void)state;
	begin(&s);
	fb.refuse = EROFS;
	check_num(session_push(&s, SPAN("DELE 1\r\nQUIT\r\n")), SESSION_QUIT, "ends");
	end(&s);
	rewind_client();
	received(&got);
	check_span(buf_span(&got),
	           SPAN(DEL "-ERR [SYS/TEMP] some deleted messages not removed\r\n"),
	           "reply");
	buf_free(&got);
}

/* The client may log in again as soon as it has the reply to QUIT. */
static void
quit_frees_the_maildrop(void **state)
{
	struct session_conf conf = {.uidl = &uidl, .name = "other"};
	struct view_conf vc = fakebox_conf(&fb);
	struct session s, other;
	struct view second;

	(void)state;
	begin(&s);
	check_num((uint64_t)view_open(&vc, &second), 0, "view");
	check_num((uint64_t)session_open(&other, &conf, &second, &out), (uint64_t)-1,
	          "in use");
	check_num((uint64_t)errno, EBUSY, "in use");
	check_mem(session_refusal(EBUSY), 14, "-ERR [IN-USE] ", "reply");
	check_num(session_push(&s, SPAN("QUIT\r\n")), SESSION_QUIT, "quit");
	check_num((uint64_t)session_open(&other, &conf, &second, &out), 0, "free");
	session_close(&other);
	view_close(&second);
	end(&s);
}

/* ---- unique ids that the store has ----------------------------------------------------------- */

static void
uidls_of_the_store(void **state)
{
	struct buf got = {0};
	unsigned page;

	(void)state;
	fb.uidl[1] = strdup("UID7-99");
	fb.uidl[4] = strdup("not a unique id");
	fb.rec[1].bits |= MT_UIDL;
	fb.rec[4].bits |= MT_UIDL;
	fakebox_seal(&fb.rec[1]);
	fakebox_seal(&fb.rec[4]);
	fakebox_publish(&fb);
	for (page = 0; page < 4; page++) {
		fb.names_page = page;
		(void)converse("UIDL\r\nUIDL 2\r\n", 99, &got);
		check_true(memmem(got.p, got.n,
		                  "\r\n1 " U1 "\r\n2 UID7-99\r\n3 " U4 "\r\n4 ~",
		                  56) != NULL,
		           "page %u: %.*s", page, (int)got.n, got.p);
		check_true(memmem(got.p, got.n, ".\r\n+OK 2 UID7-99\r\n", 18) != NULL,
		           "one");
	}
	buf_free(&got);
}

/* The store names three messages alike: a client must still fetch each of them. */
static void
alike_uidls_are_told_apart(void **state)
{
	static const unsigned rows[] = {0, 1, 4};
	struct buf got = {0}, again = {0};
	struct span rest, line, first = {NULL, 0};
	unsigned same = 0, hashed = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fb.uidl[rows[i]] = strdup("twin");
		fb.rec[rows[i]].bits |= MT_UIDL;
		fakebox_seal(&fb.rec[rows[i]]);
	}
	fakebox_publish(&fb);
	(void)converse("UIDL\r\n", 99, &got);
	(void)converse("UIDL\r\n", 99, &again);
	check_span(buf_span(&again), buf_span(&got), "the same every time");
	for (rest = buf_span(&got); span_cut(&rest, '\n', &line);) {
		same += span_eq(line, SPAN("1 twin\r"));
		if (line.n != 36 || line.p[2] != '~')
			continue;
		hashed++;
		check_true(!span_eq(span_from(line, 2), first), "distinct");
		first = span_from(line, 2);
	}
	check_num(same, 1, "the first keeps it");
	check_num(hashed, 2, "the others: %.*s", (int)got.n, got.p);
	buf_free(&got);
	buf_free(&again);
}

static void
uidls_of_base_names(void **state)
{
	struct buf got = {0};

	(void)state;
	use_format("%f");
	fb.names_page = 1;
	(void)converse("UIDL\r\n", 99, &got);
	check_span(
	    buf_span(&got),
	    SPAN("+OK 4 messages (47 octets)\r\n1 base.1.host\r\n2 base.2.host\r\n"
	         "3 base.4.host\r\n4 base.5.host\r\n.\r\n"),
	    "names");
	/* one that went away before it had a number is not there */
	free(fb.name[1]);
	fb.name[1] = NULL;
	(void)converse("UIDL\r\nLIST\r\n", 99, &got);
	check_span(
	    buf_span(&got),
	    SPAN("+OK 3 messages (30 octets)\r\n1 base.1.host\r\n2 base.4.host\r\n3 "
	         "base.5.host\r\n"
	         ".\r\n+OK 3 messages (30 octets)\r\n1 18\r\n2 0\r\n3 12\r\n.\r\n"),
	    "without");
	buf_free(&got);
}

static void
unsized_messages_are_left_out(void **state)
{
	struct buf got = {0};

	(void)state;
	fb.rec[1].wire_off = MT_OFF_UNKNOWN;
	fakebox_seal(&fb.rec[1]);
	fakebox_publish(&fb);
	(void)converse("LIST\r\n", 99, &got);
	check_span(buf_span(&got),
	           SPAN("+OK 3 messages (30 octets)\r\n1 18\r\n2 0\r\n3 12\r\n.\r\n"),
	           "left out");
	buf_free(&got);
}

/* ---- much output ------------------------------------------------------------------------------- */

/* Every message of many, and of every size around the copy and piece limits, in one go. */
static void
pipelined_bulk(void **state)
{
	struct buf in = {0}, got = {0}, want = {0}, text = {0};

	(void)state;
	fb.head.nrecord = 0;
	fb.head.nmessage = 0;
	for (unsigned i = 1; i <= 300; i++) {
		buf_reset(&text);
		for (unsigned k = 0; k < i * 37; k += 10)
			(void)buf_addf(&text, "%s%06u\r\n", i % 3 == 0 ? ".." : "",
			               i * 1000 + k);
		(void)fakebox_add(&fb, buf_span(&text), 0);
		(void)buf_addf(&in, "RETR %u\r\n", i);
		(void)buf_addf(&want, "+OK %zu octets\r\n", text.n);
		for (struct span rest = buf_span(&text), line;
		     span_cut(&rest, '\n', &line);)
			(void)buf_addf(&want, "%s%.*s\n", line.p[0] == '.' ? "." : "",
			               (int)line.n, line.p);
		(void)buf_addf(&want, ".\r\n");
	}
	fakebox_publish(&fb);
	(void)buf_addc(&in, '\0');
	check_num(converse(in.p, in.n, &got), SESSION_MORE, "bulk");
	check_true(span_eq(buf_span(&got), buf_span(&want)), "octets: %zu, want %zu",
	           got.n, want.n);
	buf_free(&in);
	buf_free(&got);
	buf_free(&want);
	buf_free(&text);
}

/* A client that takes nothing is dropped in time, and nothing waits without bound. */
static void
stopped_client(void **state)
{
	struct session s;
	int pair[2];
	enum session_ev ev = SESSION_MORE;

	(void)state;
	check_num((uint64_t)socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0, "socketpair");
	begin(&s);
	out_open(&out, pair[0], 50);
	for (unsigned i = 0; i < 1000000 && ev == SESSION_MORE; i++)
		ev = session_push(&s, SPAN("LIST\r\n"));
	check_num(ev, SESSION_BROKEN, "dropped");
	check_num(session_push(&s, SPAN("DELE 1\r\nQUIT\r\n")), SESSION_BROKEN,
	          "for good");
	check_true(memmem(fb.asked.p, fb.asked.n, "expunge", 7) == NULL,
	           "nothing is deleted");
	end(&s);
	close(pair[0]);
	close(pair[1]);
}

static void
client_that_is_gone(void **state)
{
	struct session s;
	int pair[2];

	(void)state;
	check_num((uint64_t)socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0, "socketpair");
	begin(&s);
	out_open(&out, pair[0], 50);
	close(pair[1]);
	check_num(session_push(&s, SPAN("DELE 1\r\nRETR 1\r\nQUIT\r\n")),
	          SESSION_BROKEN, "dropped");
	check_true(memmem(fb.asked.p, fb.asked.n, "expunge", 7) == NULL,
	           "nothing is deleted");
	end(&s);
	close(pair[0]);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(answers_alike_however_cut),
	    T(lines_have_255_octets),
	    T(nul_in_a_command),
	    T(nonsense_ends),
	    T(numbers_are_frozen),
	    T(removed_by_another_program),
	    T(length_is_kept_or_the_connection_dropped),
	    T(quit_tells_when_deleting_fails),
	    T(quit_frees_the_maildrop),
	    T(uidls_of_the_store),
	    T(alike_uidls_are_told_apart),
	    T(uidls_of_base_names),
	    T(unsized_messages_are_left_out),
	    T(pipelined_bulk),
	    T(stopped_client),
	    T(client_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
