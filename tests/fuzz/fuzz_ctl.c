/* fuzz_ctl: whatever is written to ctl is understood within bounds or refused with a reason. */
#include "fs/ctl.h"

#include <errno.h>

#include "tests/fuzz/fuzz.h"

static struct span text;

static bool
is_inside(struct span s)
{
	return s.n == 0 || (s.p >= text.p && s.p + s.n <= text.p + text.n);
}

static void
check_list(const struct ctl_list *l)
{
	REQUIRE((l->flags & ~MT_FLAGS) == 0);
	REQUIRE(l->nkeyword <= MT_NKEYWORD);
	for (unsigned i = 0; i < l->nkeyword; i++)
		REQUIRE(l->keyword[i].n > 0 && is_inside(l->keyword[i]) &&
			l->keyword[i].p[0] != '\\');
}

static void
check_set(const struct numset *set)
{
	REQUIRE(set->n <= CTL_RANGE_MAX);
	for (size_t i = 0; i < set->n; i++) {
		REQUIRE(set->r[i].lo > 0 && set->r[i].lo <= set->r[i].hi);
		REQUIRE(i == 0 || set->r[i - 1].hi + 1 < set->r[i].lo);
	}
}

static void
check_commits(const struct ctl *c)
{
	REQUIRE((c->ncommit > 0) == (c->verb == CTL_COMMIT || c->verb == CTL_MARK));
	REQUIRE(c->verb == CTL_COMMIT || c->ncommit <= 1);
	REQUIRE(c->ncommit <= CTL_COMMIT_MAX);
	for (size_t i = 0; i < c->ncommit; i++) {
		REQUIRE(c->commit[i].name.n > 0 && is_inside(c->commit[i].name));
		REQUIRE(memchr(c->commit[i].name.p, '\n', c->commit[i].name.n) == NULL);
		check_list(&c->commit[i].list);
	}
}

static bool
takes_name(enum ctl_verb verb)
{
	switch (verb) {
	case CTL_COPY:
	case CTL_MOVE:
	case CTL_KEYWORD:
	case CTL_CREATE:
	case CTL_DELETE:
	case CTL_RENAME:
	case CTL_SUBSCRIBE:
	case CTL_UNSUBSCRIBE:
		return true;
	default:
		return false;
	}
}

static void
check_good(const struct ctl *c)
{
	REQUIRE(c->timeout_ms >= 0 && c->timeout_ms <= CTL_WAIT_MS);
	REQUIRE(is_inside(c->name));
	REQUIRE(c->name.n == 0 || memchr(c->name.p, '\n', c->name.n) == NULL);
	REQUIRE(c->verb == CTL_MAILBOXES || (c->name.n > 0) == takes_name(c->verb));
	REQUIRE(is_inside(c->newname) && (c->newname.n > 0) == (c->verb == CTL_RENAME));
	REQUIRE(c->newname.n == 0 || memchr(c->newname.p, '\n', c->newname.n) == NULL);
	REQUIRE(c->use <= 255 && (c->use == 0 || c->verb == CTL_CREATE));
	REQUIRE((c->from > 0) == (c->verb == CTL_VANISHED));
	check_list(&c->list);
	check_set(&c->set);
	check_commits(c);
}

static void
check_bad(int err, const char *why)
{
	REQUIRE(err == EINVAL || err == EMSGSIZE);
	REQUIRE(why != NULL && *why != '\0' && strchr(why, '\n') == NULL);
}

/* The same with a line end more: it is optional. */
static void
check_line_end(const struct ctl *c)
{
	struct buf longer = {0};
	const char *why;
	struct ctl again;

	if (text.n == CTL_TEXT_MAX || buf_add(&longer, text) == -1 || buf_addc(&longer, '\n') == -1)
		goto out;
	REQUIRE(ctl_parse(buf_span(&longer), 1000, &again, &why) == 0);
	REQUIRE(again.verb == c->verb && again.ncommit == c->ncommit && again.set.n == c->set.n);
	ctl_free(&again);
out:
	buf_free(&longer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = NULL;
	struct ctl c;

	text = (struct span){(const char *)data, size};
	if (ctl_parse(text, 1000, &c, &why) == -1)
		check_bad(errno, why);
	else {
		check_good(&c);
		check_line_end(&c);
	}
	ctl_free(&c);
	return 0;
}
