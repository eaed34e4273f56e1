/*
 * mailboxes: mailboxes of a store by path: listing them with what is subscribed, making,
 * deleting, renaming. The tree's lock is held while the tree changes, not while files of
 * one mailbox are read or taken away.
 */
#include <errno.h>
#include <stdlib.h>

#include "storage/base/log.h"
#include "storage/driver.h"
#include "storage/grow.h"
#include "storage/tree.h"

#define PATH_MOST 1024 /* octets: far more than a store can keep */

/* A path as a C string, which the caller frees. */
static char *
c_string(struct span path)
{
	char *s;

	if (path.n > PATH_MOST) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	if (path.n == 0 || memchr(path.p, '\0', path.n) != NULL) {
		errno = EINVAL;
		return NULL;
	}
	if ((s = malloc(path.n + 1)) != NULL)
		memcpy(s, path.p, path.n), s[path.n] = '\0';
	return s;
}

/* ---- the list --------------------------------------------------------------------------- */

struct name {
	char *path; /* owned */
	bool exists, subscribed;
};

struct names {
	struct name *v;
	size_t n, cap;
};

static int
add_name(struct names *l, const char *path, bool exists, bool subscribed)
{
	if (GROW(l->v, l->n, l->cap) == -1)
		return -1;
	l->v[l->n] = (struct name){strdup(path), exists, subscribed};
	return l->v[l->n].path == NULL ? -1 : (int)(l->n++, 0);
}

static void
free_names(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].path);
	free(l->v);
}

static int
add_below(struct names *l, const struct box *b)
{
	for (const struct box *c = b->child; c != NULL; c = c->sibling)
		if (add_name(l, c->path, c->kind == BOX_MAIL, false) == -1 ||
		    add_below(l, c) == -1)
			return -1;
	return 0;
}

static int
add_subscribed(void *arg, const char *path)
{
	return add_name(arg, path, false, true);
}

static int
by_path(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->path, ((const struct name *)b)->path);
}

/* In order, each path once. */
static void
put_in_order(struct names *l)
{
	size_t kept = 0;

	if (l->n > 0)
		qsort(l->v, l->n, sizeof *l->v, by_path);
	for (size_t i = 0; i < l->n; i++) {
		struct name *last = kept > 0 ? &l->v[kept - 1] : NULL;

		if (last == NULL || strcmp(last->path, l->v[i].path) != 0) {
			l->v[kept++] = l->v[i];
			continue;
		}
		last->exists |= l->v[i].exists;
		last->subscribed |= l->v[i].subscribed;
		free(l->v[i].path);
	}
	l->n = kept;
}

static int
collect(struct store *s, struct names *l)
{
	int rc;

	pthread_mutex_lock(&s->tree);
	rc = tree_list(s) == -1 ? -1 : add_below(l, s->top);
	pthread_mutex_unlock(&s->tree);
	if (rc == -1)
		return -1;
	cred_enter(s);
	rc = s->driver->subscriptions(s, add_subscribed, l);
	cred_leave(s);
	if (rc == -1 && errno == ENOMEM)
		return -1;
	if (rc == -1)
		log_error("%s: cannot read its subscriptions: %m", s->name);
	put_in_order(l);
	return 0;
}

static unsigned
use_of(struct store *s, const struct name *n)
{
	unsigned use;

	if (!n->exists)
		return 0;
	cred_enter(s);
	use = s->driver->use(s, n->path);
	cred_leave(s);
	return use;
}

static bool
comes_after(const char *path, struct span after)
{
	size_t n = strlen(path), least = n < after.n ? n : after.n;
	int order = least == 0 ? 0 : memcmp(path, after.p, least);

	return order > 0 || (order == 0 && n > after.n);
}

int
store_mailboxes(struct store *s, struct span after,
		int (*each)(void *, const struct store_mailbox *), void *arg)
{
	struct names l = {0};
	int rc = collect(s, &l);

	for (size_t i = 0; i < l.n && rc == 0; i++) {
		const struct name *n = &l.v[i];

		if (comes_after(n->path, after))
			rc = each(arg, &(struct store_mailbox){.path = span_of(n->path),
							       .exists = n->exists,
							       .subscribed = n->subscribed,
							       .use = use_of(s, n),
							       .leaf = n->exists &&
								       s->driver->leaves});
	}
	free_names(&l);
	return rc;
}

/* ---- changes ------------------------------------------------------------------------------ */

/* Take the tree's lock, with the tree as it is now. On -1 it is not held. */
static int
begin(struct store *s)
{
	pthread_mutex_lock(&s->tree);
	if (s->readonly)
		errno = EROFS;
	else if (tree_list(s) == 0)
		return 0;
	pthread_mutex_unlock(&s->tree);
	return -1;
}

static int
end(struct store *s, int rc)
{
	int saved = errno;

	pthread_mutex_unlock(&s->tree);
	errno = saved;
	return rc;
}

int
store_create(struct store *s, struct span path, unsigned use)
{
	const struct box *b;
	char *name = c_string(path);
	int rc = -1;

	if (name == NULL)
		return -1;
	if (begin(s) == 0) {
		b = tree_find(s, path);
		if (b != NULL && b->kind == BOX_MAIL)
			errno = EEXIST;
		else {
			cred_enter(s);
			rc = s->driver->create(s, name, use);
			cred_leave(s);
			if (rc == 0)
				rc = tree_list_now(s);
		}
		rc = end(s, rc);
	}
	free(name);
	return rc;
}

/* tree held; no delivery comes in between. */
static int
erase(struct box *b, struct buf *rest)
{
	struct store *s = b->store;
	int rc;

	pthread_mutex_lock(&b->io);
	cred_enter(s);
	rc = s->driver->erase(s, b->path, rest);
	cred_leave(s);
	pthread_mutex_unlock(&b->io);
	return rc == 0 ? tree_list_now(s) : -1;
}

int
store_delete(struct store *s, struct span path)
{
	struct buf rest = {0};
	struct box *b;
	int rc = -1, saved;

	if (begin(s) == -1)
		return -1;
	b = tree_find(s, path);
	if (b == NULL || b->kind != BOX_MAIL)
		errno = ENOENT;
	else if (strcmp(b->path, "INBOX") == 0)
		errno = EBUSY;
	else
		rc = erase(b, &rest);
	rc = end(s, rc);
	saved = errno;
	if (rest.n > 0) { /* out of sight: however long it takes, nobody waits but this one */
		cred_enter(s);
		s->driver->discard(s, rest.p);
		cred_leave(s);
	}
	buf_free(&rest);
	errno = saved;
	return rc;
}

/* tree held */
static int
rename_to(struct store *s, struct box *b, struct span to)
{
	const struct box *there = tree_find(s, to);
	struct box *parent;
	struct span name;
	char *newname;
	int rc;

	if (there == b)
		return 0;
	if (there != NULL && (there->kind == BOX_MAIL || there->child != NULL)) {
		errno = EEXIST;
		return -1;
	}
	if (tree_add_parents(s, to, &parent, &name) == -1 ||
	    (newname = c_string(name)) == NULL)
		rc = -1;
	else {
		if (tree_is_below(parent, b)) {
			errno = EINVAL;
			rc = -1;
		} else
			rc = tree_rename(b, parent, newname);
		free(newname);
	}
	if (rc == -1)
		s->listed = false; /* the parents just made go again */
	return rc;
}

int
store_rename(struct store *s, struct span from, struct span to)
{
	char *name = c_string(to);
	struct box *b;
	int rc = -1;

	if (name == NULL)
		return -1;
	free(name);
	if (begin(s) == -1)
		return -1;
	if ((b = tree_find(s, from)) == NULL)
		errno = ENOENT;
	else if (strcmp(b->path, "INBOX") == 0)
		errno = EBUSY;
	else
		rc = rename_to(s, b, to);
	return end(s, rc);
}

int
store_subscribe(struct store *s, struct span path, bool on)
{
	char *name;
	int rc;

	if (s->readonly) {
		errno = EROFS;
		return -1;
	}
	if ((name = c_string(path)) == NULL)
		return -1;
	cred_enter(s);
	rc = s->driver->subscribe(s, name, on);
	cred_leave(s);
	free(name);
	return rc;
}
