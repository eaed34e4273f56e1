/* prelogin: IMAP before login, as transcripts, at every cut. */
#include <stdio.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include "protocol/answer.h"
#include "protocol/imap/prelogin.h"

static const struct prelogin_conf open_conf = {.plaintext = true,
                                              .mechs = MECH_PLAIN};
static const struct prelogin_conf closed_conf = {.plaintext = false};
static const struct prelogin_conf tls_conf = {.starttls = true};
static const struct prelogin_conf secured_conf = {
    .plaintext = true, .secured = true, .mechs = MECH_PLAIN};
static const struct prelogin_conf many_conf = {
    .plaintext = true, .mechs = MECH_PLAIN | MECH_CRAM_MD5 | MECH_APOP};
static const struct prelogin_conf cram_conf = {.plaintext = true,
                                              .mechs = MECH_CRAM_MD5};

#define CAPA        "CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE "
#define OPEN_CAPA   CAPA "AUTH=PLAIN"
#define CLOSED_CAPA CAPA "LOGINDISABLED"
#define UNKNOWN     "BAD Unknown command, or not before login.\r\n"
#define BAD_ARG     "BAD Bad arguments.\r\n"
#define TEN(x)      x x x x x x x x x x

/* What a login was asked for, in the transcript: the verdict here is always `wrong`. */
#define ASKED(user, pass) "{" user "|" pass "}"
#define WRONG             "NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"
#define DISALLOWED                                                                     \
	"NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure "      \
	"(SSL/TLS) connections.\r\n"
#define TOO_MANY "* BYE Too many failed logins.\r\n"

static const struct {
	const struct prelogin_conf *conf;
	const char *in, *want;
	bool closes;
} row[] = {
    {&open_conf, "", "", false},
    {&open_conf, "a LOGOUT\r\nb NOOP\r\n",
     "* BYE Logging out\r\na OK Logout completed.\r\n", true},
    {&open_conf, "a capability\n", "* " OPEN_CAPA "\r\na OK Capability completed.\r\n",
     false},
    {&closed_conf, "a CAPABILITY\r\n",
     "* " CLOSED_CAPA "\r\na OK Capability completed.\r\n", false},
    {&open_conf, "a NOOP\r\nb NOOP x\r\n", "a OK NOOP completed.\r\nb " BAD_ARG, false},
    {&open_conf, "a ID NIL\r\nb ID (\"name\" \"x\" \"os\" NIL)\r\nc ID ()\r\n",
     "* ID (\"name\" \"mailtree\")\r\na OK ID completed.\r\n"
     "* ID (\"name\" \"mailtree\")\r\nb OK ID completed.\r\n"
     "* ID (\"name\" \"mailtree\")\r\nc OK ID completed.\r\n",
     false},
    {&open_conf, "a ID\r\na ID x\r\na ID (\"a\")\r\na ID (NIL \"a\")\r\na ID () ()\r\n",
     "a " BAD_ARG "a " BAD_ARG "a " BAD_ARG "a " BAD_ARG "a " BAD_ARG, false},
    /* LOGIN */
    {&open_conf, "a LOGIN joe secret\r\n", ASKED("joe", "secret") "a " WRONG, false},
    {&open_conf, "a login \"joe\" \"a \\\"b\\\\ \xc3\xa4\"\r\n",
     ASKED("joe", "a \"b\\ \xc3\xa4") "a " WRONG, false},
    {&open_conf, "a LOGIN {3}\r\njoe {5}\r\na\r\nb)\r\n",
     "+ Go on.\r\n+ Go on.\r\n" ASKED("joe", "a\r\nb)") "a " WRONG, false},
    {&open_conf, "a LOGIN {3+}\r\njoe {1+}\r\n)\r\n", ASKED("joe", ")") "a " WRONG,
     false},
    {&open_conf, "a LOGIN\r\na LOGIN x\r\na LOGIN x y z\r\na LOGIN (x) y\r\n",
     "a " BAD_ARG "a " BAD_ARG "a " BAD_ARG "a " BAD_ARG, false},
    {&open_conf, "a LOGIN ~{1+}\r\nx y\r\na UID LOGIN x y\r\n",
     "a " BAD_ARG "a " UNKNOWN, false},
    {&open_conf, "a LOGIN \"a b\" x\r\nb LOGIN \"\" x\r\nc LOGIN x \"\"\r\n",
     "a " WRONG "b " WRONG "c " WRONG, false},
    {&open_conf, "a LOGIN {769}\r\na NOOP\r\n",
     "a BAD Literal too large\r\na OK NOOP completed.\r\n", false},
    {&open_conf, "a LOGIN {65537+}\r\n", "* BYE Literal too large\r\n", true},
    {&closed_conf,
     "a LOGIN joe secret\r\nb LOGIN {3}\r\nc LOGIN {3+}\r\njoe {1+}\r\nx\r\n",
     "a " DISALLOWED "b " DISALLOWED "c " DISALLOWED, false},
    {&open_conf,
     "1 LOGIN a b\r\n2 LOGIN a b\r\n3 LOGIN a b\r\n4 LOGIN \"\" b\r\n5 LOGIN a b\r\n6 "
     "NOOP\r\n",
     ASKED("a", "b") "1 " WRONG ASKED("a", "b") "2 " WRONG ASKED(
         "a", "b") "3 " WRONG "4 " WRONG ASKED("a", "b") "5 " WRONG TOO_MANY,
     true},
    /* AUTHENTICATE: `\0joe\0secret`, `joe\0joe\0secret`, `ann\0joe\0secret` */
    {&open_conf, "a AUTHENTICATE PLAIN AGpvZQBzZWNyZXQ=\r\n",
     "<PLAIN|.joe.secret>a " WRONG, false},
    {&open_conf, "a authenticate plain\r\nAGpvZQBzZWNyZXQ=\r\nb NOOP\r\n",
     "<PLAIN>+ \r\n<PLAIN|.joe.secret>a " WRONG "b OK NOOP completed.\r\n", false},
    {&open_conf, "a AUTHENTICATE PLAIN\r\n*\r\nb NOOP\r\n",
     "<PLAIN>+ \r\na BAD Authentication cancelled.\r\nb OK NOOP completed.\r\n", false},
    {&open_conf, "a AUTHENTICATE PLAIN *\r\n", "a BAD Invalid base64.\r\n", false},
    {&open_conf, "a AUTHENTICATE PLAIN\r\n\r\nb AUTHENTICATE PLAIN =\r\n",
     "<PLAIN>+ \r\n<PLAIN|>a " WRONG "<PLAIN|>b " WRONG, false},
    /* `go on`, `go on`, `x` */
    {&many_conf, "a AUTHENTICATE cram-md5\r\nZ28gb24=\r\nZ28gb24=\r\neA==\r\n",
     "<CRAM-MD5>+ \r\n<CRAM-MD5|go on>+ bW9yZQ==\r\n<CRAM-MD5|go on>+ "
     "bW9yZQ==\r\n<CRAM-MD5|x>a " WRONG,
     false},
    {&many_conf, "a AUTHENTICATE CRAM-MD5 Z28gb24=\r\n=\r\nb AUTHENTICATE APOP\r\n",
     "<CRAM-MD5|go on>+ bW9yZQ==\r\na BAD Invalid base64.\r\n"
     "b NO Unsupported authentication mechanism.\r\n",
     false},
    {&cram_conf, "a LOGIN joe secret\r\n",
     "a NO Passwords are not taken: use AUTHENTICATE.\r\n", false},
    {&open_conf,
     "a AUTHENTICATE PLAIN AGpvZQBzZWNyZXQ\r\nb AUTHENTICATE PLAIN\r\nAGpv ZQ==\r\n"
     "c AUTHENTICATE PLAIN AGpvZR==\r\nd AUTHENTICATE PLAIN AG=v\r\n",
     "a BAD Invalid base64.\r\n<PLAIN>+ \r\nb BAD Invalid base64.\r\nc BAD Invalid base64.\r\n"
     "d BAD Invalid base64.\r\n",
     false},
    {&open_conf,
     "a AUTHENTICATE\r\na AUTHENTICATE \"PLAIN\"\r\na AUTHENTICATE PLAIN x y\r\n",
     "a " BAD_ARG "a " BAD_ARG "a " BAD_ARG, false},
    {&open_conf, "a AUTHENTICATE CRAM-MD5\r\n",
     "a NO Unsupported authentication mechanism.\r\n", false},
    {&closed_conf, "a AUTHENTICATE PLAIN\r\n", "a " DISALLOWED, false},
    /* what is not to be had */
    {&open_conf, "a DELETE x\r\na ENABLE UTF8=ACCEPT\r\na SELECT INBOX\r\na x\r\n",
     "a " UNKNOWN "a " UNKNOWN "a " UNKNOWN "a " UNKNOWN, false},
    {&open_conf, "\r\n+ x\r\na\r\na X (\r\n",
     "* BAD Empty command\r\n* BAD Invalid tag\r\na BAD Missing command\r\n"
     "a BAD Missing )\r\n",
     false},
    {&open_conf, TEN("a X\r\n") "b NOOP\r\n",
     TEN("a " UNKNOWN) "* BYE Too many bad commands.\r\n", true},
};

/*
 * A step of a dialogue, in the transcript, NULs as dots. `go on` gets another challenge,
 * everything else is wrong.
 */
static enum prelogin_ev
talk(struct imap_prelogin *p, enum prelogin_ev ev, struct buf *out, struct buf *all)
{
	struct span a = p->talk.answer;

	(void)buf_add(all, buf_span(out));
	buf_reset(out);
	if (ev == PRELOGIN_BEGIN && !p->talk.given) {
		(void)buf_addf(all, "<%s>", mech_name(p->talk.mech));
		return imap_prelogin_challenge(p, SPAN(""), out);
	}
	(void)buf_addf(all, "<%s|", mech_name(p->talk.mech));
	for (size_t i = 0; i < a.n; i++)
		(void)buf_addc(all, a.p[i] == '\0' ? '.' : a.p[i]);
	(void)buf_addc(all, '>');
	if (span_eq(a, SPAN("go on")))
		return imap_prelogin_challenge(p, SPAN("more"), out);
	return imap_prelogin_refuse(p, PRELOGIN_WRONG, out);
}

/* Push one piece; what is asked for is refused. True when the connection is to close. */
static bool
push(struct imap_prelogin *p, struct span piece, struct buf *out, struct buf *all)
{
	do {
		enum prelogin_ev ev = imap_prelogin_push(p, &piece, out);

		if (ev == PRELOGIN_LOGIN) {
			struct span u = imap_prelogin_user(p),
			            w = imap_prelogin_password(p);

			(void)buf_add(all, buf_span(out));
			buf_reset(out);
			(void)buf_addf(all, "{%.*s|%.*s}", (int)u.n, u.p, (int)w.n,
			               w.p);
			ev = imap_prelogin_refuse(p, PRELOGIN_WRONG, out);
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
	struct imap_prelogin p;
	bool closed = false;

	imap_prelogin_open(&p, conf, &out);
	while (in.n > 0 && !closed) {
		size_t n = in.n < step ? in.n : step;

		closed = push(&p, guarded((struct span){in.p, n}), &out, all);
		in = span_from(in, n);
	}
	(void)buf_add(all, buf_span(&out));
	buf_free(&out);
	imap_prelogin_wipe(&p);
	guard_free_all();
	return closed;
}

static const char *
capability_of(const struct prelogin_conf *conf)
{
	if (conf == &many_conf)
		return CAPA "AUTH=CRAM-MD5 AUTH=PLAIN";
	if (conf == &cram_conf)
		return CLOSED_CAPA " AUTH=CRAM-MD5";
	return conf == &open_conf ? OPEN_CAPA : CLOSED_CAPA;
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

			(void)buf_addf(&want, "* OK [%s] mailtree ready.\r\n%s",
			               capability_of(row[i].conf), row[i].want);
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

/* What comes after a greeting, of one text. */
static void
check_after_greeting(struct span in, struct span want, const char *what)
{
	struct buf all = {0};
	struct span rest, greeting;

	(void)converse(&open_conf, in, 7, &all);
	rest = buf_span(&all);
	(void)span_cut(&rest, '\n', &greeting);
	check_span(rest, want, "%s", what);
	buf_free(&all);
}

static void
nul_is_no_terminator(void **state)
{
	(void)state;
	check_after_greeting(SPAN("a LOGIN \"a\0b\" x\r\n"),
	                     SPAN("a BAD Invalid character in quoted string\r\n"),
	                     "quoted");
	check_after_greeting(SPAN("a LOGIN {3+}\r\na\0b x\r\n"),
	                     SPAN("a BAD NUL in a literal that is no literal8\r\n"),
	                     "literal");
	check_after_greeting(SPAN("a LOGIN root ~{3+}\r\na\0b\r\n"), SPAN("a " BAD_ARG),
	                     "literal8");
}

/*
 * Wherever a segment ends: what came in clear text behind STARTTLS is dropped, and nothing
 * said before it counts after the handshake.
 */
static void
nothing_is_injected_before_tls(void **state)
{
	static const char before[] = "x NONSENSE\r\na STARTTLS\r\n",
	                  behind[] = "b LOGIN eve {4+}\r\nevil\r\nc CAPABILITY\r\n";
	struct buf out = {.max = PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX};
	char text[sizeof before + sizeof behind];

	(void)state;
	snprintf(text, sizeof text, "%s%s", before, behind);
	for (size_t end = sizeof before - 1; end <= strlen(text); end++)
		for (size_t begin = 0; begin < sizeof before - 1; begin++) {
			struct span first = {text, begin},
			            last = guarded((struct span){text + begin,
			                                         end - begin});
			struct imap_prelogin p;

			imap_prelogin_open(&p, &tls_conf, &out);
			check_num(imap_prelogin_push(&p, &first, &out), PRELOGIN_MORE,
			          "-");
			check_num(imap_prelogin_push(&p, &last, &out),
			          PRELOGIN_STARTTLS, "from %zu to %zu", begin, end);
			check_num(last.n, 0, "from %zu to %zu", begin, end);
			check_true(memmem(out.p, out.n, "a OK Begin", 10) != NULL,
			           "from %zu to %zu", begin, end);
			buf_reset(&out);
			imap_prelogin_restart(&p, &secured_conf);
			last = SPAN("d NOOP\r\n");
			check_num(imap_prelogin_push(&p, &last, &out), PRELOGIN_MORE,
			          "-");
			check_span(buf_span(&out), SPAN("d OK NOOP completed.\r\n"),
			           "from %zu to %zu", begin, end);
			check_num(p.bad, 1, "from %zu to %zu", begin, end);
			buf_reset(&out);
			imap_prelogin_wipe(&p);
			guard_free_all();
		}
	buf_free(&out);
}

static void
starttls_is_announced_while_it_can_be_begun(void **state)
{
	static const struct {
		const struct prelogin_conf *conf;
		const char *has, *lacks, *says;
	} when[] = {
	    {&tls_conf, " STARTTLS LOGINDISABLED", "AUTH=", "a OK Begin TLS"},
	    {&open_conf, " AUTH=PLAIN", "STARTTLS", "a BAD TLS is not available."},
	    {&secured_conf, " AUTH=PLAIN", "STARTTLS", "a BAD TLS is on already."},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(when); i++) {
		struct buf out = {.max = PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX};
		struct span in = SPAN("a STARTTLS\r\n");
		struct imap_prelogin p;

		imap_prelogin_open(&p, when[i].conf, &out);
		(void)buf_addc(&out, '\0');
		check_true(strstr(out.p, when[i].has) != NULL, "row %zu: %s", i, out.p);
		check_true(strstr(out.p, when[i].lacks) == NULL, "row %zu: %s", i,
		           out.p);
		buf_reset(&out);
		(void)imap_prelogin_push(&p, &in, &out);
		check_true(span_starts(buf_span(&out), span_of(when[i].says)),
		           "row %zu", i);
		imap_prelogin_wipe(&p);
		buf_free(&out);
	}
}

/* The largest that is allowed logs in; one octet more does not. */
static void
ceilings_to_the_octet(void **state)
{
	static char text[4096], want[2048];

	(void)state;
	for (size_t user = 248; user <= 250; user++)
		for (size_t pass = 511; pass <= 513; pass++) {
			size_t n = (size_t)snprintf(text, sizeof text,
			                            "a LOGIN %0*d {%zu+}\r\n",
			                            (int)user, 0, pass);

			memset(text + n, 'x', pass);
			memcpy(text + n + pass, "\r\n", 3);
			if (user <= 249 && pass <= 512)
				snprintf(want, sizeof want, "{%0*d|%.*s}a " WRONG,
				         (int)user, 0, (int)pass, text + n);
			else
				snprintf(want, sizeof want, "a " WRONG);
			check_after_greeting(span_of(text), span_of(want),
			                     "user and password");
		}
}

static void
an_answer_has_its_ceiling(void **state)
{
	static char text[8192];

	(void)state;
	for (size_t n = 1390; n < 1410; n++) {
		size_t at =
		    (size_t)snprintf(text, sizeof text, "a AUTHENTICATE PLAIN\r\n");

		memset(text + at, '!', n);
		memcpy(text + at + n, "\r\nb NOOP\r\n", 11);
		check_after_greeting(
		    span_of(text),
		    n + 1 <= ANSWER_MAX
		        ? SPAN(
		              "<PLAIN>+ \r\na BAD Invalid base64.\r\nb OK NOOP completed.\r\n")
		        : SPAN("<PLAIN>+ \r\na BAD Answer too long.\r\nb OK NOOP "
		               "completed.\r\n"),
		    "answer");
	}
}

/* 10^6 of what never ends, before login: little memory, and one BAD. */
static void
a_flood_is_bounded(void **state)
{
	static const struct {
		const char *before;
		char c;
	} floods[] = {
	    {"", '('},     {"", '{'},       {"", 'x'},
	    {"a ", 'x'},   {"a X ", '('},   {"a X ", '{'},
	    {"a X ", 'x'}, {"a X \"", '('}, {"a AUTHENTICATE PLAIN\r\n", 'A'}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
		struct buf out = {.max = PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX};
		struct imap_prelogin p;
		struct span in = span_of(floods[i].before);
		char piece[1000];

		memset(piece, floods[i].c, sizeof piece);
		imap_prelogin_open(&p, &open_conf, &out);
		if (imap_prelogin_push(&p, &in, &out) == PRELOGIN_BEGIN)
			(void)imap_prelogin_challenge(&p, SPAN(""), &out);
		buf_reset(&out);
		for (int k = 0; k < 1000; k++) {
			in = (struct span){piece, sizeof piece};
			check_num(imap_prelogin_push(&p, &in, &out), PRELOGIN_MORE,
			          "flood %zu", i);
			check_num(out.n + in.n, 0, "flood %zu", i);
			check_true(p.arena.used <= IMAP_PRELOGIN_ARENA, "flood %zu", i);
		}
		in = SPAN("\r\n");
		check_num(imap_prelogin_push(&p, &in, &out), PRELOGIN_MORE, "flood %zu",
		          i);
		check_true(memmem(out.p, out.n, " BAD ", 5) != NULL, "flood %zu", i);
		check_num(p.arena.used, 0, "flood %zu: nothing is kept", i);
		imap_prelogin_wipe(&p);
		buf_free(&out);
	}
}

/* A flood of short commands with long replies is held up, not gathered. */
static void
output_has_its_ceiling(void **state)
{
	static const char one[] = "a CAPABILITY\r\n";
	struct buf out = {.max = PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX};
	static char flood[(sizeof one - 1) * 1000];
	struct imap_prelogin p;
	struct span in = {flood, sizeof flood};
	size_t pushes = 0;

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		memcpy(flood + (sizeof one - 1) * i, one, sizeof one - 1);
	imap_prelogin_open(&p, &open_conf, &out);
	for (; in.n > 0; pushes++) {
		check_num(imap_prelogin_push(&p, &in, &out), PRELOGIN_MORE, "push %zu",
		          pushes);
		check_true(out.n > 0, "push %zu goes on", pushes);
		buf_reset(&out);
	}
	check_true(pushes > 40, "%zu pushes", pushes);
	check_true(sizeof p < 1280, "the state is small: %zu", sizeof p);
	imap_prelogin_wipe(&p);
	buf_free(&out);
}

static void
leftover_stays_with_the_caller(void **state)
{
	struct buf out = {0};
	struct imap_prelogin p;
	struct span in = SPAN("tag1 LOGIN joe secret\r\nx SELECT INBOX\r\ny");

	(void)state;
	imap_prelogin_open(&p, &open_conf, &out);
	check_num(imap_prelogin_push(&p, &in, &out), PRELOGIN_LOGIN, "login");
	check_span(in, SPAN("x SELECT INBOX\r\ny"), "leftover");
	check_span(imap_prelogin_tag(&p), SPAN("tag1"), "tag");
	check_num(p.arena.used, 0, "nothing is held");
	imap_prelogin_wipe(&p);
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
	    {PRELOGIN_WRONG, "t " WRONG},
	    {PRELOGIN_LATER,
	     "t NO [UNAVAILABLE] Login is not possible now, try later.\r\n"},
	    {PRELOGIN_UNAVAILABLE, "t NO [CONTACTADMIN] Login is not possible.\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(why); i++) {
		struct buf out = {0};
		struct imap_prelogin p;
		struct span in = SPAN("t LOGIN u passw0rd\r\n");

		imap_prelogin_open(&p, &open_conf, &out);
		check_num(imap_prelogin_push(&p, &in, &out), PRELOGIN_LOGIN, "row %zu",
		          i);
		buf_reset(&out);
		check_num(imap_prelogin_refuse(&p, why[i].why, &out), PRELOGIN_MORE,
		          "row %zu", i);
		check_span(buf_span(&out), span_of(why[i].want), "row %zu", i);
		check_true(memmem(&p, sizeof p, "passw0rd", 8) == NULL,
		           "row %zu: wiped", i);
		imap_prelogin_wipe(&p);
		buf_free(&out);
	}
}

static void
a_full_buffer_closes(void **state)
{
	struct buf out = {.max = 150};
	struct imap_prelogin p;
	struct span in = SPAN("a CAPABILITY\r\n");

	(void)state;
	imap_prelogin_open(&p, &open_conf, &out);
	check_num(imap_prelogin_push(&p, &in, &out), PRELOGIN_CLOSE, "closes");
	imap_prelogin_wipe(&p);
	buf_free(&out);
}

static void
tags(void **state)
{
	(void)state;
	check_true(imap_prelogin_is_tag(SPAN("A001.x]")), "a tag");
	check_true(!imap_prelogin_is_tag(SPAN("")), "empty");
	check_true(!imap_prelogin_is_tag(SPAN("a b")), "a blank");
	check_true(!imap_prelogin_is_tag(SPAN("a\r")), "CR");
	check_true(!imap_prelogin_is_tag(SPAN("a\0")), "NUL");
	check_true(!imap_prelogin_is_tag(SPAN("+")), "plus");
	check_true(imap_prelogin_is_tag(SPAN("0123456789012345678901234567890123456789"
	                                     "012345678901234567890123")),
	           "64 octets");
	check_true(!imap_prelogin_is_tag(SPAN("0123456789012345678901234567890123456789"
	                                      "0123456789012345678901234")),
	           "65 octets");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_alike_however_cut),
	    cmocka_unit_test(nothing_is_injected_before_tls),
	    cmocka_unit_test(starttls_is_announced_while_it_can_be_begun),
	    cmocka_unit_test(nul_is_no_terminator),
	    cmocka_unit_test(ceilings_to_the_octet),
	    cmocka_unit_test(an_answer_has_its_ceiling),
	    cmocka_unit_test(a_flood_is_bounded),
	    cmocka_unit_test(output_has_its_ceiling),
	    cmocka_unit_test(leftover_stays_with_the_caller),
	    cmocka_unit_test(refusals_say_why),
	    cmocka_unit_test(a_full_buffer_closes),
	    cmocka_unit_test(tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
