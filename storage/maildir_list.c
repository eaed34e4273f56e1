/*
 * maildir_list: mailboxes as directories `.A.B` of the top (Maildir++): listing,
 * making, removing, renaming.
 *
 *	state on disk			recovery, when the store is opened
 *	.A without cur/ and new/	no mailbox: a creation that was cut off; the next
 *					one of that name goes on with it
 *	..mailtree-removed.ID		a removal that was cut off: with messages in it, it
 *					gets its name back, else it is removed
 *	..mailtree-erased.ID		a mailbox that was deleted with its messages: removed
 *	..mailtree-rename		names old and new of a renaming of several: what
 *					still has its old name is renamed
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/boxname.h"
#include "storage/grow.h"
#include "storage/maildir.h"

#define DEPTH_MAX  8 /* of what is removed with a mailbox */
#define RENAME_MAX (1u << 20)

/* ---- the top --------------------------------------------------------------------- */

static DIR *
open_dir(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dp = fd == -1 ? NULL : fdopendir(fd);

	if (dp == NULL && fd != -1)
		close(fd);
	return dp;
}

static bool
is_dir(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool
has_dir(int top, const char *name, const char *below)
{
	char path[NAME_MAX + 8];

	return snprintf(path, sizeof path, "%s/%s", name, below) < (int)sizeof path &&
	       is_dir(top, path);
}

/* A real directory with cur/ or new/ in it. */
static bool
is_mailbox(int top, const char *name)
{
	return is_dir(top, name) && (has_dir(top, name, "cur") || has_dir(top, name, "new"));
}

static bool
is_folder_entry(const struct dirent *d)
{
	return d->d_name[0] == '.' && d->d_name[1] != '\0' && d->d_name[1] != '.' &&
	       (d->d_type == DT_DIR || d->d_type == DT_UNKNOWN);
}

struct folders {
	char **v; /* owned, each of them too */
	size_t n, cap;
};

static int
read_names(DIR *dp, struct folders *names)
{
	struct dirent *d;

	while ((errno = 0, d = readdir(dp)) != NULL)
		if (is_folder_entry(d)) {
			if (GROW(names->v, names->n, names->cap) == -1 ||
			    (names->v[names->n] = strdup(d->d_name)) == NULL)
				return -1;
			names->n++;
		}
	return errno == 0 ? 0 : -1;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every `.NAME` of the top, in order: the tree is quick with that. */
static int
each_folder(struct store *s, int (*each)(void *, const char *name), void *arg)
{
	DIR *dp = open_dir(s->root, ".");
	struct folders names = {0};
	int rc;

	if (dp == NULL)
		return -1;
	if ((rc = read_names(dp, &names)) == 0 && names.n > 0)
		qsort(names.v, names.n, sizeof(char *), by_name);
	closedir(dp);
	for (size_t i = 0; i < names.n; i++) {
		if (rc == 0)
			rc = each(arg, names.v[i]);
		free(names.v[i]);
	}
	free(names.v);
	return rc;
}

struct listing {
	struct store *store;
	int (*each)(void *, const char *path);
	void *arg;
};

static int
list_one(void *arg, const char *name)
{
	struct listing *l = arg;
	struct buf path = {0};
	enum boxname_error why;
	int rc = 0;

	if (!is_mailbox(l->store->root, name))
		return 0;
	why = boxname_to_tree(span_of(name), &path);
	if (why == BOXNAME_MEMORY || (why == BOXNAME_OK && buf_addc(&path, '\0') == -1))
		rc = -1;
	else if (why == BOXNAME_OK)
		rc = l->each(l->arg, path.p);
	else
		log_warn("%s: no mailbox: %s: %s", l->store->name, name, boxname_strerror(why));
	buf_free(&path);
	return rc;
}

static struct md_stamp
top_stamp(const struct store *s)
{
	struct md_stamp none = {0};
	struct stat st;

	return fstat(s->root, &st) == 0 ? md_stamp(&st) : none;
}

int
md_list(struct store *s, int (*each)(void *, const char *), void *arg)
{
	struct md_store *ms = s->drv;
	struct listing l = {s, each, arg};
	int rc;

	ms->top = top_stamp(s);
	ms->trust = md_stamp_fresh(&ms->top) ? TRUST_FRESH : TRUST_SURE;
	if ((rc = each(arg, BOXNAME_INBOX)) == 0)
		rc = each_folder(s, list_one, &l);
	if (rc != 0)
		ms->trust = TRUST_NONE;
	return rc;
}

bool
md_list_changed(struct store *s)
{
	struct md_store *ms = s->drv;
	struct md_stamp now = top_stamp(s);

	return ms->trust != TRUST_SURE || !md_stamp_eq(&now, &ms->top);
}

/* ---- names ----------------------------------------------------------------------- */

/* The directory of a mailbox that is no INBOX, as a C string; the caller frees. */
static char *
folder_of(const char *path)
{
	struct buf name = {0};
	enum boxname_error why = boxname_to_store(span_of(path), &name);

	if (why == BOXNAME_OK && buf_addc(&name, '\0') == 0 && name.n > 1)
		return name.p;
	buf_free(&name);
	errno = why == BOXNAME_OK ? EBUSY : boxname_errno(why);
	return NULL;
}

bool
md_listed(struct store *s, const char *path)
{
	char *name;
	bool yes;

	if (strcmp(path, BOXNAME_INBOX) == 0)
		return true;
	name = folder_of(path);
	yes = name != NULL && is_mailbox(s->root, name);
	free(name);
	return yes;
}

/* ---- making ---------------------------------------------------------------------- */

static int
make_dir(int dir, const char *name, mode_t mode)
{
	return mkdirat(dir, name, mode) == -1 && errno != EEXIST ? -1 : 0;
}

static int
make_marker(int dir, mode_t mode)
{
	int fd = openat(dir, "maildirfolder", O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			(mode & 0666) | 0600);

	if (fd == -1)
		return -1;
	close(fd);
	return 0;
}

/* cur/ last: with it the mailbox is there. */
static int
fill_folder(int dir, mode_t mode, unsigned use)
{
	if (make_marker(dir, mode) == -1 || make_dir(dir, "tmp", mode) == -1 ||
	    md_write_use(dir, use, mode) == -1 || make_dir(dir, "new", mode) == -1 || make_dir(dir, "cur", mode) == -1)
		return -1;
	return fsync(dir);
}

static int
create_folder(struct store *s, const char *name, unsigned use)
{
	struct stat st;
	mode_t mode;
	int fd, rc, saved;

	if (is_mailbox(s->root, name)) {
		errno = EEXIST;
		return -1;
	}
	if (fstat(s->root, &st) == -1)
		return -1;
	mode = (st.st_mode & 0777) | 0700;
	if (make_dir(s->root, name, mode) == -1 ||
	    (fd = io_open_beneath(s->root, name, O_RDONLY | O_DIRECTORY, 0)) == -1)
		return -1;
	rc = fill_folder(fd, mode, use);
	saved = errno;
	close(fd);
	errno = saved;
	return rc == -1 ? -1 : fsync(s->root);
}

int
md_create(struct store *s, const char *path, unsigned use)
{
	char *name = folder_of(path);
	int rc;

	if (name == NULL) {
		if (errno == EBUSY)
			errno = EEXIST;
		return -1;
	}
	if ((rc = create_folder(s, name, use)) == -1 && errno != EEXIST)
		log_error("%s: cannot make mailbox %s: %m", s->name, path);
	free(name);
	return rc;
}

/* ---- removing -------------------------------------------------------------------- */

static int remove_below(int dir, unsigned depth);

static int
remove_entry(int dir, const struct dirent *d, unsigned depth)
{
	int fd, rc;

	if (unlinkat(dir, d->d_name, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	if (depth == DEPTH_MAX ||
	    (fd = io_open_beneath(dir, d->d_name, O_RDONLY | O_DIRECTORY, 0)) == -1)
		return -1;
	rc = remove_below(fd, depth + 1);
	close(fd);
	return rc == -1 ? -1 : unlinkat(dir, d->d_name, AT_REMOVEDIR);
}

/* Everything in a directory, without following anything out of it. */
static int
remove_below(int dir, unsigned depth)
{
	DIR *dp = open_dir(dir, ".");
	struct dirent *d;
	int rc = 0, saved;

	if (dp == NULL)
		return -1;
	while ((errno = 0, d = readdir(dp)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
		    remove_entry(dir, d, depth) == -1)
			rc = -1;
	saved = errno;
	closedir(dp);
	errno = saved;
	return rc;
}

/* new/ or cur/: dot files are nobody's mail; anything else keeps it from going. */
static int
remove_if_empty(int dir, const char *name)
{
	DIR *dp = open_dir(dir, name);
	struct dirent *d;

	if (dp == NULL)
		return errno == ENOENT ? 0 : -1;
	while ((d = readdir(dp)) != NULL)
		if (d->d_name[0] == '.' && strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0)
			(void)unlinkat(dirfd(dp), d->d_name, 0);
	closedir(dp);
	return unlinkat(dir, name, AT_REMOVEDIR);
}

static bool
has_messages(int dir, const char *name)
{
	DIR *dp = open_dir(dir, name);
	struct dirent *d;
	bool any = false;

	if (dp == NULL)
		return errno != ENOENT;
	while (!any && (d = readdir(dp)) != NULL)
		any = d->d_name[0] != '.';
	closedir(dp);
	return any;
}

/*
 * The mailbox is out of sight. Removing new/ and cur/ is what only works on empty ones,
 * so a delivery that came at the last moment is never lost.
 */
static int
remove_hidden(struct store *s, const char *hidden)
{
	int dir = io_open_beneath(s->root, hidden, O_RDONLY | O_DIRECTORY, 0), rc = -1, saved;

	if (dir == -1)
		return -1;
	if (has_messages(dir, "new") || has_messages(dir, "cur"))
		errno = ENOTEMPTY;
	else if (remove_if_empty(dir, "new") == 0) {
		if ((rc = remove_if_empty(dir, "cur")) == -1)
			(void)mkdirat(dir, "new", 0700);
		else if (remove_below(dir, 0) == -1)
			log_warn("%s: something stays of removed mailbox %s: %m", s->name,
				 hidden);
	}
	saved = errno == EEXIST ? ENOTEMPTY : errno;
	close(dir);
	if (rc == 0)
		(void)unlinkat(s->root, hidden, AT_REMOVEDIR);
	errno = saved;
	return rc;
}

/* MD_TRASH and the folder's name, cut to fit: recovery gives it back by that name. */
static int
trash_name(const char *name, char out[static MDNAME_MAX + 1])
{
	if ((size_t)snprintf(out, MDNAME_MAX + 1, MD_TRASH "%s", name) > MDNAME_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

static int
remove_folder(struct store *s, const char *name)
{
	char hidden[MDNAME_MAX + 1];
	int saved;

	if (!is_mailbox(s->root, name)) {
		errno = ENOENT;
		return -1;
	}
	if (trash_name(name, hidden) == -1 || md_rename(s->root, name, s->root, hidden) == -1)
		return -1;
	if (remove_hidden(s, hidden) == 0)
		return fsync(s->root);
	saved = errno;
	if (md_rename(s->root, hidden, s->root, name) == -1)
		log_error("%s: cannot give %s its name back: %m", s->name, hidden);
	errno = saved;
	return -1;
}

int
md_remove(struct store *s, const char *path)
{
	char *name = folder_of(path);
	int rc;

	if (name == NULL)
		return -1;
	if ((rc = remove_folder(s, name)) == -1 && errno != ENOTEMPTY && errno != ENOENT)
		log_error("%s: cannot remove mailbox %s: %m", s->name, path);
	free(name);
	return rc;
}

/* Out of sight by one rename; that is when it is gone. */
static int
hide_folder(struct store *s, const char *name, struct buf *rest)
{
	struct hash_key key;

	if (!is_mailbox(s->root, name)) {
		errno = ENOENT;
		return -1;
	}
	hash_random(&key);
	if (buf_addf(rest, MD_ERASED "%016llx", (unsigned long long)key.k0) == -1 ||
	    buf_addc(rest, '\0') == -1)
		return -1;
	if (md_rename(s->root, name, s->root, rest->p) == -1) {
		buf_free(rest);
		return -1;
	}
	return fsync(s->root);
}

int
md_erase(struct store *s, const char *path, struct buf *rest)
{
	char *name = folder_of(path);
	int rc;

	if (name == NULL)
		return -1;
	if ((rc = hide_folder(s, name, rest)) == -1 && errno != ENOENT)
		log_error("%s: cannot delete mailbox %s: %m", s->name, path);
	free(name);
	return rc;
}

void
md_discard(struct store *s, const char *rest)
{
	int dir = io_open_beneath(s->root, rest, O_RDONLY | O_DIRECTORY, 0);

	if (dir == -1 || remove_below(dir, 0) == -1 ||
	    unlinkat(s->root, rest, AT_REMOVEDIR) == -1)
		log_warn("%s: something stays of a deleted mailbox, %s: %m", s->name, rest);
	if (dir != -1)
		close(dir);
}

/* ---- renaming -------------------------------------------------------------------- */

struct family {
	struct store *store;
	const char *old, *new; /* folder names */
	char **from, **to;     /* owned */
	size_t n, from_cap, to_cap;
};

static int
family_add(void *arg, const char *name)
{
	struct family *f = arg;
	size_t k = strlen(f->old), n = f->n;
	char *to;

	if (strncmp(name, f->old, k) != 0 || (name[k] != '\0' && name[k] != '.') ||
	    !is_dir(f->store->root, name))
		return 0;
	if (strlen(f->new) + strlen(name) - k > MDNAME_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (GROW(f->from, n, f->from_cap) == -1 || GROW(f->to, n, f->to_cap) == -1 ||
	    asprintf(&to, "%s%s", f->new, name + k) == -1)
		return -1;
	if ((f->from[n] = strdup(name)) == NULL) {
		free(to);
		return -1;
	}
	f->to[n] = to;
	f->n++;
	return 0;
}

static void
family_free(struct family *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->from[i]);
		free(f->to[i]);
	}
	free(f->from);
	free(f->to);
}

/* None of the new names may be taken. An empty leftover gives way. */
static int
names_free_to_take(const struct family *f)
{
	for (size_t i = 0; i < f->n; i++) {
		if (faccessat(f->store->root, f->to[i], F_OK, AT_SYMLINK_NOFOLLOW) == -1 &&
		    errno == ENOENT)
			continue;
		if (!is_mailbox(f->store->root, f->to[i]) &&
		    unlinkat(f->store->root, f->to[i], AT_REMOVEDIR) == 0)
			continue;
		errno = EEXIST;
		return -1;
	}
	return 0;
}

static int
rename_all(const struct family *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (md_rename(f->store->root, f->from[i], f->store->root, f->to[i]) == -1)
			break;
	if (i == f->n)
		return fsync(f->store->root);
	for (int saved = errno;; errno = saved) {
		if (i == 0)
			return -1;
		i--;
		if (md_rename(f->store->root, f->to[i], f->store->root, f->from[i]) == -1)
			log_error("%s: cannot give %s its name back: %m", f->store->name,
				  f->from[i]);
	}
}

/* One directory is one rename; several are written down first. */
static int
write_down(const struct family *f)
{
	struct buf text = {.max = RENAME_MAX};
	int rc = 0;

	for (size_t i = 0; i < f->n && rc == 0; i++)
		rc = buf_addf(&text, "%s%c%s%c", f->from[i], 0, f->to[i], 0);
	if (rc == 0)
		rc = io_replace(f->store->root, MD_FOLDERS, MD_FOLDERS ".tmp", buf_span(&text),
				0600);
	buf_free(&text);
	return rc;
}

static int
rename_family(struct family *f)
{
	int rc, saved;

	if (each_folder(f->store, family_add, f) == -1)
		return -1;
	if (f->n == 0) {
		errno = ENOENT;
		return -1;
	}
	if (names_free_to_take(f) == -1)
		return -1;
	if (f->n > 1 && write_down(f) == -1)
		return -1;
	rc = rename_all(f);
	saved = errno;
	if (f->n > 1)
		(void)unlinkat(f->store->root, MD_FOLDERS, 0);
	errno = saved;
	return rc;
}

int
md_rename_box(struct store *s, const char *path, const char *newpath)
{
	char *old = folder_of(path), *new = old == NULL ? NULL : folder_of(newpath);
	struct family f = {.store = s, .old = old, .new = new};
	int rc = -1, saved;

	if (old == NULL)
		return -1;
	if (new == NULL && errno == EBUSY)
		errno = EEXIST;
	if (new != NULL) {
		rc = rename_family(&f);
		saved = errno;
		family_free(&f);
		errno = saved;
		if (rc == -1 && errno != EEXIST && errno != ENOENT && errno != ENAMETOOLONG)
			log_error("%s: cannot rename mailbox %s: %m", s->name, path);
	}
	saved = errno;
	free(old);
	free(new);
	errno = saved;
	return rc;
}

/* ---- recovery -------------------------------------------------------------------- */

/* A folder's name: one component, a dot and then something else. */
static bool
is_folder_name(struct span s)
{
	return mdname_valid(s) && s.n >= 2 && s.p[0] == '.' && s.p[1] != '.';
}

static void
redo_renames(struct store *s, struct span rest)
{
	char from[MDNAME_MAX + 1], to[MDNAME_MAX + 1];
	struct span a, b;

	while (span_cut(&rest, '\0', &a) && span_cut(&rest, '\0', &b)) {
		if (!is_folder_name(a) || !is_folder_name(b) ||
		    span_cstr(a, from, sizeof from) == -1 || span_cstr(b, to, sizeof to) == -1)
			return;
		if (md_rename(s->root, from, s->root, to) == -1 && errno != ENOENT)
			log_error("%s: cannot finish renaming %s to %s: %m", s->name, from, to);
	}
}

/* A renaming that runs in another daemon at this moment is helped along: what it meets
 * done, it takes for its own doing only where names agree, and else for an error. */
static void
recover_renames(struct store *s)
{
	struct buf text = {.max = RENAME_MAX};
	int fd = io_open_regular(s->root, MD_FOLDERS, O_RDONLY, (uid_t)-1, false);

	if (fd == -1)
		return;
	if (io_slurp(fd, &text) == 0) {
		redo_renames(s, buf_span(&text));
		if (fsync(s->root) == 0)
			(void)unlinkat(s->root, MD_FOLDERS, 0);
	}
	buf_free(&text);
	close(fd);
}

static void
recover_removed(struct store *s, const char *hidden)
{
	const char *name = hidden + sizeof MD_TRASH - 1;

	if (!is_folder_name(span_of(name)) || remove_hidden(s, hidden) == 0)
		return;
	if (errno == ENOTEMPTY && md_rename(s->root, hidden, s->root, name) == 0)
		log_warn("%s: %s was being removed, but has messages: it is back", s->name, name);
	else
		log_error("%s: cannot finish removing %s: %m", s->name, name);
}

void
md_list_recover(struct store *s)
{
	struct dirent *d;
	DIR *dp;

	recover_renames(s);
	if ((dp = open_dir(s->root, ".")) == NULL)
		return;
	while ((d = readdir(dp)) != NULL)
		if (strncmp(d->d_name, MD_TRASH, sizeof MD_TRASH - 1) == 0)
			recover_removed(s, d->d_name);
		else if (strncmp(d->d_name, MD_ERASED, sizeof MD_ERASED - 1) == 0)
			md_discard(s, d->d_name);
	closedir(dp);
}
