#include "protocol/server/confcheck.h"

#include "protocol/pop3/uidl.h"
#include "protocol/server/secretcheck.h"
#include "protocol/server/tlskeys.h"
#include "storage/base/log.h"

int
confcheck_load(struct config *c, const char *path, struct buf *keys)
{
	struct uidl uidl;
	struct tlskeys files;
	const char *why;

	(void)config_load(c, path);
	if (c->text[CONF_POP3_UIDL_FORMAT] != NULL &&
	    uidl_compile(span_of(c->text[CONF_POP3_UIDL_FORMAT]), &uidl, &why) == -1)
		config_note(c, true, NULL, "pop3_uidl_format: %s", why);
	if (c->text[CONF_AUTH_MECHANISMS] != NULL)
		secretcheck(c);
	if (c->text[CONF_SSL] != NULL && tlskeys_load(&files, c) == 0 && keys != NULL &&
	    c->nerror == 0 && tlskeys_print(&files, keys) == -1)
		config_note(c, true, NULL, "out of memory");
	if (c->text[CONF_SSL] != NULL)
		tlskeys_free(&files);
	return c->nerror == 0 ? 0 : -1;
}

void
confcheck_log(const struct config *c)
{
	struct buf text = {0};
	struct span rest, line;

	if (config_print_notes(c, &text) == -1)
		log_error("out of memory");
	rest = buf_span(&text);
	while (span_cut(&rest, '\n', &line))
		if (memmem(line.p, line.n, "warning: ", 9) != NULL &&
		    memmem(line.p, line.n, "error: ", 7) == NULL)
			log_warn("%.*s", (int)line.n, line.p);
		else
			log_error("%.*s", (int)line.n, line.p);
	buf_free(&text);
}
