/*
 * Commands come whole from the parser, except for the octets of an APPEND, which go past.
 * Replies are gathered and leave when the client has nothing more to say for now.
 */
#include "protocol/imap/imap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "protocol/imap/append.h"
#include "protocol/imap/news.h"
#include "storage/base/log.h"

/* ---- life ---------------------------------------------------------------------------------- */

int
imap_open(struct imap *im, const struct imap_conf *conf, struct out *out)
{
	/* what can be appended can be passed over: the client is told why, and not cut off */
	const struct parser_limits limits = {
	    .line = IMAP_LINE_MAX,
	    .memory = IMAP_MEMORY_MAX,
	    .nonsync = conf->append_max > IMAP_SWALLOW_MAX ? (size_t)conf->append_max
	                                                   : IMAP_SWALLOW_MAX,
	    .depth = IMAP_DEPTH_MAX,
	    .args = IMAP_ARGS_MAX,
	};
	struct view_conf home = conf->view;

	home.mailbox = "INBOX";
	home.mode = VIEW_COMMANDS;
	*im = (struct imap){.conf = conf, .out = out, .arena.max = IMAP_ARENA_MAX};
	if (view_open(&home, &im->home) == -1)
		return -1;
	parser_init(&im->parser, &limits, &im->arena);
	im->idle.line =
	    (struct line){.buf = im->idle.room, .cap = sizeof im->idle.room};
	return 0;
}

void
imap_close(struct imap *im)
{
	append_abandon(im);
	mailbox_close(im->box);
	im->box = NULL;
	view_close(&im->home);
	numset_free(&im->saved);
	arena_free(&im->arena);
}

/* ---- the commands ---------------------------------------------------------------------------- */

enum when {
	SELECTED = 1, /* only with a selected mailbox */
	NO_NEWS = 2,  /* without UID: no expunge may be told (RFC 9051 section 7.5.1) */
	NEVER = 4,    /* after login it makes no sense any more */
};

enum arity { NONE, SOME, ANY }; /* arguments; UID_TOO: it may follow UID */

static int
cmd_never(struct imap *im, const struct arg *args)
{
	(void)args;
	return imap_bad(im, "Already logged in.");
}

static const struct cmd {
	const char *name;
	unsigned when; /* enum when */
	enum arity arity;
	bool uid; /* may follow UID */
	imap_run *run;
} cmds[] = {
    {"APPEND", 0, SOME, false, cmd_append},
    {"AUTHENTICATE", NEVER, ANY, false, cmd_never},
    {"CAPABILITY", 0, NONE, false, cmd_capability},
    {"CHECK", SELECTED, NONE, false, cmd_noop},
    {"CLOSE", SELECTED, NONE, false, cmd_close},
    {"COPY", SELECTED, SOME, true, cmd_copy},
    {"CREATE", 0, SOME, false, cmd_create},
    {"DELETE", 0, SOME, false, cmd_delete},
    {"ENABLE", 0, SOME, false, cmd_enable},
    {"EXAMINE", 0, SOME, false, cmd_examine},
    {"EXPUNGE", SELECTED, ANY, true, cmd_expunge},
    {"FETCH", SELECTED | NO_NEWS, SOME, true, cmd_fetch},
    {"ID", 0, SOME, false, cmd_id},
    {"IDLE", 0, NONE, false, cmd_idle},
    {"LIST", 0, SOME, false, cmd_list},
    {"LOGIN", NEVER, ANY, false, cmd_never},
    {"LOGOUT", 0, NONE, false, cmd_logout},
    {"LSUB", 0, SOME, false, cmd_lsub},
    {"MOVE", SELECTED, SOME, true, cmd_move},
    {"NAMESPACE", 0, NONE, false, cmd_namespace},
    {"NOOP", 0, NONE, false, cmd_noop},
    {"RENAME", 0, SOME, false, cmd_rename},
    {"SEARCH", SELECTED | NO_NEWS, SOME, true, cmd_search},
    {"SELECT", 0, SOME, false, cmd_select},
    {"STARTTLS", NEVER, ANY, false, cmd_never},
    {"STATUS", 0, SOME, false, cmd_status},
    {"STORE", SELECTED | NO_NEWS, SOME, true, cmd_store},
    {"SUBSCRIBE", 0, SOME, false, cmd_subscribe},
    {"UNSELECT", SELECTED, NONE, false, cmd_unselect},
    {"UNSUBSCRIBE", 0, SOME, false, cmd_unsubscribe},
};

static const struct cmd *
find(const struct command *c)
{
	for (const struct cmd *k = cmds; k < cmds + ARRAY_LEN(cmds); k++)
		if (span_caseeq(c->name, span_of(k->name)))
			return c->uid && !k->uid ? NULL : k;
	return NULL;
}

static int
run(struct imap *im)
{
	const struct cmd *k = find(&im->parser.cmd);

	im->cmd = &im->parser.cmd;
	if (k == NULL)
		return imap_bad(im, "Unknown command.");
	if (k->when & SELECTED && im->box == NULL)
		return imap_bad(im, "No mailbox is selected.");
	if (k->arity == NONE && im->cmd->args != NULL)
		return imap_bad(im, "%s takes no arguments.", k->name);
	if (k->arity == SOME && im->cmd->args == NULL)
		return imap_bad(im, "%s needs arguments.", k->name);
	im->quiet = k->when & NO_NEWS && !im->cmd->uid;
	return k->run(im, im->cmd->args);
}

/* ---- what comes --------------------------------------------------------------------------------- */

static int
literal(struct imap *im)
{
	const struct parser_literal *l = &im->parser.literal;
	bool sync = l->sync, taken = true;

	if (append_wants(im))
		taken = append_begin(im);
	else
		taken = parser_accept(&im->parser);
	if (taken && sync)
		return out_copy(im->out, SPAN("+ OK\r\n"));
	return 0; /* refused: the parser comes back with BAD */
}

/* What the parser made of it cannot be a command. An APPEND may know better why. */
static int
bad_command(struct imap *im)
{
	im->cmd = &im->parser.cmd;
	if (append_refused(im))
		return append_say_why(im);
	return imap_bad(im, "%s", im->parser.why);
}

static void
end_command(struct imap *im)
{
	append_abandon(im);
	im->cmd = NULL;
	arena_reset(&im->arena);
	parser_next(&im->parser);
}

static int
take(struct imap *im, struct span *in, bool *more)
{
	int rc = 0;

	if (im->idle.on)
		return idle_push(im, in, more);
	switch (parser_push(&im->parser, in)) {
	case PARSER_MORE:
		*more = true;
		break;
	case PARSER_LITERAL:
		rc = literal(im);
		break;
	case PARSER_OCTETS:
		append_octets(im, im->parser.octets);
		break;
	case PARSER_COMMAND:
		rc = run(im);
		end_command(im);
		break;
	case PARSER_BAD:
		rc = bad_command(im);
		end_command(im);
		break;
	case PARSER_FATAL:
		(void)imap_printf(im, "* BYE %s\r\n", im->parser.why);
		(void)out_flush(im->out);
		rc = -1;
		break;
	}
	return rc;
}

enum imap_ev
imap_push(struct imap *im, struct span in)
{
	bool more = false;

	while (!more && !im->logout)
		if (take(im, &in, &more) == -1) {
			(void)out_flush(im->out); /* a BYE, perhaps */
			return IMAP_BROKEN;
		}
	if (out_flush(im->out) == -1)
		return IMAP_BROKEN;
	return im->logout ? IMAP_LOGOUT : IMAP_MORE;
}

int
imap_poll_fd(const struct imap *im)
{
	return im->idle.on && im->box != NULL ? im->box->view.events : -1;
}

enum imap_ev
imap_news(struct imap *im)
{
	if (!im->idle.on)
		return IMAP_MORE;
	return news_tell(im) == -1 || out_flush(im->out) == -1 ? IMAP_BROKEN
	                                                       : IMAP_MORE;
}

enum imap_ev
imap_wait_news(struct imap *im)
{
	return news_wait(im) == -1 || out_flush(im->out) == -1 ? IMAP_BROKEN : IMAP_MORE;
}

enum imap_ev
imap_still_here(struct imap *im)
{
	if (!im->idle.on)
		return IMAP_MORE;
	return imap_printf(im, "* OK Still here\r\n") == -1 || out_flush(im->out) == -1
	           ? IMAP_BROKEN
	           : IMAP_MORE;
}

/* ---- replies --------------------------------------------------------------------------------------- */

int
imap_printf(struct imap *im, const char *fmt, ...)
{
	char text[OUT_LINE_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof text) {
		errno = EMSGSIZE;
		return -1;
	}
	return out_copy(im->out, (struct span){text, (size_t)n});
}

/* `TAG STATUS [code] text` */
static int
tagged(struct imap *im, const char *status, const char *code, const char *fmt,
       va_list ap)
{
	struct span tag = im->cmd->tag.n > 0 ? im->cmd->tag : SPAN("*");
	struct buf b = {0};
	char text[512];
	int rc;

	vsnprintf(text, sizeof text, fmt, ap);
	rc = buf_addf(&b, "%.*s %s %s%s%s%s\r\n", (int)tag.n, tag.p, status,
	              code != NULL ? "[" : "", code != NULL ? code : "",
	              code != NULL ? "] " : "", text);
	if (rc == 0)
		rc = out_copy(im->out, buf_span(&b));
	buf_free(&b);
	return rc;
}

/*
 * The client may have been told a modseq while news below it are held back: what it may
 * begin from when the connection breaks now is lower (RFC 7162 section 6).
 */
static int
tell_safe_modseq(struct imap *im)
{
	const struct mailbox *mb = im->box;

	if (mb == NULL || !(im->enabled & EN_QRESYNC) || mb->learned <= mb->modseq)
		return 0;
	return imap_printf(
	    im, "* OK [HIGHESTMODSEQ %" PRIu64 "] Some news are delayed.\r\n",
	    mb->modseq);
}

int
imap_ok(struct imap *im, const char *code, const char *fmt, ...)
{
	va_list ap;
	int rc;

	im->bad = 0;
	if ((im->quiet ? tell_safe_modseq(im) : news_tell(im)) == -1)
		return -1;
	va_start(ap, fmt);
	rc = tagged(im, "OK", code, fmt, ap);
	va_end(ap);
	return rc;
}

int
imap_no(struct imap *im, const char *code, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = tagged(im, "NO", code, fmt, ap);
	va_end(ap);
	return rc;
}

int
imap_bad(struct imap *im, const char *fmt, ...)
{
	va_list ap;
	int rc;

	if (++im->bad > IMAP_BAD_MAX) {
		(void)imap_printf(im, "* BYE Too many bad commands.\r\n");
		(void)out_flush(im->out);
		return -1;
	}
	va_start(ap, fmt);
	rc = tagged(im, "BAD", NULL, fmt, ap);
	va_end(ap);
	return rc;
}

/* Errors that a client can do something about, in RFC 5530's words. */
static const struct {
	int error;
	const char *code, *text;
} failures[] = {
    {ENOENT, "NONEXISTENT", "no such mailbox"},
    {EEXIST, "ALREADYEXISTS", "a mailbox of that name exists already"},
    {EACCES, "NOPERM", "permission denied"},
    {EPERM, "NOPERM", "permission denied"},
    {EROFS, "NOPERM", "the mail is read-only"},
    {EBUSY, "CANNOT", "not possible with that mailbox"},
    {EINVAL, "CANNOT", "not possible with that name"},
    {ENAMETOOLONG, "CANNOT", "the name is too long"},
    {ELOOP, "CANNOT", "something that is no mailbox has that name"},
    {ENOTDIR, "CANNOT", "something that is no mailbox has that name"},
    {EXDEV, "CANNOT", "something that is no mailbox has that name"},
    {ENOTSUP, "CANNOT", "no mailbox can be there"},
    {ETIMEDOUT, "INUSE", "another program has the mailbox locked, try later"},
    {ENOTEMPTY, "INUSE", "the mailbox is being written to"},
    {ENOSPC, "OVERQUOTA", "there is no room left"},
    {EDQUOT, "OVERQUOTA", "the quota is used up"},
    {EFBIG, "LIMIT", "too large"},
    {EMSGSIZE, "LIMIT", "too much at once"},
    {ENOMEM, "LIMIT", "too much at once"},
    {ESTALE, "NONEXISTENT", "the mailbox is gone"},
};

int
imap_failed(struct imap *im, const char *what)
{
	int error = errno;

	for (size_t i = 0; i < ARRAY_LEN(failures); i++)
		if (failures[i].error == error)
			return imap_no(im, failures[i].code, "%s: %s.", what,
			               failures[i].text);
	log_error("%s: %s: %s", im->conf->name, what, strerror(error));
	return imap_no(im, "UNAVAILABLE", "%s: not possible now.", what);
}
