/*
 * users_private: what the two halves of users share: users.c has the tables, the requests
 * and their questions; users_answer.c takes the answers, and opens stores.
 */
#ifndef FS_USERS_PRIVATE_H
#define FS_USERS_PRIVATE_H

#include <pthread.h>

#include "fs/users.h"
#include "storage/base/hash.h"

#define NNEGATIVE  1024
#define NUSER_HASH 1024

struct user {
	char *name;
	struct store *store;
	struct box *top; /* reference */
	struct user *by_name, *by_store;
};

/* A request that waits. */
struct waiter {
	fuse_req_t req;
	struct fuse_file_info fi; /* of an opendir */
	struct waiter *next;
};

/* A question that was asked and not answered yet; one per name. */
struct question {
	uint32_t id;
	char *name; /* NULL: the list of users */
	int64_t until_ms;
	bool opening; /* answered: the store is being opened */
	struct waiter *waiters;
	struct question *next;
};

struct negative {
	char name[256];
	int64_t until_ms;
};

struct users {
	struct fs *fs;
	int sock;
	pthread_t thread;
	struct hash_key key; /* clients choose the names */
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t opened; /* nopening fell */
	struct user *by_name[NUSER_HASH], *by_store[NUSER_HASH];
	struct negative negative[NNEGATIVE];
	struct question *questions;
	uint32_t last_id;
	unsigned nopening;
	bool stop;
};

/* Tables; u->lock is held. A user that was found stays until the end. */
struct user *users_find(struct users *, const char *name);
void users_link(struct users *, struct user *);
void users_set_negative(struct users *, const char *name);
struct question **users_find_question(struct users *, uint32_t id); /* *it NULL: none */

/* Out of the table, to be answered; NULL when nobody asks that any more. */
struct question *users_take_question(struct users *, uint32_t id);

/* Answer all who wait, and free the question; no lock. `told`: names, each ended by a NUL. */
void users_answer_lookups(struct question *, struct box *top, int err);
void users_answer_lists(struct users *, struct question *, const struct buf *told);

void *users_thread(void *users); /* takes answers until the socket ends */

#endif
