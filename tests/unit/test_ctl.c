/* ctl: commands as they are written, good and bad. */
#include "fs/ctl.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#define STAR 40

/* What was understood, as one line, so that a row can say what it wants. */
static void
print_list(const struct ctl_list *l, struct buf *out)
{
	buf_addf(out, "%u[", l->flags);
	for (unsigned i = 0; i < l->nkeyword; i++)
		buf_addf(out, "%s%.*s", i == 0 ? "" : ",", (int)l->keyword[i].n, l->keyword[i].p);
	buf_addf(out, "]");
}

static void
print_commits(const struct ctl *c, struct buf *out)
{
	for (size_t i = 0; i < c->ncommit; i++) {
		const struct ctl_commit *l = &c->commit[i];

		buf_addf(out, " (%.*s", (int)l->name.n, l->name.p);
		if (l->date != INT64_MIN)
			buf_addf(out, " @%lld", (long long)l->date);
		buf_addf(out, " ");
		print_list(&l->list, out);
		buf_addf(out, ")");
	}
}

static void
describe(const struct ctl *c, struct buf *out)
{
	static const char *const verb[] = {"flags", "keyword", "expunge", "copy",   "move", "sizes",
					   "names", "uidl",    "commit",  "recent", "sync",
					   "mark",  "vanished", "mailboxes", "create", "delete",
					   "rename", "subscribe", "unsubscribe"};

	buf_addf(out, "%s", verb[c->verb]);
	if (c->verb == CTL_FLAGS) {
		buf_addf(out, " %c", "+-="[c->how]);
		print_list(&c->list, out);
	}
	if (c->set.n > 0) {
		buf_addc(out, ' ');
		numset_print(&c->set, out);
	}
	if (c->name.n > 0)
		buf_addf(out, " <%.*s>", (int)c->name.n, c->name.p);
	if (c->newname.n > 0)
		buf_addf(out, " to <%.*s>", (int)c->newname.n, c->newname.p);
	if (c->use != 0)
		buf_addf(out, " use %u", c->use);
	if (c->verb == CTL_VANISHED)
		buf_addf(out, " %llu %u", (unsigned long long)c->modseq, c->from);
	if (c->deleted_only)
		buf_addf(out, " deleted");
	if (c->unchangedsince != UINT64_MAX)
		buf_addf(out, " since %llu", (unsigned long long)c->unchangedsince);
	if (c->timeout_ms != CTL_WAIT_MS)
		buf_addf(out, " %d ms", c->timeout_ms);
	print_commits(c, out);
}

static const struct {
	const char *in, *want;
} good[] = {
    {"sync", "sync"},
    {"sync\n", "sync"},
    {"  sync \t\n\n", "sync"},
    {"recent\n", "recent"},
    {"flags +\\Seen 1:100", "flags +1[] 1:100"},
    {"flags +\\seen,\\ANSWERED,\\Flagged,\\Deleted,\\Draft *", "flags +31[] 40"},
    {"flags -foo,$Bar 3,1,2\n", "flags -0[foo,$Bar] 1:3"},
    {"flags = 5", "flags =0[] 5"},
    {"flags + 5", "flags +0[] 5"},
    {"flags =\\Seen,x 30:* unchangedsince 7", "flags =1[x] 30:40 since 7"},
    {"flags =\\Seen 1 unchangedsince 0", "flags =1[] 1 since 0"},
    {"keyword $Junk", "keyword <$Junk>"},
    {"expunge 1:5,9", "expunge 1:5,9"},
    {"expunge 1:* deleted\n", "expunge 1:40 deleted"},
    {"copy 1,2 Archive/2024", "copy 1:2 <Archive/2024>"},
    {"move 7  Sent Items \n", "move 7 < Sent Items >"},
    {"sizes 1:3", "sizes 1:3"},
    {"sizes 1:3 250", "sizes 1:3 250 ms"},
    {"sizes 1:3 0", "sizes 1:3 0 ms"},
    {"sizes 1:3 4294967295", "sizes 1:3"}, /* no longer than the longest */
    {"names *", "names 40"},
    {"uidl 1:4294967295", "uidl 1:4294967295"},
    {"mark .a date 5 flags \\Seen,k\n", "mark (.a @5 1[k])"},
    {"vanished 0", "vanished 0 1"},
    {"vanished 18446744073709551615 4294967295\n", "vanished 18446744073709551615 4294967295"},
    {"mailboxes", "mailboxes"},
    {"mailboxes A/B c\n", "mailboxes <A/B c>"},
    {"create A/B c", "create <A/B c>"},
    {"create  %41\n", "create < %41>"},
    {"create A b\t\\Sent,\\junk\n", "create <A b> use 48"},
    {"create A\t", "create <A>"},
    {"delete A/ b ", "delete <A/ b >"},
    {"rename A b\tC/d e\n", "rename <A b> to <C/d e>"},
    {"subscribe A\xc3\xa4", "subscribe <A\xc3\xa4>"},
    {"unsubscribe A", "unsubscribe <A>"},
    {"commit .a", "commit (.a 0[])"},
    {"commit .a date -5 flags \\Seen,k\n", "commit (.a @-5 1[k])"},
    {"commit .a flags\n", "commit (.a 0[])"},
    {"commit .a flags x date 5", "commit (.a @5 0[x])"},
    {"commit .a date 1\ncommit .b date 2\n\ncommit .c flags x", "commit (.a @1 0[]) (.b @2 0[]) (.c 0[x])"},
};

static void
understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct buf out = {0};
		const char *why;
		struct ctl c;
		int rc = ctl_parse(guarded(span_of(good[i].in)), STAR, &c, &why);

		check_true(rc == 0, "row %zu: %s", i, why);
		describe(&c, &out);
		check_span(buf_span(&out), span_of(good[i].want), "row %zu", i);
		ctl_free(&c);
		buf_free(&out);
	}
	guard_free_all();
}

static const struct {
	struct span in;
	int err;
} bad[] = {
    {SPAN(""), EINVAL},
    {SPAN("\n"), EINVAL},
    {SPAN("  "), EINVAL},
    {SPAN("\nsync"), EINVAL},
    {SPAN("syncs"), EINVAL},
    {SPAN("SYNC"), EINVAL},
    {SPAN("sync now"), EINVAL},
    {SPAN("sync\nsync"), EINVAL},
    {SPAN("sync\0"), EINVAL},
    {SPAN("flags"), EINVAL},
    {SPAN("flags \\Seen 1"), EINVAL},
    {SPAN("flags +\\Seen"), EINVAL},
    {SPAN("flags +\\Recent 1"), EINVAL},
    {SPAN("flags +\\Seen, 1"), EINVAL},
    {SPAN("flags +,\\Seen 1"), EINVAL},
    {SPAN("flags +a,,b 1"), EINVAL},
    {SPAN("flags +a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,A 1"), EINVAL},
    {SPAN("flags +\\Seen 0"), EINVAL},
    {SPAN("flags +\\Seen 1:"), EINVAL},
    {SPAN("flags +\\Seen 4294967296"), EINVAL},
    {SPAN("flags +\\Seen 1 since 5"), EINVAL},
    {SPAN("flags +\\Seen 1 unchangedsince"), EINVAL},
    {SPAN("flags +\\Seen 1 unchangedsince x"), EINVAL},
    {SPAN("flags +\\Seen 1 unchangedsince 5 6"), EINVAL},
    {SPAN("keyword"), EINVAL},
    {SPAN("keyword a b"), EINVAL},
    {SPAN("expunge"), EINVAL},
    {SPAN("expunge x"), EINVAL},
    {SPAN("expunge 1 all"), EINVAL},
    {SPAN("expunge 1 deleted now"), EINVAL},
    {SPAN("copy 1"), EINVAL},
    {SPAN("copy 1 "), EINVAL},
    {SPAN("copy Archive 1"), EINVAL},
    {SPAN("copy 1 A\ncopy 2 B"), EINVAL},
    {SPAN("sizes 1 -1"), EINVAL},
    {SPAN("sizes 1 5 6"), EINVAL},
    {SPAN("names 1 2"), EINVAL},
    {SPAN("mark"), EINVAL},
    {SPAN("mark .a\nmark .b"), EINVAL},
    {SPAN("vanished"), EINVAL},
    {SPAN("vanished x"), EINVAL},
    {SPAN("vanished -1"), EINVAL},
    {SPAN("vanished 1 0"), EINVAL},
    {SPAN("vanished 1 2 3"), EINVAL},
    {SPAN("mailboxes A\nB"), EINVAL},
    {SPAN("create"), EINVAL},
    {SPAN("create "), EINVAL},
    {SPAN("create \t\\Sent"), EINVAL},
    {SPAN("create A\t\\Inbox"), EINVAL},
    {SPAN("create A\t\\Sent,,\\Junk"), EINVAL},
    {SPAN("delete"), EINVAL},
    {SPAN("rename A"), EINVAL},
    {SPAN("rename A\t"), EINVAL},
    {SPAN("rename \tA"), EINVAL},
    {SPAN("subscribe"), EINVAL},
    {SPAN("unsubscribe"), EINVAL},
    {SPAN("commit"), EINVAL},
    {SPAN("commit .a date"), EINVAL},
    {SPAN("commit .a date x"), EINVAL},
    {SPAN("commit .a date -"), EINVAL},
    {SPAN("commit .a date 9223372036854775808"), EINVAL},
    {SPAN("commit .a flags \\Recent"), EINVAL},
    {SPAN("commit .a size 5"), EINVAL},
    {SPAN("commit .a\nsync"), EINVAL},
    {SPAN("commit .a\ncommit"), EINVAL},
};

static void
refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *why = NULL;
		struct ctl c;
		int rc = ctl_parse(guarded(bad[i].in), STAR, &c, &why);
		int err = errno;

		check_num(rc == -1, 1, "row %zu", i);
		check_num((uint64_t)err, (uint64_t)bad[i].err, "row %zu: errno", i);
		check_true(why != NULL && *why != '\0', "row %zu: no reason", i);
		ctl_free(&c);
	}
	guard_free_all();
}

static void
too_much(const char *head, const char *piece, size_t n, int want)
{
	struct buf text = {0};
	const char *why;
	struct ctl c;
	int rc;

	buf_addf(&text, "%s", head);
	for (size_t i = 0; i < n; i++)
		buf_addf(&text, piece, (unsigned)(3 + 2 * i));
	rc = ctl_parse(buf_span(&text), STAR, &c, &why);
	check_num((uint64_t)(rc == -1 ? errno : 0), (uint64_t)want, "%zu times \"%s\"", n, piece);
	ctl_free(&c);
	buf_free(&text);
}

static void
has_ceilings(void **state)
{
	(void)state;
	too_much("expunge 1", ",%u", 2000, 0);
	too_much("expunge 1", ",%u", 4000, EMSGSIZE); /* octets */
	too_much("commit .a\n", "commit .%u\n", CTL_COMMIT_MAX - 1, 0);
	too_much("commit .a\n", "commit .%u\n", CTL_COMMIT_MAX, EMSGSIZE);
	too_much("expunge 1", ",3", 4096, 0);
}

static void
errors_are_one_line(void **state)
{
	struct buf reply = {.max = CTL_TEXT_MAX};

	(void)state;
	buf_addf(&reply, "half an answer");
	ctl_print_error(&reply, ENOENT, "no such mailbox");
	check_span(buf_span(&reply), SPAN("error ENOENT no such mailbox\n"), "ENOENT");
	ctl_print_error(&reply, 99999, "odd");
	check_span(buf_span(&reply), SPAN("error EIO odd\n"), "no errno");
	buf_free(&reply);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(understood),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(has_ceilings),
	    cmocka_unit_test(errors_are_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
