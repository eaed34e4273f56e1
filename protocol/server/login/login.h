/*
 * login: the event loop of mailtree-login: accepts, talks to clients that have not
 * logged in, asks mailtree-auth, and hands the client over to the parent; a client that
 * speaks TLS stays, and only what it says is handed over (relay).
 */
#ifndef LOGIN_LOGIN_H
#define LOGIN_LOGIN_H

#include "protocol/server/config.h"
#include "protocol/server/listen.h"

struct tls_set;

/* What an outsider could push against. A connection takes at most LOGIN_MEMORY_MAX. */
#define LOGIN_CONNECTIONS_MAX 10000 /* then the oldest one that waits makes room */
#define LOGIN_LAST_MS         60000 /* for a client to take the last of a session */
#define LOGIN_DRAIN_MS        60000 /* after a reload, for those who have not logged in */
#define LOGIN_WARN_MS         10000 /* between two lines that say the same */
#define LOGIN_READ_MAX        1024  /* octets taken from a client at once */
#define LOGIN_MEMORY_MAX      16384 /* octets for one connection, its replies too */
#define LOGIN_UNREAD_MAX      8192  /* octets that the kernel holds for us to read */
#define LOGIN_LISTENERS_MAX   64
#define LOGIN_RELAYS_MAX      4096   /* sessions whose clients speak TLS */
#define LOGIN_SESSION_UNREAD  262144 /* octets that the kernel holds for a session */
/*
 * Of TLS there is more: while hands are shaken OpenSSL holds a record and a message, with all
 * else at most LOGIN_TLS_MEMORY_MAX; who is silent holds nothing of it, neither before nor
 * after. A relay holds 2 * RELAY_CHUNK besides.
 */
#define LOGIN_TLS_MEMORY_MAX 65536

struct login_params {
	const struct config *conf; /* borrowed */
	uint32_t number; /* of this process, 1..65535: upper part of its ids */
	uint32_t service_count; /* connections, then it ends with the last; 0: any number */
	uint32_t client_limit;  /* connections at a time, sessions' too; 0: as above */
	bool alone; /* there is no other process: when it is full, the oldest makes room */
	int parent;      /* SEQPACKET socket to mailtree serve */
	int auth;        /* SEQPACKET socket to mailtree-auth */
	int listener[LOGIN_LISTENERS_MAX]; /* in the order of kinds */
	size_t nlistener, of[LISTEN_KINDS];
	const struct tls_set *tls; /* borrowed; NULL: no TLS */
};

/*
 * Serve until SIGTERM or until the parent is gone; then only relays go on, to their end. When
 * the parent says that the process is to retire, those who are connected may log in before.
 * Returns the exit status.
 */
int login_run(const struct login_params *);

#endif
