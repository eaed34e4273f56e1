/*
 * mbox_subs: the store's `.subscriptions`, where Dovecot has them for mboxes: read as a
 * whole, written anew under `.subscriptions.lock`. Levels are in modified UTF-7.
 */
#include <errno.h>

#include "storage/boxname.h"
#include "storage/mbox.h"
#include "storage/subsfile.h"

#define FILE_NAME "." SUBSCRIPTIONS_FILE
#define SEP       '/'

/* ---- names -------------------------------------------------------------------------- */

static int
each_level(struct span name, enum boxname_error (*turn)(struct span, struct buf *),
           struct buf *out)
{
	enum boxname_error why = BOXNAME_OK;
	struct span level;
	bool first = true;

	while (why == BOXNAME_OK && span_cut(&name, SEP, &level)) {
		if (!first && buf_addc(out, SEP) == -1)
			return -1;
		first = false;
		why = turn(level, out);
	}
	if (why == BOXNAME_OK)
		return 0;
	errno = boxname_errno(why);
	return -1;
}

static enum boxname_error
level_to_disk(struct span level, struct buf *out)
{
	return boxname_level_to_store(level, 0, out);
}

/* ---- the file ----------------------------------------------------------------------- */

static struct subsfile
file(void)
{
	return (struct subsfile){FILE_NAME, SEP, false, mbox_lock_ms()};
}

int
mbox_subscriptions(struct store *s, int (*each)(void *, const char *), void *arg)
{
	const struct subsfile f = file();
	struct subscriptions list;
	struct buf path = {0};
	int rc = 0;

	if (s->inbox_only) /* the directory is not this user's */
		return 0;
	if (subsfile_read(s, &f, &list) == -1)
		return -1;
	for (size_t i = 0; i < list.n && rc == 0; i++) {
		buf_reset(&path);
		if (!list.list[i].opaque &&
		    each_level(span_of(list.list[i].name), boxname_level_to_tree,
		               &path) == 0 &&
		    buf_addc(&path, '\0') == 0)
			rc = each(arg, path.p);
	}
	buf_free(&path);
	subscriptions_free(&list);
	return rc;
}

int
mbox_subscribe(struct store *s, const char *path, bool on)
{
	const struct subsfile f = file();
	struct buf name = {0};
	int rc = -1, saved;

	if (s->inbox_only)
		errno = ENOTSUP;
	else if ((rc = each_level(span_of(path), level_to_disk, &name)) == 0)
		rc = subsfile_change(s, &f, buf_span(&name), on);
	saved = errno;
	buf_free(&name);
	errno = saved;
	return rc;
}
