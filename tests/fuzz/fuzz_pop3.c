/*
 * fuzz_pop3: what a client may send, before and after login. The first octet chooses
 * how the rest is cut. Held: replies are lines of at most 512 octets that begin with
 * +OK or -ERR, the same however the input is cut; every announced length is kept; and
 * nothing is deleted unless QUIT was answered.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "protocol/answer.h"
#include "protocol/pop3/prelogin.h"
#include "protocol/pop3/session.h"
#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/base/num.h"
#include "tests/unit/support/fakebox.h"

int LLVMFuzzerInitialize(int *, char ***);
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct fakebox fb;
static struct uidl uidl;
static int client;

static const char *const mail[] = {
    "", "\r\n", ".\r\n", "A: b\r\n\r\n.\r\n..\r\nx\r\n", "A: b\r\n\r\n\xff\r.\r\n",
};

#define MUST(holds)                                                                    \
	do {                                                                           \
		if (!(holds))                                                          \
			abort();                                                       \
	} while (0)

static void
clean_up(void)
{
	fakebox_remove(&fb);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *why;

	(void)argc;
	(void)argv;
	log_open("fuzz_pop3", LOG_LEVEL_ERROR, false);
	fakebox_make(&fb);
	for (size_t i = 0; i < ARRAY_LEN(mail); i++)
		(void)fakebox_add(&fb, span_of(mail[i]), 0);
	fakebox_publish(&fb);
	MUST(uidl_compile(SPAN(UIDL_DEFAULT), &uidl, &why) == 0);
	MUST((client = memfd_create("client", MFD_CLOEXEC)) != -1);
	atexit(clean_up);
	return 0;
}

/* ---- before login ------------------------------------------------------------------------ */

static void
check_lines(struct span text)
{
	struct span line;

	MUST(text.n == 0 || text.p[text.n - 1] == '\n');
	while (span_cut(&text, '\n', &line))
		MUST(line.n > 0 && line.n < 512 && line.p[line.n - 1] == '\r');
}

/* After the handshake nothing of what came before it is left to be answered. */
static void
shake_hands(struct prelogin *p, const struct prelogin_conf *conf, struct buf *out)
{
	struct span in = SPAN("PASS x\r\nUTF8\r\n");
	size_t before = out->n;
	enum prelogin_ev ev;

	prelogin_restart(p, conf);
	ev = prelogin_push(p, &in, out);
	MUST(ev == PRELOGIN_CLOSE || /* enough nonsense came before */
	     span_eq(span_from(buf_span(out), before),
	             SPAN("-ERR No username given.\r\n+OK UTF8 enabled\r\n")));
}

/* A step of a dialogue: what was said decides how it goes on. */
static enum prelogin_ev
talk(struct prelogin *p, struct buf *out)
{
	struct span a = p->talk.answer;

	MUST(p->talk.mech != 0 && !p->answering && a.n <= ANSWER_MAX);
	if (a.n % 2 == 0)
		return prelogin_challenge(p, span_from(a, a.n > 300 ? a.n - 300 : 0),
		                          out);
	return prelogin_refuse(p, PRELOGIN_WRONG, out);
}

static void
before_login(struct span in, size_t step, struct buf *all)
{
	static const struct prelogin_conf
	    conf = {.plaintext = true, .starttls = true, .mechs = ~0u},
	    secured = {.plaintext = true, .secured = true, .mechs = ~0u};
	struct buf out = {.max = PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX};
	enum prelogin_ev ev = PRELOGIN_MORE;
	struct prelogin p;

	prelogin_open(&p, &conf, "<1.2@x>", &out);
	while (in.n > 0 && ev != PRELOGIN_CLOSE) {
		struct span piece = {in.p, in.n < step ? in.n : step};
		size_t n = piece.n;

		ev = prelogin_push(&p, &piece, &out);
		if (ev == PRELOGIN_LOGIN) {
			struct span user = prelogin_user(&p);

			MUST(user.n > 0 && user.n <= PRELOGIN_USER_MAX &&
			     p.password.n > 0);
			MUST(memchr(user.p, '\0', user.n) == NULL);
			MUST(memchr(p.password.p, '\0', p.password.n) == NULL);
			ev = prelogin_refuse(&p, PRELOGIN_WRONG, &out);
		}
		if (ev == PRELOGIN_BEGIN || ev == PRELOGIN_ANSWER)
			ev = talk(&p, &out);
		if (ev == PRELOGIN_STARTTLS) {
			MUST(piece.n == 0); /* nothing of the segment is left */
			in.n = n;
			shake_hands(&p, &secured, &out);
		}
		MUST(buf_add(all, buf_span(&out)) == 0);
		buf_reset(&out);
		in = span_from(in, n - piece.n);
	}
	check_lines(buf_span(all));
	prelogin_wipe(&p);
	buf_free(&out);
}

/* ---- after login ------------------------------------------------------------------------- */

/* Take a message off the front: `size` octets, dots unstuffed, then a lone dot. */
static void
take_message(struct span *all, uint64_t size)
{
	struct span line;
	uint64_t octets = 0;

	while (span_cut(all, '\n', &line)) {
		if (span_eq(line, SPAN(".\r"))) {
			MUST(octets == size);
			return;
		}
		octets += line.n + 1 - (line.p[0] == '.' ? 1 : 0);
	}
	abort();
}

static void
check_transcript(struct span all)
{
	struct span line, word;
	uint64_t size;

	while (span_cut(&all, '\n', &line)) {
		if (span_starts(line, SPAN("-ERR ")))
			continue;
		line = span_trim(line);
		if (span_starts(line, SPAN("+OK ")) && line.n > 11 &&
		    span_eq(span_from(line, line.n - 7), SPAN(" octets"))) {
			line = span_from(line, 4);
			MUST(span_word(&line, &word) && num_u64(word, &size) == 0);
			take_message(&all, size);
		}
	}
}

static void
revive(void)
{
	for (size_t i = 0; i < ARRAY_LEN(mail); i++) {
		fb.rec[i].bits &= (uint16_t)~MT_EXPUNGED;
		fakebox_seal(&fb.rec[i]);
	}
	fakebox_publish(&fb);
	buf_reset(&fb.asked);
}

static void
after_login(struct span in, size_t step, struct buf *all)
{
	const struct session_conf conf = {.uidl = &uidl, .name = "fuzz"};
	const struct view_conf vc = fakebox_conf(&fb);
	enum session_ev ev = SESSION_MORE;
	static struct out out;
	struct session s;
	struct view view;

	MUST(ftruncate(client, 0) == 0 && lseek(client, 0, SEEK_SET) == 0);
	out_open(&out, client, 1000);
	MUST(view_open(&vc, &view) == 0 && session_open(&s, &conf, &view, &out) == 0);
	while (in.n > 0 && ev == SESSION_MORE) {
		size_t n = in.n < step ? in.n : step;

		ev = session_push(&s, (struct span){in.p, n});
		in = span_from(in, n);
	}
	MUST(s.drop.alive <= s.drop.n && s.drop.n == ARRAY_LEN(mail));
	session_close(&s);
	view_close(&view);
	MUST(lseek(client, 0, SEEK_SET) == 0 && io_slurp(client, all) == 0);
	check_lines(buf_span(all));
	check_transcript(buf_span(all));
	if (fb.asked.n > 0 && memmem(fb.asked.p, fb.asked.n, "expunge", 7) != NULL)
		MUST(ev == SESSION_QUIT);
	revive();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf whole = {0}, cut = {0};
	struct span in;
	size_t step;

	if (n < 2)
		return 0;
	step = 1 + data[0] % 32;
	in = (struct span){(const char *)data + 1, n - 1};
	before_login(in, in.n, &whole);
	before_login(in, step, &cut);
	MUST(span_eq(buf_span(&whole), buf_span(&cut)));
	buf_reset(&whole);
	buf_reset(&cut);
	after_login(in, in.n, &whole);
	after_login(in, step, &cut);
	MUST(span_eq(buf_span(&whole), buf_span(&cut)));
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
