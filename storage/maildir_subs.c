/*
 * maildir_subs: the store's `subscriptions`, which is Dovecot's too: read as a whole,
 * written anew under `subscriptions.lock`. Names there are the store's: levels in modified
 * UTF-7 without the dot that a folder's name begins with.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/boxname.h"
#include "storage/maildir.h"
#include "storage/subscriptions.h"

#define TMP_NAME SUBSCRIPTIONS_FILE ".mailtree-tmp" /* the lock is held: it is ours */
#define FILE_MAX (4u << 20)
#define STALE_S	 30 /* as Dovecot has it for this file */
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

/* Into an empty list; no file is an empty one. *mode: what the file has or is to get. */
static int
read_list(struct store *s, struct subscriptions *list, mode_t *mode)
{
	struct buf text = {.max = FILE_MAX};
	struct stat st;
	int fd, rc, saved;

	*list = (struct subscriptions){.version = 1, .sep = SEP};
	*mode = fstat(s->root, &st) == 0 ? (st.st_mode & 0666) | 0600 : 0600;
	fd = io_open_regular(s->root, SUBSCRIPTIONS_FILE, O_RDONLY, (uid_t)-1, false);
	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	if (fstat(fd, &st) == 0)
		*mode = (st.st_mode & 0666) | 0600;
	rc = io_slurp(fd, &text);
	if (rc == 0)
		rc = subscriptions_parse(buf_span(&text), SEP, list);
	saved = errno;
	close(fd);
	buf_free(&text);
	errno = saved;
	return rc;
}

int
md_subscriptions(struct store *s, int (*each)(void *, const char *), void *arg)
{
	struct subscriptions list;
	struct buf path = {0};
	mode_t mode;
	int rc;

	if (read_list(s, &list, &mode) == -1)
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

/* ---- changing ------------------------------------------------------------------------ */

/* Lock held. */
static int
change(struct store *s, struct span name, bool on)
{
	struct subscriptions list;
	struct buf text = {.max = FILE_MAX};
	mode_t mode;
	int rc;

	if (read_list(s, &list, &mode) == -1)
		return -1;
	rc = on ? subscriptions_add(&list, name) : subscriptions_remove(&list, name);
	if (rc == 1) {
		rc = subscriptions_print(&list, &text);
		if (rc == 0)
			rc = io_replace(s->root, SUBSCRIPTIONS_FILE, TMP_NAME, buf_span(&text),
					mode);
	}
	buf_free(&text);
	subscriptions_free(&list);
	return rc;
}

static int
locked_change(struct store *s, struct span name, bool on)
{
	struct dotlock lock;
	struct buf holder = {0};
	int rc, saved;

	if (dotlock_take_stale(s->root, SUBSCRIPTIONS_FILE, MD_LOCK_MS, STALE_S, &lock,
			       &holder) == -1) {
		saved = errno;
		if (saved == EAGAIN)
			log_error("%s: " SUBSCRIPTIONS_FILE ".lock is held by %.*s", s->name,
				  (int)holder.n, holder.n > 0 ? holder.p : "");
		buf_free(&holder);
		errno = saved;
		return -1;
	}
	rc = change(s, name, on);
	saved = errno;
	(void)dotlock_drop(&lock);
	buf_free(&holder);
	errno = saved;
	return rc;
}

int
md_subscribe(struct store *s, const char *path, bool on)
{
	struct buf name = {0};
	int rc = from_tree(path, &name), saved;

	if (rc == 0 && (rc = locked_change(s, buf_span(&name), on)) == -1 && errno != EINVAL)
		log_error("%s: cannot change its subscriptions: %m", s->name);
	saved = errno;
	buf_free(&name);
	errno = saved;
	return rc;
}
