/*
 * mbox_folders: mailboxes of a store of mboxes made, removed and renamed, with the directories
 * above them; and what each is for, in a file beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/boxname.h"
#include "storage/mbox.h"
#include "storage/tree.h"

#define USE_END ".mailtree-use" /* behind a dot and the name of the mailbox's file */
#define USE_MAX 4096

/* ---- making --------------------------------------------------------------------------------------- */

static int
sync_dir(int dir)
{
	return fsync(dir);
}

/* Its name is durable on return: whatever is in it depends on that. */
static int
make_dir(struct store *s, char *path)
{
	struct stat st;
	char *slash;
	int rc;

	if ((mkdirat(s->root, path, 0700) == -1 && errno != EEXIST) ||
	    fstatat(s->root, path, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTSUP; /* a file has no children */
		return -1;
	}
	if ((slash = strrchr(path, '/')) == NULL)
		return sync_dir(s->root);
	*slash = '\0';
	rc = io_fsync_dir(s->root, path);
	*slash = '/';
	return rc;
}

/* The directories above a mailbox, made where they are missing. */
static int
make_parents(struct store *s, const char *path)
{
	struct buf disk = {0};
	int rc = mbox_tree_disk(span_of(path), &disk), saved;

	for (char *p = disk.p; rc == 0 && (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		rc = make_dir(s, disk.p);
		*p = '/';
	}
	saved = errno;
	buf_free(&disk);
	errno = saved;
	return rc;
}

static char *
use_name(const char *name)
{
	char *text;

	return asprintf(&text, ".%s" USE_END, name) == -1 ? NULL : text;
}

static int
write_use(int dir, const char *name, unsigned use)
{
	char *file = use_name(name), *tmp = NULL;
	struct buf text = {0};
	int rc = -1;

	if (use == 0) {
		if (file != NULL)
			(void)unlinkat(dir, file, 0); /* of one that had this name */
		free(file);
		return 0;
	}
	if (file != NULL && asprintf(&tmp, "%s.tmp", file) != -1 &&
	    use_print(use, '\n', &text) == 0 && buf_addc(&text, '\n') == 0)
		rc = io_replace(dir, file, tmp, buf_span(&text), 0600);
	buf_free(&text);
	free(tmp);
	free(file);
	return rc;
}

/* Below the INBOX there is nothing, wherever its file is and whatever that is called. */
static int
refuse_without_folders(const struct store *s, const char *path)
{
	if (!s->inbox_only && !span_starts(span_of(path), SPAN(BOXNAME_INBOX "/")))
		return 0;
	errno = ENOTSUP;
	return -1;
}

int
mbox_create(struct store *s, const char *path, unsigned use)
{
	int dir, fd, rc = -1, saved;
	char *name;

	if (refuse_without_folders(s, path) == -1 || make_parents(s, path) == -1 ||
	    mbox_tree_parent(s, path, &dir, &name) == -1)
		return -1;
	if (write_use(dir, name, use) == 0 &&
	    (fd = openat(dir, name,
	                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) !=
	        -1) {
		close(fd);
		rc = sync_dir(dir);
	}
	saved = errno == EISDIR ? EEXIST : errno;
	close(dir);
	free(name);
	errno = saved;
	return rc;
}

/* ---- removing ------------------------------------------------------------------------------------- */

/* Directories that have nothing in them any more. */
static void
drop_empty_parents(struct store *s, const char *path)
{
	struct buf disk = {0};
	int saved = errno;
	char *slash;

	if (mbox_tree_disk(span_of(path), &disk) == 0)
		while ((slash = strrchr(disk.p, '/')) != NULL) {
			*slash = '\0';
			if (unlinkat(s->root, disk.p, AT_REMOVEDIR) == -1)
				break;
		}
	buf_free(&disk);
	errno = saved;
}

static int
unlink_mailbox(struct store *s, const char *path, int dir, const char *name)
{
	char *use = use_name(name);
	int rc = unlinkat(dir, name, 0);

	if (rc == 0 && use != NULL)
		(void)unlinkat(dir, use, 0);
	free(use);
	if (rc == 0)
		rc = sync_dir(dir);
	if (rc == 0)
		drop_empty_parents(s, path);
	return rc;
}

static int
stop_at_message(void *arg, const struct mboxscan_msg *msg)
{
	(void)arg;
	if (msg->pseudo)
		return 0;
	errno = ENOTEMPTY;
	return -1;
}

static int
must_be_empty(int fd)
{
	struct mboxscan *s;
	struct stat st;
	int rc, saved;

	if (fstat(fd, &st) == -1)
		return -1;
	if (st.st_size == 0)
		return 0;
	if ((s = malloc(sizeof *s)) == NULL)
		return -1;
	mboxscan_begin(s, 0, (uint64_t)st.st_size, true);
	rc = mbox_scan_file(fd, (uint64_t)st.st_size, s, stop_at_message, NULL);
	saved =
	    errno == ENOTSUP ? ENOTEMPTY : errno; /* whatever it is, it is something */
	free(s);
	errno = saved;
	return rc;
}

/* Under the locks of the mailbox, so that nobody delivers into a file without a name. */
static int
remove_locked(struct store *s, const char *path, int dir, char *name, bool empty_only)
{
	struct box as_box = {.store = s, .path = (char *)path};
	struct mbox as = {.box = &as_box, .dir = dir, .name = name};
	struct mbox_lock lock;
	int fd, rc = -1, saved;

	if ((fd = mbox_open_file(&as, O_RDWR)) == -1)
		return -1;
	if (mbox_lock_write(&as, fd, MBOX_LOOK_MS, &lock) == 0) {
		if (!empty_only || must_be_empty(fd) == 0)
			rc = unlink_mailbox(s, path, dir, name);
		saved = errno;
		mbox_unlock(&lock);
		errno = saved == ETIMEDOUT && empty_only ? EBUSY : saved; /* rmdir(2) */
	}
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

static int
remove_mailbox(struct store *s, const char *path, bool empty_only)
{
	int dir, rc, saved;
	char *name;

	if (mbox_tree_find(s, path, &dir, &name) == -1)
		return -1;
	rc = remove_locked(s, path, dir, name, empty_only);
	saved = errno;
	close(dir);
	free(name);
	errno = saved;
	return rc;
}

int
mbox_remove(struct store *s, const char *path)
{
	return remove_mailbox(s, path, true);
}

int
mbox_erase(struct store *s, const char *path, struct buf *rest)
{
	(void)rest; /* one unlink: nothing is left to be done */
	return remove_mailbox(s, path, false);
}

void
mbox_discard(struct store *s, const char *rest)
{
	(void)s, (void)rest;
}

/* ---- renaming ------------------------------------------------------------------------------------- */

/* The box of a file that has another name now; its io is held, and so is the tree. */
static void
follow(struct store *s, const char *path, int dir, const char *name)
{
	struct box *b = tree_find(s, span_of(path));
	struct mbox *m = b == NULL || !b->open ? NULL : mbox_of(b);
	int fd;
	char *copy;

	if (m == NULL)
		return;
	fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	copy = strdup(name);
	if (fd == -1 || copy == NULL) { /* it is opened anew later */
		free(copy);
		if (fd != -1)
			close(fd);
		m->known = false;
		return;
	}
	pthread_rwlock_wrlock(&b->lock);
	close(m->dir);
	free(m->name);
	m->dir = fd;
	m->name = copy;
	pthread_rwlock_unlock(&b->lock);
}

static int
rename_entry(struct store *s, const char *path, int from, const char *name, int to,
             const char *newname)
{
	char *use = use_name(name), *newuse = use_name(newname);
	int rc = renameat2(from, name, to, newname, RENAME_NOREPLACE);

	if (rc == 0 && use != NULL && newuse != NULL)
		(void)renameat(from, use, to, newuse);
	if (rc == 0) {
		follow(s, path, to, newname);
		if (sync_dir(to) == -1 || sync_dir(from) == -1)
			rc = -1;
	}
	free(use);
	free(newuse);
	return rc;
}

int
mbox_rename(struct store *s, const char *path, const char *newpath)
{
	int from = -1, to = -1, rc = -1, saved;
	char *name = NULL, *newname = NULL;

	if (refuse_without_folders(s, newpath) == -1)
		return -1;
	if (mbox_tree_parent(s, path, &from, &name) == 0 &&
	    make_parents(s, newpath) == 0 &&
	    mbox_tree_parent(s, newpath, &to, &newname) == 0)
		rc = rename_entry(s, path, from, name, to, newname);
	saved = errno;
	if (from != -1)
		close(from);
	if (to != -1)
		close(to);
	free(name);
	free(newname);
	errno = saved;
	if (rc == 0)
		drop_empty_parents(s, path);
	return rc;
}

/* ---- what it is for ------------------------------------------------------------------------------- */

static unsigned
parse_use(struct span text)
{
	unsigned use = 0;
	struct span line;

	while (span_cut(&text, '\n', &line))
		(void)use_find(span_trim(line), &use);
	return use;
}

unsigned
mbox_use(struct store *s, const char *path)
{
	struct buf text = {.max = USE_MAX};
	char *name, *file = NULL;
	unsigned use = 0;
	int dir, fd = -1;

	if (s->inbox_only || strcmp(path, BOXNAME_INBOX) == 0 ||
	    mbox_tree_parent(s, path, &dir, &name) == -1)
		return 0;
	if ((file = use_name(name)) != NULL)
		fd = io_open_regular(dir, file, O_RDONLY, s->cred.uid, false);
	if (fd != -1) {
		if (io_slurp(fd, &text) == 0)
			use = parse_use(buf_span(&text));
		close(fd);
	}
	buf_free(&text);
	free(file);
	free(name);
	close(dir);
	return use;
}
