/* pattern: within the steps that are promised, and what is plain about a match holds. */
#include "protocol/imap/pattern.h"
#include "tests/fuzz/fuzz.h"

static bool
has(struct span s, char c)
{
	return s.n > 0 && memchr(s.p, c, s.n) != NULL;
}

static bool
match(struct arena *a, struct span text, struct span name)
{
	struct pattern p;
	bool yes;

	REQUIRE(pattern_make(a, text, '.', &p) == 0);
	yes = pattern_matches(&p, name);
	REQUIRE(p.steps <= (uint64_t)text.n * name.n);
	return yes;
}

/* The first octet says where the pattern ends and the name begins. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size}, text, name;
	struct arena a = {0};
	size_t n = fuzz_take(&in, 0, 63);
	bool yes;

	text = fuzz_piece(in, n);
	name = span_from(in, text.n);
	yes = match(&a, text, name);
	if (!has(text, '*') && !has(text, '%')) {
		bool equal = span_eq(text, name);

		REQUIRE(!equal || yes);
		REQUIRE(!yes || span_caseeq(text, name));
	}
	REQUIRE(match(&a, SPAN("*"), name));
	REQUIRE(match(&a, SPAN("%"), name) == !has(name, '.'));
	arena_free(&a);
	return 0;
}
