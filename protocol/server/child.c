#include "protocol/server/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/server/childconf.h"
#include "protocol/server/clock.h"
#include "protocol/server/spawn.h"
#include "storage/base/log.h"

void
restart_started(struct restart *r)
{
	r->started = clock_ms();
}

void
restart_ended(struct restart *r)
{
	int64_t now = clock_ms();

	if (now - r->started > RESTART_MOST_MS)
		r->wait = 0;
	r->again = now + r->wait;
	r->wait = r->wait == 0 ? RESTART_LEAST_MS : r->wait * 2;
	if (r->wait > RESTART_MOST_MS)
		r->wait = RESTART_MOST_MS;
}

void
child_close(struct child *c)
{
	if (c->sock != -1)
		close(c->sock);
	c->sock = -1;
}

/* Fork it; `theirs` is its end of the socket. -1 errno. */
static int
run(struct child *c, const struct config *conf, const unsigned *number, size_t nnumber,
    int theirs, const int *fds, size_t n)
{
	struct spawn s;
	pid_t pid;
	int settings;

	if ((settings = childconf_make(conf, strcmp(c->name, "mailtree-auth") == 0)) == -1)
		return -1;
	spawn_init(&s, c->name);
	spawn_keep_caps(&s, c->caps);
	spawn_fd(&s, settings);
	for (size_t i = 0; i < nnumber; i++)
		spawn_number(&s, number[i]);
	spawn_fd(&s, theirs);
	for (size_t i = 0; i < n; i++)
		spawn_fd(&s, fds[i]);
	pid = spawn_run(&s);
	close(settings);
	if (pid == -1)
		return -1;
	c->pid = pid;
	return 0;
}

int
child_start(struct child *c, const struct config *conf, const unsigned *number,
            size_t nnumber, const int *fds, size_t n)
{
	int pair[2], rc;

	restart_started(&c->restart);
	c->told = false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1) {
		log_error("%s: %s", c->name, strerror(errno));
		restart_ended(&c->restart);
		return -1;
	}
	if ((rc = run(c, conf, number, nnumber, pair[1], fds, n)) == -1) {
		log_error("%s: %s", c->name, strerror(errno));
		restart_ended(&c->restart);
		close(pair[0]);
	} else {
		c->sock = pair[0];
		fcntl(c->sock, F_SETFL, O_NONBLOCK);
	}
	close(pair[1]);
	return rc;
}

void
child_tell(struct child *c)
{
	if (c->pid == 0)
		return;
	c->told = true;
	kill(c->pid, SIGTERM);
}

pid_t
child_retire(struct child *c)
{
	pid_t pid = c->pid;

	child_tell(c);
	child_close(c);
	c->pid = 0;
	c->restart.again = c->restart.wait = 0;
	return pid;
}

void
child_kill(struct child *c)
{
	log_error("%s says what it must not and is killed", c->name);
	if (c->pid != 0)
		kill(c->pid, SIGKILL);
	child_close(c);
}

const char *
child_how(int status, char room[static 64])
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		snprintf(room, 64, "killed: it made a system call that it must not");
	else if (WIFSIGNALED(status))
		snprintf(room, 64, "killed by signal %d", WTERMSIG(status));
	else
		snprintf(room, 64, "exit status %d", WEXITSTATUS(status));
	return room;
}

void
child_ended(struct child *c, int status)
{
	char room[64];

	if (!c->told)
		log_error("%s has ended (%s)", c->name, child_how(status, room));
	c->pid = 0;
	child_close(c);
	restart_ended(&c->restart);
	if (c->told) /* no fault of its own */
		c->restart.again = c->restart.wait = 0;
}
