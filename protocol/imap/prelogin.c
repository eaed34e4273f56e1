#include "protocol/imap/prelogin.h"

#include "protocol/answer.h"
#include "protocol/imap/capability.h"

static const struct parser_limits limits = {.line = IMAP_PRELOGIN_LINE,
                                            .memory = IMAP_PRELOGIN_LITERALS,
                                            .nonsync = IMAP_PRELOGIN_SWALLOW,
                                            .depth = 2,
                                            .args = 64};

/* Of a literal that would be a password: said before it has been sent. */
static const char disallowed[] = "[PRIVACYREQUIRED]";
static const char failed[] = "[AUTHENTICATIONFAILED] Authentication failed.";

/* ---- replies ----------------------------------------------------------------------- */

/* A reply that does not fit means that the caller let `out` fill up: end it. */
static enum prelogin_ev
say(struct buf *out, const char *text)
{
	return buf_addf(out, "%s\r\n", text) == -1 ? PRELOGIN_CLOSE : PRELOGIN_MORE;
}

static enum prelogin_ev
reply(struct span tag, const char *how, const char *text, struct buf *out)
{
	if (tag.n == 0)
		tag = SPAN("*");
	return buf_addf(out, "%.*s %s %s\r\n", (int)tag.n, tag.p, how, text) == -1
	           ? PRELOGIN_CLOSE
	           : PRELOGIN_MORE;
}

/* One more command that makes no sense: after some, it is not a mail client. */
static enum prelogin_ev
bad(struct imap_prelogin *p, struct span tag, const char *text, struct buf *out)
{
	enum prelogin_ev ev = reply(tag, "BAD", text, out);

	if (++p->bad < PRELOGIN_BAD_MAX)
		return ev;
	(void)say(out, "* BYE Too many bad commands.");
	return PRELOGIN_CLOSE;
}

/* No passwords on this connection, and why. */
static enum prelogin_ev
disallow(struct imap_prelogin *p, struct buf *out)
{
	struct span tag = p->parser.cmd.tag;

	return buf_addf(out, "%.*s NO [PRIVACYREQUIRED] %s\r\n", (int)tag.n, tag.p,
	                prelogin_refusal(p->conf)) == -1
	           ? PRELOGIN_CLOSE
	           : PRELOGIN_MORE;
}

/* A login that is not to be. */
static enum prelogin_ev
refuse(struct imap_prelogin *p, struct span tag, const char *text, struct buf *out)
{
	enum prelogin_ev ev = reply(tag, "NO", text, out);

	if (++p->refused < PRELOGIN_REFUSED_MAX)
		return ev;
	(void)say(out, "* BYE Too many failed logins.");
	return PRELOGIN_CLOSE;
}

static int
print_capability(const struct imap_prelogin *p, struct buf *out)
{
	return capability_print(
	    (prelogin_takes_passwords(p->conf) ? CAPABILITY_LOGIN : CAPABILITY_CLOSED) |
	        (p->conf->starttls ? CAPABILITY_STARTTLS : 0),
	    p->conf->mechs, 0, out);
}

void
imap_prelogin_open(struct imap_prelogin *p, const struct prelogin_conf *conf,
                   struct buf *out)
{
	const char *greeting =
	    conf->greeting != NULL ? conf->greeting : "mailtree ready.";

	*p =
	    (struct imap_prelogin){.conf = conf, .arena = {.max = IMAP_PRELOGIN_ARENA}};
	parser_init(&p->parser, &limits, &p->arena);
	/* nothing can be refused this early: the first push fails when this did */
	(void)(buf_add(out, SPAN("* OK [")) == -1 || print_capability(p, out) == -1 ||
	       buf_addf(out, "] %s\r\n", greeting) == -1);
}

void
imap_prelogin_restart(struct imap_prelogin *p, const struct prelogin_conf *conf)
{
	uint8_t nonsense = p->bad, refused = p->refused;

	imap_prelogin_wipe(p);
	*p =
	    (struct imap_prelogin){.conf = conf, .arena = {.max = IMAP_PRELOGIN_ARENA}};
	p->bad = nonsense;
	p->refused = refused;
	parser_init(&p->parser, &limits, &p->arena);
}

/* ---- who it is --------------------------------------------------------------------- */

static bool
is_password(struct span s)
{
	return s.n > 0 && s.n <= IMAP_PRELOGIN_PASSWORD &&
	       memchr(s.p, '\0', s.n) == NULL;
}

static void
keep_tag(struct imap_prelogin *p)
{
	p->tag_size = (uint8_t)p->parser.cmd.tag.n;
	memcpy(p->tag, p->parser.cmd.tag.p, p->tag_size);
}

/* What no name or password can be is refused like a wrong one. */
static enum prelogin_ev
login(struct imap_prelogin *p, struct span user, struct span password, struct buf *out)
{
	if (!prelogin_is_name(user) || !is_password(password))
		return refuse(p, imap_prelogin_tag(p), failed, out);
	memcpy(p->user, user.p, user.n);
	p->user_size = (uint16_t)user.n;
	memcpy(p->password, password.p, password.n);
	p->password_size = (uint16_t)password.n;
	return PRELOGIN_LOGIN;
}

/* ---- SASL -------------------------------------------------------------------------- */

/* The command is over. Who is silent after it holds no memory. */
static void
forget(struct imap_prelogin *p)
{
	arena_wipe(&p->arena);
	parser_next(&p->parser);
	p->answering = false;
	p->talk = (struct prelogin_talk){0};
}

/* What the client said: `ev`, with the octets; or nothing that goes on. */
static enum prelogin_ev
answer(struct imap_prelogin *p, struct span text, bool initial, struct buf *out)
{
	switch (answer_read(text, initial, p->line.buf, &p->talk.answer)) {
	case ANSWER_OCTETS:
		p->answering = false;
		return initial ? PRELOGIN_BEGIN : PRELOGIN_ANSWER;
	case ANSWER_CANCEL:
		p->talk.mech = 0;
		return bad(p, imap_prelogin_tag(p), "Authentication cancelled.", out);
	case ANSWER_BAD:
		break;
	}
	p->talk.mech = 0;
	return bad(p, imap_prelogin_tag(p), "Invalid base64.", out);
}

enum prelogin_ev
imap_prelogin_challenge(struct imap_prelogin *p, struct span octets, struct buf *out)
{
	p->line = (struct line){.buf = p->line.buf, .cap = ANSWER_MAX};
	p->answering = true;
	return answer_challenge(octets, out) == -1 ? PRELOGIN_CLOSE : PRELOGIN_MORE;
}

/* ---- the commands ------------------------------------------------------------------ */

static enum prelogin_ev
ok(struct imap_prelogin *p, const char *text, struct buf *out)
{
	return reply(p->parser.cmd.tag, "OK", text, out);
}

static enum prelogin_ev
bad_arguments(struct imap_prelogin *p, struct buf *out)
{
	return bad(p, p->parser.cmd.tag, "Bad arguments.", out);
}

static enum prelogin_ev
begin(struct imap_prelogin *p, unsigned mech, const struct arg *initial,
      struct buf *out)
{
	char *room = arena_alloc(&p->arena, ANSWER_MAX);

	keep_tag(p);
	if (room == NULL)
		return bad(p, imap_prelogin_tag(p), "Command too long.", out);
	p->line = (struct line){.buf = room, .cap = ANSWER_MAX};
	p->talk = (struct prelogin_talk){.mech = mech, .given = initial != NULL};
	return initial != NULL ? answer(p, initial->text, true, out) : PRELOGIN_BEGIN;
}

static enum prelogin_ev
cmd_authenticate(struct imap_prelogin *p, const struct arg *a, struct buf *out)
{
	unsigned mech;

	if (a == NULL || a->type != ARG_ATOM ||
	    (a->next != NULL && (a->next->type != ARG_ATOM || a->next->next != NULL)))
		return bad_arguments(p, out);
	mech = mech_named(a->text) & ~(unsigned)MECH_APOP;
	if ((mech & MECH_CLEAR && !p->conf->plaintext) ||
	    (mech != 0 && p->conf->mechs == 0))
		return disallow(p, out);
	if (!(mech & p->conf->mechs))
		return reply(p->parser.cmd.tag, "NO",
		             "Unsupported authentication mechanism.", out);
	return begin(p, mech, a->next, out);
}

static enum prelogin_ev
cmd_capability(struct imap_prelogin *p, const struct arg *a, struct buf *out)
{
	(void)a;
	if (buf_add(out, SPAN("* ")) == -1 || print_capability(p, out) == -1 ||
	    buf_add(out, SPAN("\r\n")) == -1)
		return PRELOGIN_CLOSE;
	return ok(p, "Capability completed.", out);
}

/* A list of names and values, or NIL (RFC 2971). */
static bool
is_id(const struct arg *a)
{
	const struct arg *f;

	if (a == NULL || a->next != NULL)
		return false;
	if (a->type != ARG_LIST)
		return arg_is_nil(a);
	for (f = a->child; f != NULL; f = f->next->next)
		if (!arg_is_string(f) || f->next == NULL ||
		    (!arg_is_string(f->next) && !arg_is_nil(f->next)))
			return false;
	return true;
}

static enum prelogin_ev
cmd_id(struct imap_prelogin *p, const struct arg *a, struct buf *out)
{
	if (!is_id(a))
		return bad_arguments(p, out);
	if (say(out, "* ID (\"name\" \"mailtree\")") == PRELOGIN_CLOSE)
		return PRELOGIN_CLOSE;
	return ok(p, "ID completed.", out);
}

static enum prelogin_ev
cmd_login(struct imap_prelogin *p, const struct arg *a, struct buf *out)
{
	if (!arg_is_astring(a) || a->literal8 || !arg_is_astring(a->next) ||
	    a->next->literal8 || a->next->next != NULL)
		return bad_arguments(p, out);
	if (!p->conf->plaintext)
		return disallow(p, out);
	if (!prelogin_takes_passwords(p->conf))
		return reply(p->parser.cmd.tag, "NO",
		             "Passwords are not taken: use AUTHENTICATE.", out);
	keep_tag(p);
	return login(p, a->text, a->next->text, out);
}

static enum prelogin_ev
cmd_logout(struct imap_prelogin *p, const struct arg *a, struct buf *out)
{
	(void)a;
	(void)say(out, "* BYE Logging out");
	(void)ok(p, "Logout completed.", out);
	return PRELOGIN_CLOSE;
}

static enum prelogin_ev
cmd_noop(struct imap_prelogin *p, const struct arg *a, struct buf *out)
{
	(void)a;
	return ok(p, "NOOP completed.", out);
}

/* RFC 9051 section 6.2.1 */
static enum prelogin_ev
cmd_starttls(struct imap_prelogin *p, const struct arg *a, struct buf *out)
{
	(void)a;
	if (!p->conf->starttls)
		return bad(p, p->parser.cmd.tag,
		           p->conf->secured ? "TLS is on already."
		                            : "TLS is not available.",
		           out);
	return ok(p, "Begin TLS negotiation now.", out) == PRELOGIN_MORE
	           ? PRELOGIN_STARTTLS
	           : PRELOGIN_CLOSE;
}

static const struct cmd {
	const char *name;
	bool args; /* it may have some */
	enum prelogin_ev (*run)(struct imap_prelogin *, const struct arg *,
	                        struct buf *out);
} cmds[] = {
    {"AUTHENTICATE", true, cmd_authenticate},
    {"CAPABILITY", false, cmd_capability},
    {"ID", true, cmd_id},
    {"LOGIN", true, cmd_login},
    {"LOGOUT", false, cmd_logout},
    {"NOOP", false, cmd_noop},
    {"STARTTLS", false, cmd_starttls},
};

static enum prelogin_ev
run(struct imap_prelogin *p, struct buf *out)
{
	const struct command *c = &p->parser.cmd;

	for (const struct cmd *m = cmds; m < cmds + ARRAY_LEN(cmds); m++) {
		if (c->uid || !span_caseeq(c->name, span_of(m->name)))
			continue;
		if (!m->args && c->args != NULL)
			return bad_arguments(p, out);
		return m->run(p, c->args, out);
	}
	return bad(p, c->tag, "Unknown command, or not before login.", out);
}

/* ---- the connection ---------------------------------------------------------------- */

/* Hold it, or have it refused. */
static void
on_literal(struct imap_prelogin *p)
{
	if (!p->conf->plaintext && span_caseeq(p->parser.cmd.name, SPAN("LOGIN")))
		parser_refuse(&p->parser, disallowed);
	else
		(void)parser_accept(&p->parser);
}

static enum prelogin_ev
on_bad(struct imap_prelogin *p, struct buf *out)
{
	if (p->parser.why == disallowed)
		return disallow(p, out);
	return bad(p, p->parser.cmd.tag, p->parser.why, out);
}

static enum prelogin_ev
push_command(struct imap_prelogin *p, struct span *in, struct buf *out, bool *more)
{
	enum prelogin_ev ev = PRELOGIN_MORE;
	enum parser_ev got = parser_push(&p->parser, in);

	if (got == PARSER_LITERAL) {
		on_literal(p);
		if (p->parser.why == NULL)
			return p->parser.literal.sync ? say(out, "+ Go on.")
			                              : PRELOGIN_MORE;
		got = parser_push(&p->parser, in);
	}
	switch (got) {
	case PARSER_COMMAND:
		ev = run(p, out);
		break;
	case PARSER_BAD:
		ev = on_bad(p, out);
		break;
	case PARSER_FATAL:
		(void)reply(SPAN("*"), "BYE", p->parser.why, out);
		ev = PRELOGIN_CLOSE;
		break;
	case PARSER_LITERAL: /* not before the one at hand is over */
	case PARSER_OCTETS:  /* nothing is streamed here */
	case PARSER_MORE:
		*more = true;
		return PRELOGIN_MORE;
	}
	if (p->talk.mech == 0)
		forget(p);
	return ev;
}

static enum prelogin_ev
push_answer(struct imap_prelogin *p, struct span *in, struct buf *out, bool *more)
{
	enum prelogin_ev ev = PRELOGIN_MORE;

	switch (line_push(&p->line, in)) {
	case LINE_MORE:
		*more = true;
		return PRELOGIN_MORE;
	case LINE_READY:
		ev = answer(p, line_text(&p->line), false, out);
		break;
	case LINE_LONG:
		p->talk.mech = 0;
		ev = bad(p, imap_prelogin_tag(p), "Answer too long.", out);
		break;
	}
	if (p->talk.mech == 0)
		forget(p);
	return ev;
}

enum prelogin_ev
imap_prelogin_push(struct imap_prelogin *p, struct span *in, struct buf *out)
{
	enum prelogin_ev ev = PRELOGIN_MORE;
	bool more = false;

	while (ev == PRELOGIN_MORE && !more && out->n < PRELOGIN_OUT_ENOUGH)
		ev = p->answering ? push_answer(p, in, out, &more)
		                  : push_command(p, in, out, &more);
	if (ev == PRELOGIN_STARTTLS)
		in->n = 0;
	return ev;
}

enum prelogin_ev
imap_prelogin_refuse(struct imap_prelogin *p, enum prelogin_why why, struct buf *out)
{
	static const char *const text[] = {
	    [PRELOGIN_WRONG] = failed,
	    [PRELOGIN_LATER] = "[UNAVAILABLE] Login is not possible now, try later.",
	    [PRELOGIN_UNAVAILABLE] = "[CONTACTADMIN] Login is not possible.",
	};

	explicit_bzero(p->password, sizeof p->password);
	p->user_size = p->password_size = 0;
	if (p->talk.mech != 0)
		forget(p);
	return refuse(p, imap_prelogin_tag(p), text[why], out);
}

void
imap_prelogin_wipe(struct imap_prelogin *p)
{
	arena_wipe(&p->arena);
	explicit_bzero(p, sizeof *p);
}

bool
imap_prelogin_is_tag(struct span s)
{
	return s.n > 0 && s.n <= PARSER_TAG_MAX && parser_tag_chars(s);
}
