#include "protocol/server/mailwhere.h"

/* Parts that say which mailboxes there are, or how they are called: passing over one would
 * show other mailboxes than the user has. */
static const struct {
	const char *name;
	const char *maildir,
	    *mbox; /* the value that is how it is here anyway; NULL: none */
	const char *why;
} parts[] = {
    {"LAYOUT=", "Maildir++", "fs", "folders lie as Maildir++ and mbox have them"},
    {"DIRNAME=", NULL, NULL, "a mailbox is the directory or file of its name"},
    {"FULLDIRNAME=", NULL, NULL, "a mailbox is the directory or file of its name"},
    {"MAILBOXDIR=", "", "", "mailboxes lie at the path itself"},
    {"SUBSCRIPTIONS=", "subscriptions", ".subscriptions",
     "subscriptions are kept where Dovecot has them"},
    {"BROKENCHAR=", NULL, NULL, "names are escaped by percent signs"},
    {"UTF-8", NULL, NULL, "names in the store are in modified UTF-7"},
    {"ALT=", NULL, NULL, "there is no second place for mail"},
};

static void
judge(struct mailwhere *w, struct span part)
{
	bool mbox = span_eq(w->driver, SPAN("mbox"));

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		struct span name = span_of(parts[i].name);
		const char *same = mbox ? parts[i].mbox : parts[i].maildir;

		if (!span_starts(part, name))
			continue;
		if (same != NULL && span_caseeq(span_from(part, name.n), span_of(same)))
			return;
		w->refused = part;
		w->why = parts[i].why;
		return;
	}
	w->ignored = true;
}

static void
take_inbox(struct mailwhere *w, struct span part)
{
	struct span path = span_from(part, 6);

	if (span_eq(path, w->path))
		return; /* `maildir:~/Maildir:INBOX=~/Maildir` */
	if (span_eq(w->driver, SPAN("mbox")) && path.n > 0) {
		w->inbox = path;
		return;
	}
	w->refused = part;
	w->why = path.n == 0 ? "a path is missing"
	                     : "a Maildir's INBOX is the Maildir itself";
}

void
mailwhere_parse(struct span text, struct mailwhere *w)
{
	struct span part;

	*w = (struct mailwhere){0};
	if (!span_cut(&text, ':', &w->driver))
		return;
	span_cut(&text, ':', &w->path);
	while (w->refused.n == 0 && span_cut(&text, ':', &part))
		if (span_starts(part, SPAN("INBOX=")))
			take_inbox(w, part);
		else if (part.n > 0)
			judge(w, part);
	if (w->refused.n == 0 && span_eq(w->driver, SPAN("mbox")) && w->path.n == 0 &&
	    w->inbox.n == 0) {
		w->refused = w->driver;
		w->why =
		    "neither folders nor an INBOX: write `mbox:~/mail`, "
		    "`mbox:~/mail:INBOX=/var/mail/%u` or `mbox::INBOX=/var/mail/%u`";
	}
}
