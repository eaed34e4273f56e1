/*
 * seal: the system calls that a process keeps. Everything else ends it, with a line in the
 * log that names the call. One table, in seal.c, says who keeps what.
 */
#ifndef PROTOCOL_SEAL_H
#define PROTOCOL_SEAL_H

#include <stdbool.h>

enum seal_role {
	SEAL_POP3,  /* mailtree-pop3 */
	SEAL_IMAP,  /* mailtree-imap */
	SEAL_LOGIN, /* mailtree-login */
	SEAL_AUTH,  /* mailtree-auth, but not its workers */
};

/*
 * Was it built in? Not on machines that seal.c does not know, and not with ThreadSanitizer: there
 * seal() fails with ENOSYS.
 */
bool seal_built(void);

/*
 * For good, for this process and all that it starts. `program` and `name` (whose process it
 * is) stand in the log line; both are borrowed for ever. 0, or -1 with errno: then all calls
 * are allowed still.
 */
int seal(enum seal_role, const char *program, const char *name);

#endif
