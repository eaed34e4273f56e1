/*
 * number: mailbox numbers, the upper half of node ids. A number belongs to one mailbox
 * of one store under one UIDVALIDITY, is durable before it is handed out, and never
 * used again. The file `boxes` in index_path is text, a line per fact, the last one
 * counts: `<number> <store>/<path>`, `<number> -` for one that was given up; the last
 * line of a torn write is ignored.
 */
#ifndef STORAGE_NUMBER_H
#define STORAGE_NUMBER_H

#include <stdint.h>

struct numbers;

int numbers_open(int index_path, struct numbers **); /* descriptor is borrowed */
void numbers_close(struct numbers *);

/* The number of a mailbox, given out now if need be; durable after numbers_sync. */
int numbers_get(struct numbers *, const char *store, const char *path, uint32_t *);
int numbers_sync(struct numbers *);
int numbers_rename(struct numbers *, uint32_t, const char *store, const char *newpath);
int numbers_drop(struct numbers *, uint32_t); /* its folder may be removed afterwards */

#endif
