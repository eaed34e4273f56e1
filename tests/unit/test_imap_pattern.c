/* pattern: LIST's wildcards, against a matcher that is plainly right, and within bounds. */
#include "protocol/imap/pattern.h"

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#define STEPS_MAX 100000

static struct arena arena;

static bool
matches(const char *pattern, const char *name)
{
	struct pattern p;
	bool yes;

	assert_int_equal(pattern_make(&arena, guarded(span_of(pattern)), '.', &p), 0);
	yes = pattern_matches(&p, guarded(span_of(name)));
	assert_int_equal(pattern_matches(&p, guarded(span_of(name))), yes);
	arena_reset(&arena);
	return yes;
}

static const struct {
	const char *pattern, *name;
	bool yes;
} row[] = {
    {"", "", true},
    {"", "a", false},
    {"a", "", false},
    {"a", "a", true},
    {"a", "A", false},
    {"*", "", true},
    {"*", "a.b.c", true},
    {"%", "", true},
    {"%", "a", true},
    {"%", "a.b", false},
    {"%.%", "a.b", true},
    {"%.%", "a.b.c", false},
    {"%.", "a.", true},
    {"%.*", "a.b.c", true},
    {"*%", "a.b", true},
    {"%*", "a.b", true},
    {"%%", "a.b", false},
    {"**", "a.b", true},
    {"a*", "a", true},
    {"a%", "a", true},
    {"a.%", "a", false},
    {"a.*", "a.b.c", true},
    {"*c", "a.b.c", true},
    {"%c", "a.b.c", false},
    {"*b%", "a.b.c", false},
    {"*b%c", "a.bxc.bc", true},
    {"*.b%c", "a.b.c.bc", true},
    {"%b%.%d", "abc.cd", true},
    {"%b%.%d", "abc.c.d", false},
    {"*a*b*", "xxaxxbxx", true},
    {"*a*b*", "xxbxxaxx", false},
    /* INBOX */
    {"inbox", "INBOX", true},
    {"InB%", "INBOX", true},
    {"*box", "INBOX", true},
    {"inbox.%", "INBOX.a", true},
    {"inbox.A", "INBOX.a", false},
    {"inbox", "INBOX.a", false},
    {"inboxes", "INBOXES", false},
    {"inbox", "Inbox", false},
    {"a.inbox", "a.INBOX", false},
};

static void
by_the_rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		check_num(matches(row[i].pattern, row[i].name), row[i].yes,
		          "row %zu: %s, %s", i, row[i].pattern, row[i].name);
	guard_free_all();
}

/* What the words of the RFC say, whatever it costs. */
static bool
twin(const char *pattern, const char *name)
{
	if (*pattern == '\0')
		return *name == '\0';
	if (*pattern != '*' && *pattern != '%')
		return *name == *pattern && twin(pattern + 1, name + 1);
	if (twin(pattern + 1, name))
		return true;
	return *name != '\0' && (*pattern == '*' || *name != '.') &&
	       twin(pattern, name + 1);
}

static void
as_its_twin(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (unsigned round = 0; round < 100000; round++) {
		char pattern[8], name[10];
		size_t np = check_random(&seed) % sizeof pattern;
		size_t nn = check_random(&seed) % sizeof name;

		for (size_t i = 0; i < np; i++)
			pattern[i] = "*%.ab"[check_random(&seed) % 5];
		for (size_t i = 0; i < nn; i++)
			name[i] = ".ab"[check_random(&seed) % 3];
		pattern[np] = name[nn] = '\0';
		check_num(matches(pattern, name), twin(pattern, name),
		          "round %u: %s, %s", round, pattern, name);
		if (round % 1000 == 0)
			guard_free_all();
	}
	guard_free_all();
}

/* What is exponential, or of a high power, for a matcher that goes back. */
static void
wildcards_cost_little(void **state)
{
	static const char *const unit[] = {"*a", "%a", "*a%a", "a*", "*%", "%.*", "*"};
	char name[256], text[512];

	(void)state;
	memset(name, 'a', sizeof name);
	name[sizeof name - 1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(unit); i++) {
		size_t n = 0, len = strlen(unit[i]);
		struct pattern p;

		for (; n < 150; n += len)
			memcpy(text + n, unit[i], len);
		memcpy(text + n, "*b", 2);
		assert_int_equal(
		    pattern_make(&arena, (struct span){text, n + 2}, '.', &p), 0);
		check_true(!pattern_matches(&p, span_of(name)), "row %zu", i);
		check_true(p.steps <= STEPS_MAX, "row %zu: %llu steps", i,
		           (unsigned long long)p.steps);
		arena_reset(&arena);
	}
}

/* Far more pattern than name: told without a step. */
static void
what_is_too_long_costs_nothing(void **state)
{
	static char text[100000];
	struct pattern p;

	(void)state;
	memset(text, 'a', sizeof text);
	assert_int_equal(
	    pattern_make(&arena, (struct span){text, sizeof text}, '.', &p), 0);
	assert_false(pattern_matches(&p, SPAN("aaa")));
	assert_int_equal(p.steps, 0);
	memset(text, '*', sizeof text);
	assert_int_equal(
	    pattern_make(&arena, (struct span){text, sizeof text}, '.', &p), 0);
	assert_true(pattern_matches(&p, SPAN("aaa")));
	assert_true(p.steps <= 3);
	arena_free(&arena);
	arena = (struct arena){.max = 1000};
	assert_int_equal(
	    pattern_make(&arena, (struct span){text, sizeof text}, '.', &p), -1);
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_the_rule),
	    cmocka_unit_test(as_its_twin),
	    cmocka_unit_test(wildcards_cost_little),
	    cmocka_unit_test(what_is_too_long_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
