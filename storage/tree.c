/*
 * tree: the boxes of a store. Built from what the driver lists, rebuilt when the driver
 * says that the list may have changed. A box stands in the tree with one reference;
 * what leaves the tree is dead for good, and a mailbox that comes back under the same
 * name is another box with another number.
 */
#include "storage/tree.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/base/log.h"
#include "storage/driver.h"
#include "storage/env.h"
#include "storage/indexfile.h"
#include "storage/grow.h"

static bool
is_named(const struct box *b, struct span name)
{
	return b != NULL && span_eq(span_of(b->name), name);
}

/* Who goes through all of them in order finds each beside the one before. */
static struct box *
find_child(struct box *parent, struct span name)
{
	struct box *b = parent->hint;

	if (is_named(b, name))
		return b;
	if (b == NULL || !is_named(b = b->sibling, name))
		for (b = parent->child; b != NULL && !is_named(b, name);)
			b = b->sibling;
	if (b != NULL)
		parent->hint = b;
	return b;
}

static void
link_child(struct box *parent, struct box *b)
{
	struct box **at = &parent->child;

	if (parent->hint != NULL && strcmp(parent->hint->name, b->name) < 0)
		at = &parent->hint->sibling;
	while (*at != NULL && strcmp((*at)->name, b->name) < 0) /* listings are sorted */
		at = &(*at)->sibling;
	b->sibling = *at;
	*at = parent->hint = b;
	b->parent = parent;
	b->linked = true;
}

static void
unlink_child(struct box *b)
{
	struct box **at = &b->parent->child;

	while (*at != b)
		at = &(*at)->sibling;
	*at = b->sibling;
	b->sibling = b->parent->hint = NULL;
	b->linked = false;
}

static char *
join(const struct box *parent, struct span name)
{
	struct buf path = {0};

	if (parent->path[0] == '\0' ? buf_add(&path, name) == -1 || buf_addc(&path, '\0') == -1
				    : buf_addf(&path, "%s/%.*s", parent->path, (int)name.n,
					       name.p) == -1 ||
					buf_addc(&path, '\0') == -1) {
		buf_free(&path);
		return NULL;
	}
	return path.p;
}

/* tree held. A new box below parent, with the number that its path has. */
static struct box *
new_child(struct box *parent, struct span name, enum box_kind kind)
{
	struct store *s = parent->store;
	struct box *b = box_alloc(s, kind, 0);

	if (b == NULL)
		return NULL;
	if ((b->name = strndup(name.p, name.n)) == NULL ||
	    (b->path = join(parent, name)) == NULL ||
	    numbers_get(s->env->numbers, s->name, b->path, &b->number) == -1) {
		box_free(b);
		return NULL;
	}
	link_child(parent, b);
	env_add_box(s->env, b);
	return b;
}

/* tree held; b has left the tree. Its reference is given back by the caller. */
static void
bury(struct box *b)
{
	env_drop_box(b->store->env, b);
	if (numbers_drop(b->store->env->numbers, b->number) == -1)
		log_error("%s: %s: cannot give up mailbox number %u: %m", b->store->name, b->path,
			  b->number);
	indexfile_remove(b->store->index_dir, b->number);
	box_kill(b);
}

/* tree held. A mailbox that is gone while its children are not: a bare directory now. */
static int
replace_by_parent(struct box *b)
{
	struct box *above = b->parent, *now, *c;

	unlink_child(b);
	bury(b);
	if ((now = new_child(above, span_of(b->name), BOX_PARENT)) == NULL) {
		box_unref(b);
		return -1;
	}
	now->child = b->child;
	b->child = b->hint = NULL;
	for (c = now->child; c != NULL; c = c->sibling)
		c->parent = now;
	now->seen = true;
	box_unref(b);
	return 0;
}

/* ---- taking the list in ------------------------------------------------------------ */

struct listing {
	struct box *top;
	int rc;
};

static int
take_path(void *arg, const char *path)
{
	struct listing *l = arg;
	struct box *at = l->top;
	struct span rest = span_of(path), name;

	while (span_cut(&rest, '/', &name)) {
		struct box *b = find_child(at, name);
		bool last = rest.n == 0;

		if (b == NULL && (b = new_child(at, name, last ? BOX_MAIL : BOX_PARENT)) == NULL)
			return l->rc = -1;
		if (last) {
			if (b->kind != BOX_MAIL) /* a bare parent has become a mailbox */
				b->kind = BOX_MAIL;
			b->seen = true;
		}
		at = b;
	}
	return 0;
}

static void
unsee(struct box *b)
{
	for (struct box *c = b->child; c != NULL; c = c->sibling) {
		c->seen = false;
		unsee(c);
	}
}

/* Remove what was not listed; a directory stays as long as something is below it. */
static int
sweep(struct box *b)
{
	struct box *c, *next;

	for (c = b->child; c != NULL; c = next) {
		next = c->sibling;
		if (sweep(c) == -1)
			return -1;
		if (c->seen)
			continue;
		if (c->child == NULL) {
			unlink_child(c);
			bury(c);
			box_unref(c);
		} else if (c->kind == BOX_MAIL && replace_by_parent(c) == -1)
			return -1;
	}
	return 0;
}

int
tree_list_now(struct store *s)
{
	struct listing l = {s->top, 0};
	int rc;

	unsee(s->top);
	cred_enter(s);
	rc = s->driver->list(s, take_path, &l);
	cred_leave(s);
	if (rc != 0 || sweep(s->top) == -1 || numbers_sync(s->env->numbers) == -1)
		return -1;
	s->listed = true;
	return 0;
}

int
tree_list(struct store *s)
{
	return s->listed && !s->driver->list_changed(s) ? 0 : tree_list_now(s);
}

struct box *
tree_find(struct store *s, struct span path)
{
	struct box *b = s->top;
	struct span name;

	if (path.n == 0)
		return NULL;
	while (b != NULL && span_cut(&path, '/', &name))
		b = find_child(b, name);
	return b;
}

int
tree_add_parents(struct store *s, struct span path, struct box **parent, struct span *name)
{
	struct box *at = s->top, *next;

	while (span_cut(&path, '/', name) && path.n > 0) {
		if ((next = find_child(at, *name)) == NULL &&
		    (next = new_child(at, *name, BOX_PARENT)) == NULL)
			return -1;
		at = next;
	}
	*parent = at;
	return 0;
}

/* ---- life ---------------------------------------------------------------------------- */

int
tree_open(struct store *s)
{
	struct box *top = box_alloc(s, BOX_TOP, 0);

	if (top == NULL)
		return -1;
	if ((top->name = strdup("")) == NULL || (top->path = strdup("")) == NULL ||
	    numbers_get(s->env->numbers, s->name, "", &top->number) == -1 ||
	    numbers_sync(s->env->numbers) == -1) {
		box_free(top);
		return -1;
	}
	env_add_box(s->env, top);
	s->top = top;
	return 0;
}

static void
close_below(struct box *b)
{
	b->hint = NULL;
	while (b->child != NULL) {
		struct box *c = b->child;

		close_below(c);
		b->child = c->sibling;
		c->dead = true; /* background work on it ends soon */
		env_drop_box(c->store->env, c);
		box_unref(c);
	}
}

void
tree_close(struct store *s)
{
	struct box *top;

	pthread_mutex_lock(&s->tree);
	top = s->top;
	close_below(top);
	env_drop_box(s->env, top);
	s->top = NULL; /* under the lock: background work may be about to drop a box */
	pthread_mutex_unlock(&s->tree);
	box_unref(top);
}

void
tree_drop(struct box *b)
{
	struct store *s = b->store;

	pthread_mutex_lock(&s->tree);
	if (s->top != NULL && b->linked) { /* else its parent may be freed already */
		if (b->child != NULL)
			(void)replace_by_parent(b);
		else {
			unlink_child(b);
			bury(b);
			box_unref(b);
		}
		s->listed = false;
	}
	pthread_mutex_unlock(&s->tree);
}

/* ---- store.h -------------------------------------------------------------------------- */

int
store_top(struct store *s, struct box **out)
{
	box_ref(s->top);
	*out = s->top;
	return 0;
}

int
box_parent(struct box *b, struct box **out)
{
	int rc = -1;

	pthread_mutex_lock(&b->store->tree);
	if (!b->linked)
		errno = ENOENT;
	else {
		box_ref(*out = b->parent);
		rc = 0;
	}
	pthread_mutex_unlock(&b->store->tree);
	return rc;
}

int
box_path(struct box *b, struct buf *out)
{
	int rc;

	pthread_mutex_lock(&b->store->tree);
	rc = buf_add(out, span_of(b->path));
	pthread_mutex_unlock(&b->store->tree);
	return rc;
}

/*
 * The tree has it and the store still does: the other names need not be looked at, of which
 * there may be thousands, while each change of an INBOX changes the directory of all.
 */
static struct box *
known_child(struct box *parent, const char *name)
{
	struct store *s = parent->store;
	struct box *b;
	bool listed;

	if (!s->listed || s->driver->listed == NULL ||
	    (b = find_child(parent, span_of(name))) == NULL || b->kind != BOX_MAIL)
		return NULL;
	cred_enter(s);
	listed = s->driver->listed(s, b->path);
	cred_leave(s);
	return listed ? b : NULL;
}

int
box_child(struct box *parent, const char *name, struct box **out)
{
	struct box *b;
	int rc = -1;

	pthread_mutex_lock(&parent->store->tree);
	if (parent->dead)
		errno = ESTALE;
	else if ((b = known_child(parent, name)) != NULL) {
		box_ref(*out = b);
		rc = 0;
	} else if (tree_list(parent->store) == 0) {
		if ((b = find_child(parent, span_of(name))) == NULL)
			errno = ENOENT;
		else {
			box_ref(*out = b);
			rc = 0;
		}
	}
	pthread_mutex_unlock(&parent->store->tree);
	return rc;
}

struct child {
	struct box *box; /* a reference */
	char *name;	 /* a copy: a rename replaces the box's own */
};

/* tree held. *n of *list are filled, also on failure. */
static int
copy_children(const struct box *parent, struct child **list, size_t *n)
{
	struct box *b;
	size_t cap = 0;

	for (b = parent->child; b != NULL; b = b->sibling) {
		if (GROW(*list, *n, cap) == -1 || ((*list)[*n].name = strdup(b->name)) == NULL)
			return -1;
		box_ref((*list)[(*n)++].box = b);
	}
	return 0;
}

/* Callers ask for paths and parents, which need the lock: they are called without it. */
int
box_children(struct box *parent, int (*each)(void *, const char *, struct box *), void *arg)
{
	struct child *list = NULL;
	size_t i, n = 0;
	int rc;

	pthread_mutex_lock(&parent->store->tree);
	if ((rc = tree_list(parent->store)) == 0)
		rc = copy_children(parent, &list, &n);
	pthread_mutex_unlock(&parent->store->tree);
	for (i = 0; i < n; i++) {
		if (rc == 0)
			rc = each(arg, list[i].name, list[i].box);
		box_unref(list[i].box);
		free(list[i].name);
	}
	free(list);
	return rc;
}

static int
may_write(const struct store *s)
{
	if (!s->readonly)
		return 0;
	errno = EROFS;
	return -1;
}

int
box_mkdir(struct box *parent, const char *name, struct box **out)
{
	struct store *s = parent->store;
	struct box *b;
	char *path = NULL;
	int rc = -1;

	pthread_mutex_lock(&s->tree);
	if (may_write(s) == -1 || tree_list(s) == -1)
		goto out;
	b = find_child(parent, span_of(name));
	if (parent->dead)
		errno = ESTALE;
	else if (b != NULL && b->kind != BOX_PARENT)
		errno = EEXIST;
	else if ((path = join(parent, span_of(name))) != NULL) {
		cred_enter(s);
		rc = s->driver->create(s, path, 0);
		cred_leave(s);
		if (rc == 0 && (rc = tree_list_now(s)) == 0) {
			if ((b = find_child(parent, span_of(name))) == NULL) {
				errno = EIO;
				rc = -1;
			} else
				box_ref(*out = b);
		}
	}
out:
	pthread_mutex_unlock(&s->tree);
	free(path);
	return rc;
}

int
box_rmdir(struct box *parent, const char *name)
{
	struct store *s = parent->store;
	struct box *b;
	int rc = -1;

	pthread_mutex_lock(&s->tree);
	if (may_write(s) == -1 || tree_list(s) == -1)
		goto out;
	if ((b = find_child(parent, span_of(name))) == NULL)
		errno = ENOENT;
	else if (strcmp(b->path, "INBOX") == 0)
		errno = EBUSY;
	else if (b->child != NULL || b->kind != BOX_MAIL)
		errno = ENOTEMPTY;
	else {
		pthread_mutex_lock(&b->io); /* no delivery comes in between */
		cred_enter(s);
		rc = s->driver->remove(s, b->path);
		cred_leave(s);
		pthread_mutex_unlock(&b->io);
		if (rc == 0)
			rc = tree_list_now(s);
	}
out:
	pthread_mutex_unlock(&s->tree);
	return rc;
}

/* ---- renaming ---------------------------------------------------------------------------- */

struct family {
	struct box **v;
	size_t n, cap;
};

static int
gather(struct family *f, struct box *b)
{
	if (f->n == f->cap) {
		size_t cap = f->cap == 0 ? 16 : f->cap * 2;
		struct box **v = reallocarray(f->v, cap, sizeof(struct box *));

		if (v == NULL)
			return -1;
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n++] = b;
	for (struct box *c = b->child; c != NULL; c = c->sibling)
		if (gather(f, c) == -1)
			return -1;
	return 0;
}

static int
by_number(const void *a, const void *b)
{
	const struct box *const *x = a, *const *y = b;

	return (*x)->number < (*y)->number ? -1 : (*x)->number > (*y)->number;
}

/* tree and every io held: give the family its new paths. */
static int
repath(struct box *b, const struct box *parent, const char *name)
{
	char *path = join(parent, span_of(name)), *copy = strdup(name), *old_path, *old_name;

	if (path == NULL || copy == NULL) {
		free(path);
		free(copy);
		return -1;
	}
	pthread_rwlock_wrlock(&b->lock);
	old_path = b->path, old_name = b->name;
	b->path = path, b->name = copy;
	pthread_rwlock_unlock(&b->lock);
	free(old_path);
	if (numbers_rename(b->store->env->numbers, b->number, b->store->name, b->path) == -1)
		log_error("%s: %s: cannot record the new name of mailbox %u: %m", b->store->name,
			  b->path, b->number);
	for (struct box *c = b->child; c != NULL; c = c->sibling)
		if (repath(c, b, c->name) == -1) {
			free(old_name);
			return -1;
		}
	free(old_name);
	return 0;
}

int
tree_rename(struct box *b, struct box *to, const char *newname)
{
	struct store *s = b->store;
	struct family f = {0};
	struct box *there;
	char *newpath = join(to, span_of(newname));
	int rc = -1;

	if (newpath == NULL || gather(&f, b) == -1)
		goto out;
	qsort(f.v, f.n, sizeof(struct box *), by_number);
	for (size_t i = 0; i < f.n; i++)
		pthread_mutex_lock(&f.v[i]->io);
	cred_enter(s);
	rc = s->driver->rename(s, b->path, newpath);
	cred_leave(s);
	if (rc == 0) {
		/* a bare parent of that name gives way: what is below it is found again */
		if ((there = find_child(to, span_of(newname))) != NULL && there->child == NULL) {
			unlink_child(there);
			bury(there);
			box_unref(there);
		}
		unlink_child(b);
		rc = repath(b, to, newname);
		link_child(to, b);
	}
	for (size_t i = f.n; i-- > 0;)
		pthread_mutex_unlock(&f.v[i]->io);
	if (rc == 0)
		rc = tree_list_now(s);
out:
	free(newpath);
	free(f.v);
	return rc;
}

bool
tree_is_below(const struct box *b, const struct box *above)
{
	while (b != NULL && b != above)
		b = b->parent;
	return b == above;
}

int
box_rename(struct box *from, const char *name, struct box *to, const char *newname)
{
	struct store *s = from->store;
	struct box *b, *there;
	int rc = -1;

	if (to->store != s) {
		errno = EXDEV;
		return -1;
	}
	pthread_mutex_lock(&s->tree);
	if (may_write(s) == -1 || tree_list(s) == -1)
		goto out;
	there = find_child(to, span_of(newname));
	if ((b = find_child(from, span_of(name))) == NULL)
		errno = ENOENT;
	else if (strcmp(b->path, "INBOX") == 0)
		errno = EBUSY;
	else if (b == there)
		rc = 0;
	else if (tree_is_below(to, b))
		errno = EINVAL;
	else if (there != NULL && (there->kind == BOX_MAIL || there->child != NULL))
		errno = there->child != NULL ? ENOTEMPTY : EEXIST;
	else
		rc = tree_rename(b, to, newname);
out:
	pthread_mutex_unlock(&s->tree);
	return rc;
}
