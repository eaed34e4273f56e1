#include "protocol/pop3/session.h"

#include <errno.h>
#include <inttypes.h>

#include "protocol/pop3/capa.h"
#include "protocol/pop3/stuff.h"
#include "protocol/pop3/top.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

#define FREEZE_AGAIN_MAX 3

/* ---- taking the maildrop ----------------------------------------------------------------- */

/*
 * What is delivered between the counting of sizes and the freezing has none yet: once
 * more. What goes on arriving belongs to the next session.
 */
static int
freeze(struct session *s)
{
	int rc;

	for (int i = 0;; i++) {
		if ((rc = view_sync(s->view)) == -1 ||
		    drop_freeze(&s->drop, s->view, s->uidl) == -1)
			return -1;
		if (s->drop.unsized == 0 || rc == 1 || i == FREEZE_AGAIN_MAX)
			break;
		drop_free(&s->drop);
	}
	if (rc == 1)
		log_warn("%s: %zu messages are left out, their size is not to be had",
		         s->name, s->drop.unsized);
	return 0;
}

int
session_open(struct session *s, const struct session_conf *conf, struct view *v,
             struct out *out)
{
	*s = (struct session){.view = v,
	                      .out = out,
	                      .uidl = conf->uidl,
	                      .name = conf->name,
	                      .lang = conf->lang};
	s->line = (struct line){.buf = s->room, .cap = sizeof s->room};
	if (view_lock(v) == -1 || freeze(s) == -1)
		return -1;
	if (reader_open(v, s->drop.wire_end, &s->reader) == -1) {
		int saved = errno;

		drop_free(&s->drop);
		errno = saved;
		return -1;
	}
	return 0;
}

const char *
session_refusal(int error)
{
	switch (error) {
	case EBUSY:
		return "-ERR [IN-USE] Another POP3 session has this maildrop.\r\n";
	case ENOENT:
	case ENOTDIR:
		return "-ERR [SYS/PERM] There is no maildrop.\r\n";
	case EACCES:
	case EPERM:
		return "-ERR [SYS/PERM] The maildrop may not be read.\r\n";
	default:
		return "-ERR [SYS/TEMP] The maildrop cannot be read now, try "
		       "later.\r\n";
	}
}

void
session_close(struct session *s)
{
	reader_close(&s->reader);
	drop_free(&s->drop);
}

/* ---- replies ----------------------------------------------------------------------------- */

/* A handler's answer: whether the connection is still good. */
static enum session_ev
as_ev(int rc)
{
	return rc == -1 ? SESSION_BROKEN : SESSION_MORE;
}

static enum session_ev
say(struct session *s, const char *text)
{
	return as_ev(out_copy(s->out, span_of(text)));
}

static enum session_ev
bad(struct session *s, const char *text)
{
	if (++s->bad < SESSION_BAD_MAX)
		return say(s, text);
	(void)say(s, "-ERR Too many bad commands.\r\n");
	(void)out_flush(s->out);
	return SESSION_BROKEN;
}

static enum session_ev
no_such_message(struct session *s)
{
	return say(s, "-ERR There is no such message.\r\n");
}

/* The message that `arg` numbers; NULL: there is none. */
static struct drop_message *
find(struct session *s, struct span arg)
{
	uint64_t n;

	return num_u64(arg, &n) == -1 ? NULL : drop_find(&s->drop, n);
}

static size_t
number_of(const struct session *s, const struct drop_message *m)
{
	return (size_t)(m - s->drop.m) + 1;
}

/* ---- listings ---------------------------------------------------------------------------- */

static enum session_ev
cmd_stat(struct session *s, struct span arg)
{
	(void)arg;
	return as_ev(out_printf(s->out, "+OK %zu %" PRIu64 "\r\n", s->drop.alive,
	                        s->drop.octets));
}

/* `before` is what the line begins with: `+OK ` when it is a reply of its own. */
static int
size_line(struct session *s, const struct drop_message *m, const char *before)
{
	return out_printf(s->out, "%s%zu %" PRIu64 "\r\n", before, number_of(s, m),
	                  drop_size(m));
}

static int
uidl_line(struct session *s, const struct drop_message *m, const char *before)
{
	char uidl[UIDL_MAX];
	size_t n = drop_uidl(&s->drop, s->uidl, m, uidl);

	return out_printf(s->out, "%s%zu %.*s\r\n", before, number_of(s, m), (int)n,
	                  uidl);
}

static enum session_ev
listing(struct session *s, struct span arg,
        int (*line)(struct session *, const struct drop_message *, const char *))
{
	const struct drop_message *m;

	if (arg.n > 0) {
		m = find(s, arg);
		return m == NULL ? no_such_message(s) : as_ev(line(s, m, "+OK "));
	}
	if (out_printf(s->out, "+OK %zu messages (%" PRIu64 " octets)\r\n",
	               s->drop.alive, s->drop.octets) == -1)
		return SESSION_BROKEN;
	for (size_t i = 0; i < s->drop.n; i++)
		if (!(s->drop.m[i].bits & DROP_DELETED) && line(s, &s->drop.m[i], "") == -1)
			return SESSION_BROKEN;
	return say(s, ".\r\n");
}

static enum session_ev
cmd_list(struct session *s, struct span arg)
{
	return listing(s, arg, size_line);
}

static enum session_ev
cmd_uidl(struct session *s, struct span arg)
{
	return listing(s, arg, uidl_line);
}

/* ---- messages ---------------------------------------------------------------------------- */

static int
send_stuffed(struct session *s, struct stuff *stuff, struct span part)
{
	while (part.n > 0) {
		size_t n = stuff_run(stuff, part);

		if (out_ref(s->out, (struct span){part.p, n}) == -1)
			return -1;
		part = span_from(part, n);
		if (part.n > 0 && out_copy(s->out, SPAN(".")) == -1)
			return -1;
	}
	return 0;
}

/* Octets of `m` up to the end of `top` (NULL: of the message), as they go out. */
static int
send_body(struct session *s, const struct drop_message *m, struct top *top)
{
	struct stuff stuff = {0};
	struct span part;
	uint64_t left = drop_size(m);
	int rc = 1;

	while (left > 0 && (top == NULL || !top->done)) {
		if ((rc = reader_next(&s->reader, &part)) != 1)
			return -1;
		left -= part.n;
		if (top != NULL)
			part.n = top_run(top, part);
		rc = m->bits & DROP_DOT ? send_stuffed(s, &stuff, part)
		                        : out_ref(s->out, part);
		/* what was handed out goes before the reader may reuse its memory */
		if (rc == -1 || (left > 0 && out_flush(s->out) == -1))
			return -1;
	}
	return 0;
}

static enum session_ev
unreadable(struct session *s, const struct drop_message *m)
{
	int error = errno;

	log_warn("%s: message %zu (UID %u) cannot be read: %s", s->name,
	         number_of(s, m), m->uid, strerror(error));
	if (error == ENOENT)
		return as_ev(
		    out_printf(s->out,
		               "-ERR [SYS/PERM] message %zu has been removed by "
		               "another program\r\n",
		               number_of(s, m)));
	return as_ev(out_printf(s->out,
	                        "-ERR [SYS/TEMP] message %zu cannot be read now\r\n",
	                        number_of(s, m)));
}

static enum session_ev
send_message(struct session *s, const struct drop_message *m, struct top *top)
{
	struct reader_message rm = drop_for_reader(m);
	int rc;

	if (!reader_begin_held(&s->reader, &rm)) {
		if (out_flush(s->out) == -1)
			return SESSION_BROKEN;
		if (reader_begin(&s->reader, &rm) == -1)
			return unreadable(s, m);
	}
	rc = top != NULL ? out_copy(s->out, SPAN("+OK top of message follows\r\n"))
	                 : out_printf(s->out, "+OK %" PRIu64 " octets\r\n", rm.size);
	if (rc == -1)
		return SESSION_BROKEN;
	if (send_body(s, m, top) == -1) {
		/* the length is announced: another number of octets must not follow */
		log_error("%s: message %zu (UID %u) ended early: connection dropped",
		          s->name, number_of(s, m), m->uid);
		s->out->broken = true;
		return SESSION_BROKEN;
	}
	return say(s, ".\r\n");
}

static enum session_ev
cmd_retr(struct session *s, struct span arg)
{
	const struct drop_message *m = find(s, arg);

	return m == NULL ? no_such_message(s) : send_message(s, m, NULL);
}

static enum session_ev
cmd_top(struct session *s, struct span arg)
{
	const struct drop_message *m;
	struct span number;
	struct top top = {0};

	if (!span_word(&arg, &number) || num_u64(span_trim(arg), &top.lines) == -1)
		return bad(
		    s, "-ERR TOP takes a message number and a number of lines.\r\n");
	m = find(s, number);
	return m == NULL ? no_such_message(s) : send_message(s, m, &top);
}

/* ---- marks and the end ------------------------------------------------------------------- */

static enum session_ev
cmd_dele(struct session *s, struct span arg)
{
	struct drop_message *m = find(s, arg);

	if (m == NULL)
		return no_such_message(s);
	drop_delete(&s->drop, m);
	return say(s, "+OK Marked to be deleted.\r\n");
}

static enum session_ev
cmd_rset(struct session *s, struct span arg)
{
	drop_reset(&s->drop);
	return cmd_stat(s, arg);
}

static enum session_ev
cmd_noop(struct session *s, struct span arg)
{
	(void)arg;
	return say(s, "+OK\r\n");
}

/* The UPDATE state: the only place where anything is removed. */
static int
update(struct session *s)
{
	struct numset gone = {0};
	int rc = drop_deleted(&s->drop, &gone);

	if (rc == 0 && gone.n > 0)
		rc = view_expunge(s->view, &gone);
	if (rc == 0)
		s->removed = s->drop.n - s->drop.alive;
	if (rc == -1)
		log_error("%s: deleting %zu messages failed: %s", s->name,
		          s->drop.n - s->drop.alive, strerror(errno));
	numset_free(&gone);
	return rc;
}

static enum session_ev
cmd_quit(struct session *s, struct span arg)
{
	int rc;

	(void)arg;
	if (out_flush(s->out) == -1) /* a client that is gone does not mean its QUIT */
		return SESSION_BROKEN;
	rc = update(s);
	/* the lock goes before the reply: the client may come back at once */
	view_close(s->view);
	(void)say(s, rc == 0 ? "+OK Logging out.\r\n"
	                     : "-ERR [SYS/TEMP] some deleted messages not removed\r\n");
	return out_flush(s->out) == -1 ? SESSION_BROKEN : SESSION_QUIT;
}

/* ---- extensions -------------------------------------------------------------------------- */

static enum session_ev
say_from(struct session *s, int rc, struct buf *reply)
{
	if (rc == 0)
		rc = out_copy(s->out, buf_span(reply));
	buf_free(reply);
	return as_ev(rc);
}

/* USER is announced though it is over: what was announced before login still is. */
static enum session_ev
cmd_capa(struct session *s, struct span arg)
{
	struct buf reply = {0};

	(void)arg;
	return say_from(s, capa_reply(true, false, 0, &reply), &reply);
}

static enum session_ev
cmd_lang(struct session *s, struct span range)
{
	struct buf reply = {0};

	return say_from(s, lang_command(range, &s->lang, &reply), &reply);
}

/* ---- the commands ------------------------------------------------------------------------ */

static const struct cmd {
	const char *name;
	enum arity arity;
	enum session_ev (*run)(struct session *, struct span arg);
} cmds[] = {
    {"CAPA", ARG_NONE, cmd_capa},  {"DELE", ARG_MUST, cmd_dele},
    {"LANG", ARG_MAYBE, cmd_lang}, {"LIST", ARG_MAYBE, cmd_list},
    {"NOOP", ARG_NONE, cmd_noop},  {"QUIT", ARG_NONE, cmd_quit},
    {"RETR", ARG_MUST, cmd_retr},  {"RSET", ARG_NONE, cmd_rset},
    {"STAT", ARG_NONE, cmd_stat},  {"TOP", ARG_MUST, cmd_top},
    {"UIDL", ARG_MAYBE, cmd_uidl},
};

static enum session_ev
run(struct session *s, struct span line)
{
	struct span verb, arg;

	if (!command_cut(line, &verb, &arg))
		return bad(s, "-ERR Bad character in command.\r\n");
	for (const struct cmd *c = cmds; c < cmds + ARRAY_LEN(cmds); c++) {
		if (!span_caseeq(verb, span_of(c->name)))
			continue;
		if (!command_arg(c->arity, &arg))
			return bad(s, "-ERR Bad arguments.\r\n");
		return c->run(s, arg);
	}
	return bad(s, "-ERR Unknown command, or not after login.\r\n");
}

enum session_ev
session_push(struct session *s, struct span in)
{
	enum session_ev ev = SESSION_MORE;

	while (ev == SESSION_MORE)
		switch (line_push(&s->line, &in)) {
		case LINE_MORE:
			return out_flush(s->out) == -1 ? SESSION_BROKEN : SESSION_MORE;
		case LINE_READY:
			ev = run(s, line_text(&s->line));
			break;
		case LINE_LONG:
			ev = bad(s, "-ERR Command line too long.\r\n");
			break;
		}
	return ev;
}
