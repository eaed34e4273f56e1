/* authdb: from a name and a password to a user's record, over password files. */
#include "tests/unit/support/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "protocol/mech.h"
#include "protocol/server/authdb.h"
#include "storage/base/io.h"

static char scratch[64];
static struct config conf;
static struct authdb_user who;
static const struct authdb_peer peer = {
    .protocol = SPAN("imap"), .local = SPAN("::1"), .remote = SPAN("::1")};
static unsigned uid; /* one that this process may hand out */

static const char *const users[] = {
    "al:{PLAIN}pw:%u:7::/h/al::\n",
    "bo@ex.org:{PLAIN}pw:%u:7::/h/bo::userdb_mail=maildir:/v/%%d/%%n\n",
    "homeless:{PLAIN}pw:%u:7::::\n",
    "elsewhere:{PLAIN}pw:%u:7::/h/e::userdb_mail=mdbox:~/mail\n",
    "given:{PLAIN}pw:1:7::/h/g::userdb_uid=%u userdb_gid=9 userdb_home=/x\n",
    "low:{PLAIN}pw:0:%u::/h/l::\n",
    "barred:{PLAIN}pw:%u:7::/h/b::nologin\n",
    "UPPER:{PLAIN}pw:%u:7::/h/u::\n",
    "plain:pw:%u:7::/h/p::\n",
};

static void
write_users(void)
{
	struct buf text = {0};
	char path[128];
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(users); i++)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		buf_addf(&text, users[i], uid);
#pragma GCC diagnostic pop
	snprintf(path, sizeof path, "%s/users", scratch);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	check_true(fd != -1 && io_write_all(fd, buf_span(&text)) == 0, "users");
	close(fd);
	buf_free(&text);
}

/* The settings over that file, and `more` of them. */
static void
configure(const char *args, const char *more)
{
	struct buf text = {0};

	buf_addf(&text,
	         "first_valid_uid = 1\npassdb {\ndriver = passwd-file\nargs = %s "
	         "%s/users\n}\n"
	         "userdb {\ndriver = passwd-file\nargs = %s %s/users\n}\n%s",
	         args, scratch, args, scratch, more);
	config_free(&conf);
	config_init(&conf);
	config_text(&conf, buf_span(&text), "f", 0, NULL);
	config_finish(&conf);
	check_num(conf.nerror, 0, "%s", more);
	buf_free(&text);
}

static int
set_up(void **state)
{
	(void)state;
	uid = geteuid() == 0 ? 61001 : geteuid();
	close(scratch_make(scratch));
	write_users();
	return 0;
}

static int
clean_up(void **state)
{
	(void)state;
	authdb_user_free(&who);
	config_free(&conf);
	scratch_remove(scratch);
	return 0;
}

static void
passwords(void **state)
{
	static const struct {
		struct span user, password;
		const char *args;
		enum authdb_is want;
		const char *name; /* when it is found */
	} row[] = {
	    {SPAN("al"), SPAN("pw"), "", AUTHDB_FOUND, "al"},
	    {SPAN("AL"), SPAN("pw"), "", AUTHDB_FOUND, "al"},
	    {SPAN("bo@ex.org"), SPAN("pw"), "", AUTHDB_FOUND, "bo@ex.org"},
	    {SPAN("al@ex.org"), SPAN("pw"), "username_format=%n", AUTHDB_FOUND,
	     "al@ex.org"},
	    {SPAN("plain"), SPAN("pw"), "scheme=PLAIN", AUTHDB_FOUND, "plain"},
	    {SPAN("plain"), SPAN("pw"), "", AUTHDB_NOBODY, NULL},
	    {SPAN("al"), SPAN("p"), "", AUTHDB_NOBODY, NULL},
	    {SPAN("al"), SPAN(""), "", AUTHDB_NOBODY, NULL},
	    {SPAN("al"), SPAN("pw\0"), "", AUTHDB_NOBODY, NULL},
	    {SPAN("al\0"), SPAN("pw"), "", AUTHDB_NOBODY, NULL},
	    {SPAN("nobody"), SPAN("pw"), "", AUTHDB_NOBODY, NULL},
	    {SPAN("barred"), SPAN("pw"), "", AUTHDB_NOBODY, NULL},
	    {SPAN("upper"), SPAN("pw"), "", AUTHDB_NOBODY, NULL},
	    {SPAN("a:l"), SPAN("pw"), "", AUTHDB_NOBODY, NULL},
	    {SPAN("../al"), SPAN("pw"), "", AUTHDB_NOBODY, NULL},
	    {SPAN("low"), SPAN("pw"), "", AUTHDB_FAILED, NULL},
	    {SPAN("homeless"), SPAN("pw"), "", AUTHDB_FAILED, NULL},
	    {SPAN("elsewhere"), SPAN("pw"), "", AUTHDB_FAILED, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		configure(row[i].args, "");
		check_num(authdb_check(&conf, row[i].user, SPAN(""), row[i].password,
		                       &peer, &who),
		          row[i].want, "row %zu", i);
		if (row[i].want == AUTHDB_FOUND)
			check_span(who.record.user, span_of(row[i].name), "row %zu", i);
	}
}

static void
records(void **state)
{
	static const struct {
		const char *user, *more, *home, *location;
		unsigned gid;
	} row[] = {
	    {"al", "", "/h/al", "maildir:/h/al/Maildir", 7},
	    {"al", "mail_location = maildir:~/M:INDEX=/i\n", "/h/al", "maildir:/h/al/M",
	     7},
	    {"al", "mail_location = maildir:/v/%1n/%u\n", "/h/al", "maildir:/v/a/al",
	     7},
	    {"al", "mail_driver = maildir\nmail_path = %{home}/x\n", "/h/al",
	     "maildir:/h/al/x", 7},
	    {"bo@ex.org", "", "/h/bo", "maildir:/v/ex.org/bo", 7},
	    {"homeless", "mail_home = /home/%Un\n", "/home/HOMELESS",
	     "maildir:/home/HOMELESS/Maildir", 7},
	    {"given", "", "/x", "maildir:/x/Maildir", 9},
	    {"homeless", "mail_location = maildir:/v/%u\n", "", "maildir:/v/homeless",
	     7},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		configure("", row[i].more);
		check_num(authdb_find(&conf, span_of(row[i].user), &who), AUTHDB_FOUND,
		          "row %zu", i);
		check_span(who.record.home, span_of(row[i].home), "row %zu", i);
		check_span(who.record.location, span_of(row[i].location), "row %zu", i);
		check_num(who.record.uid, uid, "row %zu", i);
		check_num(who.record.gid, row[i].gid, "row %zu", i);
		check_span(who.record.groups, SPAN("-"), "row %zu", i);
	}
}

/* default_fields stand back behind the file, override_fields do not; prefetch is a userdb, too. */
static void
fields_of_a_userdb(void **state)
{
	static const struct {
		const char *user, *defaults, *overrides, *home;
		unsigned gid;
	} row[] = {
	    {"al", "home=/d/%n gid=8", NULL, "/h/al", 7},
	    {"homeless", "home=/d/%n gid=8", NULL, "/d/homeless", 7},
	    {"al", NULL, "home=/o/%n", "/o/al", 7},
	    {"homeless", "home=/d", "gid=9", "/d", 9},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		configure("", "");
		free(conf.userdb[0].defaults), free(conf.userdb[0].overrides);
		conf.userdb[0].defaults =
		    row[i].defaults ? strdup(row[i].defaults) : NULL;
		conf.userdb[0].overrides =
		    row[i].overrides ? strdup(row[i].overrides) : NULL;
		check_num(authdb_find(&conf, span_of(row[i].user), &who), AUTHDB_FOUND,
		          "row %zu", i);
		check_span(who.record.home, span_of(row[i].home), "row %zu", i);
		check_num(who.record.gid, row[i].gid, "row %zu", i);
	}
}

/* One tree per user: no second spelling of a name leads to it. */
static void
lookups_take_names_as_they_are(void **state)
{
	(void)state;
	configure("", "");
	check_num(authdb_find(&conf, SPAN("al"), &who), AUTHDB_FOUND, "al");
	check_num(authdb_find(&conf, SPAN("Al"), &who), AUTHDB_NOBODY, "Al");
	check_num(authdb_find(&conf, SPAN("nobody"), &who), AUTHDB_NOBODY, "nobody");
	check_num(authdb_find(&conf, SPAN("low"), &who), AUTHDB_FAILED, "low");
}

static void
uid_limits(void **state)
{
	char more[64];

	(void)state;
	snprintf(more, sizeof more, "first_valid_uid = %u\n", uid + 1);
	configure("", more);
	check_num(authdb_find(&conf, SPAN("al"), &who), AUTHDB_FAILED, "too low");
	snprintf(more, sizeof more, "last_valid_uid = %u\n", uid - 1);
	configure("", more);
	check_num(authdb_find(&conf, SPAN("al"), &who), AUTHDB_FAILED, "too high");
}

static void
lists(void **state)
{
	struct buf names = {.max = 4096};

	(void)state;
	configure("", "");
	check_num((uint64_t)authdb_names(&conf, &names), 0, "names");
	check_mem(names.p, names.n,
	          "al bo@ex.org homeless elsewhere given barred plain", "names");
	buf_free(&names);
	names.max = 12;
	check_num((uint64_t)authdb_names(&conf, &names), 0, "as many as fit");
	check_mem(names.p, names.n, "al bo@ex.org", "as many as fit");
	buf_free(&names);
}

static void
a_missing_file_is_a_failure(void **state)
{
	(void)state;
	configure("", "passdb {\ndriver = passwd-file\nargs = /nonexistent/%d\n}\n");
	check_num(authdb_check(&conf, SPAN("al"), SPAN(""), SPAN("pw"), &peer, &who),
	          AUTHDB_FOUND, "another database says yes");
	check_num(authdb_check(&conf, SPAN("al"), SPAN(""), SPAN("no"), &peer, &who),
	          AUTHDB_FAILED, "none says yes and one cannot tell");
}

/* A configuration with them is refused; if one came here all the same it would not open. */
static void
what_restricts_a_static_passdb_is_not_passed_over(void **state)
{
	static const char *const words[] = {"allow_nets=127.0.0.1/32", "nologin",
	                                    "proxy=y", "host=10.0.0.1", "user=ann"};
	struct authdb_secret s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct conf_db *db;

		configure("", "passdb {\ndriver = static\nargs = password=second\n}\n");
		db = &conf.passdb[1];
		check_num(authdb_check(&conf, SPAN("al"), SPAN(""), SPAN("second"),
		                       &peer, &who),
		          AUTHDB_FOUND, "without %s", words[i]);
		free(db->args);
		check_true(asprintf(&db->args, "password=second %s", words[i]) > 0,
		           "args");
		check_num(authdb_check(&conf, SPAN("al"), SPAN(""), SPAN("second"),
		                       &peer, &who),
		          AUTHDB_NOBODY, "%s", words[i]);
		check_num(
		    (uint64_t)authdb_secret(&conf, SPAN("zoe"), MECH_CRAM_MD5, &s), 0,
		    "a secret");
		check_num(s.real, false, "%s: the secret", words[i]);
	}
}

/* Who has proved it without a password is let in only where the password would be, too. */
static void
a_barred_user_proves_nothing(void **state)
{
	(void)state;
	configure("", "");
	check_num(authdb_proved(&conf, SPAN("al"), &who), AUTHDB_FOUND, "al");
	check_num(authdb_proved(&conf, SPAN("barred"), &who), AUTHDB_NOBODY, "barred");
	check_num(authdb_proved(&conf, SPAN("nobody"), &who), AUTHDB_NOBODY, "nobody");
	check_num(authdb_trusted(&conf, SPAN("al"), &who), AUTHDB_FOUND,
	          "al's certificate");
	check_num(authdb_trusted(&conf, SPAN("barred"), &who), AUTHDB_NOBODY,
	          "barred's certificate");
	check_num(authdb_find(&conf, SPAN("barred"), &who), AUTHDB_FOUND,
	          "his mail is still there");
	configure("", "passdb {\ndriver = passwd-file\nargs = /nonexistent/%u\n}\n");
	check_num(authdb_trusted(&conf, SPAN("al"), &who), AUTHDB_FAILED,
	          "one cannot tell whether al is barred");
	check_num(authdb_trusted(&conf, SPAN("barred"), &who), AUTHDB_NOBODY,
	          "barred by the other");
}

/* A file of those who are shut out shuts them out whatever else it says of them. */
static void
a_restriction_does_not_weaken_deny(void **state)
{
	char more[256];

	(void)state;
	snprintf(more, sizeof more,
	         "passdb {\ndriver = passwd-file\nargs = %s/users\ndeny = yes\n}\n"
	         "passdb {\ndriver = static\nargs = password=x\n}\n",
	         scratch);
	configure("", more);
	check_num(authdb_check(&conf, SPAN("barred"), SPAN(""), SPAN("x"), &peer, &who),
	          AUTHDB_NOBODY, "a password");
	check_num(authdb_proved(&conf, SPAN("barred"), &who), AUTHDB_NOBODY, "proved");
	check_num(authdb_trusted(&conf, SPAN("barred"), &who), AUTHDB_NOBODY,
	          "trusted");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(passwords),
	    cmocka_unit_test(records),
	    cmocka_unit_test(fields_of_a_userdb),
	    cmocka_unit_test(lookups_take_names_as_they_are),
	    cmocka_unit_test(uid_limits),
	    cmocka_unit_test(lists),
	    cmocka_unit_test(a_missing_file_is_a_failure),
	    cmocka_unit_test(a_barred_user_proves_nothing),
	    cmocka_unit_test(a_restriction_does_not_weaken_deny),
	    cmocka_unit_test(what_restricts_a_static_passdb_is_not_passed_over),
	};

	return cmocka_run_group_tests(tests, set_up, clean_up);
}
