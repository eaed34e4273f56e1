/* decode: every cut of the input, every room for the output, and what it says of itself. */
#include "storage/mime/decode.h"

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static const struct {
	enum encoding encoding;
	const char *in, *want;
	bool broken;
} row[] = {
    {ENCODING_NONE, "", "", false},
    {ENCODING_NONE, "a=3D\r\nYQ==", "a=3D\r\nYQ==", false},
    {ENCODING_UNKNOWN, "a=3D", "a=3D", false},
    {ENCODING_BASE64, "", "", false},
    {ENCODING_BASE64, "YQ==", "a", false},
    {ENCODING_BASE64, "YWI=", "ab", false},
    {ENCODING_BASE64, "YWJj", "abc", false},
    {ENCODING_BASE64, "YWJjZGVm\r\nZ2hpamts\r\n", "abcdefghijkl", false},
    {ENCODING_BASE64, "Y W\tJ\r\nj", "abc", false},
    {ENCODING_BASE64, "YWJjZA==\r\nZQ==\r\n", "abcde", false},
    {ENCODING_BASE64, "YWJj-ZGVm", "abcdef", true},
    {ENCODING_BASE64,
     "YW\xff"
     "Jj",
     "abc", true},
    {ENCODING_BASE64, "YWI", "ab", true},
    {ENCODING_BASE64, "YWJjZ", "abc", true},
    {ENCODING_BASE64, "YQ=", "a", true},
    {ENCODING_BASE64, "YQ=YWJj", "aabc", true},
    {ENCODING_BASE64, "=", "", true},
    {ENCODING_BASE64, "Y=WJj", "X\x98", true},
    {ENCODING_BASE64, "+/+/", "\xfb\xff\xbf", false},
    {ENCODING_QP, "", "", false},
    {ENCODING_QP, "plain text\r\n", "plain text\r\n", false},
    {ENCODING_QP, "a=3Db=3db", "a=b=b", false},
    {ENCODING_QP, "one=\r\ntwo=\nthree", "onetwothree", false},
    {ENCODING_QP, "one= \t\r\ntwo", "onetwo", false},
    {ENCODING_QP, "a  \r\nb\t\n c ", "a\r\nb\n c", false},
    {ENCODING_QP, "a b  c\td", "a b  c\td", false},
    {ENCODING_QP, "end=", "end", false},
    {ENCODING_QP, "end=4", "end=4", true},
    {ENCODING_QP, "=XY=4Z==41", "=XY=4Z=A", true},
    {ENCODING_QP, "a = b", "a = b", true},
    {ENCODING_QP, "a=\rb", "a=\rb", true},
    {ENCODING_QP, "a \rb\r", "a \rb\r", false},
    {ENCODING_QP, "a \r\r\nb", "a \r\r\nb", false},
    {ENCODING_QP, "=C3=A4\xc3\xa4", "\xc3\xa4\xc3\xa4", false},
    {ENCODING_QP, " =20\r\n", "  \r\n", false},
};

static void
run_in_steps(struct decode *d, enum encoding e, struct span in, size_t step, size_t cap,
             struct buf *out)
{
	char *room = guarded_room(cap);
	size_t n;

	decode_init(d, e);
	while (in.n > 0) {
		struct span piece = {in.p, in.n < step ? in.n : step};

		in = span_from(in, piece.n);
		do {
			n = decode_push(d, &piece, room, cap);
			assert_true(n <= cap);
			assert_int_equal(buf_add(out, (struct span){room, n}), 0);
		} while (n == cap);
		assert_int_equal(piece.n, 0);
	}
	do {
		n = decode_end(d, room, cap);
		assert_true(n <= cap);
		assert_int_equal(buf_add(out, (struct span){room, n}), 0);
	} while (n == cap);
}

static void
same_however_cut(void **state)
{
	static const size_t caps[] = {1, 2, 3, 7, 100};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++)
			for (size_t k = 0; k < ARRAY_LEN(caps); k++) {
				struct decode d;
				struct buf got = {0};

				run_in_steps(&d, row[i].encoding,
				             guarded(span_of(row[i].in)), step, caps[k],
				             &got);
				check_mem(got.p, got.n, row[i].want,
				          "row %zu, step %zu, cap %zu", i, step,
				          caps[k]);
				check_num(d.broken, row[i].broken,
				          "broken of row %zu, step %zu", i, step);
				buf_free(&got);
				guard_free_all();
			}
}

/* More blanks than are held: they stand for themselves then, at whatever cut. */
static void
many_blanks(void **state)
{
	char in[400];
	struct buf whole = {0};

	(void)state;
	memset(in, ' ', sizeof in);
	in[0] = 'a';
	in[sizeof in - 1] = '\n';
	for (size_t step = 1; step <= sizeof in; step++) {
		struct decode d;
		struct buf got = {0};

		run_in_steps(&d, ENCODING_QP, (struct span){in, sizeof in}, step, 64,
		             &got);
		if (step == 1)
			assert_int_equal(buf_add(&whole, buf_span(&got)), 0);
		check_span(buf_span(&got), buf_span(&whole), "step %zu", step);
		buf_free(&got);
		guard_free_all();
	}
	assert_true(whole.n > 2 && whole.p[0] == 'a' && whole.p[whole.n - 1] == '\n');
	buf_free(&whole);
}

static void
names_of_encodings(void **state)
{
	static const struct {
		const char *value;
		enum encoding want;
	} names[] = {
	    {"", ENCODING_NONE},
	    {"7bit", ENCODING_NONE},
	    {" 8BIT\r\n", ENCODING_NONE},
	    {"Binary", ENCODING_NONE},
	    {"base64", ENCODING_BASE64},
	    {"(a (nested \\) one)) BASE64 (x)", ENCODING_BASE64},
	    {"base64(x)", ENCODING_BASE64},
	    {"base64;", ENCODING_BASE64},
	    {"\r\n Quoted-Printable", ENCODING_QP},
	    {"(", ENCODING_NONE},
	    {"(\\", ENCODING_NONE},
	    {"x-uuencode", ENCODING_UNKNOWN},
	    {"base6", ENCODING_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		check_num(encoding_of(guarded(span_of(names[i].value))), names[i].want,
		          "row %zu", i);
		guard_free_all();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut),
	    cmocka_unit_test(many_blanks),
	    cmocka_unit_test(names_of_encodings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
