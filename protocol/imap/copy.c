/* COPY, MOVE (RFC 6851) and EXPUNGE, with UIDPLUS (RFC 4315). */
#include <errno.h>
#include <inttypes.h>

#include "protocol/imap/imap.h"
#include "protocol/imap/news.h"

struct copy {
	struct numset set, from, to;
	uint32_t uidvalidity;
	struct buf code; /* COPYUID, ended by a NUL; empty when nothing was copied */
};

static void
free_copy(struct copy *c)
{
	numset_free(&c->set);
	numset_free(&c->from);
	numset_free(&c->to);
	buf_free(&c->code);
}

static int
print_code(struct copy *c)
{
	if (c->from.n == 0)
		return 0;
	return buf_addf(&c->code, "COPYUID %" PRIu32 " ", c->uidvalidity) == -1 ||
	               numset_print(&c->from, &c->code) == -1 ||
	               buf_addc(&c->code, ' ') == -1 ||
	               numset_print(&c->to, &c->code) == -1 ||
	               buf_addc(&c->code, '\0') == -1
	           ? -1
	           : 0;
}

/* ---- failing ------------------------------------------------------------------------------ */

static int
open_there(struct imap *im, struct span path, struct view *there)
{
	struct view_conf conf = im->home.conf;
	char *name = arena_alloc(&im->arena, path.n + 1);

	if (name == NULL)
		return -1;
	conf.mailbox = memcpy(name, path.p, path.n);
	return view_open(&conf, there);
}

static bool
exists(struct imap *im, struct span path)
{
	struct view there;

	if (open_there(im, path, &there) == -1)
		return errno != ENOENT && errno != EACCES;
	view_close(&there);
	return true;
}

/* The client is told at once what is gone, so that it can try again. */
static int
some_are_gone(struct imap *im, const char *verb)
{
	if (news_tell(im) == -1)
		return -1;
	return imap_no(im, "EXPUNGEISSUED", "%s: some of the messages are gone.", verb);
}

/* Something is not there: the mailbox, or a message that another program has removed. */
static int
failed(struct imap *im, const char *verb, struct span path)
{
	/* EACCES: a parent without messages of its own */
	if (errno != ENOENT && errno != EACCES)
		return imap_failed(im, verb);
	if (errno == EACCES || !exists(im, path))
		return imap_no(im, "TRYCREATE", "%s: there is no such mailbox.", verb);
	return some_are_gone(im, verb);
}

/* Others have expunged some of what was to be copied: all or none (RFC 9051 section 6.4.7). */
static int
take_back(struct imap *im, struct copy *c, struct span path)
{
	struct view there;

	if (c->to.n > 0 && open_there(im, path, &there) == 0) {
		(void)view_expunge(&there, &c->to);
		view_close(&there);
	}
	return some_are_gone(im, "COPY");
}

/* ---- succeeding ---------------------------------------------------------------------------- */

/* The client is told of what moved before it is told that it is gone (RFC 6851). */
static int
tell_moved(struct imap *im, struct copy *c)
{
	if (c->from.n == 0)
		return 0;
	if (imap_printf(im, "* OK [") == -1 ||
	    out_copy(im->out, span_of(c->code.p)) == -1)
		return -1;
	return out_copy(im->out, SPAN("] Moved.\r\n"));
}

/* The end of what made messages go: with the modseq that this got (RFC 7162 section 3.2.7,
 * RFC 6851 section 4.4), which is known when its news have been read. */
static int
finish_gone(struct imap *im, const char *verb)
{
	struct buf code = {0};
	int rc;

	if (!(im->enabled & EN_QRESYNC))
		return imap_ok(im, NULL, "%s completed.", verb);
	if (news_tell(im) == -1)
		return -1;
	if (buf_addf(&code, "HIGHESTMODSEQ %" PRIu64 "%c", im->box->modseq, '\0') == -1)
		return imap_failed(im, verb);
	rc = imap_ok(im, code.p, "%s completed.", verb);
	buf_free(&code);
	return rc;
}

static int
copy(struct imap *im, struct copy *c, struct span path, bool move)
{
	const char *verb = move ? "MOVE" : "COPY";
	int rc = 0, saved;

	if (c->set.n > 0)
		rc = view_copy(&im->box->view, &c->set, path, move, &c->uidvalidity,
		               &c->from, &c->to);
	else if (c->set.n == 0)
		return imap_ok(im, NULL, "%s: nothing to do.", verb);
	if (rc == -1 && c->from.n == 0)
		return failed(im, verb, path);
	if (!move && numset_count(&c->from) < numset_count(&c->set))
		return take_back(im, c, path);
	saved = errno;
	if (print_code(c) == -1)
		return imap_failed(im, verb);
	if (!move)
		return imap_ok(im, c->code.p, "COPY completed.");
	if (tell_moved(im, c) == -1)
		return -1;
	if (rc == 0)
		return finish_gone(im, verb);
	if (news_tell(im) == -1) /* some were moved */
		return -1;
	errno = saved;
	return failed(im, verb, path);
}

static int
copy_or_move(struct imap *im, const struct arg *args, bool move)
{
	struct copy c = {0};
	struct span path;
	const char *why;
	int rc;

	if (args->type != ARG_ATOM || !arg_is_astring(args->next) ||
	    args->next->next != NULL)
		return imap_bad(im, "%s takes a set and a mailbox.",
		                move ? "MOVE" : "COPY");
	if (move && im->box->readonly)
		return imap_no(im, "READ-ONLY", "The mailbox is selected read-only.");
	if ((rc = imap_set(im, args->text, &c.set, &why)) == 1)
		rc = imap_bad(im, "%s", why);
	else if (rc == -1)
		rc = imap_failed(im, move ? "MOVE" : "COPY");
	else if (!imap_path(im, args->next, &path, &why))
		rc = imap_no(im, "CANNOT", "%s", why);
	else
		rc = copy(im, &c, path, move);
	free_copy(&c);
	return rc;
}

int
cmd_copy(struct imap *im, const struct arg *args)
{
	return copy_or_move(im, args, false);
}

int
cmd_move(struct imap *im, const struct arg *args)
{
	return copy_or_move(im, args, true);
}

/* ---- EXPUNGE --------------------------------------------------------------------------------- */

/* Of what the client knows: nobody has seen what came since with \Deleted on it. */
static int
expunge(struct imap *im, const struct numset *set)
{
	if (set->n > 0 && view_expunge_deleted(&im->box->view, set, NULL) == -1)
		return imap_failed(im, "EXPUNGE");
	return finish_gone(im, "EXPUNGE");
}

int
cmd_expunge(struct imap *im, const struct arg *args)
{
	const struct mailbox *mb = im->box;
	struct numset set = {0};
	const char *why;
	int rc;

	if (im->cmd->uid != (args != NULL) || (args != NULL && args->next != NULL) ||
	    (args != NULL && args->type != ARG_ATOM))
		return imap_bad(im, "EXPUNGE takes nothing, UID EXPUNGE a set.");
	if (mb->readonly)
		return imap_no(im, "READ-ONLY", "The mailbox is selected read-only.");
	if (args != NULL)
		rc = imap_set(im, args->text, &set, &why);
	else
		rc = mb->ntold > 0 ? numset_add(&set, 1, mb->m[mb->ntold - 1].uid) : 0;
	if (rc == 1)
		rc = imap_bad(im, "%s", why);
	else if (rc == -1)
		rc = imap_failed(im, "EXPUNGE");
	else
		rc = expunge(im, &set);
	numset_free(&set);
	return rc;
}
