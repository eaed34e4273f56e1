/* words: header values as text, at every cut and in every room. */
#include "storage/mime/words.h"

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#define FFFD "\xef\xbf\xbd"

static const struct {
	const char *in, *want;
} row[] = {
    {"", ""},
    {"plain text", "plain text"},
    {"folded\r\n text\r\n\tmore\r\n", "folded text more"},
    {"a\tb\n\t\tc", "a\tb \tc"},
    {"raw \xc3\xa4 \xe4!", "raw \xc3\xa4 " FFFD "!"},
    {"=?utf-8?Q?a=C3=A4_b?=", "a\xc3\xa4 b"},
    {"=?UTF-8?b?w6Q=?=", "\xc3\xa4"},
    {"=?iso-8859-1?q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>",
     "Keld J\xc3\xb8rn Simonsen <keld@dkuug.dk>"},
    {"=?iso-8859-1*da?q?J=F8rn?=", "J\xc3\xb8rn"},
    /* RFC 2047 section 8 */
    {"=?ISO-8859-1?Q?a?=", "a"},
    {"=?ISO-8859-1?Q?a?= b", "a b"},
    {"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"},
    {"=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"},
    {"=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=", "ab"},
    {"=?ISO-8859-1?Q?a_b?=", "a b"},
    {"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"},
    {"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
     " =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
     "If you can read this you understand the example."},
    /* a character in two words */
    {"=?utf-8?B?w6?= =?utf-8?Q?=A4?=", "\xc3\xa4"},
    {"=?utf-8?Q?=C3?= =?UTF-8?Q?=A4?=", "\xc3\xa4"},
    {"=?utf-8?Q?=C3?= x =?UTF-8?Q?=A4?=", FFFD " x " FFFD},
    {"=?iso-2022-jp?B?GyRCRnwbKEI=?= =?iso-2022-jp?B?GyRCS1wbKEI=?=",
     "\xe6\x97\xa5\xe6\x9c\xac"},
    {"=?utf-8?Q?a?= \t ", "a \t "},
    {"=?utf-8?Q?a?=b", "ab"},
    {"x=?utf-8?Q?a?=y", "xay"},
    {"(=?utf-8?Q?a?=)", "(a)"},
    {"=?utf-8?Q?"
     "?=",
     ""},
    {"=?utf-8?Q?What?"
     "?=",
     "What?"},
    {"=?utf-8?Q?with space?=", "with space"},
    {"=?utf-8?Q?=4?=", "=4"},
    {"=?utf-8?Q?=XX?=", "=XX"},
    {"=?nobody-knows?Q?a=E4?=", "a" FFFD},
    /* broken ones stay as they are */
    {"=", "="},
    {"=?", "=?"},
    {"=?=", "=?="},
    {"=?=?utf-8?Q?a?=", "=?a"},
    {"==?utf-8?Q?a?=", "=a"},
    {"=?utf-8", "=?utf-8"},
    {"=?utf-8?", "=?utf-8?"},
    {"=?utf-8?Q", "=?utf-8?Q"},
    {"=?utf-8?Q?", "=?utf-8?Q?"},
    {"=?utf-8?Q?abc", "=?utf-8?Q?abc"},
    {"=?utf-8?Q?abc?", "=?utf-8?Q?abc?"},
    {"=?utf-8?X?abc?=", "=?utf-8?X?abc?="},
    {"=?utf-8??abc?=", "=?utf-8??abc?="},
    {"=?utf-8?QQ?abc?=", "=?utf-8?QQ?abc?="},
    {"=??Q?abc?=", "=??Q?abc?="},
    {"=?utf 8?Q?abc?=", "=?utf 8?Q?abc?="},
    {"a = b == c", "a = b == c"},
    {"=?utf-8?Q?a?= =?utf-8?Z?b?=", "a =?utf-8?Z?b?="},
    {"=?utf-8?Q?a?= = b", "a = b"},
    {"=?0123456789012345678901234567890123456789?Q?abc?=", "abc"},
    {"=?01234567890123456789012345678901234567890?Q?abc?=",
     "=?01234567890123456789012345678901234567890?Q?abc?="},
};

static void
run_in_steps(struct span in, size_t step, size_t cap, struct buf *out)
{
	char *room = guarded_room(cap);
	struct words w;
	size_t n;

	words_init(&w);
	while (in.n > 0) {
		struct span piece = {in.p, in.n < step ? in.n : step};

		in = span_from(in, piece.n);
		do {
			n = words_push(&w, &piece, room, cap);
			assert_true(n <= cap);
			assert_int_equal(buf_add(out, (struct span){room, n}), 0);
		} while (n == cap);
		assert_int_equal(piece.n, 0);
	}
	do {
		n = words_end(&w, room, cap);
		assert_true(n <= cap);
		assert_int_equal(buf_add(out, (struct span){room, n}), 0);
	} while (n == cap);
	words_drop(&w);
}

static void
same_however_cut(void **state)
{
	static const size_t caps[] = {1, 3, 100};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++)
			for (size_t k = 0; k < ARRAY_LEN(caps); k++) {
				struct buf got = {0};

				run_in_steps(guarded(span_of(row[i].in)), step, caps[k],
				             &got);
				check_mem(got.p, got.n, row[i].want,
				          "row %zu, step %zu, cap %zu", i, step,
				          caps[k]);
				buf_free(&got);
				guard_free_all();
			}
}

static struct span
repeated(struct buf *b, const char *head, char c, size_t n, const char *tail)
{
	buf_reset(b);
	assert_int_equal(buf_add(b, span_of(head)), 0);
	memset(buf_room(b, n), c, n);
	b->n += n;
	assert_int_equal(buf_add(b, span_of(tail)), 0);
	return buf_span(b);
}

/* What is longer than what is held is text; nothing of it is lost. */
static void
long_ones(void **state)
{
	struct buf in = {0}, got = {0};

	(void)state;
	repeated(&in, "=?utf-8?Q?", 'a', 2 * WORDS_MAX, "?=");
	run_in_steps(buf_span(&in), 100, 64, &got);
	check_span(buf_span(&got), buf_span(&in), "a long word");
	buf_reset(&got);
	repeated(&in, "=?windows-1251?Q?", '\xcf', WORDS_MAX - 19, "?=");
	run_in_steps(buf_span(&in), 7, 64, &got);
	assert_int_equal(got.n, 2 * (WORDS_MAX - 19));
	buf_reset(&got);
	repeated(&in, "=?utf-8?Q?a?=", ' ', 2 * WORDS_MAX, "=?utf-8?Q?b?=");
	run_in_steps(buf_span(&in), 7, 64, &got);
	assert_int_equal(got.n, 2 * WORDS_MAX + 2);
	assert_true(got.p[0] == 'a' && got.p[got.n - 1] == 'b');
	buf_free(&in);
	buf_free(&got);
	guard_free_all();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut),
	    cmocka_unit_test(long_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
