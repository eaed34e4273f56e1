/* env: the inside of store.h's env: what the whole process shares. Private to storage/. */
#ifndef STORAGE_ENV_H
#define STORAGE_ENV_H

#include <pthread.h>

#include "storage/box.h"
#include "storage/number.h"
#include "storage/pool.h"
#include "storage/watch.h"

#define ENV_BUCKETS 1024 /* of the table from number to box */

struct env {
	int index_path;	     /* directory, flock'ed: ours alone */
	uint8_t epoch[16];   /* that index files are written in */
	char *private_path;  /* removed at the end when another daemon has index_path */
	struct numbers *numbers;
	struct pool *pool; /* counting and background refreshes */
	struct watch *watch;
	void (*wake)(void *, uint32_t);
	void *wake_arg;
	pthread_t ticker; /* looks once more after outside changes */
	bool ticking;
	bool quick_end;
	pthread_cond_t end; /* with lock: ending */
	bool ending;	    /* lock */
	pthread_mutex_t lock;
	struct store *stores;		   /* lock */
	struct box *box[ENV_BUCKETS]; /* lock: by number */
};

void env_add_box(struct env *, struct box *);
void env_drop_box(struct env *, struct box *);

#endif
