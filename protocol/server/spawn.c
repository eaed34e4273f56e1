#include "protocol/server/spawn.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "protocol/server/caps.h"
#include "storage/base/program.h"

void
spawn_init(struct spawn *s, const char *program)
{
	memset(s, 0, sizeof *s);
	s->program = program;
	s->caps = UINT64_MAX;
	s->argv[s->argc++] = program;
}

void
spawn_arg(struct spawn *s, const char *arg)
{
	assert(s->argc + 1 < SPAWN_ARGS_MAX);
	s->argv[s->argc++] = arg;
}

void
spawn_number(struct spawn *s, unsigned n)
{
	snprintf(s->numbers[s->argc], sizeof s->numbers[0], "%u", n);
	spawn_arg(s, s->numbers[s->argc]);
}

void
spawn_fd(struct spawn *s, int fd)
{
	s->keep[s->nkeep++] = fd;
	spawn_number(s, (unsigned)fd);
}

void
spawn_keep_caps(struct spawn *s, uint64_t mask)
{
	s->caps = mask;
}

void
spawn_clean(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static void __attribute__((noreturn))
become(const struct spawn *s, const char *path, pid_t parent)
{
	spawn_clean();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent || chdir("/") == -1)
		_exit(1);
	if (caps_keep(s->caps) == -1)
		err(1, "capabilities of %s", s->program);
	for (size_t i = 0; i < s->nkeep; i++)
		if (fcntl(s->keep[i], F_SETFD, 0) == -1)
			err(1, "descriptor %d for %s", s->keep[i], s->program);
	execv(path, (char *const *)s->argv);
	err(1, "%s", path);
}

pid_t
spawn_run(struct spawn *s)
{
	char path[PATH_MAX];
	pid_t parent = getpid(), pid;

	if (program_find(s->program, path, sizeof path) == -1)
		return -1;
	if ((pid = fork()) == 0)
		become(s, path, parent);
	return pid;
}
