/* courierconf: what Courier's files mean here, each component by itself. */
#include "tests/unit/support/check.h"

#include <stdio.h>

#include "protocol/server/courierconf.h"

/* Read the texts of imapd, imapd-ssl, pop3d, pop3d-ssl, authdaemonrc; NULL: not there. */
static void
translate(const char *const text[COURIERCONF_NFILE], struct buf *out,
          struct config *notes, struct config *c)
{
	struct courierconf courier = {0};

	config_init(notes);
	for (int f = 0; f < COURIERCONF_NFILE; f++)
		if (text[f] != NULL)
			courierconf_read(&courier, (enum courierconf_file)f, "f",
			                 span_of(text[f]), notes);
	buf_reset(out);
	check_num((uint64_t)courierconf_write(&courier, out, notes), 0, "write");
	config_init(c);
	config_text(c, buf_span(out), "out", 0, NULL);
	config_finish(c);
	courierconf_free(&courier);
}

static uint32_t
port_of(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->nlistener; i++)
		if (strcmp(c->listener[i].name, name) == 0)
			return c->listener[i].port;
	return 99999;
}

static void
names_of_files(void **state)
{
	(void)state;
	check_num(courierconf_which("/etc/courier/imapd"), COURIERCONF_IMAPD, "imapd");
	check_num(courierconf_which("pop3d-ssl"), COURIERCONF_POP3D_SSL, "pop3d-ssl");
	check_num(courierconf_which("imapd/x"), COURIERCONF_NFILE, "x");
	check_num(courierconf_which("dovecot.conf"), COURIERCONF_NFILE, "dovecot.conf");
}

/* All sixteen ways of switching the four components. */
static void
each_component_by_itself(void **state)
{
	static const char *const start[] = {"IMAPDSTART", "IMAPDSSLSTART", "POP3DSTART",
	                                    "POP3DSSLSTART"};
	static const char *const name[] = {"imap", "imaps", "pop3", "pop3s"};
	static const uint32_t port[] = {143, 993, 110, 995};
	struct buf out = {0};

	(void)state;
	for (unsigned set = 0; set < 16; set++) {
		const char *text[COURIERCONF_NFILE] = {0};
		struct config notes, c;
		char room[4][64];

		for (unsigned i = 0; i < 4; i++) {
			snprintf(room[i], sizeof room[i], "ADDRESS=0\n%s=%s\n",
			         start[i], set >> i & 1 ? "YES" : "NO");
			text[i] = room[i];
		}
		text[4] = "authmodulelist=\"authpam\"\n";
		translate(text, &out, &notes, &c);
		check_num(c.nerror, 0, "set %u: mistakes", set);
		for (unsigned i = 0; i < 4; i++)
			check_num(port_of(&c, name[i]), set >> i & 1 ? port[i] : 0,
			          "set %u: %s", set, name[i]);
		check_num(config_has_word(&c, CONF_PROTOCOLS, SPAN("imap")),
		          (set & 3) != 0, "set %u: imap", set);
		check_num(config_has_word(&c, CONF_PROTOCOLS, SPAN("pop3")),
		          (set & 12) != 0, "set %u: pop3", set);
		config_free(&notes);
		config_free(&c);
	}
	buf_free(&out);
}

/* One file says it, and this line is in the result. */
static void
settings(void **state)
{
	static const struct {
		enum courierconf_file file;
		const char *text, *want;
	} row[] = {
	    {COURIERCONF_IMAPD, "MAILDIRPATH=Mail\nIMAPDSTART=YES\n",
	     "mail_location = \"maildir:~/Mail\"\n"},
	    {COURIERCONF_POP3D, "MAILDIRPATH=/m\nPOP3DSTART=YES\n",
	     "mail_location = \"maildir:/m\"\n"},
	    {COURIERCONF_IMAPD, "PORT=127.0.0.1.900,901\nIMAPDSTART=YES\n",
	     "inet_listener imap {\n    address = \"127.0.0.1\"\n    port = 900\n  }\n"
	     "  inet_listener imap2 {\n    port = 901\n"},
	    {COURIERCONF_IMAPD, "ADDRESS=::1\nPORT=900\nIMAPDSTART=YES\n",
	     "    address = \"::1\"\n    port = 900\n"},
	    {COURIERCONF_IMAPD, "IMAPDSTART=YES\n", "ssl = no\n"},
	    {COURIERCONF_IMAPD_SSL, "IMAPDSTARTTLS=YES\n", "ssl = yes\n"},
	    {COURIERCONF_IMAPD_SSL, "IMAPDSTARTTLS=NO\n", "ssl = no\n"},
	    {COURIERCONF_IMAPD_SSL, "IMAPDSSLSTART=YES\nIMAP_TLS_REQUIRED=1\n",
	     "ssl = required\n"},
	    {COURIERCONF_POP3D_SSL, "POP3DSSLSTART=YES\nPOP3_TLS_REQUIRED=1\n",
	     "ssl = required\n"},
	    {COURIERCONF_POP3D_SSL,
	     "POP3DSSLSTART=YES\nTLS_CERTFILE=/c.pem\nTLS_DHPARAMS=/d.pem\n",
	     "ssl_cert = </c.pem\nssl_key = </c.pem\nssl_dh = </d.pem\n"},
	    {COURIERCONF_POP3D_SSL,
	     "POP3DSSLSTART=YES\nTLS_CERTFILE=/c.pem\nTLS_PRIVATE_KEYFILE=/k.pem\n",
	     "ssl_cert = </c.pem\nssl_key = </k.pem\n"},
	    {COURIERCONF_IMAPD_SSL,
	     "IMAPDSSLSTART=YES\nTLS_PROTOCOL=\"TLSv1.2++\"\n"
	     "TLS_CIPHER_LIST=\"HIGH:!aNULL\"\n",
	     "ssl_min_protocol = \"TLSv1.2\"\nssl_cipher_list = \"HIGH:!aNULL\"\n"},
	    {COURIERCONF_IMAPD_SSL,
	     "IMAPDSSLSTART=YES\nTLS_VERIFYPEER=REQUIREPEER\nTLS_TRUSTCERTS=/a.pem\n",
	     "ssl_ca = </a.pem\nssl_verify_client_cert = \"yes\"\n"
	     "auth_ssl_require_client_cert = \"yes\"\n"},
	    {COURIERCONF_IMAPD, "MAXPERIP=7\nIMAPDSTART=YES\n",
	     "mail_max_userip_connections = \"7\"\n"},
	    {COURIERCONF_IMAPD, "IMAP_CAPABILITY=\"IMAP4rev1 AUTH=LOGIN AUTH=PLAIN\"\n",
	     "auth_mechanisms = plain login\n"},
	    {COURIERCONF_POP3D, "POP3AUTH_TLS=\"LOGIN PLAIN\"\n",
	     "auth_mechanisms = plain login\n"},
	    {COURIERCONF_IMAPD, "IMAP_TRASHFOLDERNAME=Bin\n",
	     "  prefix = INBOX.\n  mailbox \"Bin\" {\n    special_use = \\Trash\n"},
	    {COURIERCONF_POP3D, "POP3DSTART=YES\n", "pop3_uidl_format = UID%u-%v\n"},
	    {COURIERCONF_AUTHDAEMONRC, "authmodulelist=\"authshadow authpwd\"\n",
	     "passdb {\n  driver = shadow\n}\nuserdb {\n  driver = passwd\n}\n"
	     "passdb {\n  driver = passwd\n}\n"},
	    {COURIERCONF_AUTHDAEMONRC, "daemons=9\n",
	     "auth_worker_max_count = \"9\"\n"},
	};
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const char *text[COURIERCONF_NFILE] = {0};
		struct config notes, c;

		text[row[i].file] = row[i].text;
		translate(text, &out, &notes, &c);
		buf_addc(&out, '\0');
		check_true(strstr(out.p, row[i].want) != NULL, "row %zu: %s", i, out.p);
		config_free(&notes);
		config_free(&c);
	}
	buf_free(&out);
}

static void
what_has_no_counterpart(void **state)
{
	static const struct {
		enum courierconf_file file;
		const char *text, *want; /* NULL: nothing is said */
	} row[] = {
	    {COURIERCONF_IMAPD, "IMAP_EMPTYTRASH=Trash:7\n",
	     "f:1:1: warning: IMAP_EMPTYTRASH=Trash:7 has no counterpart"},
	    {COURIERCONF_IMAPD, "\n\nWHATEVER=1\n",
	     "f:3:1: warning: WHATEVER has no counterpart"},
	    {COURIERCONF_IMAPD, "IMAP_PROXY=0\nIMAP_USELOCKS=1\n", NULL},
	    {COURIERCONF_IMAPD, "IMAP_PROXY=1\n", "IMAP_PROXY=1 has no counterpart"},
	    {COURIERCONF_IMAPD, "echo hello\n", "f:1:1: error: this is a command"},
	    {COURIERCONF_IMAPD, "MAILDIRPATH=\"x\nssl = no\"\n",
	     "error: mail_location: its value holds an end of line"},
	    {COURIERCONF_IMAPD, "PORT=x\nIMAPDSTART=YES\n",
	     "f:1:1: warning: PORT: one"},
	    {COURIERCONF_IMAPD, "IMAP_CAPABILITY=AUTH=CRAM-SHA1\n",
	     "IMAP_CAPABILITY: one of these mechanisms"},
	    {COURIERCONF_IMAPD, "IMAP_CAPABILITY=AUTH=CRAM-MD5\n",
	     "IMAP_CAPABILITY: CRAM-MD5 has no counterpart"},
	    {COURIERCONF_IMAPD_SSL, "IMAPDSSLSTART=YES\nTLS_PROTOCOL=SSL3\n",
	     "f:2:1: warning: TLS_PROTOCOL: has no counterpart"},
	    {COURIERCONF_IMAPD_SSL, "IMAPDSSLSTART=YES\nTLS_CERTFILE='/a b'\n",
	     "this path cannot be written"},
	    {COURIERCONF_AUTHDAEMONRC, "authmodulelist=\"authpam authmysql\"\n",
	     "f:1:1: warning: authmodulelist: authmysql has no counterpart"},
	};
	struct buf out = {0}, said = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const char *text[COURIERCONF_NFILE] = {0};
		struct config notes, c;

		text[COURIERCONF_AUTHDAEMONRC] = "authmodulelist=authpam\n";
		text[row[i].file] = row[i].text;
		translate(text, &out, &notes, &c);
		buf_reset(&said);
		config_print_notes(&notes, &said);
		buf_addc(&said, '\0');
		if (row[i].want == NULL)
			check_num(notes.nnote, 0, "row %zu: %s", i, said.p);
		else
			check_true(strstr(said.p, row[i].want) != NULL, "row %zu: %s",
			           i, said.p);
		check_num(c.nerror, 0, "row %zu: the result", i);
		config_free(&notes);
		config_free(&c);
	}
	buf_free(&out);
	buf_free(&said);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_of_files),
	    cmocka_unit_test(each_component_by_itself),
	    cmocka_unit_test(settings),
	    cmocka_unit_test(what_has_no_counterpart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
