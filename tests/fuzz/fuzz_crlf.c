/* crlf: whatever the bytes, the cuts and the room, the wire rule as one would say it. */
#include "fs/abi.h"
#include "storage/crlf.h"
#include "tests/fuzz/fuzz.h"

struct want {
	struct buf wire;
	size_t header_size;
	unsigned bits;
};

static void
naive(struct span in, struct want *w)
{
	char last = 0;
	size_t line = 0; /* where the present wire line begins */
	bool found = false;

	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (c == '\n' && last != '\r')
			REQUIRE(buf_addc(&w->wire, '\r') == 0);
		REQUIRE(buf_addc(&w->wire, c) == 0);
		w->bits |= c == '\0' ? MT_NUL : 0;
		w->bits |= (unsigned char)c >= 0x80 ? MT_8BIT : 0;
		if (c == '\n') {
			if (!found && w->wire.n - line == 2) {
				found = true;
				w->header_size = w->wire.n;
			}
			line = w->wire.n;
		}
		last = c;
	}
	if (in.n > 0 && last != '\n')
		REQUIRE(buf_add(&w->wire, SPAN("\r\n")) == 0);
	if (!found)
		w->header_size = w->wire.n;
	for (size_t i = 0; i < w->wire.n; i++)
		if (w->wire.p[i] == '.' && (i == 0 || w->wire.p[i - 1] == '\n'))
			w->bits |= MT_DOT;
}

static void
convert(struct span in, size_t step, size_t cap, struct buf *out)
{
	struct crlf c = {0};
	char room[300], tail[2];

	while (in.n > 0) {
		size_t used, n = crlf_push(&c, fuzz_piece(in, step), room, cap, &used);

		REQUIRE(n <= cap && used <= step && (n > 0 || used > 0));
		REQUIRE(buf_add(out, (struct span){room, n}) == 0);
		in = span_from(in, used);
	}
	REQUIRE(buf_add(out, (struct span){tail, crlf_end(&c, tail)}) == 0);
	REQUIRE(c.wire == out->n);
}

static void
count(struct span in, size_t step, const struct want *w)
{
	struct wire_count c = {0};
	size_t stored = in.n;

	for (; in.n > 0; in = span_from(in, step))
		wire_count_push(&c, fuzz_piece(in, step));
	wire_count_end(&c);
	REQUIRE(c.stored == stored && c.wire == w->wire.n);
	REQUIRE(c.header_size == w->header_size && c.bits == w->bits);
}

/* To anywhere and on from there: the same tail. */
static void
go_on(struct span in, size_t off, const struct want *w)
{
	struct crlf c = {0};
	size_t at = crlf_skip(&c, in, off), cap = 2 * in.n + 4, used, n, wire_off = c.wire;
	char *out = malloc(cap);

	REQUIRE(out != NULL);
	REQUIRE(c.wire <= off && (at == in.n || off - c.wire <= 1));
	n = crlf_push(&c, span_from(in, at), out, cap - 2, &used);
	REQUIRE(used == in.n - at);
	n += crlf_end(&c, out + n);
	REQUIRE(span_eq((struct span){out, n}, span_from(buf_span(&w->wire), wire_off)));
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	size_t step = fuzz_take(&in, 1, 255), cap = fuzz_take(&in, 2, 257);
	size_t off = fuzz_take(&in, 0, 255) * 7;
	struct want w = {0};
	struct buf got = {0};

	naive(in, &w);
	convert(in, step, cap, &got);
	REQUIRE(span_eq(buf_span(&got), buf_span(&w.wire)));
	count(in, step, &w);
	go_on(in, off, &w);
	buf_free(&got);
	buf_free(&w.wire);
	return 0;
}
