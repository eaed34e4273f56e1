/* tree: a store's boxes as a tree of directories. Private to storage/. */
#ifndef STORAGE_TREE_H
#define STORAGE_TREE_H

#include "storage/box.h"

int tree_open(struct store *); /* makes the top */
void tree_close(struct store *);

/* The mailbox died under this number (UIDVALIDITY changed, removed by somebody else):
 * take it out of the tree; if it is still in the store it comes back under a new number. */
void tree_drop(struct box *);

/* box.c: a box without contents; freed when the last reference goes. */
struct box *box_alloc(struct store *, enum box_kind, uint32_t number);
void box_free(struct box *);
void box_close(struct box *); /* lets go of the store: driver->close, index files; io held */

#endif
