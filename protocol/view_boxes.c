/* view_boxes: mailboxes as a whole, by the ctl of any one of them. */
#include "protocol/view.h"

#include <errno.h>
#include <stdlib.h>

#include "protocol/use.h"

#define TEXT_MAX (sizeof((struct mt_ctl *)NULL)->text)

/* ---- the list ------------------------------------------------------------------------- */

/* Comma list, or `-`. What a newer daemon knows besides is passed over. */
static unsigned
uses_of(struct span text)
{
	unsigned set = 0;
	struct span name;

	while (span_cut(&text, ',', &name))
		set |= use_by_name(name);
	return set;
}

/* `[mf-][s-] USES PATH` */
static int
parse_line(struct span line, struct view_mailbox *box)
{
	struct span marks, use;

	if (!span_cut(&line, ' ', &marks) || marks.n != 2 ||
	    !span_cut(&line, ' ', &use) || line.n == 0) {
		errno = EPROTO;
		return -1;
	}
	*box = (struct view_mailbox){.path = line,
	                             .exists = marks.p[0] == 'm' || marks.p[0] == 'f',
	                             .leaf = marks.p[0] == 'f',
	                             .subscribed = marks.p[1] == 's',
	                             .use = uses_of(use)};
	return 0;
}

struct page {
	struct buf reply;
	struct buf ask; /* `mailboxes PATH`: those behind PATH */
};

/* Hand out the page, and make the ask for the next one. */
static int
each_line(struct page *p, int (*each)(void *, const struct view_mailbox *), void *arg)
{
	struct span text = buf_span(&p->reply), line;
	struct view_mailbox box = {0};
	int rc;

	while (span_cut(&text, '\n', &line))
		if ((rc = parse_line(line, &box)) != 0 || (rc = each(arg, &box)) != 0)
			return rc;
	buf_reset(&p->ask);
	if (buf_add(&p->ask, SPAN("mailboxes ")) == -1)
		return -1;
	return buf_add(&p->ask, box.path);
}

int
view_mailboxes(struct view *v, int (*each)(void *, const struct view_mailbox *),
               void *arg)
{
	struct page p = {{.max = TEXT_MAX}, {.max = TEXT_MAX}};
	int rc = buf_add(&p.ask, SPAN("mailboxes")), more = 1;

	while (rc == 0 && more == 1) {
		buf_reset(&p.reply);
		if ((more = view_ctl(v, buf_span(&p.ask), &p.reply, NULL)) == -1)
			rc = -1;
		else if (more == 1 && p.reply.n == 0) { /* would never end */
			errno = EPROTO;
			rc = -1;
		} else
			rc = each_line(&p, each, arg);
	}
	buf_free(&p.reply);
	buf_free(&p.ask);
	return rc;
}

/* ---- changes ---------------------------------------------------------------------------- */

/* `VERB PATH`, and behind a tab what else there is. */
static int
say(struct view *v, struct span verb, struct span path, struct span more)
{
	struct buf ask = {.max = TEXT_MAX};
	int rc = -1;

	/* no mailbox has such a name, and the text would say something else */
	if (path.n == 0 || memchr(path.p, '\t', path.n) != NULL ||
	    memchr(path.p, '\n', path.n) != NULL)
		errno = EINVAL;
	else if (buf_add(&ask, verb) == 0 && buf_addc(&ask, ' ') == 0 &&
	         buf_add(&ask, path) == 0 &&
	         (more.n == 0 ||
	          (buf_addc(&ask, '\t') == 0 && buf_add(&ask, more) == 0)))
		rc = view_ctl(v, buf_span(&ask), NULL, NULL);
	buf_free(&ask);
	return rc;
}

int
view_create(struct view *v, struct span path, unsigned use)
{
	struct buf list = {0};
	const char *name;
	int rc = 0;

	while (rc == 0 && (name = use_name(&use)) != NULL)
		rc = buf_addf(&list, "%s%s", list.n > 0 ? "," : "", name);
	if (rc == 0)
		rc = say(v, SPAN("create"), path, buf_span(&list));
	buf_free(&list);
	return rc;
}

int
view_delete(struct view *v, struct span path)
{
	return say(v, SPAN("delete"), path, SPAN(""));
}

int
view_rename(struct view *v, struct span from, struct span to)
{
	if (to.n == 0 || memchr(to.p, '\t', to.n) != NULL ||
	    memchr(to.p, '\n', to.n) != NULL) {
		errno = EINVAL;
		return -1;
	}
	return say(v, SPAN("rename"), from, to);
}

int
view_subscribe(struct view *v, struct span path, bool on)
{
	return say(v, on ? SPAN("subscribe") : SPAN("unsubscribe"), path, SPAN(""));
}
