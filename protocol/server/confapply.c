/*
 * From the items of a text to what they mean: each item is looked up in the tables of
 * the block it stands in. A block that is not understood, or whose meaning is not
 * honoured, is passed over whole, with one note.
 */
#include "protocol/server/config.h"

#include <errno.h>
#include <stdlib.h>

#include "protocol/server/confscan.h"
#include "protocol/server/settings.h"
#include "storage/base/num.h"

/* Where an item stands. */
enum where {
	AT_TOP = 1,
	AT_AUTH = 2,	  /* version 1's `auth default {`: databases and mechanisms */
	AT_SERVICE = 4,	  /* service pop3-login { */
	AT_LISTENER = 8,  /* inet_listener { in one */
	AT_PASSDB = 16,
	AT_USERDB = 32,
	AT_PROTOCOL = 64, /* protocol pop3 { */
	AT_SKIPPED = 128,
};

/* One text being read. */
struct reader {
	struct config *conf;
	struct conf_place at; /* of the item at hand */
	conf_include *include;
	enum where nest[CONF_NEST_MAX + 1];
	struct conf_place opened[CONF_NEST_MAX + 1];
	unsigned depth; /* blocks open */
	unsigned deeper; /* blocks open beyond CONF_NEST_MAX */
	char *service;	/* owned; the one that is open */
	size_t listener; /* row of the open inet_listener */
	size_t db;	 /* row of the open passdb or userdb */
};

#define FAIL(r, ...) config_note((r)->conf, true, &(r)->at, __VA_ARGS__)
#define WARN(r, ...) config_note((r)->conf, false, &(r)->at, __VA_ARGS__)

static char *
copy(struct reader *r, struct span s)
{
	char *text = strndup(s.n > 0 ? s.p : "", s.n);

	if (text == NULL)
		FAIL(r, "out of memory");
	return text;
}

static void
replace(struct reader *r, char **field, struct span s)
{
	char *text = copy(r, s);

	if (text != NULL) {
		free(*field);
		*field = text;
	}
}

/* One warning for each known name that is not honoured. */
static void
warn_known(struct reader *r, const struct known *k, const char *kind, struct span name)
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

	if (near != NULL)
		FAIL(r, "there is no setting `%.*s`: did you mean `%s`?", (int)name.n,
		     name.p, near);
	else
		FAIL(r, "there is no setting `%.*s` here: remove it", (int)name.n, name.p);
}

/* A row for what has none yet. NULL after a note. */
static void *
grow(struct reader *r, void **rows, size_t *n, size_t size)
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

static void
set_key(struct reader *r, enum conf_key k, struct span value)
{
	const char *why;

	if (config_set(r->conf, k, value, &why) == -1)
		FAIL(r, "%s: %s", config_key_name(k), why != NULL ? why : "out of memory");
	else
		r->conf->given[k] = true;
}

/* 2.4 says where mail is in two settings; either may come first. */
static void
set_driver(struct reader *r, struct span driver)
{
	struct span rest = span_of(r->conf->text[CONF_MAIL_LOCATION]), old;
	struct buf b = {0};

	span_cut(&rest, ':', &old);
	if (buf_add(&b, driver) == 0 && buf_addc(&b, ':') == 0 && buf_add(&b, rest) == 0)
		set_key(r, CONF_MAIL_LOCATION, buf_span(&b));
	buf_free(&b);
}

static void
set_path(struct reader *r, struct span path)
{
	struct span rest = span_of(r->conf->text[CONF_MAIL_LOCATION]), driver = SPAN("");
	struct buf b = {0};

	span_cut(&rest, ':', &driver);
	if (buf_add(&b, driver) == 0 && buf_addc(&b, ':') == 0 && buf_add(&b, path) == 0)
		set_key(r, CONF_MAIL_LOCATION, buf_span(&b));
	buf_free(&b);
}

/* 2.4's opposite of disable_plaintext_auth. */
static void
set_cleartext(struct reader *r, struct span value)
{
	if (span_caseeq(value, SPAN("yes")))
		set_key(r, CONF_DISABLE_PLAINTEXT_AUTH, SPAN("no"));
	else if (span_caseeq(value, SPAN("no")))
		set_key(r, CONF_DISABLE_PLAINTEXT_AUTH, SPAN("yes"));
	else
		FAIL(r, "auth_allow_cleartext: the value must be yes or no");
}

static void
set_mechanisms(struct reader *r, struct span value)
{
	set_key(r, CONF_AUTH_MECHANISMS, value);
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
		FAIL(r, "port: the value must be a number up to 65535; 0 switches it off");
	else
		listener(r)->port = port;
}

static void
set_listener_ssl(struct reader *r, struct span value)
{
	listener(r)->ssl = span_caseeq(value, SPAN("yes"));
}

static struct conf_db *
db(struct reader *r)
{
	return r->nest[r->depth] == AT_PASSDB ? &r->conf->passdb[r->db]
					      : &r->conf->userdb[r->db];
}

static bool
driver_known(struct span s)
{
	return span_eq(s, SPAN("passwd-file")) || span_eq(s, SPAN("pam")) ||
	       span_eq(s, SPAN("passwd"));
}

static bool
driver_later(struct span s)
{
	static const char *const later[] = {"shadow", "static", "sql",	   "ldap",
					    "checkpassword", "bsdauth", "oauth2", "imap",
					    "prefetch", "lua", "dict", "vpopmail"};

	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (span_eq(s, span_of(later[i])))
			return true;
	return false;
}

static void
set_db_driver(struct reader *r, struct span value)
{
	if (!driver_known(value) && !driver_later(value))
		FAIL(r, "driver: there is no driver `%.*s`; passwd-file, pam and passwd "
		     "are known", (int)value.n, value.p);
	else if (span_eq(value, SPAN("pam")) && r->nest[r->depth] == AT_USERDB)
		FAIL(r, "driver: pam knows passwords only: say `userdb { driver = passwd }`");
	else
		replace(r, &db(r)->driver, value);
}

static void
set_db_args(struct reader *r, struct span value)
{
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') {
			FAIL(r, "args: a control character");
			return;
		}
	replace(r, &db(r)->args, value);
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
	add_db_arg(r, span_of(db(r)->args), SPAN(""), value);
}

static void
set_db_scheme(struct reader *r, struct span value)
{
	add_db_arg(r, SPAN("scheme="), value, span_of(db(r)->args));
}

/* 1.x: `listen = 10.0.0.1:1110` in `protocol pop3`. */
static struct conf_listener *
find_listener(struct reader *r, struct span service, struct span name)
{
	struct config *c = r->conf;
	struct conf_listener *l;

	for (size_t i = 0; i < c->nlistener; i++)
		if (span_eq(service, span_of(c->listener[i].service)) &&
		    span_eq(name, span_of(c->listener[i].name)))
			return &c->listener[i];
	if ((l = grow(r, (void **)&c->listener, &c->nlistener, sizeof *l)) == NULL)
		return NULL;
	l->service = copy(r, service);
	l->name = copy(r, name);
	l->port = span_eq(name, SPAN("pop3")) ? 110 : span_eq(name, SPAN("pop3s")) ? 995 : 0;
	l->ssl = span_eq(name, SPAN("pop3s"));
	if (l->service == NULL || l->name == NULL) {
		free(l->service);
		free(l->name);
		c->nlistener--;
		return NULL;
	}
	return l;
}

static void
set_protocol_listen(struct reader *r, struct span value)
{
	struct conf_listener *l = find_listener(r, SPAN("pop3-login"), SPAN("pop3"));
	const char *colon = memrchr(value.n > 0 ? value.p : "", ':', value.n);

	if (l == NULL)
		return;
	r->listener = (size_t)(l - r->conf->listener);
	if (colon != NULL && (value.p[0] != '[' || colon[-1] == ']')) {
		set_port(r, span_from(value, (size_t)(colon - value.p) + 1));
		value.n = (size_t)(colon - value.p);
	}
	set_address(r, value);
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
    {"mail_path", AT_TOP, set_path, NULL},
    {"mechanisms", AT_AUTH, set_mechanisms, NULL},
    {"user", AT_AUTH, ignore, NULL},
    {"address", AT_LISTENER, set_address, NULL},
    {"listen", AT_LISTENER, set_address, NULL},
    {"port", AT_LISTENER, set_port, NULL},
    {"ssl", AT_LISTENER, set_listener_ssl, NULL},
    {"haproxy", AT_LISTENER, ignore, "the proxy protocol is not in this version"},
    {"reuse_port", AT_LISTENER, ignore, "one process accepts"},
    {"type", AT_LISTENER, ignore, "listeners have no types"},
    {"service_count", AT_SERVICE, ignore, "one login process serves many connections"},
    {"chroot", AT_SERVICE, ignore, "mailtree-login always lives in an empty root"},
    {"client_limit", AT_SERVICE, ignore, "10,000 connections may wait to log in"},
    {"user", AT_SERVICE, ignore, "write default_login_user instead"},
    {"drop_priv_before_exec", AT_SERVICE, ignore, "rights are always dropped"},
    {"executable", AT_SERVICE, ignore, "programs are found beside mailtree"},
    {"extra_groups", AT_SERVICE, ignore, "rights are always dropped"},
    {"group", AT_SERVICE, ignore, "rights are always dropped"},
    {"idle_kill", AT_SERVICE, ignore, "one login process runs all the time"},
    {"idle_kill_interval", AT_SERVICE, ignore, "one login process runs all the time"},
    {"privileged_group", AT_SERVICE, ignore, "rights are always dropped"},
    {"process_limit", AT_SERVICE, ignore, "one login process serves many connections"},
    {"process_min_avail", AT_SERVICE, ignore, "one login process runs all the time"},
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
    {"service_name", AT_PASSDB, set_db_path, NULL},
    {"passdb_pam_service_name", AT_PASSDB, set_db_path, NULL},
    {"auth_verbose", AT_PASSDB | AT_USERDB, ignore, "every failed login is logged"},
    {"name", AT_PASSDB | AT_USERDB, ignore, "it only names the block"},
    {"listen", AT_PROTOCOL, set_protocol_listen, NULL},
    {"pop3_uidl_format", AT_PROTOCOL, set_uidl, NULL},
};

/*
 * In a passdb or userdb these decide who may log in or as whom: passing over them
 * would open what the admin shut.
 */
static bool
decides_access(struct span name)
{
	static const char *const names[] = {
	    "deny",	      "master",		  "pass",	    "skip",
	    "mechanisms",     "username_filter",  "result_success", "result_failure",
	    "result_internalfail", "result_*",	  "default_fields", "override_fields",
	    "passdb_*",	      "userdb_*",	  "blocking",	    "fields"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_eq(name, span_of(names[i])))
			return true;
	return span_starts(name, SPAN("result_")) || span_starts(name, SPAN("passdb_")) ||
	       span_starts(name, SPAN("userdb_"));
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

static const struct row *
find_row(enum where where, struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if ((rows[i].where & where) && span_eq(name, span_of(rows[i].name)))
			return &rows[i];
	return NULL;
}

static void
set(struct reader *r, const struct confscan_item *it, struct span value)
{
	enum where where = r->nest[r->depth];
	const struct row *row = find_row(where, it->name);
	const struct known *k;
	enum conf_key key = config_key(it->name);

	if (where == AT_SKIPPED)
		return;
	if (row != NULL) {
		row->set(r, value);
		if (row->why != NULL && value.n > 0)
			WARN(r, "%.*s is ignored: %s", (int)it->name.n, it->name.p,
			     row->why);
	} else if ((where & (AT_PASSDB | AT_USERDB)) && decides_access(it->name)) {
		if (!is_harmless(it->name, value))
			FAIL(r, "%.*s is not in this version, and without it other people "
			     "could log in than you mean: remove it or this block",
			     (int)it->name.n, it->name.p);
	} else if (where == AT_TOP && key != CONF_NKEY) {
		set_key(r, key, value);
	} else if ((k = known_setting(it->name)) != NULL) {
		warn_known(r, k, "", it->name);
	} else if (key != CONF_NKEY && where == AT_PROTOCOL) {
		WARN(r, "%.*s is ignored here: it is the same for all protocols, at the top",
		     (int)it->name.n, it->name.p);
	} else if (key != CONF_NKEY) {
		FAIL(r, "%.*s does not belong into this block: move it to the top",
		     (int)it->name.n, it->name.p);
	} else {
		unknown_setting(r, it->name);
	}
}

/* ---- blocks --------------------------------------------------------------------------- */

static enum where
open_db(struct reader *r, struct span arg, enum where where)
{
	struct config *c = r->conf;
	bool pass = where == AT_PASSDB;
	struct conf_db **dbs = pass ? &c->passdb : &c->userdb, *d;
	size_t *n = pass ? &c->npassdb : &c->nuserdb;

	for (size_t i = 0; arg.n > 0 && i < *n; i++)
		if (r->nest[r->depth] == AT_TOP && span_eq(arg, span_of((*dbs)[i].name))) {
			r->db = i; /* a named block may be continued */
			return where;
		}
	if ((d = grow(r, (void **)dbs, n, sizeof *d)) == NULL)
		return AT_SKIPPED;
	d->name = copy(r, arg);
	d->driver = copy(r, driver_known(arg) || driver_later(arg) ? arg : SPAN(""));
	d->args = copy(r, SPAN(""));
	d->file = copy(r, span_of(r->at.file));
	d->line = r->at.line;
	r->db = *n - 1;
	if (d->name == NULL || d->driver == NULL || d->args == NULL || d->file == NULL) {
		free(d->name), free(d->driver), free(d->args), free(d->file);
		--*n;
		return AT_SKIPPED;
	}
	return where;
}

static enum where
open_passdb(struct reader *r, struct span arg)
{
	return open_db(r, arg, AT_PASSDB);
}

static enum where
open_userdb(struct reader *r, struct span arg)
{
	return open_db(r, arg, AT_USERDB);
}

static enum where
open_service(struct reader *r, struct span arg)
{
	const struct known *k;

	if (span_eq(arg, SPAN("pop3-login"))) {
		free(r->service);
		r->service = copy(r, arg);
		return r->service != NULL ? AT_SERVICE : AT_SKIPPED;
	}
	if ((k = known_service(arg)) != NULL)
		warn_known(r, k, "service ", arg);
	else
		FAIL(r, "there is no service `%.*s`: pop3-login is the one with listeners",
		     (int)arg.n, arg.p);
	return AT_SKIPPED;
}

static enum where
open_listener(struct reader *r, struct span arg)
{
	struct conf_listener *l = find_listener(r, span_of(r->service), arg);

	if (l == NULL)
		return AT_SKIPPED;
	r->listener = (size_t)(l - r->conf->listener);
	return AT_LISTENER;
}

static enum where
open_skipped(struct reader *r, struct span arg)
{
	(void)r;
	(void)arg;
	return AT_SKIPPED;
}

static enum where
open_auth(struct reader *r, struct span arg)
{
	(void)r;
	(void)arg;
	return AT_AUTH;
}

static enum where
open_protocol(struct reader *r, struct span arg)
{
	static const char *const later[] = {"imap", "lmtp", "lda",  "sieve", "managesieve",
					    "doveadm", "submission", "indexer-worker"};

	if (span_eq(arg, SPAN("pop3")))
		return AT_PROTOCOL;
	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (span_eq(arg, span_of(later[i]))) {
			WARN(r, "protocol %s is ignored: this version serves POP3",
			     later[i]);
			return AT_SKIPPED;
		}
	FAIL(r, "there is no protocol `%.*s`: pop3 is what can be served", (int)arg.n,
	     arg.p);
	return AT_SKIPPED;
}

enum argument { NO, MAY, MUST };

static const struct block {
	const char *name;
	unsigned where;
	enum argument arg;
	enum where (*open)(struct reader *, struct span arg);
} blocks[] = {
    {"auth", AT_TOP, MAY, open_auth},
    {"passdb", AT_TOP | AT_AUTH, MAY, open_passdb},
    {"userdb", AT_TOP | AT_AUTH, MAY, open_userdb},
    {"socket", AT_AUTH, MAY, open_skipped},
    {"protocol", AT_TOP, MUST, open_protocol},
    {"service", AT_TOP, MUST, open_service},
    {"inet_listener", AT_SERVICE, MUST, open_listener},
    {"unix_listener", AT_SERVICE, MUST, open_skipped},
    {"fifo_listener", AT_SERVICE, MUST, open_skipped},
};

static bool
plain_word(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || strchr("\"'#\\{}=$<", s.p[i]) != NULL)
			return false;
	return true;
}

static enum where
open_block(struct reader *r, struct span name, struct span arg)
{
	enum where where = r->nest[r->depth];
	const struct known *k;

	if (where == AT_SKIPPED)
		return AT_SKIPPED;
	for (const struct block *b = blocks; b < blocks + ARRAY_LEN(blocks); b++) {
		if (!(b->where & where) || !span_eq(name, span_of(b->name)))
			continue;
		if (b->arg == MUST && arg.n == 0) {
			FAIL(r, "%s needs a name: `%s NAME {`", b->name, b->name);
			return AT_SKIPPED;
		}
		if (!plain_word(arg)) {
			FAIL(r, "the name of %s has characters that a name cannot have",
			     b->name);
			return AT_SKIPPED;
		}
		return b->open(r, arg);
	}
	if ((where & (AT_PASSDB | AT_USERDB)) && decides_access(name))
		FAIL(r, "%.*s { is not in this version, and without it other people could "
		     "log in than you mean: remove it", (int)name.n, name.p);
	else if ((k = known_block(name)) != NULL)
		warn_known(r, k, "", name);
	else
		FAIL(r, "there is no block `%.*s` here: remove it", (int)name.n, name.p);
	return AT_SKIPPED;
}

/* A database must have got a driver, and one that we have. */
static void
close_db(struct reader *r)
{
	bool pass = r->nest[r->depth] == AT_PASSDB;
	struct conf_db *d = db(r);

	if (d->driver[0] == '\0')
		FAIL(r, "this %s has no driver: add `driver = passwd-file`",
		     pass ? "passdb" : "userdb");
	else if (!driver_known(span_of(d->driver)))
		WARN(r, "this %s is passed over: the driver %s is not in this version",
		     pass ? "passdb" : "userdb", d->driver);
	else
		return;
	free(d->name), free(d->driver), free(d->args), free(d->file);
	if (pass) /* it is not always the last: a named one may have been continued */
		memmove(d, d + 1, (--r->conf->npassdb - r->db) * sizeof *d);
	else
		memmove(d, d + 1, (--r->conf->nuserdb - r->db) * sizeof *d);
}

static void
push_block(struct reader *r, const struct confscan_item *it)
{
	enum where where;

	if (r->depth == CONF_NEST_MAX) {
		if (r->deeper++ == 0)
			FAIL(r, "blocks are nested deeper than %d", CONF_NEST_MAX);
		return;
	}
	where = open_block(r, it->name, it->value);
	r->nest[++r->depth] = where;
	r->opened[r->depth] = r->at;
}

static void
pop_block(struct reader *r)
{
	if (r->deeper > 0) {
		r->deeper--;
		return;
	}
	if (r->depth == 0) {
		FAIL(r, "this } closes nothing: remove it");
		return;
	}
	if (r->nest[r->depth] & (AT_PASSDB | AT_USERDB))
		close_db(r);
	r->depth--;
}

/* ---- the text ------------------------------------------------------------------------- */

static void
set_item(struct reader *r, const struct confscan_item *it)
{
	struct buf text = {0};

	if (r->deeper > 0)
		return;
	if (it->doubtful)
		WARN(r, "the rest of the line from # on is taken as a comment: put a blank "
		     "before it, or quotes around the value");
	if (it->quoted)
		set(r, it, it->value);
	else if (substitute(r, it->value, &text) == 0)
		set(r, it, buf_span(&text));
	else
		FAIL(r, "the value is too long");
	buf_free(&text);
}

static void
include(struct reader *r, const struct confscan_item *it, bool must)
{
	const char *why = "files cannot be included here";
	char pattern[4096];

	if (span_cstr(it->value, pattern, sizeof pattern) == -1)
		why = "the path is too long";
	else if (r->depth > 0)
		why = "a file can be included outside of blocks only: move it to the top";
	else if (r->at.depth == CONF_INCLUDE_MAX)
		why = "files are included too deep in one another";
	else if (r->include != NULL)
		why = r->include(r->conf, pattern, must, &r->at);
	if (why != NULL)
		FAIL(r, "!include %.*s: %s", (int)it->value.n, it->value.p, why);
}

void
config_text(struct config *c, struct span text, const char *file, unsigned depth,
	    conf_include *inc)
{
	struct reader r = {.conf = c, .include = inc, .nest = {AT_TOP}};
	struct confscan scan = {.rest = text};
	struct confscan_item it;
	enum confscan_ev ev;

	do {
		ev = confscan_next(&scan, &it);
		r.at = (struct conf_place){file, it.line, it.col, depth};
		switch (ev) {
		case CONFSCAN_SET:
			set_item(&r, &it);
			break;
		case CONFSCAN_OPEN:
			push_block(&r, &it);
			break;
		case CONFSCAN_CLOSE:
			pop_block(&r);
			break;
		case CONFSCAN_INCLUDE:
		case CONFSCAN_INCLUDE_TRY:
			include(&r, &it, ev == CONFSCAN_INCLUDE);
			break;
		case CONFSCAN_BAD:
			FAIL(&r, "%s", it.why);
			break;
		case CONFSCAN_END:
			break;
		}
	} while (ev != CONFSCAN_END);
	while (r.depth > 0) {
		r.at = r.opened[r.depth];
		FAIL(&r, "the block that begins here is never closed: add }");
		pop_block(&r);
	}
	confscan_free(&scan);
	free(r.service);
}
