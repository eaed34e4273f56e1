/* SELECT, EXAMINE and their ends (RFC 9051 section 6.3.2), with QRESYNC (RFC 7162). */
#include <errno.h>
#include <inttypes.h>

#include "protocol/imap/imap.h"
#include "protocol/imap/news.h"
#include "protocol/imap/resync.h"
#include "storage/base/num.h"

/* ---- leaving -------------------------------------------------------------------------------- */

static void
leave(struct imap *im)
{
	mailbox_close(im->box);
	im->box = NULL;
	numset_free(&im->saved);
}

int
cmd_unselect(struct imap *im, const struct arg *args)
{
	(void)args;
	leave(im);
	return imap_ok(im, NULL, "UNSELECT completed.");
}

/* Expunges without telling: the client asked for it. */
int
cmd_close(struct imap *im, const struct arg *args)
{
	struct numset all = {0};
	struct mailbox *mb = im->box;
	int rc = 0;

	(void)args;
	if (!mb->readonly && mb->ntold > 0 &&
	    (rc = numset_add(&all, 1, mb->m[mb->ntold - 1].uid)) == 0)
		rc = view_expunge_deleted(&mb->view, &all, NULL);
	numset_free(&all);
	if (rc == -1)
		return imap_failed(im, "CLOSE");
	leave(im);
	return imap_ok(im, NULL, "CLOSE completed.");
}

/* ---- parameters --------------------------------------------------------------------------------- */

/* `mailbox (CONDSTORE QRESYNC (...))`; false: *why. */
static bool
parse_parameters(const struct arg *a, struct resync *r, bool *condstore,
                 const char **why)
{
	*why = "SELECT takes a mailbox and perhaps a list of parameters.";
	if (a == NULL)
		return true;
	if (a->type != ARG_LIST || a->next != NULL)
		return false;
	for (a = a->child; a != NULL; a = a->next) {
		if (arg_is_atom(a, "CONDSTORE"))
			*condstore = true;
		else if (arg_is_atom(a, "QRESYNC")) {
			if (!resync_parse(a = a->next, r, why))
				return false;
		} else {
			*why = "No such parameter of SELECT.";
			return false;
		}
	}
	return true;
}

/* ---- entering -------------------------------------------------------------------------------------- */

static int
tell_unseen(struct imap *im)
{
	const struct mailbox *mb = im->box;

	for (size_t i = 0; i < mb->n; i++)
		if (!(mb->m[i].flags & MT_SEEN))
			return imap_printf(im, "* OK [UNSEEN %zu] First unseen.\r\n",
			                   i + 1);
	return 0;
}

static int
tell_rev1(struct imap *im)
{
	return imap_printf(im, "* %zu RECENT\r\n", im->box->nrecent) == -1
	           ? -1
	           : tell_unseen(im);
}

/* RFC 9051 section 6.3.2: the name as it is spelled here. */
static int
tell_name(struct imap *im)
{
	struct buf b = {0};
	int rc = -1;

	if (buf_addf(&b, "* LIST () \"%c\" ", im->conf->names.separator) == 0 &&
	    imap_print_name(im, span_of(im->box->path), &b) == 0 &&
	    buf_addf(&b, "\r\n") == 0)
		rc = out_copy(im->out, buf_span(&b));
	buf_free(&b);
	return rc;
}

static int
tell_mailbox(struct imap *im)
{
	const struct mailbox *mb = im->box;
	const struct mt_header *h = &mb->head;

	if (news_flags(im) == -1 || imap_printf(im, "* %zu EXISTS\r\n", mb->n) == -1 ||
	    (im->enabled & EN_REV2 ? tell_name(im) : tell_rev1(im)) == -1)
		return -1;
	return imap_printf(im,
	                   "* OK [UIDVALIDITY %" PRIu32 "] UIDs valid\r\n"
	                   "* OK [UIDNEXT %" PRIu32 "] Predicted next UID\r\n"
	                   "* OK [HIGHESTMODSEQ %" PRIu64 "] Highest\r\n",
	                   h->uidvalidity, h->uidnext, mb->modseq);
}

static int
open_failed(struct imap *im)
{
	/* a parent without messages of its own is a name that cannot be selected */
	if (errno == EACCES)
		errno = ENOENT;
	return imap_failed(im, "SELECT");
}

/* The mailbox is open: say so. */
static int
welcome(struct imap *im, const struct resync *r, bool condstore)
{
	if (condstore)
		im->enabled |= EN_CONDSTORE;
	if (tell_mailbox(im) == -1)
		return -1;
	if (r->given && resync_tell(im, r) == -1) {
		int saved = errno;

		if (im->out->broken)
			return -1;
		leave(im);
		errno = saved;
		return imap_failed(im, "SELECT");
	}
	return imap_ok(im, im->box->readonly ? "READ-ONLY" : "READ-WRITE",
	               "%s completed.", im->box->readonly ? "EXAMINE" : "SELECT");
}

static int
enter(struct imap *im, const struct arg *args, bool readonly)
{
	struct resync r = {0};
	bool condstore = false, selected = im->box != NULL;
	struct span path;
	const char *why;
	int rc;

	if (!arg_is_astring(args))
		return imap_bad(im, "SELECT takes the name of a mailbox.");
	if (!parse_parameters(args->next, &r, &condstore, &why)) {
		resync_free(&r);
		return imap_bad(im, "%s", why);
	}
	if (r.given && !(im->enabled & EN_QRESYNC)) {
		resync_free(&r);
		return imap_bad(im, "QRESYNC is not enabled.");
	}
	leave(im);
	if (selected &&
	    imap_printf(im, "* OK [CLOSED] Previous mailbox closed.\r\n") == -1)
		rc = -1;
	else if (!imap_path(im, args, &path, &why))
		rc = imap_no(im, "NONEXISTENT", "%s", why);
	else if (mailbox_open(&im->home.conf, path, readonly, &im->box) == -1)
		rc = open_failed(im);
	else
		rc = welcome(im, &r, condstore);
	resync_free(&r);
	return rc;
}

int
cmd_select(struct imap *im, const struct arg *args)
{
	return enter(im, args, false);
}

int
cmd_examine(struct imap *im, const struct arg *args)
{
	return enter(im, args, true);
}
