#include "fs/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/base/num.h"

static int
bad(const char **why, const char *text)
{
	*why = text;
	errno = EINVAL;
	return -1;
}

/* ---- words ---------------------------------------------------------------------- */

static const struct {
	struct span name;
	uint16_t flag;
} flag_names[] = {
	{{"\\Seen", 5}, MT_SEEN},	{{"\\Answered", 9}, MT_ANSWERED},
	{{"\\Flagged", 8}, MT_FLAGGED}, {{"\\Deleted", 8}, MT_DELETED},
	{{"\\Draft", 6}, MT_DRAFT},
};

static int
add_flag(struct ctl_list *l, struct span name, const char **why)
{
	if (name.n == 0)
		return bad(why, "empty flag name");
	if (name.p[0] != '\\') {
		if (l->nkeyword == MT_NKEYWORD)
			return bad(why, "more than 26 keywords");
		l->keyword[l->nkeyword++] = name;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(flag_names); i++)
		if (span_caseeq(name, flag_names[i].name)) {
			l->flags |= flag_names[i].flag;
			return 0;
		}
	return bad(why, "no such system flag");
}

static int
parse_list(struct span text, struct ctl_list *l, const char **why)
{
	struct span name;

	if (text.n > 0 && text.p[text.n - 1] == ',')
		return bad(why, "empty flag name");
	while (span_cut(&text, ',', &name))
		if (add_flag(l, name, why) == -1)
			return -1;
	return 0;
}

static int
parse_set(struct span *rest, uint32_t star, struct ctl *c, const char **why)
{
	struct span word;

	if (!span_word(rest, &word))
		return bad(why, "a UID set is missing");
	if (numset_parse(word, star, CTL_RANGE_MAX, &c->set) == -1) {
		*why = errno == EMSGSIZE ? "the UID set has too many ranges"
					 : "not a UID set";
		return -1;
	}
	return 0;
}

static int
at_end(struct span rest, const char **why)
{
	struct span word;

	return span_word(&rest, &word) ? bad(why, "words that do not belong here") : 0;
}

/* ---- commands ------------------------------------------------------------------- */

struct parse {
	struct span rest; /* of the first line, behind the verb */
	struct span more; /* the following lines */
	uint32_t star;
	const char **why;
};

static int
parse_flags(struct parse *p, struct ctl *c)
{
	struct span word, n;

	if (!span_word(&p->rest, &word))
		return bad(p->why, "flags are missing");
	switch (word.p[0]) {
	case '+':
		c->how = FLAGS_ADD;
		break;
	case '-':
		c->how = FLAGS_REMOVE;
		break;
	case '=':
		c->how = FLAGS_REPLACE;
		break;
	default:
		return bad(p->why, "flags begin with +, - or =");
	}
	if (parse_list(span_from(word, 1), &c->list, p->why) == -1 ||
	    parse_set(&p->rest, p->star, c, p->why) == -1)
		return -1;
	if (!span_word(&p->rest, &word))
		return 0;
	if (!span_eq(word, SPAN("unchangedsince")) || !span_word(&p->rest, &n) ||
	    num_u64(n, &c->unchangedsince) == -1)
		return bad(p->why, "expected: unchangedsince MODSEQ");
	return at_end(p->rest, p->why);
}

static int
parse_keyword(struct parse *p, struct ctl *c)
{
	if (!span_word(&p->rest, &c->name))
		return bad(p->why, "a keyword is missing");
	return at_end(p->rest, p->why);
}

static int
parse_expunge(struct parse *p, struct ctl *c)
{
	struct span word;

	if (parse_set(&p->rest, p->star, c, p->why) == -1)
		return -1;
	if (!span_word(&p->rest, &word))
		return 0;
	if (!span_eq(word, SPAN("deleted")))
		return bad(p->why, "expected: deleted");
	c->deleted_only = true;
	return at_end(p->rest, p->why);
}

/* A mailbox's name may hold blanks, also at its ends: the rest of the line behind one. */
static int
parse_path(struct parse *p, struct ctl *c)
{
	c->name = span_from(p->rest, 1);
	return c->name.n == 0 ? bad(p->why, "a mailbox is missing") : 0;
}

static int
parse_copy(struct parse *p, struct ctl *c)
{
	return parse_set(&p->rest, p->star, c, p->why) == -1 ? -1 : parse_path(p, c);
}

static int
parse_mailboxes(struct parse *p, struct ctl *c)
{
	c->name = span_from(p->rest, 1);
	return 0;
}

static int
parse_create(struct parse *p, struct ctl *c)
{
	struct span uses, name;

	if (parse_path(p, c) == -1)
		return -1;
	uses = c->name;
	(void)span_cut(&uses, '\t', &c->name);
	if (c->name.n == 0)
		return bad(p->why, "a mailbox is missing");
	while (span_cut(&uses, ',', &name))
		if (!use_find(name, &c->use))
			return bad(p->why, "no such special use");
	return 0;
}

static int
parse_rename(struct parse *p, struct ctl *c)
{
	if (parse_path(p, c) == -1)
		return -1;
	c->newname = c->name;
	(void)span_cut(&c->newname, '\t', &c->name);
	return c->name.n == 0 || c->newname.n == 0
		       ? bad(p->why, "expected: rename PATH<TAB>PATH")
		       : 0;
}

static int
parse_vanished(struct parse *p, struct ctl *c)
{
	struct span word;

	c->from = 1;
	if (!span_word(&p->rest, &word) || num_u64(word, &c->modseq) == -1)
		return bad(p->why, "a modseq is missing");
	if (!span_word(&p->rest, &word))
		return 0;
	if (num_u32(word, &c->from) == -1 || c->from == 0)
		return bad(p->why, "not a UID");
	return at_end(p->rest, p->why);
}

static int
parse_sizes(struct parse *p, struct ctl *c)
{
	struct span word;
	uint32_t ms;

	if (parse_set(&p->rest, p->star, c, p->why) == -1)
		return -1;
	if (!span_word(&p->rest, &word))
		return 0;
	if (num_u32(word, &ms) == -1)
		return bad(p->why, "not a time in milliseconds");
	c->timeout_ms = ms > CTL_WAIT_MS ? CTL_WAIT_MS : (int)ms;
	return at_end(p->rest, p->why);
}

static int
parse_one_set(struct parse *p, struct ctl *c)
{
	if (parse_set(&p->rest, p->star, c, p->why) == -1)
		return -1;
	return at_end(p->rest, p->why);
}

static int
parse_nothing(struct parse *p, struct ctl *c)
{
	(void)c;
	return at_end(p->rest, p->why);
}

/* Seconds may be before 1970. */
static int
parse_date(struct span word, int64_t *date)
{
	bool minus = word.n > 0 && word.p[0] == '-';
	uint64_t n;

	if (num_u64(span_from(word, minus), &n) == -1 || n > INT64_MAX)
		return -1;
	*date = minus ? -(int64_t)n : (int64_t)n;
	return 0;
}

static int
commit_line(struct span line, struct ctl_commit *cl, const char **why)
{
	struct span word, value;

	*cl = (struct ctl_commit){.date = INT64_MIN};
	if (!span_word(&line, &cl->name))
		return bad(why, "a draft's name is missing");
	while (span_word(&line, &word)) {
		bool given = span_word(&line, &value);

		if (span_eq(word, SPAN("date"))) {
			if (!given || parse_date(value, &cl->date) == -1)
				return bad(why, "expected: date SECONDS");
		} else if (span_eq(word, SPAN("flags"))) {
			if (given && parse_list(value, &cl->list, why) == -1)
				return -1;
		} else
			return bad(why, "expected: date or flags");
	}
	return 0;
}

static int
add_commit(struct ctl *c, struct span line, const char **why)
{
	struct ctl_commit *p;

	if (c->ncommit == CTL_COMMIT_MAX) {
		*why = "too many lines in one commit";
		errno = EMSGSIZE;
		return -1;
	}
	if ((p = reallocarray(c->commit, c->ncommit + 1, sizeof *p)) == NULL)
		return -1;
	c->commit = p;
	return commit_line(line, &c->commit[c->ncommit++], why);
}

static int
parse_commit(struct parse *p, struct ctl *c)
{
	struct span line, word;

	if (add_commit(c, p->rest, p->why) == -1)
		return -1;
	while (span_cut(&p->more, '\n', &line)) {
		if (line.n == 0)
			continue;
		if (!span_word(&line, &word) || !span_eq(word, SPAN("commit")))
			return bad(p->why, "every line of a commit begins with commit");
		if (add_commit(c, line, p->why) == -1)
			return -1;
	}
	return 0;
}

static int
parse_mark(struct parse *p, struct ctl *c)
{
	return add_commit(c, p->rest, p->why);
}

/* ---- dispatch ------------------------------------------------------------------- */

static const struct verb {
	struct span name;
	enum ctl_verb verb;
	int (*parse)(struct parse *, struct ctl *);
} verbs[] = {
	{{"commit", 6}, CTL_COMMIT, parse_commit},
	{{"copy", 4}, CTL_COPY, parse_copy},
	{{"create", 6}, CTL_CREATE, parse_create},
	{{"delete", 6}, CTL_DELETE, parse_path},
	{{"expunge", 7}, CTL_EXPUNGE, parse_expunge},
	{{"flags", 5}, CTL_FLAGS, parse_flags},
	{{"keyword", 7}, CTL_KEYWORD, parse_keyword},
	{{"mailboxes", 9}, CTL_MAILBOXES, parse_mailboxes},
	{{"mark", 4}, CTL_MARK, parse_mark},
	{{"move", 4}, CTL_MOVE, parse_copy},
	{{"names", 5}, CTL_NAMES, parse_one_set},
	{{"recent", 6}, CTL_RECENT, parse_nothing},
	{{"rename", 6}, CTL_RENAME, parse_rename},
	{{"sizes", 5}, CTL_SIZES, parse_sizes},
	{{"subscribe", 9}, CTL_SUBSCRIBE, parse_path},
	{{"sync", 4}, CTL_SYNC, parse_nothing},
	{{"uidl", 4}, CTL_UIDL, parse_one_set},
	{{"unsubscribe", 11}, CTL_UNSUBSCRIBE, parse_path},
	{{"vanished", 8}, CTL_VANISHED, parse_vanished},
};

static const struct verb *
find_verb(struct span word)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (span_eq(word, verbs[i].name))
			return &verbs[i];
	return NULL;
}

static int
no_more_lines(struct span more, const char **why)
{
	struct span line;

	while (span_cut(&more, '\n', &line))
		if (span_trim(line).n > 0)
			return bad(why, "more than one line");
	return 0;
}

int
ctl_parse(struct span text, uint32_t star, struct ctl *c, const char **why)
{
	struct parse p = {.more = text, .star = star, .why = why};
	const struct verb *v;
	struct span word;

	*c = (struct ctl){.unchangedsince = UINT64_MAX, .timeout_ms = CTL_WAIT_MS};
	*why = "out of memory";
	if (text.n > CTL_TEXT_MAX) {
		*why = "the command is too long";
		errno = EMSGSIZE;
		return -1;
	}
	if (text.n > 0 && memchr(text.p, '\0', text.n) != NULL)
		return bad(why, "a NUL in the command");
	if (!span_cut(&p.more, '\n', &p.rest) || !span_word(&p.rest, &word))
		return bad(why, "no command");
	if ((v = find_verb(word)) == NULL)
		return bad(why, "no such command");
	c->verb = v->verb;
	if (v->parse(&p, c) == -1)
		return -1;
	return v->verb == CTL_COMMIT ? 0 : no_more_lines(p.more, why);
}

void
ctl_free(struct ctl *c)
{
	numset_free(&c->set);
	free(c->commit);
	c->commit = NULL;
	c->ncommit = 0;
}

const char *
ctl_errno_name(int err)
{
	const char *name = strerrorname_np(err);

	return name == NULL ? "EIO" : name;
}

void
ctl_print_error(struct buf *reply, int err, const char *why)
{
	buf_reset(reply);
	buf_addf(reply, "error %s %s\n", ctl_errno_name(err), why);
}
