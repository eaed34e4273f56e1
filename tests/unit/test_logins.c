/* logins: when a process is due, and what is done with one that has ended. */
#include "protocol/server/logins.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/server/clock.h"
#include "tests/unit/support/check.h"

static void
it_is_due_when_it_may_be_started(void **state)
{
	const int64_t later = clock_ms() + 100000;
	const struct {
		const char *what;
		bool on;
		uint32_t processes, ready;
		int64_t again, due;
	} row[] = {
	    {"one is to be ready", true, 1, 1, 0, 0},
	    {"not yet", true, 1, 1, later, later},
	    {"a client starts it, who is looked for", true, 20, 0, 0, INT64_MAX},
	    {"who is not looked for before", true, 20, 0, later, later},
	    {"none may be there", true, 0, 0, later, INT64_MAX},
	    {"no listeners", false, 20, 1, later, INT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct logins l = {0};

		l.pool[1].on = row[i].on;
		l.pool[1].processes = row[i].processes;
		l.pool[1].ready = row[i].ready;
		l.pool[1].restart.again = row[i].again;
		check_num(logins_due(&l), row[i].due, "%s", row[i].what);
	}
}

/* A process of the only pool; its end of the pair is *theirs. */
static void
add(struct logins *l, pid_t pid, int *theirs)
{
	struct login_process *p = calloc(1, sizeof *p);
	int pair[2];

	check_true(p != NULL && (l->all = calloc(1, sizeof *l->all)) != NULL, "memory");
	check_num(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0,
	          "pair");
	p->child =
	    (struct child){.name = "mailtree-login", .pid = pid, .sock = pair[0]};
	l->all[l->n++] = p;
	*theirs = pair[1];
}

/* When it has been reaped its number may be that of anybody. */
static void
whose_last_words_are_bad_is_not_signalled(void **state)
{
	struct logins l = {0};
	pid_t parent = getpid(), other = fork();
	int sock, status;

	(void)state;
	check_true(other != -1, "fork");
	if (other == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent)
			pause();
		_exit(1);
	}
	add(&l, other, &sock);
	check_num(write(sock, "nonsense", 8), 8, "words");
	close(sock);
	check_true(logins_ended(&l, other, 0, true), "it was one");
	check_num(l.n, 0, "how many are left");
	check_num(kill(other, SIGTERM), 0, "kill");
	check_num(waitpid(other, &status, 0), other, "waitpid");
	check_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM,
	           "nobody else signalled it");
	logins_close(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_due_when_it_may_be_started),
	    cmocka_unit_test(whose_last_words_are_bad_is_not_signalled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
