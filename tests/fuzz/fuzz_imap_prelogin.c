/*
 * fuzz_imap_prelogin: what a client may send before it has logged in. The first octet
 * chooses how the rest is cut. Held: the same replies however it is cut, all of them
 * lines; names and passwords are what they may be; memory; no secret outlives the wipe;
 * nothing that came in clear text behind STARTTLS is answered after the handshake.
 */
#include "protocol/answer.h"
#include "protocol/imap/prelogin.h"
#include "tests/fuzz/fuzz.h"

static void
check_lines(struct span text)
{
	struct span line;

	REQUIRE(text.n == 0 || text.p[text.n - 1] == '\n');
	while (span_cut(&text, '\n', &line))
		REQUIRE(line.n > 2 && line.n < PRELOGIN_REPLY_MAX &&
		        line.p[line.n - 1] == '\r');
}

static enum prelogin_ev
verdict(struct imap_prelogin *p, struct buf *out)
{
	struct span user = imap_prelogin_user(p), pass = imap_prelogin_password(p);

	REQUIRE(prelogin_is_name(user));
	REQUIRE(pass.n > 0 && pass.n <= IMAP_PRELOGIN_PASSWORD);
	REQUIRE(memchr(pass.p, '\0', pass.n) == NULL);
	REQUIRE(imap_prelogin_is_tag(imap_prelogin_tag(p)));
	REQUIRE(p->arena.used == 0);
	return imap_prelogin_refuse(p, PRELOGIN_WRONG, out);
}

/* After the handshake nothing of what came before it is left to be answered. */
static void
shake_hands(struct imap_prelogin *p, const struct prelogin_conf *conf, struct buf *out)
{
	struct span in = SPAN("z NOOP\r\n");
	size_t before = out->n;

	REQUIRE(p->arena.used == 0);
	imap_prelogin_restart(p, conf);
	REQUIRE(imap_prelogin_push(p, &in, out) == PRELOGIN_MORE);
	REQUIRE(span_eq(span_from(buf_span(out), before),
	                SPAN("z OK NOOP completed.\r\n")));
}

/* A step of a dialogue: what was said decides how it goes on. */
static enum prelogin_ev
talk(struct imap_prelogin *p, const struct prelogin_conf *conf, struct buf *out)
{
	struct span a = p->talk.answer;

	REQUIRE(p->talk.mech != 0 && !p->answering && a.n <= ANSWER_MAX);
	REQUIRE(conf->plaintext || !(p->talk.mech & MECH_CLEAR));
	REQUIRE(imap_prelogin_is_tag(imap_prelogin_tag(p)));
	if (a.n % 2 == 0)
		return imap_prelogin_challenge(
		    p, span_from(a, a.n > 300 ? a.n - 300 : 0), out);
	return imap_prelogin_refuse(p, PRELOGIN_WRONG, out);
}

static void
run(struct span in, size_t step, bool plaintext, struct buf *all)
{
	const unsigned mechs = ~0u & ~(plaintext ? 0u : (unsigned)MECH_CLEAR);
	const struct prelogin_conf conf = {.plaintext = plaintext,
	                                   .secured = true,
	                                   .mechs = mechs},
	                           before = {.plaintext = plaintext,
	                                     .starttls = true,
	                                     .mechs = mechs};
	struct buf out = {.max = PRELOGIN_OUT_ENOUGH + PRELOGIN_REPLY_MAX};
	enum prelogin_ev ev = PRELOGIN_MORE;
	struct imap_prelogin p;

	imap_prelogin_open(&p, &before, &out);
	while (in.n > 0 && ev != PRELOGIN_CLOSE) {
		struct span piece = fuzz_piece(in, step);
		size_t n = piece.n;

		ev = imap_prelogin_push(&p, &piece, &out);
		REQUIRE(plaintext || ev != PRELOGIN_LOGIN);
		if (ev == PRELOGIN_LOGIN)
			ev = verdict(&p, &out);
		if (ev == PRELOGIN_BEGIN || ev == PRELOGIN_ANSWER)
			ev = talk(&p, &conf, &out);
		if (ev == PRELOGIN_STARTTLS) {
			REQUIRE(piece.n == 0); /* nothing of the segment is left */
			in.n = n;
			shake_hands(&p, &conf, &out);
		}
		REQUIRE(p.arena.used <= IMAP_PRELOGIN_ARENA);
		REQUIRE(buf_add(all, buf_span(&out)) == 0);
		buf_reset(&out);
		in = span_from(in, n - piece.n);
	}
	check_lines(buf_span(all));
	imap_prelogin_wipe(&p);
	for (size_t i = 0; i < sizeof p; i++)
		REQUIRE(((const char *)&p)[i] == 0);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	size_t step = fuzz_take(&in, 1, 40);
	bool plaintext = fuzz_take(&in, 0, 1) == 1;
	struct buf whole = {0}, cut = {0};

	run(in, in.n, plaintext, &whole);
	run(in, step, plaintext, &cut);
	REQUIRE(span_eq(buf_span(&whole), buf_span(&cut)));
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
