#include "protocol/server/auth/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "protocol/server/authdb.h"
#include "storage/base/log.h"

struct worker {
	const struct config *conf;
	int sock;
	struct authdb_user user; /* room, used again and again */
};

static int
answer_user(struct worker *w, enum authdb_is is)
{
	struct record_room room;
	struct span f[RECORD_FIELDS];

	if (is == AUTHDB_NOBODY)
		return msg_send(w->sock, -1, MSG_NOBODY, NULL, 0);
	if (is == AUTHDB_FAILED)
		return msg_send(w->sock, -1, MSG_FAILED, NULL, 0);
	record_fields(&w->user.record, &room, f);
	return msg_send(w->sock, -1, MSG_RECORD, f, RECORD_FIELDS);
}

static int
answer_names(struct worker *w)
{
	struct buf names = {.max = MSG_PACKET_MAX - 64};
	int rc;

	rc = authdb_names(w->conf, &names) == 0
	         ? MSG_SEND(w->sock, -1, MSG_ALLNAMES, buf_span(&names))
	         : msg_send(w->sock, -1, MSG_FAILED, NULL, 0);
	buf_free(&names);
	return rc;
}

static int
answer(struct worker *w, const struct msg *m)
{
	switch (m->type) {
	case MSG_CHECK:
		return answer_user(w, authdb_check(w->conf, m->f[0], m->f[1], m->f[2],
		                                   m->f[3], &w->user));
	case MSG_FIND:
		return answer_user(w, authdb_find(w->conf, m->f[0], &w->user));
	case MSG_ALL:
		return answer_names(w);
	default:
		return -1;
	}
}

static void __attribute__((noreturn)) work(const struct config *conf, int sock)
{
	struct worker w = {.conf = conf, .sock = sock};
	static char room[MSG_PACKET_MAX];
	struct msg m;
	int fd;

	while (msg_recv(sock, MSG_AUTHD, MSG_WORKER, room, sizeof room, &m, &fd) == 1 &&
	       answer(&w, &m) == 0)
		explicit_bzero(room, sizeof room); /* a password was in it */
	_exit(0);
}

pid_t
worker_start(const struct config *conf, int *sock)
{
	pid_t parent = getpid(), pid;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	if ((pid = fork()) == -1) {
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		closelog(); /* its descriptor would be closed behind its back */
		/* nobody else's sockets: a worker answers its parent only */
		if (dup2(pair[1], 3) == -1)
			_exit(1);
		close_range(4, ~0U, 0);
		work(conf, 3);
	}
	close(pair[1]);
	*sock = pair[0];
	return pid;
}
