/* fold and match: one form for what differs in case only, and a needle found at every cut. */
#include "storage/mime/fold.h"

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#define FFFD "\xef\xbf\xbd"

static const struct {
	const char *in, *want;
	const char *ascii; /* without utf8proc, where that differs */
} row[] = {
    {"", "", NULL},
    {"abcXYZ 019 @[`{", "ABCXYZ 019 @[`{", NULL},
    {"0123456789abcdefghijklmnopqrstuvwxyz", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
     NULL},
    {"\xc3\xa4", "A\xcc\x88", "\xc3\xa4"},
    {"\xc3\x84", "A\xcc\x88", "\xc3\x84"},
    {"\xd0\xbf\xd0\x9f", "\xd0\x9f\xd0\x9f", "\xd0\xbf\xd0\x9f"},
    {"\xef\xac\x81", "fi", "\xef\xac\x81"}, /* the ligature has no title case */
    {"\xc7\x86", "Dz\xcc\x8c", "\xc7\x86"},
    {"\xea\xb0\x80", "\xe1\x84\x80\xe1\x85\xa1", "\xea\xb0\x80"},
    {"\xff"
     "a",
     FFFD "A", NULL},
    {"a\xc3", "A" FFFD, NULL},
    {"\xe2\x82", FFFD FFFD, NULL},
    {"\xe2\x82x", FFFD FFFD "X", NULL},
};

static bool
has_utf8proc(void)
{
	struct buf b = {0};
	bool is;

	assert_int_equal(fold_text(SPAN("\xc3\xa4"), &b), 0);
	is = span_eq(buf_span(&b), SPAN("A\xcc\x88"));
	buf_free(&b);
	return is;
}

static void
fold_in_steps(struct span in, size_t step, size_t cap, struct buf *out)
{
	char *room = guarded_room(cap);
	struct fold f = {0};
	size_t n;

	while (in.n > 0) {
		struct span piece = {in.p, in.n < step ? in.n : step};

		in = span_from(in, piece.n);
		do {
			n = fold_push(&f, &piece, room, cap);
			assert_true(n <= cap);
			assert_int_equal(buf_add(out, (struct span){room, n}), 0);
		} while (n == cap);
		assert_int_equal(piece.n, 0);
	}
	do {
		n = fold_end(&f, room, cap);
		assert_int_equal(buf_add(out, (struct span){room, n}), 0);
	} while (n == cap);
}

static void
folded_however_cut(void **state)
{
	static const size_t caps[] = {1, 2, 5, 64};
	bool utf8proc = has_utf8proc();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++)
			for (size_t k = 0; k < ARRAY_LEN(caps); k++) {
				struct buf got = {0};
				const char *want = !utf8proc && row[i].ascii != NULL
				                       ? row[i].ascii
				                       : row[i].want;

				fold_in_steps(guarded(span_of(row[i].in)), step,
				              caps[k], &got);
				check_mem(got.p, got.n, want,
				          "row %zu, step %zu, cap %zu", i, step,
				          caps[k]);
				buf_free(&got);
				guard_free_all();
			}
}

/* Every character has room, whatever it is made of. */
static void
every_character(void **state)
{
	(void)state;
	for (uint32_t c = 1; c < 0x110000; c++) {
		char in[4] = {0};
		struct span s = {in, 0};
		struct fold f = {0};
		char room[FOLD_READY_MAX];
		size_t n;

		if (c >= 0xd800 && c < 0xe000)
			continue;
		if (c < 0x80) {
			in[s.n++] = (char)c;
		} else if (c < 0x800) {
			in[s.n++] = (char)(0xc0 | c >> 6);
			in[s.n++] = (char)(0x80 | (c & 0x3f));
		} else if (c < 0x10000) {
			in[s.n++] = (char)(0xe0 | c >> 12);
			in[s.n++] = (char)(0x80 | (c >> 6 & 0x3f));
			in[s.n++] = (char)(0x80 | (c & 0x3f));
		} else {
			in[s.n++] = (char)(0xf0 | c >> 18);
			in[s.n++] = (char)(0x80 | (c >> 12 & 0x3f));
			in[s.n++] = (char)(0x80 | (c >> 6 & 0x3f));
			in[s.n++] = (char)(0x80 | (c & 0x3f));
		}
		n = fold_push(&f, &s, room, sizeof room);
		check_true(n > 0 && n < sizeof room && s.n == 0, "U+%04X", c);
	}
}

/* ---- needles ------------------------------------------------------------------------------------- */

static bool
match_in_steps(struct match *m, struct span text, size_t step)
{
	match_begin(m);
	for (; text.n > 0; text = span_from(text, step))
		match_push(m, (struct span){text.p, text.n < step ? text.n : step});
	return m->found;
}

static void
found_however_cut(void **state)
{
	static const char *const texts[] = {
	    "",
	    "A",
	    "ABC",
	    "AAAAAAAAAB",
	    "ABABABABAC",
	    "ABABABCABABABAC",
	    "XXXABCABCABDXXX",
	    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG AND THEN OVER THE OTHER LAZY "
	    "DOGS, AND "
	    "SO ON, UNTIL ALL OF THEM ARE AWAKE AND THE FOX IS TIRED OF JUMPING OVER "
	    "LAZY DOGS.",
	};
	static const char *const needles[] = {
	    "",
	    "a",
	    "b",
	    "ab",
	    "abc",
	    "aab",
	    "aaab",
	    "ababac",
	    "abababac",
	    "abcabd",
	    "fox",
	    "lazy dogs.",
	    "The Fox is tired",
	    "lazy dog and",
	    "dogs, and so",
	    "cat",
	    "z",
	};
	struct arena a = {0};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(needles); k++) {
		struct match m;

		assert_int_equal(match_make(&a, span_of(needles[k]), &m), 0);
		for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
			struct span text = guarded_front(guarded(span_of(texts[i])));
			bool want =
			    memmem(text.p, text.n, m.needle.p, m.needle.n) != NULL ||
			    m.needle.n == 0;

			for (size_t step = 1; step <= text.n + 1; step++)
				check_num(match_in_steps(&m, text, step), want,
				          "`%s' in text %zu, step %zu", needles[k], i,
				          step);
			guard_free_all();
		}
	}
	arena_free(&a);
}

/* Few letters, so that there are many near misses; against memmem(3) over the whole. */
static void
random_texts(void **state)
{
	struct arena a = {0};
	uint64_t seed = 0;
	unsigned nfound = 0;

	(void)state;
	for (int round = 0; round < 4000; round++) {
		char text[700], needle[40];
		size_t n = check_random(&seed) % sizeof text;
		size_t k = 1 + check_random(&seed) % (sizeof needle - 1);
		size_t step = 1 + check_random(&seed) % 300;
		unsigned letters = 2 + check_random(&seed) % 2;
		struct match m;
		bool want;

		for (size_t i = 0; i < n; i++)
			text[i] = (char)('A' + check_random(&seed) % letters);
		for (size_t i = 0; i < k; i++)
			needle[i] = (char)('A' + check_random(&seed) % letters);
		want = memmem(text, n, needle, k) != NULL;
		nfound += want;
		assert_int_equal(match_make(&a, (struct span){needle, k}, &m), 0);
		check_num(match_in_steps(&m, (struct span){text, n}, step), want,
		          "round %d", round);
		arena_reset(&a);
	}
	assert_true(nfound > 500 && nfound < 3500);
	arena_free(&a);
}

static void
needle_with_a_ceiling(void **state)
{
	struct arena a = {.max = 1000};
	struct match m;
	char needle[900];

	(void)state;
	memset(needle, 'x', sizeof needle);
	assert_int_equal(match_make(&a, (struct span){needle, sizeof needle}, &m), -1);
	assert_int_equal(match_make(&a, (struct span){needle, 10}, &m), 0);
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(folded_however_cut),    cmocka_unit_test(every_character),
	    cmocka_unit_test(found_however_cut),     cmocka_unit_test(random_texts),
	    cmocka_unit_test(needle_with_a_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
