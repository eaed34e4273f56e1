/*
 * courierconf: Courier's configuration, files of shell variables, as ours. Pure.
 */
#ifndef SERVER_COURIERCONF_H
#define SERVER_COURIERCONF_H

#include "protocol/server/config.h"
#include "protocol/server/shellvars.h"

enum courierconf_file {
	COURIERCONF_IMAPD,
	COURIERCONF_IMAPD_SSL,
	COURIERCONF_POP3D,
	COURIERCONF_POP3D_SSL,
	COURIERCONF_AUTHDAEMONRC,
	COURIERCONF_NFILE,
};

struct courierconf {
	struct shellvars vars[COURIERCONF_NFILE];
	const char *path[COURIERCONF_NFILE]; /* borrowed; NULL: it was not read */
};

/* Which of Courier's files is this, by its name? COURIERCONF_NFILE: none of them. */
enum courierconf_file courierconf_which(const char *path);

/*
 * Take in one of the files. What is no assignment, and what has no counterpart here, is
 * noted in `notes` (config_note), with its place.
 */
void courierconf_read(struct courierconf *, enum courierconf_file, const char *path,
                      struct span text, struct config *notes);

/*
 * What all files together mean, as a configuration of ours, without a comment. A component
 * whose file was not read is off; the authdaemonrc that was not read is Courier's usual one.
 * 0, or -1 ENOMEM.
 */
int courierconf_write(const struct courierconf *, struct buf *out,
                      struct config *notes);
void courierconf_free(struct courierconf *);

#endif
