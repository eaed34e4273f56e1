/*
 * childconf: how serve's children begin. The parent hands each the settings in force as
 * an open file in the language of config_print(), so that all of them agree and none
 * needs a path.
 */
#ifndef SERVER_CHILDCONF_H
#define SERVER_CHILDCONF_H

#include "protocol/server/config.h"

/*
 * An open memfd with the settings; -1 errno. The caller closes it. No child is told the
 * passwords of keys, and only one that asks the databases (mailtree-auth) their args: in their
 * place stands /dev/null.
 */
int childconf_make(const struct config *, bool databases);

/* Read it and close it. The child exits with a message when it is none. */
void childconf_read(struct config *, int fd, const char *program);

/* Where the log goes (log_path), for the program named. -1 errno: cannot be opened. */
int childconf_log(const struct config *, const char *program);

#endif
