/* STORE (RFC 9051 section 6.4.6) with UNCHANGEDSINCE (RFC 7162 section 3.1.3). */
#include <errno.h>
#include <inttypes.h>

#include "protocol/imap/flags.h"
#include "protocol/imap/imap.h"
#include "protocol/imap/news.h"
#include "storage/base/num.h"

#define BLOCK 1024 /* records at a time */

struct store {
	struct numset set;
	char how; /* + - = */
	bool silent;
	bool conditional;
	uint64_t unchangedsince;
	struct buf flags; /* as ctl takes them */
	uint16_t bits;    /* the same, once they all exist */
	uint32_t keywords;
	struct numset modified;
};

/* ---- arguments ---------------------------------------------------------------------------- */

static bool
parse_modifier(const struct arg *a, struct store *s, const char **why)
{
	*why = "Expected: (UNCHANGEDSINCE modseq).";
	if (!arg_is_atom(a->child, "UNCHANGEDSINCE") || a->child->next == NULL ||
	    a->child->next->next != NULL || a->child->next->type != ARG_ATOM)
		return false;
	s->conditional = true;
	return num_u64(a->child->next->text, &s->unchangedsince) == 0;
}

static bool
parse_item(struct span item, struct store *s, const char **why)
{
	s->how = '=';
	if (item.n > 0 && (item.p[0] == '+' || item.p[0] == '-')) {
		s->how = item.p[0];
		item = span_from(item, 1);
	}
	*why = "STORE changes FLAGS.";
	if (span_caseeq(item, SPAN("FLAGS.SILENT")))
		s->silent = true;
	else if (!span_caseeq(item, SPAN("FLAGS")))
		return false;
	return true;
}

static bool
parse(const struct arg *a, struct store *s, const char **why)
{
	*why = "STORE takes a set, an item and flags.";
	if ((a = a->next) == NULL)
		return false;
	if (a->type == ARG_LIST) {
		if (!parse_modifier(a, s, why))
			return false;
		*why = "STORE takes a set, an item and flags.";
		if ((a = a->next) == NULL)
			return false;
	}
	if (a->type != ARG_ATOM || a->has_section)
		return false;
	if (!parse_item(a->text, s, why))
		return false;
	*why = "Flags are missing.";
	if ((a = a->next) == NULL)
		return false;
	if (a->type == ARG_LIST) {
		*why = "Something follows the flags.";
		return a->next == NULL && flags_parse(a->child, &s->flags, why);
	}
	return flags_parse(a, &s->flags, why);
}

/* ---- what became of them ----------------------------------------------------------------------- */

/* A keyword that the table did not have has been made. */
static int
learn_keywords(struct imap *im)
{
	struct mailbox *mb = im->box;
	struct mt_header now;

	if (view_header(&mb->view, &now) == -1)
		return -1;
	if (memcmp(now.keyword, mb->head.keyword, sizeof now.keyword) == 0)
		return 0;
	memcpy(mb->head.keyword, now.keyword, sizeof now.keyword);
	mb->head.nkeyword = now.nkeyword;
	return news_flags(im);
}

/* Bits of the flags that were named. */
static void
find_bits(const struct mailbox *mb, struct store *s)
{
	static const struct {
		const char *name;
		uint16_t bit;
	} known[] = {{"\\Seen", MT_SEEN},
	             {"\\Answered", MT_ANSWERED},
	             {"\\Flagged", MT_FLAGGED},
	             {"\\Deleted", MT_DELETED},
	             {"\\Draft", MT_DRAFT}};
	struct span rest = buf_span(&s->flags), name;

	while (span_cut(&rest, ',', &name)) {
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			if (span_caseeq(name, span_of(known[i].name)))
				s->bits |= known[i].bit;
		for (unsigned k = 0; k < mb->head.nkeyword && k < MT_NKEYWORD; k++)
			if (span_caseeq(name, span_of(mb->head.keyword[k])))
				s->keywords |= 1u << k;
	}
}

/* Is this what our change alone makes of it? Then the client knows without being told. */
static bool
as_expected(const struct store *s, const struct message *was,
            const struct mt_record *is)
{
	switch (s->how) {
	case '+':
		return is->flags == (was->flags | s->bits) &&
		       is->keywords == (was->keywords | s->keywords);
	case '-':
		return is->flags == (was->flags & ~s->bits) &&
		       is->keywords == (was->keywords & ~s->keywords);
	default:
		return is->flags == s->bits && is->keywords == s->keywords;
	}
}

static int
tell_one(struct imap *im, const struct store *s, size_t i, const struct mt_record *r)
{
	struct message *m = &im->box->m[i];
	bool modseq_only;

	if (r->bits & MT_EXPUNGED) /* its expunge will be told */
		return 0;
	if (numset_has(&s->modified, m->uid))
		return 0;
	modseq_only = s->silent && as_expected(s, m, r);
	mailbox_learn(im->box, m, r);
	if (!modseq_only) {
		m->untold |= UNTOLD_FLAGS;
		return news_fetch(im, i);
	}
	m->untold = 0;
	if (!(im->enabled & EN_CONDSTORE))
		return 0;
	if (news_needs_uid(im))
		return imap_printf(
		    im, "* %zu FETCH (UID %" PRIu32 " MODSEQ (%" PRIu64 "))\r\n", i + 1,
		    m->uid, m->modseq);
	return imap_printf(im, "* %zu FETCH (MODSEQ (%" PRIu64 "))\r\n", i + 1,
	                   m->modseq);
}

static int
tell_block(struct imap *im, const struct store *s, size_t i, size_t n)
{
	static struct mt_record rec[BLOCK];

	if (mailbox_records(im->box, i, rec, n) == -1)
		return -1;
	for (size_t k = 0; k < n; k++)
		if (tell_one(im, s, i + k, &rec[k]) == -1)
			return -1;
	return 0;
}

static int
tell(struct imap *im, const struct store *s)
{
	struct mailbox_run run = {0};
	int rc = 0;

	while (rc == 0 && mailbox_next_run(im->box, &s->set, BLOCK, &run))
		rc = tell_block(im, s, run.i, run.n);
	return rc;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

/* MODIFIED names what the command named: numbers, or UIDs (RFC 7162 section 3.1.3). */
static int
print_modified(struct imap *im, const struct store *s, struct buf *code)
{
	struct numset seqs = {0};
	int rc = buf_addf(code, "MODIFIED ");

	for (size_t i = 0; i < im->box->ntold && rc == 0; i++)
		if (numset_has(&s->modified, im->box->m[i].uid)) {
			uint32_t n = im->cmd->uid ? im->box->m[i].uid : (uint32_t)i + 1;

			rc = numset_add(&seqs, n, n);
		}
	if (rc == 0)
		rc = numset_print(&seqs, code);
	if (rc == 0)
		rc = buf_addc(code, '\0');
	numset_free(&seqs);
	return rc;
}

static int
finish(struct imap *im, const struct store *s)
{
	struct buf code = {0};
	int rc;

	if (s->modified.n == 0)
		return imap_ok(im, NULL, "STORE completed.");
	rc = print_modified(im, s, &code) == -1
	         ? imap_failed(im, "STORE")
	         : imap_ok(im, code.p, "Conditional STORE failed for some.");
	buf_free(&code);
	return rc;
}

static int
change(struct imap *im, struct store *s)
{
	uint64_t since = s->conditional ? s->unchangedsince : UINT64_MAX;

	if (s->set.n > 0 && view_flags(&im->box->view, s->how, buf_span(&s->flags),
	                               &s->set, since, &s->modified) == -1) {
		if (errno == ENOSPC)
			return imap_no(im, "LIMIT",
			               "A mailbox has at most 26 keywords.");
		return imap_failed(im, "STORE");
	}
	if (learn_keywords(im) == -1)
		return imap_failed(im, "STORE");
	find_bits(im->box, s);
	if (tell(im, s) == -1)
		return im->out->broken ? -1 : imap_failed(im, "STORE");
	return finish(im, s);
}

int
cmd_store(struct imap *im, const struct arg *args)
{
	struct store s = {0};
	const char *why;
	int rc;

	if (args->type != ARG_ATOM)
		return imap_bad(im, "STORE takes a set of messages.");
	if (!parse(args, &s, &why))
		rc = imap_bad(im, "%s", why);
	else if (im->box->readonly)
		rc = imap_no(im, "READ-ONLY", "The mailbox is selected read-only.");
	else if (s.conditional && imap_enable(im, EN_CONDSTORE) == -1)
		rc = -1;
	else if ((rc = imap_set(im, args->text, &s.set, &why)) == 1)
		rc = imap_bad(im, "%s", why);
	else if (rc == -1)
		rc = imap_failed(im, "STORE");
	else
		rc = change(im, &s);
	numset_free(&s.set);
	numset_free(&s.modified);
	buf_free(&s.flags);
	return rc;
}
