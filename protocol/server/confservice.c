#include "protocol/server/confservice.h"

#include <stdlib.h>

#include "protocol/server/config.h"
#include "storage/base/num.h"

static const struct row {
	const char *name, *protocol;
	bool login;
	uint32_t usual[CONF_NLIMIT];
} rows[CONF_NSERVICE] = {
    [CONF_SERVICE_POP3_LOGIN] =
        {"pop3-login",
         "pop3",
         true,
         {[CONF_PROCESS_LIMIT] = 1, [CONF_CLIENT_LIMIT] = CONFSERVICE_CLIENTS_MAX}},
    [CONF_SERVICE_IMAP_LOGIN] =
        {"imap-login",
         "imap",
         true,
         {[CONF_PROCESS_LIMIT] = 1, [CONF_CLIENT_LIMIT] = CONFSERVICE_CLIENTS_MAX}},
    [CONF_SERVICE_POP3] = {"pop3",
                           "pop3",
                           false,
                           {[CONF_PROCESS_LIMIT] = 1024,
                            [CONF_CLIENT_LIMIT] = 1,
                            [CONF_SERVICE_COUNT] = CONFSERVICE_TURNS}},
    [CONF_SERVICE_IMAP] = {"imap",
                           "imap",
                           false,
                           {[CONF_PROCESS_LIMIT] = 1024,
                            [CONF_CLIENT_LIMIT] = 1,
                            [CONF_SERVICE_COUNT] = CONFSERVICE_TURNS}},
};

static const char *const limits[CONF_NLIMIT] = {
    [CONF_CLIENT_LIMIT] = "client_limit",
    [CONF_PROCESS_LIMIT] = "process_limit",
    [CONF_PROCESS_MIN_AVAIL] = "process_min_avail",
    [CONF_SERVICE_COUNT] = "service_count",
    [CONF_MAX_USERIP] = "mail_max_userip_connections",
};

/* More login processes than one for all: one that ends, or is full, is followed by another. */
#define LOGINS_USUAL 100

enum conf_service
confservice_find(struct span name)
{
	int s = 0;

	while (s < CONF_NSERVICE && !span_eq(name, span_of(rows[s].name)))
		s++;
	return (enum conf_service)s;
}

const char *
confservice_name(enum conf_service s)
{
	return rows[s].name;
}

enum conf_limit
confservice_limit(struct span name)
{
	for (int k = 0; k < CONF_MAX_USERIP; k++)
		if (span_eq(name, span_of(limits[k])))
			return (enum conf_limit)k;
	return CONF_NLIMIT;
}

const char *
confservice_set(struct config *c, enum conf_service s, enum conf_limit k,
                struct span value, const struct conf_place *at)
{
	struct conf_limits *l = &c->service[s];
	uint32_t n;

	/* as Dovecot has it: any number, and the usual one */
	if (span_eq(value, SPAN("unlimited")))
		n = k == CONF_SERVICE_COUNT || k == CONF_MAX_USERIP ? 0 : UINT32_MAX;
	else if (num_u32(value, &n) == -1)
		return "the value must be a whole number, or unlimited";
	l->value[k] = n;
	/* 0 of these two stands for the default */
	l->given[k] = n > 0 || (k != CONF_CLIENT_LIMIT && k != CONF_PROCESS_LIMIT);
	l->line[k] = at->line;
	free(l->file);
	l->file = strdup(at->file);
	return NULL;
}

uint32_t
confservice_value(const struct config *c, enum conf_service s, enum conf_limit k)
{
	const struct conf_limits *l = &c->service[s];
	uint32_t count;

	if (l->given[k])
		return l->value[k];
	if (k == CONF_MAX_USERIP)
		return (uint32_t)c->num[CONF_MAIL_MAX_USERIP_CONNECTIONS];
	count = l->given[CONF_SERVICE_COUNT] ? l->value[CONF_SERVICE_COUNT] : 0;
	if (k == CONF_PROCESS_LIMIT && rows[s].login &&
	    (count > 0 || l->given[CONF_CLIENT_LIMIT]))
		return LOGINS_USUAL;
	if (k == CONF_PROCESS_LIMIT && rows[s].login &&
	    l->given[CONF_PROCESS_MIN_AVAIL] && l->value[CONF_PROCESS_MIN_AVAIL] > 1)
		return l->value[CONF_PROCESS_MIN_AVAIL];
	return rows[s].usual[k];
}

uint32_t
confservice_processes(const struct config *c, enum conf_service s)
{
	uint64_t n = confservice_value(c, s, CONF_PROCESS_LIMIT);

	if (rows[s].login)
		return n > CONFSERVICE_LOGINS_MAX ? CONFSERVICE_LOGINS_MAX
		                                  : (uint32_t)n;
	n *= confservice_value(c, s, CONF_CLIENT_LIMIT);
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* ---- judging -------------------------------------------------------------------------- */

static void
warn(struct config *c, enum conf_service s, enum conf_limit k, const char *why)
{
	const struct conf_limits *l = &c->service[s];
	struct conf_place at = {.file = l->file, .line = l->line[k], .col = 1};

	config_note(c, false, l->file != NULL ? &at : NULL, "service %s: %s = %u: %s",
	            rows[s].name, limits[k], l->value[k], why);
}

static void
check_login(struct config *c, enum conf_service s)
{
	const struct conf_limits *l = &c->service[s];
	const uint32_t *v = l->value;

	if (l->given[CONF_PROCESS_LIMIT] &&
	    v[CONF_PROCESS_LIMIT] > CONFSERVICE_LOGINS_MAX)
		warn(c, s, CONF_PROCESS_LIMIT,
		     "there are at most 1000 login processes");
	if (l->given[CONF_CLIENT_LIMIT] &&
	    v[CONF_CLIENT_LIMIT] > CONFSERVICE_CLIENTS_MAX)
		warn(c, s, CONF_CLIENT_LIMIT, "one process has at most 10000 clients");
	if (l->given[CONF_PROCESS_MIN_AVAIL] &&
	    v[CONF_PROCESS_MIN_AVAIL] > confservice_processes(c, s))
		warn(c, s, CONF_PROCESS_MIN_AVAIL,
		     "more than process_limit allows, which counts");
	if (l->given[CONF_SERVICE_COUNT] && l->given[CONF_CLIENT_LIMIT] &&
	    v[CONF_SERVICE_COUNT] > 0 && v[CONF_CLIENT_LIMIT] > v[CONF_SERVICE_COUNT])
		warn(c, s, CONF_CLIENT_LIMIT,
		     "a process never has so many: service_count is less");
	if (l->given[CONF_SERVICE_COUNT] && v[CONF_SERVICE_COUNT] > 0 &&
	    confservice_processes(c, s) == 1)
		warn(c, s, CONF_SERVICE_COUNT,
		     "with process_limit = 1 few clients can log in at a time: raise "
		     "that");
}

static void
check_session(struct config *c, enum conf_service s)
{
	const struct conf_limits *l = &c->service[s];

	if (l->given[CONF_CLIENT_LIMIT] && l->value[CONF_CLIENT_LIMIT] != 1)
		warn(c, s, CONF_CLIENT_LIMIT,
		     "every session has a process of its own; process_limit times this "
		     "is "
		     "how many there may be");
	if (l->given[CONF_PROCESS_MIN_AVAIL] && l->value[CONF_PROCESS_MIN_AVAIL] > 0)
		warn(c, s, CONF_PROCESS_MIN_AVAIL,
		     "sessions start when somebody logs in");
}

static void
check_time(struct config *c, enum conf_key k)
{
	const struct conf_at *at = &c->at[k];
	struct conf_place place = {.file = at->file, .line = at->line, .col = at->col};

	if (c->text[k] != NULL && c->num[k] == 0)
		config_note(c, true, at->file != NULL ? &place : NULL,
		            "%s: the value must be at least 1 sec", config_key_name(k));
}

void
confservice_check(struct config *c)
{
	check_time(c, CONF_LOGIN_TIMEOUT);
	check_time(c, CONF_LOGIN_HANDSHAKE_TIMEOUT);
	for (int s = 0; s < CONF_NSERVICE; s++)
		if (rows[s].login)
			check_login(c, (enum conf_service)s);
		else
			check_session(c, (enum conf_service)s);
}

/* ---- printing ------------------------------------------------------------------------- */

static int
print_limits(struct buf *out, const char *kind, const char *name,
             const struct conf_limits *l, int from, int to)
{
	bool open = false;

	for (int k = from; k < to; k++) {
		if (!l->given[k])
			continue;
		if (!open && buf_addf(out, "%s %s {\n", kind, name) == -1)
			return -1;
		open = true;
		if (buf_addf(out, "  %s = %u\n", limits[k], l->value[k]) == -1)
			return -1;
	}
	return open ? buf_add(out, SPAN("}\n")) : 0;
}

int
confservice_print(const struct config *c, struct buf *out)
{
	for (int s = 0; s < CONF_NSERVICE; s++) {
		const struct conf_limits *l = &c->service[s];

		if (print_limits(out, "service", rows[s].name, l, 0, CONF_MAX_USERIP) ==
		        -1 ||
		    print_limits(out, "protocol", rows[s].protocol, l, CONF_MAX_USERIP,
		                 CONF_NLIMIT) == -1)
			return -1;
	}
	return 0;
}

void
confservice_free(struct config *c)
{
	for (int s = 0; s < CONF_NSERVICE; s++)
		free(c->service[s].file);
}
