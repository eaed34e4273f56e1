/*
 * newfile: a file that appears whole under a name that nobody had, or not at all. Until then
 * it has no name, so that nothing is left of it however the process ends; where the file
 * system has no such files it has one of its own, `.NAME.PID.tmp`.
 *
 * All: 0, or -1 after saying on stderr why.
 */
#ifndef SERVER_NEWFILE_H
#define SERVER_NEWFILE_H

#include <limits.h>
#include <sys/types.h>

#include "storage/base/span.h"

struct newfile {
	const char *path; /* borrowed; for messages */
	char name[NAME_MAX + 1];
	int dir, fd;            /* -1: not open */
	char tmp[NAME_MAX + 1]; /* "": it has no name */
};
#define NEWFILE_NONE                                                                   \
	{                                                                              \
		.dir = -1, .fd = -1                                                    \
	}

/*
 * Open the folder of `path` and look: nothing may be there under that name yet, and not
 * everybody may be able to write the folder, who could put another file there.
 */
int newfile_open(struct newfile *, const char *path);
int newfile_write(struct newfile *, struct span text, mode_t mode); /* and fsync */
int newfile_publish(struct newfile *);    /* give it its name, durably */
void newfile_take_back(struct newfile *); /* take the name away again */
void newfile_close(struct newfile *);     /* twice is fine */

/* Do both name the same file to be? */
bool newfile_same(const struct newfile *, const struct newfile *);

#endif
