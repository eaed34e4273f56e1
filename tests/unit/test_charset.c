/* charset: to UTF-8 at every cut, in every room; what means nothing becomes U+FFFD. */
#include "storage/mime/charset.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/confine.h"
#include "storage/mime/utf8.h"
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#define FFFD "\xef\xbf\xbd"

static const struct {
	const char *name, *in, *want;
	bool broken;
} row[] = {
    {"", "", "", false},
    {"", "abc", "abc", false},
    {"utf-8", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
     "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", false},
    {"UTF-8",
     "a\xe4"
     "b",
     "a" FFFD "b", true},
    {"utf-8", "\xe2\x82", FFFD FFFD, true},
    {"utf-8", "\xe2\x82(", FFFD FFFD "(", true},
    {"utf-8", "\xc0\x80\xed\xa0\x80", FFFD FFFD FFFD FFFD FFFD, true},
    {"us-ascii", "\xc3\xa4", "\xc3\xa4", false},
    {"nobody-knows", "\xe4\xc3\xa4", FFFD "\xc3\xa4", true},
    {"utf-8//translit", "\xe4", FFFD, true},
    {"iso-8859-1", "\xe4\xf6\x80", "\xc3\xa4\xc3\xb6\xe2\x82\xac", false},
    {"ISO-8859-15", "\xa4", "\xe2\x82\xac", false},
    {"iso-8859-2", "\xb1", "\xc4\x85", false},
    {"windows-1251", "\xcf\xf0\xe8\xe2\xe5\xf2",
     "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", false},
    {"windows-1252",
     "a\x81"
     "b",
     "a" FFFD "b", true},
    {"koi8-r", "\xf0\xd2", "\xd0\x9f\xd1\x80", false},
    {"gb2312", "\xc4\xe3\xba\xc3", "\xe4\xbd\xa0\xe5\xa5\xbd", false},
    {"gb18030", "\xc4\xe3\x81\x30\x81\x30z", "\xe4\xbd\xa0\xc2\x80z", false},
    {"big5", "\xa7\x41\xa6\x6e", "\xe4\xbd\xa0\xe5\xa5\xbd", false},
    {"shift_jis", "\x93\xfa\x96\x7b\\", "\xe6\x97\xa5\xe6\x9c\xac\\", false},
    {"euc-jp", "\xc6\xfc\xcb\xdc", "\xe6\x97\xa5\xe6\x9c\xac", false},
    {"euc-kr", "\xb0\xa1", "\xea\xb0\x80", false},
    {"iso-2022-jp", "a\x1b$BF|K\\\x1b(Bb",
     "a\xe6\x97\xa5\xe6\x9c\xac"
     "b",
     false},
    {"iso-2022-jp", "\x1b$BF|", "\xe6\x97\xa5", false},
    {"utf-7", "a+AOQ-b",
     "a\xc3\xa4"
     "b",
     false},
    {"euc-jp", "a\xc6", "a" FFFD, true},
    {"gb18030", "\xff\x41", FFFD "A", true},
    {"windows-1255", "\xf9\xd1x", "\xef\xac\xaax", false},
};

static void
run_in_steps(struct charset *c, const char *name, struct span in, size_t step,
             size_t cap, struct buf *out)
{
	char *room = guarded_room(cap);
	size_t n;

	charset_begin(c, span_of(name));
	while (in.n > 0) {
		struct span piece = {in.p, in.n < step ? in.n : step};

		in = span_from(in, piece.n);
		do {
			n = charset_push(c, &piece, room, cap);
			assert_true(n <= cap);
			assert_int_equal(buf_add(out, (struct span){room, n}), 0);
		} while (n == cap);
		assert_int_equal(piece.n, 0);
	}
	do {
		n = charset_end(c, room, cap);
		assert_true(n <= cap);
		assert_int_equal(buf_add(out, (struct span){room, n}), 0);
	} while (n == cap);
}

static void
same_however_cut(void **state)
{
	static const size_t caps[] = {1, 2, 3, 4, 5, 100};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++)
			for (size_t k = 0; k < ARRAY_LEN(caps); k++) {
				struct charset c;
				struct buf got = {0};

				run_in_steps(&c, row[i].name,
				             guarded(span_of(row[i].in)), step, caps[k],
				             &got);
				check_mem(got.p, got.n, row[i].want,
				          "row %zu (%s), step %zu, cap %zu", i,
				          row[i].name, step, caps[k]);
				check_num(c.broken, row[i].broken, "broken of row %zu",
				          i);
				buf_free(&got);
				guard_free_all();
			}
}

/* Two texts in one charset at a time, and more charsets than are kept. */
static void
several_at_once(void **state)
{
	struct charset a, b;
	struct span in = SPAN("\xb1"), again = SPAN("\xb1");
	char one[8], two[8];

	(void)state;
	charset_begin(&a, SPAN("iso-8859-2"));
	charset_begin(&b, SPAN("iso-8859-2"));
	assert_int_equal(charset_push(&a, &in, one, sizeof one), 2);
	assert_int_equal(charset_push(&b, &again, two, sizeof two), 2);
	assert_memory_equal(one, "\xc4\x85", 2);
	assert_memory_equal(two, "\xc4\x85", 2);
	charset_drop(&a);
	charset_drop(&b);
	charset_drop(&b);
}

static void
plain_is_the_same(void **state)
{
	static const struct {
		const char *name, *in;
		size_t want;
	} plain[] = {
	    {"", "abc\xc3\xa4", 3},
	    {"iso-8859-2", "0123456789abcdefgh\xb1", 18},
	    {"gbk", "ab\xc4\xe3", 2},
	    {"iso-2022-jp", "abc", 0},
	    {"utf-7", "abc", 0},
	    {"utf-16", "abc", 0},
	    {"nobody-knows", "abc\xff", 3},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		struct charset c;

		charset_begin(&c, span_of(plain[i].name));
		check_num(charset_plain(&c, guarded(span_of(plain[i].in))),
		          plain[i].want, "row %zu", i);
		charset_drop(&c);
		guard_free_all();
	}
}

static void
known_ones(void **state)
{
	static const char *const known[] = {"UTF-8",      "us-ascii", "ISO-8859-1",
	                                    "koi8-r",     "gb2312",   "Shift_JIS",
	                                    "iso-2022-jp"};
	static const char *const unknown[] = {
	    "", "x", "utf-8//ignore", "iso-8859-1\n",
	    "0123456789012345678901234567890123456789x"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		check_true(charset_known(span_of(known[i])), "%s", known[i]);
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		check_true(!charset_known(span_of(unknown[i])), "%s", unknown[i]);
}

/* Behind the wall: what was opened before it can be used, and used again. */
static int
behind_the_wall(void)
{
	struct buf got = {0};
	char path[64];
	int dir = scratch_make(path);

	scratch_remove(path);
	charset_preload();
	if (confine(dir) == -1)
		return 77; /* a kernel without Landlock: there is no wall */
	for (int i = 0; i < 3; i++) {
		if (charset_text(SPAN("gb18030"), SPAN("\xc4\xe3"), &got, NULL) == -1 ||
		    charset_text(SPAN("ISO-8859-1"), SPAN("\xe4"), &got, NULL) == -1 ||
		    charset_text(SPAN("iso-2022-jp"), SPAN("\x1b$BF|"), &got, NULL) ==
		        -1)
			return 1;
		/* names that have no tables make none of them go */
		for (int k = 0; k < 200; k++) {
			char name[32];

			snprintf(name, sizeof name, "no-such-%d", k);
			charset_known(span_of(name));
		}
	}
	return span_eq(buf_span(&got), SPAN("\xe4\xbd\xa0\xc3\xa4\xe6\x97\xa5"
	                                    "\xe4\xbd\xa0\xc3\xa4\xe6\x97\xa5"
	                                    "\xe4\xbd\xa0\xc3\xa4\xe6\x97\xa5"))
	           ? 0
	           : 2;
}

static void
works_without_files(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child != -1);
	if (child == 0)
		_exit(behind_the_wall());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
}

/* Against a decoder that is written from the table of RFC 3629 alone: all of two octets,
 * and the edges of three and four. */
static void
utf8_by_the_table(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 256; a++)
		for (unsigned b = 0; b < 256; b++) {
			char in[4] = {(char)a, (char)b, (char)0x80, (char)0xbf};
			bool lead3 = a >= 0xe0 && a <= 0xef,
			     lead4 = a >= 0xf0 && a <= 0xf4;
			bool tail = b >= 0x80 && b <= 0xbf;
			int want = UTF8_BAD, got;
			uint32_t c = 0;

			if (a < 0x80)
				want = 1;
			else if (a >= 0xc2 && a <= 0xdf && tail)
				want = 2;
			else if (lead3 && tail && !(a == 0xe0 && b < 0xa0) &&
			         !(a == 0xed && b > 0x9f))
				want = 3;
			else if (lead4 && tail && !(a == 0xf0 && b < 0x90) &&
			         !(a == 0xf4 && b > 0x8f))
				want = 4;
			got = utf8_first((struct span){in, 4}, &c);
			check_num((uint64_t)got, (uint64_t)want, "%02x %02x", a, b);
			if (got > 0) {
				char again[4];

				check_num(utf8_print(c, again), (uint64_t)got,
				          "%02x %02x", a, b);
				assert_memory_equal(again, in, (size_t)got);
			}
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut),    cmocka_unit_test(several_at_once),
	    cmocka_unit_test(plain_is_the_same),   cmocka_unit_test(known_ones),
	    cmocka_unit_test(works_without_files), cmocka_unit_test(utf8_by_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
