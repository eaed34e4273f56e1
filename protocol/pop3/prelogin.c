#include "protocol/pop3/prelogin.h"

#include <stdio.h>
#include <stdlib.h>

#include "protocol/answer.h"
#include "protocol/pop3/capa.h"

static const char no_passwords[] = "-ERR Passwords are not taken: use AUTH.\r\n";

/* A reply that does not fit means that the caller let `out` fill up: end it. */
static enum prelogin_ev
say(struct buf *out, const char *text)
{
	return buf_add(out, span_of(text)) == -1 ? PRELOGIN_CLOSE : PRELOGIN_MORE;
}

void
prelogin_open(struct prelogin *p, const struct prelogin_conf *conf, const char *stamp,
              struct buf *out)
{
	const char *greeting =
	    conf->greeting != NULL ? conf->greeting : "mailtree ready.";

	*p = (struct prelogin){.conf = conf};
	p->line = (struct line){.buf = p->room, .cap = sizeof p->room};
	/* nothing can be refused this early: the first push fails when this did */
	if (stamp != NULL && conf->mechs & MECH_APOP)
		snprintf(p->stamp, sizeof p->stamp, "%s", stamp);
	(void)buf_addf(out, "+OK %s%s%s\r\n", greeting, p->stamp[0] != '\0' ? " " : "",
	               p->stamp);
}

void
prelogin_restart(struct prelogin *p, const struct prelogin_conf *conf)
{
	uint8_t nonsense = p->bad, refused = p->refused;
	char stamp[PRELOGIN_STAMP_MAX];

	memcpy(stamp, p->stamp, sizeof stamp);
	prelogin_wipe(p);
	memcpy(p->stamp, stamp, sizeof stamp);
	p->conf = conf;
	p->bad = nonsense;
	p->refused = refused;
	p->line = (struct line){.buf = p->room, .cap = sizeof p->room};
}

/* ---- SASL -------------------------------------------------------------------------- */

static void
forget(struct prelogin *p)
{
	if (p->answer.buf != NULL)
		explicit_bzero(p->answer.buf, ANSWER_MAX);
	free(p->answer.buf);
	p->answer = (struct line){0};
	p->answering = false;
	p->talk = (struct prelogin_talk){0};
}

static int
begin(struct prelogin *p, unsigned mech, bool given)
{
	p->answer = (struct line){.buf = malloc(ANSWER_MAX), .cap = ANSWER_MAX};
	if (p->answer.buf == NULL)
		return -1;
	p->talk = (struct prelogin_talk){.mech = mech, .given = given};
	return 0;
}

enum prelogin_ev
prelogin_challenge(struct prelogin *p, struct span octets, struct buf *out)
{
	p->answer = (struct line){.buf = p->answer.buf, .cap = ANSWER_MAX};
	p->answering = true;
	return answer_challenge(octets, out) == -1 ? PRELOGIN_CLOSE : PRELOGIN_MORE;
}

/* ---- the commands ------------------------------------------------------------------ */

/* One more command that makes no sense: after some, it is not a mail client. */
static enum prelogin_ev
bad(struct prelogin *p, struct buf *out, const char *text)
{
	if (++p->bad < PRELOGIN_BAD_MAX)
		return say(out, text);
	(void)say(out, "-ERR Too many bad commands.\r\n");
	return PRELOGIN_CLOSE;
}

static enum prelogin_ev
disallowed(const struct prelogin *p, struct buf *out)
{
	return buf_addf(out, "-ERR [AUTH] %s\r\n", prelogin_refusal(p->conf)) == -1
	           ? PRELOGIN_CLOSE
	           : PRELOGIN_MORE;
}

/* What the client said: the event, with the octets; or nothing that goes on. */
static enum prelogin_ev
answer(struct prelogin *p, struct span text, bool initial, struct buf *out)
{
	enum answer is = answer_read(text, initial, p->answer.buf, &p->talk.answer);

	if (is == ANSWER_OCTETS) {
		p->answering = false;
		return initial ? PRELOGIN_BEGIN : PRELOGIN_ANSWER;
	}
	forget(p);
	return bad(p, out,
	           is == ANSWER_CANCEL ? "-ERR Authentication cancelled.\r\n"
	                               : "-ERR Invalid base64.\r\n");
}

/* RFC 1939 section 7; its answer is to the stamp of the greeting. */
static enum prelogin_ev
cmd_apop(struct prelogin *p, struct span arg, struct buf *out)
{
	int n;

	if (p->stamp[0] == '\0')
		return bad(p, out, "-ERR Unknown command, or not before login.\r\n");
	if (begin(p, MECH_APOP, true) == -1)
		return PRELOGIN_CLOSE;
	n = snprintf(p->answer.buf, ANSWER_MAX, "%s %.*s", p->stamp, (int)arg.n, arg.p);
	p->talk.answer = (struct span){p->answer.buf, (size_t)n};
	return PRELOGIN_BEGIN;
}

/* RFC 5034 */
static enum prelogin_ev
cmd_auth(struct prelogin *p, struct span arg, struct buf *out)
{
	struct span initial = arg, name = arg;
	bool given = span_cut(&initial, ' ', &name) && initial.n > 0;
	unsigned mech = mech_named(name) & ~(unsigned)MECH_APOP;

	if ((mech & MECH_CLEAR && !p->conf->plaintext) ||
	    (mech != 0 && p->conf->mechs == 0))
		return disallowed(p, out);
	if (!(mech & p->conf->mechs))
		return say(out, "-ERR Unsupported authentication mechanism.\r\n");
	if (begin(p, mech, given) == -1)
		return PRELOGIN_CLOSE;
	return given ? answer(p, initial, true, out) : PRELOGIN_BEGIN;
}

static enum prelogin_ev
cmd_capa(struct prelogin *p, struct span arg, struct buf *out)
{
	(void)arg;
	return capa_reply(prelogin_takes_passwords(p->conf), p->conf->starttls,
	                  p->conf->mechs & ~(unsigned)MECH_APOP, out) == -1
	           ? PRELOGIN_CLOSE
	           : PRELOGIN_MORE;
}

static enum prelogin_ev
cmd_lang(struct prelogin *p, struct span range, struct buf *out)
{
	return lang_command(range, &p->lang, out) == -1 ? PRELOGIN_CLOSE
	                                                : PRELOGIN_MORE;
}

static enum prelogin_ev
cmd_pass(struct prelogin *p, struct span password, struct buf *out)
{
	if (!p->conf->plaintext)
		return disallowed(p, out);
	if (!prelogin_takes_passwords(p->conf))
		return say(out, no_passwords);
	if (p->user_size == 0)
		return bad(p, out, "-ERR No username given.\r\n");
	p->password = password;
	return PRELOGIN_LOGIN;
}

static enum prelogin_ev
cmd_quit(struct prelogin *p, struct span arg, struct buf *out)
{
	(void)p;
	(void)arg;
	(void)say(out, "+OK Logging out.\r\n");
	return PRELOGIN_CLOSE;
}

/* RFC 2595 section 4 */
static enum prelogin_ev
cmd_stls(struct prelogin *p, struct span arg, struct buf *out)
{
	(void)arg;
	if (!p->conf->starttls)
		return bad(p, out,
		           p->conf->secured ? "-ERR TLS is on already.\r\n"
		                            : "-ERR TLS is not available.\r\n");
	return say(out, "+OK Begin TLS negotiation now.\r\n") == PRELOGIN_MORE
	           ? PRELOGIN_STARTTLS
	           : PRELOGIN_CLOSE;
}

static enum prelogin_ev
cmd_user(struct prelogin *p, struct span name, struct buf *out)
{
	if (!p->conf->plaintext)
		return disallowed(p, out);
	if (!prelogin_takes_passwords(p->conf))
		return say(out, no_passwords);
	p->user_size = 0;
	if (!prelogin_is_name(name))
		return bad(p, out, "-ERR Not a user name.\r\n");
	memcpy(p->user, name.p, name.n);
	p->user_size = (uint16_t)name.n;
	return say(out, "+OK\r\n"); /* whoever it is: nothing is known yet */
}

static enum prelogin_ev
cmd_utf8(struct prelogin *p, struct span arg, struct buf *out)
{
	(void)arg;
	p->utf8 = true;
	return say(out, "+OK UTF8 enabled\r\n");
}

static const struct cmd {
	const char *name;
	enum arity arity;
	enum prelogin_ev (*run)(struct prelogin *, struct span arg, struct buf *out);
} cmds[] = {
    {"APOP", ARG_MUST, cmd_apop}, {"AUTH", ARG_MUST, cmd_auth},
    {"CAPA", ARG_NONE, cmd_capa}, {"LANG", ARG_MAYBE, cmd_lang},
    {"PASS", ARG_REST, cmd_pass}, {"QUIT", ARG_NONE, cmd_quit},
    {"STLS", ARG_NONE, cmd_stls}, {"USER", ARG_MUST, cmd_user},
    {"UTF8", ARG_NONE, cmd_utf8},
};

static enum prelogin_ev
run(struct prelogin *p, struct span line, struct buf *out)
{
	struct span verb, arg;

	if (!command_cut(line, &verb, &arg))
		return bad(p, out, "-ERR Bad character in command.\r\n");
	for (const struct cmd *c = cmds; c < cmds + ARRAY_LEN(cmds); c++) {
		if (!span_caseeq(verb, span_of(c->name)))
			continue;
		if (!command_arg(c->arity, &arg))
			return bad(p, out, "-ERR Bad arguments.\r\n");
		return c->run(p, arg, out);
	}
	return bad(p, out, "-ERR Unknown command, or not before login.\r\n");
}

/* ---- the connection ---------------------------------------------------------------- */

static enum prelogin_ev
push_line(struct prelogin *p, struct span *in, struct buf *out, bool *more)
{
	switch (line_push(&p->line, in)) {
	case LINE_MORE:
		*more = true;
		return PRELOGIN_MORE;
	case LINE_READY:
		return run(p, line_text(&p->line), out);
	case LINE_LONG:
		break;
	}
	return bad(p, out, "-ERR Command line too long.\r\n");
}

static enum prelogin_ev
push_answer(struct prelogin *p, struct span *in, struct buf *out, bool *more)
{
	switch (line_push(&p->answer, in)) {
	case LINE_MORE:
		*more = true;
		return PRELOGIN_MORE;
	case LINE_READY:
		return answer(p, line_text(&p->answer), false, out);
	case LINE_LONG:
		break;
	}
	forget(p);
	return bad(p, out, "-ERR Answer too long.\r\n");
}

enum prelogin_ev
prelogin_push(struct prelogin *p, struct span *in, struct buf *out)
{
	enum prelogin_ev ev = PRELOGIN_MORE;
	bool more = false;

	while (ev == PRELOGIN_MORE && !more && out->n < PRELOGIN_OUT_ENOUGH)
		ev = p->answering ? push_answer(p, in, out, &more)
		                  : push_line(p, in, out, &more);
	if (ev == PRELOGIN_STARTTLS)
		in->n = 0;
	return ev;
}

enum prelogin_ev
prelogin_refuse(struct prelogin *p, enum prelogin_why why, struct buf *out)
{
	static const char *const text[] = {
	    [PRELOGIN_WRONG] = "-ERR [AUTH] Authentication failed.\r\n",
	    [PRELOGIN_LATER] =
	        "-ERR [SYS/TEMP] Login is not possible now, try later.\r\n",
	    [PRELOGIN_UNAVAILABLE] = "-ERR [SYS/PERM] Login is not possible.\r\n",
	};
	enum prelogin_ev ev = say(out, text[why]);

	explicit_bzero(p->room, sizeof p->room);
	p->password = (struct span){NULL, 0};
	p->user_size = 0;
	forget(p);
	return ++p->refused < PRELOGIN_REFUSED_MAX ? ev : PRELOGIN_CLOSE;
}

void
prelogin_wipe(struct prelogin *p)
{
	forget(p);
	explicit_bzero(p, sizeof *p);
}
