/*
 * maildir_subs: the store's `subscriptions`, which is Dovecot's too: read as a whole,
 * written anew under `subscriptions.lock`. Names there are the store's: levels in modified
 * UTF-7 without the dot that a folder's name begins with.
 */
#include <errno.h>

#include "storage/boxname.h"
#include "storage/maildir.h"
#include "storage/subsfile.h"

#define SEP	 '.'

/* ---- names -------------------------------------------------------------------------- */

/* `A/B` of the file's to `A/B` of the tree's. -1: no mailbox can have that name. */
static int
to_tree(const struct subscription *one, struct buf *path)
{
	struct buf folder = {0};
	int rc;

	if (one->opaque || strchr(one->name, SEP) != NULL) /* a level of version 2 may hold it */
		return -1;
	if (strcmp(one->name, BOXNAME_INBOX) == 0)
		return buf_addf(path, BOXNAME_INBOX "%c", '\0');
	rc = buf_addf(&folder, "%c%s", SEP, one->name);
	for (size_t i = 0; i < folder.n; i++)
		if (folder.p[i] == '/')
			folder.p[i] = SEP;
	if (rc == 0 && (boxname_to_tree(buf_span(&folder), path) != BOXNAME_OK ||
			buf_addc(path, '\0') == -1))
		rc = -1;
	buf_free(&folder);
	return rc;
}

/* And back. */
static int
from_tree(const char *path, struct buf *name)
{
	enum boxname_error why = boxname_to_store(span_of(path), name);

	if (why != BOXNAME_OK) {
		errno = boxname_errno(why);
		return -1;
	}
	if (name->n == 0)
		return buf_add(name, SPAN(BOXNAME_INBOX));
	buf_drop(name, 1);
	for (size_t i = 0; i < name->n; i++)
		if (name->p[i] == SEP)
			name->p[i] = '/';
	return 0;
}

/* ---- the file ----------------------------------------------------------------------- */

static const struct subsfile file = {SUBSCRIPTIONS_FILE, SEP, true, MD_LOCK_MS};

int
md_subscriptions(struct store *s, int (*each)(void *, const char *), void *arg)
{
	struct subscriptions list;
	struct buf path = {0};
	int rc;

	if (subsfile_read(s, &file, &list) == -1)
		return -1;
	rc = 0;
	for (size_t i = 0; i < list.n && rc == 0; i++) {
		buf_reset(&path);
		if (to_tree(&list.list[i], &path) == 0)
			rc = each(arg, path.p);
	}
	buf_free(&path);
	subscriptions_free(&list);
	return rc;
}

int
md_subscribe(struct store *s, const char *path, bool on)
{
	struct buf name = {0};
	int rc = from_tree(path, &name), saved;

	if (rc == 0)
		rc = subsfile_change(s, &file, buf_span(&name), on);
	saved = errno;
	buf_free(&name);
	errno = saved;
	return rc;
}
