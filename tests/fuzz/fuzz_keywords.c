/* keywords: every row is a keyword; no line is lost; printed and read again it is the same. */
#include "storage/keywords.h"
#include "tests/fuzz/fuzz.h"

static void
rows_are_keywords(const struct keywords *k)
{
	for (int i = 0; i < MT_NKEYWORD; i++) {
		struct span name = span_of(k->name[i]);

		if (name.n == 0)
			continue;
		REQUIRE(keywords_valid(name) && keywords_find(k, name) == i);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keywords k = {0}, again = {0};
	struct buf text = {0}, twice = {0};
	int row;

	REQUIRE(keywords_parse((struct span){(const char *)data, size}, &k) == 0);
	rows_are_keywords(&k);
	REQUIRE((k.bad == 0) == (k.foreign.n == 0) && (k.bad == 0) == (k.bad_line == 0));
	REQUIRE(keywords_print(&k, &text) == 0);
	REQUIRE(keywords_parse(buf_span(&text), &again) == 0);
	REQUIRE(keywords_print(&again, &twice) == 0);
	REQUIRE(span_eq(buf_span(&text), buf_span(&twice)));
	REQUIRE(memcmp(k.name, again.name, sizeof k.name) == 0);
	REQUIRE((k.reserved & ~again.reserved) == 0 || again.bad == k.bad);
	if ((row = keywords_add(&k, SPAN("a-new-one"))) != -1)
		REQUIRE(!(k.reserved >> row & 1) && again.name[row][0] == '\0');
	keywords_free(&k);
	keywords_free(&again);
	buf_free(&text);
	buf_free(&twice);
	return 0;
}
