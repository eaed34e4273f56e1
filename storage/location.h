/* location: where a store lies and of what kind it is, from one line of text (store.h). */
#ifndef STORAGE_LOCATION_H
#define STORAGE_LOCATION_H

#include <stdbool.h>

struct driver;

struct location {
	const struct driver *driver;
	char *root;      /* owned: the top directory */
	char *inbox;     /* owned: path of the INBOX elsewhere; NULL */
	bool inbox_only; /* root is only where the INBOX lies */
};

/* -1: EPROTONOSUPPORT, no such kind; EINVAL; ENOENT, ENOTDIR...: a bare path is looked at. */
int location_parse(const char *text, struct location *);
void location_free(struct location *);

#endif
