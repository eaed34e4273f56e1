/* subscriptions: both versions come out as they went in, whatever is added or removed. */
#include "storage/subscriptions.h"

#include <errno.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static const struct {
	const char *in, *names, *want;
	unsigned version;
} row[] = {
    {"", "", "", 1},
    {"INBOX\nA.B\nEntw&APw-rfe\n", "INBOX|A/B|Entw&APw-rfe|", "INBOX\nA.B\nEntw&APw-rfe\n", 1},
    {"A.B", "A/B|", "A.B\n", 1},
    {"\n\nA\n\nA\n", "A|", "A\n", 1},
    {"a/b\n", "?|", "a/b\n", 1},
    {"\nV\t2\n", "V\t2|", "\nV\t2\n", 1}, /* not first: a name like any other */
    {"V\t2\n\n", "", "V\t2\n\n", 2},
    {"V\t2\n\nINBOX\nA\tB\nC.D\n", "INBOX|A/B|C.D|", "V\t2\n\nINBOX\nA\tB\nC.D\n", 2},
    {"V\t2\n\nx\001ty\001nz\0011\n", "x\ty\nz\001|", "V\t2\n\nx\001ty\001nz\0011\n", 2},
    {"V\t2\n\na/b\tc\n", "?|", "V\t2\n\na/b\tc\n", 2},
};

static void
names(const struct subscriptions *s, struct buf *out)
{
	for (size_t i = 0; i < s->n; i++)
		assert_int_equal(
		    buf_addf(out, "%s|", s->list[i].opaque ? "?" : s->list[i].name), 0);
}

static void
parses_and_prints(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct subscriptions s = {0};
		struct buf out = {0};

		assert_int_equal(subscriptions_parse(guarded(span_of(row[i].in)), '.', &s), 0);
		check_num(s.version, row[i].version, "version, row %zu", i);
		names(&s, &out);
		check_mem(out.p, out.n, row[i].names, "names, row %zu", i);
		buf_reset(&out);
		assert_int_equal(subscriptions_print(&s, &out), 0);
		check_mem(out.p, out.n, row[i].want, "text, row %zu", i);
		buf_free(&out);
		subscriptions_free(&s);
	}
	guard_free_all();
}

static void
a_newer_version_is_left_alone(void **state)
{
	struct subscriptions s = {0};

	(void)state;
	assert_int_equal(subscriptions_parse(SPAN("V\t3\n\nA\n"), '.', &s), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(s.n, 0);
}

static const struct {
	const char *in;
	char how;
	const char *name;
	int result;
	const char *want;
} change[] = {
    {"A\n", '+', "B/C", 1, "A\nB.C\n"},
    {"A\nB.C\n", '+', "B/C", 0, "A\nB.C\n"},
    {"A\nB.C\nD\n", '-', "B/C", 1, "A\nD\n"},
    {"A\n", '-', "B", 0, "A\n"},
    {"V\t2\n\nA\n", '+', "B/C", 1, "V\t2\n\nA\nB\tC\n"},
    {"V\t2\n\nA\nB\tC\n", '-', "B/C", 1, "V\t2\n\nA\n"},
    {"V\t2\n\n", '+', "x\ty\001.z", 1, "V\t2\n\nx\001ty\0011.z\n"},
    {"V\t2\n\nx\001ty\n", '-', "x\ty", 1, "V\t2\n\n"},
    {"V\t2\n\na/b\n", '-', "a/b", 0, "V\t2\n\na/b\n"},
    {"", '+', "a.b", -1, ""},
    {"", '+', "", -1, ""},
    {"", '+', "/a", -1, ""},
    {"", '+', "a/", -1, ""},
    {"", '+', "a//b", -1, ""},
    {"", '+', "a\nb", -1, ""},
    {"", '+', "a\rb", -1, ""},
    {"A\n", '-', "a\nb", -1, "A\n"},
};

static void
adds_and_removes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(change); i++) {
		struct subscriptions s = {0};
		struct buf out = {0};
		struct span name = guarded(span_of(change[i].name));
		int rc;

		assert_int_equal(subscriptions_parse(span_of(change[i].in), '.', &s), 0);
		errno = 0;
		rc = change[i].how == '+' ? subscriptions_add(&s, name)
					  : subscriptions_remove(&s, name);
		check_num((uint64_t)rc, (uint64_t)change[i].result, "result, row %zu", i);
		if (rc == -1)
			check_num((uint64_t)errno, EINVAL, "errno, row %zu", i);
		else
			check_num(subscriptions_has(&s, name), change[i].how == '+',
				  "has, row %zu", i);
		assert_int_equal(subscriptions_print(&s, &out), 0);
		check_mem(out.p, out.n, change[i].want, "row %zu", i);
		buf_free(&out);
		subscriptions_free(&s);
	}
	guard_free_all();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parses_and_prints),
	    cmocka_unit_test(a_newer_version_is_left_alone),
	    cmocka_unit_test(adds_and_removes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
