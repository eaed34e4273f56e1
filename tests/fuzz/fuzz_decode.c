/* decode: bounded output, the same however cut; and what a naive encoder wrote comes back. */
#include "storage/mime/decode.h"

#include "tests/fuzz/fuzz.h"

static bool
decode(enum encoding e, struct span in, size_t step, size_t cap, struct buf *out)
{
	struct decode d;
	char room[300];
	size_t n;

	decode_init(&d, e);
	while (in.n > 0) {
		struct span piece = fuzz_piece(in, step);

		in = span_from(in, piece.n);
		do {
			n = decode_push(&d, &piece, room, cap);
			REQUIRE(n <= cap);
			REQUIRE(buf_add(out, (struct span){room, n}) == 0);
		} while (n == cap);
		REQUIRE(piece.n == 0);
	}
	do {
		n = decode_end(&d, room, cap);
		REQUIRE(n <= cap);
		REQUIRE(buf_add(out, (struct span){room, n}) == 0);
	} while (n == cap);
	return d.broken;
}

static void
encode_base64(struct span in, struct buf *out)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < in.n; i += 3) {
		size_t n = in.n - i < 3 ? in.n - i : 3;
		uint32_t bits = 0;

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < n ? (uint8_t)in.p[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			REQUIRE(buf_addc(out, k <= n ? digits[bits >> (18 - 6 * k) & 63]
			                             : '=') == 0);
		if (i % 57 == 54)
			REQUIRE(buf_add(out, SPAN("\r\n")) == 0);
	}
}

static void
encode_qp(struct span in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		REQUIRE(buf_addf(out, "=%02X", (uint8_t)in.p[i]) == 0);
		if (i % 25 == 24)
			REQUIRE(buf_add(out, SPAN("= \r\n")) == 0);
	}
}

static void
comes_back(enum encoding e, struct span in, size_t step, size_t cap)
{
	struct buf coded = {0}, again = {0};

	if (e == ENCODING_BASE64)
		encode_base64(in, &coded);
	else
		encode_qp(in, &coded);
	REQUIRE(!decode(e, buf_span(&coded), step, cap, &again));
	REQUIRE(span_eq(buf_span(&again), in));
	buf_free(&coded);
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum encoding all[] = {ENCODING_NONE, ENCODING_BASE64, ENCODING_QP,
	                                    ENCODING_UNKNOWN};
	struct span in = {(const char *)data, size};
	size_t step = fuzz_take(&in, 1, 255), cap = fuzz_take(&in, 1, 256);

	encoding_of(in);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct buf whole = {0}, got = {0};
		bool broken = decode(all[i], in, in.n + 1, 300, &whole);

		REQUIRE(decode(all[i], in, step, cap, &got) == broken);
		REQUIRE(span_eq(buf_span(&got), buf_span(&whole)));
		REQUIRE(whole.n <= in.n);
		buf_free(&whole);
		buf_free(&got);
	}
	comes_back(ENCODING_BASE64, in, step, cap);
	comes_back(ENCODING_QP, in, step, cap);
	return 0;
}
