/*
 * courierconf and shellvars: whatever Courier's files say, they are read to their end within
 * their ceilings, and what comes out is a configuration without an unknown setting.
 */
#include "protocol/server/courierconf.h"
#include "tests/fuzz/fuzz.h"

static void
reading_ends(struct span in)
{
	struct shellvars s = {.rest = in};
	struct shellvars_item it;
	enum shellvars_ev ev;
	size_t items = 0, lines = 1;

	for (size_t i = 0; i < in.n; i++)
		lines += in.p[i] == '\n';
	while ((ev = shellvars_next(&s, &it)) != SHELLVARS_END) {
		REQUIRE(++items <= in.n);
		REQUIRE(it.line >= 1 && it.line <= lines);
		REQUIRE(ev == SHELLVARS_BAD ? it.why != NULL : it.name.n > 0);
		REQUIRE(it.value.n <= SHELLVARS_VALUE_MAX);
		REQUIRE(ev == SHELLVARS_BAD ||
		        span_eq(it.value, span_of(shellvars_get(&s, it.name)->value)));
	}
	REQUIRE(s.n <= SHELLVARS_MAX);
	shellvars_free(&s);
}

/* No value gets out of its quotes: each name in the result is one that was meant. */
static void
result_is_ours(struct span in)
{
	struct courierconf courier = {0};
	struct config notes, c;
	struct buf out = {0}, said = {0};
	struct span part;
	int f = 0;

	REQUIRE(config_init(&notes) == 0 && config_init(&c) == 0);
	for (; f < COURIERCONF_NFILE && span_cut(&in, '\x01', &part); f++)
		courierconf_read(&courier, (enum courierconf_file)f, "f", part, &notes);
	REQUIRE(courierconf_write(&courier, &out, &notes) == 0);
	config_text(&c, buf_span(&out), "out", 0, NULL);
	REQUIRE(config_print_notes(&c, &said) == 0 && buf_addc(&said, '\0') == 0);
	REQUIRE(strstr(said.p, "there is no setting") == NULL);
	REQUIRE(strstr(said.p, "there is no block") == NULL);
	REQUIRE(strstr(said.p, "expected") == NULL);
	REQUIRE(c.nlistener >= 4);
	courierconf_free(&courier);
	config_free(&notes);
	config_free(&c);
	buf_free(&out);
	buf_free(&said);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};

	reading_ends(in);
	result_is_ours(in);
	return 0;
}
