/*
 * handle: open files as numbers. What the kernel keeps for an open file is a slot of
 * this table, never an address: a later daemon can be given the same table.
 */
#ifndef FS_HANDLE_H
#define FS_HANDLE_H

#include <stdint.h>

struct handles;

int handles_open(struct handles **);
void handles_close(struct handles *);

uint64_t handle_put(struct handles *, void *);	/* never 0; 0 with ENOMEM, ENFILE */
void *handle_get(struct handles *, uint64_t fh); /* NULL when it is not open */
void *handle_take(struct handles *, uint64_t fh); /* and free the slot */

#endif
