#include "protocol/imap/boxlist.h"

#include <errno.h>
#include <stdlib.h>

#include "protocol/imap/names.h"

/* ---- what there is ------------------------------------------------------------------------ */

static struct boxnode *
add_node(struct arena *a, struct boxlist *list)
{
	if (list->n == list->cap) {
		size_t cap = list->cap == 0 ? 64 : 2 * list->cap;
		struct boxnode *more = arena_alloc(a, cap * sizeof *more);

		if (more == NULL)
			return NULL;
		if (list->n > 0)
			memcpy(more, list->node, list->n * sizeof *more);
		list->node = more;
		list->cap = cap;
	}
	return &list->node[list->n++];
}

static unsigned
configured_use(const struct imap_conf *conf, struct span path)
{
	unsigned use = 0;

	for (size_t i = 0; i < conf->nspecial; i++)
		if (span_eq(path, span_of(conf->special[i].path)))
			use |= conf->special[i].use;
	return use;
}

struct taking {
	struct imap *im;
	struct boxlist *list;
	struct buf text;
};

static int
take_one(void *arg, const struct view_mailbox *box)
{
	struct taking *t = arg;
	struct boxnode *node = add_node(&t->im->arena, t->list);

	buf_reset(&t->text);
	if (node == NULL ||
	    name_of_path(&t->im->conf->names, box->path, &t->text) == -1)
		return -1;
	*node = (struct boxnode){.text = arena_copy(&t->im->arena, buf_span(&t->text)),
	                         .path = arena_copy(&t->im->arena, box->path),
	                         .exists = box->exists,
	                         .leaf = box->leaf,
	                         .subscribed = box->subscribed};
	if (box->exists)
		node->use = box->use | configured_use(t->im->conf, box->path);
	return node->text.p == NULL || node->path.p == NULL ? -1 : 0;
}

/* ---- the levels above ----------------------------------------------------------------------- */

/* The separator sorts before all else: what is below follows its parent at once. */
static int
by_levels(const void *a, const void *b, void *separator)
{
	const struct span x = ((const struct boxnode *)a)->text;
	const struct span y = ((const struct boxnode *)b)->text;
	char sep = *(char *)separator;

	for (size_t i = 0; i < x.n && i < y.n; i++) {
		unsigned char cx = x.p[i] == sep ? 0 : (unsigned char)x.p[i];
		unsigned char cy = y.p[i] == sep ? 0 : (unsigned char)y.p[i];

		if (cx != cy)
			return cx < cy ? -1 : 1;
	}
	return (x.n > y.n) - (x.n < y.n);
}

static bool
is_below(struct span text, struct span parent, char separator)
{
	return text.n > parent.n && text.p[parent.n] == separator &&
	       span_starts(text, parent);
}

/* Append the levels between `above` and the node that no mailbox has, then the node. */
static int
add_with_parents(struct arena *a, struct boxlist *out, const struct boxnode *node,
                 size_t above, char separator)
{
	size_t from = above == BOXLIST_TOP ? 0 : out->node[above].text.n + 1;
	struct boxnode *new;

	for (size_t i = from; i < node->text.n; i++) {
		if (node->text.p[i] != separator)
			continue;
		if ((new = add_node(a, out)) == NULL)
			return -1;
		*new = (struct boxnode){.text = {node->text.p, i}, .parent = above};
		above = out->n - 1;
	}
	if ((new = add_node(a, out)) == NULL)
		return -1;
	*new = *node;
	new->parent = above;
	return 0;
}

static int
add_parents(struct imap *im, const struct boxlist *sorted, struct boxlist *out)
{
	char separator = im->conf->names.separator;

	for (size_t i = 0; i < sorted->n; i++) {
		const struct boxnode *node = &sorted->node[i];
		size_t above = out->n > 0 ? out->n - 1 : BOXLIST_TOP;

		while (above != BOXLIST_TOP &&
		       !is_below(node->text, out->node[above].text, separator))
			above = out->node[above].parent;
		if (add_with_parents(&im->arena, out, node, above, separator) == -1)
			return -1;
	}
	return 0;
}

static void
tell_parents(struct boxlist *list)
{
	for (size_t i = list->n; i-- > 0;) {
		const struct boxnode *node = &list->node[i];

		if (node->parent != BOXLIST_TOP && (node->exists || node->children))
			list->node[node->parent].children = true;
	}
}

int
boxlist_take(struct imap *im, struct boxlist *list)
{
	struct boxlist found = {0};
	struct taking t = {.im = im, .list = &found};
	char separator = im->conf->names.separator;
	int rc = view_mailboxes(&im->home, take_one, &t);

	buf_free(&t.text);
	if (rc != 0)
		return -1;
	if (found.n > 0)
		qsort_r(found.node, found.n, sizeof *found.node, by_levels, &separator);
	if (add_parents(im, &found, list) == -1)
		return -1;
	tell_parents(list);
	return 0;
}
