/* options: mailtreed's command line. */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

#include <stdbool.h>

struct options {
	bool foreground, readonly, allow_other, xattr, no_inotify, syslog, check, version, help;
	int users_fd; /* -1: one user */
	int ready_fd; /* -1: none */
	const char *index_path; /* NULL: the default */
	const char *source;	/* NULL with users_fd */
	const char *mountpoint; /* NULL with check */
};

/* 0, or -1 having said what is wrong. */
int options_parse(int argc, char **argv, struct options *);
void options_print_help(void);

#endif
