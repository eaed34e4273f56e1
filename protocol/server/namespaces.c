#include "protocol/server/namespaces.h"

#include "storage/base/treename.h"

static bool
is_private(const struct conf_namespace *ns)
{
	return !ns->disabled && strcmp(ns->type, "private") == 0;
}

const struct conf_namespace *
namespaces_served(const struct config *c)
{
	const struct conf_namespace *first = NULL;

	for (size_t i = 0; i < c->nns; i++) {
		if (is_private(&c->ns[i]) && c->ns[i].inbox)
			return &c->ns[i];
		if (is_private(&c->ns[i]) && first == NULL)
			first = &c->ns[i];
	}
	return first;
}

static char
separator(const struct conf_namespace *ns)
{
	return ns->separator[0] != '\0' ? ns->separator[0] : '.';
}

/* ---- what is wrong ----------------------------------------------------------------- */

static void
check_served(struct config *c, const struct conf_namespace *ns)
{
	struct conf_place at = {ns->file, ns->line, 1, 0};
	size_t n = strlen(ns->prefix);

	if (ns->separator[0] != '\0' && strcmp(ns->separator, ".") != 0 &&
	    strcmp(ns->separator, "/") != 0)
		config_note(c, true, &at, "separator: the value must be . or /");
	else if (n > 0 && ns->prefix[n - 1] != separator(ns))
		config_note(c, true, &at,
		            "prefix: the value must end with the separator %c",
		            separator(ns));
	if (ns->location[0] != '\0' &&
	    strcmp(ns->location, c->text[CONF_MAIL_LOCATION]) != 0)
		config_note(c, false, &at,
		            "location is ignored: a user's mail is at mail_location");
}

static void
check_passed_over(struct config *c, const struct conf_namespace *ns, bool inbox)
{
	struct conf_place at = {ns->file, ns->line, 1, 0};

	if (ns->disabled)
		return;
	if (!is_private(ns))
		config_note(c, false, &at,
		            "this namespace is ignored: %s mailboxes are not in this "
		            "version",
		            ns->type);
	else if (ns->inbox && inbox)
		config_note(
		    c, true, &at,
		    "inbox: another namespace has the INBOX already: remove one");
	else
		config_note(c, false, &at,
		            "this namespace is ignored: a user's mail is in one "
		            "namespace, the one that has the INBOX");
}

static bool
is_use(struct span s)
{
	static const char *const uses[] = {"\\All",     "\\Archive",   "\\Drafts",
	                                   "\\Flagged", "\\Important", "\\Junk",
	                                   "\\Sent",    "\\Trash"};

	for (size_t i = 0; i < ARRAY_LEN(uses); i++)
		if (span_caseeq(s, span_of(uses[i])))
			return true;
	return false;
}

/* Every level of the name must be something. */
static bool
is_mailbox_name(struct span name, char sep)
{
	struct span level;

	if (name.n == 0 || name.p[name.n - 1] == sep)
		return false;
	while (span_cut(&name, sep, &level))
		if (level.n == 0 || memchr(level.p, '/', level.n) != NULL)
			return false;
	return true;
}

static size_t
check_mailbox(struct config *c, const struct conf_namespace *ns,
              const struct conf_mailbox *m)
{
	struct conf_place at = {m->file, m->line, 1, 0};
	struct span rest = span_of(m->special_use), use;
	size_t n = 0;

	for (; span_word(&rest, &use); n++)
		if (!is_use(use))
			config_note(
			    c, true, &at,
			    "special_use: there is no use `%.*s`; \\Sent, \\Trash, "
			    "\\Drafts, \\Junk, \\Archive, \\All, \\Flagged and "
			    "\\Important are known",
			    (int)use.n, use.p);
	if (!is_mailbox_name(span_of(m->name), separator(ns)))
		config_note(c, true, &at, "mailbox %s: this is no name of a mailbox",
		            m->name);
	return n;
}

static void
check_mailboxes(struct config *c, const struct conf_namespace *ns)
{
	size_t n = 0, uses = 0;

	for (size_t i = 0; i < c->nmailbox; i++)
		if (&c->ns[c->mailbox[i].ns] == ns) {
			uses += check_mailbox(c, ns, &c->mailbox[i]);
			n++;
		}
	if (n > NAMESPACES_MAILBOXES_MAX || uses > NAMESPACES_MAILBOXES_MAX)
		config_note(c, true, NULL,
		            "more than %d mailboxes, or special uses, in a namespace",
		            NAMESPACES_MAILBOXES_MAX);
}

void
namespaces_check(struct config *c)
{
	const struct conf_namespace *served = namespaces_served(c);

	for (size_t i = 0; i < c->nns; i++)
		if (&c->ns[i] != served)
			check_passed_over(c, &c->ns[i],
			                  served != NULL && served->inbox);
	if (served == NULL)
		return;
	check_served(c, served);
	check_mailboxes(c, served);
}

/* ---- options ----------------------------------------------------------------------- */

/* `Archive.2024` as the tree has it: Archive/2024. */
static int
add_path(struct buf *out, struct span name, char sep)
{
	struct span level;
	const char *slash = "";

	if (span_caseeq(name, SPAN("INBOX")))
		name = SPAN("INBOX");
	for (; span_cut(&name, sep, &level); slash = "/")
		if (buf_add(out, span_of(slash)) == -1 ||
		    treename_escape(level, false, out) == -1)
			return -1;
	return buf_addc(out, '\0');
}

static int
add_option(struct buf *out, size_t *n, const char *option, const char *value)
{
	*n += 2;
	return buf_addf(out, "%s%c%s", option, '\0', value);
}

static int
add_mailbox(struct buf *out, size_t *n, const struct conf_mailbox *m, char sep)
{
	static const char *const make[] = {
	    [CONF_AUTO_CREATE] = "-C", [CONF_AUTO_SUBSCRIBE] = "-c"};
	struct span rest = span_of(m->special_use), use;

	if (m->make != CONF_AUTO_NO && (add_option(out, n, make[m->make], "") == -1 ||
	                                add_path(out, span_of(m->name), sep) == -1))
		return -1;
	while (span_word(&rest, &use))
		if (add_option(out, n, "-S", "") == -1 || buf_add(out, use) == -1 ||
		    buf_addc(out, ' ') == -1 ||
		    add_path(out, span_of(m->name), sep) == -1)
			return -1;
	return 0;
}

int
namespaces_options(const struct config *c, struct buf *out, size_t *n)
{
	const struct conf_namespace *ns = namespaces_served(c);
	char sep[2] = {0};

	*n = 0;
	if (ns == NULL)
		return 0;
	sep[0] = separator(ns);
	if (add_option(out, n, "-s", sep) == -1 || buf_addc(out, '\0') == -1 ||
	    add_option(out, n, "-p", ns->prefix) == -1 || buf_addc(out, '\0') == -1)
		return -1;
	for (size_t i = 0; i < c->nmailbox; i++)
		if (&c->ns[c->mailbox[i].ns] == ns &&
		    add_mailbox(out, n, &c->mailbox[i], sep[0]) == -1)
			return -1;
	return 0;
}
