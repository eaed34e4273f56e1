/* expand: variables of settings, in the syntaxes of versions 1 to 2.4. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include <errno.h>

#include "protocol/server/expand.h"
#include "protocol/server/username.h"

static void
expands(void **state)
{
	static const struct {
		const char *in, *want; /* NULL: EINVAL */
	} row[] = {
	    {"", ""},
	    {"plain", "plain"},
	    {"%u", "Al.b@ex.org"},
	    {"%n/%d", "Al.b/ex.org"},
	    {"%h", "/home/al"},
	    {"100%%", "100%"},
	    {"%Lu", "al.b@ex.org"},
	    {"%Un", "AL.B"},
	    {"%LUn", "AL.B"},
	    {"%ULn", "al.b"},
	    {"%1n", "A"},
	    {"%1.2n", "l."},
	    {"%1.1Ln/%2.2Ln/%Ln", "l/.b/al.b"},
	    {"%99n", "Al.b"},
	    {"%9.1n", ""},
	    {"%{user}", "Al.b@ex.org"},
	    {"%{username}@%{domain}", "Al.b@ex.org"},
	    {"%{home}/M", "/home/al/M"},
	    {"%{user|username}", "Al.b"},
	    {"%{user | domain | lower}", "ex.org"},
	    {"%{user | upper}", "AL.B@EX.ORG"},
	    {"%L{user}", "al.b@ex.org"},
	    /* as Dovecot 2.3.19 expands them for this user */
	    {"%Nu|%Hu", "6fc4c587|68ec2e7"},
	    {"%2.256Nu|%2.256Hu|%02.256Nu|%2.0256Nu", "87|e7|87|87"},
	    {"%4.100Nu|%2Nu|%2.256MNu", "0033|1|eb"},
	    {"%Mu", "9d7881386fc4c5873514899ecd64e4a3"},
	    {"%1Mu|%5.2Mu|%LMu", "9|13|96eb1b744ec920b20f2b545a0165bd41"},
	    {"%MRu|%UMRu", "3a4e46dce9984153785c4cf6831887d9|"
	                   "19aba87c255ffe1bb51f48878b372976"},
	    {"%3.4MRu|%RNu|%Hd", "e46d|aae37652|6cb5687"},
	    {"%Ru|%Tu|%Eu|%Du|%Xu",
	     "gro.xe@b.lA|Al.b@ex.org|Al.b@ex.org|Al,dc=b@ex,dc=org|0"},
	    {"%-2.2u|%-3.1u|%0.3u|%5u|%-2u", "rg|o|Al.|Al.b@|Al"},
	    {"%08u|%020u|%02u", "Al.b@ex.org|000000000Al.b@ex.org|Al.b@ex.org"},
	    {"%0.010n|%1.020n", "000000Al.b|00000000000000000l.b"},
	    {"%3.-1u|%0.-2u|%20.-1u|%-3.-1u", "b@ex.or|Al.b@ex.o||or"},
	    {"%30.5u|%-30.5u|%10L{user}|%3.2L{domain}|%2.3LUn",
	     "|Al.b@|al.b@ex.or|or|.B"},
	    {"%L10{user}", NULL},
	    /* 2.4 */
	    {"%{user | substr(0, 2)}|%{user|substr(3)}|%{user|substr(-3,2)}",
	     "Al|b@ex.org|or"},
	    {"%{user | truncate(4) | reverse}|%{domain | ldap_dn}", "b.lA|ex,dc=org"},
	    {"%{user | md5 | hexlify}|%{user | md5 | hexlify | substr(0,1)}",
	     "9d7881386fc4c5873514899ecd64e4a3|9"},
	    {"%{user | domain | username | default('x')}|%{user|default(x)}",
	     "ex.org|Al.b@ex.org"},
	    {"%{user | md5}", NULL},
	    {"%{user | substr}", NULL},
	    {"%{user | substr(a)}", NULL},
	    {"%{user | lower(1)}", NULL},
	    {"%{user | substr(1,2,3)}", NULL},
	    {"%", NULL},
	    {"%q", NULL},
	    {"%L", NULL},
	    {"%12", NULL},
	    {"%{", NULL},
	    {"%{user", NULL},
	    {"%{}", NULL},
	    {"%{nobody}", NULL},
	    {"%{user|sha256}", NULL},
	};
	const struct expand_vars vars = {SPAN("Al.b@ex.org"), SPAN("/home/al")};
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct span in = guarded(span_of(row[i].in));
		int rc;

		buf_reset(&out);
		rc = expand(in, &vars, &out);
		check_num(expand_check(in) != NULL, row[i].want == NULL, "row %zu", i);
		check_num((uint64_t)rc, row[i].want == NULL ? (uint64_t)-1 : 0,
		          "row %zu", i);
		if (row[i].want != NULL)
			check_mem(out.p, out.n, row[i].want, "row %zu", i);
		guard_free_all();
	}
	buf_free(&out);
}

static void
parts_of_plain_names(void **state)
{
	const struct expand_vars vars = {SPAN("al"), SPAN("")};
	struct buf out = {0};

	(void)state;
	check_num((uint64_t)expand(SPAN("%n|%d|"), &vars, &out), 0, "a name alone");
	check_mem(out.p, out.n, "al||", "a name without a domain");
	check_num((uint64_t)expand(SPAN("%h/M"), &vars, &out), (uint64_t)-1, "no home");
	check_num((uint64_t)errno, ENOENT, "no home");
	check_num((uint64_t)expand_path(SPAN("~/M"), &vars, &out), (uint64_t)-1,
	          "no home");
	check_num((uint64_t)errno, ENOENT, "no home");
	buf_free(&out);
}

static void
paths(void **state)
{
	static const struct {
		const char *in, *want;
	} row[] = {
	    {"~/Maildir", "/h/al/Maildir"},
	    {"~", "/h/al"},
	    {"~x/M", "~x/M"},
	    {"/v/%u", "/v/al"},
	    {"a~/b", "a~/b"},
	};
	const struct expand_vars vars = {SPAN("al"), SPAN("/h/al")};
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		buf_reset(&out);
		check_num((uint64_t)expand_path(span_of(row[i].in), &vars, &out), 0,
		          "row %zu", i);
		check_mem(out.p, out.n, row[i].want, "row %zu", i);
	}
	buf_free(&out);
}

static void
ceiling(void **state)
{
	const struct expand_vars vars = {SPAN("0123456789"), SPAN("")};
	struct buf out = {.max = 25};

	(void)state;
	check_num((uint64_t)expand(SPAN("%u%u"), &vars, &out), 0, "fits");
	check_num((uint64_t)expand(SPAN("%u"), &vars, &out), (uint64_t)-1,
	          "does not fit");
	check_num((uint64_t)errno, EMSGSIZE, "why");
	buf_free(&out);
}

static void
user_names(void **state)
{
	static const struct {
		struct span name;
		bool valid;
	} row[] = {
	    {SPAN("al"), true},        {SPAN("al@ex.org"), true},
	    {SPAN("a.b-c_d+e"), true}, {SPAN("\xc3\xa4"), true},
	    {SPAN(""), false},         {SPAN("a/b"), false},
	    {SPAN("a b"), false},      {SPAN("a\tb"), false},
	    {SPAN("a\nb"), false},     {SPAN("a\0b"), false},
	    {SPAN("."), false},        {SPAN(".."), false},
	    {SPAN(".a"), false},       {SPAN("a@.."), false},
	    {SPAN("a@.x"), false},     {SPAN("a\x7f"), false},
	    {SPAN("a..b"), true},
	};
	char longest[USERNAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		check_num(username_valid(guarded(row[i].name)), row[i].valid, "row %zu",
		          i);
	memset(longest, 'a', sizeof longest);
	check_true(username_valid((struct span){longest, USERNAME_MAX}), "longest");
	check_true(!username_valid((struct span){longest, USERNAME_MAX + 1}),
	           "too long");
	guard_free_all();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(expands),    cmocka_unit_test(parts_of_plain_names),
	    cmocka_unit_test(paths),      cmocka_unit_test(ceiling),
	    cmocka_unit_test(user_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
