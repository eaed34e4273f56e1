/* state: the lines of .mailbox, and that their size is known without printing them. */
#include "fs/state.h"

#include <stdio.h>

#include "tests/unit/support/check.h"

static const struct {
	struct mt_record rec;
	const char *want; /* without the blanks that fill the line */
} messages[] = {
    {{.uid = 1}, "         1                    0                    0 ----- --------------------------"},
    {{.uid = 4294901759u, .wire_size = UINT64_MAX, .date = INT64_MAX,
      .flags = MT_FLAGS, .keywords = (1u << MT_NKEYWORD) - 1},
     "4294901759 18446744073709551615  9223372036854775807 DFRST abcdefghijklmnopqrstuvwxyz"},
    {{.uid = 42, .wire_size = 28, .date = -1, .flags = MT_SEEN, .keywords = 1},
     "        42                   28                   -1 ---S- a-------------------------"},
    {{.uid = 42, .wire_size = 28, .date = INT64_MIN, .flags = MT_DELETED | MT_DRAFT,
      .keywords = 1u << 25},
     "        42                   28 -9223372036854775808 D---T -------------------------z"},
    {{.uid = 5, .wire_size = 1, .date = 1, .flags = MT_ANSWERED | MT_FLAGGED},
     "         5                    1                    1 -FR-- --------------------------"},
};

static void
a_message_is_one_line_of_96(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		struct buf out = {0};
		char want[STATE_MESSAGE_LINE + 1];

		snprintf(want, sizeof want, "%-95s\n", messages[i].want);
		check_num(state_add_message(&out, &messages[i].rec), 0, "row %zu", i);
		check_span(buf_span(&out), span_of(want), "row %zu", i);
		buf_free(&out);
	}
}

static struct mt_header
header(unsigned nkeyword, const char *const *names, uint64_t nmessage)
{
	struct mt_header h = {
	    .uidvalidity = 1700000000, .uidnext = 8, .nmessage = nmessage, .nkeyword = nkeyword};

	for (unsigned i = 0; i < nkeyword; i++)
		snprintf(h.keyword[i], sizeof h.keyword[i], "%s", names[i]);
	return h;
}

static void
the_head_has_fixed_widths(void **state)
{
	const char *const names[] = {"$Forwarded", "", "foo"};
	struct mt_header h = header(3, names, 5);
	struct buf out = {0};
	char want[4 * 32 + 2 * 160 + 1];

	(void)state;
	snprintf(want, sizeof want,
		 "uidvalidity          1700000000\nuidnext                       8\n"
		 "messages                      5\nkeywords                      2\n"
		 "a %-157s\nc %-157s\n",
		 "$Forwarded", "foo");
	check_num(state_add_head(&out, &h), 0, "printing");
	check_span(buf_span(&out), span_of(want), "head");
	buf_free(&out);
}

static void
the_size_is_known_beforehand(void **state)
{
	char longest[MT_KEYWORD_MAX + 1];
	const char *const names[] = {"", longest, "x", ""};

	(void)state;
	memset(longest, 'k', MT_KEYWORD_MAX);
	longest[MT_KEYWORD_MAX] = '\0';
	for (unsigned nkeyword = 0; nkeyword <= 4; nkeyword++)
		for (uint64_t n = 0; n < 40; n += 13) {
			struct mt_header h = header(nkeyword, names, n);
			struct mt_record r = {.uid = 1};
			struct buf out = {0};

			check_num(state_add_head(&out, &h), 0, "head");
			for (uint64_t i = 0; i < n; i++)
				check_num(state_add_message(&out, &r), 0, "message");
			check_num(out.n, state_size(&h), "%u keywords, %ju messages", nkeyword,
				  (uintmax_t)n);
			buf_free(&out);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_message_is_one_line_of_96),
	    cmocka_unit_test(the_head_has_fixed_widths),
	    cmocka_unit_test(the_size_is_known_beforehand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
