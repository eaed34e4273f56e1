/* The settings in force, written in their own language. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "protocol/server/config.h"
#include "protocol/server/confreader.h"

static int
print_quoted(struct buf *out, const char *s)
{
	if (buf_addc(out, '"') == -1)
		return -1;
	for (; *s != '\0'; s++)
		if (((*s == '"' || *s == '\\') && buf_addc(out, '\\') == -1) ||
		    buf_addc(out, *s) == -1)
			return -1;
	return buf_addc(out, '"');
}

/* Quoted whenever the scanner could read it as something else. */
static int
print_value(struct buf *out, const char *s)
{
	size_t n = strlen(s);
	bool plain = strpbrk(s, "\"'#\\${}") == NULL && s[0] != '<' &&
	             (n == 0 || (!isblank((unsigned char)s[0]) &&
	                         !isblank((unsigned char)s[n - 1])));

	return plain ? buf_add(out, span_of(s)) : print_quoted(out, s);
}

static int
print_setting(struct buf *out, const char *indent, const char *name, const char *value)
{
	if (buf_addf(out, "%s%s =%s", indent, name, value[0] != '\0' ? " " : "") ==
	        -1 ||
	    print_value(out, value) == -1)
		return -1;
	return buf_addc(out, '\n');
}

/* `<` begins no quoted value: there it would be a character like any other. */
static int
print_file(struct buf *out, const char *indent, const char *name, const char *value)
{
	struct buf path = {0};
	int rc;

	if (value[0] == '\0')
		return print_setting(out, indent, name, value);
	rc = print_value(&path, value + 1);
	if (rc == 0 && path.p[0] == '"')
		rc = print_setting(out, indent, name, value);
	else if (rc == 0)
		rc = buf_addf(out, "%s%s = %s\n", indent, name, value);
	buf_free(&path);
	return rc;
}

static int
print_local(struct buf *out, const struct conf_local *l)
{
	if (buf_add(out, SPAN("local_name ")) == -1 ||
	    print_quoted(out, l->names) == -1 || buf_add(out, SPAN(" {\n")) == -1 ||
	    print_file(out, "  ", "ssl_cert", l->cert) == -1 ||
	    print_file(out, "  ", "ssl_key", l->key) == -1 ||
	    (l->password[0] != '\0' &&
	     print_setting(out, "  ", "ssl_key_password", l->password) == -1))
		return -1;
	return buf_add(out, SPAN("}\n"));
}

static const char *const result_names[] = {
    [CONF_RETURN_OK] = "return-ok",
    [CONF_RETURN_FAIL] = "return-fail",
    [CONF_RETURN] = "return",
    [CONF_CONTINUE_OK] = "continue-ok",
    [CONF_CONTINUE_FAIL] = "continue-fail",
    [CONF_CONTINUE] = "continue",
};

static const char *const skip_names[] = {
    [CONF_SKIP_NEVER] = "never",
    [CONF_SKIP_AUTHENTICATED] = "authenticated",
    [CONF_SKIP_UNAUTHENTICATED] = "unauthenticated",
};

int
config_result(struct span s)
{
	for (size_t i = 0; i < ARRAY_LEN(result_names); i++)
		if (span_eq(s, span_of(result_names[i])))
			return (int)i;
	return -1;
}

int
config_skip(struct span s)
{
	for (size_t i = 0; i < ARRAY_LEN(skip_names); i++)
		if (span_eq(s, span_of(skip_names[i])))
			return (int)i;
	return -1;
}

static int
print_result(struct buf *out, const char *name, enum conf_result r, enum conf_result usual)
{
	return r == usual ? 0 : print_setting(out, "  ", name, result_names[r]);
}

static int
print_db(struct buf *out, const char *kind, const struct conf_db *db)
{
	if (buf_addf(out, "%s %s%s{\n", kind, db->name, db->name[0] ? " " : "") == -1 ||
	    (db->args[0] != '\0' && print_setting(out, "  ", "args", db->args) == -1) ||
	    (db->defaults != NULL &&
	     print_setting(out, "  ", "default_fields", db->defaults) == -1) ||
	    (db->deny && print_setting(out, "  ", "deny", "yes") == -1) ||
	    print_setting(out, "  ", "driver", db->driver) == -1 ||
	    (db->master && print_setting(out, "  ", "master", "yes") == -1) ||
	    (db->overrides != NULL &&
	     print_setting(out, "  ", "override_fields", db->overrides) == -1) ||
	    print_result(out, "result_failure", db->failure, CONF_CONTINUE) == -1 ||
	    print_result(out, "result_internalfail", db->internalfail,
	                 CONF_CONTINUE) == -1 ||
	    print_result(out, "result_success", db->success, CONF_RETURN_OK) == -1 ||
	    (db->skip != CONF_SKIP_NEVER &&
	     print_setting(out, "  ", "skip", skip_names[db->skip]) == -1))
		return -1;
	return buf_add(out, SPAN("}\n"));
}

static int
print_listener(struct buf *out, const struct conf_listener *l)
{
	char port[16];

	snprintf(port, sizeof port, "%u", l->port);
	if (buf_addf(out, "service %s {\n  inet_listener %s {\n", l->service,
	             l->name) == -1 ||
	    (l->address != NULL &&
	     print_setting(out, "    ", "address", l->address) == -1) ||
	    print_setting(out, "    ", "port", port) == -1 ||
	    (l->ssl && print_setting(out, "    ", "ssl", "yes") == -1))
		return -1;
	return buf_add(out, SPAN("  }\n}\n"));
}

static int
print_bool(struct buf *out, const char *name, bool on)
{
	return on ? print_setting(out, "  ", name, "yes") : 0;
}

static int
print_text(struct buf *out, const char *indent, const char *name, const char *value)
{
	return value[0] != '\0' ? print_setting(out, indent, name, value) : 0;
}

static int
print_mailbox(struct buf *out, const struct conf_mailbox *m)
{
	static const char *const make[] = {[CONF_AUTO_NO] = "",
	                                   [CONF_AUTO_CREATE] = "create",
	                                   [CONF_AUTO_SUBSCRIBE] = "subscribe"};

	if (buf_add(out, SPAN("  mailbox ")) == -1 ||
	    print_quoted(out, m->name) == -1 || buf_add(out, SPAN(" {\n")) == -1 ||
	    print_text(out, "    ", "auto", make[m->make]) == -1 ||
	    print_text(out, "    ", "special_use", m->special_use) == -1)
		return -1;
	return buf_add(out, SPAN("  }\n"));
}

static int
print_namespace(struct buf *out, const struct config *c, size_t i)
{
	const struct conf_namespace *ns = &c->ns[i];

	if (buf_addf(out, "namespace %s%s{\n", ns->name, ns->name[0] ? " " : "") ==
	        -1 ||
	    print_bool(out, "disabled", ns->disabled) == -1 ||
	    print_bool(out, "inbox", ns->inbox) == -1 ||
	    print_text(out, "  ", "location", ns->location) == -1)
		return -1;
	for (size_t m = 0; m < c->nmailbox; m++)
		if (c->mailbox[m].ns == i && print_mailbox(out, &c->mailbox[m]) == -1)
			return -1;
	if (print_text(out, "  ", "prefix", ns->prefix) == -1 ||
	    print_text(out, "  ", "separator", ns->separator) == -1 ||
	    print_setting(out, "  ", "type", ns->type) == -1)
		return -1;
	return buf_add(out, SPAN("}\n"));
}

int
config_print(const struct config *c, bool changed_only, struct buf *out)
{
	for (enum conf_key k = 0; k < CONF_NKEY; k++)
		if ((!changed_only || strcmp(c->text[k], config_key_default(k)) != 0) &&
		    (config_key_is_file(k) ? print_file : print_setting)(
		        out, "", config_key_name(k), c->text[k]) == -1)
			return -1;
	for (size_t i = 0; i < c->nlocal; i++)
		if (print_local(out, &c->local[i]) == -1)
			return -1;
	for (size_t i = 0; i < c->nns; i++)
		if (print_namespace(out, c, i) == -1)
			return -1;
	for (size_t i = 0; i < c->npassdb; i++)
		if (print_db(out, "passdb", &c->passdb[i]) == -1)
			return -1;
	for (size_t i = 0; i < c->nlistener; i++)
		if (print_listener(out, &c->listener[i]) == -1)
			return -1;
	if (confservice_print(c, out) == -1)
		return -1;
	for (size_t i = 0; i < c->nuserdb; i++)
		if (print_db(out, "userdb", &c->userdb[i]) == -1)
			return -1;
	return 0;
}
