/* secretcheck: mechanisms by which nobody in the databases could log in. */
#include "tests/unit/support/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "protocol/server/secretcheck.h"
#include "storage/base/io.h"

static char scratch[64];

static int
set_up(void **state)
{
	(void)state;
	close(scratch_make(scratch));
	return 0;
}

static int
clean_up(void **state)
{
	(void)state;
	scratch_remove(scratch);
	return 0;
}

/* The password file; NULL: there is none. */
static void
write_users(const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/users", scratch);
	unlink(path);
	if (text == NULL)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	check_true(fd != -1 && io_write_all(fd, span_of(text)) == 0, "users");
	close(fd);
}

static void
judges(void **state)
{
	static const struct {
		const char *mechs, *args, *users, *more;
		size_t mistakes;
		const char *says; /* NULL: nothing */
	} row[] = {
	    {"plain", "", "al:{SSHA}x\n", "", 0, NULL},
	    {"plain cram-md5", "", "al:{SSHA}x\n", "", 1,
	     "nobody could log in by CRAM-MD5: it is never told the password, so it "
	     "needs "
	     "one stored as {PLAIN} or in a form of its own, and what there is are "
	     "others "
	     "(one-way hashes such as {SSHA}): remove it"},
	    {"plain cram-md5 scram-sha-1 apop", "", "al:$6$x\n", "", 3,
	     "such as {CRYPT})"},
	    {"cram-md5", "scheme=SHA256", "al:x\n", "", 1, "such as {SHA256})"},
	    {"cram-md5", "scheme=PLAIN", "al:x\n", "", 0, NULL},
	    {"cram-md5", "", "al:{SSHA}x\nbo:{PLAIN}x\n", "", 0, NULL},
	    {"cram-md5", "", "al:{SSHA}x\nbo:{cram-md5.b64}x\n", "", 0, NULL},
	    {"cram-md5 scram-sha-256", "", "bo:{CRAM-MD5}x\n", "", 1,
	     "by SCRAM-SHA-256: it is never told the password, so it needs one stored "
	     "as "
	     "{PLAIN} or in a form of its own, and what there is are others (for other "
	     "mechanisms, or empty)"},
	    {"apop", "", "bo:{CRAM-MD5}x\n", "", 1, "by APOP"},
	    {"apop", "", "bo:{PLAIN}\n", "", 1, "by APOP"},
	    /* nobody yet, no file, a file for each domain: not judged */
	    {"cram-md5", "", "# nobody\n", "", 0, NULL},
	    {"cram-md5", "", NULL, "", 0, NULL},
	    {"cram-md5", "", "al:{SSHA}x\n",
	     "passdb {\ndriver = passwd-file\nargs = /d/%d/users\n}\n", 0, NULL},
	    {"cram-md5", "", "al:{SSHA}x\n",
	     "passdb {\ndriver = static\nargs = password=x\n}\n", 0, NULL},
	    {"cram-md5", "", "# nobody\n",
	     "passdb {\ndriver = static\nargs = password={SHA}x\n}\n", 1,
	     "such as {SHA})"},
	    {"cram-md5", "", "al:{SSHA}x\n", "passdb {\ndriver = pam\n}\n", 1,
	     "by CRAM-MD5"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct buf text = {0}, said = {0};
		struct config c;

		write_users(row[i].users);
		buf_addf(&text,
		         "auth_mechanisms = %s\nuserdb {\ndriver = passwd\n}\npassdb "
		         "{\ndriver = passwd-file\nargs = %s "
		         "%s/users\n}\n%s",
		         row[i].mechs, row[i].args, scratch, row[i].more);
		config_init(&c);
		config_text(&c, buf_span(&text), "f", 0, NULL);
		config_finish(&c);
		check_num(c.nerror, 0, "row %zu before", i);
		secretcheck(&c);
		check_num(c.nerror, row[i].mistakes, "row %zu", i);
		config_print_notes(&c, &said);
		buf_addc(&said, '\0');
		check_true(row[i].says == NULL || strstr(said.p, row[i].says) != NULL,
		           "row %zu: %s", i, said.p);
		config_free(&c);
		buf_free(&text);
		buf_free(&said);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(judges)};

	return cmocka_run_group_tests(tests, set_up, clean_up);
}
