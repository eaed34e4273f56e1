/* utf7: what decodes encodes to the same octets, and the other way. */
#include "storage/base/utf7.h"
#include "tests/fuzz/fuzz.h"

static void
seven_to_eight(struct span s)
{
	struct buf eight = {0}, back = {0};

	if (utf7_decode(s, &eight) == 0) {
		REQUIRE(utf8_is_valid(buf_span(&eight)));
		REQUIRE(utf7_encode(buf_span(&eight), &back) == 0);
		REQUIRE(span_eq(buf_span(&back), s));
	} else
		REQUIRE(eight.n == 0);
	buf_free(&eight);
	buf_free(&back);
}

static void
eight_to_seven(struct span s)
{
	struct buf seven = {0}, back = {0};

	if (utf7_encode(s, &seven) == 0) {
		REQUIRE(utf8_is_valid(s));
		REQUIRE(utf7_decode(buf_span(&seven), &back) == 0);
		REQUIRE(span_eq(buf_span(&back), s));
	} else
		REQUIRE(seven.n == 0 && !utf8_is_valid(s));
	buf_free(&seven);
	buf_free(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};

	seven_to_eight(in);
	eight_to_seven(in);
	return 0;
}
