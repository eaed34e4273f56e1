/*
 * importcmd: `config import` of the mailtree command.
 */
#ifndef SERVER_IMPORTCMD_H
#define SERVER_IMPORTCMD_H

#include <stddef.h>

/*
 * Read a dovecot.conf, or Courier's files, which their names tell, and write a
 * configuration of ours to the new file `to`, NULL: standard output. The exit status.
 */
int import_run(const char *to, char *const *path, size_t n);

#endif
