/* kept: processes that are free, and those that do not do what they must. */
#include "protocol/server/kept.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/server/clock.h"
#include "tests/unit/support/check.h"

#define ANN SPAN("imap\0ann")
#define BOB SPAN("imap\0bob")

static const struct again_client nobody = {.tag = SPAN("a"), .lang = SPAN("en")};

/* A process that does nothing, and whose words we say at its end of the pair. */
struct fake {
	pid_t pid;
	int sock;
};

static struct fake
start(struct kept *k, struct span key, uint32_t clients)
{
	pid_t parent = getpid();
	int pair[2];
	struct fake f;

	check_num(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0, "pair");
	check_num(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0, "O_NONBLOCK");
	check_true((f.pid = fork()) != -1, "fork");
	if (f.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves none */
		while (getppid() == parent)
			pause();
		_exit(1);
	}
	f.sock = pair[1];
	kept_add(k, key, f.pid, pair[0], clients);
	return f;
}

static void
say(const struct fake *f, const char *word)
{
	check_num(write(f->sock, word, 1), 1, "a word");
}

#define SOON_MS   200
#define AT_ALL_MS 20000 /* a sanitised process takes its time to die */

/* Is it killed within that time? Reaped, when it is. */
static bool
is_killed_in(struct kept *k, const struct fake *f, int ms)
{
	int status;

	for (int i = 0; i < ms; i++) {
		if (waitpid(f->pid, &status, WNOHANG) == f->pid) {
			kept_forget(k, f->pid);
			return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		}
		usleep(1000);
	}
	return false;
}

static bool
is_killed(struct kept *k, const struct fake *f)
{
	return is_killed_in(k, f, AT_ALL_MS);
}

static void
end(struct kept *k, const struct fake *f)
{
	kill(f->pid, SIGKILL);
	check_true(is_killed(k, f), "it has ended");
	close(f->sock);
}

/* Read what it was sent, which is all that it takes to have read it. */
static void
read_it(const struct fake *f)
{
	char room[AGAIN_PACKET_MAX];

	check_true(recv(f->sock, room, sizeof room, 0) > 0, "what it was sent");
}

static void
one_is_found_by_its_key_alone(void **state)
{
	struct kept k;
	struct fake ann;

	(void)state;
	check_num(kept_open(&k), 0, "open");
	ann = start(&k, ANN, 0);
	check_num(kept_offer(&k, ANN, 0, &nobody), 0, "it has a client");
	check_num(kept_idle(&k, SPAN("imap\0")), 0, "idle");
	say(&ann, ".");
	check_num(kept_offer(&k, BOB, 0, &nobody), 0, "another user");
	check_num(kept_offer(&k, SPAN("imap\0an"), 0, &nobody), 0, "a beginning");
	check_num(kept_offer(&k, SPAN("imap\0ann\0x"), 0, &nobody), 0, "more");
	check_num(kept_idle(&k, SPAN("imap\0")), 1, "idle");
	check_num(kept_idle(&k, SPAN("pop3\0")), 0, "of another protocol");
	check_num(kept_offer(&k, ANN, 0, &nobody), ann.pid, "its user");
	check_true(kept_owes(&k, ann.pid) && !kept_is_idle(&k, ann.pid), "it owes");
	check_num(kept_offer(&k, ANN, 0, &nobody), 0, "one at a time");
	read_it(&ann);
	say(&ann, "+");
	kept_heard(&k);
	check_true(!kept_owes(&k, ann.pid), "taken");
	end(&k, &ann);
	kept_close(&k);
}

/* Whoever says that it is free again and again, and reads nothing, holds nobody up. */
static void
nobody_is_waited_for(void **state)
{
	static const char *const words[] = {"..", ".+.", "+", "x"};
	struct kept k;

	(void)state;
	check_num(kept_open(&k), 0, "open");
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct fake f = start(&k, ANN, 0);

		for (const char *w = words[i]; *w != '\0'; w++) {
			say(&f, (char[]){*w, '\0'});
			kept_heard(&k);
		}
		check_num(kept_offer(&k, ANN, 0, &nobody), 0, "row %zu", i);
		end(&k, &f);
	}
	struct fake f = start(&k, ANN, 0);
	int n = 0;

	for (; n < 100000; n++) {
		if (write(f.sock, ".", 1) != 1)
			break;
		if (kept_offer(&k, ANN, 0, &nobody) == 0)
			break;
		if (write(f.sock, "+", 1) != 1)
			break;
	}
	check_true(n > 0 && n < 100000, "%d clients, and no more", n);
	end(&k, &f);
	kept_close(&k);
}

static void
who_does_not_end_or_read_is_killed(void **state)
{
	struct kept k;
	struct fake f;

	(void)state;
	check_num(kept_open(&k), 0, "open");
	f = start(&k, ANN, 0); /* free, let go, and goes on */
	say(&f, ".");
	kept_expire(&k, clock_ms());
	check_num(k.nfree, 1, "it waits");
	kept_expire(&k, clock_ms() + KEPT_FREE_MS + 1);
	check_num(k.nfree, 0, "let go");
	check_true(kept_is_idle(&k, f.pid) && kept_has_dues(&k), "but not gone");
	kept_expire(&k, clock_ms() + KEPT_END_MS + 1);
	check_true(is_killed(&k, &f), "who was let go");
	close(f.sock);

	f = start(&k, ANN, 0); /* does not read */
	say(&f, ".");
	check_num(kept_offer(&k, ANN, 0, &nobody), f.pid, "offered");
	kept_expire(&k, clock_ms() + KEPT_READ_MS + 1);
	check_true(is_killed(&k, &f), "who does not read");
	close(f.sock);

	f = start(&k, ANN, 0); /* has read, and takes its time */
	say(&f, ".");
	check_num(kept_offer(&k, ANN, 0, &nobody), f.pid, "offered");
	read_it(&f);
	kept_expire(&k, clock_ms() + 1000000);
	check_true(!is_killed_in(&k, &f, SOON_MS), "who opens a mailbox");
	kept_retire(&k); /* it can still say so */
	say(&f, "+");
	kept_heard(&k);
	check_true(!kept_owes(&k, f.pid), "taken");
	say(&f, ".");
	kept_heard(&k);
	check_num(k.nfree, 0, "retired");
	kept_expire(&k, clock_ms() + KEPT_END_MS + 1);
	check_true(is_killed(&k, &f), "who was retired");
	close(f.sock);
	kept_close(&k);
}

static void
only_so_many_clients(void **state)
{
	struct kept k;

	(void)state;
	check_num(kept_open(&k), 0, "open");
	for (uint32_t clients = 1; clients < 4; clients++) {
		struct fake f = start(&k, ANN, clients);
		uint32_t had = 1;

		for (; had < 10; had++) {
			say(&f, ".");
			if (kept_offer(&k, ANN, 0, &nobody) == 0)
				break;
			read_it(&f);
			say(&f, "+");
		}
		check_num(had, clients, "clients");
		check_num(k.nfree, 0, "none is free");
		end(&k, &f);
	}
	kept_close(&k);
}

static void
the_oldest_makes_room(void **state)
{
	static struct fake f[KEPT_FREE_MAX + 1];
	struct kept k;

	(void)state;
	check_num(kept_open(&k), 0, "open");
	for (size_t i = 0; i < ARRAY_LEN(f); i++) {
		f[i] = start(&k, i == 0 ? BOB : ANN, 0);
		say(&f[i], ".");
		kept_heard(&k);
		if (i == 0)
			usleep(2000); /* older by the clock, too */
	}
	check_num(k.nfree, KEPT_FREE_MAX, "that wait");
	check_num(kept_idle(&k, SPAN("")), ARRAY_LEN(f), "that have no client");
	check_num(kept_offer(&k, BOB, 0, &nobody), 0, "the oldest is gone");
	for (size_t i = 0; i < ARRAY_LEN(f); i++)
		end(&k, &f[i]);
	check_num(kept_idle(&k, SPAN("")), 0, "none");
	kept_close(&k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_is_found_by_its_key_alone),
	    cmocka_unit_test(nobody_is_waited_for),
	    cmocka_unit_test(who_does_not_end_or_read_is_killed),
	    cmocka_unit_test(only_so_many_clients),
	    cmocka_unit_test(the_oldest_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
