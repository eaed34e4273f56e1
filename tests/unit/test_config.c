/* config: what settings mean, in the dialects of versions 1 to 2.4; every mistake told. */
#include "tests/unit/support/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/server/config.h"
#include "protocol/server/namespaces.h"
#include "protocol/server/settings.h"
#include "storage/base/io.h"

#define DBS "passdb { driver = pam }\nuserdb { driver = passwd }\n"

static void
load(struct config *c, const char *text)
{
	check_num((uint64_t)config_init(c), 0, "init");
	config_text(c, span_of(text), "f", 0, NULL);
	config_finish(c);
}

static void
settings_of_all_dialects(void **state)
{
	static const struct {
		const char *text;
		enum conf_key key;
		const char *want;
	} row[] = {
	    {"", CONF_MAIL_LOCATION, "maildir:~/Maildir"},
	    {"mail_location = maildir:/v/%d/%n", CONF_MAIL_LOCATION,
	     "maildir:/v/%d/%n"},
	    {"default_mail_env = maildir:~/M", CONF_MAIL_LOCATION, "maildir:~/M"},
	    {"mail_driver = maildir\nmail_path = ~/M", CONF_MAIL_LOCATION,
	     "maildir:~/M"},
	    {"mail_path = ~/M\nmail_driver = mbox", CONF_MAIL_LOCATION, "mbox:~/M"},
	    {"mail_path = ~/M\nmail_inbox_path = /s/%u\nmail_driver = mbox",
	     CONF_MAIL_LOCATION, "mbox:~/M:INBOX=/s/%u"},
	    {"mail_inbox_path = /s/%u\nmail_path = ~/M\nmail_driver = mbox",
	     CONF_MAIL_LOCATION, "mbox:~/M:INBOX=/s/%u"},
	    {"mail_location = mbox:~/M:INBOX=/a\nmail_inbox_path = /s/%u",
	     CONF_MAIL_LOCATION, "mbox:~/M:INBOX=/s/%u"},
	    {"mbox_write_locks = fcntl dotlock_try", CONF_MBOX_WRITE_LOCKS,
	     "fcntl dotlock_try"},
	    {"mail_path = %{home}/M", CONF_MAIL_LOCATION, "maildir:%{home}/M"},
	    {"auth_allow_cleartext = yes", CONF_DISABLE_PLAINTEXT_AUTH, "no"},
	    {"auth_allow_cleartext = no", CONF_DISABLE_PLAINTEXT_AUTH, "yes"},
	    {"auth_allow_cleartext = true", CONF_DISABLE_PLAINTEXT_AUTH, "no"},
	    {"auth_allow_cleartext = n", CONF_DISABLE_PLAINTEXT_AUTH, "yes"},
	    {"ssl_disable = 1", CONF_SSL, "no"},
	    {"disable_plaintext_auth = no", CONF_DISABLE_PLAINTEXT_AUTH, "no"},
	    {"protocols = \" imap pop3\"", CONF_PROTOCOLS, " imap pop3"},
	    {"protocols = imap\nprotocols = $protocols pop3", CONF_PROTOCOLS,
	     "imap pop3"},
	    {"login_greeting = \"$protocols\"", CONF_LOGIN_GREETING, "$protocols"},
	    {"login_greeting = a $b", CONF_LOGIN_GREETING, "a $b"},
	    {"auth default { mechanisms = plain login }", CONF_AUTH_MECHANISMS,
	     "plain login"},
	    {"protocol pop3 { pop3_uidl_format = %v.%u }", CONF_POP3_UIDL_FORMAT,
	     "%v.%u"},
	    {"mount_path = /m # where", CONF_MOUNT_PATH, "/m"},
	    {"protocols = imaps pop3s", CONF_PROTOCOLS, "imap pop3"},
	    {"protocols = imap imaps pop3", CONF_PROTOCOLS, "imap pop3"},
	    {"protocols {\n imap = yes\n}", CONF_PROTOCOLS, "imap"},
	    {"protocols = imap\nprotocols { pop3 = yes imap = no\n}", CONF_PROTOCOLS,
	     "pop3"},
	    {"auth_mechanisms {\n plain = yes\n login = yes\n}", CONF_AUTH_MECHANISMS,
	     "plain login"},
	    {"login_user = x", CONF_DEFAULT_LOGIN_USER, "x"},
	    {"auth default {\n ssl_require_client_cert = yes\n}",
	     CONF_AUTH_SSL_REQUIRE_CLIENT_CERT, "yes"},
	    {"auth default {\n ssl_username_from_cert = yes\n}",
	     CONF_AUTH_SSL_USERNAME_FROM_CERT, "yes"},
	};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		load(&c, row[i].text);
		check_mem(c.text[row[i].key], strlen(c.text[row[i].key]), row[i].want,
		          "row %zu", i);
		config_free(&c);
	}
}

static void
numbers(void **state)
{
	static const struct {
		const char *text;
		enum conf_key key;
		uint64_t want;
	} row[] = {
	    {"auth_failure_delay = 5", CONF_AUTH_FAILURE_DELAY, 5},
	    {"auth_failure_delay = 2 secs", CONF_AUTH_FAILURE_DELAY, 2},
	    {"auth_failure_delay = 3mins", CONF_AUTH_FAILURE_DELAY, 180},
	    {"auth_failure_delay = 1 hour", CONF_AUTH_FAILURE_DELAY, 3600},
	    {"first_valid_uid = 1000", CONF_FIRST_VALID_UID, 1000},
	    {"ssl = required", CONF_SSL, CONF_SSL_REQUIRED},
	    {"ssl = yes", CONF_SSL, CONF_SSL_YES},
	    {"ssl = no", CONF_SSL, CONF_SSL_NO},
	    {"disable_plaintext_auth = NO", CONF_DISABLE_PLAINTEXT_AUTH, 0},
	};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		load(&c, row[i].text);
		check_num(c.num[row[i].key], row[i].want, "row %zu", i);
		config_free(&c);
	}
}

/* Everything that is wrong is told, with its place and remedy. */
static void
mistakes(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* must be among the notes */
	} row[] = {
	    {"mail_loction = x",
	     "f:1:1: error: there is no setting `mail_loction`: did you "
	     "mean `mail_location`?"},
	    {"\n  bogus_thing = 1",
	     "f:2:3: error: there is no setting `bogus_thing` here"},
	    {"ssl = maybe", "error: ssl: the value must be no, yes or required"},
	    {"\nssl = required",
	     "f:2:1: error: ssl: with `ssl = required` and no cert"},
	    {"ssl_cert = </x", "f:1:1: error: ssl_cert needs ssl_key, too"},
	    {"ssl_key = /x", "f:1:1: error: ssl_key needs ssl_cert, too"},
	    {"ssl_cert = x.pem", "f:1:1: error: ssl_cert: the value must be the path"},
	    {"ssl_min_protocol = TLSv9", "f:1:1: error: ssl_min_protocol: the value"},
	    {"ssl_protocols = !SSLv2 !SSL9", "f:1:1: error: ssl_protocols: the value"},
	    {"ssl_protocols = SSLv3", "leave no version of TLS"},
	    {"ssl_options = no_ticket no_sense", "there is no option `no_sense`"},
	    {"ssl_verify_client_cert = yes", "ssl_verify_client_cert needs ssl_ca"},
	    {"auth_ssl_require_client_cert = yes", "needs ssl_verify_client_cert"},
	    {"auth_ssl_username_from_cert = yes", "needs ssl_verify_client_cert"},
	    {"\nlocal_name a.b {\n ssl_cert = </x\n}",
	     "f:2:1: error: local_name a.b needs ssl_cert and ssl_key"},
	    {"local_name a.b {\n ssl_min_protocol = TLSv1.3\n}", "move it to the top"},
	    {"first_valid_uid = -1",
	     "error: first_valid_uid: the value must be a whole"},
	    {"auth_failure_delay = 2 parsecs",
	     "error: auth_failure_delay: the value must"},
	    {"mount_path = mail", "error: mount_path: the value must begin with /"},
	    {"mount_path = /", "error: mount_path: name a directory below /"},
	    {"mail_location = maildir:%q",
	     "error: mail_location: a variable is unknown"},
	    {"mail_location = Maildir",
	     "error: mail_location: the value must be a location"},
	    {"protocols = pop4", "error: protocols: there is no protocol `pop4`"},
	    {"auth_mechanisms =", "error: auth_mechanisms: there is none"},
	    {"auth_mechanisms = plain gssapy",
	     "error: auth_mechanisms: there is no mechanism `gssapy`"},
	    {DBS "auth default { mechanisms = plain login cram-md5 }",
	     "nobody could log in by CRAM-MD5: it is never told the password, so it "
	     "needs the plain password or its own form of it from the passdb, and pam "
	     "can only say yes or no"},
	    {"passdb { driver = passwd }\nauth_mechanisms = plain scram-sha-256",
	     "by SCRAM-SHA-256: it is never told the password"},
	    {"passdb { driver = prefetch }", "error: prefetch is a userdb"},
	    {"userdb { driver = shadow }", "error: shadow knows passwords only"},
	    {"passdb { driver = passwd\n skip = maybe }",
	     "error: skip: the value must"},
	    {"passdb { driver = passwd\n result_success = yes }",
	     "error: the value must be return-ok"},
	    {"service pop3-login {",
	     "f:1:1: error: the block that begins here is never"},
	    {"}", "f:1:1: error: this } closes nothing"},
	    {"service imapx { }", "error: there is no service `imapx`"},
	    {"service { }", "error: service needs a name"},
	    {"passdb pam { fields { uid = 1 } }", "error: fields { of this driver"},
	    {"userdb passwd { fields { user = x } }",
	     "error: the field user is not in"},
	    {"userdb passwd {\n override_fields = uid=1 chroot=/x\n}",
	     "error: the field chroot is not in"},
	    {"passdb passwd {\n default_fields = nopassword=y\n}",
	     "error: default_fields is not in this version"},
	    {"passdb pam { password = x }", "error: password: only static has one"},
	    {"userdb static {\n fields {\n home = a b\n}\n}",
	     "f:3:2: error: home: a field cannot hold a blank"},
	    {"protocols { imap = maybe }", "error: imap: the value must be yes or no"},
	    {"local 10.0.0.0/8 { ssl = required }",
	     "error: ssl cannot be had for some addresses only"},
	    {"remote ::1 { protocol imap { disable_plaintext_auth = yes } }",
	     "error: disable_plaintext_auth cannot be had"},
	    {"protocol imap { remote 1.2.3.4 { passdb { driver = pam } } }",
	     "error: passdb cannot be had for some addresses"},
	    {"local { }", "error: local needs a name"},
	    {"protocol imap {\n ssl = required\n}",
	     "f:2:2: error: ssl cannot be had for one protocol only"},
	    {"protocol pop9 { }", "error: there is no protocol `pop9`"},
	    {"wibble { }", "error: there is no block `wibble`"},
	    {"service pop3-login { inet_listener p { port = 99999 } }",
	     "f:1:40: error: port: the value must be a number up to 65535"},
	    {"passdb { args = x }", "error: this passdb has no driver"},
	    {"passdb { driver = magic }", "error: driver: there is no driver `magic`"},
	    {"userdb { driver = pam }", "error: pam knows passwords only"},
	    {"userdb pam { }", "error: pam knows passwords only"},
	    {"passdb { driver = passwd-file args = users }",
	     "error: passdb: passwd-file needs the absolute path"},
	    {"passdb { driver = pam\n deny = yes }",
	     "error: deny: pam cannot say who is in it"},
	    {"passdb { driver = static\n args = nopassword=y "
	     "allow_nets=127.0.0.1/32\n}",
	     "f:1:1: error: allow_nets of a static passdb is not in this version"},
	    {"passdb static {\n fields {\n nopassword = y\n nologin = y\n}\n}",
	     "error: nologin of a static passdb"},
	    {"passdb { driver = static\n args = password=x proxy host=10.0.0.1\n}",
	     "error: proxy of a static passdb"},
	    {"passdb { driver = passwd\n deny = on\n}",
	     "f:2:2: error: deny: the value must be yes or no"},
	    {"passdb { driver = passwd\n master = maybe\n}",
	     "f:2:2: error: master: the value must be yes or no"},
	    {"passdb { driver = passwd\n pass = 2\n}",
	     "f:2:2: error: pass: the value must be yes or no"},
	    {"service pop3-login { inet_listener x { port = 1 ssl = tls } }",
	     "error: ssl: the value must be yes or no"},
	    {"auth_allow_cleartext = off",
	     "error: auth_allow_cleartext: the value must be yes or no"},
	    {"ssl_disable = on", "error: ssl_disable: the value must be yes or no"},
	    {"remote ::1 { disable_plaintext_auth = 1 }",
	     "error: disable_plaintext_auth cannot be had"},
	    {"passdb {\n driver = ldap\n deny = yes\n}",
	     "f:4:1: error: the driver ldap is not in this version, and without this"},
	    {"passdb {\n driver = sql\n pass = yes\n}", "error: the driver sql is not"},
	    {"passdb { driver = lua\n result_failure = return-fail\n}",
	     "error: the driver lua is not"},
	    {"passdb { driver = imap\n result_internalfail = return-fail\n}",
	     "error: the driver imap is not"},
	    {"auth_mechanisms = plain cram-md5\n\npassdb { driver = passwd-file\n"
	     " args = /u\n result_failure = return-fail\n}",
	     "f:3:1: error: skip, pass and result_* of this passdb hold for plain and "
	     "login only, so CRAM-MD5 would let in whom"},
	    {"auth_mechanisms = plain apop\npassdb { driver = static\n"
	     " args = password=x pass = yes\n}",
	     "so APOP would let in"},
	    {"auth_mechanisms = plain scram-sha-1\npassdb { driver = passwd-file\n"
	     " args = /u\n skip = authenticated\n}",
	     "so SCRAM-SHA-1 would let in"},
	    {"auth_mechanisms = scram-sha-256\npassdb { driver = passwd-file args = /u "
	     "}\n"
	     "passdb { driver = pam\n result_internalfail = return-fail\n}",
	     "f:3:1: error: skip, pass and result_* of this passdb"},
	    {"namespace a { separator = ^ }", "separator: the value must be . or /"},
	    {"namespace a { separator = / prefix = x. }",
	     "prefix: the value must end with the separator /"},
	    {"namespace a { prefix = x }",
	     "prefix: the value must end with the separator ."},
	    {"namespace a { type = mine }", "type: the value must be private"},
	    {"namespace a { inbox = yes }\nnamespace b { inbox = yes }",
	     "f:2:1: error: inbox: another namespace has the INBOX"},
	    {"namespace a { mailbox Sent { special_use = \\Snet } }",
	     "special_use: there is no use `\\Snet`"},
	    {"namespace a { mailbox Sent { auto = maybe } }",
	     "auto: the value must be no"},
	    {"namespace a { mailbox a..b { } }", "mailbox a..b: this is no name"},
	    {"namespace a { mailbox { } }", "error: mailbox needs a name"},
	    {"namespace a { mount_path = /x }",
	     "error: mount_path does not belong into this block"},
	    {"mailbox x { }\nnamespce a { }", "error: there is no block `namespce`"},
	    {"", "error: there is no passdb"},
	    {"", "error: there is no userdb"},
	    {"!include x.conf",
	     "error: !include x.conf: files cannot be included here"},
	    {"service pop3-login { mount_path = /x }",
	     "error: mount_path does not belong into this block"},
	    {"a { a { a { a { a { a { a { a { a { a { a { a { a { a { a { a { a {",
	     "error: blocks are nested deeper than 16"},
	    {"passdb \"a=b\" { driver = pam }",
	     "error: the name of passdb has characters"},
	    {"mbox_write_locks = fcntl lockf", "mbox_write_locks: the same lock"},
	    {"mbox_read_locks = posix", "mbox_read_locks: the locks are"},
	    {"mbox_lock_timeout = soon", "mbox_lock_timeout: the value"},
	    {"mbox_min_index_size = 10 parsecs", "mbox_min_index_size: the value"},
	    {"mail_location = mbox:~/m:LAYOUT=maildir++", "LAYOUT=maildir++ cannot be"},
	    {"mail_location = maildir:~/m:LAYOUT=fs", "LAYOUT=fs cannot be had here"},
	    {"mail_location = maildir:~/m:INBOX=/x", "INBOX=/x cannot be had here"},
	    {"mail_location = mbox:", "neither folders nor an INBOX"},
	};
	struct buf notes = {0};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		load(&c, row[i].text);
		buf_reset(&notes);
		config_print_notes(&c, &notes);
		buf_addc(&notes, '\0');
		check_true(strstr(notes.p, row[i].want) != NULL && c.nerror > 0,
		           "row %zu: %s", i, notes.p);
		config_free(&c);
	}
	buf_free(&notes);
}

static void
all_mistakes_at_once(void **state)
{
	struct config c;

	(void)state;
	load(&c, "bogus1 = 1\nssl = x\n\nbogus2 = 2\nservice x {\n}\n" DBS);
	check_num(c.nerror, 4, "errors");
	check_num(c.note[0].line, 1, "first");
	check_num(c.note[1].line, 2, "second");
	check_num(c.note[2].line, 4, "third");
	check_num(c.note[3].line, 5, "fourth");
	config_free(&c);
}

/* What is known but means nothing here is a warning, once for each name. */
static void
warnings(void **state)
{
	static const struct {
		const char *text;
		size_t want;
		const char *says;
	} row[] = {
	    {DBS, 0, ""},
	    {DBS "ssl_cert = </x\nssl_cert = </y\nssl_key = </z", 0, ""},
	    {DBS "mbox_min_index_size = 1000", 0, ""},
	    {DBS "mbox_lazy_writes = yes", 1, "mbox_lazy_writes is ignored: what is"},
	    {DBS "mail_location = mbox:~/m:LAYOUT=fs:INBOX=/var/mail/%u", 0, ""},
	    {DBS "mail_location = mbox:~/m:INDEX=MEMORY", 1, "INDEX= and the like"},
	    {DBS "protocols = imap pop3", 0, ""},
	    {DBS "protocols = imap lmtp", 1, "protocols: lmtp is not served"},
	    {DBS "ssl = yes", 1, "f:3:1: warning: ssl: there is no ssl_cert"},
	    {DBS "ssl_protocols = !SSLv2 !SSLv3 !TLSv1", 0, ""},
	    {DBS "ssl_cipher_list = AES256+EECDH:AES256+EDH", 0, ""},
	    {DBS "ssl_parameters_regenerate = 1 week", 1, "the standard ones"},
	    {"passdb { driver = passwd-file\n args = /u }\nuserdb { driver = passwd }\n"
	     "auth default { mechanisms = plain login cram-md5 }",
	     0, ""},
	    {"passdb { driver = passwd-file\n args = /d deny = yes\n"
	     " result_failure = return\n}\n"
	     "passdb { driver = passwd-file\n args = /m master = yes pass = yes\n}\n"
	     "passdb { driver = passwd-file\n args = /u\n}\nuserdb { driver = passwd "
	     "}\n"
	     "auth_mechanisms = plain cram-md5",
	     0, ""},
	    {DBS "passdb { driver = pam\n args = x\n skip = authenticated\n}", 0, ""},
	    {DBS "auth_mechanisms = plain gssapi", 1, "gssapi is ignored"},
	    {DBS "mail_location = mdbox:~/mail", 1, "`mdbox:` stores cannot be read"},
	    {DBS "plugin {\n quota = maildir\n bogus { x = y }\n}", 1,
	     "plugin is ignored"},
	    {DBS "service imap-login { inet_listener imap { port = 0 } }", 0, ""},
	    {DBS "service imap { vsz_limit = 1G }", 1, "vsz_limit is ignored"},
	    {DBS "local 10.0.0.0/8 {\n ssl = no\n x = y\n}", 1,
	     "what is for 10.0.0.0/8 alone is ignored"},
	    {DBS "remote 127.0.0.1 { protocol imap { ssl = no } }", 1,
	     "what is for 127.0.0.1 alone is ignored"},
	    {DBS "mail_plugins {\n acl = yes\n}", 1, "mail_plugins is ignored"},
	    {DBS "auth default {\n count = 1\n chroot =\n user = root\n}", 1,
	     "count is ignored"},
	    {DBS "imap_idle_notify_interval = 2 mins", 1, "kept alive"},
	    {DBS "protocol imap {\n mail_max_userip_connections = 20\n}", 0, ""},
	    {DBS "service pop3-login { service_count = 1\n process_limit = 0\n"
	         " client_limit = unlimited\n}",
	     2, "client_limit = 4294967295: one process has at most 10000"},
	    {DBS "service pop3-login { service_count = 1\n process_limit = 1\n}", 1,
	     "f:3:1: warning: service pop3-login: service_count = 1: with "
	     "process_limit"},
	    {DBS "service imap-login { process_limit = 5\n process_min_avail = 6\n}", 1,
	     "f:4:1: warning: service imap-login: process_min_avail = 6: more than"},
	    {DBS "service imap-login { process_limit = 5000\n}", 1, "at most 1000"},
	    {DBS "service imap { process_limit = 5000\n}", 0, ""},
	    {DBS "service pop3 { client_limit = 5\n service_count = 9\n}", 1,
	     "process of its own"},
	    {DBS "service imap { process_min_avail = 4\n}", 1, "when somebody logs in"},
	    {DBS "service imap { inet_listener imap {\n port = 1\n}\n}", 1,
	     "service imap-login has the listeners"},
	    {DBS "passdb { driver = sql\n args = /x }", 1,
	     "the driver sql is not in this"},
	    {DBS "passdb { driver = sql\n deny = no\n pass = no\n master = yes\n}", 1,
	     "the driver sql is not in this"},
	    {DBS "login_greeting = a#b", 1, "from # on is taken as a comment"},
	    {DBS
	     "namespace inbox { mailbox \"Sent Messages\" { special_use = \\Sent } }",
	     0, ""},
	    {DBS "namespace {\n inbox = yes\n}\nnamespace {\n type = shared\n}", 1,
	     "f:6:1: warning: this namespace is ignored: shared mailboxes"},
	    {DBS "namespace a {\n inbox = yes\n}\nnamespace b {\n prefix = x.\n}", 1,
	     "f:6:1: warning: this namespace is ignored: a user's mail is in one"},
	    {DBS "namespace a {\n disabled = yes\n inbox = yes\n}", 0, ""},
	    {DBS "namespace a { location = maildir:~/x\n}", 1, "location is ignored"},
	    {DBS "namespace a { location = maildir:~/Maildir\n}", 0, ""},
	    {DBS "namespace a { hidden = yes\n list = no\n subscriptions = no\n}", 3,
	     "hidden is ignored"},
	    {DBS "namespace a { mailbox x/* {\n auto = create\n}\n}", 1, "patterns"},
	    {DBS "namespace a { mailbox x {\n autoexpunge = 30 days\n}\n}", 1,
	     "expunged by itself"},
	};
	struct buf notes = {0};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		load(&c, row[i].text);
		buf_reset(&notes);
		config_print_notes(&c, &notes);
		buf_addc(&notes, '\0');
		check_num(c.nerror, 0, "row %zu: %s", i, notes.p);
		check_num(c.nnote, row[i].want, "row %zu: %s", i, notes.p);
		check_true(strstr(notes.p, row[i].says) != NULL, "row %zu: %s", i,
		           notes.p);
		config_free(&c);
	}
	buf_free(&notes);
}

static void
databases(void **state)
{
	static const struct {
		const char *text;
		size_t npass, nuser;
		const char *driver, *args; /* of the last passdb */
	} row[] = {
	    {"passdb { driver = pam }", 1, 0, "pam", ""},
	    {"passdb {\n driver = pam\n args = dovecot\n}", 1, 0, "pam", "dovecot"},
	    {"passdb pam { }\nuserdb passwd { }", 1, 1, "pam", ""},
	    {"passdb pam { }\npassdb pam { service_name = x }", 1, 0, "pam", "x"},
	    {"passdb static {\n fields {\n user = %{user}\n nopassword = yes\n}\n}", 1,
	     0, "static", "user=%{user} nopassword=yes"},
	    {"passdb { driver = pam }\npassdb { driver = passwd }", 2, 0, "passwd", ""},
	    {"auth default {\n passdb pam {\n args = dovecot\n }\n userdb passwd {\n "
	     "}\n}",
	     1, 1, "pam", "dovecot"},
	    {"passdb x { driver = passwd-file\n passwd_file_path = /u\n"
	     "default_password_scheme = PLAIN }",
	     1, 0, "passwd-file", "scheme=PLAIN /u"},
	    {"passdb { driver = passwd-file args = scheme=CRYPT username_format=%n /u "
	     "}",
	     1, 0, "passwd-file", "scheme=CRYPT username_format=%n /u"},
	    {"passdb { driver = pam }\npassdb { driver = ldap }", 1, 0, "pam", ""},
	    {"passdb one { passdb_driver = static\n password = {SHA}x }", 1, 0,
	     "static", "password={SHA}x"},
	};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		load(&c, row[i].text);
		check_num(c.npassdb, row[i].npass, "row %zu: passdbs", i);
		check_num(c.nuserdb, row[i].nuser, "row %zu: userdbs", i);
		check_span(span_of(c.passdb[c.npassdb - 1].driver),
		           span_of(row[i].driver), "row %zu: driver", i);
		check_span(span_of(c.passdb[c.npassdb - 1].args), span_of(row[i].args),
		           "row %zu: args", i);
		config_free(&c);
	}
}

/* Fields of userdbs, in both spellings. */
static void
fields(void **state)
{
	static const struct {
		const char *text, *defaults, *overrides; /* NULL: none */
	} row[] = {
	    {"userdb passwd { }", NULL, NULL},
	    {"userdb passwd {\n default_fields = uid=1 home=/h/%u quota=x\n}",
	     "uid=1 home=/h/%u", NULL},
	    {"userdb {\n driver = passwd\n override_fields = gid=7\n}", NULL, "gid=7"},
	    {"userdb passwd-file {\n passwd_file_path = /u\n fields {\n uid:default = "
	     "vmail\n"
	     " gid = mail\n home:default = /h/%{user|username}\n mail = maildir:~/M\n "
	     "}\n}",
	     "uid=vmail home=/h/%{user|username}", "gid=mail mail=maildir:~/M"},
	};
	struct config c, again;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct buf text = {0}, printed = {0};

		buf_addf(&text, "passdb pam { }\n%s", row[i].text);
		buf_addc(&text, '\0');
		load(&c, text.p);
		check_num(c.nerror, 0, "row %zu", i);
		config_print(&c, false, &printed);
		buf_addc(&printed, '\0');
		load(&again, printed.p);
		for (int k = 0; k < 2; k++) {
			const struct conf_db *d = k == 0 ? c.userdb : again.userdb;

			check_num(d->defaults == NULL, row[i].defaults == NULL,
			          "row %zu", i);
			check_num(d->overrides == NULL, row[i].overrides == NULL,
			          "row %zu", i);
			if (d->defaults != NULL)
				check_span(span_of(d->defaults),
				           span_of(row[i].defaults), "row %zu", i);
			if (d->overrides != NULL)
				check_span(span_of(d->overrides),
				           span_of(row[i].overrides), "row %zu", i);
		}
		config_free(&c);
		config_free(&again);
		buf_free(&text);
		buf_free(&printed);
	}
}

/* Every word for yes is one: who writes `deny = y` does not mean to open. */
static void
words_for_yes(void **state)
{
	static const struct {
		const char *word;
		bool on;
	} row[] = {{"yes", true}, {"Y", true},  {"1", true},  {"true", true},
	           {"no", false}, {"n", false}, {"0", false}, {"FALSE", false}};
	struct config c;
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const char *w = row[i].word;

		snprintf(
		    text, sizeof text,
		    DBS
		    "passdb { driver = passwd\n deny = %s\n master = %s\n pass = "
		    "%s\n}\n"
		    "service pop3-login { inet_listener x { port = 1 ssl = %s } }\n",
		    w, w, w, w);
		load(&c, text);
		check_num(c.nerror, 0, "%s", w);
		check_num(c.passdb[1].deny, row[i].on, "deny = %s", w);
		check_num(c.passdb[1].master, row[i].on, "master = %s", w);
		check_num(c.passdb[1].success == CONF_CONTINUE, row[i].on, "pass = %s",
		          w);
		check_num(c.listener[0].ssl, row[i].on, "ssl = %s", w);
		config_free(&c);
	}
}

static void
listeners(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		const char *name, *address;
		uint32_t port;
	} row[] = {
	    {"service pop3-login { inet_listener pop3 { port = 110 } }", 1, "pop3",
	     NULL, 110},
	    {"service pop3-login { inet_listener pop3 { port = 0 } }", 1, "pop3", NULL,
	     0},
	    {"service pop3-login { inet_listener pop3 { address = 127.0.0.1 port = "
	     "1110 } }",
	     1, "pop3", "127.0.0.1", 1110},
	    {"service pop3-login {\n inet_listener pop3 {\n address = *, ::\n }\n}", 1,
	     "pop3", "*, ::", 110},
	    {"service pop3-login { inet_listener x { port = 2 } }\n"
	     "service pop3-login { inet_listener x { address = ::1 } }",
	     1, "x", "::1", 2},
	    {"service pop3-login { inet_listener pop3 { port = 1 } inet_listener y { "
	     "port = "
	     "3 } }",
	     2, "y", NULL, 3},
	    {"protocol pop3 {\n listen = 10.0.0.1:1110\n}", 1, "pop3", "10.0.0.1",
	     1110},
	    {"protocol pop3 {\n listen = [::1]:1110\n}", 1, "pop3", "[::1]", 1110},
	    {"protocol pop3 {\n listen = ::1\n}", 1, "pop3", "::1", 110},
	    {"protocol imap {\n listen = ::1\n}", 1, "imap", "::1", 143},
	    {"protocol imap {\n listen = *:1143, [::]:1143\n}", 1, "imap", "* [::]",
	     1143},
	    {"protocol imap {\n ssl_listen = *:1993\n}", 1, "imaps", "*", 1993},
	    {"protocols = imaps", 2, "imap", NULL, 0},
	    {"protocols = imap pop3s", 2, "pop3", NULL, 0},
	    {"protocols = imap imaps", 1, "imaps", NULL, 993},
	    {"protocols = pop3s\nprotocol pop3 { listen = *:110\n}", 2, "pop3s", NULL,
	     995},
	    {"service imap-login { inet_listener imap { address = ::1 } }", 1, "imap",
	     "::1", 143},
	    {"service imap-login { inet_listener imaps { address = ::1 } }", 1, "imaps",
	     "::1", 993},
	    {"service imap-login { inet_listener x { port = 1 } }\n"
	     "service pop3-login { inet_listener x { port = 2 } }",
	     2, "x", NULL, 2},
	};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct conf_listener *l;

		load(&c, row[i].text);
		check_num(c.nlistener, row[i].n, "row %zu: how many", i);
		l = &c.listener[c.nlistener - 1];
		check_span(span_of(l->name), span_of(row[i].name), "row %zu: name", i);
		check_num(l->address == NULL, row[i].address == NULL, "row %zu", i);
		if (l->address != NULL)
			check_span(span_of(l->address), span_of(row[i].address),
			           "row %zu: address", i);
		check_num(l->port, row[i].port, "row %zu: port", i);
		config_free(&c);
	}
}

/* What auth and login are given means the same to them. */
static void
prints_what_it_reads(void **state)
{
	static const char *const row[] = {
	    DBS,
	    DBS "login_greeting = \"a # b \\\" c \\\\ {x} $y ' z\"",
	    DBS "login_greeting = \"  padded  \"",
	    DBS "login_greeting = \"<file\"",
	    DBS "mail_location = maildir:/v/%{user|domain}/%n\nmount_path = \"/m n\"",
	    DBS
	    "service pop3-login { inet_listener p { address = *, :: port = 1110 } }",
	    DBS "service imap-login { inet_listener imap { port = 1143 } }",
	    (DBS "namespace inbox { inbox = yes separator = / prefix = INBOX/\n"
	         "mailbox \"a \\\"b\\\\\" { auto = subscribe special_use = \\Sent "
	         "\\Trash } }\n"
	         "namespace { type = public\n location = maildir:/p\n}\n"
	         "namespace { type = shared\n disabled = yes\n}"),
	    ("passdb a { driver = passwd-file args = scheme=PLAIN \"/u\" }\n"
	     "userdb { driver = passwd-file\n args = \"/a{b}c \"\n}"),
	    ("passdb { driver = passwd-file args = /d deny = yes }\n"
	     "passdb { driver = passwd-file args = /m master = yes pass = yes }\n"
	     "passdb { driver = static args = password=x\n skip = authenticated\n"
	     "result_success = continue-ok\n result_failure = return-fail\n"
	     "result_internalfail = return }\n"
	     "userdb { driver = prefetch }\nuserdb { driver = static\n"
	     "args = uid=5 gid=6 home=/v/%u }"),
	};
	struct buf once = {0}, twice = {0};
	struct config c, d;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		load(&c, row[i]);
		buf_reset(&once);
		buf_reset(&twice);
		config_print(&c, false, &once);
		buf_addc(&once, '\0');
		load(&d, once.p);
		once.n--;
		config_print(&d, false, &twice);
		check_span(buf_span(&twice), buf_span(&once), "row %zu", i);
		check_num(d.nerror, c.nerror, "row %zu: mistakes", i);
		for (int k = 0; k < CONF_NKEY; k++)
			check_span(span_of(d.text[k]), span_of(c.text[k]),
			           "row %zu, %s", i, config_key_name((enum conf_key)k));
		config_free(&c);
		config_free(&d);
	}
	buf_free(&once);
	buf_free(&twice);
}

/* What the blocks come to, as the session's options, | between them. */
static void
namespaces(void **state)
{
	static const struct {
		const char *text, *want;
	} row[] = {
	    {"", ""},
	    {"namespace inbox { inbox = yes }", "-s|.|-p||"},
	    {"namespace private { separator = / prefix = INBOX/ }", "-s|/|-p|INBOX/|"},
	    {"namespace a { type = public }\nnamespace b { prefix = b. }",
	     "-s|.|-p|b.|"},
	    {"namespace a { prefix = a. }\nnamespace b { inbox = yes }", "-s|.|-p||"},
	    {"namespace a { disabled = yes }", ""},
	    {"namespace inbox { inbox = yes }\n"
	     "namespace inbox { mailbox Sent { special_use = \\Sent } }\n"
	     "namespace inbox { mailbox Sent { auto = subscribe } mailbox Trash { auto "
	     "= "
	     "create } }",
	     "-s|.|-p||-c|Sent|-S|\\Sent Sent|-C|Trash|"},
	    {"namespace inbox { mailbox \"Sent Messages\" { special_use = \\Sent \\All "
	     "} }",
	     "-s|.|-p||-S|\\Sent Sent Messages|-S|\\All Sent Messages|"},
	    {"namespace inbox { mailbox Archive.2024.1%41.eml { auto = create } }",
	     "-s|.|-p||-C|Archive/2024/1%2541/eml|"},
	    {"namespace inbox { separator = / mailbox a/1.eml { auto = create } }",
	     "-s|/|-p||-C|a/%31.eml|"},
	    {"namespace inbox { mailbox inbox { auto = subscribe } }",
	     "-s|.|-p||-c|INBOX|"},
	};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct buf out = {0};
		size_t n, nuls = 0;

		load(&c, row[i].text);
		check_num((uint64_t)namespaces_options(&c, &out, &n), 0, "row %zu", i);
		for (size_t k = 0; k < out.n; k++)
			if (out.p[k] == '\0') {
				out.p[k] = '|';
				nuls++;
			}
		check_num(nuls, n, "row %zu: how many", i);
		check_span(buf_span(&out), span_of(row[i].want), "row %zu", i);
		buf_free(&out);
		config_free(&c);
	}
}

static void
shows_what_was_changed(void **state)
{
	struct buf out = {0};
	struct config c;

	(void)state;
	load(&c, DBS "ssl = no\nmount_path = /m\n");
	config_print(&c, true, &out);
	check_mem(out.p, out.n,
	          "mount_path = /m\nssl = no\npassdb {\n  driver = pam\n}\nuserdb {\n  "
	          "driver = passwd\n}\n",
	          "changed only");
	buf_free(&out);
	config_free(&c);
}

/* Every setting that Debian's Dovecot has, as it prints them itself, is known. */
static void
knows_dovecot(void **state)
{
	struct buf text = {.max = CONF_FILE_MAX}, notes = {0};
	int fd = open("tests/data/doveconf-2.3.19.conf", O_RDONLY);
	struct config c;

	(void)state;
	check_true(fd != -1,
	           "tests/data/doveconf-2.3.19.conf: run from the project's root");
	check_num((uint64_t)io_slurp(fd, &text), 0, "read");
	close(fd);
	check_true(text.n > 20000, "all of it");
	check_num((uint64_t)config_init(&c), 0, "init");
	config_text(&c, buf_span(&text), "doveconf", 0, NULL);
	config_text(&c, SPAN("ssl_key = </hidden\n"), "-P", 0, NULL);
	config_finish(&c);
	config_print_notes(&c, &notes);
	buf_addc(&notes, '\0');
	check_num(c.nerror, 0, "%s", notes.p);
	check_true(c.nnote > 100, "warnings");
	check_true(config_has_word(&c, CONF_PROTOCOLS, SPAN("pop3")), "protocols");
	buf_free(&text);
	buf_free(&notes);
	config_free(&c);
}

static void
put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	check_true(fd != -1 && io_write_all(fd, span_of(text)) == 0, "%s", name);
	close(fd);
}

static void
includes(void **state)
{
	char path[64], file[128];
	int dir = scratch_make(path);
	struct config c;

	(void)state;
	check_num((uint64_t)mkdirat(dir, "d", 0700), 0, "d");
	put(dir, "main.conf",
	    DBS "!include d/*.conf\n!include_try none.conf\n"
	        "!include_try d/*.none\nlogin_greeting = last\n");
	put(dir, "d/a.conf", "mount_path = /a\n!include sub\n");
	put(dir, "d/b.conf", "index_path = /b\nlogin_greeting = early\n");
	put(dir, "d/sub", "mail_home = /h/%u\n");
	put(dir, "loop.conf", "!include loop.conf\n" DBS);
	put(dir, "missing.conf", "!include gone.conf\n" DBS);

	snprintf(file, sizeof file, "%s/main.conf", path);
	check_num((uint64_t)config_load(&c, file), 0, "main");
	check_span(span_of(c.text[CONF_MOUNT_PATH]), SPAN("/a"), "a.conf");
	check_span(span_of(c.text[CONF_INDEX_PATH]), SPAN("/b"), "b.conf");
	check_span(span_of(c.text[CONF_MAIL_HOME]), SPAN("/h/%u"),
	           "beside its includer");
	check_span(span_of(c.text[CONF_LOGIN_GREETING]), SPAN("last"), "order");
	config_free(&c);

	snprintf(file, sizeof file, "%s/loop.conf", path);
	check_num((uint64_t)config_load(&c, file), (uint64_t)-1, "a loop ends");
	config_free(&c);
	snprintf(file, sizeof file, "%s/missing.conf", path);
	check_num((uint64_t)config_load(&c, file), (uint64_t)-1, "a missing file");
	config_free(&c);
	snprintf(file, sizeof file, "%s/gone", path);
	check_num((uint64_t)config_load(&c, file), (uint64_t)-1, "the file itself");
	config_free(&c);
	close(dir);
	scratch_remove(path);
}

/* A row that is never reached, or that hides a honoured setting, is a slip. */
static void
known_rows(void **state)
{
	(void)state;
	for (int k = 0; k < CONF_NKEY; k++) {
		const struct known *row =
		    known_setting(span_of(config_key_name((enum conf_key)k)));

		check_true(row == NULL || strchr(row->name, '*') != NULL,
		           "%s is honoured and listed as ignored",
		           config_key_name((enum conf_key)k));
	}
	check_true(known_setting(SPAN("director_servers")) != NULL, "a pattern");
	check_true(known_setting(SPAN("director")) == NULL, "not its stem");
	check_true(known_nearest(SPAN("mount_pth")) != NULL, "a slip");
	check_true(known_nearest(SPAN("zzzzzzzz")) == NULL, "nothing near");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(settings_of_all_dialects),
	    cmocka_unit_test(numbers),
	    cmocka_unit_test(mistakes),
	    cmocka_unit_test(all_mistakes_at_once),
	    cmocka_unit_test(warnings),
	    cmocka_unit_test(databases),
	    cmocka_unit_test(fields),
	    cmocka_unit_test(words_for_yes),
	    cmocka_unit_test(listeners),
	    cmocka_unit_test(prints_what_it_reads),
	    cmocka_unit_test(shows_what_was_changed),
	    cmocka_unit_test(namespaces),
	    cmocka_unit_test(knows_dovecot),
	    cmocka_unit_test(includes),
	    cmocka_unit_test(known_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
