/*
 * confcheck: a configuration as the commands take it: read, judged by those who will
 * use its settings, and its notes told.
 */
#ifndef SERVER_CONFCHECK_H
#define SERVER_CONFCHECK_H

#include "protocol/server/config.h"

/* config_load(), and what only the sessions know to judge. -1: it has mistakes. */
int confcheck_load(struct config *, const char *path);

void confcheck_log(const struct config *); /* every note, a log line each */

#endif
