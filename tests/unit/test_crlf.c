/* crlf: the wire rule, at every cut, in every room, fast against plain against naive. */
#include "storage/crlf.h"

#include <stdio.h>
#include <stdlib.h>

#include "fs/abi.h"
#include "tests/unit/support/check.h"
#include "tests/unit/support/crlf_plain.h"
#include "tests/unit/support/guard.h"

struct converter {
	const char *name;
	size_t (*push)(struct crlf *, struct span, char *, size_t, size_t *);
	size_t (*end)(struct crlf *, char[static 2]);
	size_t (*pass_over)(struct crlf *, struct span, uint64_t);
	void (*count)(struct wire_count *, struct span);
	void (*count_end)(struct wire_count *);
};

static const struct converter converters[] = {
    {"fast", crlf_push, crlf_end, crlf_skip, wire_count_push, wire_count_end},
    {"plain", plain_crlf_push, plain_crlf_end, plain_crlf_skip, plain_wire_count_push,
     plain_wire_count_end},
};

/* The wire rule as one would say it aloud; shares nothing with the code under test. */
static void
naive(struct span in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] == '\n' && (i == 0 || in.p[i - 1] != '\r'))
			assert_int_equal(buf_addc(out, '\r'), 0);
		assert_int_equal(buf_addc(out, in.p[i]), 0);
	}
	if (out->n > 0 && (out->n < 2 || memcmp(out->p + out->n - 2, "\r\n", 2) != 0))
		assert_int_equal(buf_add(out, SPAN("\r\n")), 0);
}

/* Convert in pieces of `step`, into rooms of `cap`, each against a guard page. */
static void
run_in_steps(const struct converter *v, struct span in, size_t step, size_t cap,
	     struct buf *out)
{
	struct crlf c = {0};
	char *room = guarded_room(cap), tail[2];

	while (in.n > 0) {
		struct span piece = {in.p, in.n < step ? in.n : step};

		while (piece.n > 0) {
			size_t used, n = v->push(&c, piece, room, cap, &used);

			assert_true(n <= cap && used <= piece.n && (used > 0 || n > 0));
			assert_int_equal(buf_add(out, (struct span){room, n}), 0);
			piece = span_from(piece, used);
			in = span_from(in, used);
		}
	}
	assert_int_equal(buf_add(out, (struct span){tail, v->end(&c, tail)}), 0);
	assert_int_equal(c.wire, out->n);
}

static const struct {
	const char *in;
	const char *want;
	uint32_t header_size;
	unsigned bits;
} row[] = {
    {"", "", 0, 0},
    {"\n", "\r\n", 2, 0},
    {"\r\n", "\r\n", 2, 0},
    {"\r", "\r\r\n", 3, 0},
    {"\r\r\n", "\r\r\n", 3, 0},
    {"\n\n", "\r\n\r\n", 2, 0},
    {"a", "a\r\n", 3, 0},
    {"a\n", "a\r\n", 3, 0},
    {"a\r", "a\r\r\n", 4, 0},
    {"a\r\n", "a\r\n", 3, 0},
    {"a\nb\n", "a\r\nb\r\n", 6, 0},
    {"a\r\nb", "a\r\nb\r\n", 6, 0},
    {"a\rb\n", "a\rb\r\n", 5, 0},
    {"a: b\n\nbody\n", "a: b\r\n\r\nbody\r\n", 8, 0},
    {"a: b\r\n\r\nbody", "a: b\r\n\r\nbody\r\n", 8, 0},
    {"a: b\n\r\nbody", "a: b\r\n\r\nbody\r\n", 8, 0},
    {"a: b\n\r\r\nbody\n\n", "a: b\r\n\r\r\nbody\r\n\r\n", 17, 0},
    {"a: b\n \nbody\n", "a: b\r\n \r\nbody\r\n", 15, 0},
    {".", ".\r\n", 3, MT_DOT},
    {".\n", ".\r\n", 3, MT_DOT},
    {"a\n.\n", "a\r\n.\r\n", 6, MT_DOT},
    {"a\r\n.", "a\r\n.\r\n", 6, MT_DOT},
    {"a\r.\n", "a\r.\r\n", 5, 0},
    {"a.\n", "a.\r\n", 4, 0},
    {"a\n\xff", "a\r\n\xff\r\n", 6, MT_8BIT},
    {"\xc3\xa4\n\n.x", "\xc3\xa4\r\n\r\n.x\r\n", 6, MT_8BIT | MT_DOT},
    /* longer than two blocks, so that the fast paths are in it */
    {"0123456789abcdef0123456789abcdef0123456789abcdef\n\n0123456789abcdef0123456789abcdef\n",
     "0123456789abcdef0123456789abcdef0123456789abcdef\r\n\r\n0123456789abcdef0123456789abcdef\r\n",
     52, 0},
    {"0123456789abcde\r\n0123456789abcdef0123456789abcdef\r\n.0123456789abcdef",
     "0123456789abcde\r\n0123456789abcdef0123456789abcdef\r\n.0123456789abcdef\r\n", 70,
     MT_DOT},
    {"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
     "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"
     "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
     2, 0},
};

static void
same_however_cut(void **state)
{
	static const size_t caps[] = {2, 3, 5, 33, 34, 200};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t v = 0; v < ARRAY_LEN(converters); v++)
			for (size_t step = 1; step <= strlen(row[i].in); step++)
				for (size_t k = 0; k < ARRAY_LEN(caps); k++) {
					struct buf got = {0};

					run_in_steps(&converters[v],
						     guarded(span_of(row[i].in)), step,
						     caps[k], &got);
					check_mem(got.p, got.n, row[i].want,
						  "row %zu, %s, step %zu, cap %zu", i,
						  converters[v].name, step, caps[k]);
					buf_free(&got);
					guard_free_all();
				}
}

static void
counted_however_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t v = 0; v < ARRAY_LEN(converters); v++)
			for (size_t step = 1; step <= strlen(row[i].in) + 1; step++) {
				struct span in = guarded_front(guarded(span_of(row[i].in)));
				struct wire_count c = {0};

				for (; in.n > 0; in = span_from(in, step))
					converters[v].count(
					    &c, (struct span){in.p,
							      in.n < step ? in.n : step});
				converters[v].count_end(&c);
				check_num(c.wire, strlen(row[i].want), "wire of row %zu, step %zu",
					  i, step);
				check_num(c.stored, strlen(row[i].in), "stored of row %zu", i);
				check_num(c.header_size, row[i].header_size,
					  "header of row %zu, %s, step %zu", i,
					  converters[v].name, step);
				check_num(c.bits, row[i].bits, "bits of row %zu, %s, step %zu", i,
					  converters[v].name, step);
				guard_free_all();
			}
}

static void
nul_is_an_octet(void **state)
{
	static const char in[] = "a\0b\n.\0\n";
	struct span s = {in, sizeof in - 1};
	struct buf got = {0};
	struct wire_count c = {0};

	(void)state;
	run_in_steps(&converters[0], s, 3, 16, &got);
	check_span(buf_span(&got), SPAN("a\0b\r\n.\0\r\n"), "NUL");
	wire_count_push(&c, s);
	wire_count_end(&c);
	check_num(c.bits, MT_NUL | MT_DOT, "bits");
	/* NUL last: the state that says `nothing yet` is a NUL too */
	got.n = 0;
	run_in_steps(&converters[0], SPAN("a\0"), 1, 16, &got);
	check_span(buf_span(&got), SPAN("a\0\r\n"), "NUL at the end");
	got.n = 0;
	run_in_steps(&converters[0], SPAN("\0\n"), 1, 16, &got);
	check_span(buf_span(&got), SPAN("\0\r\n"), "NUL before LF");
	buf_free(&got);
}

/* Text dense in what matters: about every `sparse`-th octet is special. */
static void
fill(char *p, size_t n, unsigned sparse, uint64_t *seed)
{
	static const char special[] = "\n\n\r.\0\xe4";

	for (size_t i = 0; i < n; i++) {
		uint32_t r = check_random(seed);

		p[i] = r % sparse == 0 ? special[r / sparse % (sizeof special - 1)] : 'x';
	}
}

static void
random_against_naive(void **state)
{
	uint64_t seed = 1;
	char text[2048];

	(void)state;
	for (unsigned round = 0; round < check_rounds(4000); round++) {
		struct span in = {text, check_random(&seed) % sizeof text};
		size_t step = 1 + check_random(&seed) % 300;
		struct buf want = {0};

		fill(text, in.n, 1 + round % 70, &seed);
		naive(in, &want);
		for (size_t v = 0; v < ARRAY_LEN(converters); v++) {
			struct buf got = {0};
			struct wire_count c = {0};

			run_in_steps(&converters[v], guarded(in), step,
				     2 + check_random(&seed) % 100, &got);
			check_span(buf_span(&got), buf_span(&want), "round %u, %s", round,
				   converters[v].name);
			buf_free(&got);
			converters[v].count(&c, guarded(in));
			converters[v].count_end(&c);
			check_num(c.wire, want.n, "count, round %u, %s", round,
				  converters[v].name);
			guard_free_all();
		}
		buf_free(&want);
	}
}

static void
counters_agree(void **state)
{
	uint64_t seed = 2;
	size_t n = 300000; /* more than 255 blocks of every kind */
	char *text = malloc(n);

	(void)state;
	assert_non_null(text);
	for (unsigned round = 0; round < check_rounds(60); round++) {
		struct wire_count a = {0}, b = {0};
		struct span in = {text, n - round};

		fill(text, n, round == 0 ? 1 : 1 + round * 3, &seed);
		wire_count_push(&a, in);
		wire_count_end(&a);
		for (; in.n > 0; in = span_from(in, 1000 + round))
			plain_wire_count_push(
			    &b, (struct span){in.p, in.n < 1000 + round ? in.n : 1000 + round});
		plain_wire_count_end(&b);
		check_num(a.wire, b.wire, "wire, round %u", round);
		check_num(a.header_size, b.header_size, "header, round %u", round);
		check_num(a.bits, b.bits, "bits, round %u", round);
	}
	free(text);
}

/* From the state at any stored offset the rest comes out as if nothing had happened. */
static void
goes_on_from_a_checkpoint(void **state)
{
	uint64_t seed = 3;
	char text[400];

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		struct span in = {text, sizeof text};
		struct buf want = {0};

		fill(text, in.n, 1 + round, &seed);
		naive(in, &want);
		for (size_t v = 0; v < ARRAY_LEN(converters); v++)
			for (uint64_t off = 0; off <= want.n; off++) {
				struct crlf c = {0}, copy;
				size_t at = converters[v].pass_over(&c, guarded(in), off), used, n;
				char out[1024];

				copy = c; /* the checkpoint */
				check_true(c.wire <= off && off - c.wire <= 2,
					   "round %u: off %llu, at %llu", round,
					   (unsigned long long)off, (unsigned long long)c.wire);
				n = converters[v].push(&copy, span_from(in, at), out,
						       sizeof out, &used);
				n += converters[v].end(&copy, out + n);
				check_span((struct span){out, n},
					   span_from(buf_span(&want), c.wire),
					   "round %u, %s, off %llu", round,
					   converters[v].name, (unsigned long long)off);
				guard_free_all();
			}
		buf_free(&want);
	}
}

static void
huge_header_saturates(void **state)
{
	size_t n = 1 << 24;
	char *text = malloc(n);
	struct wire_count c = {0};
	unsigned pushes = check_rounds(257);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', n);
	for (unsigned i = 0; i < pushes; i++)
		wire_count_push(&c, (struct span){text, n});
	c.wire += (257 - pushes) * (uint64_t)n; /* as if they had been pushed */
	wire_count_end(&c);
	check_num(c.wire, 257 * (uint64_t)n + 2, "wire");
	check_num(c.header_size, UINT32_MAX, "header");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut),
	    cmocka_unit_test(counted_however_cut),
	    cmocka_unit_test(nul_is_an_octet),
	    cmocka_unit_test(random_against_naive),
	    cmocka_unit_test(counters_agree),
	    cmocka_unit_test(goes_on_from_a_checkpoint),
	    cmocka_unit_test(huge_header_saturates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
