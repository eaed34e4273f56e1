/*
 * mbox_tree: the files and directories of a store of mboxes. A regular file is a mailbox, a
 * directory is what its mailboxes have in common; names on disk are modified UTF-7, as
 * Dovecot has them. What begins with a dot, locks and what locks are made of are neither.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/boxname.h"
#include "storage/grow.h"
#include "storage/mbox.h"
#include "storage/tree.h"

#define DEPTH_MAX 16 /* directories one in the other */
#define TICK_NS   20000000LL
#define CHECK_SHARE 10 /* looking at all directories takes a tenth of the time at most */

struct seen {       /* a directory that was listed */
	char *path; /* below the top; "." for that */
	struct file_stamp stamp;
};

struct mbox_store {        /* store->drv */
	struct seen *seen; /* tree */
	size_t n, cap;
	bool all; /* every directory is in it */
	int64_t check_ns; /* then they are looked at again */
};

/* ---- life ----------------------------------------------------------------------------------- */

int
mbox_tree_open(struct store *s)
{
	return (s->drv = calloc(1, sizeof(struct mbox_store))) == NULL ? -1 : 0;
}

static void
forget(struct mbox_store *ms)
{
	while (ms->n > 0)
		free(ms->seen[--ms->n].path);
	ms->all = true;
}

void
mbox_tree_close(struct store *s)
{
	struct mbox_store *ms = s->drv;

	forget(ms);
	free(ms->seen);
	free(ms);
	s->drv = NULL;
}

/* ---- names ----------------------------------------------------------------------------------- */

static const char *
inbox_base(const struct store *s)
{
	const char *slash = strrchr(s->inbox, '/');

	return slash == NULL ? s->inbox : slash + 1;
}

/* Without one elsewhere the INBOX lies at the top, as Dovecot has it. */
static const char *
inbox_at_top(const struct store *s)
{
	struct stat st;

	return fstatat(s->root, "INBOX", &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode)
	           ? "INBOX"
	           : "inbox";
}

/* `A/B` of the tree to `A/B` on disk, with a NUL behind. */
int
mbox_tree_disk(struct span path, struct buf *out)
{
	enum boxname_error why = BOXNAME_OK;
	struct span level;

	while (why == BOXNAME_OK && span_cut(&path, '/', &level)) {
		if (out->n > 0 && buf_addc(out, '/') == -1)
			return -1;
		why = boxname_level_to_store(level, 0, out);
		if (why == BOXNAME_OK && path.p != NULL && path.n == 0 &&
		    path.p[-1] == '/')
			why = BOXNAME_EMPTY;
	}
	if (why == BOXNAME_OK)
		return buf_addc(out, '\0');
	errno = boxname_errno(why);
	return -1;
}

/* What dotlock.c makes before it makes the lock: temp.HOST.PID.N */
static bool
is_lock_part(const char *name)
{
	const char *dot = strrchr(name, '.');
	unsigned dots = 0;

	if (strncmp(name, "temp.", 5) != 0 || dot == NULL || dot[1] == '\0' ||
	    strspn(dot + 1, "0123456789") != strlen(dot + 1))
		return false;
	for (const char *p = name; *p != '\0'; p++)
		dots += *p == '.';
	return dots >= 3;
}

static bool
is_no_mailbox(const char *name)
{
	size_t n = strlen(name);

	return name[0] == '.' || (n > 5 && strcmp(name + n - 5, ".lock") == 0) ||
	       is_lock_part(name);
}

/* The name on disk of the last level, and its directory opened. Parents must be there. */
int
mbox_tree_parent(struct store *s, const char *path, int *dir, char **name)
{
	struct buf disk = {0};
	const char *above = ".";
	char *slash;

	*dir = -1;
	*name = NULL;
	if (mbox_tree_disk(span_of(path), &disk) == -1)
		goto fail;
	if ((slash = strrchr(disk.p, '/')) != NULL) {
		*slash = '\0';
		above = disk.p;
	}
	if (is_no_mailbox(slash == NULL ? disk.p : slash + 1)) {
		errno = EINVAL;
		goto fail;
	}
	if ((*name = strdup(slash == NULL ? disk.p : slash + 1)) == NULL ||
	    (*dir = io_open_beneath(s->root, above, O_RDONLY | O_DIRECTORY, 0)) == -1)
		goto fail;
	buf_free(&disk);
	return 0;
fail:
	buf_free(&disk);
	free(*name);
	*name = NULL;
	return -1;
}

static int
find_inbox(struct store *s, int *dir, char **name)
{
	int top = s->inbox_dir != -1 ? s->inbox_dir : s->root;

	*dir = io_open_beneath(top, ".", O_RDONLY | O_DIRECTORY, 0);
	*name = strdup(s->inbox != NULL ? inbox_base(s) : inbox_at_top(s));
	if (*dir != -1 && *name != NULL)
		return 0;
	if (*dir != -1)
		close(*dir);
	free(*name);
	return -1;
}

int
mbox_tree_find(struct store *s, const char *path, int *dir, char **name)
{
	struct stat st;
	int saved;

	if (strcmp(path, BOXNAME_INBOX) == 0)
		return find_inbox(s, dir, name);
	if (s->inbox_only) {
		errno = ENOENT;
		return -1;
	}
	if (mbox_tree_parent(s, path, dir, name) == -1)
		return -1;
	if (fstatat(*dir, *name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
		return 0;
	saved = errno;
	close(*dir);
	free(*name);
	errno = saved == 0 ? ENOENT : saved;
	return -1;
}

/* ---- listing ----------------------------------------------------------------------------------- */

struct listing {
	struct store *s;
	int (*each)(void *, const char *);
	void *arg;
	const char *inbox;     /* the file at the top that is shown as INBOX */
	struct buf disk, tree; /* paths to where we are, without NULs */
	unsigned depth;
};

static int
note_seen(struct listing *l, const struct stat *st)
{
	struct mbox_store *ms = l->s->drv;
	struct seen one = {.stamp = file_stamp(st)};

	one.path = l->disk.n == 0 ? strdup(".") : strndup(l->disk.p, l->disk.n);
	if (one.path == NULL || GROW(ms->seen, ms->n, ms->cap) == -1) {
		free(one.path);
		return -1;
	}
	ms->seen[ms->n++] = one;
	return 0;
}

static int list_directory(struct listing *l);

/* The paths with one more level, for the length of a call. */
static int
with_level(struct listing *l, const char *name, bool directory)
{
	size_t disk = l->disk.n, tree = l->tree.n;
	int rc = 0;

	if ((disk > 0 &&
	     (buf_addc(&l->disk, '/') == -1 || buf_addc(&l->tree, '/') == -1)) ||
	    buf_add(&l->disk, span_of(name)) == -1)
		rc = -1;
	else if (boxname_level_to_tree(span_of(name), &l->tree) != BOXNAME_OK)
		rc = 0; /* the tree cannot show it */
	else if (directory)
		rc = list_directory(l);
	else if ((rc = buf_addc(&l->tree, '\0')) == 0)
		rc = l->each(l->arg, l->tree.p);
	l->disk.n = disk;
	l->tree.n = tree;
	return rc;
}

static int
list_entry(struct listing *l, int dir, const char *name)
{
	struct stat st;

	if (is_no_mailbox(name) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	if (l->disk.n == 0 && S_ISREG(st.st_mode) &&
	    (strcmp(name, BOXNAME_INBOX) == 0 ||
	     (l->inbox != NULL && strcmp(name, l->inbox) == 0)))
		return 0; /* it is INBOX, or stands in its way */
	if (l->disk.n == 0 && S_ISDIR(st.st_mode) && strcmp(name, BOXNAME_INBOX) == 0)
		return 0; /* the INBOX is a file, which has no children */
	if (S_ISREG(st.st_mode))
		return with_level(l, name, false);
	return S_ISDIR(st.st_mode) ? with_level(l, name, true) : 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names first: no descriptor stays open while what is below is listed. */
static int
read_names(int dir, char ***names, size_t *n)
{
	int fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;
	size_t cap = 0;
	int rc = 0;

	if (d == NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	while (rc == 0 && (e = readdir(d)) != NULL)
		if (GROW(*names, *n, cap) == -1 ||
		    ((*names)[*n] = strdup(e->d_name)) == NULL)
			rc = -1;
		else
			++*n;
	closedir(d);
	if (*n > 0)
		qsort(*names, *n, sizeof **names, by_name);
	return rc;
}

static int
list_directory(struct listing *l)
{
	char path[4096], **names = NULL;
	struct stat st;
	size_t n = 0;
	int dir, rc = 0;

	if (l->depth == DEPTH_MAX ||
	    span_cstr(l->disk.n == 0 ? SPAN(".") : buf_span(&l->disk), path,
	              sizeof path) == -1)
		return 0;
	if ((dir = io_open_beneath(l->s->root, path, O_RDONLY | O_DIRECTORY, 0)) == -1)
		return l->depth == 0 ? -1 : 0; /* one that we may not look into */
	l->depth++;
	if (fstat(dir, &st) == -1 || note_seen(l, &st) == -1 ||
	    read_names(dir, &names, &n) == -1)
		rc = -1;
	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			rc = list_entry(l, dir, names[i]);
		free(names[i]);
	}
	free(names);
	l->depth--;
	close(dir);
	return rc;
}

int
mbox_list(struct store *s, int (*each)(void *, const char *), void *arg)
{
	struct listing l = {.s = s, .each = each, .arg = arg};
	struct mbox_store *ms = s->drv;
	int rc = each(arg, BOXNAME_INBOX);

	forget(ms);
	if (s->inbox_only)
		return rc;
	if (s->inbox == NULL)
		l.inbox = inbox_at_top(s);
	if (rc == 0)
		rc = list_directory(&l);
	ms->all = rc == 0;
	buf_free(&l.disk);
	buf_free(&l.tree);
	return rc;
}

static bool
is_fresh(const struct file_stamp *f)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - f->ctime_ns < TICK_NS;
}

static int64_t
now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool
has_changed(struct store *s)
{
	struct mbox_store *ms = s->drv;
	bool yes = !ms->all;

	cred_enter(s);
	for (size_t i = 0; i < ms->n && !yes; i++) {
		struct file_stamp now;
		struct stat st;

		if (fstatat(s->root, ms->seen[i].path, &st, AT_SYMLINK_NOFOLLOW) == -1)
			yes = true;
		else {
			now = file_stamp(&st);
			yes =
			    !file_stamp_eq(&now, &ms->seen[i].stamp) || is_fresh(&now);
		}
	}
	cred_leave(s);
	return yes;
}

/* A look-up of each of many mailboxes would look at each of many directories. */
bool
mbox_list_changed(struct store *s)
{
	struct mbox_store *ms = s->drv;
	int64_t began;
	bool yes;

	if (ms->all && now_ns(CLOCK_MONOTONIC) < ms->check_ns)
		return false;
	began = now_ns(CLOCK_THREAD_CPUTIME_ID);
	yes = has_changed(s);
	ms->check_ns = now_ns(CLOCK_MONOTONIC) +
	               (CHECK_SHARE - 1) * (now_ns(CLOCK_THREAD_CPUTIME_ID) - began);
	return yes;
}
