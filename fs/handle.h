/*
 * handle: open files as numbers. What the kernel keeps for an open file is a slot of
 * this table, never an address: a later daemon can be given the same table.
 */
#ifndef FS_HANDLE_H
#define FS_HANDLE_H

#include <stdint.h>

struct handles;

struct fs;

int handles_open(struct handles **);
/* What is still open is given to its drop function: at the end of a mount the kernel
 * does not tell of every close. */
void handles_close(struct fs *, struct handles *);

/* Never 0, but 0 with ENOMEM, ENFILE. */
uint64_t handle_put(struct handles *, void *, void (*drop)(struct fs *, void *));
void *handle_get(struct handles *, uint64_t fh); /* NULL when it is not open */
void *handle_take(struct handles *, uint64_t fh); /* and free the slot */

#endif
