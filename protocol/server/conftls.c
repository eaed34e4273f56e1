#include "protocol/server/conftls.h"

#include "protocol/server/tlsproto.h"

/* A certificate without its key, or the other way round. */
static void
check_pair(struct config *c, enum conf_key cert, enum conf_key key)
{
	enum conf_key has = c->text[cert][0] != '\0' ? cert : key;
	struct conf_place at = {c->at[has].file, c->at[has].line, c->at[has].col, 0};

	if ((c->text[cert][0] != '\0') != (c->text[key][0] != '\0'))
		config_note(c, true, at.file != NULL ? &at : NULL, "%s needs %s, too",
		            config_key_name(has),
		            config_key_name(has == cert ? key : cert));
}

static void
check_local(struct config *c, const struct conf_local *l)
{
	struct conf_place at = {l->file, l->line, 1, 0};

	if (l->cert[0] == '\0' || l->key[0] == '\0')
		config_note(c, true, &at, "local_name %s needs ssl_cert and ssl_key",
		            l->names);
}

static void
check_client_certs(struct config *c)
{
	bool asked = c->num[CONF_SSL_VERIFY_CLIENT_CERT];

	if (asked && c->text[CONF_SSL_CA][0] == '\0')
		config_note(
		    c, true, NULL,
		    "ssl_verify_client_cert needs ssl_ca: the certificates that "
		    "vouch for clients");
	if (!asked && c->num[CONF_AUTH_SSL_REQUIRE_CLIENT_CERT])
		config_note(
		    c, true, NULL,
		    "auth_ssl_require_client_cert needs ssl_verify_client_cert = "
		    "yes: without it clients are not asked for one");
	if (!asked && c->num[CONF_AUTH_SSL_USERNAME_FROM_CERT])
		config_note(
		    c, true, NULL,
		    "auth_ssl_username_from_cert needs ssl_verify_client_cert = "
		    "yes: without it clients are not asked for one");
}

static void
check_options(struct config *c)
{
	struct span rest = span_of(c->text[CONF_SSL_OPTIONS]), part, w;

	while (span_cut(&rest, ',', &part))
		while (span_word(&part, &w))
			if (!span_eq(w, SPAN("no_ticket")) &&
			    !span_eq(w, SPAN("no_compression")))
				config_note(c, true, NULL,
				            "ssl_options: there is no option `%.*s`; "
				            "no_ticket and no_compression are known",
				            (int)w.n, w.p);
}

void
conftls_check(struct config *c)
{
	struct conf_place at = {c->at[CONF_SSL].file, c->at[CONF_SSL].line,
	                        c->at[CONF_SSL].col, 0};
	struct conf_place *place = at.file != NULL ? &at : NULL;
	bool cert = c->text[CONF_SSL_CERT][0] != '\0';

	if (c->num[CONF_SSL] == CONF_SSL_NO)
		return;
	check_pair(c, CONF_SSL_CERT, CONF_SSL_KEY);
	check_pair(c, CONF_SSL_ALT_CERT, CONF_SSL_ALT_KEY);
	if (!cert && c->num[CONF_SSL] == CONF_SSL_REQUIRED)
		config_note(
		    c, true, place,
		    "ssl: with `ssl = required` and no certificate nobody could "
		    "log in: set ssl_cert and ssl_key (`mailtree cert` makes "
		    "them)");
	else if (!cert && (c->given[CONF_SSL] || c->nlocal > 0))
		config_note(c, false, place,
		            "ssl: there is no ssl_cert, so TLS is not offered "
		            "(`mailtree cert` makes one)");
	if (tlsproto_allowed(c) == 0)
		config_note(
		    c, true, NULL,
		    "ssl_protocols and ssl_min_protocol leave no version of TLS "
		    "that could be spoken");
	check_client_certs(c);
	check_options(c);
	for (size_t i = 0; i < c->nlocal; i++)
		check_local(c, &c->local[i]);
}
