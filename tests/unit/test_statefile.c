/* statefile: `.mailbox` as check reads it, and every octet of it that can be wrong. */
#include "protocol/command/statefile.h"
#include "fs/abi.h"
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

/* A text as mailtree(7) describes it, written here on its own. */
static void
head(struct buf *b, unsigned uidvalidity, unsigned uidnext, unsigned n,
     unsigned keywords)
{
	buf_addf(b, "uidvalidity %19u\nuidnext     %19u\n", uidvalidity, uidnext);
	buf_addf(b, "messages    %19u\nkeywords    %19u\n", n, keywords);
}

static void
message(struct buf *b, unsigned uid, unsigned size, long long date, const char *flags,
        const char *keywords)
{
	buf_addf(b, "%10u %20u %20lld %s %s%*s\n", uid, size, date, flags, keywords, 10,
	         "");
}

static void
sample(struct buf *b)
{
	head(b, 7, 12, 2, 2);
	buf_addf(b, "a %-157s\nc %-157s\n", "work", "$Forwarded");
	message(b, 3, 100, 1700000000, "-----", "--------------------------");
	message(b, 11, 0, -5, "DFRST", "a-c----------------------z");
}

static void
reads_what_is_documented(void **state)
{
	struct buf b = {0};
	struct statefile s;
	struct statefile_line line;

	(void)state;
	sample(&b);
	check_num(b.n, 4 * 32 + 2 * 160 + 2 * 96, "the sample's size");
	check_true(statefile_open(guarded(buf_span(&b)), &s) == 0, "opens");
	check_num(s.uidvalidity, 7, "uidvalidity");
	check_num(s.uidnext, 12, "uidnext");
	check_num(s.messages, 2, "messages");
	check_num(s.keywords, 2, "keywords");
	check_true(statefile_next(&s, &line) == 1, "first");
	check_num(line.uid, 3, "uid");
	check_num(line.size, 100, "size");
	check_true(line.date == 1700000000, "date");
	check_num(line.flags, 0, "flags");
	check_num(line.keywords, 0, "keywords");
	check_true(statefile_next(&s, &line) == 1, "second");
	check_num(line.uid, 11, "uid");
	check_true(line.date == -5, "date before 1970");
	check_num(line.flags, MT_FLAGS, "all flags");
	check_num(line.keywords, 1 | 4 | 1u << 25, "keywords");
	check_true(statefile_next(&s, &line) == 0, "end");
	guard_free_all();
	buf_free(&b);
}

/* How many messages can be read; -1 when something is refused. */
static int
count(struct span text)
{
	struct statefile s;
	struct statefile_line line;
	int n = 0, r;

	if (statefile_open(text, &s) == -1)
		return -1;
	while ((r = statefile_next(&s, &line)) == 1)
		n++;
	return r == -1 ? -1 : n;
}

static void
every_cut_is_refused(void **state)
{
	struct buf b = {0};

	(void)state;
	sample(&b);
	for (size_t n = 0; n < b.n; n++) {
		int want = n == b.n - 96 ? 1 : n == b.n - 192 ? 0 : -1;

		check_true(count(guarded((struct span){b.p, n})) == want, "cut at %zu",
		           n);
		guard_free_all();
	}
	check_true(count(buf_span(&b)) == 2, "whole");
	buf_free(&b);
}

static void
wrong_texts_are_refused(void **state)
{
	static const struct {
		size_t off;
		char c;
	} rows[] = {
	    {0, 'x'},         /* uidvalidity */
	    {30, '-'},        /* its number */
	    {31, ' '},        /* its LF */
	    {32 + 3, 'x'},    /* uidnext */
	    {127, 'x'},       /* keywords: more than there are */
	    {128 + 159, ' '}, /* LF of a keyword line */
	    {448 + 9, 'x'},   /* uid */
	    {448 + 30, 'x'},  /* size */
	    {448 + 51, '-'},  /* date */
	    {448 + 53, 'S'},  /* a flag in another's place */
	    {448 + 59, 'b'},  /* a keyword in another's place */
	    {448 + 95, ' '},  /* LF of a message line */
	};
	struct buf b = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_reset(&b);
		sample(&b);
		b.p[rows[i].off] = rows[i].c;
		check_true(count(guarded(buf_span(&b))) == -1, "row %zu", i);
		guard_free_all();
	}
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_what_is_documented),
	    cmocka_unit_test(every_cut_is_refused),
	    cmocka_unit_test(wrong_texts_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
