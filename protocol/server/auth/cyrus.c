#include "protocol/server/auth/cyrus.h"

#ifdef MT_SASL

#include <arpa/inet.h>
#include <limits.h>
#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "protocol/mech.h"
#include "storage/base/log.h"

/* The properties by which its mechanisms ask for a user's secret. */
#define PASSWORD SASL_AUX_PASSWORD
#define SCRAM    "*authPassword"
#define CRAM     "*cmusaslsecretCRAM-MD5"

typedef int callback(void);

struct cyrus {
	const struct config *conf;
	unsigned mech;
	sasl_conn_t *conn;
	sasl_callback_t call[4];
	bool begun;
	bool real;   /* the secret is a user's */
	bool failed; /* the databases could not tell */
	char user[512];
};

/* ---- what the library asks for --------------------------------------------------------- */

/* Every option; those that say where passwords are say: with us. */
static int
get_option(void *arg, const char *plugin, const char *option, const char **value,
           unsigned *n)
{
	static const struct {
		const char *option, *value;
	} ours[] = {{"auxprop_plugin", "mailtree"}, {"pwcheck_method", "auxprop"}};

	(void)arg;
	(void)plugin;
	*value = NULL;
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (strcmp(option, ours[i].option) == 0)
			*value = ours[i].value;
	if (n != NULL)
		*n = *value != NULL ? (unsigned)strlen(*value) : 0;
	return *value != NULL ? SASL_OK : SASL_FAIL;
}

/* No file of /etc is read: there is nothing below this. */
static int
get_config_path(void *arg, char **path)
{
	(void)arg;
	return (*path = strdup("/dev/null")) != NULL ? SASL_OK : SASL_NOMEM;
}

/* Of all that may be installed, the mechanisms that we offer. */
static int
verify_file(void *arg, const char *file, sasl_verify_type_t type)
{
	static const char *const wanted[] = {"libscram", "libcrammd5"};
	const char *name = strrchr(file, '/');

	(void)arg;
	name = name == NULL ? file : name + 1;
	if (type != SASL_VRFY_PLUGIN)
		return SASL_OK;
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		if (span_starts(span_of(name), span_of(wanted[i])))
			return SASL_OK;
	return SASL_CONTINUE;
}

/* Every failure would be a line: ours come from the layer that gives up. */
static int
no_log(void *arg, int level, const char *text)
{
	(void)arg;
	(void)level;
	(void)text;
	return SASL_OK;
}

/* Nobody acts for somebody else: which password counts must be known before that is asked. */
static int
no_proxy(sasl_conn_t *conn, void *arg, const char *user, unsigned n, const char *auth,
         unsigned m, const char *realm, unsigned k, struct propctx *props)
{
	(void)conn, (void)arg, (void)realm, (void)k, (void)props;
	return span_eq((struct span){auth, m}, (struct span){user, n}) ? SASL_OK
	                                                               : SASL_NOAUTHZ;
}

/* Names are taken as the client writes them: authdb.h makes them whole. */
static int
same_name(sasl_conn_t *conn, void *arg, const char *in, unsigned n, unsigned flags,
          const char *realm, char *out, unsigned cap, unsigned *size)
{
	struct cyrus *c = arg;

	(void)conn, (void)realm;
	if (n >= cap || memchr(in, '\0', n) != NULL)
		return SASL_BADPROT;
	memcpy(out, in, n);
	out[n] = '\0';
	*size = n;
	if (flags & SASL_CU_AUTHID &&
	    span_cstr((struct span){in, n}, c->user, sizeof c->user) == -1)
		return SASL_BADPROT;
	return SASL_OK;
}

/* ---- secrets ---------------------------------------------------------------------------- */

/* `iterations,salt,stored,server` as Cyrus has it: `SCRAM-SHA-1$iterations:salt$...`. */
static int
write_scram(const struct authdb_secret *s, struct buf *out)
{
	struct span rest = span_of(s->text),
	            f[4] = {{"", 0}, {"", 0}, {"", 0}, {"", 0}};

	for (size_t i = 0; i < ARRAY_LEN(f); i++)
		(void)span_cut(&rest, ',', &f[i]);
	return buf_addf(out, "%s$%.*s:%.*s$%.*s:%.*s", mech_name(s->form), (int)f[0].n,
	                f[0].p, (int)f[1].n, f[1].p, (int)f[2].n, f[2].p, (int)f[3].n,
	                f[3].p);
}

static int
hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	                              : -1;
}

/*
 * 64 hex digits: the states of MD5 within HMAC-MD5 after its key, the outer one first, of
 * which each word has its low octet first. Cyrus: the inner one first, high octets first.
 */
static int
write_cram(const struct authdb_secret *s, struct buf *out)
{
	char octets[32];

	if (strlen(s->text) != 64)
		return -1;
	for (size_t i = 0; i < 32; i++) {
		int high = hex(s->text[2 * i]), low = hex(s->text[2 * i + 1]);

		if (high == -1 || low == -1)
			return -1;
		octets[((i + 16) % 32 & ~3u) | (3 - i % 4)] = (char)(high << 4 | low);
	}
	return buf_add(out, (struct span){octets, sizeof octets});
}

static int
set_secret(struct cyrus *c, sasl_server_params_t *params, const struct authdb_secret *s)
{
	const char *name = s->form == 0               ? PASSWORD
	                   : s->form == MECH_CRAM_MD5 ? CRAM
	                                              : SCRAM;
	struct buf b = {.max = 2048};
	int rc;

	(void)c;
	rc = s->form == 0               ? buf_add(&b, span_of(s->text))
	     : s->form == MECH_CRAM_MD5 ? write_cram(s, &b)
	                                : write_scram(s, &b);
	if (rc == 0)
		rc = params->utils->prop_set(params->propctx, name, b.p, (int)b.n) ==
		             SASL_OK
		         ? 0
		         : -1;
	if (b.p != NULL)
		explicit_bzero(b.p, b.cap);
	buf_free(&b);
	return rc;
}

/* The mechanism asks for what it knows of the user, whom it names as who proves it. */
static int
look_up(void *context, sasl_server_params_t *params, unsigned flags, const char *user,
        unsigned n)
{
	struct authdb_secret s;
	sasl_callback_ft any;
	void *arg = NULL;
	struct cyrus *c;
	int rc = SASL_OK;

	(void)context;
	if (flags & SASL_AUXPROP_AUTHZID)
		return SASL_OK;
	if (params->utils->getcallback(params->utils->conn, SASL_CB_PROXY_POLICY, &any,
	                               &arg) != SASL_OK ||
	    arg == NULL)
		return SASL_FAIL;
	c = arg;
	if (authdb_secret(c->conf, (struct span){user, n}, c->mech, &s) ==
	        -1 ||
	    set_secret(c, params, &s) == -1) {
		c->failed = true;
		rc = SASL_FAIL;
	}
	c->real = s.real;
	explicit_bzero(&s, sizeof s);
	return rc;
}

static int
init_lookup(const sasl_utils_t *utils, int max, int *version,
            sasl_auxprop_plug_t **plugin, const char *name)
{
	static char ours[] = "mailtree";
	static sasl_auxprop_plug_t plug = {.auxprop_lookup = look_up, .name = ours};

	(void)utils, (void)name;
	if (max < SASL_AUXPROP_PLUG_VERSION)
		return SASL_BADVERS;
	*version = SASL_AUXPROP_PLUG_VERSION;
	*plugin = &plug;
	return SASL_OK;
}

/* ---- dialogues -------------------------------------------------------------------------- */

/* The library's callbacks have every type there is. */
#define CALLBACK(f) ((callback *)(void (*)(void))(f))

int
cyrus_prepare(unsigned mechs)
{
	static const sasl_callback_t call[] = {
	    {SASL_CB_GETOPT, CALLBACK(get_option), NULL},
	    {SASL_CB_GETCONFPATH, CALLBACK(get_config_path), NULL},
	    {SASL_CB_VERIFYFILE, CALLBACK(verify_file), NULL},
	    {SASL_CB_LOG, CALLBACK(no_log), NULL},
	    {SASL_CB_LIST_END, NULL, NULL},
	};
	int rc;

	if (!(mechs & MECH_STORED))
		return 0;
	if ((rc = sasl_server_init(call, "mailtree")) != SASL_OK ||
	    (rc = sasl_auxprop_add_plugin("mailtree", init_lookup)) != SASL_OK) {
		log_error("Cyrus SASL: %s", sasl_errstring(rc, NULL, NULL));
		return -1;
	}
	return 0;
}

static const char *
host_name(void)
{
	static char name[HOST_NAME_MAX + 1];

	if (name[0] == '\0' &&
	    (gethostname(name, sizeof name - 1) == -1 || name[0] == '\0'))
		name[0] = 'x';
	return name;
}

struct cyrus *
cyrus_begin(const struct config *conf, unsigned mech)
{
	struct cyrus *c = calloc(1, sizeof *c);
	sasl_security_properties_t no_layer = {.maxbufsize = 0};
	int rc;

	if (c == NULL)
		return NULL;
	c->conf = conf;
	c->mech = mech;
	c->call[0] = (sasl_callback_t){SASL_CB_PROXY_POLICY, CALLBACK(no_proxy), c};
	c->call[1] = (sasl_callback_t){SASL_CB_CANON_USER, CALLBACK(same_name), c};
	c->call[2] = (sasl_callback_t){SASL_CB_LIST_END, NULL, NULL};
	rc = sasl_server_new("mailtree", host_name(), NULL, NULL, NULL, c->call, 0,
	                     &c->conn);
	if (rc == SASL_OK)
		rc = sasl_setprop(c->conn, SASL_SEC_PROPS, &no_layer);
	if (rc == SASL_OK)
		return c;
	log_error("Cyrus SASL: %s", sasl_errstring(rc, NULL, NULL));
	cyrus_end(c);
	return NULL;
}

/*
 * APOP's answer: the stamp of the greeting, a blank, then what stood behind the command.
 */
static int
check_apop(struct cyrus *c, struct span answer)
{
	struct span rest = answer, stamp;
	char text[512], greeting[256];

	(void)span_cut(&rest, ' ', &stamp);
	if (span_cstr(stamp, greeting, sizeof greeting) == -1 ||
	    span_cstr(rest, text, sizeof text) == -1)
		return SASL_BADPROT;
	return sasl_checkapop(c->conn, greeting, (unsigned)strlen(greeting), text,
	                      (unsigned)strlen(text));
}

static enum dialog_ev
judge(struct cyrus *c, int rc, const char *challenge, unsigned n, struct buf *out)
{
	if (c->failed)
		return DIALOG_FAILED;
	if (rc == SASL_CONTINUE)
		return n <= DIALOG_TEXT_MAX &&
		               buf_add(out, (struct span){challenge, n}) == 0
		           ? DIALOG_CHALLENGE
		           : DIALOG_NOBODY;
	if (rc == SASL_NOMECH) {
		log_error("Cyrus SASL has no %s: is its module installed?",
		          mech_name(c->mech));
		return DIALOG_FAILED;
	}
	return rc == SASL_OK && c->real ? DIALOG_FOUND : DIALOG_NOBODY;
}

enum dialog_ev
cyrus_push(struct cyrus *c, const struct span *answer, struct buf *out)
{
	const char *challenge = NULL, *text = NULL;
	unsigned n = 0, size = 0;
	int rc;

	if (answer != NULL) {
		text = answer->n > 0 ? answer->p : "";
		size = (unsigned)answer->n;
	}
	if (c->mech == MECH_APOP)
		rc = answer != NULL ? check_apop(c, *answer) : SASL_BADPROT;
	else if (!c->begun)
		rc = sasl_server_start(c->conn, mech_name(c->mech), text, size,
		                       &challenge, &n);
	else
		rc = sasl_server_step(c->conn, text, size, &challenge, &n);
	c->begun = true;
	return judge(c, rc, challenge, n, out);
}

struct span
cyrus_user(const struct cyrus *c)
{
	return span_of(c->user);
}

void
cyrus_end(struct cyrus *c)
{
	if (c == NULL)
		return;
	sasl_dispose(&c->conn);
	explicit_bzero(c, sizeof *c);
	free(c);
}

#else

int
cyrus_prepare(unsigned mechs)
{
	(void)mechs;
	return 0;
}

struct cyrus *
cyrus_begin(const struct config *conf, unsigned mech)
{
	(void)conf;
	(void)mech;
	return NULL;
}

enum dialog_ev
cyrus_push(struct cyrus *c, const struct span *answer, struct buf *out)
{
	(void)c;
	(void)answer;
	(void)out;
	return DIALOG_FAILED;
}

struct span
cyrus_user(const struct cyrus *c)
{
	(void)c;
	return SPAN("");
}

void
cyrus_end(struct cyrus *c)
{
	(void)c;
}

#endif
