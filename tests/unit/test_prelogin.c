/* prelogin: POP3 before login, as transcripts, at every cut. */
#include <stdio.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include "protocol/pop3/prelogin.h"

static const struct prelogin_conf open_conf = {.plaintext = true,
                                              .mechs = MECH_LOGIN};
static const struct prelogin_conf closed_conf = {.plaintext = false};
static const struct prelogin_conf tls_conf = {.starttls = true};
static const struct prelogin_conf secured_conf = {
    .plaintext = true, .secured = true, .mechs = MECH_LOGIN};
static const struct prelogin_conf many_conf = {
    .plaintext = true, .mechs = MECH_PLAIN | MECH_CRAM_MD5 | MECH_APOP};
static const struct prelogin_conf cram_conf = {.mechs = MECH_CRAM_MD5};

#define STAMP "<1.2@x>"

#define GREETING "+OK mailtree ready.\r\n"
#define CAPA                                                                           \
	"+OK Capability list "                                                         \
	"follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"                   \
	"PIPELINING\r\nUTF8\r\nLANG\r\nEXPIRE NEVER\r\nIMPLEMENTATION mailtree\r\n"
#define LANGS                                                                          \
	"+OK Language listing follows:\r\ni-default Default (English)\r\nen "          \
	"English\r\n.\r\n"
#define UNKNOWN "-ERR Unknown command, or not before login.\r\n"
#define BAD_ARG "-ERR Bad arguments.\r\n"
#define TEN(x)  x x x x x x x x x x

/* What a login was asked for, in the transcript: the verdict here is always `wrong`. */
#define ASKED(user, pass) "{" user "|" pass "}"
#define WRONG             "-ERR [AUTH] Authentication failed.\r\n"
#define DISALLOWED                                                                     \
	"-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) "     \
	"connections.\r\n"

static const struct {
	const struct prelogin_conf *conf;
	const char *in, *want;
	bool closes;
} row[] = {
    {&open_conf, "", "", false},
    {&open_conf, "QUIT\r\n", "+OK Logging out.\r\n", true},
    {&open_conf, "quit\n", "+OK Logging out.\r\n", true},
    {&open_conf, "CAPA\r\n", CAPA "SASL LOGIN\r\nUSER\r\n.\r\n", false},
    {&closed_conf, "capa \r\n", CAPA ".\r\n", false},
    {&open_conf, "USER a\r\nPASS b\r\n", "+OK\r\n" ASKED("a", "b") WRONG, false},
    {&open_conf, "user  a \r\npass  b \r\n", "+OK\r\n" ASKED("a", " b ") WRONG, false},
    {&open_conf, "USER a@b.c\r\nPASS x y z\r\n",
     "+OK\r\n" ASKED("a@b.c", "x y z") WRONG, false},
    {&open_conf, "PASS b\r\n", "-ERR No username given.\r\n", false},
    {&open_conf, "USER a\r\nPASS\r\nPASS \r\n", "+OK\r\n" BAD_ARG BAD_ARG, false},
    {&open_conf, "USER a\r\nPASS b\r\nPASS b\r\n",
     "+OK\r\n" ASKED("a", "b") WRONG "-ERR No username given.\r\n", false},
    {&open_conf, "USER\r\nUSER a b\r\nUSER a\x7f\r\n",
     BAD_ARG "-ERR Not a user name.\r\n-ERR Not a user name.\r\n", false},
    {&open_conf, "USER a\r\nUSER b\r\nPASS c\r\n",
     "+OK\r\n+OK\r\n" ASKED("b", "c") WRONG, false},
    {&closed_conf, "USER a\r\nPASS b\r\n", DISALLOWED DISALLOWED, false},
    {&open_conf, "UTF8\r\n", "+OK UTF8 enabled\r\n", false},
    {&open_conf, "UTF8 x\r\n", BAD_ARG, false},
    {&open_conf, "LANG\r\n", LANGS, false},
    {&open_conf, "LANG en\r\nLANG EN\r\n",
     "+OK en Language changed\r\n+OK en Language changed\r\n", false},
    {&open_conf, "LANG tlh\r\nLANG *\r\nLANG i-default\r\n",
     "-ERR i-default Language not available\r\n+OK i-default Language changed\r\n"
     "+OK i-default Language changed\r\n",
     false},
    {&open_conf, "NOOP\r\nSTAT\r\nSTLS\r\nAUTH\r\n\r\n",
     UNKNOWN UNKNOWN "-ERR TLS is not available.\r\n" BAD_ARG UNKNOWN, false},
    /* AUTH */
    {&many_conf, "CAPA\r\n", CAPA "SASL CRAM-MD5 PLAIN\r\nUSER\r\n.\r\n", false},
    {&cram_conf, "CAPA\r\nAUTH PLAIN\r\n", CAPA "SASL CRAM-MD5\r\n.\r\n" DISALLOWED,
     false},
    {&cram_conf, "AUTH cram-md5\r\nZ28gb24=\r\nZ28gb24=\r\neA==\r\nUTF8\r\n",
     "<CRAM-MD5>+ \r\n<CRAM-MD5|go on>+ bW9yZQ==\r\n<CRAM-MD5|go on>+ "
     "bW9yZQ==\r\n<CRAM-MD5|x>" WRONG "+OK UTF8 enabled\r\n",
     false},
    {&many_conf, "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\nAUTH PLAIN =\r\nAUTH APOP\r\n",
     "<PLAIN|.joe.secret>" WRONG "<PLAIN|>" WRONG
     "-ERR Unsupported authentication mechanism.\r\n",
     false},
    {&many_conf, "AUTH PLAIN\r\n*\r\nAUTH PLAIN *\r\nAUTH PLAIN\r\n=\r\nUTF8\r\n",
     "<PLAIN>+ \r\n-ERR Authentication cancelled.\r\n-ERR Invalid base64.\r\n"
     "<PLAIN>+ \r\n-ERR Invalid base64.\r\n+OK UTF8 enabled\r\n",
     false},
    {&many_conf, "APOP joe 0123\r\n", "<APOP|" STAMP " joe 0123>" WRONG, false},
    {&open_conf, "APOP joe 0123\r\n", UNKNOWN, false},
    {&tls_conf, "CAPA\r\n", CAPA "STLS\r\n.\r\n", false},
    {&tls_conf, "STLS x\r\n", BAD_ARG, false},
    {&secured_conf, "CAPA\r\nSTLS\r\n",
     CAPA "SASL LOGIN\r\nUSER\r\n.\r\n-ERR TLS is on already.\r\n", false},
    {&open_conf, TEN("X\r\n") "QUIT\r\n",
     UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN
     "-ERR Too many bad commands.\r\n",
     true},
    {&open_conf, "a\rb\r\n", "-ERR Bad character in command.\r\n", false},
    {&open_conf,
     "USER a\r\nPASS 1\r\nUSER a\r\nPASS 2\r\nUSER a\r\nPASS 3\r\nUSER a\r\nPASS 4\r\n"
     "USER a\r\nPASS 5\r\nQUIT\r\n",
     "+OK\r\n" ASKED("a", "1") WRONG "+OK\r\n" ASKED("a", "2") WRONG
     "+OK\r\n" ASKED("a", "3") WRONG "+OK\r\n" ASKED("a", "4") WRONG
     "+OK\r\n" ASKED("a", "5") WRONG,
     true},
};

/*
 * A step of a dialogue, in the transcript, NULs as dots. `go on` gets another challenge,
 * everything else is wrong.
 */
static enum prelogin_ev
talk(struct prelogin *p, enum prelogin_ev ev, struct buf *out, struct buf *all)
{
	struct span a = p->talk.answer;

	(void)buf_add(all, buf_span(out));
	buf_reset(out);
	if (ev == PRELOGIN_BEGIN && !p->talk.given) {
		(void)buf_addf(all, "<%s>", mech_name(p->talk.mech));
		return prelogin_challenge(p, SPAN(""), out);
	}
	(void)buf_addf(all, "<%s|", mech_name(p->talk.mech));
	for (size_t i = 0; i < a.n; i++)
		(void)buf_addc(all, a.p[i] == '\0' ? '.' : a.p[i]);
	(void)buf_addc(all, '>');
	if (span_eq(a, SPAN("go on")))
		return prelogin_challenge(p, SPAN("more"), out);
	return prelogin_refuse(p, PRELOGIN_WRONG, out);
}

/* Push one piece; what is asked for is refused. True when the connection is to close. */
static bool
push(struct prelogin *p, struct span piece, struct buf *out, struct buf *all)
{
	do {
		enum prelogin_ev ev = prelogin_push(p, &piece, out);

		if (ev == PRELOGIN_LOGIN) {
			(void)buf_add(all, buf_span(out));
			buf_reset(out);
			(void)buf_addf(all, "{%.*s|%.*s}", (int)p->user_size, p->user,
			               (int)p->password.n, p->password.p);
			ev = prelogin_refuse(p, PRELOGIN_WRONG, out);
		}
		if (ev == PRELOGIN_BEGIN || ev == PRELOGIN_ANSWER)
			ev = talk(p, ev, out, all);
		check_true(out->n < PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX, "room");
		(void)buf_add(all, buf_span(out));
		buf_reset(out);
		if (ev == PRELOGIN_CLOSE)
			return true;
	} while (piece.n > 0);
	return false;
}

static bool
converse(const struct prelogin_conf *conf, struct span in, size_t step, struct buf *all)
{
	struct buf out = {.max = PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX};
	struct prelogin p;
	bool closed = false;

	prelogin_open(&p, conf, STAMP, &out);
	while (in.n > 0 && !closed) {
		size_t n = in.n < step ? in.n : step;

		closed = push(&p, guarded((struct span){in.p, n}), &out, all);
		in = span_from(in, n);
	}
	(void)buf_add(all, buf_span(&out));
	buf_free(&out);
	prelogin_wipe(&p);
	guard_free_all();
	return closed;
}

static void
answers_alike_however_cut(void **state)
{
	struct buf all = {0}, want = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++) {
			bool closed =
			    converse(row[i].conf, span_of(row[i].in), step, &all);

			(void)buf_addf(&want, "%s%s",
			               row[i].conf == &many_conf
			                   ? "+OK mailtree ready. " STAMP "\r\n"
			                   : GREETING,
			               row[i].want);
			check_span(buf_span(&all), buf_span(&want), "row %zu, step %zu",
			           i, step);
			check_true(closed == row[i].closes, "row %zu, step %zu: closes",
			           i, step);
			buf_reset(&all);
			buf_reset(&want);
		}
	buf_free(&all);
	buf_free(&want);
}

static void
nul_is_no_terminator(void **state)
{
	static const char in[] = "USER a\0b\r\nUSER root\r\nPASS a\0b\r\n";
	struct buf all = {0};

	(void)state;
	(void)converse(&open_conf, (struct span){in, sizeof in - 1}, sizeof in, &all);
	check_span(buf_span(&all),
	           SPAN(GREETING "-ERR Bad character in command.\r\n+OK\r\n"
	                         "-ERR Bad character in command.\r\n"),
	           "NUL");
	buf_free(&all);
}

static void
lines_have_255_octets(void **state)
{
	char line[300];
	struct buf all = {0};

	(void)state;
	memset(line, 'x', sizeof line);
	for (size_t n = 250; n < 260; n++) {
		memcpy(line, "USER ", 5);
		line[n - 2] = '\r';
		line[n - 1] = '\n';
		(void)converse(&open_conf, (struct span){line, n}, 7, &all);
		check_span(span_from(buf_span(&all), strlen(GREETING)),
		           n <= 255 ? SPAN("+OK\r\n")
		                    : SPAN("-ERR Command line too long.\r\n"),
		           "%zu octets", n);
		buf_reset(&all);
		line[n - 2] = line[n - 1] = 'x';
	}
	buf_free(&all);
}

/*
 * Wherever a segment ends: what came in clear text behind STLS is dropped, and nothing said
 * before it counts after the handshake.
 */
static void
nothing_is_injected_before_tls(void **state)
{
	static const char before[] = "USER eve\r\nUTF8\r\nX\r\nSTLS\r\n",
	                  behind[] = "USER eve\r\nPASS evil\r\nCAPA\r\n";
	struct buf out = {.max = PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX};
	char text[sizeof before + sizeof behind];

	(void)state;
	snprintf(text, sizeof text, "%s%s", before, behind);
	for (size_t end = sizeof before - 1; end <= strlen(text); end++)
		for (size_t begin = 0; begin < sizeof before - 1; begin++) {
			struct span first = {text, begin},
			            last = guarded((struct span){text + begin,
			                                         end - begin});
			struct prelogin p;

			prelogin_open(&p, &tls_conf, NULL, &out);
			check_num(prelogin_push(&p, &first, &out), PRELOGIN_MORE, "-");
			check_num(prelogin_push(&p, &last, &out), PRELOGIN_STARTTLS,
			          "from %zu to %zu", begin, end);
			check_num(last.n, 0, "from %zu to %zu", begin, end);
			buf_reset(&out);
			prelogin_restart(&p, &secured_conf);
			last = SPAN("PASS x\r\n");
			check_num(prelogin_push(&p, &last, &out), PRELOGIN_MORE, "-");
			check_span(buf_span(&out), SPAN("-ERR No username given.\r\n"),
			           "from %zu to %zu", begin, end);
			check_true(!p.utf8 && p.bad == 2, "from %zu to %zu", begin, end);
			buf_reset(&out);
			prelogin_wipe(&p);
			guard_free_all();
		}
	buf_free(&out);
}

/* A flood of short commands with long replies is held up, not gathered. */
static void
output_has_its_ceiling(void **state)
{
	struct buf out = {.max = PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX};
	char flood[6 * 1000];
	struct prelogin p;
	struct span in = {flood, sizeof flood};
	size_t pushes = 0;

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		memcpy(flood + 6 * i, "CAPA\r\n", 6);
	prelogin_open(&p, &open_conf, NULL, &out);
	for (; in.n > 0; pushes++) {
		check_num(prelogin_push(&p, &in, &out), PRELOGIN_MORE, "push %zu",
		          pushes);
		check_true(out.n > 0, "push %zu goes on", pushes);
		buf_reset(&out);
	}
	check_true(pushes > 50, "%zu pushes", pushes);
	check_true(sizeof p < 1024, "the state is small");
	buf_free(&out);
}

static void
leftover_stays_with_the_caller(void **state)
{
	struct buf out = {0};
	struct prelogin p;
	struct span in =
	    SPAN("LANG en\r\nUTF8\r\nUSER joe\r\nPASS secret\r\nSTAT\r\nQUI");

	(void)state;
	prelogin_open(&p, &open_conf, NULL, &out);
	check_num(prelogin_push(&p, &in, &out), PRELOGIN_LOGIN, "login");
	check_span(in, SPAN("STAT\r\nQUI"), "leftover");
	check_span(prelogin_user(&p), SPAN("joe"), "user");
	check_span(p.password, SPAN("secret"), "password");
	check_true(p.utf8 && p.lang == LANG_EN, "what was negotiated");
	prelogin_wipe(&p);
	for (size_t i = 0; i < sizeof p; i++)
		check_true(((const char *)&p)[i] == 0, "octet %zu is wiped", i);
	buf_free(&out);
}

static void
refusals_say_why(void **state)
{
	static const struct {
		enum prelogin_why why;
		const char *want;
	} why[] = {
	    {PRELOGIN_WRONG, WRONG},
	    {PRELOGIN_LATER,
	     "-ERR [SYS/TEMP] Login is not possible now, try later.\r\n"},
	    {PRELOGIN_UNAVAILABLE, "-ERR [SYS/PERM] Login is not possible.\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(why); i++) {
		struct buf out = {0};
		struct prelogin p;
		struct span in = SPAN("USER u\r\nPASS p\r\n");

		prelogin_open(&p, &open_conf, NULL, &out);
		check_num(prelogin_push(&p, &in, &out), PRELOGIN_LOGIN, "row %zu", i);
		buf_reset(&out);
		check_num(prelogin_refuse(&p, why[i].why, &out), PRELOGIN_MORE,
		          "row %zu", i);
		check_span(buf_span(&out), span_of(why[i].want), "row %zu", i);
		check_true(memmem(&p, sizeof p, "PASS p", 6) == NULL, "row %zu: wiped",
		           i);
		buf_free(&out);
	}
}

static void
a_full_buffer_closes(void **state)
{
	struct buf out = {.max = 40};
	struct prelogin p;
	struct span in = SPAN("CAPA\r\nCAPA\r\n");

	(void)state;
	prelogin_open(&p, &open_conf, NULL, &out);
	check_num(prelogin_push(&p, &in, &out), PRELOGIN_CLOSE, "closes");
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_alike_however_cut),
	    cmocka_unit_test(nothing_is_injected_before_tls),
	    cmocka_unit_test(nul_is_no_terminator),
	    cmocka_unit_test(lines_have_255_octets),
	    cmocka_unit_test(output_has_its_ceiling),
	    cmocka_unit_test(leftover_stays_with_the_caller),
	    cmocka_unit_test(refusals_say_why),
	    cmocka_unit_test(a_full_buffer_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
