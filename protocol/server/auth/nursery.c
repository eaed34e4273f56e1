#include "protocol/server/auth/nursery.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/server/auth/birth.h"
#include "protocol/server/auth/worker.h"
#include "storage/base/io.h"

/* pid 0: fork one; else: end that one. Answered by the pid, with the socket, or -errno. */
struct order {
	pid_t pid;
};

static int nursery = -1; /* our end */

/* ---- the nursery's side --------------------------------------------------------------- */

static void
give_birth(const struct config *conf, int asker)
{
	int sock = -1;
	pid_t pid = worker_start(conf, &sock);
	struct order born = {pid == -1 ? -errno : pid};
	struct span answer = {(const char *)&born, sizeof born};

	if (pid == -1) {
		(void)send(asker, answer.p, answer.n, MSG_NOSIGNAL);
		return;
	}
	(void)io_send_fd(asker, sock, answer);
	close(sock);
}

/* A pid that was reaped can be another's by now: only an own child is killed. */
static void
end(pid_t pid)
{
	if (pid <= 0 || waitpid(pid, NULL, WNOHANG) != 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		;
}

static void __attribute__((noreturn)) nurse(const struct config *conf, int sock)
{
	struct order o;

	while (recv(sock, &o, sizeof o, 0) == (ssize_t)sizeof o)
		if (o.pid == 0)
			give_birth(conf, sock);
		else
			end(o.pid);
	_exit(0); /* the workers are killed with it */
}

/* ---- mailtree-auth's side ------------------------------------------------------------- */

int
nursery_open(const struct config *conf)
{
	pid_t pid = birth(&nursery);

	if (pid == 0)
		nurse(conf, BIRTH_SOCKET);
	return pid == -1 ? -1 : 0;
}

pid_t
nursery_worker(int *sock)
{
	struct order o = {0};

	if (send(nursery, &o, sizeof o, MSG_NOSIGNAL) == -1 ||
	    io_recv_fd(nursery, sock, &o, sizeof o) != (ssize_t)sizeof o)
		return -1;
	if (o.pid > 0 && *sock != -1)
		return o.pid;
	errno = o.pid < 0 ? -o.pid : EPROTO;
	return -1;
}

void
nursery_end(pid_t pid)
{
	struct order o = {pid};

	(void)send(nursery, &o, sizeof o, MSG_NOSIGNAL);
}
