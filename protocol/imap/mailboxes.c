/* The commands that change which mailboxes there are (RFC 9051 sections 6.3.4 to 6.3.8). */
#include <errno.h>

#include "protocol/imap/imap.h"
#include "protocol/imap/names.h"
#include "protocol/use.h"

static const struct span inbox = {"INBOX", 5};

static bool
is_inbox(struct span path)
{
	return span_eq(path, inbox);
}

/* The one argument of the command, a name. -1: answered already, with *rc. */
static int
take_name(struct imap *im, const struct arg *args, struct span *path, int *rc)
{
	const char *why;

	if (!arg_is_astring(args) || args->next != NULL)
		*rc = imap_bad(im, "One name of a mailbox is needed.");
	else if (!imap_path(im, args, path, &why))
		*rc = imap_no(im, "CANNOT", "%s", why);
	else
		return 0;
	return -1;
}

/* ---- CREATE -------------------------------------------------------------------------------- */

/* What no mailbox here is: all messages, or all that are flagged (RFC 6154 section 3). */
#define USE_VIRTUAL (VIEW_ALL | VIEW_FLAGGED)

/* `(USE (\Sent))`. False: something else. *known: every use is one that can be. */
static bool
take_uses(const struct arg *list, unsigned *use, bool *known)
{
	const struct arg *a = list->child;

	*use = 0;
	*known = true;
	if (list->type != ARG_LIST || list->next != NULL || !arg_is_atom(a, "USE") ||
	    a->next == NULL || a->next->type != ARG_LIST || a->next->next != NULL)
		return false;
	for (a = a->next->child; a != NULL; a = a->next) {
		unsigned one = use_by_name(a->text);

		if (a->type != ARG_ATOM)
			return false;
		if (one == 0 || one & USE_VIRTUAL)
			*known = false;
		*use |= one;
	}
	return true;
}

/* A separator at the end says that more will lie below, as it may anywhere. */
static struct arg
without_separator(const struct imap *im, const struct arg *name)
{
	struct arg a = *name;

	if (a.text.n > 1 && a.text.p[a.text.n - 1] == im->conf->names.separator)
		a.text.n--;
	return a;
}

int
cmd_create(struct imap *im, const struct arg *args)
{
	unsigned use = 0;
	bool known = true;
	struct span path;
	struct arg name;
	const char *why;

	if (!arg_is_astring(args) ||
	    (args->next != NULL && !take_uses(args->next, &use, &known)))
		return imap_bad(im, "CREATE takes a name, and perhaps (USE (...)).");
	if (!known)
		return imap_no(im, "USEATTR", "No mailbox can be made for that use.");
	name = without_separator(im, args);
	if (!imap_path(im, &name, &path, &why))
		return imap_no(im, "CANNOT", "%s", why);
	if (is_inbox(path))
		errno = EEXIST;
	else if (view_create(&im->home, path, use) == 0)
		return imap_ok(im, NULL, "CREATE completed.");
	return imap_failed(im, "CREATE");
}

/* ---- DELETE -------------------------------------------------------------------------------- */

struct search {
	struct span path;
	bool exists;
	bool children; /* something below exists */
};

static bool
is_below(struct span path, struct span above)
{
	return path.n > above.n && path.p[above.n] == '/' && span_starts(path, above);
}

static int
look_at(void *arg, const struct view_mailbox *box)
{
	struct search *s = arg;

	s->exists |= box->exists && span_eq(box->path, s->path);
	s->children |= box->exists && is_below(box->path, s->path);
	return 0;
}

static int
find(struct imap *im, struct search *s)
{
	return view_mailboxes(&im->home, look_at, s);
}

/* Whoever deletes what he has selected need not be thrown out. */
static void
leave_deleted(struct imap *im)
{
	if (im->box == NULL || mailbox_take(im->box) == 0)
		return;
	mailbox_close(im->box);
	im->box = NULL;
	numset_free(&im->saved);
}

int
cmd_delete(struct imap *im, const struct arg *args)
{
	struct search s = {0};
	int rc;

	if (take_name(im, args, &s.path, &rc) == -1)
		return rc;
	if (is_inbox(s.path))
		return imap_no(im, "CANNOT", "INBOX cannot be deleted.");
	if (view_delete(&im->home, s.path) == 0) {
		leave_deleted(im);
		return imap_ok(im, NULL, "DELETE completed.");
	}
	if (errno != ENOENT)
		return imap_failed(im, "DELETE");
	if (find(im, &s) == 0 && s.children)
		return imap_no(im, "HASCHILDREN",
		               "Nothing but what lies below has that name.");
	return imap_no(im, "NONEXISTENT", "There is no such mailbox.");
}

/* ---- RENAME -------------------------------------------------------------------------------- */

/* INBOX stays: its messages go to a new mailbox. */
static int
rename_inbox(struct imap *im, struct span to)
{
	struct numset all = {0}, from = {0}, uids = {0};
	uint32_t uidvalidity;
	int rc, saved;

	if (view_create(&im->home, to, 0) == -1)
		return -1;
	rc = numset_add(&all, 1, UINT32_MAX);
	if (rc == 0)
		rc = view_copy(&im->home, &all, to, true, &uidvalidity, &from, &uids);
	saved = errno;
	if (rc == -1 && from.n == 0) /* nothing went there */
		(void)view_delete(&im->home, to);
	numset_free(&all);
	numset_free(&from);
	numset_free(&uids);
	errno = saved;
	return rc;
}

int
cmd_rename(struct imap *im, const struct arg *args)
{
	struct span from, to;
	const char *why;
	int rc;

	if (!arg_is_astring(args) || !arg_is_astring(args->next) ||
	    args->next->next != NULL)
		return imap_bad(im, "RENAME takes two names of mailboxes.");
	if (!imap_path(im, args, &from, &why) || !imap_path(im, args->next, &to, &why))
		return imap_no(im, "CANNOT", "%s", why);
	if (!is_inbox(from) && is_below(to, from))
		return imap_no(im, "CANNOT",
		               "A mailbox cannot come to lie below itself.");
	if (span_eq(from, to) || is_inbox(to)) {
		errno = EEXIST;
		rc = -1;
	} else if (is_inbox(from))
		rc = rename_inbox(im, to);
	else
		rc = view_rename(&im->home, from, to);
	if (rc == -1)
		return imap_failed(im, "RENAME");
	return imap_ok(im, NULL, "RENAME completed.");
}

/* ---- subscriptions --------------------------------------------------------------------------- */

/* Only what is there can be subscribed (RFC 9051 section 6.3.7 leaves it open). */
int
cmd_subscribe(struct imap *im, const struct arg *args)
{
	struct search s = {0};
	int rc;

	if (take_name(im, args, &s.path, &rc) == -1)
		return rc;
	if (find(im, &s) == -1)
		return imap_failed(im, "SUBSCRIBE");
	if (!s.exists)
		return imap_no(im, "NONEXISTENT", "There is no such mailbox.");
	if (view_subscribe(&im->home, s.path, true) == -1)
		return imap_failed(im, "SUBSCRIBE");
	return imap_ok(im, NULL, "SUBSCRIBE completed.");
}

int
cmd_unsubscribe(struct imap *im, const struct arg *args)
{
	struct span path;
	int rc;

	if (take_name(im, args, &path, &rc) == -1)
		return rc;
	if (view_subscribe(&im->home, path, false) == -1)
		return imap_failed(im, "UNSUBSCRIBE");
	return imap_ok(im, NULL, "UNSUBSCRIBE completed.");
}

/* ---- NAMESPACE --------------------------------------------------------------------------------- */

/* RFC 2342: one that is the user's own, none of others. */
int
cmd_namespace(struct imap *im, const struct arg *args)
{
	struct buf b = {0};
	int rc;

	if (args != NULL)
		return imap_bad(im, "NAMESPACE takes no arguments.");
	rc = buf_addf(&b, "* NAMESPACE ((");
	if (rc == 0)
		rc = name_print(name_is_utf8(im), span_of(im->conf->names.prefix), &b);
	if (rc == 0)
		rc = buf_addf(&b, " \"%c\")) NIL NIL\r\n", im->conf->names.separator);
	if (rc == 0)
		rc = out_copy(im->out, buf_span(&b));
	buf_free(&b);
	return rc == -1 ? -1 : imap_ok(im, NULL, "NAMESPACE completed.");
}
