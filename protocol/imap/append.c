#include "protocol/imap/append.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "protocol/imap/flags.h"
#include "protocol/imap/uncr.h"
#include "storage/base/io.h"
#include "storage/mime/date.h"

#define WRITE_MAX 65536 /* octets that are gathered before they are written */

struct append {
	struct view view; /* of the mailbox that gets them */
	bool open;
	char name[VIEW_COMMIT_MAX][32]; /* of drafts, one a message */
	int draft[VIEW_COMMIT_MAX];     /* open until they are committed or given up */
	size_t n;
	int fd;    /* the last draft, while octets come for it; or -1 */
	int error; /* the first errno of writing: said at the end */
	struct uncr uncr;
	char code[32], why[96]; /* refused */
	size_t held;
	char out[WRITE_MAX];
};

/* ---- writing --------------------------------------------------------------------------------- */

static void
write_out(struct append *a)
{
	if (a->error == 0 && io_write_all(a->fd, (struct span){a->out, a->held}) == -1)
		a->error = errno;
	a->held = 0;
}

static void
store(struct append *a, struct span in)
{
	while (in.n > 0) {
		size_t n = in.n < WRITE_MAX / 2 ? in.n : WRITE_MAX / 2;

		if (a->held + n + 1 > sizeof a->out)
			write_out(a);
		a->held +=
		    uncr_push(&a->uncr, (struct span){in.p, n}, a->out + a->held);
		in = span_from(in, n);
	}
}

/* ---- refusing --------------------------------------------------------------------------------- */

static bool
refuse(struct imap *im, const char *code, const char *why)
{
	struct append *a = im->append;

	snprintf(a->code, sizeof a->code, "%s", code);
	snprintf(a->why, sizeof a->why, "%s", why);
	parser_refuse(&im->parser, "APPEND refused.");
	return false;
}

bool
append_refused(const struct imap *im)
{
	return im->append != NULL && im->append->why[0] != '\0';
}

int
append_say_why(struct imap *im)
{
	struct append *a = im->append;

	if (strcmp(a->code, "BAD") == 0)
		return imap_bad(im, "%s", a->why);
	return imap_no(im, a->code, "%s", a->why);
}

/* ---- arguments: mailbox, then [flags] [date] message, again and again ----------------------------- */

/* What stands between two messages. */
struct options {
	const struct arg *flags;
	int64_t date;
};

/* The one argument of `UTF8 (~{...})`, or the message itself. */
static const struct arg *
message_of(const struct arg *a)
{
	if (a != NULL && arg_is_atom(a, "UTF8") && a->next != NULL &&
	    a->next->type == ARG_LIST)
		return a->next;
	return a;
}

/* Take the options off; what is left begins with a message. False: *why. */
static bool
take_options(const struct arg **at, struct options *o, const char **why)
{
	const struct arg *a = *at;
	struct date date;

	*o = (struct options){.date = INT64_MIN};
	if (a != NULL && a->type == ARG_LIST) {
		o->flags = a;
		a = a->next;
	}
	if (a != NULL && a->type == ARG_QUOTED) {
		if (!date_time(a->text, &date)) {
			*why = "That is no date.";
			return false;
		}
		o->date = date.when;
		a = a->next;
	}
	*at = a;
	return true;
}

static const struct arg *
after(const struct arg *message, const struct arg *at)
{
	return message == at ? at->next : message->next;
}

/* Walk over the messages that are whole up to now; then *o is what the next one gets. */
static bool
next_options(const struct arg *args, struct options *o, const char **why)
{
	const struct arg *a = args->next;

	for (;;) {
		if (!take_options(&a, o, why))
			return false;
		if (a == NULL || (arg_is_atom(a, "UTF8") && a->next == NULL))
			return true;
		a = after(message_of(a), a);
	}
}

/* ---- receiving ------------------------------------------------------------------------------------- */

bool
append_wants(const struct imap *im)
{
	const struct parser *p = &im->parser;

	return span_caseeq(p->cmd.name, SPAN("APPEND")) && !p->cmd.uid &&
	       p->literal.depth <= 1 && p->cmd.args != NULL && p->literal.index > 0;
}

static bool
open_target(struct imap *im)
{
	struct append *a = im->append;
	struct view_conf conf = im->home.conf;
	struct span path;
	const char *why;
	char *name;

	if (!imap_path(im, im->parser.cmd.args, &path, &why))
		return refuse(im, "CANNOT", why);
	if ((name = arena_alloc(&im->arena, path.n + 1)) == NULL)
		return refuse(im, "LIMIT", "Too much at once.");
	conf.mailbox = memcpy(name, path.p, path.n);
	if (view_open(&conf, &a->view) == -1) {
		if (errno == ENOENT || errno == EACCES)
			return refuse(im, "TRYCREATE", "There is no such mailbox.");
		return refuse(im, "UNAVAILABLE", "The mailbox cannot be opened now.");
	}
	a->open = true;
	return true;
}

/* Everything that can be said before the octets come. */
static bool
judge(struct imap *im)
{
	struct append *a = im->append;
	struct options o;
	struct buf flags = {0};
	const char *why;
	bool good;

	if (im->parser.literal.size == 0) /* RFC 3502 section 3: the client gives up */
		return refuse(im, "CANNOT", "There is nothing to append.");
	if (im->parser.literal.size > im->conf->append_max)
		return refuse(im, "TOOBIG", "The message is too large.");
	if (a->n == VIEW_COMMIT_MAX)
		return refuse(im, "LIMIT", "Too many messages at once.");
	if (!next_options(im->parser.cmd.args, &o, &why))
		return refuse(im, "BAD", why);
	good = o.flags == NULL || flags_parse(o.flags->child, &flags, &why);
	buf_free(&flags);
	return good ? true : refuse(im, "BAD", why);
}

static bool
cannot_stage(struct imap *im, int error)
{
	switch (error) {
	case EACCES: /* a parent without messages of its own */
		return refuse(im, "TRYCREATE", "There is no such mailbox.");
	case EROFS:
	case EPERM:
		return refuse(im, "NOPERM", "The mailbox cannot be written.");
	case ENOSPC:
	case EDQUOT:
		return refuse(im, "OVERQUOTA", "There is no room left.");
	default:
		return refuse(im, "UNAVAILABLE", "The mailbox cannot be written now.");
	}
}

static bool
begin_message(struct imap *im)
{
	static unsigned serial;
	struct append *a = im->append;
	char *name = a->name[a->n];

	snprintf(name, sizeof a->name[0], "%d-%u", (int)getpid(), ++serial);
	if ((a->fd = view_stage(&a->view, name)) == -1)
		return cannot_stage(im, errno);
	a->draft[a->n++] = a->fd;
	a->uncr = (struct uncr){0};
	a->held = 0;
	parser_stream(&im->parser);
	return true;
}

static void
end_message(struct append *a)
{
	if (a->fd == -1)
		return;
	if (a->held == sizeof a->out)
		write_out(a);
	a->held += uncr_end(&a->uncr, a->out + a->held);
	write_out(a);
	a->fd = -1;
}

bool
append_begin(struct imap *im)
{
	struct append *a = im->append;

	if (a == NULL) {
		if ((a = calloc(1, sizeof *a)) == NULL) {
			parser_refuse(&im->parser, "Out of memory.");
			return false;
		}
		a->fd = -1;
		im->append = a;
	}
	end_message(a);
	return (a->open || open_target(im)) && judge(im) && begin_message(im);
}

void
append_octets(struct imap *im, struct span octets)
{
	struct append *a = im->append;

	if (a != NULL && a->fd != -1)
		store(a, octets);
}

void
append_abandon(struct imap *im)
{
	struct append *a = im->append;

	if (a == NULL)
		return;
	while (a->n > 0)
		close(a->draft[--a->n]); /* not committed: forgotten */
	if (a->open)
		view_close(&a->view);
	free(a);
	im->append = NULL;
}

/* ---- delivering --------------------------------------------------------------------------------------- */

/* Put the flags of each message behind each other; they are pointed at when all are there. */
static bool
collect(struct append *a, const struct arg *args, struct view_delivery *d,
        struct buf *text, size_t *at, const char **why)
{
	size_t n = 0;

	*why = "Expected: mailbox [flags] [date] message.";
	for (args = args->next; args != NULL; n++) {
		struct options o;
		const struct arg *m;

		if (!take_options(&args, &o, why) || args == NULL || n == a->n)
			return false;
		m = message_of(args);
		if (m->type == ARG_LIST
		        ? m->child == NULL || m->child->type != ARG_STREAM ||
		              m->child->next != NULL
		        : m->type != ARG_STREAM)
			return false;
		at[n] = text->n;
		d[n] = (struct view_delivery){.name = a->name[n], .date = o.date};
		if (o.flags != NULL && !flags_parse(o.flags->child, text, why))
			return false;
		args = after(m, args);
	}
	at[n] = text->n;
	return n == a->n && n > 0;
}

static int
deliver(struct imap *im, struct view_delivery *d)
{
	struct append *a = im->append;
	struct mt_header head;
	struct numset uids = {0};
	struct buf code = {0};
	int rc;

	if (view_commit(&a->view, d, a->n, &uids) == -1) {
		numset_free(&uids);
		return imap_failed(im, "APPEND");
	}
	if (view_header(&a->view, &head) == 0 &&
	    buf_addf(&code, "APPENDUID %" PRIu32 " ", head.uidvalidity) == 0 &&
	    numset_print(&uids, &code) == 0 && buf_addc(&code, '\0') == 0)
		rc = imap_ok(im, code.p, "APPEND completed.");
	else
		rc = imap_ok(im, NULL, "APPEND completed.");
	numset_free(&uids);
	buf_free(&code);
	return rc;
}

int
cmd_append(struct imap *im, const struct arg *args)
{
	struct append *a = im->append;
	struct view_delivery *d;
	struct buf text = {0};
	const char *why = "A message is missing.";
	size_t *at;
	bool good;
	int rc;

	if (a == NULL)
		return imap_bad(im, "%s", why);
	end_message(a);
	if (a->error != 0) {
		errno = a->error;
		return imap_failed(im, "APPEND");
	}
	d = arena_alloc(&im->arena, (a->n + 1) * sizeof *d);
	at = arena_alloc(&im->arena, (a->n + 1) * sizeof *at);
	if (d == NULL || at == NULL)
		return imap_failed(im, "APPEND");
	good = collect(a, args, d, &text, at, &why);
	for (size_t i = 0; good && i < a->n; i++)
		if (at[i + 1] > at[i]) /* else there may be no text at all */
			d[i].flags = (struct span){text.p + at[i], at[i + 1] - at[i]};
	rc = good ? deliver(im, d) : imap_bad(im, "%s", why);
	buf_free(&text);
	return rc;
}
