/* shellvars: assignments as a shell would read them, and nothing is ever run. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include "protocol/server/shellvars.h"

/* `name=value|` for each assignment, `!LINE|` for each mistake. */
static void
read_all(struct span text, struct buf *out)
{
	struct shellvars s = {.rest = text};
	struct shellvars_item it;
	enum shellvars_ev ev;

	buf_reset(out);
	while ((ev = shellvars_next(&s, &it)) != SHELLVARS_END)
		if (ev == SHELLVARS_SET) {
			buf_add(out, it.name);
			buf_addc(out, '=');
			buf_add(out, it.value);
			buf_addc(out, '|');
		} else {
			buf_addf(out, "!%u|", it.line);
		}
	shellvars_free(&s);
}

static const struct {
	const char *text, *want;
} row[] = {
    {"", ""},
    {"A=b", "A=b|"},
    {"A=\n", "A=|"},
    {"# A=b\nB=c # d\n", "B=c|"},
    {"A=b#c\n", "A=b#c|"},
    {"A=b;B=c\nC=d E=f", "A=b|B=c|C=d|E=f|"},
    {"  A=b\t\r\nB=c\r\n", "A=b|B=c|"},
    {"export A=b\n", "A=b|"},
    {"A=\"b c # d\"\n", "A=b c # d|"},
    {"A='b \"c\" $D'\n", "A=b \"c\" $D|"},
    {"A=\"b'c\"'d\"e'f\n", "A=b'cd\"ef|"},
    {"A=\"x\\\"y\\$z\\\\ \\q\"\n", "A=x\"y$z\\ \\q|"},
    {"A=b\\ c\\\nd\n", "A=b cd|"},
    {"A=\"b\\\nc\"\nB=d", "A=bc|B=d|"},
    {"A=\"b\nc\"\nB=d", "A=b\nc|B=d|"},
    {"A=1\nB=$A$A-${A}2\nC=\"<$A>\"\n", "A=1|B=11-12|C=<1>|"},
    {"A=1\nA=2$A\nB=$A", "A=1|A=21|B=21|"},
    {"A=$NONE.${NONE}\n", "A=.|"},
    {"A=$ B=c\nC=$-\n", "A=$|B=c|C=$-|"},
    {"A=\"$\"\n", "A=$|"},
    {"A=`id`\nB=c\n", "!1|B=c|"},
    {"A=$(id)\nB=c\n", "!1|B=c|"},
    {"A=\"$(id)\"\nB=c\n", "!1|B=c|"},
    {"A=\"`id`\"\nB=c\n", "!1|B=c|"},
    {"rm -rf /\nB=c\n", "!1|B=c|"},
    {". /etc/x\nif [ 1 ]\n", "!1|!2|"},
    {"A=b&id\nA=b|id\nA=b>x\nB=(a)\n", "!1|!2|!3|!4|"},
    {"1A=b\nA B=c\n=d\n", "!1|!2|!3|"},
    {"A=\"b\nc\n", "!1|"},
    {"A='b\nB=c\n", "!1|B=c|"},
    {"A=${b\nB=c", "!1|B=c|"},
    {"A=${}\nB=${1}\n", "!1|!2|"},
    {"A=b\\", "A=b\\|"},
    {"export A\nB=c", "!1|B=c|"},
};

static void
reads(void **state)
{
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		read_all(guarded(span_of(row[i].text)), &out);
		check_span(buf_span(&out), span_of(row[i].want), "row %zu", i);
		guard_free_all();
	}
	buf_free(&out);
}

/* However much of a file is there, no octet behind it is looked at, and it ends. */
static void
any_beginning(void **state)
{
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		for (size_t n = 0; n <= strlen(row[i].text); n++) {
			read_all(guarded((struct span){row[i].text, n}), &out);
			guard_free_all();
		}
	buf_free(&out);
}

static void
has_ceilings(void **state)
{
	struct shellvars s = {0};
	struct shellvars_item it;
	struct buf text = {0};
	size_t bad = 0, set = 0;
	enum shellvars_ev ev;

	(void)state;
	buf_addf(&text, "A0=xxxxxxxxxxxxxxxx\n");
	for (int i = 1; i < 60; i++) /* would be 2^64 octets */
		buf_addf(&text, "A%d=\"$A%d$A%d\"\n", i, i - 1, i - 1);
	for (int i = 0; i < 2 * SHELLVARS_MAX; i++)
		buf_addf(&text, "B%d=$A9\n", i);
	buf_addc(&text, 'C');
	buf_addc(&text, '=');
	for (int i = 0; i <= SHELLVARS_VALUE_MAX; i++)
		buf_addc(&text, 'c');
	s.rest = buf_span(&text);
	while ((ev = shellvars_next(&s, &it)) != SHELLVARS_END) {
		check_true(it.value.n <= SHELLVARS_VALUE_MAX, "value");
		bad += ev == SHELLVARS_BAD;
		set += ev == SHELLVARS_SET;
	}
	check_true(s.n <= SHELLVARS_MAX, "variables");
	check_true(set <= SHELLVARS_MAX && bad > SHELLVARS_MAX, "%zu, %zu", set, bad);
	check_true(shellvars_get(&s, SPAN("A9")) != NULL, "A9");
	check_true(shellvars_get(&s, SPAN("C")) == NULL, "C");
	shellvars_free(&s);
	buf_free(&text);
}

static void
no_nul(void **state)
{
	struct buf out = {0};

	(void)state;
	read_all(SPAN("A=b\0c\nB=d\n"), &out);
	check_span(buf_span(&out), SPAN("!1|B=d|"), "NUL");
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads),
	    cmocka_unit_test(any_beginning),
	    cmocka_unit_test(has_ceilings),
	    cmocka_unit_test(no_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
