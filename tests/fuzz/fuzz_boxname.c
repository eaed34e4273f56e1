/* boxname: any store name leads back to itself, any tree name to what shows as it. */
#include "storage/boxname.h"
#include "tests/fuzz/fuzz.h"

static bool
has(struct span s, char c)
{
	return s.n > 0 && memchr(s.p, c, s.n) != NULL;
}

static void
legal_level(struct span s)
{
	REQUIRE(s.n > 0 && s.n <= BOXNAME_MAX && s.p[0] != '.');
	REQUIRE(!has(s, '\0') && !has(s, '\n'));
}

static void
legal_path(struct span tree)
{
	struct span level;

	REQUIRE(tree.n > 0 && tree.p[tree.n - 1] != '/');
	while (span_cut(&tree, '/', &level))
		legal_level(level);
}

static void
store_to_tree(struct span store)
{
	struct buf tree = {0}, back = {0};
	enum boxname_error e = boxname_to_tree(store, &tree);

	if (e == BOXNAME_OK) {
		legal_path(buf_span(&tree));
		REQUIRE(boxname_to_store(buf_span(&tree), &back) == BOXNAME_OK);
		REQUIRE(span_eq(buf_span(&back), store));
	} else {
		/* nothing but these is ever refused */
		REQUIRE(tree.n == 0);
		REQUIRE(e == BOXNAME_LONG || store.p[0] != '.' || has(store, '\0') ||
			has(store, '/') || span_eq(store, SPAN(".")) ||
			span_eq(store, SPAN("..")));
		REQUIRE(e != BOXNAME_LONG || store.n > BOXNAME_MAX / 3);
	}
	buf_free(&tree);
	buf_free(&back);
}

static void
tree_to_store(struct span tree)
{
	struct buf store = {0}, back = {0};

	if (boxname_to_store(tree, &store) == BOXNAME_OK) {
		REQUIRE(store.n <= BOXNAME_MAX && !has(buf_span(&store), '/') &&
			!has(buf_span(&store), '\0'));
		REQUIRE(store.n == 0 || store.p[0] == '.');
		REQUIRE(boxname_to_tree(buf_span(&store), &back) == BOXNAME_OK);
		REQUIRE(span_eq(buf_span(&back), tree));
	} else
		REQUIRE(store.n == 0);
	buf_free(&store);
	buf_free(&back);
}

static void
level_to_tree(struct span store)
{
	struct buf tree = {0}, back = {0};

	if (boxname_level_to_tree(store, &tree) == BOXNAME_OK) {
		legal_level(buf_span(&tree));
		REQUIRE(!has(buf_span(&tree), '/'));
		REQUIRE(boxname_level_to_store(buf_span(&tree), 0, &back) == BOXNAME_OK);
		REQUIRE(span_eq(buf_span(&back), store));
	}
	buf_free(&tree);
	buf_free(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};

	store_to_tree(in);
	tree_to_store(in);
	level_to_tree(in);
	return 0;
}
