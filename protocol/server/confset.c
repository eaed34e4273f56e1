/* The settings of a configuration text: each is looked up by its name and its block. */
#include <errno.h>
#include <stdlib.h>

#include "protocol/server/confreader.h"
#include "storage/base/num.h"

char *
confset_copy(struct reader *r, struct span s)
{
	char *text = strndup(s.n > 0 ? s.p : "", s.n);

	if (text == NULL)
		FAIL(r, "out of memory");
	return text;
}

static void
replace(struct reader *r, char **field, struct span s)
{
	char *text = confset_copy(r, s);

	if (text != NULL) {
		free(*field);
		*field = text;
	}
}

/* One warning for each known name that is not honoured. */
void
confset_warn_known(struct reader *r, const struct known *k, const char *kind,
                   struct span name)
{
	size_t n = known_number(k);

	if (n / 8 >= sizeof r->conf->warned || r->conf->warned[n / 8] & (1u << n % 8))
		return;
	r->conf->warned[n / 8] |= (uint8_t)(1u << n % 8);
	WARN(r, "%s%.*s is ignored: %s", kind, (int)name.n, name.p, k->why);
}

static void
unknown_setting(struct reader *r, struct span name)
{
	const char *near = known_nearest(name);

	if (near != NULL && span_eq(name, span_of(near)))
		FAIL(r, "%s does not belong into this block: move it", near);
	else if (near != NULL)
		FAIL(r, "there is no setting `%.*s`: did you mean `%s`?", (int)name.n,
		     name.p, near);
	else
		FAIL(r, "there is no setting `%.*s` here: remove it", (int)name.n,
		     name.p);
}

/* A row for what has none yet. NULL after a note. */
void *
confset_grow(struct reader *r, void **rows, size_t *n, size_t size)
{
	char *p;

	if (*n == CONF_LIST_MAX) {
		FAIL(r, "too many of these: at most %d", CONF_LIST_MAX);
		return NULL;
	}
	if ((p = realloc(*rows, (*n + 1) * size)) == NULL) {
		FAIL(r, "out of memory");
		return NULL;
	}
	*rows = p;
	p += *n * size;
	memset(p, 0, size);
	++*n;
	return p;
}

/* Whatever means yes or no, in *on; after a note about anything else *on stays. */
static bool
take_bool(struct reader *r, const char *name, struct span value, bool *on)
{
	uint64_t n;
	const char *why = config_bool(value, &n);

	if (why != NULL)
		FAIL(r, "%s: %s", name, why);
	else
		*on = n != 0;
	return why == NULL;
}

/* ---- settings ------------------------------------------------------------------------- */

/* `$name` in an unquoted value is the present text of that setting. */
static int
substitute(struct reader *r, struct span s, struct buf *out)
{
	out->max = CONFSCAN_LINE_MAX;
	while (s.n > 0) {
		size_t n = 0;
		enum conf_key k;

		if (s.p[0] == '$') {
			for (n = 1; n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') ||
			                        (s.p[n] >= '0' && s.p[n] <= '9') ||
			                        s.p[n] == '_');)
				n++;
			k = config_key((struct span){s.p + 1, n - 1});
			if (k != CONF_NKEY) {
				if (buf_add(out, span_of(r->conf->text[k])) == -1)
					return -1;
				s = span_from(s, n);
				continue;
			}
		}
		if (buf_addc(out, s.p[0]) == -1)
			return -1;
		s = span_from(s, 1);
	}
	return 0;
}

/* It stood here: what is found wrong with it later is said of this place. */
static void
given(struct reader *r, enum conf_key k)
{
	struct conf_at *at = &r->conf->at[k];

	r->conf->given[k] = true;
	free(at->file);
	*at = (struct conf_at){strdup(r->at.file), r->at.line, r->at.col};
}

static void
set_key(struct reader *r, enum conf_key k, struct span value)
{
	const char *why;

	if (config_set(r->conf, k, value, &why) == -1)
		FAIL(r, "%s: %s", config_key_name(k),
		     why != NULL ? why : "out of memory");
	else
		given(r, k);
}

/* 2.4 says where mail is in two settings; either may come first. */
static void
set_driver(struct reader *r, struct span driver)
{
	struct span rest = span_of(r->conf->text[CONF_MAIL_LOCATION]), old;
	struct buf b = {0};

	span_cut(&rest, ':', &old);
	if (buf_add(&b, driver) == 0 && buf_addc(&b, ':') == 0 &&
	    buf_add(&b, rest) == 0)
		set_key(r, CONF_MAIL_LOCATION, buf_span(&b));
	buf_free(&b);
}

static void
set_path(struct reader *r, struct span path)
{
	struct span rest = span_of(r->conf->text[CONF_MAIL_LOCATION]),
	            driver = SPAN(""), old;
	struct buf b = {0};

	span_cut(&rest, ':', &driver);
	span_cut(&rest, ':', &old);
	if (buf_add(&b, driver) == 0 && buf_addc(&b, ':') == 0 &&
	    buf_add(&b, path) == 0 &&
	    (rest.n == 0 || (buf_addc(&b, ':') == 0 && buf_add(&b, rest) == 0)))
		set_key(r, CONF_MAIL_LOCATION, buf_span(&b));
	buf_free(&b);
}

/* And the INBOX of mboxes in a third. */
static void
set_inbox_path(struct reader *r, struct span path)
{
	struct span rest = span_of(r->conf->text[CONF_MAIL_LOCATION]), part;
	struct buf b = {0};
	int rc = 0;

	for (int i = 0; rc == 0 && span_cut(&rest, ':', &part); i++)
		if (i < 2 || !span_starts(part, SPAN("INBOX=")))
			rc = buf_addf(&b, "%s%.*s", i > 0 ? ":" : "", (int)part.n,
			              part.p);
	if (rc == 0 && path.n > 0)
		rc = buf_addf(&b, ":INBOX=%.*s", (int)path.n, path.p);
	if (rc == 0)
		set_key(r, CONF_MAIL_LOCATION, buf_span(&b));
	buf_free(&b);
}

/* 2.4's opposite of disable_plaintext_auth. */
static void
set_cleartext(struct reader *r, struct span value)
{
	bool on;

	if (take_bool(r, "auth_allow_cleartext", value, &on))
		set_key(r, CONF_DISABLE_PLAINTEXT_AUTH, on ? SPAN("no") : SPAN("yes"));
}

/* 2.4's form of ssl_prefer_server_ciphers. */
static void
set_prefer(struct reader *r, struct span value)
{
	if (span_eq(value, SPAN("server")))
		set_key(r, CONF_SSL_PREFER_SERVER_CIPHERS, SPAN("yes"));
	else if (span_eq(value, SPAN("client")))
		set_key(r, CONF_SSL_PREFER_SERVER_CIPHERS, SPAN("no"));
	else
		FAIL(r, "ssl_server_prefer_ciphers: the value must be client or server");
}

/* 1.x's opposite of ssl. */
static void
set_ssl_disable(struct reader *r, struct span value)
{
	bool on;

	if (take_bool(r, "ssl_disable", value, &on) && on)
		set_key(r, CONF_SSL, SPAN("no"));
}

static void
set_local_file(struct reader *r, char **field, struct span value)
{
	const char *why;
	char *text = config_file(value, &why);

	if (text == NULL) {
		FAIL(r, "%s", why != NULL ? why : "out of memory");
		return;
	}
	free(*field);
	*field = text;
}

static void
set_local_cert(struct reader *r, struct span value)
{
	set_local_file(r, &r->conf->local[r->local].cert, value);
}

static void
set_local_key(struct reader *r, struct span value)
{
	set_local_file(r, &r->conf->local[r->local].key, value);
}

static void
set_local_password(struct reader *r, struct span value)
{
	replace(r, &r->conf->local[r->local].password, value);
}

static void
set_mechanisms(struct reader *r, struct span value)
{
	set_key(r, CONF_AUTH_MECHANISMS, value);
}

static void
set_require_cert(struct reader *r, struct span value)
{
	set_key(r, CONF_AUTH_SSL_REQUIRE_CLIENT_CERT, value);
}

static void
set_username_from_cert(struct reader *r, struct span value)
{
	set_key(r, CONF_AUTH_SSL_USERNAME_FROM_CERT, value);
}

static void
set_default_realm(struct reader *r, struct span value)
{
	set_key(r, CONF_AUTH_DEFAULT_REALM, value);
}

static void
set_master_separator(struct reader *r, struct span value)
{
	set_key(r, CONF_AUTH_MASTER_USER_SEPARATOR, value);
}

static void
set_username_format(struct reader *r, struct span value)
{
	set_key(r, CONF_AUTH_USERNAME_FORMAT, value);
}

static void
set_login_user(struct reader *r, struct span value)
{
	set_key(r, CONF_DEFAULT_LOGIN_USER, value);
}

static void
set_mail_env(struct reader *r, struct span value)
{
	set_key(r, CONF_MAIL_LOCATION, value);
}

static struct conf_listener *
listener(struct reader *r)
{
	return &r->conf->listener[r->listener];
}

static void
set_address(struct reader *r, struct span value)
{
	replace(r, &listener(r)->address, value);
	if (value.n == 0) {
		free(listener(r)->address);
		listener(r)->address = NULL;
	}
}

static void
set_port(struct reader *r, struct span value)
{
	uint32_t port;

	if (num_u32(value, &port) == -1 || port > 65535)
		FAIL(r,
		     "port: the value must be a number up to 65535; 0 switches it off");
	else
		listener(r)->port = port;
}

static void
set_listener_ssl(struct reader *r, struct span value)
{
	(void)take_bool(r, "ssl", value, &listener(r)->ssl);
}

struct conf_db *
confset_db(struct reader *r)
{
	return r->nest[r->depth] == AT_PASSDB ? &r->conf->passdb[r->db]
	                                      : &r->conf->userdb[r->db];
}

bool
confset_driver_known(struct span s)
{
	static const char *const known[] = {"passwd-file", "pam",    "passwd",
	                                    "shadow",      "static", "prefetch"};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_eq(s, span_of(known[i])))
			return true;
	return false;
}

bool
confset_driver_later(struct span s)
{
	static const char *const later[] = {
	    "sql",  "ldap", "checkpassword", "bsdauth", "oauth2",
	    "imap", "lua",  "dict",          "vpopmail"};

	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (span_eq(s, span_of(later[i])))
			return true;
	return false;
}

static void
set_db_driver(struct reader *r, struct span value)
{
	if (!confset_driver_known(value) && !confset_driver_later(value))
		FAIL(r,
		     "driver: there is no driver `%.*s`; passwd-file, pam, passwd, "
		     "shadow, static and prefetch are known",
		     (int)value.n, value.p);
	else
		replace(r, &confset_db(r)->driver, value);
}

static bool
is_plain_text(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' && s.p[i] != '\t')
			return false;
	return true;
}

static void
set_db_args(struct reader *r, struct span value)
{
	if (is_plain_text(value))
		replace(r, &confset_db(r)->args, value);
	else
		FAIL(r, "args: a control character");
}

/* 2.4 gives the path and the scheme by themselves; args holds them as before. */
static void
add_db_arg(struct reader *r, struct span a, struct span b, struct span c)
{
	struct buf out = {0};

	if (buf_add(&out, a) == 0 && buf_add(&out, b) == 0 &&
	    (a.n + b.n == 0 || c.n == 0 || buf_addc(&out, ' ') == 0) &&
	    buf_add(&out, c) == 0)
		set_db_args(r, buf_span(&out));
	buf_free(&out);
}

static void
set_db_path(struct reader *r, struct span value)
{
	add_db_arg(r, span_of(confset_db(r)->args), SPAN(""), value);
}

static void
set_db_scheme(struct reader *r, struct span value)
{
	add_db_arg(r, SPAN("scheme="), value, span_of(confset_db(r)->args));
}

/* 2.4's name of what static has in its args. */
static void
set_db_password(struct reader *r, struct span value)
{
	if (strcmp(confset_db(r)->driver, "static") == 0)
		add_db_arg(r, SPAN("password="), value, span_of(confset_db(r)->args));
	else
		FAIL(r, "password: only static has one for everybody");
}

static void
set_db_deny(struct reader *r, struct span value)
{
	(void)take_bool(r, "deny", value, &confset_db(r)->deny);
}

static void
set_db_master(struct reader *r, struct span value)
{
	(void)take_bool(r, "master", value, &confset_db(r)->master);
}

/* 1.x: who is right here must be right in the next one too. */
static void
set_db_pass(struct reader *r, struct span value)
{
	bool on;

	if (take_bool(r, "pass", value, &on) && on)
		confset_db(r)->success = CONF_CONTINUE;
}

bool
confset_results_usual(const struct conf_db *d)
{
	return d->success == CONF_RETURN_OK && d->failure == CONF_CONTINUE &&
	       d->internalfail == CONF_CONTINUE;
}

static void
set_db_skip(struct reader *r, struct span value)
{
	int n = config_skip(value);

	if (n == -1)
		FAIL(r, "skip: the value must be never, authenticated or "
		        "unauthenticated");
	else
		confset_db(r)->skip = (enum conf_skip)n;
}

static void
set_result(struct reader *r, struct span value, enum conf_result *to)
{
	int n = config_result(value);

	if (n == -1)
		FAIL(r, "the value must be return-ok, return-fail, return, continue-ok, "
		        "continue-fail or continue");
	else
		*to = (enum conf_result)n;
}

static void
set_db_success(struct reader *r, struct span value)
{
	set_result(r, value, &confset_db(r)->success);
}

static void
set_db_failure(struct reader *r, struct span value)
{
	set_result(r, value, &confset_db(r)->failure);
}

static void
set_db_internalfail(struct reader *r, struct span value)
{
	set_result(r, value, &confset_db(r)->internalfail);
}

static uint32_t
usual_port(struct span name)
{
	static const struct {
		const char *name;
		uint32_t port;
	} usual[] = {{"imap", 143}, {"imaps", 993}, {"pop3", 110}, {"pop3s", 995}};

	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		if (span_eq(name, span_of(usual[i].name)))
			return usual[i].port;
	return 0;
}

struct conf_listener *
confset_listener(struct reader *r, struct span service, struct span name)
{
	struct config *c = r->conf;
	struct conf_listener *l;

	for (size_t i = 0; i < c->nlistener; i++)
		if (span_eq(service, span_of(c->listener[i].service)) &&
		    span_eq(name, span_of(c->listener[i].name)))
			return &c->listener[i];
	if ((l = confset_grow(r, (void **)&c->listener, &c->nlistener, sizeof *l)) ==
	    NULL)
		return NULL;
	l->service = confset_copy(r, service);
	l->name = confset_copy(r, name);
	l->port = usual_port(name);
	l->ssl = span_eq(name, SPAN("pop3s")) || span_eq(name, SPAN("imaps"));
	if (l->service == NULL || l->name == NULL) {
		free(l->service);
		free(l->name);
		c->nlistener--;
		return NULL;
	}
	return l;
}

/* The colon before a port: the only one, or the one behind `]`. NULL: no port. */
static const char *
port_colon(struct span s)
{
	const char *last = s.n > 0 ? memrchr(s.p, ':', s.n) : NULL;

	if (last == NULL || last == s.p)
		return NULL;
	return last[-1] == ']' || memchr(s.p, ':', s.n) == last ? last : NULL;
}

/* `10.0.0.1:1110, [::1]:1110`: addresses, and perhaps a port behind each; the last counts. */
static void
set_addresses(struct reader *r, struct span value)
{
	struct buf addresses = {.max = CONFSCAN_LINE_MAX};
	struct span part, w;
	bool ok = true;

	while (span_cut(&value, ',', &part))
		while (span_word(&part, &w)) {
			const char *colon = port_colon(w);

			if (colon != NULL) {
				set_port(r, span_from(w, (size_t)(colon - w.p) + 1));
				w.n = (size_t)(colon - w.p);
			}
			ok = ok &&
			     (addresses.n == 0 || buf_addc(&addresses, ' ') == 0) &&
			     buf_add(&addresses, w) == 0;
		}
	if (ok)
		set_address(r, buf_span(&addresses));
	else
		FAIL(r, "out of memory");
	buf_free(&addresses);
}

/* 1.x: `listen = 10.0.0.1:1110` in `protocol pop3`. */
static void
set_protocol_listen(struct reader *r, struct span value)
{
	bool imap = strcmp(r->service, "imap") == 0;
	struct conf_listener *l =
	    confset_listener(r, imap ? SPAN("imap-login") : SPAN("pop3-login"),
	                     imap ? SPAN("imap") : SPAN("pop3"));

	if (l == NULL)
		return;
	r->listener = (size_t)(l - r->conf->listener);
	set_addresses(r, value);
}

/* Its `ssl_listen`, of imaps and pop3s. */
static void
set_protocol_ssl_listen(struct reader *r, struct span value)
{
	bool imap = strcmp(r->service, "imap") == 0;
	struct conf_listener *l =
	    confset_listener(r, imap ? SPAN("imap-login") : SPAN("pop3-login"),
	                     imap ? SPAN("imaps") : SPAN("pop3s"));

	if (l == NULL)
		return;
	r->listener = (size_t)(l - r->conf->listener);
	set_addresses(r, value);
}

/* ---- lists ---------------------------------------------------------------------------- */

void
confset_begin_list(struct reader *r, enum conf_key k)
{
	r->list = k;
	if (!r->conf->given[k])
		set_key(r, k, SPAN(""));
}

/* `imap = yes` adds the word to the list, `imap = no` takes it off. */
static void
set_list_word(struct reader *r, struct span word, struct span value)
{
	struct span rest = span_of(r->conf->text[r->list]), part, w;
	struct buf words = {.max = CONFSCAN_LINE_MAX};
	bool on = span_caseeq(value, SPAN("yes"));

	if (!on && !span_caseeq(value, SPAN("no"))) {
		FAIL(r, "%.*s: the value must be yes or no", (int)word.n, word.p);
		return;
	}
	while (span_cut(&rest, ',', &part))
		while (span_word(&part, &w))
			if (!span_eq(w, word) &&
			    ((words.n > 0 && buf_addc(&words, ' ') == -1) ||
			     buf_add(&words, w) == -1))
				on = false;
	if (on && ((words.n > 0 && buf_addc(&words, ' ') == -1) ||
	           buf_add(&words, word) == -1))
		FAIL(r, "out of memory");
	set_key(r, r->list, buf_span(&words));
	buf_free(&words);
}

/* ---- namespaces ----------------------------------------------------------------------- */

static struct conf_namespace *namespace(struct reader *r)
{
	return &r->conf->ns[r->ns];
}

static struct conf_mailbox *
mailbox(struct reader *r)
{
	return &r->conf->mailbox[r->mailbox];
}

static bool
is_yes(struct span value)
{
	return span_caseeq(value, SPAN("yes"));
}

static void
set_inbox(struct reader *r, struct span value)
{
	namespace(r)->inbox = is_yes(value);
}

static void
set_disabled(struct reader *r, struct span value)
{
	namespace(r)->disabled = is_yes(value);
}

static void
set_type(struct reader *r, struct span value)
{
	if (span_eq(value, SPAN("private")) || span_eq(value, SPAN("shared")) ||
	    span_eq(value, SPAN("public")))
		replace(r, &namespace(r)->type, value);
	else
		FAIL(r, "type: the value must be private, shared or public");
}

static void
set_separator(struct reader *r, struct span value)
{
	replace(r, &namespace(r)->separator, value);
}

static void
set_prefix(struct reader *r, struct span value)
{
	replace(r, &namespace(r)->prefix, value);
}

static void
set_location(struct reader *r, struct span value)
{
	replace(r, &namespace(r)->location, value);
}

static void
set_hidden(struct reader *r, struct span value)
{
	if (is_yes(value))
		WARN(r, "hidden is ignored: NAMESPACE tells of the one that is served");
}

static void
set_list(struct reader *r, struct span value)
{
	if (!is_yes(value))
		WARN(r, "list is ignored: LIST shows all mailboxes");
}

static void
set_subscriptions(struct reader *r, struct span value)
{
	if (!is_yes(value))
		WARN(r, "subscriptions is ignored: they are kept in the store");
}

static void
set_special_use(struct reader *r, struct span value)
{
	replace(r, &mailbox(r)->special_use, value);
}

static void
set_auto(struct reader *r, struct span value)
{
	if (span_eq(value, SPAN("no")))
		mailbox(r)->make = CONF_AUTO_NO;
	else if (span_eq(value, SPAN("create")))
		mailbox(r)->make = CONF_AUTO_CREATE;
	else if (span_eq(value, SPAN("subscribe")))
		mailbox(r)->make = CONF_AUTO_SUBSCRIBE;
	else
		FAIL(r, "auto: the value must be no, create or subscribe");
}

static void
set_uidl(struct reader *r, struct span value)
{
	set_key(r, CONF_POP3_UIDL_FORMAT, value);
}

static void
ignore(struct reader *r, struct span value)
{
	(void)r;
	(void)value;
}

/* They have no meaning here, and no warning with the value that doveconf prints. */
static void
ignore_if_no(struct reader *r, struct span value)
{
	if (is_yes(value))
		WARN(r, "this is ignored: a namespace that fails ends the session");
}

static void
ignore_if_zero(struct reader *r, struct span value)
{
	if (value.n > 0 && value.p[0] != '0')
		WARN(r, "this is ignored: nothing is reordered or expunged by itself");
}

/* In `protocol imap {`; at the top it is for both. */
static void
set_userip(struct reader *r, struct span value)
{
	const char *why = confservice_set(r->conf,
	                                  strcmp(r->service, "imap") == 0
	                                      ? CONF_SERVICE_IMAP
	                                      : CONF_SERVICE_POP3,
	                                  CONF_MAX_USERIP, value, &r->at);

	if (why != NULL)
		FAIL(r, "mail_max_userip_connections: %s", why);
}

/* How many processes and clients: not a row, for the name says which. */
static bool
set_limit(struct reader *r, struct span name, struct span value)
{
	enum conf_limit k = confservice_limit(name);
	const char *why;

	if (k == CONF_NLIMIT)
		return false;
	why = confservice_set(r->conf, confservice_find(span_of(r->service)), k, value,
	                      &r->at);
	if (why != NULL)
		FAIL(r, "%.*s: %s", (int)name.n, name.p, why);
	return true;
}

/* Settings that are no key of config.h, or stand elsewhere than at the top. */
static const struct row {
	const char *name;
	unsigned where;
	void (*set)(struct reader *, struct span);
	const char *why; /* it is ignored, for this reason */
} rows[] = {
    {"auth_allow_cleartext", AT_TOP, set_cleartext, NULL},
    {"default_mail_env", AT_TOP, set_mail_env, NULL},
    {"mail_driver", AT_TOP, set_driver, NULL},
    {"mail_inbox_path", AT_TOP, set_inbox_path, NULL},
    {"mail_path", AT_TOP, set_path, NULL},
    {"ssl_disable", AT_TOP, set_ssl_disable, NULL},
    {"ssl_server_prefer_ciphers", AT_TOP, set_prefer, NULL},
    {"ssl_cert", AT_LOCAL, set_local_cert, NULL},
    {"ssl_cert_file", AT_LOCAL, set_local_cert, NULL},
    {"ssl_server_cert_file", AT_LOCAL, set_local_cert, NULL},
    {"ssl_key", AT_LOCAL, set_local_key, NULL},
    {"ssl_key_file", AT_LOCAL, set_local_key, NULL},
    {"ssl_server_key_file", AT_LOCAL, set_local_key, NULL},
    {"ssl_key_password", AT_LOCAL, set_local_password, NULL},
    {"ssl_server_key_password", AT_LOCAL, set_local_password, NULL},
    {"mechanisms", AT_AUTH, set_mechanisms, NULL},
    {"default_realm", AT_AUTH, set_default_realm, NULL},
    {"master_user_separator", AT_AUTH, set_master_separator, NULL},
    {"username_format", AT_AUTH, set_username_format, NULL},
    {"login_user", AT_TOP, set_login_user, NULL},
    {"user", AT_AUTH, ignore, NULL},
    {"chroot", AT_AUTH, ignore, "mailtree-auth is not confined to a directory"},
    {"ssl_require_client_cert", AT_AUTH, set_require_cert, NULL},
    {"ssl_username_from_cert", AT_AUTH, set_username_from_cert, NULL},
    {"count", AT_AUTH, ignore, "write auth_worker_max_count instead"},
    {"address", AT_LISTENER, set_address, NULL},
    {"listen", AT_LISTENER, set_address, NULL},
    {"port", AT_LISTENER, set_port, NULL},
    {"ssl", AT_LISTENER, set_listener_ssl, NULL},
    {"haproxy", AT_LISTENER, ignore, "the proxy protocol is not in this version"},
    {"reuse_port", AT_LISTENER, ignore, "one process accepts"},
    {"type", AT_LISTENER, ignore, "listeners have no types"},
    {"chroot", AT_SERVICE, ignore, "mailtree-login always lives in an empty root"},
    {"user", AT_SERVICE, ignore, "write default_login_user instead"},
    {"drop_priv_before_exec", AT_SERVICE, ignore, "rights are always dropped"},
    {"executable", AT_SERVICE, ignore, "programs are found beside mailtree"},
    {"extra_groups", AT_SERVICE, ignore, "rights are always dropped"},
    {"group", AT_SERVICE, ignore, "rights are always dropped"},
    {"idle_kill", AT_SERVICE, ignore, "one login process runs all the time"},
    {"idle_kill_interval", AT_SERVICE, ignore, "one login process runs all the time"},
    {"privileged_group", AT_SERVICE, ignore, "rights are always dropped"},
    {"mail_max_userip_connections", AT_PROTOCOL, set_userip, NULL},
    {"protocol", AT_SERVICE, ignore, "the listener's name says it"},
    {"restart_request_count", AT_SERVICE, ignore, "one login process serves all"},
    {"type", AT_SERVICE, ignore, "the service's name says it"},
    {"vsz_limit", AT_SERVICE, ignore, "the ceilings are fixed"},
    {"args", AT_PASSDB | AT_USERDB, set_db_args, NULL},
    {"driver", AT_PASSDB | AT_USERDB, set_db_driver, NULL},
    {"passdb_driver", AT_PASSDB, set_db_driver, NULL},
    {"userdb_driver", AT_USERDB, set_db_driver, NULL},
    {"passwd_file_path", AT_PASSDB | AT_USERDB, set_db_path, NULL},
    {"default_password_scheme", AT_PASSDB, set_db_scheme, NULL},
    {"passdb_default_password_scheme", AT_PASSDB, set_db_scheme, NULL},
    {"password", AT_PASSDB, set_db_password, NULL},
    {"passdb_static_password", AT_PASSDB, set_db_password, NULL},
    {"service_name", AT_PASSDB, set_db_path, NULL},
    {"passdb_pam_service_name", AT_PASSDB, set_db_path, NULL},
    {"default_fields", AT_USERDB, conffields_defaults, NULL},
    {"override_fields", AT_USERDB, conffields_overrides, NULL},
    {"deny", AT_PASSDB, set_db_deny, NULL},
    {"master", AT_PASSDB, set_db_master, NULL},
    {"pass", AT_PASSDB, set_db_pass, NULL},
    {"result_failure", AT_PASSDB, set_db_failure, NULL},
    {"result_internalfail", AT_PASSDB, set_db_internalfail, NULL},
    {"result_success", AT_PASSDB, set_db_success, NULL},
    {"skip", AT_PASSDB, set_db_skip, NULL},
    {"auth_verbose", AT_PASSDB | AT_USERDB, ignore, "every failed login is logged"},
    {"use_worker", AT_PASSDB | AT_USERDB, ignore, "workers ask whatever may block"},
    {"name", AT_PASSDB | AT_USERDB, ignore, "it only names the block"},
    {"listen", AT_PROTOCOL, set_protocol_listen, NULL},
    {"ssl_listen", AT_PROTOCOL, set_protocol_ssl_listen, NULL},
    {"pop3_uidl_format", AT_PROTOCOL, set_uidl, NULL},
    {"disabled", AT_NAMESPACE, set_disabled, NULL},
    {"hidden", AT_NAMESPACE, set_hidden, NULL},
    {"inbox", AT_NAMESPACE, set_inbox, NULL},
    {"list", AT_NAMESPACE, set_list, NULL},
    {"location", AT_NAMESPACE, set_location, NULL},
    {"prefix", AT_NAMESPACE, set_prefix, NULL},
    {"separator", AT_NAMESPACE, set_separator, NULL},
    {"subscriptions", AT_NAMESPACE, set_subscriptions, NULL},
    {"type", AT_NAMESPACE, set_type, NULL},
    {"alias_for", AT_NAMESPACE, ignore, "one namespace is served"},
    {"ignore_on_failure", AT_NAMESPACE, ignore_if_no, NULL},
    {"order", AT_NAMESPACE, ignore_if_zero, NULL},
    {"auto", AT_MAILBOX, set_auto, NULL},
    {"special_use", AT_MAILBOX, set_special_use, NULL},
    {"autoexpunge", AT_MAILBOX, ignore_if_zero, NULL},
    {"autoexpunge_max_mails", AT_MAILBOX, ignore_if_zero, NULL},
    {"comment", AT_MAILBOX, ignore, "METADATA is not in this version"},
    {"driver", AT_MAILBOX, ignore, "every mailbox is in the store"},
};

/*
 * In a passdb or userdb these decide who may log in or as whom: passing over them
 * would open what the admin shut.
 */
bool
confset_decides_access(struct span name)
{
	static const char *const names[] = {
	    "deny",           "master",         "pass",
	    "skip",           "mechanisms",     "username_filter",
	    "result_success", "result_failure", "result_internalfail",
	    "result_*",       "default_fields", "override_fields",
	    "passdb_*",       "userdb_*",       "blocking",
	    "fields"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_eq(name, span_of(names[i])))
			return true;
	return span_starts(name, SPAN("result_")) ||
	       span_starts(name, SPAN("passdb_")) || span_starts(name, SPAN("userdb_"));
}

/* The values that Dovecot itself has, printed by `doveconf -a`: they change nothing. */
static bool
is_harmless(struct span name, struct span value)
{
	static const struct {
		const char *name, *value;
	} same[] = {{"deny", "no"},
	            {"master", "no"},
	            {"pass", "no"},
	            {"skip", "never"},
	            {"result_success", "return-ok"},
	            {"result_failure", "continue"},
	            {"result_internalfail", "continue"}};

	if (value.n == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		if (span_eq(name, span_of(same[i].name)))
			return span_eq(value, span_of(same[i].value));
	return false;
}

/* The same word, or another that means the same yes or no. */
static bool
means_same(struct span a, struct span b)
{
	uint64_t x, y;

	return span_caseeq(a, b) || (config_bool(a, &x) == NULL &&
	                             config_bool(b, &y) == NULL && x == y);
}

/*
 * Within local and remote, which are passed over: would these addresses be let in who are
 * shut out, or be heard in the clear?
 */
static bool
is_stricter(struct span name, struct span value)
{
	static const struct {
		const char *name, *value; /* "": any */
	} strict[] = {{"ssl", "required"},
	              {"disable_plaintext_auth", "yes"},
	              {"auth_allow_cleartext", "no"},
	              {"auth_mechanisms", ""},
	              {"auth_ssl_require_client_cert", "yes"},
	              {"ssl_request_client_cert", "yes"},
	              {"ssl_verify_client_cert", "yes"},
	              {"protocols", ""}};

	for (size_t i = 0; i < ARRAY_LEN(strict); i++)
		if (span_eq(name, span_of(strict[i].name)))
			return strict[i].value[0] == '\0' ||
			       means_same(value, span_of(strict[i].value));
	return false;
}

static void
pass_over(struct reader *r, struct span name, struct span value)
{
	if (is_stricter(name, value))
		FAIL(r,
		     "%.*s cannot be had for some addresses only, and without it they "
		     "would have less protection than you mean: move it to the top",
		     (int)name.n, name.p);
}

static const struct row *
find_row(enum where where, struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if ((rows[i].where & where) && span_eq(name, span_of(rows[i].name)))
			return &rows[i];
	return NULL;
}

static void
set(struct reader *r, enum where where, const struct confscan_item *it,
    struct span value)
{
	const struct row *row = find_row(where, it->name);
	const struct known *k;
	enum conf_key key = config_key(it->name);

	if (where == AT_SKIPPED)
		return;
	if (where == AT_SERVICE && set_limit(r, it->name, value))
		return;
	if (where == AT_FILTER) {
		pass_over(r, it->name, value);
	} else if (where == AT_FIELDS) {
		conffields_add(r, it->name, value);
	} else if (where == AT_LIST) {
		set_list_word(r, it->name, value);
	} else if (row != NULL) {
		row->set(r, value);
		if (row->why != NULL && value.n > 0)
			WARN(r, "%.*s is ignored: %s", (int)it->name.n, it->name.p,
			     row->why);
	} else if ((where & (AT_PASSDB | AT_USERDB)) &&
	           confset_decides_access(it->name)) {
		if (!is_harmless(it->name, value))
			FAIL(r,
			     "%.*s is not in this version, and without it other people "
			     "could log in than you mean: remove it or this block",
			     (int)it->name.n, it->name.p);
	} else if (where == AT_TOP && key != CONF_NKEY) {
		set_key(r, key, value);
	} else if (key == CONF_NKEY && (k = known_setting(it->name)) != NULL) {
		confset_warn_known(r, k, "", it->name);
	} else if (key != CONF_NKEY && where == AT_PROTOCOL &&
	           is_stricter(it->name, value)) {
		FAIL(r,
		     "%.*s cannot be had for one protocol only, and without it there would "
		     "be less protection than you mean: move it to the top",
		     (int)it->name.n, it->name.p);
	} else if (key != CONF_NKEY && where == AT_PROTOCOL) {
		WARN(r,
		     "%.*s is ignored here: it is the same for all protocols, at the "
		     "top",
		     (int)it->name.n, it->name.p);
	} else if (key != CONF_NKEY) {
		FAIL(r, "%.*s does not belong into this block: move it to the top",
		     (int)it->name.n, it->name.p);
	} else {
		unknown_setting(r, it->name);
	}
}

/* In a block of settings whose names begin alike they are written without that beginning. */
static void
set_in_block(struct reader *r, const struct confscan_item *it, struct span value)
{
	enum where where = r->nest[r->depth];
	struct confscan_item whole = *it;
	struct buf name = {0};

	if (where != AT_PREFIX) {
		set(r, where, it, value);
		return;
	}
	if (buf_add(&name, span_of(r->prefix)) == 0 && buf_addc(&name, '_') == 0 &&
	    buf_add(&name, it->name) == 0) {
		whole.name = buf_span(&name);
		set(r, r->nest[r->depth - 1], &whole, value);
	}
	buf_free(&name);
}

void
confset_item(struct reader *r, const struct confscan_item *it)
{
	struct buf text = {0};

	if (r->deeper > 0)
		return;
	if (it->doubtful)
		WARN(
		    r,
		    "the rest of the line from # on is taken as a comment: put a blank "
		    "before it, or quotes around the value");
	if (it->quoted)
		set_in_block(r, it, it->value);
	else if (substitute(r, it->value, &text) == 0)
		set_in_block(r, it, buf_span(&text));
	else
		FAIL(r, "the value is too long");
	buf_free(&text);
}
