/*
 * From the items of a text to what they mean: each item is looked up in the tables of
 * the block it stands in. A block that is not understood, or whose meaning is not
 * honoured, is passed over whole, with one note.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/server/confreader.h"

/* ---- blocks --------------------------------------------------------------------------- */

static enum where
open_db(struct reader *r, struct span arg, enum where where)
{
	struct config *c = r->conf;
	bool pass = where == AT_PASSDB;
	struct conf_db **dbs = pass ? &c->passdb : &c->userdb, *d;
	size_t *n = pass ? &c->npassdb : &c->nuserdb;

	for (size_t i = 0; arg.n > 0 && i < *n; i++)
		if (r->nest[r->depth] == AT_TOP &&
		    span_eq(arg, span_of((*dbs)[i].name))) {
			r->db = i; /* a named block may be continued */
			return where;
		}
	if ((d = confset_grow(r, (void **)dbs, n, sizeof *d)) == NULL)
		return AT_SKIPPED;
	/* version 1 has drivers there, not names: two blocks alike are two */
	d->name = confset_copy(r, r->nest[r->depth] == AT_TOP ? arg : SPAN(""));
	d->driver = confset_copy(
	    r, confset_driver_known(arg) || confset_driver_later(arg) ? arg : SPAN(""));
	d->args = confset_copy(r, SPAN(""));
	d->file = confset_copy(r, span_of(r->at.file));
	d->line = r->at.line;
	d->success = CONF_RETURN_OK;
	d->failure = d->internalfail = CONF_CONTINUE;
	r->db = *n - 1;
	if (d->name == NULL || d->driver == NULL || d->args == NULL ||
	    d->file == NULL) {
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

	if (confservice_find(arg) != CONF_NSERVICE) {
		free(r->service);
		r->service = confset_copy(r, arg);
		return r->service != NULL ? AT_SERVICE : AT_SKIPPED;
	}
	if ((k = known_service(arg)) != NULL)
		confset_warn_known(r, k, "service ", arg);
	else
		FAIL(r,
		     "there is no service `%.*s`: imap-login and pop3-login are those "
		     "with listeners, imap and pop3 those of sessions",
		     (int)arg.n, arg.p);
	return AT_SKIPPED;
}

static enum where
open_listener(struct reader *r, struct span arg)
{
	struct conf_listener *l;

	if (!span_eq(span_of(r->service), SPAN("pop3-login")) &&
	    !span_eq(span_of(r->service), SPAN("imap-login"))) {
		WARN(r, "inet_listener is ignored: service %s-login has the listeners",
		     r->service);
		return AT_SKIPPED;
	}
	if ((l = confset_listener(r, span_of(r->service), arg)) == NULL)
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
	static const char *const later[] = {"lmtp",          "lda",     "sieve",
	                                    "managesieve",   "doveadm", "submission",
	                                    "indexer-worker"};

	if (span_eq(arg, SPAN("pop3")) || span_eq(arg, SPAN("imap"))) {
		free(r->service);
		r->service = confset_copy(r, arg);
		return r->service != NULL ? AT_PROTOCOL : AT_SKIPPED;
	}
	if (span_starts(arg, SPAN("!"))) {
		WARN(
		    r,
		    "protocol %.*s is ignored: what is for all protocols stands at the "
		    "top",
		    (int)arg.n, arg.p);
		return AT_SKIPPED;
	}
	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (span_eq(arg, span_of(later[i]))) {
			WARN(
			    r,
			    "protocol %s is ignored: this version serves IMAP and POP3",
			    later[i]);
			return AT_SKIPPED;
		}
	FAIL(r, "there is no protocol `%.*s`: imap and pop3 are what can be served",
	     (int)arg.n, arg.p);
	return AT_SKIPPED;
}

static enum where
open_prefix(struct reader *r, struct span arg)
{
	(void)arg;
	snprintf(r->prefix, sizeof r->prefix, "ssl_server");
	return AT_PREFIX;
}

/*
 * What 2.4 writes as fields is, of the driver static, what others write as its args; of another
 * passdb it would be who may log in, and how.
 */
static enum where
open_fields(struct reader *r, struct span arg)
{
	(void)arg;
	if (strcmp(confset_db(r)->driver, "static") == 0 ||
	    r->nest[r->depth] == AT_USERDB)
		return AT_FIELDS;
	FAIL(r, "fields { of this driver is not in this version, and without it other "
	        "people could log in than you mean: remove it");
	return AT_SKIPPED;
}

static enum where
open_filter(struct reader *r, struct span arg)
{
	WARN(r,
	     "what is for %.*s alone is ignored: settings are the same for all "
	     "addresses",
	     (int)arg.n, arg.p);
	return AT_FILTER;
}

static bool
is_type(struct span s)
{
	return span_eq(s, SPAN("private")) || span_eq(s, SPAN("shared")) ||
	       span_eq(s, SPAN("public"));
}

/* A named one may be continued. Version 1 has types there, not names. */
static enum where
open_namespace(struct reader *r, struct span arg)
{
	struct config *c = r->conf;
	struct conf_namespace *ns;

	for (r->ns = 0; arg.n > 0 && !is_type(arg) && r->ns < c->nns; r->ns++)
		if (span_eq(arg, span_of(c->ns[r->ns].name)))
			return AT_NAMESPACE;
	if ((ns = confset_grow(r, (void **)&c->ns, &c->nns, sizeof *ns)) == NULL)
		return AT_SKIPPED;
	r->ns = c->nns - 1;
	ns->name = confset_copy(r, arg);
	ns->type = confset_copy(r, is_type(arg) ? arg : SPAN("private"));
	ns->separator = confset_copy(r, SPAN(""));
	ns->prefix = confset_copy(r, SPAN(""));
	ns->location = confset_copy(r, SPAN(""));
	ns->file = confset_copy(r, span_of(r->at.file));
	ns->line = r->at.line;
	if (ns->name != NULL && ns->type != NULL && ns->separator != NULL &&
	    ns->prefix != NULL && ns->location != NULL && ns->file != NULL)
		return AT_NAMESPACE;
	free(ns->name), free(ns->type), free(ns->separator);
	free(ns->prefix), free(ns->location), free(ns->file);
	c->nns--;
	return AT_SKIPPED;
}

static enum where
open_mailbox(struct reader *r, struct span arg)
{
	struct config *c = r->conf;
	struct conf_mailbox *m;

	for (r->mailbox = 0; r->mailbox < c->nmailbox; r->mailbox++)
		if (c->mailbox[r->mailbox].ns == r->ns &&
		    span_eq(arg, span_of(c->mailbox[r->mailbox].name)))
			return AT_MAILBOX;
	if (memchr(arg.p, '*', arg.n) != NULL || memchr(arg.p, '?', arg.n) != NULL) {
		WARN(r, "mailbox %.*s is ignored: patterns are not in this version",
		     (int)arg.n, arg.p);
		return AT_SKIPPED;
	}
	if ((m = confset_grow(r, (void **)&c->mailbox, &c->nmailbox, sizeof *m)) ==
	    NULL)
		return AT_SKIPPED;
	m->ns = r->ns;
	m->name = confset_copy(r, arg);
	m->special_use = confset_copy(r, SPAN(""));
	m->file = confset_copy(r, span_of(r->at.file));
	m->line = r->at.line;
	if (m->name != NULL && m->special_use != NULL && m->file != NULL)
		return AT_MAILBOX;
	free(m->name), free(m->special_use), free(m->file);
	c->nmailbox--;
	return AT_SKIPPED;
}

/* A block of the same names continues the one before. */
static enum where
open_local(struct reader *r, struct span arg)
{
	struct config *c = r->conf;
	struct conf_local *l;

	for (r->local = 0; r->local < c->nlocal; r->local++)
		if (span_eq(arg, span_of(c->local[r->local].names)))
			return AT_LOCAL;
	if ((l = confset_grow(r, (void **)&c->local, &c->nlocal, sizeof *l)) == NULL)
		return AT_SKIPPED;
	l->names = confset_copy(r, arg);
	l->cert = confset_copy(r, SPAN(""));
	l->key = confset_copy(r, SPAN(""));
	l->password = confset_copy(r, SPAN(""));
	l->file = confset_copy(r, span_of(r->at.file));
	l->line = r->at.line;
	if (l->names != NULL && l->cert != NULL && l->key != NULL &&
	    l->password != NULL && l->file != NULL)
		return AT_LOCAL;
	free(l->names), free(l->cert), free(l->key);
	free(l->password), free(l->file);
	c->nlocal--;
	return AT_SKIPPED;
}

enum argument { NO, MAY, MUST, TEXT };

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
    {"namespace", AT_TOP, MAY, open_namespace},
    {"local", AT_TOP | AT_PROTOCOL, MUST, open_filter},
    {"remote", AT_TOP | AT_PROTOCOL, MUST, open_filter},
    {"fields", AT_PASSDB | AT_USERDB, NO, open_fields},
    {"ssl_server", AT_TOP | AT_LOCAL, NO, open_prefix},
    {"mailbox", AT_NAMESPACE, TEXT, open_mailbox},
    {"local_name", AT_TOP, TEXT, open_local},
};

static bool
plain_word(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' ||
		    strchr("\"'#\\{}=$<", s.p[i]) != NULL)
			return false;
	return true;
}

static bool
has_control(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return true;
	return false;
}

/* Within local and remote. */
static enum where
open_filtered(struct reader *r, struct span name)
{
	if (span_eq(name, SPAN("passdb")) || span_eq(name, SPAN("userdb")))
		FAIL(r,
		     "%.*s cannot be had for some addresses only: move it to the top, "
		     "or "
		     "remove it",
		     (int)name.n, name.p);
	return AT_FILTER;
}

/* `protocols { imap = yes }`: version 2.4 writes a list of words as a block. */
static enum where
open_list(struct reader *r, enum conf_key k)
{
	confset_begin_list(r, k);
	return AT_LIST;
}

static enum where
open_block(struct reader *r, struct span name, struct span arg)
{
	enum where where = r->nest[r->depth];
	const struct known *k;

	if (where == AT_SKIPPED)
		return AT_SKIPPED;
	if (where == AT_FILTER)
		return open_filtered(r, name);
	for (const struct block *b = blocks; b < blocks + ARRAY_LEN(blocks); b++) {
		if (!(b->where & where) || !span_eq(name, span_of(b->name)))
			continue;
		if (b->arg >= MUST && arg.n == 0) {
			FAIL(r, "%s needs a name: `%s NAME {`", b->name, b->name);
			return AT_SKIPPED;
		}
		if (b->arg == TEXT ? has_control(arg) : !plain_word(arg)) {
			FAIL(r, "the name of %s has characters that a name cannot have",
			     b->name);
			return AT_SKIPPED;
		}
		return b->open(r, arg);
	}
	if ((where & (AT_PASSDB | AT_USERDB)) && confset_decides_access(name))
		FAIL(r,
		     "%.*s { is not in this version, and without it other people could "
		     "log in than you mean: remove it",
		     (int)name.n, name.p);
	else if (where == AT_TOP && arg.n == 0 && config_is_list(config_key(name)))
		return open_list(r, config_key(name));
	else if ((k = known_block(name)) != NULL || (k = known_setting(name)) != NULL)
		confset_warn_known(r, k, "", name);
	else
		FAIL(r, "there is no block `%.*s` here: remove it", (int)name.n,
		     name.p);
	return AT_SKIPPED;
}

/* Does it say no to somebody whom the others would let in? */
static bool
shuts_out(const struct conf_db *d)
{
	return d->deny || !confset_results_usual(d);
}

static void
unknown_driver(struct reader *r, const struct conf_db *d, bool pass)
{
	if (pass && shuts_out(d))
		FAIL(r,
		     "the driver %s is not in this version, and without this passdb, which "
		     "has deny, pass or result_*, other people could log in than you mean: "
		     "remove it, or give it another driver",
		     d->driver);
	else
		WARN(r, "this %s is passed over: the driver %s is not in this version",
		     pass ? "passdb" : "userdb", d->driver);
}

/* A database must have got a driver, and one that we have. */
static void
close_db(struct reader *r)
{
	bool pass = r->nest[r->depth] == AT_PASSDB;
	struct conf_db *d = confset_db(r);

	if (!pass && (strcmp(d->driver, "pam") == 0 || strcmp(d->driver, "shadow") == 0))
		FAIL(r, "%s knows passwords only: say `userdb { driver = passwd }`",
		     d->driver);
	else if (pass && strcmp(d->driver, "prefetch") == 0)
		FAIL(r, "prefetch is a userdb: it takes what a passdb has found");
	else if (d->driver[0] == '\0')
		FAIL(r, "this %s has no driver: add `driver = passwd-file`",
		     pass ? "passdb" : "userdb");
	else if (!confset_driver_known(span_of(d->driver)))
		unknown_driver(r, d, pass);
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
include(struct reader *r, const struct confscan_item *it, bool must)
{
	const char *why = "files cannot be included here";
	char pattern[4096];

	if (span_cstr(it->value, pattern, sizeof pattern) == -1)
		why = "the path is too long";
	else if (r->depth > 0)
		why =
		    "a file can be included outside of blocks only: move it to the top";
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
			confset_item(&r, &it);
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
