/*
 * address and param: any value gives groups that begin and end in turn, addresses without
 * holes, and no more than the value holds.
 */
#include "storage/mime/address.h"

#include "storage/mime/param.h"
#include "tests/fuzz/fuzz.h"

/* The words that stand for what is missing lie in no value. */
static bool
stands_for_nothing(struct span s)
{
	return span_eq(s, SPAN("MISSING_MAILBOX")) ||
	       span_eq(s, SPAN("MISSING_DOMAIN")) || span_eq(s, SPAN("SYNTAX_ERROR")) ||
	       span_eq(s, SPAN("INVALID_ROUTE"));
}

static size_t
octets(struct span s)
{
	return stands_for_nothing(s) ? 0 : s.n;
}

static void
addresses(struct span in, size_t max)
{
	struct arena arena = {.max = max};
	struct address_list list = {0};
	bool in_group = false, whole;
	size_t n = 0, total = 0;

	whole = address_parse(in, &arena, &list) == 0;
	for (const struct address *a = list.first; a != NULL; a = a->next) {
		n++;
		total += octets(a->name) + octets(a->adl) + octets(a->mailbox) +
		         octets(a->host);
		REQUIRE((a->next == NULL) == (a == list.last));
		if (a->host.p != NULL) {
			REQUIRE(a->mailbox.p != NULL && a->host.n > 0);
			continue;
		}
		REQUIRE(a->name.p == NULL && a->adl.p == NULL);
		REQUIRE((a->mailbox.p == NULL) == in_group);
		in_group = !in_group;
	}
	REQUIRE(!whole || !in_group);
	REQUIRE(n <= 2 * in.n + 2 && total <= 2 * in.n);
	arena_free(&arena);
}

static size_t
count(const struct param *q)
{
	size_t n = 0;

	for (; q != NULL; q = q->next) {
		REQUIRE(q->name.p != NULL);
		n++;
	}
	return n;
}

static void
parameters(struct span in, size_t max)
{
	struct arena arena = {.max = max};
	struct content_type c;
	struct span s = {0};
	struct param *q = NULL;
	int r = param_content_type(in, &arena, &c);

	REQUIRE(r == -1 || (c.type.p != NULL && c.subtype.p != NULL));
	REQUIRE(count(c.params) <= PARAM_MAX);
	(void)param_disposition(in, &arena, &s, &q);
	REQUIRE(count(q) <= PARAM_MAX);
	q = NULL;
	(void)param_languages(in, &arena, &q);
	REQUIRE(count(q) <= PARAM_MAX);
	s = (struct span){0};
	(void)param_encoding(in, &arena, &s);
	REQUIRE(s.p == NULL || (s.n > 0 && s.n <= in.n));
	arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	size_t room = fuzz_take(&in, 0, 255);

	addresses(in, 0);
	addresses(in, 64 + room * 16);
	parameters(in, 0);
	parameters(in, 64 + room * 16);
	return 0;
}
