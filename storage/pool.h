/* pool: a few threads that run jobs in the order in which they were given. */
#ifndef STORAGE_POOL_H
#define STORAGE_POOL_H

#include <stddef.h>

struct pool;
int pool_open(unsigned nthread, struct pool **);
/* run(arg) later, on some thread, holding nothing. -1 ENOMEM. */
int pool_submit(struct pool *, void (*run)(void *), void *arg);
/* Runs what was submitted, then ends the threads. */
void pool_close(struct pool *);

#endif
