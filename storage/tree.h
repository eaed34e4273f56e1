/* tree: a store's boxes as a tree of directories. Private to storage/. */
#ifndef STORAGE_TREE_H
#define STORAGE_TREE_H

#include "storage/box.h"

int tree_open(struct store *); /* makes the top */
void tree_close(struct store *);

/* The mailbox died under this number (UIDVALIDITY changed, removed by somebody else):
 * take it out of the tree; if it is still in the store it comes back under a new number. */
void tree_drop(struct box *);

/* All below: store->tree is held. */

int tree_list(struct store *); /* look whether there are others now */
struct box *tree_find(struct store *, struct span path); /* borrowed; NULL */
/* Make what is missing above a path; *parent is borrowed. What nothing comes below of
 * goes with the next tree_list_now(). */
int tree_add_parents(struct store *, struct span path, struct box **parent,
		     struct span *name);
int tree_list_now(struct store *);
/* Nothing but perhaps a bare parent without children has the new name. */
int tree_rename(struct box *, struct box *to, const char *newname);
bool tree_is_below(const struct box *, const struct box *above);

/* box.c: a box without contents; freed when the last reference goes. */
struct box *box_alloc(struct store *, enum box_kind, uint32_t number);
void box_free(struct box *);
void box_close(struct box *); /* lets go of the store: driver->close, index files; io held */

#endif
