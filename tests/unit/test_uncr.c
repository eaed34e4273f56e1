#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include <stdlib.h>

#include "protocol/imap/uncr.h"
#include "storage/crlf.h"

static size_t
run_in_steps(struct span in, size_t step, char *out)
{
	struct uncr u = {0};
	size_t n = 0;

	while (in.n > 0) {
		size_t take = in.n < step ? in.n : step;

		n += uncr_push(&u, (struct span){in.p, take}, out + n);
		in = span_from(in, take);
	}
	return n + uncr_end(&u, out + n);
}

static void
same_however_cut(void **state)
{
	static const struct {
		const char *in, *want;
	} row[] = {
	    {"", ""},
	    {"a\r\n", "a\n"},
	    {"a\r\nb\r\n", "a\nb\n"},
	    {"\r\n", "\n"},
	    {"\r\r\n", "\r\r\n"},
	    {"\r\r\r\n", "\r\r\r\n"},
	    {"a\rb\r\n", "a\rb\n"},
	    {"a\nb\r\n", "a\nb\n"},
	    {"a\r", "a\r"},
	    {"a\r\r", "a\r\r"},
	    {"\n\r\n\r", "\n\n\r"},
	    {"\r\r\n\r\n", "\r\r\n\n"},
	    {"\r\n\r\r\nx", "\n\r\r\nx"},
	};
	char got[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t step = 1; step <= strlen(row[i].in) + 1; step++) {
			size_t n = run_in_steps(guarded(span_of(row[i].in)), step, got);

			check_mem(got, n, row[i].want, "row %zu, step %zu", i, step);
		}
	guard_free_all();
}

/* Wire octets, as the tree gives them, come back as they were. */
static void
wire_octets_come_back(void **state)
{
	static const char letters[] = "\r\na\0";
	uint64_t seed = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char raw[24], wire[64], stored[64], again[64];
		size_t n = check_random(&seed) % sizeof raw, nwire = 0, nstored, nagain,
		       used;
		struct crlf c = {0}, d = {0};

		for (size_t k = 0; k < n; k++)
			raw[k] = letters[check_random(&seed) % 4];
		nwire = crlf_push(&c, (struct span){raw, n}, wire, sizeof wire, &used);
		nwire += crlf_end(&c, wire + nwire);
		nstored = run_in_steps((struct span){wire, nwire},
		                       1 + check_random(&seed) % 24, stored);
		nagain = crlf_push(&d, (struct span){stored, nstored}, again,
		                   sizeof again, &used);
		nagain += crlf_end(&d, again + nagain);
		check_span((struct span){again, nagain}, (struct span){wire, nwire},
		           "round %d", i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_however_cut),
	    cmocka_unit_test(wire_octets_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
