/* sessions: whom a connection is expected to be. */
#include <stdlib.h>

#include "protocol/server/sessions.h"

#include "tests/unit/support/check.h"

static struct record
record(const char *user)
{
	return (struct record){.user = span_of(user),
	                       .uid = 1000,
	                       .gid = 1000,
	                       .groups = SPAN("-"),
	                       .home = SPAN("/home/x"),
	                       .location = SPAN("maildir:/home/x/Maildir")};
}

static void
the_last_word_counts(void **state)
{
	static char name[300];
	struct sessions s = {0};
	struct record ann = record("ann"), bob = record("bob"), endless;

	(void)state;
	memset(name, 'x', sizeof name - 1);
	endless = record(name);
	sessions_expect(&s, 7, &ann);
	check_true(sessions_expected(&s, 7), "the first");
	check_true(!sessions_expected(&s, 8), "another connection");
	sessions_expect(&s, 7, &bob);
	check_true(sessions_expected(&s, 7), "the second");
	check_num(s.npending, 1, "one in place of the other");
	/* who cannot be kept must not leave the one before: that was somebody else */
	sessions_expect(&s, 7, &endless);
	check_true(!sessions_expected(&s, 7), "neither");
	check_num(s.npending, 0, "nobody");
}

static void
there_is_a_ceiling(void **state)
{
	struct sessions s = {0};
	struct record ann = record("ann");

	(void)state;
	sessions_expect(&s, 1, &ann);
	s.npending = SESSIONS_PENDING_MAX; /* as if the others were there */
	sessions_expect(&s, 2, &ann);
	check_true(!sessions_expected(&s, 2), "one that has no room");
	sessions_expect(&s, 1, &ann);
	check_true(sessions_expected(&s, 1), "one that replaces itself has");
	sessions_expire(&s);
	check_true(sessions_expected(&s, 1), "it is not late yet");
	check_num(s.npending, SESSIONS_PENDING_MAX, "as many as before");
	s.npending = 1;
	sessions_expect(&s, 1, &ann);
	check_num(s.npending, 1, "itself");
	free(s.pending);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_last_word_counts),
	    cmocka_unit_test(there_is_a_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
