/* uidl: formats in Dovecot's syntax, and what becomes of names that are no unique ids. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include "protocol/pop3/uidl.h"

enum { UID = 0x2a, VALIDITY = 0x4996feb4 };
static const char name[] = "1234.M5P6.host,S=7,W=8";

static void
prints(void **state)
{
	static const struct {
		const char *format, *want;
	} row[] = {
	    {UIDL_DEFAULT, "0000002a4996feb4"},
	    {"%v.%u", "1234632372.42"},
	    {"%u%v", "421234632372"},
	    {"UID%u-%v", "UID42-1234632372"},
	    {"%Xu", "2a"},
	    {"%08XUu", "0000002A"},
	    {"%010u", "0000000042"},
	    {"%10u", "42"},
	    {"%8Xu", "2a"},
	    {"%%%u%%", "%42%"},
	    {"%f", name},
	    {"%g", name},
	    {"%u-%g", "42-1234.M5P6.host,S=7,W=8"},
	    {"%{uid | hex(8)}%{uidvalidity | hex(8)}", "0000002a4996feb4"},
	    {"%{uid|hex}", "2a"},
	    {"%{uid|hex(8)|upper}", "0000002A"},
	    {"%{ uid }.%{ uidvalidity }", "42.1234632372"},
	    {"%{guid}", name},
	    {"%{filename}", name},
	};
	char out[UIDL_MAX];
	const char *why;
	struct uidl u;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		why = "";
		check_num(
		    (uint64_t)uidl_compile(guarded(span_of(row[i].format)), &u, &why),
		    0, "row %zu: %s", i, why);
		check_mem(out, uidl_print(&u, VALIDITY, UID, span_of(name), out),
		          row[i].want, "row %zu", i);
		guard_free_all();
	}
}

static void
refuses(void **state)
{
	static const char *const row[] = {
	    "",
	    "x",
	    "%v",
	    "%m",
	    "%{md5}",
	    "%",
	    "%u%",
	    "%08X",
	    "%z",
	    "%u %v",
	    "%u\x80",
	    "%{uid",
	    "%{}",
	    "%{uid|x}",
	    "%{uid|hex(4)}",
	    "%{uid|hex(}",
	    "%{uid|hex()}",
	    "%{guid|hex}",
	    "%4u",
	    "%4Xu",
	    "%08f",
	    "%Lf",
	    "%099u",
	    "%u\r\n",
	    "%{nothing}",
	    "%070u%v",
	    "%99999999999999999999u",
	    "%u%u%u%u%u%u%u%u",
	    "%{uid|hex(99999999999)}",
	};
	const char *why;
	struct uidl u;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		why = NULL;
		check_true(uidl_compile(guarded(span_of(row[i])), &u, &why) == -1,
		           "row %zu", i);
		check_true(why != NULL, "row %zu says why", i);
		guard_free_all();
	}
}

static void
every_format_of_one_or_two_octets(void **state)
{
	char format[2], out[UIDL_MAX];
	const char *why;
	struct uidl u;

	(void)state;
	for (unsigned i = 0; i < 65536; i++) {
		format[0] = (char)(i & 0xff);
		format[1] = (char)(i >> 8);
		if (uidl_compile((struct span){format, 2}, &u, &why) == 0)
			check_true(uidl_print(&u, VALIDITY, UID, span_of(name), out) >
			               0,
			           "format %u", i);
	}
}

static void
conforms(void **state)
{
	static const struct {
		const char *in;
		bool same;
	} row[] = {
	    {"a", true},
	    {"!~", true},
	    {"", false},
	    {"a b", false},
	    {"a\x7f", false},
	    {"\xc3\xa4", false},
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	     true},
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	     false},
	};
	char out[UIDL_MAX], again[UIDL_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		size_t n = uidl_conform(guarded(span_of(row[i].in)), out);

		if (row[i].same)
			check_mem(out, n, row[i].in, "row %zu", i);
		else {
			check_num(n, 33, "row %zu", i);
			check_true(out[0] == '~', "row %zu", i);
		}
		/* what it made is itself a unique id */
		check_span(
		    (struct span){again, uidl_conform((struct span){out, n}, again)},
		    (struct span){out, n}, "row %zu", i);
	}
}

/* The hashed form must never change: clients would download everything again. */
static void
hashed_form_is_pinned(void **state)
{
	char out[UIDL_MAX];

	(void)state;
	check_mem(out, uidl_conform(SPAN("a b"), out),
	          "~ee8a814a756e2aaa807f26da29524717", "a b");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(prints),
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(every_format_of_one_or_two_octets),
	    cmocka_unit_test(conforms),
	    cmocka_unit_test(hashed_form_is_pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
