#include "protocol/server/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/mech.h"
#include "protocol/server/confreader.h"
#include "protocol/server/conftls.h"
#include "protocol/server/expand.h"
#include "protocol/server/mailwhere.h"
#include "protocol/server/namespaces.h"
#include "protocol/server/passwdfile.h"
#include "protocol/server/tlsproto.h"
#include "storage/base/num.h"

/* ---- the table of what is honoured -------------------------------------------------- */

enum type {
	STRING,
	PATH,
	WORDS,
	BOOLEAN,
	NUMBER,
	SECONDS,
	SSL,
	TEMPLATE,
	LOCATION,
	LOCKS,
	SIZE,
	CONTENT, /* of a file: `</path` */
	MIN_PROTOCOL,
	PROTOCOLS
};

/* Forward secrecy and authenticated encryption, or nothing. */
#define CIPHERS                                                                        \
	"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL:!DSS:!PSK:!SRP"

static const struct setting {
	const char *name;
	enum type type;
	const char *def;
} settings[CONF_NKEY] = {
    [CONF_PROTOCOLS] = {"protocols", WORDS, "imap pop3"},
    [CONF_LISTEN] = {"listen", WORDS, "*, ::"},
    [CONF_MAIL_LOCATION] = {"mail_location", LOCATION, "maildir:~/Maildir"},
    [CONF_MAIL_HOME] = {"mail_home", TEMPLATE, ""},
    [CONF_MAIL_UID] = {"mail_uid", STRING, ""},
    [CONF_MAIL_GID] = {"mail_gid", STRING, ""},
    [CONF_FIRST_VALID_UID] = {"first_valid_uid", NUMBER, "500"},
    [CONF_LAST_VALID_UID] = {"last_valid_uid", NUMBER, "0"},
    [CONF_MAIL_ALLOW_SHARED_UID] = {"mail_allow_shared_uid", BOOLEAN, "no"},
    [CONF_MOUNT_PATH] = {"mount_path", PATH, "/mail"},
    [CONF_INDEX_PATH] = {"index_path", PATH, ""},
    [CONF_SSL] = {"ssl", SSL, "yes"},
    [CONF_SSL_ALT_CERT] = {"ssl_alt_cert", CONTENT, ""},
    [CONF_SSL_ALT_KEY] = {"ssl_alt_key", CONTENT, ""},
    [CONF_SSL_CA] = {"ssl_ca", CONTENT, ""},
    [CONF_SSL_CERT] = {"ssl_cert", CONTENT, ""},
    [CONF_SSL_CERT_USERNAME_FIELD] = {"ssl_cert_username_field", STRING, "commonName"},
    [CONF_SSL_CIPHER_LIST] = {"ssl_cipher_list", STRING, CIPHERS},
    [CONF_SSL_CIPHER_SUITES] = {"ssl_cipher_suites", STRING, ""},
    [CONF_SSL_CURVE_LIST] = {"ssl_curve_list", STRING, ""},
    [CONF_SSL_DH] = {"ssl_dh", CONTENT, ""},
    [CONF_SSL_DH_PARAMETERS_LENGTH] = {"ssl_dh_parameters_length", NUMBER, "2048"},
    [CONF_SSL_KEY] = {"ssl_key", CONTENT, ""},
    [CONF_SSL_KEY_PASSWORD] = {"ssl_key_password", STRING, ""},
    [CONF_SSL_MIN_PROTOCOL] = {"ssl_min_protocol", MIN_PROTOCOL, "TLSv1.2"},
    [CONF_SSL_OPTIONS] = {"ssl_options", WORDS, ""},
    [CONF_SSL_PREFER_SERVER_CIPHERS] = {"ssl_prefer_server_ciphers", BOOLEAN, "no"},
    [CONF_SSL_PROTOCOLS] = {"ssl_protocols", PROTOCOLS, ""},
    [CONF_SSL_REQUIRE_CRL] = {"ssl_require_crl", BOOLEAN, "yes"},
    [CONF_SSL_VERIFY_CLIENT_CERT] = {"ssl_verify_client_cert", BOOLEAN, "no"},
    [CONF_VERBOSE_SSL] = {"verbose_ssl", BOOLEAN, "no"},
    [CONF_DISABLE_PLAINTEXT_AUTH] = {"disable_plaintext_auth", BOOLEAN, "yes"},
    [CONF_AUTH_MECHANISMS] = {"auth_mechanisms", WORDS, "plain"},
    [CONF_AUTH_ANONYMOUS_USERNAME] = {"auth_anonymous_username", STRING, "anonymous"},
    [CONF_AUTH_DEFAULT_REALM] = {"auth_default_realm", STRING, ""},
    [CONF_AUTH_MASTER_USER_SEPARATOR] = {"auth_master_user_separator", STRING, ""},
    [CONF_AUTH_USERNAME_FORMAT] = {"auth_username_format", TEMPLATE, "%Lu"},
    [CONF_AUTH_USERNAME_CHARS] = {"auth_username_chars", STRING,
                                  "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@"},
    [CONF_AUTH_USERNAME_TRANSLATION] = {"auth_username_translation", STRING, ""},
    [CONF_AUTH_FAILURE_DELAY] = {"auth_failure_delay", SECONDS, "2 secs"},
    [CONF_AUTH_SSL_REQUIRE_CLIENT_CERT] = {"auth_ssl_require_client_cert", BOOLEAN,
                                           "no"},
    [CONF_AUTH_SSL_USERNAME_FROM_CERT] = {"auth_ssl_username_from_cert", BOOLEAN, "no"},
    [CONF_AUTH_WORKER_MAX_COUNT] = {"auth_worker_max_count", NUMBER, "30"},
    [CONF_DEFAULT_LOGIN_USER] = {"default_login_user", STRING, ""},
    [CONF_LOGIN_GREETING] = {"login_greeting", STRING, "mailtree ready."},
    [CONF_LOGIN_TIMEOUT] = {"login_timeout", SECONDS, "1 min"},
    [CONF_LOGIN_HANDSHAKE_TIMEOUT] = {"login_handshake_timeout", SECONDS, "1 min"},
    [CONF_MAIL_MAX_USERIP_CONNECTIONS] = {"mail_max_userip_connections", NUMBER, "10"},
    [CONF_POP3_UIDL_FORMAT] = {"pop3_uidl_format", STRING, "%08Xu%08Xv"},
    [CONF_MBOX_READ_LOCKS] = {"mbox_read_locks", LOCKS, "fcntl"},
    [CONF_MBOX_WRITE_LOCKS] = {"mbox_write_locks", LOCKS, "dotlock fcntl"},
    [CONF_MBOX_LOCK_TIMEOUT] = {"mbox_lock_timeout", SECONDS, "30 secs"},
    [CONF_MBOX_DOTLOCK_CHANGE_TIMEOUT] = {"mbox_dotlock_change_timeout", SECONDS,
                                          "2 mins"},
    [CONF_MBOX_MIN_INDEX_SIZE] = {"mbox_min_index_size", SIZE, "0"},
    [CONF_MBOX_DIRTY_SYNCS] = {"mbox_dirty_syncs", BOOLEAN, "yes"},
    [CONF_MAIL_PRIVILEGED_GROUP] = {"mail_privileged_group", STRING, ""},
    [CONF_MAIL_ACCESS_GROUPS] = {"mail_access_groups", WORDS, ""},
    [CONF_LOG_PATH] = {"log_path", STRING, ""},
};

/* The same by the names of versions 1.x and 2.4. */
static const struct {
	const char *name;
	enum conf_key key;
} aliases[] = {
    {"auth_default_domain", CONF_AUTH_DEFAULT_REALM},
    {"ssl_ca_file", CONF_SSL_CA},
    {"ssl_cert_file", CONF_SSL_CERT},
    {"ssl_key_file", CONF_SSL_KEY},
    {"ssl_server_alt_cert_file", CONF_SSL_ALT_CERT},
    {"ssl_server_alt_key_file", CONF_SSL_ALT_KEY},
    {"ssl_server_ca_file", CONF_SSL_CA},
    {"ssl_server_cert_file", CONF_SSL_CERT},
    {"ssl_server_cert_username_field", CONF_SSL_CERT_USERNAME_FIELD},
    {"ssl_server_dh_file", CONF_SSL_DH},
    {"ssl_server_key_file", CONF_SSL_KEY},
    {"ssl_server_key_password", CONF_SSL_KEY_PASSWORD},
    {"ssl_server_request_client_cert", CONF_SSL_VERIFY_CLIENT_CERT},
    {"ssl_server_require_crl", CONF_SSL_REQUIRE_CRL},
    {"ssl_username_from_cert", CONF_AUTH_SSL_USERNAME_FROM_CERT},
};

enum conf_key
config_key(struct span name)
{
	for (int k = 0; k < CONF_NKEY; k++)
		if (span_eq(name, span_of(settings[k].name)))
			return (enum conf_key)k;
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (span_eq(name, span_of(aliases[i].name)))
			return aliases[i].key;
	return CONF_NKEY;
}

bool
config_is_list(enum conf_key k)
{
	return k != CONF_NKEY && settings[k].type == WORDS;
}

bool
config_key_is_file(enum conf_key k)
{
	return settings[k].type == CONTENT;
}

const char *
config_key_name(enum conf_key k)
{
	return settings[k].name;
}

const char *
config_key_default(enum conf_key k)
{
	return settings[k].def;
}

/* ---- values --------------------------------------------------------------------------- */

const char *
config_bool(struct span s, uint64_t *out)
{
	static const char *const word[] = {"no", "yes", "n",     "y",
	                                   "0",  "1",   "false", "true"};

	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		if (span_caseeq(s, span_of(word[i]))) {
			*out = i & 1;
			return NULL;
		}
	return "the value must be yes or no";
}

static const char *
parse_ssl(struct span s, uint64_t *out)
{
	if (span_eq(s, SPAN("required"))) {
		*out = CONF_SSL_REQUIRED;
		return NULL;
	}
	return config_bool(s, out) == NULL ? NULL
	                                   : "the value must be no, yes or required";
}

/* `2 secs`, `1min`, `30`: digits, then a unit whose first letter decides. */
static const char *
parse_seconds(struct span s, uint64_t *out)
{
	static const struct {
		const char *unit;
		unsigned secs;
	} units[] = {{"", 1},        {"s", 1},        {"sec", 1},      {"secs", 1},
	             {"second", 1},  {"seconds", 1},  {"m", 60},       {"min", 60},
	             {"mins", 60},   {"minute", 60},  {"minutes", 60}, {"h", 3600},
	             {"hour", 3600}, {"hours", 3600}, {"d", 86400},    {"day", 86400},
	             {"days", 86400}};
	size_t n = 0;
	uint32_t v;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	if (num_u32((struct span){s.p, n}, &v) == 0)
		for (size_t i = 0; i < ARRAY_LEN(units); i++)
			if (span_caseeq(span_trim(span_from(s, n)),
			                span_of(units[i].unit))) {
				*out = (uint64_t)v * units[i].secs;
				return NULL;
			}
	return "the value must be a time such as `2 secs`, `5 mins` or `1 hour`";
}

static const char *
parse_number(struct span s, uint64_t *out)
{
	uint32_t v;

	if (num_u32(s, &v) == -1)
		return "the value must be a whole number up to 4294967295";
	*out = v;
	return NULL;
}

/* As mailtreed takes them; it has the meanings. */
static const char *
check_locks(struct span s)
{
	static const struct {
		const char *name;
		unsigned bit; /* lockf is the lock that fcntl is */
	} known[] = {
	    {"dotlock", 1}, {"dotlock_try", 1}, {"fcntl", 2}, {"flock", 4}, {"lockf", 2}};
	unsigned seen = 0;
	struct span word;
	size_t i;

	while (span_word(&s, &word)) {
		for (i = 0; i < ARRAY_LEN(known) && !span_eq(word, span_of(known[i].name));
		     i++)
			;
		if (i == ARRAY_LEN(known))
			return "the locks are dotlock, dotlock_try, fcntl, flock and lockf";
		if (seen & known[i].bit)
			return "the same lock twice (lockf is the lock that fcntl is)";
		seen |= known[i].bit;
	}
	return seen == 0 ? "at least one lock: else mail is lost" : NULL;
}

/* `0`, `100k`, `1 M` */
static const char *
parse_size(struct span s, uint64_t *out)
{
	static const char units[] = "bkmg";
	const char *unit = units;
	size_t n = 0;
	uint32_t v;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	if (num_u32((struct span){s.p, n}, &v) == 0) {
		s = span_trim(span_from(s, n));
		if (s.n == 2 && (s.p[1] == 'b' || s.p[1] == 'B') && s.p[0] != s.p[1])
			s.n = 1;
		if (s.n == 0 || (s.n == 1 && (unit = strchr(units, tolower(s.p[0]))) != NULL)) {
			*out = (uint64_t)v << 10 * (unit - units);
			return NULL;
		}
	}
	return "the value must be a size such as `100k` or `1M`";
}

static const char *
check_text(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return "the value holds a control character";
	return NULL;
}

static const char *
check_location(struct span s)
{
	const char *why;

	if ((why = expand_check(s)) != NULL)
		return why;
	if (s.n > 0 && memchr(s.p, ':', s.n) == NULL)
		return "the value must be a location such as `maildir:~/Maildir`";
	return NULL;
}

/* Judge a value by its type. NULL, or what is wrong with it. */
static const char *
parse_value(enum type type, struct span s, uint64_t *num)
{
	const char *why;

	*num = 0;
	if ((why = check_text(s)) != NULL)
		return why;
	switch (type) {
	case STRING:
	case WORDS:
		return NULL;
	case PATH:
		return s.n == 0 || s.p[0] == '/' ? NULL : "the value must begin with /";
	case BOOLEAN:
		return config_bool(s, num);
	case NUMBER:
		return parse_number(s, num);
	case SECONDS:
		return parse_seconds(s, num);
	case SSL:
		return parse_ssl(s, num);
	case TEMPLATE:
		return expand_check(s);
	case LOCATION:
		return check_location(s);
	case LOCKS:
		return check_locks(s);
	case SIZE:
		return parse_size(s, num);
	case CONTENT: /* config_file() has judged it */
		return NULL;
	case MIN_PROTOCOL:
		return tlsproto_check_min(s);
	case PROTOCOLS:
		return tlsproto_check_list(s);
	}
	return NULL;
}

int
config_set(struct config *c, enum conf_key k, struct span value, const char **why)
{
	uint64_t num;
	char *text;

	if ((*why = parse_value(settings[k].type, value, &num)) != NULL)
		return -1;
	if (settings[k].type == CONTENT)
		text = config_file(value, why);
	else
		text = strndup(value.n > 0 ? value.p : "", value.n);
	if (text == NULL)
		return -1;
	free(c->text[k]);
	c->text[k] = text;
	c->num[k] = num;
	return 0;
}

char *
config_file(struct span value, const char **why)
{
	char *text;

	*why = NULL;
	if (value.n > 0 && value.p[0] == '<')
		value = span_trim(span_from(value, 1));
	if (value.n == 0)
		return strdup("");
	if (value.p[0] != '/') {
		*why = "the value must be the path of a file, `</path`";
		return NULL;
	}
	if ((text = malloc(value.n + 2)) == NULL)
		return NULL;
	text[0] = '<';
	memcpy(text + 1, value.p, value.n);
	text[value.n + 1] = '\0';
	return text;
}

bool
config_has_tls(const struct config *c)
{
	return c->num[CONF_SSL] != CONF_SSL_NO && c->text[CONF_SSL_CERT][0] != '\0';
}

bool
config_has_word(const struct config *c, enum conf_key k, struct span word)
{
	struct span rest = span_of(c->text[k]), part, w;

	while (span_cut(&rest, ',', &part))
		while (span_word(&part, &w))
			if (span_eq(w, word))
				return true;
	return false;
}

bool
config_serves(const struct config *c, const char *protocol)
{
	char tls[16];
	size_t n = strlen(protocol);

	if (n + 1 > sizeof tls)
		return false;
	memcpy(tls, protocol, n);
	tls[n] = 's';
	return config_has_word(c, CONF_PROTOCOLS, (struct span){tls, n}) ||
	       config_has_word(c, CONF_PROTOCOLS, (struct span){tls, n + 1});
}

/* ---- life ----------------------------------------------------------------------------- */

int
config_init(struct config *c)
{
	const char *why;

	*c = (struct config){0};
	for (int k = 0; k < CONF_NKEY; k++)
		if (config_set(c, (enum conf_key)k, span_of(settings[k].def), &why) ==
		    -1) {
			config_free(c);
			errno = ENOMEM;
			return -1;
		}
	return 0;
}

static void
free_dbs(struct conf_db *db, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(db[i].name);
		free(db[i].driver);
		free(db[i].args);
		free(db[i].defaults);
		free(db[i].overrides);
		free(db[i].file);
	}
	free(db);
}

static void
free_locals(struct config *c)
{
	for (size_t i = 0; i < c->nlocal; i++) {
		struct conf_local *l = &c->local[i];

		free(l->names), free(l->cert), free(l->key);
		free(l->password), free(l->file);
	}
	free(c->local);
}

static void
free_namespaces(struct config *c)
{
	for (size_t i = 0; i < c->nns; i++) {
		struct conf_namespace *ns = &c->ns[i];

		free(ns->name), free(ns->type), free(ns->separator);
		free(ns->prefix), free(ns->location), free(ns->file);
	}
	free(c->ns);
	for (size_t i = 0; i < c->nmailbox; i++) {
		struct conf_mailbox *m = &c->mailbox[i];

		free(m->name), free(m->special_use), free(m->file);
	}
	free(c->mailbox);
}

void
config_free(struct config *c)
{
	for (int k = 0; k < CONF_NKEY; k++) {
		free(c->text[k]);
		free(c->at[k].file);
	}
	free_locals(c);
	for (size_t i = 0; i < c->nlistener; i++) {
		free(c->listener[i].service);
		free(c->listener[i].name);
		free(c->listener[i].address);
	}
	free(c->listener);
	confservice_free(c);
	free_dbs(c->passdb, c->npassdb);
	free_dbs(c->userdb, c->nuserdb);
	free_namespaces(c);
	for (size_t i = 0; i < c->nnote; i++) {
		free(c->note[i].file);
		free(c->note[i].text);
	}
	free(c->note);
	*c = (struct config){0};
}

/* ---- notes ---------------------------------------------------------------------------- */

void
config_note(struct config *c, bool error, const struct conf_place *at, const char *fmt,
            ...)
{
	struct conf_note *grown, *n;
	char text[1024];
	va_list ap;

	if (error)
		c->nerror++;
	if (c->nnote == CONF_NOTES_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if ((grown = realloc(c->note, (c->nnote + 1) * sizeof *grown)) == NULL)
		return; /* nerror still says that something is wrong */
	c->note = grown;
	n = &c->note[c->nnote++];
	*n = (struct conf_note){.error = error, .text = strdup(text)};
	if (at != NULL) {
		n->file = strdup(at->file);
		n->line = at->line;
		n->col = at->col;
	}
}

int
config_print_notes(const struct config *c, struct buf *out)
{
	for (size_t i = 0; i < c->nnote; i++) {
		const struct conf_note *n = &c->note[i];

		if (n->file != NULL &&
		    buf_addf(out, "%s:%u:%u: ", n->file, n->line, n->col) == -1)
			return -1;
		if (buf_addf(out, "%s: %s\n", n->error ? "error" : "warning",
		             n->text != NULL ? n->text : "out of memory") == -1)
			return -1;
	}
	if (c->nnote == CONF_NOTES_MAX)
		return buf_addf(out, "error: there may be more than these %d\n",
		                CONF_NOTES_MAX);
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------ */

static void
check_protocols(struct config *c)
{
	static const char *const later[] = {"lmtp",       "submission", "submissions", "sieve",
	                                    "managesieve"};
	struct span rest = span_of(c->text[CONF_PROTOCOLS]), part, w;

	while (span_cut(&rest, ',', &part))
		while (span_word(&part, &w)) {
			bool known = span_eq(w, SPAN("pop3")) ||
			             span_eq(w, SPAN("imap")) ||
			             span_eq(w, SPAN("pop3s")) ||
			             span_eq(w, SPAN("imaps")) ||
			             span_eq(w, SPAN("none"));

			for (size_t i = 0; i < ARRAY_LEN(later) && !known; i++)
				if ((known = span_eq(w, span_of(later[i]))))
					config_note(
					    c, false, NULL,
					    "protocols: %s is not served by this "
					    "version and is ignored",
					    later[i]);
			if (!known)
				config_note(c, true, NULL,
				            "protocols: there is no protocol `%.*s`; "
				            "imap and pop3 are what can be served",
				            (int)w.n, w.p);
		}
}

unsigned
config_mechanisms(const struct config *c)
{
	struct span rest = span_of(c->text[CONF_AUTH_MECHANISMS]), part, w;
	unsigned set = 0;

	while (span_cut(&rest, ',', &part))
		while (span_word(&part, &w))
			set |= mech_named(w);
	return set;
}

/* Can this passdb say more than yes or no to a password? */
static bool
gives_passwords(const struct conf_db *db)
{
	return !db->deny && (strcmp(db->driver, "passwd-file") == 0 ||
	                     strcmp(db->driver, "static") == 0);
}

/* A mechanism by which nobody could ever log in is a mistake, and not an obvious one. */
static void
check_stored(struct config *c, struct span name)
{
	unsigned mech = mech_named(name);
	bool some = c->npassdb == 0;

	for (size_t i = 0; i < c->npassdb; i++)
		some |= gives_passwords(&c->passdb[i]);
	if (!(mech & MECH_STORED) || some)
		return;
	config_note(
	    c, true, NULL,
	    "auth_mechanisms: nobody could log in by %s: it is never told the password, so "
	    "it needs the plain password or its own form of it from the passdb, and %s "
	    "%s: remove it, or add a passdb of the driver passwd-file with such passwords",
	    mech_name(mech), c->passdb[0].driver,
	    strcmp(c->passdb[0].driver, "pam") == 0 ? "can only say yes or no"
	                                            : "has one-way hashes");
}

static void
check_mechanism(struct config *c, struct span name)
{
	static const char *const later[] = {"gssapi",      "gss-spnego",  "ntlm",
	                                    "otp",         "skey",        "rpa",
	                                    "oauthbearer", "xoauth2",     "digest-md5",
	                                    "winbind",     "scram-sha-1-plus",
	                                    "scram-sha-256-plus"};
	unsigned mech = mech_named(name);

	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (span_caseeq(name, span_of(later[i]))) {
			config_note(c, false, NULL,
			            "auth_mechanisms: %s is ignored: it is not in this "
			            "version",
			            later[i]);
			return;
		}
	if (mech == 0)
		config_note(c, true, NULL,
		            "auth_mechanisms: there is no mechanism `%.*s`",
		            (int)name.n, name.p);
#ifndef MT_SASL
	else if (mech & MECH_STORED)
		config_note(c, true, NULL,
		            "auth_mechanisms: %s needs Cyrus SASL, and mailtree has been "
		            "built without it: remove it",
		            mech_name(mech));
#endif
	else
		check_stored(c, name);
}

/* They take the first secret that there is, and know nothing of a chain. */
static void
check_chain(struct config *c, struct span name)
{
	unsigned mech = mech_named(name);

	for (size_t i = 0; (mech & MECH_STORED) && i < c->npassdb; i++) {
		const struct conf_db *db = &c->passdb[i];
		struct conf_place at = {db->file, db->line, 1, 0};

		if (!db->deny && !db->master &&
		    (db->skip != CONF_SKIP_NEVER || !confset_results_usual(db)))
			config_note(
			    c, true, &at,
			    "skip, pass and result_* of this passdb hold for plain and login "
			    "only, so %s would let in whom they keep out: remove it from "
			    "auth_mechanisms, or them from here",
			    mech_name(mech));
	}
}

static void
check_mechanisms(struct config *c)
{
	struct span rest = span_of(c->text[CONF_AUTH_MECHANISMS]), part, w;

	while (span_cut(&rest, ',', &part))
		while (span_word(&part, &w)) {
			check_mechanism(c, w);
			check_chain(c, w);
		}
	if (config_mechanisms(c) == 0)
		config_note(c, true, NULL,
		            "auth_mechanisms: there is none, so nobody could log in: add "
		            "`plain`");
}

static void
check_location_driver(struct config *c)
{
	struct mailwhere w;

	mailwhere_parse(span_of(c->text[CONF_MAIL_LOCATION]), &w);
	if (w.driver.n == 0)
		return;
	if (!span_eq(w.driver, SPAN("maildir")) && !span_eq(w.driver, SPAN("mbox"))) {
		config_note(
		    c, false, NULL,
		    "mail_location: `%.*s:` stores cannot be read by this version; "
		    "users who have no other mail of their own cannot log in",
		    (int)w.driver.n, w.driver.p);
		return;
	}
	if (w.refused.n > 0)
		config_note(c, true, NULL, "mail_location: %.*s cannot be had here: %s",
		            (int)w.refused.n, w.refused.p, w.why);
	if (w.ignored)
		config_note(
		    c, false, NULL,
		    "mail_location: INDEX= and the like are ignored: the index is "
		    "at index_path and the control files stay in the store");
}

/* The args of a static passdb are what the extra fields of a password file are. */
static void
check_static(struct config *c, const struct conf_db *db, const struct conf_place *at)
{
	const struct passwdfile_entry e = {.extra = span_of(db->args)};
	const char *bar = passwdfile_restriction(&e);

	if (strcmp(db->driver, "static") == 0 && bar != NULL)
		config_note(c, true, at,
		            "%s of a static passdb is not in this version, and without it "
		            "other people could log in than you mean: remove it or this "
		            "passdb",
		            bar);
}

static void
check_dbs(struct config *c, const char *kind, const struct conf_db *db, size_t n)
{
	if (n == 0)
		config_note(
		    c, true, NULL,
		    "there is no %s: add `%s { driver = passwd-file args = "
		    "/etc/mailtree/users }`, or pam and passwd for system users",
		    kind, kind);
	for (size_t i = 0; i < n; i++) {
		struct conf_place at = {db[i].file, db[i].line, 1, 0};

		if (db[i].deny && strcmp(db[i].driver, "pam") == 0)
			config_note(c, true, &at,
			            "deny: pam cannot say who is in it: use passwd-file");

		if (strcmp(db[i].driver, "passwd-file") == 0) {
			const char *path = strrchr(db[i].args, ' ');

			path = path == NULL ? db[i].args : path + 1;
			if (path[0] != '/')
				config_note(
				    c, true, &at,
				    "%s: passwd-file needs the absolute path of "
				    "the file at the end of args",
				    kind);
		}
		if (db == c->passdb)
			check_static(c, &db[i], &at);
	}
}

void
config_finish(struct config *c)
{
	confdialect_finish(c);
	check_protocols(c);
	check_mechanisms(c);
	conftls_check(c);
	check_location_driver(c);
	check_dbs(c, "passdb", c->passdb, c->npassdb);
	check_dbs(c, "userdb", c->userdb, c->nuserdb);
	namespaces_check(c);
	confservice_check(c);
	if (c->text[CONF_MOUNT_PATH][0] == '\0' || c->text[CONF_MOUNT_PATH][1] == '\0')
		config_note(c, true, NULL, "mount_path: name a directory below /");
}
