#include "protocol/server/courierconf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/base/num.h"

static const char *const file_names[COURIERCONF_NFILE] = {
    [COURIERCONF_IMAPD] = "imapd",
    [COURIERCONF_IMAPD_SSL] = "imapd-ssl",
    [COURIERCONF_POP3D] = "pop3d",
    [COURIERCONF_POP3D_SSL] = "pop3d-ssl",
    [COURIERCONF_AUTHDAEMONRC] = "authdaemonrc",
};

enum courierconf_file
courierconf_which(const char *path)
{
	const char *slash = strrchr(path, '/');
	int f = 0;

	path = slash == NULL ? path : slash + 1;
	while (f < COURIERCONF_NFILE && strcmp(path, file_names[f]) != 0)
		f++;
	return (enum courierconf_file)f;
}

/* ---- variables without a counterpart -------------------------------------------------- */

/* Reasons that several rows share. */
static const char process[] = "processes start and stop by themselves";
static const char logs[] = "the format of log lines is fixed";
static const char trash[] = "nothing is expunged or moved by itself";
static const char resumed[] = "TLS sessions are resumed without a file";
static const char sorting[] = "THREAD and SORT are not in this version";
static const char proxy[] = "logins are never passed on to another server";

/*
 * `calm` is the value with which a variable asks for nothing that is not so here: then it
 * is not worth a word. "*": no value is.
 */
static const struct row {
	const char *name; /* a final `*` stands for anything */
	const char *calm;
	const char *why; /* NULL: courierconf_write() reads it */
} rows[] = {
    {"ADDRESS", "", NULL},
    {"PORT", "", NULL},
    {"SSLADDRESS", "", NULL},
    {"SSLPORT", "", NULL},
    {"IMAPDSTART", "", NULL},
    {"IMAPDSSLSTART", "", NULL},
    {"POP3DSTART", "", NULL},
    {"POP3DSSLSTART", "", NULL},
    {"IMAPDSTARTTLS", "YES", "STARTTLS is offered wherever TLS is"},
    {"POP3_STARTTLS", "YES", "STLS is offered wherever TLS is"},
    {"IMAP_TLS_REQUIRED", "", NULL},
    {"POP3_TLS_REQUIRED", "", NULL},
    {"MAILDIRPATH", "", NULL},
    {"MAXPERIP", "", NULL},
    {"IMAP_CAPABILITY", "", NULL},
    {"IMAP_CAPABILITY_TLS", "", NULL},
    {"POP3AUTH", "", NULL},
    {"POP3AUTH_TLS", "", NULL},
    {"IMAP_TRASHFOLDERNAME", "", NULL},
    {"TLS_CERTFILE", "", NULL},
    {"TLS_PRIVATE_KEYFILE", "", NULL},
    {"TLS_CIPHER_LIST", "", NULL},
    {"TLS_PROTOCOL", "", NULL},
    {"TLS_DHPARAMS", "", NULL},
    {"TLS_TRUSTCERTS", "", NULL},
    {"TLS_VERIFYPEER", "", NULL},
    {"authmodulelist", "", NULL},
    {"daemons", "", NULL},
    {"DEFDOMAIN", "",
     "write the whole name in the password file, or the name without "
     "its domain"},
    {"DEFAULTDOMAIN", "",
     "write the whole name in the password file, or the name "
     "without its domain"},
    {"IMAPACCESSFILE", "", "addresses are not filtered: use a packet filter"},
    {"AUTHSERVICE*", "", "PAM's service is imap or pop3, whatever the port"},
    {"MAXDAEMONS", "", "sessions have one ceiling for all, 4096"},
    {"IMAP_CAPABILITY_ORIG", "*", ""},
    {"IMAP_CAPABILITY_TLS_ORIG", "*", ""},
    {"POP3AUTH_ORIG", "*", ""},
    {"POP3AUTH_TLS_ORIG", "*", ""},
    {"authmodulelistorig", "*", ""},
    {"prefix", "*", ""},
    {"exec_prefix", "*", ""},
    {"sysconfdir", "*", ""},
    {"bindir", "*", ""},
    {"localstatedir", "*", ""},
    {"authdaemonvar", "", process},
    {"PIDFILE", "", process},
    {"SSLPIDFILE", "", process},
    {"COURIERTLS", "", process},
    {"TCPDOPTS", "-nodnslookup -noidentlookup", "addresses are never looked up"},
    {"LOGGEROPTS", "", logs},
    {"SSLLOGGEROPTS", "", logs},
    {"DEBUG_LOGIN", "0", "passwords are never logged"},
    {"DEFAULTOPTIONS", "", "options of accounts have no meaning here"},
    {"IMAP_ACL", "0", "ACL is not in this version: nobody sees another's mailboxes"},
    {"IMAP_SHAREDINDEXFILE", "", "shared mailboxes are not in this version"},
    {"IMAP_KEYWORDS", "1", "keywords are always kept"},
    {"IMAP_PROXY*", "0", proxy},
    {"POP3_PROXY*", "0", proxy},
    {"PROXY_HOSTNAME", "", proxy},
    {"IMAP_IDLE_TIMEOUT", "60", "changes are told at once"},
    {"IMAP_ENHANCEDIDLE", "1", "changes are told at once"},
    {"IMAP_CHECK_ALL_FOLDERS", "1", "changes are noticed in every mailbox"},
    {"IMAP_MAILBOX_SANITY_CHECK", "1", "the store is always looked at"},
    {"IMAP_DISABLETHREADSORT", "0", sorting},
    {"IMAP_OBSOLETE_CLIENT", "0",
     "clients that know no `\\` in names are not "
     "helped"},
    {"IMAP_UMASK", "022", "files follow the modes of the Maildir"},
    {"IMAP_ULIMITD", "", "the ceilings of a session are fixed"},
    {"IMAP_USELOCKS", "1", "locks are always taken"},
    {"IMAP_EMPTYTRASH", "", trash},
    {"IMAP_LOG_DELETIONS", "0", logs},
    {"POP3_LOG_DELETIONS", "0", logs},
    {"IMAP_MOVE_EXPUNGE_TO_TRASH", "0", trash},
    {"OUTBOX", "", "mailtree does not submit mail"},
    {"OUTBOX_MULTIPLE_SEND", "0", "mailtree does not submit mail"},
    {"SENDMAIL", "", "mailtree does not submit mail"},
    {"HEADERFROM", "", "mailtree does not submit mail"},
    {"IMAPDEBUGFILE", "", "sessions are never recorded"},
    {"MIME_UNICODE_MESSAGE_TYPE", "message/global", "mail is never changed"},
    {"TLS_CACHEFILE", "", resumed},
    {"TLS_CACHESIZE", "", resumed},
    {"TLS_STARTTLS_PROTOCOL", "", "TLS is the same on all ports"},
    {"TLS_PRIORITY", "", "that is GnuTLS's language: write ssl_cipher_list"},
    {"TLS_MIN_DH_BITS", "", "OpenSSL's own minimum holds"},
    {"TLS_COMPRESSION", "", "nothing is compressed"},
    {"TLS_CERTS", "", "that is GnuTLS's setting"},
    {"TLS_DHCERTFILE", "", "DSA certificates are not in use any more"},
    {"TLS_EXTERNAL", "", "write auth_mechanisms = external"},
    {"TLS_TIMEOUT", "", "whoever waits is sent away after 60 s"},
};

static bool
fits(const char *pattern, struct span name)
{
	struct span p = span_of(pattern);

	if (p.n == 0 || p.p[p.n - 1] != '*')
		return span_eq(p, name);
	p.n--;
	return span_starts(name, p);
}

static void
look_up(const struct shellvars_item *it, const struct conf_place *at,
        struct config *notes)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];

		if (!fits(r->name, it->name))
			continue;
		if (r->why != NULL && strcmp(r->calm, "*") != 0 && it->value.n > 0 &&
		    !span_caseeq(it->value, span_of(r->calm)))
			config_note(notes, false, at,
			            "%.*s=%.*s has no counterpart: %s", (int)it->name.n,
			            it->name.p,
			            (int)(it->value.n < 200 ? it->value.n : 200),
			            it->value.p, r->why);
		return;
	}
	config_note(notes, false, at, "%.*s has no counterpart: it is not known here",
	            (int)it->name.n, it->name.p);
}

void
courierconf_read(struct courierconf *c, enum courierconf_file f, const char *path,
                 struct span text, struct config *notes)
{
	struct shellvars *vars = &c->vars[f];
	struct shellvars_item it;
	enum shellvars_ev ev;

	shellvars_free(vars);
	vars->rest = text;
	c->path[f] = path;
	while ((ev = shellvars_next(vars, &it)) != SHELLVARS_END) {
		struct conf_place at = {path, it.line, 1, 0};

		if (ev == SHELLVARS_BAD)
			config_note(notes, true, &at, "%s", it.why);
		else
			look_up(&it, &at, notes);
	}
	vars->rest = SPAN("");
}

void
courierconf_free(struct courierconf *c)
{
	for (int f = 0; f < COURIERCONF_NFILE; f++)
		shellvars_free(&c->vars[f]);
}

/* ---- reading values ------------------------------------------------------------------- */

/* The configuration being written. */
struct writing {
	const struct courierconf *c;
	struct buf *out;
	struct config *notes;
	bool failed; /* no memory */
};

/* The value, or "" when the variable or the whole file is not there. */
static const char *
value(const struct writing *w, enum courierconf_file f, const char *name)
{
	const struct shellvar *v = shellvars_get(&w->c->vars[f], span_of(name));

	return v != NULL ? v->value : "";
}

static bool
is_on(const struct writing *w, enum courierconf_file f, const char *name)
{
	const char *s = value(w, f, name);

	return s[0] == 'y' || s[0] == 'Y' || s[0] == '1';
}

static void
note(const struct writing *w, enum courierconf_file f, const char *name,
     const char *why)
{
	const struct shellvar *v = shellvars_get(&w->c->vars[f], span_of(name));
	struct conf_place at = {w->c->path[f], v != NULL ? v->line : 1, 1, 0};

	config_note(w->notes, false, w->c->path[f] != NULL ? &at : NULL, "%s: %s", name,
	            why);
}

/* ---- writing settings ----------------------------------------------------------------- */

static void
put(struct writing *w, struct span s)
{
	if (buf_add(w->out, s) == -1)
		w->failed = true;
}

static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

/* `name = "value"`. A value of several lines would be several settings, so it is none. */
static void
put_setting(struct writing *w, const char *indent, const char *name, const char *s)
{
	if (has_control(s)) {
		config_note(w->notes, true, NULL,
		            "%s: its value holds an end of line or another control "
		            "character: is a quote closed too late?",
		            name);
		return;
	}
	put(w, span_of(indent));
	put(w, span_of(name));
	put(w, SPAN(" = \""));
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			put(w, SPAN("\\"));
		put(w, (struct span){s, 1});
	}
	put(w, SPAN("\"\n"));
}

/* A setting that is the contents of a file. */
static void
put_file(struct writing *w, enum courierconf_file f, const char *name, const char *path)
{
	if (path[0] == '\0')
		return;
	if (path[0] != '/' || strpbrk(path, " \t\r\n\"'#\\{}$<") != NULL) {
		note(w, f, name,
		     "this path cannot be written in a configuration: move "
		     "the file");
		return;
	}
	put(w, span_of(name));
	put(w, SPAN(" = <"));
	put(w, span_of(path));
	put(w, SPAN("\n"));
}

/* ---- listeners ------------------------------------------------------------------------ */

static const struct component {
	enum courierconf_file file;
	const char *start, *port, *address;
	const char *protocol, *service, *listener, *usual_port;
	bool tls;
} components[] = {
    {COURIERCONF_IMAPD, "IMAPDSTART", "PORT", "ADDRESS", "imap", "imap-login", "imap",
     "143", false},
    {COURIERCONF_IMAPD_SSL, "IMAPDSSLSTART", "SSLPORT", "SSLADDRESS", "imap",
     "imap-login", "imaps", "993", true},
    {COURIERCONF_POP3D, "POP3DSTART", "PORT", "ADDRESS", "pop3", "pop3-login", "pop3",
     "110", false},
    {COURIERCONF_POP3D_SSL, "POP3DSSLSTART", "SSLPORT", "SSLADDRESS", "pop3",
     "pop3-login", "pop3s", "995", true},
};

static bool
runs(const struct writing *w, const struct component *k)
{
	return is_on(w, k->file, k->start);
}

static void
put_listener(struct writing *w, const struct component *k, unsigned number,
             struct span address, struct span port)
{
	char name[32], text[300];

	snprintf(name, sizeof name, number > 1 ? "%s%u" : "%s", k->listener, number);
	put(w, SPAN("  inet_listener "));
	put(w, span_of(name));
	put(w, SPAN(" {\n"));
	/* 0 stands for every address */
	if (address.n > 0 && !span_eq(address, SPAN("0")) &&
	    span_cstr(address, text, sizeof text) == 0)
		put_setting(w, "    ", "address", text);
	put(w, SPAN("    port = "));
	put(w, port);
	put(w, k->tls ? SPAN("\n    ssl = yes\n  }\n") : SPAN("\n  }\n"));
}

/* `143`, or `127.0.0.1.900,143`: each port may have an address in front. */
static void
put_ports(struct writing *w, const struct component *k)
{
	struct span usual = span_of(value(w, k->file, k->address)), one;
	const char *ports = value(w, k->file, k->port);
	struct span rest = span_of(ports[0] != '\0' ? ports : k->usual_port);
	unsigned number = 0;
	uint32_t port;

	if (!runs(w, k)) {
		put_listener(w, k, 1, SPAN(""), SPAN("0"));
		return;
	}
	while (span_cut(&rest, ',', &one)) {
		struct span address = usual;
		const char *dot;

		one = span_trim(one);
		dot = one.n > 0 ? memrchr(one.p, '.', one.n) : NULL;
		if (dot != NULL) {
			address = (struct span){one.p, (size_t)(dot - one.p)};
			one = span_from(one, address.n + 1);
		}
		if (num_u32(one, &port) == -1 || port == 0 || port > 65535)
			note(w, k->file, k->port, "one of these is no port");
		else
			put_listener(w, k, ++number, address, one);
	}
	if (number == 0)
		put_listener(w, k, 1, SPAN(""), SPAN("0"));
}

static void
put_listeners(struct writing *w)
{
	for (size_t i = 0; i < ARRAY_LEN(components); i++) {
		const struct component *k = &components[i];

		if (i == 0 || strcmp(k->service, components[i - 1].service) != 0) {
			put(w, SPAN("service "));
			put(w, span_of(k->service));
			put(w, SPAN(" {\n"));
		}
		put_ports(w, k);
		if (i + 1 == ARRAY_LEN(components) ||
		    strcmp(k->service, components[i + 1].service) != 0)
			put(w, SPAN("}\n"));
	}
}

/* `protocols`, of those that any component serves. True when there is one. */
static bool
serves(const struct writing *w, const char *protocol)
{
	for (size_t i = 0; i < ARRAY_LEN(components); i++)
		if (strcmp(components[i].protocol, protocol) == 0 &&
		    runs(w, &components[i]))
			return true;
	return false;
}

static void
put_protocols(struct writing *w)
{
	bool imap = serves(w, "imap"), pop3 = serves(w, "pop3");

	put(w, SPAN("protocols ="));
	if (imap)
		put(w, SPAN(" imap"));
	if (pop3)
		put(w, SPAN(" pop3"));
	if (!imap && !pop3)
		put(w, SPAN(" none"));
	put(w, SPAN("\n"));
}

/* ---- TLS ------------------------------------------------------------------------------ */

/* The file whose TLS counts: that of the component that runs, IMAP's before POP3's. */
static enum courierconf_file
tls_file(const struct writing *w)
{
	bool imap = w->c->path[COURIERCONF_IMAPD_SSL] != NULL;
	bool pop3 = w->c->path[COURIERCONF_POP3D_SSL] != NULL;

	if (imap && (serves(w, "imap") || !pop3))
		return COURIERCONF_IMAPD_SSL;
	return pop3 ? COURIERCONF_POP3D_SSL : COURIERCONF_NFILE;
}

static bool
uses_tls(const struct writing *w)
{
	return is_on(w, COURIERCONF_IMAPD_SSL, "IMAPDSSLSTART") ||
	       is_on(w, COURIERCONF_IMAPD_SSL, "IMAPDSTARTTLS") ||
	       is_on(w, COURIERCONF_POP3D_SSL, "POP3DSSLSTART") ||
	       is_on(w, COURIERCONF_POP3D_SSL, "POP3_STARTTLS");
}

/* Asking for more than one of the two did is the side to err on. */
static bool
requires_tls(struct writing *w)
{
	bool imap = is_on(w, COURIERCONF_IMAPD_SSL, "IMAP_TLS_REQUIRED");
	bool pop3 = is_on(w, COURIERCONF_POP3D_SSL, "POP3_TLS_REQUIRED");

	if (imap && !pop3 && serves(w, "pop3"))
		note(w, COURIERCONF_IMAPD_SSL, "IMAP_TLS_REQUIRED",
		     "it is required for POP3 then, too");
	if (pop3 && !imap && serves(w, "imap"))
		note(w, COURIERCONF_POP3D_SSL, "POP3_TLS_REQUIRED",
		     "it is required for IMAP then, too");
	return imap || pop3;
}

/* `TLSv1.2++` of its OpenSSL, `TLS1_1` and `TLS1` of its GnuTLS. */
static void
put_min_protocol(struct writing *w, enum courierconf_file f)
{
	static const struct {
		const char *courier, *ours;
	} same[] = {
	    {"TLSv1.3++", "TLSv1.3"}, {"TLSv1.3+", "TLSv1.3"},  {"TLSv1.3", "TLSv1.3"},
	    {"TLSv1.2++", "TLSv1.2"}, {"TLSv1.2+", "TLSv1.2"},  {"TLSv1.2", "TLSv1.2"},
	    {"TLS1_2", "TLSv1.2"},    {"TLSv1.1++", "TLSv1.1"}, {"TLSv1.1+", "TLSv1.1"},
	    {"TLSv1.1", "TLSv1.1"},   {"TLS1_1", "TLSv1.1"},    {"TLSv1++", "TLSv1"},
	    {"TLSv1+", "TLSv1"},      {"TLSv1", "TLSv1"},       {"TLS1", "TLSv1"},
	};
	const char *s = value(w, f, "TLS_PROTOCOL");

	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		if (strcmp(s, same[i].courier) == 0) {
			put_setting(w, "", "ssl_min_protocol", same[i].ours);
			return;
		}
	if (s[0] != '\0')
		note(w, f, "TLS_PROTOCOL",
		     "has no counterpart: ssl_min_protocol keeps "
		     "its default");
}

static void
put_client_certificates(struct writing *w, enum courierconf_file f)
{
	const char *verify = value(w, f, "TLS_VERIFYPEER");

	if (strcmp(verify, "PEER") != 0 && strcmp(verify, "REQUIREPEER") != 0)
		return;
	put_file(w, f, "ssl_ca", value(w, f, "TLS_TRUSTCERTS"));
	put_setting(w, "", "ssl_verify_client_cert", "yes");
	if (verify[0] == 'R')
		put_setting(w, "", "auth_ssl_require_client_cert", "yes");
}

static void
put_tls(struct writing *w)
{
	enum courierconf_file f = tls_file(w);
	const char *cert, *key;

	if (f == COURIERCONF_NFILE || !uses_tls(w)) {
		put(w, SPAN("ssl = no\n"));
		return;
	}
	put(w, requires_tls(w) ? SPAN("ssl = required\n") : SPAN("ssl = yes\n"));
	cert = value(w, f, "TLS_CERTFILE");
	key = value(w, f, "TLS_PRIVATE_KEYFILE");
	put_file(w, f, "ssl_cert", cert);
	put_file(w, f, "ssl_key", key[0] != '\0' ? key : cert);
	put_file(w, f, "ssl_dh", value(w, f, "TLS_DHPARAMS"));
	put_min_protocol(w, f);
	if (value(w, f, "TLS_CIPHER_LIST")[0] != '\0')
		put_setting(w, "", "ssl_cipher_list", value(w, f, "TLS_CIPHER_LIST"));
	put_client_certificates(w, f);
	if (f == COURIERCONF_IMAPD_SSL && serves(w, "pop3") &&
	    w->c->path[COURIERCONF_POP3D_SSL] != NULL &&
	    strcmp(cert, value(w, COURIERCONF_POP3D_SSL, "TLS_CERTFILE")) != 0)
		note(w, COURIERCONF_POP3D_SSL, "TLS_CERTFILE",
		     "has no counterpart: IMAP's certificate serves POP3 too");
}

/* ---- logging in ----------------------------------------------------------------------- */

/* Can the passwords of these modules be had in the clear, as challenges want it? */
static const char *
modules(const struct writing *w)
{
	const char *s = value(w, COURIERCONF_AUTHDAEMONRC, "authmodulelist");

	return s[0] != '\0' ? s : "authpam";
}

/* Add `name`, once, when the word is among them: `AUTH=CRAM-MD5`, or without the AUTH=. */
static void
add_mechanism(struct writing *w, struct buf *list, enum courierconf_file f,
              const char *var, struct span word)
{
	static const struct {
		const char *courier, *ours;
	} same[] = {{"LOGIN", "login"}, {"CRAM-MD5", "cram-md5"}};

	if (span_starts(word, SPAN("AUTH=")))
		word = span_from(word, 5);
	else if (f == COURIERCONF_IMAPD)
		return;
	if (span_eq(word, SPAN("PLAIN")))
		return;
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		if (span_eq(word, span_of(same[i].courier))) {
			if (strcmp(same[i].ours, "cram-md5") == 0)
				note(w, f, var,
				     "CRAM-MD5 has no counterpart: the databases "
				     "taken over know no plain password");
			else if (memmem(list->p, list->n, same[i].ours,
			                strlen(same[i].ours)) == NULL &&
			         (buf_addc(list, ' ') == -1 ||
			          buf_add(list, span_of(same[i].ours)) == -1))
				w->failed = true;
			return;
		}
	note(w, f, var, "one of these mechanisms has no counterpart");
}

static void
put_mechanisms(struct writing *w)
{
	static const struct {
		enum courierconf_file file;
		const char *var;
	} from[] = {{COURIERCONF_IMAPD, "IMAP_CAPABILITY"},
	            {COURIERCONF_IMAPD, "IMAP_CAPABILITY_TLS"},
	            {COURIERCONF_POP3D, "POP3AUTH"},
	            {COURIERCONF_POP3D, "POP3AUTH_TLS"}};
	struct buf list = {.max = 4096};
	struct span rest, word;

	if (buf_add(&list, SPAN("plain")) == -1)
		w->failed = true;
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		rest = span_of(value(w, from[i].file, from[i].var));
		while (span_word(&rest, &word))
			add_mechanism(w, &list, from[i].file, from[i].var, word);
	}
	put(w, SPAN("auth_mechanisms = "));
	put(w, buf_span(&list));
	put(w, SPAN("\n"));
	buf_free(&list);
}

static const struct module {
	const char *name;
	const char *passdb, *userdb; /* NULL: has no counterpart */
} known_modules[] = {
    {"authpam", "passdb {\n  driver = pam\n  args = *\n}\n",
     "userdb {\n  driver = passwd\n}\n"},
    {"authpwd", "passdb {\n  driver = passwd\n}\n", "userdb {\n  driver = passwd\n}\n"},
    {"authshadow", "passdb {\n  driver = shadow\n}\n",
     "userdb {\n  driver = passwd\n}\n"},
};

static void
put_databases(struct writing *w)
{
	struct span rest = span_of(modules(w)), word;
	bool users = false;

	if (w->c->path[COURIERCONF_AUTHDAEMONRC] == NULL)
		config_note(w->notes, false, NULL,
		            "authdaemonrc was not read: taken to be authpam");
	while (span_word(&rest, &word)) {
		const struct module *m = known_modules,
		                    *end = m + ARRAY_LEN(known_modules);
		char why[200];

		while (m < end && !span_eq(word, span_of(m->name)))
			m++;
		if (m == end) {
			snprintf(why, sizeof why,
			         "%.*s has no counterpart: write a passdb and a userdb "
			         "for its users",
			         (int)(word.n < 60 ? word.n : 60), word.p);
			note(w, COURIERCONF_AUTHDAEMONRC, "authmodulelist", why);
			continue;
		}
		put(w, span_of(m->passdb));
		if (!users)
			put(w, span_of(m->userdb));
		users = true;
	}
}

/* ---- mail ----------------------------------------------------------------------------- */

static void
put_location(struct writing *w)
{
	enum courierconf_file f = serves(w, "imap") || !serves(w, "pop3")
	                              ? COURIERCONF_IMAPD
	                              : COURIERCONF_POP3D;
	const char *path = value(w, f, "MAILDIRPATH");
	const char *other = value(w, COURIERCONF_POP3D, "MAILDIRPATH");
	char text[4096];

	if (path[0] == '\0')
		path = "Maildir";
	if (f == COURIERCONF_IMAPD && serves(w, "pop3") && other[0] != '\0' &&
	    strcmp(path, other) != 0)
		note(w, COURIERCONF_POP3D, "MAILDIRPATH",
		     "has no counterpart: POP3 serves the same mail as IMAP");
	if ((size_t)snprintf(text, sizeof text, "maildir:%s%s",
	                     path[0] == '/' ? "" : "~/", path) >= sizeof text ||
	    strpbrk(path, ":%") != NULL)
		note(w, f, "MAILDIRPATH", "has no counterpart: this cannot be a path");
	else
		put_setting(w, "", "mail_location", text);
}

/* Courier's clients know every mailbox by a name that begins with `INBOX.`. */
static void
put_namespace(struct writing *w)
{
	const char *name = value(w, COURIERCONF_IMAPD, "IMAP_TRASHFOLDERNAME");

	put(w, SPAN("namespace inbox {\n  inbox = yes\n  separator = .\n"
	            "  prefix = INBOX.\n"));
	if (name[0] != '\0' && !has_control(name) &&
	    strpbrk(name, "\"\\*?{}/") == NULL) {
		put(w, SPAN("  mailbox \""));
		put(w, span_of(name));
		put(w, SPAN("\" {\n    special_use = \\Trash\n  }\n"));
	}
	put(w, SPAN("}\n"));
}

/* How many connections a protocol allows to an address; 0: it does not say, or is off. */
static uint32_t
ceiling(const struct writing *w, const char *protocol, enum courierconf_file f)
{
	const char *s = value(w, f, "MAXPERIP");
	uint32_t n;

	if (s[0] == '\0' || !serves(w, protocol))
		return 0;
	if (num_u32(span_of(s), &n) == 0)
		return n;
	note(w, f, "MAXPERIP", "this is no number");
	return 0;
}

/* One number for both protocols: the larger, so that nobody is shut out who was not. */
static void
put_ceiling(struct writing *w)
{
	uint32_t imap = ceiling(w, "imap", COURIERCONF_IMAPD);
	uint32_t pop3 = ceiling(w, "pop3", COURIERCONF_POP3D);
	char text[16];

	if (imap == 0 && pop3 == 0)
		return;
	if (imap != 0 && pop3 != 0 && imap != pop3)
		note(w, imap < pop3 ? COURIERCONF_IMAPD : COURIERCONF_POP3D, "MAXPERIP",
		     "has no counterpart: the other protocol's counts for both");
	snprintf(text, sizeof text, "%u", imap > pop3 ? imap : pop3);
	put_setting(w, "", "mail_max_userip_connections", text);
}

int
courierconf_write(const struct courierconf *c, struct buf *out, struct config *notes)
{
	struct writing w = {.c = c, .out = out, .notes = notes};
	const char *daemons = value(&w, COURIERCONF_AUTHDAEMONRC, "daemons");
	uint32_t n;

	put_protocols(&w);
	put_location(&w);
	put_tls(&w);
	/* passwords may come in the clear unless TLS is required */
	put(&w, SPAN("disable_plaintext_auth = no\n"));
	put_mechanisms(&w);
	if (num_u32(span_of(daemons), &n) == 0 && n > 0)
		put_setting(&w, "", "auth_worker_max_count", daemons);
	/* what Courier would give to messages that it has not seen yet */
	if (serves(&w, "pop3"))
		put(&w, SPAN("pop3_uidl_format = UID%u-%v\n"));
	put_namespace(&w);
	put_databases(&w);
	put_listeners(&w);
	put_ceiling(&w);
	if (!w.failed)
		return 0;
	errno = ENOMEM;
	return -1;
}
