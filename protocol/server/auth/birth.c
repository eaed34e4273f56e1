#include "protocol/server/auth/birth.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

static void
begin(pid_t parent, int sock)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	closelog(); /* its descriptor would be closed behind its back */
	/* nobody else's sockets: a child answers its parent only */
	if (dup2(sock, BIRTH_SOCKET) == -1)
		_exit(1);
	close_range(BIRTH_SOCKET + 1, ~0U, 0);
}

pid_t
birth(int *sock)
{
	pid_t parent = getpid(), pid;
	int pair[2], saved;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	if ((pid = fork()) == 0) {
		begin(parent, pair[1]);
		return 0;
	}
	saved = errno;
	close(pair[1]);
	if (pid == -1)
		close(pair[0]);
	else
		*sock = pair[0];
	errno = saved;
	return pid;
}
