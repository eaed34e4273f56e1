/* hello: the first octets of a handshake, of every length, on a real socket too. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include <sys/socket.h>
#include <unistd.h>

#include "protocol/server/hello.h"

static void
what_a_hello_needs(void **state)
{
	static const struct {
		struct span first;
		size_t want;
	} row[] = {
	    {SPAN("\x16\x03\x01\x00\xc8\x01\x00\x00\xc4"), 205},
	    {SPAN("\x16\x03\x03\x02\x00\x01\x00\x01\xfc"), 517},
	    /* of more than one record, or of a long one: what is waited for is bounded */
	    {SPAN("\x16\x03\x01\x00\x04\x01\x00\x01\xfc"), 9},
	    {SPAN("\x16\x03\x01\x1f\xff\x01\x00\x1f\xfb"), HELLO_WAIT},
	    {SPAN("\x16\x03\x01\x40\x00\x01\x00\x20\x00"), HELLO_WAIT},
	    /* too long, too short, something else */
	    {SPAN("\x16\x03\x01\x40\x00\x01\x00\x20\x01"), 0},
	    {SPAN("\x16\x03\x01\x40\x00\x01\x01\xff\xfc"), 0},
	    {SPAN("\x16\x03\x01\x40\x01\x01\x00\x00\xc4"), 0},
	    {SPAN("\x16\x03\x01\x00\x03\x01\x00\x00\xc4"), 0},
	    {SPAN("\x16\x02\x01\x00\xc8\x01\x00\x00\xc4"), 0},
	    {SPAN("\x16\x03\x01\x00\xc8\x02\x00\x00\xc4"), 0},
	    {SPAN("\x15\x03\x01\x00\xc8\x01\x00\x00\xc4"), 0},
	    {SPAN("\x80\x2e\x01\x03\x01\x00\x15\x00\x00"), 0},
	    {SPAN("a LOGIN x"), 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		check_num(hello_needs(guarded(row[i].first)), row[i].want, "row %zu",
		          i);
		for (size_t n = 0; n < HELLO_FIRST; n++)
			check_num(
			    hello_needs(guarded((struct span){row[i].first.p, n})), 0,
			    "row %zu, %zu octets", i, n);
		guard_free_all();
	}
}

/* Octet by octet: nothing is taken, and it begins with the last one or after some looks. */
static void
a_hello_that_dribbles(void **state)
{
	static const char whole[] = "\x16\x03\x01\x00\x10\x01\x00\x00\x0cxxxxxxxxxxxx";
	const size_t n = sizeof whole - 1;
	char room[64];

	(void)state;
	for (size_t step = 1; step <= n; step++) {
		uint8_t looks = 0;
		size_t sent = 0, here;
		int pair[2], said = 0;

		check_num((uint64_t)socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0,
		          "pair");
		check_num((uint64_t)hello_look(pair[0], &looks), 0, "nothing yet");
		while (said == 0 && sent < n) {
			size_t more = n - sent < step ? n - sent : step;

			check_num((uint64_t)send(pair[1], whole + sent, more, 0), more,
			          "send");
			sent += more;
			said = hello_look(pair[0], &looks);
		}
		check_num((uint64_t)said, 1, "step %zu: %zu octets", step, sent);
		check_true(sent == n || looks > HELLO_LOOKS, "step %zu: %zu octets",
		           step, sent);
		here = (size_t)recv(pair[0], room, sizeof room, MSG_DONTWAIT);
		check_span((struct span){room, here}, (struct span){whole, sent},
		           "step %zu", step);
		close(pair[0]);
		close(pair[1]);
	}
}

static void
what_is_none(void **state)
{
	static const struct {
		const char *sent;
		bool end;
		int want;
	} row[] = {{"", true, -1},
	           {"a LOGIN x y\r\n", false, -1},
	           {"\x16\x03", false, 0},
	           {"CAPA\r\n", false, 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint8_t looks = 0;
		int pair[2];

		check_num((uint64_t)socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0,
		          "pair");
		(void)send(pair[1], row[i].sent, strlen(row[i].sent), 0);
		if (row[i].end)
			(void)shutdown(pair[1], SHUT_WR);
		check_num((uint64_t)hello_look(pair[0], &looks), (uint64_t)row[i].want,
		          "row %zu", i);
		for (int k = 0; k <= HELLO_LOOKS; k++)
			if (hello_look(pair[0], &looks) != 0)
				break;
		check_num((uint64_t)hello_look(pair[0], &looks), (uint64_t)-1,
		          "row %zu, after some looks", i);
		close(pair[0]);
		close(pair[1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_a_hello_needs),
	    cmocka_unit_test(a_hello_that_dribbles),
	    cmocka_unit_test(what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
