/* check: mailtreed --check. */
#ifndef FS_CHECK_H
#define FS_CHECK_H

/* A line per violation on stdout. 0: none; 1: some; 2: it could not be looked at. */
int check_store(const char *location);

#endif
