/* passwdfile: the lines of password files. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "protocol/server/passwdfile.h"
#include "storage/base/io.h"

static void
parses(void **state)
{
	static const struct {
		const char *line;
		bool entry;
		const char *password, *uid, *home, *extra;
	} row[] = {
	    {"al:{PLAIN}x:1:2:G:/h:/sh:userdb_mail=maildir:~/M nodelay", true,
	     "{PLAIN}x", "1", "/h", "userdb_mail=maildir:~/M nodelay"},
	    {"al:x", true, "x", "", "", ""},
	    {"al", true, "", "", "", ""},
	    {"al:", true, "", "", "", ""},
	    {"al:x:::::: a=b", true, "x", "", "", " a=b"},
	    {"", false, "", "", "", ""},
	    {"# al:x", false, "", "", "", ""},
	    {":x:1:2", false, "", "", "", ""},
	    {"../al:x", false, "", "", "", ""},
	    {"a b:x", false, "", "", "", ""},
	};
	struct passwdfile_entry e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		check_num(passwdfile_parse(guarded(span_of(row[i].line)), &e),
		          row[i].entry, "row %zu", i);
		if (row[i].entry) {
			check_span(e.password, span_of(row[i].password), "row %zu", i);
			check_span(e.uid, span_of(row[i].uid), "row %zu", i);
			check_span(e.home, span_of(row[i].home), "row %zu", i);
			check_span(e.extra, span_of(row[i].extra), "row %zu", i);
		}
		guard_free_all();
	}
	check_true(!passwdfile_parse(SPAN("al\0:x"), &e), "a NUL");
}

static void
extra_fields(void **state)
{
	struct passwdfile_entry e;
	struct span v;

	(void)state;
	passwdfile_parse(SPAN("al:x::::::userdb_mail=maildir:/m=1 nodelay"), &e);
	check_true(passwdfile_extra(&e, SPAN("userdb_mail"), &v), "there");
	check_span(v, SPAN("maildir:/m=1"), "value");
	check_true(passwdfile_extra(&e, SPAN("nodelay"), &v), "without a value");
	check_num(v.n, 0, "empty");
	check_true(!passwdfile_extra(&e, SPAN("mail"), &v), "not a part of a name");
	check_true(passwdfile_restriction(&e) == NULL, "free");
	passwdfile_parse(SPAN("al:x::::::allow_nets=10.0.0.0/8"), &e);
	check_true(passwdfile_restriction(&e) != NULL, "restricted");
}

static int
file_of(struct span text)
{
	int fd = memfd_create("users", 0);

	check_true(fd != -1 && io_write_all(fd, text) == 0 &&
	               lseek(fd, 0, SEEK_SET) == 0,
	           "a file");
	return fd;
}

static void
finds(void **state)
{
	static const char text[] = "# users\n\nal:1\r\nbob:2:5\nal:3\nlast:4";
	static const struct {
		const char *user, *password; /* NULL: not there */
	} row[] = {
	    {"al", "1"}, {"bob", "2"}, {"last", "4"}, {"a", NULL}, {"alb", NULL}};
	struct passwdfile_entry e;
	struct passwdfile f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		f = (struct passwdfile){.fd = file_of(span_of(text))};
		check_num((uint64_t)passwdfile_find(&f, span_of(row[i].user), &e),
		          row[i].password != NULL, "row %zu", i);
		if (row[i].password != NULL)
			check_span(e.password, span_of(row[i].password), "row %zu", i);
		close(f.fd);
	}
}

/* A line beyond the ceiling names nobody; the ones around it stay. */
static void
long_lines(void **state)
{
	struct passwdfile_entry e;
	struct passwdfile f;
	struct buf text = {0};

	(void)state;
	buf_add(&text, SPAN("al:1\nbig:"));
	for (int i = 0; i < 100000; i++)
		buf_addc(&text, 'x');
	buf_add(&text, SPAN("\nbob:2\n"));
	f = (struct passwdfile){.fd = file_of(buf_span(&text))};
	check_num((uint64_t)passwdfile_next(&f, &e), 1, "al");
	check_num((uint64_t)passwdfile_next(&f, &e), 1, "bob");
	check_span(e.user, SPAN("bob"), "bob");
	check_num((uint64_t)passwdfile_next(&f, &e), 0, "end");
	close(f.fd);
	buf_free(&text);
}

static void
sets(void **state)
{
	static const struct {
		const char *text, *want;
	} row[] = {
	    {"", "al:H::::::\n"},
	    {"bob:1\n", "bob:1\nal:H::::::\n"},
	    {"bob:1", "bob:1\nal:H::::::\n"},
	    {"al:old:5:6::/h::x=y\nbob:1\n", "al:H:5:6::/h::x=y\nbob:1\n"},
	    {"al\n", "al:H\n"},
	    {"al:\n", "al:H\n"},
	    {"al::5\n", "al:H:5\n"},
	    {"# al:x\nal:1\nal:2\n", "# al:x\nal:H\nal:2\n"},
	};
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		buf_reset(&out);
		check_num((uint64_t)passwdfile_set(guarded(span_of(row[i].text)),
		                                   SPAN("al"), SPAN("H"), &out),
		          0, "row %zu", i);
		check_mem(out.p, out.n, row[i].want, "row %zu", i);
		guard_free_all();
	}
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parses),
	    cmocka_unit_test(extra_fields),
	    cmocka_unit_test(finds),
	    cmocka_unit_test(long_lines),
	    cmocka_unit_test(sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
