/*
 * What an older dialect says in one place and a newer one in another, put into the newer's
 * when all texts are in.
 */
#include <errno.h>

#include "protocol/server/confreader.h"

/*
 * Version 1 names imaps and pop3s among the protocols: there a protocol without its `s`
 * listens for clear text only, and the `s` alone for TLS only. Version 2 has one protocol and
 * two listeners, which are both on.
 */
static const struct {
	struct span plain, tls, service;
} protocols[] = {
    {{"imap", 4}, {"imaps", 5}, {"imap-login", 10}},
    {{"pop3", 4}, {"pop3s", 5}, {"pop3-login", 10}},
};

static bool
has_listener(const struct config *c, struct span service, struct span name)
{
	for (size_t i = 0; i < c->nlistener; i++)
		if (span_eq(service, span_of(c->listener[i].service)) &&
		    span_eq(name, span_of(c->listener[i].name)))
			return true;
	return false;
}

/* `imaps` without `imap`: nothing listens on 143, unless a block says so. */
static void
settle_listeners(struct config *c)
{
	struct reader r = {.conf = c, .at = {.file = "protocols", .line = 1, .col = 1}};

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		struct conf_listener *l;
		struct span service = protocols[i].service;

		if (!config_has_word(c, CONF_PROTOCOLS, protocols[i].tls))
			continue;
		(void)confset_listener(&r, service, protocols[i].tls);
		if (!config_has_word(c, CONF_PROTOCOLS, protocols[i].plain) &&
		    !has_listener(c, service, protocols[i].plain) &&
		    (l = confset_listener(&r, service, protocols[i].plain)) != NULL)
			l->port = 0;
	}
}

/* The word without the `s` of version 1, or itself. */
static struct span
newer(struct span word)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (span_eq(word, protocols[i].tls))
			return protocols[i].plain;
	return word;
}

static bool
among(struct span words, struct span word)
{
	struct span w;

	while (span_word(&words, &w))
		if (span_eq(w, word))
			return true;
	return false;
}

static void
settle_protocols(struct config *c)
{
	struct span rest = span_of(c->text[CONF_PROTOCOLS]), part, w;
	struct buf words = {0};
	const char *why;
	bool ok = true;

	while (span_cut(&rest, ',', &part))
		while (span_word(&part, &w)) {
			w = newer(w);
			if (!among(buf_span(&words), w))
				ok = ok &&
				     (words.n == 0 || buf_addc(&words, ' ') == 0) &&
				     buf_add(&words, w) == 0;
		}
	if (!ok || config_set(c, CONF_PROTOCOLS, buf_span(&words), &why) == -1)
		config_note(c, true, NULL, "out of memory");
	buf_free(&words);
}

void
confdialect_finish(struct config *c)
{
	bool old = false;

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (config_has_word(c, CONF_PROTOCOLS, protocols[i].tls))
			old = true;
	if (!old)
		return;
	settle_listeners(c);
	settle_protocols(c);
}
