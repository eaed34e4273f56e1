/* names: each path has one name, each name one path, and nothing leads out of the tree. */
#include "protocol/imap/names.h"

#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

static const struct imap_names dot = {'.', ""}, slash = {'/', ""},
                               under = {'.', "INBOX."}, mail = {'/', "Mail/"};

/* There and back, as text. */
static const struct {
	const struct imap_names *names;
	const char *path, *text;
} row[] = {
    {&dot, "INBOX", "INBOX"},
    {&dot, "A", "A"},
    {&dot, "A/B", "A.B"},
    {&slash, "A/B", "A/B"},
    {&dot, "INBOX/sub", "INBOX.sub"},
    {&slash, "INBOX/sub", "INBOX/sub"},
    {&under, "INBOX", "INBOX"},
    {&under, "A/B", "INBOX.A.B"},
    {&under, "INBOX/sub", "INBOX.INBOX.sub"},
    {&mail, "INBOX", "INBOX"},
    {&mail, "A", "Mail/A"},
    /* what looks like something in the tree is called by its own name */
    {&slash, "%312.eml", "12.eml"},
    {&slash, "%2Ex", ".x"},
    {&slash, "%2E.x", "..x"},
    {&dot, "a%2541", "a%41"},
    {&dot, "%25", "%"},
    {&dot, "100%", "100%"},
    {&dot, "50%2520off", "50%20off"},
    {&dot, "a%2525b", "a%25b"},
    {&dot, "%%2541", "%%41"},
    {&dot, "a&b", "a&b"},
    {&dot, "Entw\xc3\xbcrfe", "Entw\xc3\xbcrfe"},
    /* the separator within a level (mbox) */
    {&dot, "a.b", "a%2Eb"},
    {&dot, "%2Ex", "%2Ex"},
    {&dot, "a%252Eb", "a%252Eb"},
    {&slash, "a.b", "a.b"},
    {&slash, "%252E.", "%2E."},
    {&slash, "a%252Eb", "a%2Eb"},
    /* no modified UTF-7: octets of the store */
    {&dot, "caf\xe9", "caf%E9"},
    {&dot, "caf\xe9&b", "caf%E9%26b"},
    {&dot, "a%26b", "a%26b"},
    {&dot, "Entw%C3%BCrfe", "Entw%C3%BCrfe"},
    {&dot, "a%0Az", "a%0Az"},
    {&dot, "%7F", "%7F"},
    /* text that reads like that */
    {&dot, "a%2526b", "a%2526b"},
    {&dot, "a%252526b", "a%252526b"},
    {&dot, "%25C3", "%25C3"},
    {&dot, "%25c3", "%c3"},
    /* empty levels */
    {&dot, "A/%", "A.%00"},
    {&dot, "%/A", "%00.A"},
    {&dot, "A/%2500", "A.%2500"},
    /* others of INBOX's name */
    {&dot, "%49NBOX", "%49NBOX"},
    {&dot, "inbox", "%69nbox"},
    {&dot, "Inbox/x", "%49nbox.x"},
    {&dot, "%2549NBOX", "%2549NBOX"},
    {&dot, "%252549NBOX", "%252549NBOX"},
    {&dot, "A/inbox", "A.inbox"},
    {&dot, "A/%2549NBOX", "A.%49NBOX"},
    {&dot, "INBOXES", "INBOXES"},
    {&under, "%49NBOX", "INBOX.INBOX"},
    {&under, "inbox", "INBOX.inbox"},
    {&under, "inbox/x", "INBOX.inbox.x"},
    {&under, "%2549NBOX", "INBOX.%49NBOX"},
    {&mail, "%49NBOX", "Mail/INBOX"},
    {&dot, "~x", "%7Ex"},
    {&dot, "A/~x", "A.~x"},
    {&dot, "%257Ex", "%257Ex"},
    {&dot, "a%257E", "a%7E"},
    {&dot, "#news", "#news"},
};

static void
there_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct buf text = {0}, path = {0};
		const char *why;

		check_num((uint64_t)name_of_path(row[i].names,
		                                 guarded(span_of(row[i].path)), &text),
		          0, "row %zu", i);
		check_span(buf_span(&text), span_of(row[i].text), "text, row %zu", i);
		why = name_to_path(row[i].names, guarded(buf_span(&text)), &path);
		check_true(why == NULL, "row %zu (%s): %s", i, row[i].text, why);
		check_span(buf_span(&path), span_of(row[i].path), "path, row %zu", i);
		buf_free(&text);
		buf_free(&path);
	}
	guard_free_all();
}

static const struct {
	const struct imap_names *names;
	const char *text, *path;
} folded[] = {
    {&dot, "inbox", "INBOX"},           {&dot, "InBoX", "INBOX"},
    {&dot, "inbox.a", "INBOX/a"},       {&slash, "iNBOX/a", "INBOX/a"},
    {&under, "inbox", "INBOX"},         {&under, "inbox.A", "A"},
    {&under, "Inbox.INBOX", "%49NBOX"}, {&mail, "inbox", "INBOX"},
};

static void
inbox_has_no_case(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(folded); i++) {
		struct buf path = {0};
		const char *why = name_to_path(folded[i].names,
		                               guarded(span_of(folded[i].text)), &path);

		check_true(why == NULL, "row %zu: %s", i, why);
		check_span(buf_span(&path), span_of(folded[i].path), "row %zu", i);
		buf_free(&path);
	}
	guard_free_all();
}

static const struct {
	const struct imap_names *names;
	struct span text;
	const char *why;
} refused[] = {
    {&dot, SPAN(""), "empty"},
    {&dot, SPAN("."), "empty"},
    {&dot, SPAN(".A"), "empty"},
    {&dot, SPAN("A."), "empty"},
    {&dot, SPAN("A..B"), "empty"},
    {&dot, SPAN("../x"), "empty"},
    {&slash, SPAN("/etc"), "empty"},
    {&slash, SPAN("A//B"), "empty"},
    {&slash, SPAN("A/"), "empty"},
    {&slash, SPAN("INBOX/"), "empty"},
    {&slash, SPAN("."), "`..`"},
    {&slash, SPAN(".."), "`..`"},
    {&slash, SPAN("../x"), "`..`"},
    {&slash, SPAN("A/../../etc/passwd"), "`..`"},
    {&slash, SPAN("A/./B"), "`..`"},
    {&dot, SPAN("%2E"), "`..`"},
    {&dot, SPAN("%2E%2E"), "`..`"},
    {&dot, SPAN("/etc"), "holds a /"},
    {&dot, SPAN("a/b"), "holds a /"},
    {&dot, SPAN("a%2Fb"), NULL}, /* a name like any other: no octet / comes of it */
    {&dot, SPAN("~"), "~"},
    {&slash, SPAN("~root/x"), "~"},
    {&under, SPAN("INBOX.~x"), "~"},
    {&dot, SPAN("a\0b"), "control"},
    {&dot, SPAN("a\nb"), "control"},
    {&dot, SPAN("a\x7f"), "control"},
    {&dot, SPAN("%00%00"), "spelled"},
    {&dot, SPAN("a%00"), "spelled"},
    {&dot, SPAN("%49NBOX.A"), "spelled"},
    {&dot, SPAN("%E9&"), "spelled"},
    {&dot, SPAN("%E9\xc3\xbc"), "spelled"},
    {&under, SPAN("A"), "prefix"},
    {&under, SPAN("INBO"), "prefix"},
    {&under, SPAN("INBOX."), "empty"},
    {&mail, SPAN("mail/x"), "prefix"},
    {&mail, SPAN("INBOX/x"), "prefix"},
};

static void
refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct buf path = {0};
		const char *why;

		assert_int_equal(buf_add(&path, SPAN("kept")), 0);
		why = name_to_path(refused[i].names, guarded(refused[i].text), &path);
		check_true((why == NULL) == (refused[i].why == NULL), "row %zu: %s", i,
		           why != NULL ? why : "taken");
		if (why == NULL)
			check_mem(path.p, path.n, "kepta%252Fb", "row %zu", i);
		else {
			check_true(strstr(why, refused[i].why) != NULL, "row %zu: %s",
			           i, why);
			check_mem(path.p, path.n, "kept", "row %zu", i);
		}
		buf_free(&path);
	}
	guard_free_all();
}

static void
long_levels(void **state)
{
	char text[300];
	struct buf path = {0};

	(void)state;
	memset(text, 'a', sizeof text);
	assert_null(name_to_path(&dot, (struct span){text, 255}, &path));
	path.n = 0;
	assert_non_null(name_to_path(&dot, (struct span){text, 256}, &path));
	assert_non_null(name_to_path(&dot, (struct span){text, 300}, &path));
	assert_int_equal(path.n, 0);
	buf_free(&path);
}

static const struct {
	bool utf8;
	const char *wire, *text; /* NULL: refused */
	const char *printed;     /* NULL: the wire, quoted */
} wires[] = {
    {false, "INBOX", "INBOX", NULL}, {false, "Entw&APw-rfe", "Entw\xc3\xbcrfe", NULL},
    {false, "a&-b", "a&b", NULL},    {false, "a\"b\\c", "a\"b\\c", "\"a\\\"b\\\\c\""},
    {false, "&AC8-", NULL, NULL},    {false, "&AC4-&AC4-", NULL, NULL},
    {false, "a&b", NULL, NULL},      {false, "Entw\xc3\xbcrfe", NULL, NULL},
    {false, "a\rb", NULL, NULL},     {true, "Entw\xc3\xbcrfe", "Entw\xc3\xbcrfe", NULL},
    {true, "&AC8-", "&AC8-", NULL},  {true, "caf\xe9", NULL, NULL},
};

static void
on_the_wire(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wires); i++) {
		struct buf text = {0}, wire = {0}, want = {0};
		const char *why =
		    name_decode(wires[i].utf8, guarded(span_of(wires[i].wire)), &text);

		check_true((why == NULL) == (wires[i].text != NULL), "row %zu: %s", i,
		           why != NULL ? why : "taken");
		if (why == NULL) {
			check_span(buf_span(&text), span_of(wires[i].text), "row %zu",
			           i);
			assert_int_equal(
			    name_print(wires[i].utf8, buf_span(&text), &wire), 0);
			assert_int_equal(buf_addf(&want, "\"%s\"", wires[i].wire), 0);
			check_span(buf_span(&wire),
			           wires[i].printed != NULL ? span_of(wires[i].printed)
			                                    : buf_span(&want),
			           "print, row %zu", i);
		}
		buf_free(&text);
		buf_free(&wire);
		buf_free(&want);
	}
	guard_free_all();
}

static void
of_a_command(void **state)
{
	static const struct imap_conf conf = {.names = {'.', ""}};
	struct imap im = {.conf = &conf};
	struct arg atom = {.type = ARG_ATOM, .text = SPAN("inbox.Entw&APw-rfe")},
	           list = {.type = ARG_LIST};
	struct buf b = {0};
	struct span path;
	const char *why;

	(void)state;
	assert_true(imap_path(&im, &atom, &path, &why));
	check_span(path, SPAN("INBOX/Entw\xc3\xbcrfe"), "path");
	assert_int_equal(imap_print_name(&im, path, &b), 0);
	check_span(buf_span(&b), SPAN("\"INBOX.Entw&APw-rfe\""), "name");
	buf_reset(&b);
	im.enabled = EN_REV2;
	assert_int_equal(imap_print_name(&im, path, &b), 0);
	check_span(buf_span(&b), SPAN("\"INBOX.Entw\xc3\xbcrfe\""), "name in UTF-8");
	assert_false(imap_path(&im, &list, &path, &why));
	assert_false(imap_path(&im, NULL, &path, &why));
	buf_free(&b);
	arena_free(&im.arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(there_and_back), cmocka_unit_test(inbox_has_no_case),
	    cmocka_unit_test(refuses),        cmocka_unit_test(long_levels),
	    cmocka_unit_test(on_the_wire),    cmocka_unit_test(of_a_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
