/* boxname: every store name is shown by a name of its own, and found again by it. */
#include "storage/boxname.h"

#include <errno.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static const struct {
	const char *store, *tree;
} row[] = {
    {"", "INBOX"},
    {".A", "A"},
    {".A.B", "A/B"},
    {".Archive.2024", "Archive/2024"},
    {".INBOX", "%49NBOX"},
    {".INBOX.A", "INBOX/A"},
    {".inbox", "inbox"},
    {".A.INBOX", "A/INBOX"},
    {".%49NBOX", "%2549NBOX"},
    /* modified UTF-7, the examples of RFC 3501 section 5.1.3 and RFC 2152 */
    {".Entw&APw-rfe", "Entw\xc3\xbcrfe"},
    {".~peter.mail.&ZeVnLIqe-.&U,BTFw-",
     "~peter/mail/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e/\xe5\x8f\xb0\xe5\x8c\x97"},
    {".&Jjo-!", "\xe2\x98\xba!"},
    {".&2D3eCg-", "\xf0\x9f\x98\x8a"},
    {".a&-b", "a&b"},
    {".&-", "&"},
    /* not canonical: a run too many, bits left over, ASCII within, no end, a lone surrogate */
    {".&U,BTFw-&ZeVnLIqe-", "%26U,BTFw-%26ZeVnLIqe-"},
    {".&APz-", "%26APz-"},
    {".&AGE-", "%26AGE-"},
    {".a&b", "a%26b"},
    {".&APw", "%26APw"},
    {".&2D0-", "%262D0-"},
    {".&3go-", "%263go-"},
    {".&A/w-", NULL},
    {".&AC8-", "%26AC8-"},
    {".&AC4-", "%26AC4-"},
    {".&AAA-", "%26AAA-"},
    {".&AAE-", "%26AAE-"},
    {".&AA-", "%26AA-"},
    {".&A-", "%26A-"},
    /* raw UTF-8 could be taken for the decoded form of another; Latin-1 could not */
    {".Entw\xc3\xbcrfe", "Entw%C3%BCrfe"},
    {".caf\xe9", "caf\xe9"},
    {".caf\xe9&b", "caf\xe9&b"},
    /* escapes */
    {".a\x01z", "a%01z"},
    {".a\nz", "a%0Az"},
    {".\x7f", "%7F"},
    {".100%", "100%"},
    {".50%off", "50%off"},
    {".50%20off", "50%2520off"},
    {".%41", "%2541"},
    {".%4a", "%254a"},
    {".%%41", "%%2541"},
    {".%", "%25"},
    {".%%", "%%"},
    /* empty levels */
    {".A.", "A/%"},
    {"..A", "%/A"},
    {".A..B", "A/%/B"},
    {"...", "%/%/%"},
    /* a folder that would look like a message cannot be here: the dot parts levels */
    {".1.eml", "1/eml"},
};

static void
there_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct buf tree = {0}, store = {0};
		enum boxname_error e;

		if (row[i].tree == NULL)
			continue;
		e = boxname_to_tree(guarded(span_of(row[i].store)), &tree);
		check_num(e, BOXNAME_OK, "to tree, row %zu (%s)", i, row[i].store);
		check_mem(tree.p, tree.n, row[i].tree, "to tree, row %zu", i);
		e = boxname_to_store(guarded(buf_span(&tree)), &store);
		check_num(e, BOXNAME_OK, "to store, row %zu (%s)", i, row[i].tree);
		check_mem(store.p, store.n, row[i].store, "to store, row %zu", i);
		buf_free(&tree);
		buf_free(&store);
	}
	guard_free_all();
}

/* Levels of a store in which the dot is an octet like any other (mbox). */
static const struct {
	const char *store, *tree;
} level[] = {
    {"1.eml", "%31.eml"},   {"007.eml", "%3007.eml"}, {".eml", "%2Eeml"},
    {"1.emlx", "1.emlx"},   {"a1.eml", "a1.eml"},     {"1.EML", "1.EML"},
    {".mailbox", "%2Emailbox"}, {".", "%2E"},	      {"..", "%2E."},
    {"%31.eml", "%2531.eml"},
    {"1x.eml", "1x.eml"},   {"", "%"},
};

static void
levels_there_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(level); i++) {
		struct buf tree = {0}, store = {0};

		check_num(boxname_level_to_tree(guarded(span_of(level[i].store)), &tree),
			  BOXNAME_OK, "to tree, row %zu", i);
		check_mem(tree.p, tree.n, level[i].tree, "to tree, row %zu", i);
		check_num(boxname_level_to_store(buf_span(&tree), 0, &store), BOXNAME_OK,
			  "to store, row %zu", i);
		check_mem(store.p, store.n, level[i].store, "to store, row %zu", i);
		buf_free(&tree);
		buf_free(&store);
	}
	guard_free_all();
}

static const struct {
	struct span tree;
	enum boxname_error error;
} refused[] = {
    {SPAN(""), BOXNAME_EMPTY},	      {SPAN("/"), BOXNAME_EMPTY},
    {SPAN("A/"), BOXNAME_EMPTY},      {SPAN("/A"), BOXNAME_EMPTY},
    {SPAN("A//B"), BOXNAME_EMPTY},    {SPAN("."), BOXNAME_DOT},
    {SPAN(".."), BOXNAME_DOT},	      {SPAN("A/.."), BOXNAME_DOT},
    {SPAN("A/../B"), BOXNAME_DOT},    {SPAN(".A"), BOXNAME_DOT},
    {SPAN("%"), BOXNAME_DOT},	      {SPAN("%/%"), BOXNAME_DOT},
    {SPAN("A.B"), BOXNAME_SEPARATOR}, {SPAN("12.eml"), BOXNAME_SEPARATOR},
    {SPAN("a%2Eb"), BOXNAME_SEPARATOR}, {SPAN("a%2Fb"), BOXNAME_SEPARATOR},
    {SPAN("%41"), BOXNAME_ESCAPE},    {SPAN("a%0a"), BOXNAME_ESCAPE},
    {SPAN("a\nb"), BOXNAME_ESCAPE},   {SPAN("a\0b"), BOXNAME_ESCAPE},
    {SPAN("a%00b"), BOXNAME_ESCAPE},  {SPAN("%26-"), BOXNAME_ESCAPE},
    {SPAN("\xc3\xbc%26"), BOXNAME_ESCAPE}, {SPAN("a%FF"), BOXNAME_ESCAPE},
    {SPAN("%49nbox"), BOXNAME_ESCAPE}, {SPAN("%49NBOX/A"), BOXNAME_ESCAPE},
};

static void
refuses_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct buf out = {0};

		assert_int_equal(buf_add(&out, SPAN("kept")), 0);
		check_num(boxname_to_store(guarded(refused[i].tree), &out), refused[i].error,
			  "row %zu", i);
		check_mem(out.p, out.n, "kept", "row %zu", i);
		buf_free(&out);
	}
	guard_free_all();
}

static void
store_names_that_are_none(void **state)
{
	struct buf out = {0};

	(void)state;
	assert_int_equal(boxname_to_tree(SPAN("."), &out), BOXNAME_DOT);
	assert_int_equal(boxname_to_tree(SPAN(".."), &out), BOXNAME_DOT);
	assert_int_equal(boxname_to_tree(SPAN("cur"), &out), BOXNAME_STORE);
	assert_int_equal(boxname_to_tree(SPAN(".a\0b"), &out), BOXNAME_STORE);
	assert_int_equal(boxname_to_tree(SPAN(".a/b"), &out), BOXNAME_STORE);
	assert_int_equal(out.n, 0);
	buf_free(&out);
}

static void
lengths(void **state)
{
	char name[2 * BOXNAME_MAX];
	struct buf out = {0};

	(void)state;
	memset(name, 'a', sizeof name);
	/* the store name has one octet more: its dot */
	assert_int_equal(boxname_to_store((struct span){name, BOXNAME_MAX - 1}, &out),
			 BOXNAME_OK);
	assert_int_equal(out.n, BOXNAME_MAX);
	out.n = 0;
	assert_int_equal(boxname_to_store((struct span){name, BOXNAME_MAX}, &out),
			 BOXNAME_LONG);
	assert_int_equal(boxname_to_store((struct span){name, BOXNAME_MAX + 1}, &out),
			 BOXNAME_LONG);
	/* UTF-7 is longer than UTF-8 here, and escapes are longer than octets */
	memset(name, 0x01, sizeof name);
	name[0] = '.';
	assert_int_equal(boxname_to_tree((struct span){name, 86}, &out), BOXNAME_OK);
	out.n = 0;
	assert_int_equal(boxname_to_tree((struct span){name, 87}, &out), BOXNAME_LONG);
	assert_int_equal(boxname_to_tree((struct span){name, BOXNAME_MAX + 1}, &out),
			 BOXNAME_LONG);
	/* 256 octets of the store that would show as 254 */
	memset(name, 'x', 256);
	memcpy(name, "&-&-", 4);
	assert_int_equal(boxname_level_to_tree((struct span){name, 256}, &out), BOXNAME_LONG);
	assert_int_equal(boxname_errno(BOXNAME_LONG), ENAMETOOLONG);
	assert_int_equal(boxname_errno(BOXNAME_DOT), EINVAL);
	assert_int_equal(boxname_errno(BOXNAME_OK), 0);
	buf_free(&out);
}

/* Any octets: the tree name is legal, and leads back. */
static void
any_octets_lead_back(void **state)
{
	static const char dense[] = "&&--%%..//AI2NBOX1.emlw,\x01\x7f\xc3\xbc\xe9\xff";
	uint64_t seed = 4;
	char name[64];

	(void)state;
	for (unsigned round = 0; round < check_rounds(200000); round++) {
		struct span in = {name, 1 + check_random(&seed) % 12};
		struct buf tree = {0}, store = {0};
		enum boxname_error e;

		for (size_t i = 0; i < in.n; i++) {
			uint32_t r = check_random(&seed);

			name[i] = r % 8 == 0 ? (char)(r >> 8)
					     : dense[(r >> 8) % (sizeof dense - 1)];
		}
		e = boxname_level_to_tree(in, &tree);
		if (memchr(name, '\0', in.n) != NULL || memchr(name, '/', in.n) != NULL) {
			check_num(e, BOXNAME_STORE, "round %u", round);
			continue;
		}
		check_num(e, BOXNAME_OK, "round %u", round);
		check_true(tree.p[0] != '.' && memchr(tree.p, '/', tree.n) == NULL,
			   "legal, round %u", round);
		check_num(boxname_level_to_store(buf_span(&tree), 0, &store), BOXNAME_OK,
			  "back, round %u", round);
		check_span(buf_span(&store), in, "round %u", round);
		buf_free(&tree);
		buf_free(&store);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(levels_there_and_back),
	    cmocka_unit_test(refuses_by_name),
	    cmocka_unit_test(store_names_that_are_none),
	    cmocka_unit_test(lengths),
	    cmocka_unit_test(any_octets_lead_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
