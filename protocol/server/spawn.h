/* spawn: start one of our own programs, with the descriptors that it needs. */
#ifndef SERVER_SPAWN_H
#define SERVER_SPAWN_H

#include <stdint.h>
#include <sys/types.h>

#define SPAWN_ARGS_MAX 96

struct spawn {
	const char *program;              /* found by base/program.h */
	const char *argv[SPAWN_ARGS_MAX]; /* argv[0] is set; NULL-terminated */
	size_t argc;
	int keep[SPAWN_ARGS_MAX]; /* stay open, under the same numbers */
	size_t nkeep;
	uint64_t caps; /* see caps.h */
	char numbers[SPAWN_ARGS_MAX][12]; /* room for descriptors among the arguments */
};

void spawn_init(struct spawn *, const char *program);
void spawn_arg(struct spawn *, const char *); /* borrowed until spawn_run */
void spawn_fd(struct spawn *, int fd);        /* an argument that stays open too */
void spawn_number(struct spawn *, unsigned);
void spawn_keep_caps(struct spawn *, uint64_t mask); /* instead of all that we have */

/*
 * Fork and exec: the child has no signal blocked or ignored, / as its directory, and is
 * sent SIGTERM when the caller dies. Its pid, or -1 errno (ENOENT: no such program).
 */
pid_t spawn_run(struct spawn *);

/* In a child, before exec: as spawn_run leaves it, but for the descriptors. */
void spawn_clean(void);

#endif
