/*
 * A blocking read of `events`, here a pipe, goes on until the client says something or the
 * time is up, wherever in between the session is just then.
 */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/imap/sentry.h"

#define LONG_MS 60000
#define ROUNDS  2000

static struct test {
	struct sentry s;
	int client, input; /* the two ends of the connection */
	int news, events;  /* of the pipe */
} t;

static int
open_test(void **state)
{
	int pair[2], ends[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1 || pipe(ends) == -1)
		return -1;
	t = (struct test){
	    .client = pair[0], .input = pair[1], .news = ends[1], .events = ends[0]};
	return fcntl(t.events, F_SETFL, O_NONBLOCK);
}

static int
close_test(void **state)
{
	(void)state;
	if (t.client != -1)
		close(t.client);
	close(t.input);
	close(t.news);
	return close(t.events);
}

static void
post(int timeout_ms)
{
	assert_int_equal(sentry_post(&t.s, t.input, t.events, timeout_ms), 0);
}

static void
say(void)
{
	assert_int_equal(write(t.client, "D", 1), 1);
}

/* As a session does: until the sentry calls. Events that were read. */
static size_t
sit(void)
{
	size_t n = 0;
	char c;

	while (!sentry_called(&t.s))
		if (read(t.events, &c, 1) == 1)
			n++;
		else
			assert_true(errno == EINTR || errno == EAGAIN);
	return n;
}

/* It does not block any more, and the signal does not come through. */
static void
check_dismissed(int want)
{
	sigset_t mask;
	char c;

	assert_int_equal(sentry_dismiss(&t.s), want);
	assert_int_equal(read(t.events, &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	assert_true(sigismember(&mask, SIGUSR1));
}

static void
the_client_ends_the_wait(void **state)
{
	(void)state;
	post(LONG_MS);
	say();
	assert_int_equal(sit(), 0);
	check_dismissed(1);
}

static void
a_client_that_hangs_up_ends_it(void **state)
{
	(void)state;
	post(LONG_MS);
	close(t.client);
	t.client = -1;
	assert_int_equal(sit(), 0);
	check_dismissed(1);
}

static void
it_ends_when_the_time_is_up(void **state)
{
	(void)state;
	post(10);
	assert_int_equal(sit(), 0);
	check_dismissed(0);
}

static void
it_can_be_dismissed_before(void **state)
{
	(void)state;
	post(LONG_MS);
	check_dismissed(0);
	assert_int_equal(sentry_dismiss(&t.s), 0); /* there is none now */
}

static void *
bring_news_then_say(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(write(t.news, "n", 1), 1);
	say();
	return NULL;
}

static void
news_are_read_meanwhile(void **state)
{
	pthread_t other;
	size_t n;
	char c;

	(void)state;
	post(LONG_MS);
	assert_int_equal(pthread_create(&other, NULL, bring_news_then_say, NULL), 0);
	n = sit();
	pthread_join(other, NULL);
	assert_int_equal(sentry_dismiss(&t.s), 1);
	while (read(t.events, &c, 1) == 1)
		n++;
	assert_int_equal(n, ROUNDS);
}

/* The call falls before, into and after the beginning of the read: it must end each time. */
static void
the_call_is_never_missed(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		char c;

		post(LONG_MS);
		say();
		for (volatile int spin = i * 20 % 20000; spin > 0; spin--)
			;
		assert_int_equal(sit(), 0);
		check_dismissed(1);
		assert_int_equal(read(t.input, &c, 1), 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_client_ends_the_wait, open_test,
	                                    close_test),
	    cmocka_unit_test_setup_teardown(a_client_that_hangs_up_ends_it, open_test,
	                                    close_test),
	    cmocka_unit_test_setup_teardown(it_ends_when_the_time_is_up, open_test,
	                                    close_test),
	    cmocka_unit_test_setup_teardown(it_can_be_dismissed_before, open_test,
	                                    close_test),
	    cmocka_unit_test_setup_teardown(news_are_read_meanwhile, open_test,
	                                    close_test),
	    cmocka_unit_test_setup_teardown(the_call_is_never_missed, open_test,
	                                    close_test),
	};

	alarm(120); /* a read that never ends */
	sentry_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
