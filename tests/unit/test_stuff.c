/* stuff and top: what goes out of a message, whatever the cuts. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include "protocol/pop3/stuff.h"
#include "protocol/pop3/top.h"

static const char *const texts[] = {
    "",
    "\r\n",
    ".\r\n",
    "..\r\n",
    ".",
    "a\r\n.\r\n",
    "a\r\n.b\r\n..c\r\nd.\r\n",
    ".a\r\n.b\r\n.c\r\n",
    "\r\n.\r\n\r\n.\r\n",
    "a.b.c\r\n",
    "a\r.b\r\n",
    "Subject: x\r\n\r\none\r\ntwo\r\nthree\r\n",
    "Subject: x\r\nTo: y\r\n",
    "\r\n\r\n\r\n",
    "\r\r\n\r\nx\r\n",
    "A: b\r\n \r\nC: d\r\n\r\nbody\r\n",
};

/* The rule, octet by octet: a dot at the beginning of a line is doubled. */
static size_t
stuff_plainly(struct span in, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] == '.' && (i == 0 || in.p[i - 1] == '\n'))
			out[n++] = '.';
		out[n++] = in.p[i];
	}
	return n;
}

/* Header, empty line and `lines` lines, line by line. */
static size_t
top_plainly(struct span in, uint64_t lines)
{
	struct span rest = in, line;
	bool body = false;

	while (!(body && lines == 0) && span_cut(&rest, '\n', &line)) {
		lines -= body ? 1 : 0;
		body |= span_eq(line, SPAN("\r"));
	}
	return (size_t)(rest.p - in.p);
}

static size_t
stuff_piece(struct stuff *s, struct span piece, char *out)
{
	size_t n = 0;

	while (piece.n > 0) {
		size_t k = stuff_run(s, piece);

		memcpy(out + n, piece.p, k);
		n += k;
		piece = span_from(piece, k);
		if (piece.n > 0)
			out[n++] = '.';
	}
	return n;
}

static void
stuffs_alike_however_cut(void **state)
{
	char want[256], got[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		for (size_t step = 1; step <= strlen(texts[i]) + 1; step++) {
			struct span in = guarded(span_of(texts[i]));
			size_t w = stuff_plainly(in, want), n = 0;
			struct stuff s = {0};

			while (in.n > 0) {
				struct span piece = {in.p, in.n < step ? in.n : step};

				n += stuff_piece(&s, piece, got + n);
				in = span_from(in, piece.n);
			}
			check_span((struct span){got, n}, (struct span){want, w},
			           "row %zu, step %zu", i, step);
			guard_free_all();
		}
}

static size_t
top_in_steps(struct span in, size_t step, uint64_t lines)
{
	struct top t = {.lines = lines};
	size_t n = 0;

	while (in.n > 0 && !t.done) {
		struct span piece = {in.p, in.n < step ? in.n : step};

		n += top_run(&t, piece);
		in = span_from(in, piece.n);
	}
	return n;
}

static void
tops_alike_however_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		for (size_t step = 1; step <= strlen(texts[i]) + 1; step++)
			for (uint64_t lines = 0; lines < 5; lines++) {
				struct span in = guarded(span_of(texts[i]));

				check_num(top_in_steps(in, step, lines),
				          top_plainly(in, lines),
				          "row %zu, step %zu, lines %ju", i, step,
				          (uintmax_t)lines);
				guard_free_all();
			}
}

static void
tops_what_the_rfc_says(void **state)
{
	static const struct {
		const char *in;
		uint64_t lines;
		size_t want;
	} row[] = {
	    {"A: b\r\n\r\none\r\ntwo\r\n", 0, 8},
	    {"A: b\r\n\r\none\r\ntwo\r\n", 1, 13},
	    {"A: b\r\n\r\none\r\ntwo\r\n", 99, 18},
	    {"A: b\r\n", 0, 6},
	    {"\r\n\r\nx\r\n", 0, 2},
	    {"\r\n\r\nx\r\n", 1, 4},
	    {"A: b\r\n\r\nx\r\n", UINT64_MAX, 11},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		check_num(top_in_steps(span_of(row[i].in), 1000, row[i].lines),
		          row[i].want, "row %zu", i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stuffs_alike_however_cut),
	    cmocka_unit_test(tops_alike_however_cut),
	    cmocka_unit_test(tops_what_the_rfc_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
