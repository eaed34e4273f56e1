/*
 * mboxscan: however the octets are cut, with and without counting, the messages are the same;
 * sizes are those of the visible octets; the messages lie in the file one behind the other; the
 * scanner wants a bounded number of octets for each.
 */
#include "storage/mboxscan.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/support/mboxtwin.h"

#define MOST 4096 /* messages that are compared */

struct seen {
	uint64_t off, header, body, end, next, visible, ident;
	uint32_t uid, flags;
};

static size_t
scan(struct span file, size_t step, struct seen *v, enum mboxscan_ev *last)
{
	static struct mboxscan s;
	uint64_t pushed = 0;
	size_t n = 0;

	mboxscan_begin(&s, 0, file.n, true);
	do {
		struct span in = span_from(file, (size_t)s.want);
		uint64_t want = s.want, took;

		REQUIRE(want <= file.n);
		if (in.n > step)
			in.n = step;
		took = in.n;
		*last = mboxscan_push(&s, &in);
		pushed += took - in.n;
		if (*last != MBOXSCAN_MESSAGE || n == MOST)
			continue;
		v[n++] = (struct seen){s.msg.off,   s.msg.header, s.msg.body,
		                       s.msg.end,   s.msg.next,   s.msg.visible,
		                       s.msg.ident, s.msg.uid,    s.msg.flags};
		REQUIRE(s.msg.off < s.msg.header && s.msg.header <= s.msg.end);
		REQUIRE(s.msg.end <= s.msg.next && s.msg.next <= file.n);
		REQUIRE(s.msg.header <= s.msg.body && s.msg.body <= s.msg.end);
		REQUIRE(s.msg.visible <= s.msg.end - s.msg.header);
		REQUIRE(n == 1 || v[n - 2].next == s.msg.off);
	} while (*last == MBOXSCAN_MORE || *last == MBOXSCAN_MESSAGE);
	REQUIRE(pushed <= 2 * file.n + (n + 1) * 2 * (MBOXFROM_MAX + 16));
	return n;
}

static void
count(struct span file, size_t step)
{
	struct twin whole = {0}, cut = {0};

	twin_scan(file, SIZE_MAX, true, &whole);
	twin_scan(file, step, true, &cut);
	REQUIRE(twin_differ(&whole, &cut) == NULL);
	twin_free(&cut);
	twin_scan(file, step, false, &cut);
	REQUIRE(twin_differ(&whole, &cut) == NULL);
	twin_free(&cut);
	twin_free(&whole);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct seen one[MOST], two[MOST];
	struct span in = {(const char *)data, size};
	enum mboxscan_ev a, b;
	size_t step = 1 + fuzz_take(&in, 0, 63), n;

	n = scan(in, in.n + 1, one, &a);
	REQUIRE(scan(in, step, two, &b) == n && a == b);
	REQUIRE(n == 0 || memcmp(one, two, n * sizeof *one) == 0);
	count(in, step);
	return 0;
}
