/*
 * talks: the SASL dialogues that mailtree-auth has going, and which worker has the state of
 * each. A dialogue is dead when it is over here but its worker has not been told: nobody waits
 * for a worker to tell it. Workers are rows of their owner's table, by their numbers.
 */
#ifndef AUTH_TALKS_H
#define AUTH_TALKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/server/auth/authd.h"

struct talk {
	uint64_t id; /* 0: free */
	uint32_t login;
	int64_t begun;                /* clock_ms */
	int worker;                   /* -1: none has it yet */
	bool dead;                    /* worker has to be told */
	char remote[64], address[64]; /* the caller's: as of its requests */
};

/* {0} is ready. */
struct talks {
	struct talk row[AUTHD_DIALOGS_MAX];
	/* private */
	struct {
		unsigned n, ndead; /* dialogues that it has; those to be told of */
	} of[AUTHD_WORKERS_MAX];
};

/* The living one of that id, or NULL. */
struct talk *talks_find(struct talks *, uint64_t id);

/*
 * A place for one more of that login process; one with the same id dies. The oldest makes
 * room, at once or in a moment: NULL.
 */
struct talk *talks_add(struct talks *, uint64_t id, uint32_t login);

/* That worker is about to have it. */
void talks_give(struct talks *, struct talk *, size_t worker);

/* It is over here. */
void talks_kill(struct talks *, struct talk *);

/* It is over, and its worker knows. None of that id: nothing. */
void talks_end(struct talks *, uint64_t id);

/* Those that have lasted too long; those of a login process. */
void talks_kill_old(struct talks *, int64_t now);
void talks_kill_login(struct talks *, uint32_t login);

/* A dead one that this worker has to be told of, or NULL; and when it has been told. */
struct talk *talks_dead(struct talks *, size_t worker);
void talks_told(struct talks *, struct talk *);

/* The worker is gone, and all that it had. */
void talks_forget(struct talks *, size_t worker);

/* How many it has, the dead included. */
unsigned talks_count(const struct talks *, size_t worker);

/* When talks_kill_old() has to be called: clock_ms; INT64_MAX: never. */
int64_t talks_due(const struct talks *);

#endif
