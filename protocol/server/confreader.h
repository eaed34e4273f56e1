/*
 * confreader: private to confapply.c (texts and blocks) and confset.c (settings): one
 * configuration text being read.
 */
#ifndef SERVER_CONFREADER_H
#define SERVER_CONFREADER_H

#include "protocol/server/config.h"
#include "protocol/server/confscan.h"
#include "protocol/server/settings.h"

/* Where an item stands. */
enum where {
	AT_TOP = 1,
	AT_AUTH = 2,     /* version 1's `auth default {`: databases and mechanisms */
	AT_SERVICE = 4,  /* service pop3-login {, imap-login { */
	AT_LISTENER = 8, /* inet_listener { in one */
	AT_PASSDB = 16,
	AT_USERDB = 32,
	AT_PROTOCOL = 64, /* protocol pop3 {, imap { */
	AT_SKIPPED = 128,
	AT_NAMESPACE = 256,
	AT_MAILBOX = 512, /* mailbox Sent { in one */
	AT_LIST = 1024,   /* version 2.4's `protocols { imap = yes }` */
	AT_PREFIX = 2048, /* its `ssl_server { cert_file = x }`: ssl_server_cert_file */
	AT_FILTER = 4096, /* local and remote: for some addresses only */
	AT_LOCAL = 8192,  /* local_name mail.example.org { */
	AT_FIELDS = 16384, /* version 2.4's `userdb static { fields { uid = x } }` */
};

/* One text being read. */
struct reader {
	struct config *conf;
	struct conf_place at; /* of the item at hand */
	conf_include *include;
	enum where nest[CONF_NEST_MAX + 1];
	struct conf_place opened[CONF_NEST_MAX + 1];
	unsigned depth;     /* blocks open */
	unsigned deeper;    /* blocks open beyond CONF_NEST_MAX */
	char *service;      /* owned; the service or protocol that is open */
	size_t listener;    /* row of the open inet_listener */
	size_t db;          /* row of the open passdb or userdb */
	size_t ns;          /* row of the open namespace */
	size_t mailbox;     /* row of the open mailbox in it */
	enum conf_key list; /* what the open list belongs to */
	char prefix[16];    /* of the open block of settings */
	size_t local;       /* row of the open local_name */
};

#define FAIL(r, ...) config_note((r)->conf, true, &(r)->at, __VA_ARGS__)
#define WARN(r, ...) config_note((r)->conf, false, &(r)->at, __VA_ARGS__)

/* One item `name = value`, in the block that is open. Notes what is wrong with it. */
void confset_item(struct reader *, const struct confscan_item *);

/* The listener of that service and name, made when it is new. NULL after a note. */
struct conf_listener *confset_listener(struct reader *, struct span service,
                                       struct span name);

/* Do its answers lead to what they usually lead to: yes is yes, else the next is asked? */
bool confset_results_usual(const struct conf_db *);

/* Drivers that this version has, and those that it knows by name only. */
bool confset_driver_known(struct span);
bool confset_driver_later(struct span);

/* `yes`, `no` and what else means them: 1 or 0 in *out. NULL, or what is wrong. (config.c) */
const char *config_bool(struct span, uint64_t *out);

/* The enum conf_result or conf_skip of that name, or -1. (confprint.c) */
int config_result(struct span);
int config_skip(struct span);

/* Does a name within passdb or userdb decide who may log in? Never passed over. */
bool confset_decides_access(struct span name);

/* One warning for each known name that is not honoured. */
void confset_warn_known(struct reader *, const struct known *, const char *kind,
                        struct span name);

/* A copy of the text, NULL after a note; one row more of an array, zeroed, likewise. */
char *confset_copy(struct reader *, struct span);
void *confset_grow(struct reader *, void **rows, size_t *n, size_t size);

/* Empty the list, unless it was given already, for the words that are to come. */
void confset_begin_list(struct reader *, enum conf_key);

/*
 * What a userdb says of those who have it from nowhere else, or of everybody (conffields.c):
 * words, or one name and value of version 2.4's block, which may be a passdb's.
 */
void conffields_defaults(struct reader *, struct span words);
void conffields_overrides(struct reader *, struct span words);
void conffields_add(struct reader *, struct span name, struct span value);

/*
 * When all texts are in: what an older dialect says in one place and a newer one in another.
 */
void confdialect_finish(struct config *);

/* The database whose block is open. */
struct conf_db *confset_db(struct reader *);

#endif
