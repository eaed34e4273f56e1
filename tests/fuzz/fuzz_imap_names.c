/* names: what is taken as a name is what its path is called, and no path leads out. */
#include "protocol/imap/names.h"
#include "storage/base/utf7.h"
#include "storage/boxname.h"
#include "tests/fuzz/fuzz.h"

static const struct imap_names kinds[] = {
    {'.', ""}, {'/', ""}, {'.', "INBOX."}, {'/', "Mail/"}};

static void
check_path(struct span path)
{
	struct span level;

	REQUIRE(path.n > 0 && path.p[0] != '/' && path.p[path.n - 1] != '/');
	while (span_cut(&path, '/', &level)) {
		REQUIRE(level.n > 0 && level.n <= BOXNAME_MAX && level.p[0] != '.');
		REQUIRE(memchr(level.p, '\0', level.n) == NULL);
	}
}

static void
text_there_and_back(const struct imap_names *names, struct span text)
{
	struct buf path = {0}, back = {0}, again = {0};

	if (name_to_path(names, text, &path) == NULL) {
		check_path(buf_span(&path));
		REQUIRE(name_of_path(names, buf_span(&path), &back) == 0);
		REQUIRE(span_caseeq(buf_span(&back), text));
		REQUIRE(name_to_path(names, buf_span(&back), &again) == NULL);
		REQUIRE(span_eq(buf_span(&again), buf_span(&path)));
	} else
		REQUIRE(path.n == 0);
	buf_free(&path);
	buf_free(&back);
	buf_free(&again);
}

/* Whatever a store has can be named, and is found by that name. */
static void
store_there_and_back(const struct imap_names *names, struct span store)
{
	struct buf path = {0}, text = {0}, back = {0};

	if (boxname_to_tree(store, &path) == BOXNAME_OK) {
		REQUIRE(name_of_path(names, buf_span(&path), &text) == 0);
		REQUIRE(utf8_is_valid(buf_span(&text)));
		REQUIRE(name_to_path(names, buf_span(&text), &back) == NULL);
		REQUIRE(span_eq(buf_span(&back), buf_span(&path)));
	}
	buf_free(&path);
	buf_free(&text);
	buf_free(&back);
}

static void
wire_there_and_back(bool utf8, struct span wire)
{
	struct buf text = {0}, printed = {0};

	if (name_decode(utf8, wire, &text) == NULL) {
		REQUIRE(utf8_is_valid(buf_span(&text)));
		REQUIRE(name_print(utf8, buf_span(&text), &printed) == 0);
		REQUIRE(printed.n >= wire.n + 2 && printed.p[0] == '"');
	}
	buf_free(&text);
	buf_free(&printed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		text_there_and_back(&kinds[i], in);
		store_there_and_back(&kinds[i], in);
	}
	wire_there_and_back(false, in);
	wire_there_and_back(true, in);
	return 0;
}
