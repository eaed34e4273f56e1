/* store: one user's mail, from opening its top directory to letting go of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/driver.h"
#include "storage/env.h"
#include "storage/location.h"
#include "storage/mboxconf.h"
#include "storage/tree.h"
#include "storage/unfinished.h"

const char *
store_set_mbox(struct span name, struct span value)
{
	return mboxconf_set(&mboxconf, name, value);
}

/* Sets the driver and the paths. */
static int
locate(struct store *s, const char *text)
{
	struct location l;

	if (location_parse(text, &l) == -1)
		return -1;
	s->driver = l.driver;
	s->location = l.root;
	s->inbox = l.inbox;
	s->inbox_only = l.inbox_only;
	return 0;
}

char *
store_path(const char *location)
{
	struct location l;
	char *path;

	if (location_parse(location, &l) == -1)
		return NULL;
	path = strdup(l.inbox_only ? l.inbox : l.root);
	location_free(&l);
	return path;
}

bool
store_needs_index(const char *location)
{
	struct location l;
	bool yes;

	if (location_parse(location, &l) == -1)
		return false;
	yes = l.driver == &mbox_driver;
	location_free(&l);
	return yes;
}

/*
 * All directories on the way to that of the INBOX are root's, and so are the symbolic links
 * among them: with a link of his own to the spool directory a user could have locks and files
 * made there under any name.
 */
static bool
is_spool(const char *inbox)
{
	char path[4096];
	struct stat st;

	if (inbox == NULL || inbox[0] != '/' ||
	    span_cstr(span_of(inbox), path, sizeof path) == -1)
		return false;
	*strrchr(path, '/') = '\0';
	for (char *slash = path; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
		*slash = '\0';
		if (lstat(path, &st) == -1 || st.st_uid != 0)
			return false;
	}
	return lstat(path[0] == '\0' ? "/" : path, &st) == 0 &&
	       (S_ISDIR(st.st_mode) || st.st_uid == 0);
}

int
store_make_index_dir(const struct store *s, int above, const char *name)
{
	if (mkdirat(above, name, 0700) == -1)
		return errno == EEXIST ? 0 : -1;
	return s->driver->journal != NULL ? fsync(above) : 0;
}

/* The folder of this store's index files, the daemon's own. */
static int
open_index_dir(struct store *s, const struct store_conf *conf)
{
	int top = s->env->index_path;

	if (!conf->index_in_own_folder)
		return (s->index_dir = fcntl(top, F_DUPFD_CLOEXEC, 0)) == -1 ? -1 : 0;
	if (store_make_index_dir(s, top, conf->name) == -1)
		return -1;
	s->index_dir = io_open_beneath(top, conf->name, O_RDONLY | O_DIRECTORY, 0);
	return s->index_dir == -1 ? -1 : 0;
}

/* `mbox:PATH` may name a file: then that is the INBOX, and all there is. */
static int
be_one_file(struct store *s)
{
	struct stat st;
	char *slash;
	int rc;

	if (s->driver != &mbox_driver || s->inbox != NULL)
		return 0;
	cred_enter(s);
	rc = stat(s->location, &st);
	cred_leave(s);
	if (rc == -1 || !S_ISREG(st.st_mode))
		return 0;
	s->inbox = s->location;
	s->inbox_only = true;
	if ((s->location = strdup(s->inbox)) == NULL)
		return -1;
	if ((slash = strrchr(s->location, '/')) == NULL)
		strcpy(s->location, "."); /* a name has one octet at least */
	else
		slash[slash == s->location] = '\0';
	return 0;
}

static int
open_root(struct store *s, int rootfd)
{
	struct stat st;

	if (rootfd != -1)
		s->root = rootfd;
	else {
		if (be_one_file(s) == -1)
			return -1;
		cred_enter(s);
		s->root = open(s->location, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		cred_leave(s);
	}
	if (s->root == -1 || fstat(s->root, &st) == -1)
		return -1;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	if (!s->has_cred && s->inbox_only)
		s->cred = (struct cred){.uid = geteuid(), .gid = getegid()};
	else if (!s->has_cred) /* whose files these are; for ownership checks and attributes */
		s->cred = (struct cred){.uid = st.st_uid, .gid = st.st_gid};
	return 0;
}

/* The directory of an INBOX elsewhere: its last level alone may be the user's. */
static int
open_inbox_dir(struct store *s, int inboxfd)
{
	char *dir, *slash;
	int saved;

	if (s->inbox == NULL || s->inbox_only)
		return 0;
	if (inboxfd > 0) {
		s->inbox_dir = inboxfd;
		return 0;
	}
	if ((dir = strdup(s->inbox)) == NULL)
		return -1;
	if ((slash = strrchr(dir, '/')) != NULL)
		slash[slash == dir] = '\0';
	cred_enter(s);
	s->inbox_dir = open(slash == NULL ? "." : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cred_leave(s);
	saved = errno;
	free(dir);
	errno = saved;
	return s->inbox_dir == -1 ? -1 : 0;
}

static void
free_store(struct store *s)
{
	if (s->root != -1)
		close(s->root);
	if (s->inbox_dir != -1)
		close(s->inbox_dir);
	free(s->inbox);
	if (s->index_dir != -1)
		close(s->index_dir);
	pthread_mutex_destroy(&s->tree);
	pthread_mutex_destroy(&s->life);
	pthread_cond_destroy(&s->empty);
	free(s->name);
	free(s->location);
	free(s);
}

int
store_open(struct env *e, const struct store_conf *conf, struct store **out)
{
	struct store *s = calloc(1, sizeof *s);
	bool driver_open = false;
	int saved;

	if (s == NULL)
		return -1;
	s->env = e;
	s->root = s->index_dir = s->inbox_dir = -1;
	s->readonly = conf->readonly;
	pthread_mutex_init(&s->tree, NULL);
	pthread_mutex_init(&s->life, NULL);
	pthread_cond_init(&s->empty, NULL);
	if (conf->cred != NULL) {
		s->cred = *conf->cred;
		s->has_cred = true;
	}
	if (locate(s, conf->location) == -1)
		goto fail;
	s->inbox_spool = s->has_cred && is_spool(s->inbox);
	if ((s->name = strdup(conf->name)) == NULL ||
	    open_root(s, conf->rootfd) == -1 || open_inbox_dir(s, conf->inboxfd) == -1 ||
	    open_index_dir(s, conf) == -1)
		goto fail;
	cred_enter(s);
	driver_open = s->driver->store_open(s) == 0;
	cred_leave(s);
	if (!driver_open || tree_open(s) == -1)
		goto fail;
	pthread_mutex_lock(&e->lock);
	s->next = e->stores;
	e->stores = s;
	pthread_mutex_unlock(&e->lock);
	unfinished_complete(s);
	*out = s;
	return 0;
fail:
	saved = errno;
	if (driver_open)
		s->driver->store_close(s);
	if (conf->rootfd != -1)
		s->root = -1; /* on failure it stays the caller's */
	if (conf->inboxfd > 0)
		s->inbox_dir = -1;
	free_store(s);
	errno = saved;
	return -1;
}

void
store_close(struct store *s)
{
	struct store **at;

	if (s == NULL)
		return;
	pthread_mutex_lock(&s->env->lock);
	for (at = &s->env->stores; *at != s; at = &(*at)->next)
		;
	*at = s->next;
	pthread_mutex_unlock(&s->env->lock);
	tree_close(s);
	pthread_mutex_lock(&s->life);
	while (s->nbox > 0)
		pthread_cond_wait(&s->empty, &s->life);
	pthread_mutex_unlock(&s->life);
	cred_enter(s);
	s->driver->store_close(s);
	cred_leave(s);
	free_store(s);
}

int
store_statvfs(struct store *s, struct statvfs *out)
{
	return fstatvfs(s->root, out);
}

bool
store_readonly(const struct store *s)
{
	return s->readonly;
}

void
store_owner(const struct store *s, uid_t *uid, gid_t *gid)
{
	*uid = s->cred.uid;
	*gid = s->cred.gid;
}
