/* text: whatever the message, calls in order, UTF-8, and the same however cut. */
#include "storage/mime/text.h"

#include "storage/base/utf7.h"
#include "tests/fuzz/fuzz.h"

struct sheet {
	struct buf all, piece;
	bool open;
};

static void
write(struct sheet *s, char mark, struct span text)
{
	REQUIRE(buf_addc(&s->all, mark) == 0 && buf_add(&s->all, text) == 0);
}

static bool
on_field(void *arg, enum text_place place, struct span name)
{
	struct sheet *s = arg;

	REQUIRE(!s->open);
	write(s, (char)place, name);
	s->open = name.n % 5 != 4;
	return s->open;
}

static void
on_text(void *arg, struct span utf8)
{
	struct sheet *s = arg;

	REQUIRE(s->open && utf8.n > 0);
	REQUIRE(buf_add(&s->piece, utf8) == 0);
}

static void
on_end(void *arg)
{
	struct sheet *s = arg;

	REQUIRE(s->open && utf8_is_valid(buf_span(&s->piece)));
	s->open = false;
	write(s, '|', buf_span(&s->piece));
	buf_reset(&s->piece);
}

static bool
on_body(void *arg)
{
	struct sheet *s = arg;

	REQUIRE(!s->open);
	write(s, '[', SPAN(""));
	return s->open = true;
}

static void
read_text(struct span in, size_t step, struct sheet *s)
{
	struct text *t = text_new(&(struct text_sink){s, on_field, on_text, on_end,
	                                              on_body, on_text, on_end});

	REQUIRE(t != NULL);
	for (; in.n > 0; in = span_from(in, step))
		REQUIRE(text_push(t, fuzz_piece(in, step)) == 0);
	REQUIRE(text_end(t) == 0);
	REQUIRE(!s->open);
	text_free(t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	size_t step = fuzz_take(&in, 1, 255);
	struct sheet whole = {0}, cut = {0};

	read_text(in, in.n + 1, &whole);
	read_text(in, step, &cut);
	REQUIRE(span_eq(buf_span(&whole.all), buf_span(&cut.all)));
	buf_free(&whole.all);
	buf_free(&whole.piece);
	buf_free(&cut.all);
	buf_free(&cut.piece);
	return 0;
}
