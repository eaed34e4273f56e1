/*
 * unfinished: other programs read the same files, and are not to find one between before and
 * after until somebody happens to ask for that mailbox. Looking costs a name per mailbox.
 */
#include "storage/unfinished.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "storage/base/log.h"
#include "storage/base/num.h"
#include "storage/box_private.h"
#include "storage/tree.h"

/* An index folder that is no mailbox's any more has nothing to complete. */
static void
complete(struct store *s, uint32_t number)
{
	struct box *b = box_by_number(s->env, number);

	if (b == NULL)
		return;
	pthread_mutex_lock(&b->io);
	if (b->store == s && !b->dead)
		(void)box_open_locked(b); /* who fails says so */
	pthread_mutex_unlock(&b->io);
	box_unref(b);
}

static bool
has_journal(const struct store *s, uint32_t number)
{
	char path[64];

	snprintf(path, sizeof path, "%" PRIu32 "/%s", number, s->driver->journal);
	return faccessat(s->index_dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
list_tree(struct store *s)
{
	int rc;

	pthread_mutex_lock(&s->tree);
	rc = tree_list(s);
	pthread_mutex_unlock(&s->tree);
	return rc;
}

void
unfinished_complete(struct store *s)
{
	struct dirent *e;
	bool listed = false;
	uint32_t number;
	DIR *d;
	int fd;

	if (s->driver->journal == NULL || s->readonly)
		return;
	fd = openat(s->index_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (d = fdopendir(fd)) == NULL) {
		log_warn("%s: cannot look for unfinished changes: %m", s->name);
		if (fd != -1)
			close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (strlen(e->d_name) > 10 ||
		    num_u32(span_of(e->d_name), &number) == -1 ||
		    !has_journal(s, number))
			continue;
		if (!listed && list_tree(s) == -1)
			break;
		listed = true;
		complete(s, number);
	}
	closedir(d);
}
