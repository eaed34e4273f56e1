#include "fs/check.h"

#include <err.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/source.h"
#include "storage/store.h"

struct tally {
	unsigned long violations;
	bool failed;
};

static void
say(void *arg, const char *line)
{
	struct tally *t = arg;

	t->violations++;
	puts(line);
}

/* The children, each with a reference: they are listed with the tree locked. */
struct boxes {
	struct box **box;
	size_t n;
};

static int
collect(void *arg, const char *name, struct box *box)
{
	struct boxes *all = arg;
	struct box **grown = reallocarray(all->box, all->n + 1, sizeof(struct box *));

	(void)name;
	if (grown == NULL)
		return -1;
	box_ref(box);
	all->box = grown;
	all->box[all->n++] = box;
	return 0;
}

static void
check_messages(struct box *box, struct tally *t)
{
	struct buf path = {0};

	if (box_refresh(box) == 0 && box_check(box, say, t) != -1)
		return;
	if (box_path(box, &path) == 0)
		warn("%.*s", (int)path.n, path.p);
	buf_free(&path);
	t->failed = true;
}

static void
check_box(struct box *box, struct tally *t)
{
	struct boxes children = {0};

	if (box_kind(box) == BOX_MAIL)
		check_messages(box, t);
	if (box_children(box, collect, &children) == -1)
		t->failed = true;
	for (size_t i = 0; i < children.n; i++) {
		check_box(children.box[i], t);
		box_unref(children.box[i]);
	}
	free(children.box);
}

static int
check_in(struct env *env, const char *location, struct tally *t)
{
	struct store *store;
	struct box *top;

	if (source_open(env, location, "check", true, &store) == -1) {
		warn("%s", location);
		return -1;
	}
	if (store_top(store, &top) == 0) {
		check_box(top, t);
		box_unref(top);
	} else
		t->failed = true;
	store_close(store);
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* The index is made anew in a scratch directory: an old one proves nothing. */
int
check_store(const char *location)
{
	const char *tmp = getenv("TMPDIR");
	struct tally t = {0};
	struct env_conf conf = {.no_inotify = true};
	struct env *env;
	char dir[4096];

	snprintf(dir, sizeof dir, "%s/mailtree-check-XXXXXX", tmp == NULL ? "/tmp" : tmp);
	if (mkdtemp(dir) == NULL) {
		warn("%s", dir);
		return 2;
	}
	conf.index_path = dir;
	if (env_open(&conf, &env) == -1) {
		warn("%s", dir);
		t.failed = true;
	} else {
		if (check_in(env, location, &t) == -1)
			t.failed = true;
		env_close(env);
	}
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return t.failed ? 2 : t.violations > 0;
}
