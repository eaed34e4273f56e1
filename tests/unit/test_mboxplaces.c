/* mboxplaces: what was printed is read; what is cut, changed or cannot be is refused. */
#include "tests/unit/support/check.h"

#include "storage/base/hash.h"
#include "storage/mboxplaces.h"
#include "tests/unit/support/guard.h"

static const struct mboxplaces some = {
    .stamp = {.dev = 1, .ino = 2, .size = 1000, .mtime_ns = 3, .ctime_ns = 4},
    .uidvalidity = 7,
    .base_last = 9,
    .base_named = 1,
    .based = 1,
    .keyword = {"Work", "$Later"},
};

static const struct mboxplace three[] = {
    {.off = 0, .end = 99, .head = 5, .ident = 6, .visible = 50, .date = -1, .uid = 1},
    {.off = 100, .end = 101, .uid = 3, .keywords = 3, .flags = MT_SEEN, .old = 1},
    {.off = 500, .end = 1000, .visible = 500},
};

static struct span
image(const struct mboxplaces *head, const struct mboxplace *v, size_t n, struct buf *b)
{
	struct mboxplaces h = *head;

	buf_reset(b);
	assert_int_equal(mboxplaces_print(&h, v, n, b), 0);
	return buf_span(b);
}

static void
what_was_printed(void **state)
{
	struct buf b = {0};
	struct mboxplaces h;
	struct mboxplace p;
	struct span text = image(&some, three, ARRAY_LEN(three), &b);

	(void)state;
	assert_true(mboxplaces_parse(text, &h));
	assert_int_equal(h.n, ARRAY_LEN(three));
	assert_memory_equal(&h.stamp, &some.stamp, sizeof h.stamp);
	assert_memory_equal(h.keyword, some.keyword, sizeof h.keyword);
	for (size_t i = 0; i < h.n; i++) {
		mboxplaces_at(text, i, &p);
		assert_memory_equal(&p, &three[i], sizeof p);
	}
	assert_true(mboxplaces_parse(image(&some, NULL, 0, &b), &h));
	buf_free(&b);
}

/* Flush against a page that cannot be read. */
static void
cut_at_every_octet(void **state)
{
	struct buf b = {0};
	struct mboxplaces h;
	struct span text = image(&some, three, ARRAY_LEN(three), &b);

	(void)state;
	for (size_t n = 0; n < text.n; n++)
		check_true(!mboxplaces_parse(guarded((struct span){text.p, n}), &h),
		           "%zu octets", n);
	assert_true(mboxplaces_parse(guarded(text), &h));
	assert_int_equal(buf_addc(&b, '\0'), 0);
	assert_false(mboxplaces_parse(buf_span(&b), &h));
	buf_free(&b);
}

static void
changed_at_every_octet(void **state)
{
	struct buf b = {0};
	struct mboxplaces h;
	struct span text = image(&some, three, ARRAY_LEN(three), &b);

	(void)state;
	for (size_t i = 0; i < text.n; i++) {
		b.p[i] ^= 1 << (i % 8);
		check_true(!mboxplaces_parse(text, &h), "octet %zu", i);
		b.p[i] ^= 1 << (i % 8);
	}
	assert_true(mboxplaces_parse(text, &h));
	buf_free(&b);
}

/* With a right check: made by somebody who can write there, or by a mistake of ours. */
static void
what_cannot_be(void **state)
{
	static const struct mboxplace messages[] = {
	    {.off = 98, .end = 101},                    /* within the one before */
	    {.off = 100, .end = 100},                   /* no From_ line */
	    {.off = 200, .end = 100},                   /* backwards */
	    {.off = 100, .end = 1001},                  /* behind the end */
	    {.off = 100, .end = 110, .visible = 11},    /* more than there is */
	    {.off = 100, .end = 110, .flags = 1 << 15}, /* no flag */
	    {.off = 100, .end = 110, .keywords = 4},    /* no such keyword */
	    {.off = 100, .end = 110, .uid = UINT32_MAX},
	    {.off = 100, .end = 110, .old = 2},
	    {.off = 100, .end = 110, .zero = 1},
	};
	struct mboxplaces heads[] = {some, some, some, some, some, some, some, some};
	struct mboxplace v[200];
	struct buf b = {0};
	struct mboxplaces h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		v[0] = three[0];
		v[1] = messages[i];
		check_true(!mboxplaces_parse(image(&some, v, 2, &b), &h), "message %zu",
		           i);
	}
	heads[0].stamp.size = -1;
	heads[1].uidvalidity = 0;
	heads[2].based = 2;
	heads[3].crlf = 2;
	heads[4].base_named = 4;
	memset(heads[5].keyword[1], 'x', sizeof heads[5].keyword[1]);
	heads[6].keyword[3][0] = 'x';
	heads[7].based = 0; /* then no message tells its UID */
	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		check_true(!mboxplaces_parse(image(&heads[i], three, 1, &b), &h),
		           "head %zu", i);
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		v[i] = (struct mboxplace){.off = 5 * i, .end = 5 * i + 5};
	assert_false(mboxplaces_parse(image(&some, v, ARRAY_LEN(v), &b), &h));
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_printed),
	    cmocka_unit_test(cut_at_every_octet),
	    cmocka_unit_test(changed_at_every_octet),
	    cmocka_unit_test(what_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
