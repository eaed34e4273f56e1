/* FETCH: its arguments. */
#include "protocol/imap/fetch.h"

#include <errno.h>

#include "protocol/imap/resync.h"
#include "storage/base/num.h"

static const struct {
	const char *name;
	unsigned items;
} words[] = {
    {"ALL", FETCH_FLAGS | FETCH_DATE | FETCH_SIZE | FETCH_ENVELOPE},
    {"BODY", FETCH_BODY},
    {"BODYSTRUCTURE", FETCH_BODYSTRUCTURE},
    {"ENVELOPE", FETCH_ENVELOPE},
    {"FAST", FETCH_FLAGS | FETCH_DATE | FETCH_SIZE},
    {"FLAGS", FETCH_FLAGS},
    {"FULL", FETCH_FLAGS | FETCH_DATE | FETCH_SIZE | FETCH_ENVELOPE | FETCH_BODY},
    {"INTERNALDATE", FETCH_DATE},
    {"MODSEQ", FETCH_MODSEQ},
    {"RFC822.SIZE", FETCH_SIZE},
    {"SAVEDATE", FETCH_SAVEDATE},
    {"UID", FETCH_UID},
};

static bool
is_macro(const struct arg *a)
{
	return arg_is_atom(a, "ALL") || arg_is_atom(a, "FAST") ||
	       arg_is_atom(a, "FULL");
}

static bool
add_section(struct fetch *f, const struct section *s, const char **why)
{
	struct section *copy;

	*why = "Too many sections in one FETCH.";
	if (f->nsection++ == IMAP_SECTIONS_MAX)
		return false;
	*why = "Out of memory.";
	if ((copy = arena_alloc(&f->im->arena, sizeof *copy)) == NULL)
		return false;
	*copy = *s;
	*f->end = copy;
	f->end = &copy->next;
	return true;
}

static bool
parse_item(struct fetch *f, const struct arg *a, const char **why)
{
	struct section s;

	*why = "No such item of FETCH.";
	if (a->type != ARG_ATOM)
		return false;
	if (a->has_section)
		return section_parse(a, &f->im->arena, &s, why) &&
		       add_section(f, &s, why);
	if (section_rfc822(a, &s))
		return add_section(f, &s, why);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (arg_is_atom(a, words[i].name)) {
			f->items |= words[i].items;
			return true;
		}
	return false;
}

static bool
parse_items(struct fetch *f, const struct arg *a, const char **why)
{
	if (a->type != ARG_LIST)
		return parse_item(f, a, why);
	*why = "FETCH asks for nothing.";
	if (a->child == NULL)
		return false;
	for (a = a->child; a != NULL; a = a->next) {
		*why = "A macro stands alone.";
		if (is_macro(a) || !parse_item(f, a, why))
			return false;
	}
	return true;
}

/* `(CHANGEDSINCE modseq [VANISHED])` (RFC 7162). */
static bool
parse_modifiers(struct fetch *f, const struct arg *list, const char **why)
{
	*why = "Expected: (CHANGEDSINCE modseq [VANISHED]).";
	if (list->type != ARG_LIST || list->next != NULL || list->child == NULL)
		return false;
	for (const struct arg *a = list->child; a != NULL; a = a->next) {
		if (arg_is_atom(a, "VANISHED"))
			f->vanished = true;
		else if (arg_is_atom(a, "CHANGEDSINCE") && (a = a->next) != NULL &&
		         a->type == ARG_ATOM && num_u64(a->text, &f->modseq) == 0)
			f->changedsince = true;
		else
			return false;
	}
	*why = "VANISHED needs UID FETCH, CHANGEDSINCE and QRESYNC enabled.";
	return !f->vanished ||
	       (f->im->cmd->uid && f->changedsince && f->im->enabled & EN_QRESYNC);
}

static bool
parse(struct fetch *f, const struct arg *args, const char **why)
{
	*why = "FETCH takes a set of messages and items.";
	if (args->type != ARG_ATOM || args->has_section || args->next == NULL)
		return false;
	if (!parse_items(f, args->next, why))
		return false;
	if (args->next->next != NULL && !parse_modifiers(f, args->next->next, why))
		return false;
	if (f->im->cmd->uid)
		f->items |= FETCH_UID;
	if (f->changedsince)
		f->items |= FETCH_MODSEQ;
	return true;
}

/*
 * VANISHED speaks of UIDs that are not there: of the set as it was written. Behind the last
 * message others may have been: who says `1:*` means them too.
 */
static int
tell_vanished(struct fetch *f, struct span text)
{
	struct numset set = {0};
	int rc = 0;

	if (span_eq(text, SPAN("$")))
		return 0;
	if (numset_parse(text, UINT32_MAX, IMAP_RANGES_MAX, &set) == 0)
		rc = resync_vanished(f->im, &set, f->modseq);
	numset_free(&set);
	return rc;
}

static int
finish(struct fetch *f)
{
	if (f->lost)
		return imap_no(f->im, "EXPUNGEISSUED",
		               "Some messages were removed by another program.");
	if (f->unknown_cte)
		return imap_no(f->im, "UNKNOWN-CTE",
		               "The encoding of some parts is not known.");
	return imap_ok(f->im, NULL, "FETCH completed.");
}

static int
fetch(struct fetch *f, const struct arg *args)
{
	struct imap *im = f->im;
	const char *why;
	int rc;

	if (!parse(f, args, &why))
		return imap_bad(im, "%s", why);
	if ((rc = imap_set(im, args->text, &f->set, &why)) == 1)
		return imap_bad(im, "%s", why);
	if (rc == -1)
		return imap_failed(im, "FETCH");
	if (f->items & FETCH_MODSEQ && imap_enable(im, EN_CONDSTORE) == -1)
		return -1;
	if (f->vanished && tell_vanished(f, args->text) == -1)
		return im->out->broken ? -1 : imap_failed(im, "FETCH");
	if (fetch_run(f) == -1) {
		if (im->out->broken)
			return -1;
		return imap_failed(im, "FETCH");
	}
	return finish(f);
}

int
cmd_fetch(struct imap *im, const struct arg *args)
{
	struct fetch f = {.im = im, .ranges.max = IMAP_ARENA_MAX};
	int rc;

	f.end = &f.sections;
	rc = fetch(&f, args);
	numset_free(&f.set);
	return rc;
}
