/*
 * confcheck: a configuration as the commands take it: read, judged by those who will
 * use its settings, and its notes told.
 */
#ifndef SERVER_CONFCHECK_H
#define SERVER_CONFCHECK_H

#include "protocol/server/config.h"

/*
 * config_load(), and what only the sessions and OpenSSL know to judge. `keys` gets what
 * mailtree-login needs of certificates and keys, as childkeys.h takes it; NULL: nobody does.
 * -1: it has mistakes.
 */
int confcheck_load(struct config *, const char *path, struct buf *keys);

void confcheck_log(const struct config *); /* every note, a log line each */

#endif
