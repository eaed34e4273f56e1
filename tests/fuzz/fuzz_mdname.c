/* mdname: a name that is changed and changed back says the same; base and rest stay. */
#include "fs/abi.h"
#include "storage/mdname.h"
#include "tests/fuzz/fuzz.h"

#define KEYWORDS ((1u << MT_NKEYWORD) - 1)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	uint16_t flags = (uint16_t)(fuzz_take(&in, 0, 255) & MT_FLAGS);
	uint32_t keywords = (uint32_t)(fuzz_take(&in, 0, 255) * 0x01010101u) & KEYWORDS;
	struct buf name = {0}, same = {0};
	struct mdname m, n, o;

	mdname_parse(in, &m);
	REQUIRE(m.base.n + m.letters.n + m.rest.n <= in.n);
	REQUIRE((m.flags & ~MT_FLAGS) == 0 && (m.keywords & ~KEYWORDS) == 0);
	REQUIRE(m.base.n == 0 || memchr(m.base.p, ':', m.base.n) == NULL);
	REQUIRE(m.rest.n == 0 || m.rest.p[0] == ',');
	if (mdname_print(&m, flags, keywords, &name) == 0) {
		REQUIRE(name.n <= MDNAME_MAX);
		mdname_parse(buf_span(&name), &n);
		REQUIRE(span_eq(n.base, m.base) && span_eq(n.rest, m.rest));
		REQUIRE(n.flags == flags && n.keywords == keywords);
		REQUIRE(n.hint_size == m.hint_size && n.hint_wire == m.hint_wire);
		/* sorted once, it is written the same for ever */
		REQUIRE(mdname_print(&n, flags, keywords, &same) == 0);
		REQUIRE(span_eq(buf_span(&name), buf_span(&same)));
		same.n = 0;
		if (mdname_print(&n, m.flags, m.keywords, &same) == 0) {
			mdname_parse(buf_span(&same), &o);
			REQUIRE(o.flags == m.flags && o.keywords == m.keywords);
		}
	}
	buf_free(&name);
	buf_free(&same);
	return 0;
}
