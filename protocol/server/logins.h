/*
 * logins: the login processes as their parent sees them. A pool of them serves the listeners
 * of a service, or one the listeners of both when neither asks for more. A process says when it
 * takes no more clients; another is started when a client waits and no process would take it,
 * and when there may be no more, one that has somebody who has not logged in must make room.
 */
#ifndef SERVER_LOGINS_H
#define SERVER_LOGINS_H

#include <poll.h>

#include "protocol/server/child.h"
#include "protocol/server/listen.h"
#include "protocol/server/msg.h"

#define LOGINS_POOLS 2

/* A client who has logged in (START): by a process of settings of that age. Takes the fd. */
typedef void logins_start_fn(void *arg, uint32_t age, const struct msg *, int fd);

/* Private: one process. */
struct login_process {
	struct child child;
	uint32_t number; /* 1..65535: upper part of its connections' ids */
	uint32_t age;    /* struct logins' when it was started */
	uint8_t pool;
	enum logins_state { LOGINS_FREE, LOGINS_FULL, LOGINS_TAKEN } state;
	bool asked;        /* to make room */
	bool retired;      /* it drains: it has earlier settings */
	struct pollfd *at; /* of logins_poll */
};

/* Private: those of a service. */
struct login_pool {
	bool on;                   /* it has listeners */
	bool kind[LISTEN_KINDS];   /* these */
	enum conf_service service; /* whose limits count */
	uint32_t count, clients, processes,
	    ready; /* the limits; clients 0: the usual many */
	struct restart restart;
	int64_t warned; /* clock_ms of its last warning */
	bool waits;     /* a client does, and no process would take it */
	struct pollfd *at;
	size_t nat;
};

struct logins {
	struct login_process **all; /* owned */
	size_t n;
	struct login_pool pool[LOGINS_POOLS];
	uint32_t number;  /* of the last that was started */
	uint32_t age;     /* of the settings: how often they were read again */
	struct pollfd *p; /* private: of logins_poll */
	size_t np;
	logins_start_fn *start; /* set by the caller, as is arg */
	void *arg;
};

/* What a process is started with; borrowed. */
struct logins_source {
	const struct config *conf;
	const struct listen_set *listen;
	struct child *auth;
	int keys; /* childkeys.h */
};

/* Settings for processes that will be started. */
void logins_configure(struct logins *, const struct config *);

/* Start what is to run at all times, and what a client waits for. */
void logins_start(struct logins *, const struct logins_source *);

/* clock_ms when logins_start is to be called again, or INT64_MAX. */
int64_t logins_due(const struct logins *);

/* auth is new: those of the present settings get a socket to it. */
void logins_introduce(struct logins *, struct child *auth);

/*
 * What to wait for: *n descriptors, borrowed until the next call; copies of them go back to
 * logins_polled, which acts on what came. NULL: no memory.
 */
const struct pollfd *logins_poll(struct logins *, const struct listen_set *, size_t *n);
void logins_polled(struct logins *, const struct pollfd *);

/*
 * All that run are of earlier settings from now on: they take no new clients, and end when
 * those whom they have are gone.
 */
void logins_retire(struct logins *);

/* May any of that age still bring somebody who has logged in? */
bool logins_drain(const struct logins *, uint32_t age);

/* Reaped: true when it was one of them. `quiet`: the server stops, no death is news. */
bool logins_ended(struct logins *, pid_t, int status, bool quiet);

size_t logins_running(const struct logins *);    /* those of the present settings */
void logins_signal(struct logins *, int signal); /* to all */
void logins_close(struct logins *);

#endif
