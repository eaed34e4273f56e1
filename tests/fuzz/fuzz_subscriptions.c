/* subscriptions: printed and read again it is the same; adding and removing is undone. */
#include "storage/subscriptions.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size}, name;
	struct subscriptions s = {0}, again = {0};
	struct buf text = {0}, twice = {0};

	name.n = fuzz_take(&in, 0, 40);
	name.n = name.n < in.n ? name.n : in.n;
	name.p = in.p;
	in = span_from(in, name.n);
	if (subscriptions_parse(in, '.', &s) == -1) {
		REQUIRE(s.n == 0);
		return 0;
	}
	REQUIRE(subscriptions_print(&s, &text) == 0);
	REQUIRE(subscriptions_parse(buf_span(&text), '.', &again) == 0);
	REQUIRE(again.n == s.n && again.version == s.version);
	REQUIRE(subscriptions_print(&again, &twice) == 0);
	REQUIRE(span_eq(buf_span(&text), buf_span(&twice)));
	if (!subscriptions_has(&s, name) && subscriptions_add(&s, name) == 1) {
		REQUIRE(subscriptions_has(&s, name));
		buf_reset(&twice);
		REQUIRE(subscriptions_print(&s, &twice) == 0);
		subscriptions_free(&again);
		REQUIRE(subscriptions_parse(buf_span(&twice), '.', &again) == 0);
		REQUIRE(subscriptions_has(&again, name)); /* by the file, too */
		REQUIRE(subscriptions_remove(&s, name) == 1 && !subscriptions_has(&s, name));
		buf_reset(&twice);
		REQUIRE(subscriptions_print(&s, &twice) == 0);
		REQUIRE(span_eq(buf_span(&text), buf_span(&twice)));
	}
	subscriptions_free(&s);
	subscriptions_free(&again);
	buf_free(&text);
	buf_free(&twice);
	return 0;
}
