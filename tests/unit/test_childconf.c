/* childconf: what the children are told of the settings, and what they are not. */
#include "tests/unit/support/check.h"

#include <unistd.h>

#include "protocol/server/childconf.h"
#include "storage/base/io.h"

static const char settings[] =
    "ssl_cert = </c\nssl_key = </k\nssl_key_password = secret-of-key\n"
    "local_name a.b {\nssl_cert = </c\nssl_key = </k\nssl_key_password = "
    "secret-of-name\n}\n"
    "local_name c.d {\nssl_cert = </c\nssl_key = </k\n}\n"
    "passdb {\ndriver = static\nargs = password=secret-of-all\n}\n"
    "passdb {\ndriver = passwd-file\nargs = scheme=PLAIN /secret-path\n}\n"
    "passdb {\ndriver = passwd-file\nargs = /secret-denied\ndeny = yes\n}\n"
    "passdb {\ndriver = pam\n}\n"
    "userdb {\ndriver = static\nargs = home=/secret-home\n}\n"
    "userdb {\ndriver = passwd-file\nargs = /secret-users\n}\n";

static void
load(struct config *c, struct span text)
{
	check_num((uint64_t)config_init(c), 0, "init");
	config_text(c, text, "f", 0, NULL);
	config_finish(c);
	check_num(c->nerror, 0, "mistakes");
}

/* What a child would read, with a NUL behind it. */
static void
tell(bool databases, struct buf *text)
{
	struct config c;
	int fd;

	load(&c, span_of(settings));
	fd = childconf_make(&c, databases);
	check_true(fd != -1 && lseek(fd, 0, SEEK_SET) == 0, "made");
	check_num((uint64_t)io_slurp(fd, text), 0, "read");
	close(fd);
	check_num((uint64_t)buf_addc(text, '\0'), 0, "NUL");
	check_span(span_of(c.text[CONF_SSL_KEY_PASSWORD]), SPAN("secret-of-key"),
	           "the parent keeps its own");
	check_span(span_of(c.local[0].password), SPAN("secret-of-name"), "of a name");
	check_span(span_of(c.passdb[0].args), SPAN("password=secret-of-all"), "args");
	config_free(&c);
}

static void
login_is_told_no_secret(void **state)
{
	struct buf text = {0};
	struct config c;

	(void)state;
	tell(false, &text);
	check_true(strstr(text.p, "secret") == NULL, "%s", text.p);
	load(&c, span_of(text.p)); /* as good as the parent's */
	check_num(c.npassdb, 4, "passdbs");
	check_num(c.passdb[2].deny, true, "deny");
	check_num(c.nuserdb, 2, "userdbs");
	check_num(c.nlocal, 2, "names");
	check_span(span_of(c.text[CONF_SSL_KEY]), SPAN("</k"), "where the key is");
	config_free(&c);
	buf_free(&text);
}

static void
auth_is_told_of_databases_only(void **state)
{
	struct buf text = {0};
	struct config c;

	(void)state;
	tell(true, &text);
	check_true(strstr(text.p, "secret-of-key") == NULL, "%s", text.p);
	check_true(strstr(text.p, "secret-of-name") == NULL, "%s", text.p);
	load(&c, span_of(text.p));
	check_span(span_of(c.passdb[0].args), SPAN("password=secret-of-all"), "static");
	check_span(span_of(c.passdb[1].args), SPAN("scheme=PLAIN /secret-path"),
	           "file");
	check_span(span_of(c.userdb[1].args), SPAN("/secret-users"), "userdb");
	config_free(&c);
	buf_free(&text);
}

/* What the printed text is read into says the same as before it was told. */
static void
it_can_be_read_by_a_child(void **state)
{
	struct config c, d;
	int fd;

	(void)state;
	load(&c, span_of(settings));
	check_true((fd = childconf_make(&c, false)) != -1, "made");
	childconf_read(&d, fd, "a child"); /* ends the process when it is none */
	check_num(d.npassdb, c.npassdb, "passdbs");
	check_span(span_of(d.passdb[1].driver), span_of(c.passdb[1].driver), "driver");
	config_free(&c);
	config_free(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(login_is_told_no_secret),
	    cmocka_unit_test(auth_is_told_of_databases_only),
	    cmocka_unit_test(it_can_be_read_by_a_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
