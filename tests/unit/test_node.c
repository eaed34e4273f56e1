/* node: ids there and back, names of messages. */
#include "fs/node.h"

#include "tests/unit/support/check.h"

static const struct node nodes[] = {
    {NODE_ROOT, 0, 0},
    {NODE_DIR, 1, 0},
    {NODE_DIR, UINT32_MAX, 0},
    {NODE_MESSAGE, 1, 1},
    {NODE_MESSAGE, 7, NODE_UID_MAX},
    {NODE_MESSAGE, UINT32_MAX, 4711},
    {NODE_STATE, 3, 0},
    {NODE_HIDDEN, 3, 0},
    {NODE_NEW, 3, 0},
    {NODE_EVENTS, 3, 0},
    {NODE_CTL, 3, 0},
    {NODE_CACHE, 3, 0},
    {NODE_LOCK, 3, 0},
    {NODE_WIRE, 3, 0},
    {NODE_WIRE, 3, NODE_GEN_MASK},
    {NODE_INDEX, 3, 0},
    {NODE_INDEX, 3, NODE_GEN_MASK},
    {NODE_DRAFT, 3, 0},
    {NODE_DRAFT, 3, NODE_NDRAFT - 1},
};

static void
there_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
		struct node n = node_of(node_id(nodes[i]));

		check_num(n.kind, nodes[i].kind, "row %zu: kind", i);
		check_num(n.box, nodes[i].box, "row %zu: mailbox", i);
		check_num(n.x, nodes[i].x, "row %zu: x", i);
	}
}

static void
no_two_are_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
		for (size_t j = 0; j < i; j++)
			check_true(node_id(nodes[i]) != node_id(nodes[j]), "rows %zu and %zu", j, i);
}

static void
a_generation_counts_with_its_low_bits(void **state)
{
	(void)state;
	check_num(node_id((struct node){NODE_WIRE, 3, NODE_GEN_MASK + 1}),
		  node_id((struct node){NODE_WIRE, 3, 0}), "generation 4096");
}

/* Each id is either nothing or the id of exactly what it is decoded to. */
static void
any_number_is_one_thing_or_nothing(void **state)
{
	static const uint64_t edge[] = {0,	    1,		2,	    0xfffeffff, 0xffff0000,
					0xffff0006, 0xffff0007, 0xffff0fff, 0xffff1000, 0xffff2fff,
					0xffff3000, 0xffff7fff, 0xffff8000, 0xffffffff};

	(void)state;
	for (uint64_t box = 0; box < 3; box++)
		for (size_t i = 0; i < ARRAY_LEN(edge); i++) {
			uint64_t id = box << 32 | edge[i];
			struct node n = node_of(id);

			if (n.kind != NODE_BAD)
				check_num(node_id(n), id, "id %#jx", (uintmax_t)id);
			else
				check_true(box == 0 || edge[i] > NODE_UID_MAX, "id %#jx",
					   (uintmax_t)id);
		}
}

static const struct {
	const char *name;
	uint32_t uid; /* 0: not the name of a message */
} names[] = {
    {"1.eml", 1},
    {"41.eml", 41},
    {"4294901759.eml", NODE_UID_MAX},
    {"4294901760.eml", 0},
    {"4294967295.eml", 0},
    {"4294967297.eml", 0},
    {"18446744073709551617.eml", 0},
    {"0.eml", 0},
    {"01.eml", 0},
    {"+1.eml", 0},
    {" 1.eml", 0},
    {"-1.eml", 0},
    {"1.eml ", 0},
    {"1.emlx", 0},
    {"1.EML", 0},
    {"1.em", 0},
    {"1", 0},
    {"1x.eml", 0},
    {".eml", 0},
    {"", 0},
    {".mailbox", 0},
};

static void
names_of_messages(void **state)
{
	char back[NODE_NAME_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		check_num(node_name_uid(names[i].name), names[i].uid, "row %zu: uid", i);
		if (names[i].uid == 0)
			continue;
		check_num(node_uid_name(names[i].uid, back), strlen(names[i].name),
			  "row %zu: length", i);
		check_span(span_of(back), span_of(names[i].name), "row %zu: name", i);
	}
}

static void
names_of_hidden_files(void **state)
{
	(void)state;
	check_num(node_hidden_kind("wire"), NODE_WIRE, "wire");
	check_num(node_hidden_kind("lock"), NODE_LOCK, "lock");
	check_num(node_hidden_kind("new"), NODE_NEW, "new");
	check_num(node_hidden_kind("Wire"), NODE_BAD, "Wire");
	check_num(node_hidden_kind(""), NODE_BAD, "no name");
	check_num(node_hidden_kind(".mailbox"), NODE_BAD, "not in .mailtree");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(no_two_are_the_same),
	    cmocka_unit_test(a_generation_counts_with_its_low_bits),
	    cmocka_unit_test(any_number_is_one_thing_or_nothing),
	    cmocka_unit_test(names_of_messages),
	    cmocka_unit_test(names_of_hidden_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
