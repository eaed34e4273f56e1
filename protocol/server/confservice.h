/*
 * confservice: how many processes and clients a service may have: `service imap-login {` and
 * `service imap {`, and how many connections a user may have from one address.
 */
#ifndef SERVER_CONFSERVICE_H
#define SERVER_CONFSERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/base/buf.h"

struct config;
struct conf_place;

/* Those before logins, then those of sessions. */
enum conf_service {
	CONF_SERVICE_POP3_LOGIN,
	CONF_SERVICE_IMAP_LOGIN,
	CONF_SERVICE_POP3,
	CONF_SERVICE_IMAP,
	CONF_NSERVICE,
};

enum conf_limit {
	CONF_CLIENT_LIMIT,      /* clients of one process */
	CONF_PROCESS_LIMIT,     /* processes */
	CONF_PROCESS_MIN_AVAIL, /* of them ready before there are clients */
	CONF_SERVICE_COUNT, /* clients, then a process ends; 0: any number */
	CONF_MAX_USERIP, /* connections of one user from one address; 0: any number */
	CONF_NLIMIT,
};

#define CONFSERVICE_LOGINS_MAX  1000  /* processes of one login service */
#define CONFSERVICE_TURNS	1000  /* clients of a session's process, one after the other */
#define CONFSERVICE_CLIENTS_MAX 10000 /* that wait to log in, in one of them */

struct conf_limits {
	uint32_t value[CONF_NLIMIT];
	bool given[CONF_NLIMIT];
	unsigned line[CONF_NLIMIT]; /* where it stood; of the first file's name: */
	char *file;                 /* owned */
};

/* The service of that name, or CONF_NSERVICE; its name. */
enum conf_service confservice_find(struct span name);
const char *confservice_name(enum conf_service);

/* The limit of that name in a block `service`, or CONF_NLIMIT. */
enum conf_limit confservice_limit(struct span name);

/* Set it from its text. NULL, or what is wrong with it (static). */
const char *confservice_set(struct config *, enum conf_service, enum conf_limit,
                            struct span value, const struct conf_place *);

/*
 * What counts: as given, else the default: one login process for all clients, 1,024 sessions of
 * a protocol, 1,000 clients one after the other in the process of a session, 10 of one user from one address unless mail_max_userip_connections says otherwise.
 */
uint32_t confservice_value(const struct config *, enum conf_service, enum conf_limit);

/* How many processes there may be: process_limit, of sessions times client_limit. */
uint32_t confservice_processes(const struct config *, enum conf_service);

/* Warn of values that make no sense, or cannot be had. */
void confservice_check(struct config *);

/* The blocks, of what is given. -1 ENOMEM. */
int confservice_print(const struct config *, struct buf *);

void confservice_free(struct config *);

#endif
