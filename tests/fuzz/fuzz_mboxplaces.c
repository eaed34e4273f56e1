/*
 * mboxplaces: what is taken, also when somebody has made the check right, lies within the file
 * in order, and printed again is the same text.
 */
#include <stddef.h>
#include <stdlib.h>

#include "storage/base/hash.h"
#include "storage/mboxplaces.h"
#include "tests/fuzz/fuzz.h"

static void
look(struct span text)
{
	struct buf again = {0};
	struct mboxplaces h;
	struct mboxplace p, *v;
	uint64_t from = 0;

	if (!mboxplaces_parse(text, &h))
		return;
	v = calloc((size_t)h.n + 1, sizeof *v);
	REQUIRE(v != NULL);
	for (size_t i = 0; i < h.n; i++) {
		mboxplaces_at(text, i, &p);
		REQUIRE(p.off >= from && p.end > p.off);
		REQUIRE(p.end <= (uint64_t)h.stamp.size && p.visible <= p.end - p.off);
		from = p.end;
		v[i] = p;
	}
	REQUIRE(mboxplaces_print(&h, v, (size_t)h.n, &again) == 0);
	REQUIRE(span_eq(buf_span(&again), text));
	buf_free(&again);
	free(v);
}

/* The octets as numbers of the head, how many keywords it has, and messages; magic, number
 * and check are right. */
static void
look_behind_the_check(struct span in)
{
	struct mboxplaces h = {0};
	const size_t numbers = offsetof(struct mboxplaces, keyword);
	struct buf made = {0};
	uint64_t check;

	if (in.n <= numbers)
		return;
	memcpy(&h, in.p, numbers);
	for (int i = 0; i < in.p[numbers] && i < MT_NKEYWORD; i++)
		h.keyword[i][0] = 'k';
	in = span_from(in, numbers + 1);
	h.magic = MBOXPLACES_MAGIC;
	h.n = in.n / sizeof(struct mboxplace);
	in.n = (size_t)h.n * sizeof(struct mboxplace);
	REQUIRE(buf_add(&made, (struct span){(const char *)&h, sizeof h}) == 0);
	REQUIRE(buf_add(&made, in) == 0);
	check = hash64(&hash_fixed, buf_span(&made));
	REQUIRE(buf_add(&made, (struct span){(const char *)&check, sizeof check}) == 0);
	look(buf_span(&made));
	buf_free(&made);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = {(const char *)data, size};

	look(text);
	look_behind_the_check(text);
	return 0;
}
