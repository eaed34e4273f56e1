/* words, charset and fold: always UTF-8, bounded, the same however cut. */
#include "storage/mime/words.h"

#include "storage/base/utf7.h"
#include "storage/mime/fold.h"
#include "tests/fuzz/fuzz.h"

static void
words(struct span in, size_t step, size_t cap, struct buf *out)
{
	struct words w;
	char room[300];
	size_t n;

	words_init(&w);
	while (in.n > 0) {
		struct span piece = fuzz_piece(in, step);

		in = span_from(in, piece.n);
		do {
			n = words_push(&w, &piece, room, cap);
			REQUIRE(n <= cap);
			REQUIRE(buf_add(out, (struct span){room, n}) == 0);
		} while (n == cap);
		REQUIRE(piece.n == 0);
	}
	do {
		n = words_end(&w, room, cap);
		REQUIRE(n <= cap);
		REQUIRE(buf_add(out, (struct span){room, n}) == 0);
	} while (n == cap);
	words_drop(&w);
}

static void
charset(struct span name, struct span in, size_t step, size_t cap, struct buf *out)
{
	struct charset c;
	char room[300];
	size_t n;

	charset_begin(&c, name);
	while (in.n > 0) {
		struct span piece = fuzz_piece(in, step);

		in = span_from(in, piece.n);
		n = charset_plain(&c, piece);
		REQUIRE(n <= piece.n);
		REQUIRE(buf_add(out, (struct span){piece.p, n}) == 0);
		piece = span_from(piece, n);
		do {
			n = charset_push(&c, &piece, room, cap);
			REQUIRE(n <= cap);
			REQUIRE(buf_add(out, (struct span){room, n}) == 0);
		} while (n == cap);
		REQUIRE(piece.n == 0);
	}
	do {
		n = charset_end(&c, room, cap);
		REQUIRE(buf_add(out, (struct span){room, n}) == 0);
	} while (n == cap);
	charset_drop(&c);
}

static void
fold(struct span in, size_t step, size_t cap, struct buf *out)
{
	struct fold f = {0};
	char room[300];
	size_t n;

	while (in.n > 0) {
		struct span piece = fuzz_piece(in, step);

		in = span_from(in, piece.n);
		do {
			n = fold_push(&f, &piece, room, cap);
			REQUIRE(n <= cap);
			REQUIRE(buf_add(out, (struct span){room, n}) == 0);
		} while (n == cap);
		REQUIRE(piece.n == 0);
	}
	do {
		n = fold_end(&f, room, cap);
		REQUIRE(buf_add(out, (struct span){room, n}) == 0);
	} while (n == cap);
}

static void
same(struct buf *a, struct buf *b, size_t most)
{
	REQUIRE(span_eq(buf_span(a), buf_span(b)));
	REQUIRE(utf8_is_valid(buf_span(a)));
	REQUIRE(a->n <= most);
	buf_free(a);
	buf_free(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {
	    "",       "iso-8859-1",  "windows-1255", "windows-1258",
	    "koi8-r", "gb18030",     "big5",         "shift_jis",
	    "euc-jp", "iso-2022-jp", "iso-2022-kr",  "euc-kr",
	    "utf-7",  "utf-16",      "utf-16be",     "unknown",
	};
	struct span in = {(const char *)data, size};
	size_t step = fuzz_take(&in, 1, 255), cap = fuzz_take(&in, 1, 256);
	struct span name = span_of(names[fuzz_take(&in, 0, ARRAY_LEN(names) - 1)]);
	struct buf whole = {0}, cut = {0};

	words(in, in.n + 1, 300, &whole);
	words(in, step, cap, &cut);
	same(&whole, &cut, 3 * in.n + 64);
	charset(name, in, in.n + 1, 300, &whole);
	charset(name, in, step, cap, &cut);
	same(&whole, &cut, 6 * in.n + 64);
	fold(in, in.n + 1, 300, &whole);
	fold(in, step, cap, &cut);
	same(&whole, &cut, FOLD_READY_MAX * in.n + 64);
	return 0;
}
