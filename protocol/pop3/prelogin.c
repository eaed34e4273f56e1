#include "protocol/pop3/prelogin.h"

#include "protocol/pop3/capa.h"

/* A reply that does not fit means that the caller let `out` fill up: end it. */
static enum prelogin_ev
say(struct buf *out, const char *text)
{
	return buf_add(out, span_of(text)) == -1 ? PRELOGIN_CLOSE : PRELOGIN_MORE;
}

void
prelogin_open(struct prelogin *p, const struct prelogin_conf *conf, struct buf *out)
{
	const char *greeting =
	    conf->greeting != NULL ? conf->greeting : "mailtree ready.";

	*p = (struct prelogin){.conf = conf};
	p->line = (struct line){.buf = p->room, .cap = sizeof p->room};
	/* nothing can be refused this early: the first push fails when this did */
	(void)buf_addf(out, "+OK %s\r\n", greeting);
}

void
prelogin_restart(struct prelogin *p, const struct prelogin_conf *conf)
{
	uint8_t nonsense = p->bad, refused = p->refused;

	explicit_bzero(p, sizeof *p);
	p->conf = conf;
	p->bad = nonsense;
	p->refused = refused;
	p->line = (struct line){.buf = p->room, .cap = sizeof p->room};
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

static enum prelogin_ev
cmd_capa(struct prelogin *p, struct span arg, struct buf *out)
{
	(void)arg;
	return capa_reply(p->conf->plaintext, p->conf->starttls, out) == -1 ? PRELOGIN_CLOSE
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

enum prelogin_ev
prelogin_push(struct prelogin *p, struct span *in, struct buf *out)
{
	enum prelogin_ev ev = PRELOGIN_MORE;

	while (ev == PRELOGIN_MORE && out->n < PRELOGIN_OUT_ENOUGH)
		switch (line_push(&p->line, in)) {
		case LINE_MORE:
			return PRELOGIN_MORE;
		case LINE_READY:
			ev = run(p, line_text(&p->line), out);
			break;
		case LINE_LONG:
			ev = bad(p, out, "-ERR Command line too long.\r\n");
			break;
		}
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
	return ++p->refused < PRELOGIN_REFUSED_MAX ? ev : PRELOGIN_CLOSE;
}

void
prelogin_wipe(struct prelogin *p)
{
	explicit_bzero(p, sizeof *p);
}
