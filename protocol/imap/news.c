#include "protocol/imap/news.h"

#include <inttypes.h>

static const struct {
	uint16_t flag;
	const char *name;
} system_flags[] = {
    {MT_ANSWERED, "\\Answered"}, {MT_FLAGGED, "\\Flagged"}, {MT_DELETED, "\\Deleted"},
    {MT_SEEN, "\\Seen"},         {MT_DRAFT, "\\Draft"},
};

/* ---- flags ------------------------------------------------------------------------------- */

static int
add_name(struct buf *b, const char *name)
{
	return buf_addf(b, "%s%s", b->n > 0 && b->p[b->n - 1] != '(' ? " " : "", name);
}

static int
add_keywords(struct buf *b, const struct mt_header *head, uint32_t bits)
{
	for (unsigned k = 0; k < head->nkeyword && k < MT_NKEYWORD; k++)
		if ((bits & 1u << k) != 0 && head->keyword[k][0] != '\0' &&
		    add_name(b, head->keyword[k]) == -1)
			return -1;
	return 0;
}

int
news_print_flags(const struct imap *im, const struct message *m, struct buf *b)
{
	if (buf_addc(b, '(') == -1)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(system_flags); i++)
		if (m->flags & system_flags[i].flag &&
		    add_name(b, system_flags[i].name) == -1)
			return -1;
	if (m->recent && !(im->enabled & EN_REV2) && add_name(b, "\\Recent") == -1)
		return -1;
	if (add_keywords(b, &im->box->head, m->keywords) == -1)
		return -1;
	return buf_addc(b, ')');
}

static int
print_all_flags(const struct imap *im, struct buf *b)
{
	for (size_t i = 0; i < ARRAY_LEN(system_flags); i++)
		if (add_name(b, system_flags[i].name) == -1)
			return -1;
	return add_keywords(b, &im->box->head, UINT32_MAX);
}

static bool
has_room_for_keywords(const struct mt_header *head)
{
	for (unsigned k = 0; k < head->nkeyword && k < MT_NKEYWORD; k++)
		if (head->keyword[k][0] == '\0')
			return true;
	return head->nkeyword < MT_NKEYWORD;
}

int
news_flags(struct imap *im)
{
	const char *more = has_room_for_keywords(&im->box->head) ? " \\*" : "";
	struct buf all = {0}, line = {0};
	int rc = -1;

	im->box->untold_keywords = false;
	if (print_all_flags(im, &all) == -1 ||
	    buf_addf(&line, "* FLAGS (%.*s)\r\n", (int)all.n, all.p) == -1)
		goto out;
	if (im->box->readonly)
		rc = buf_addf(&line, "* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n");
	else
		rc = buf_addf(&line,
		              "* OK [PERMANENTFLAGS (%.*s%s)] Flags permitted.\r\n",
		              (int)all.n, all.p, more);
	if (rc == 0)
		rc = out_copy(im->out, buf_span(&line));
out:
	buf_free(&all);
	buf_free(&line);
	return rc;
}

/* ---- one message ---------------------------------------------------------------------------- */

/* After QRESYNC was enabled (RFC 7162 section 3.2.4), and in answers to UID commands. */
bool
news_needs_uid(const struct imap *im)
{
	return im->enabled & EN_QRESYNC || (im->cmd != NULL && im->cmd->uid);
}

int
news_fetch(struct imap *im, size_t i)
{
	struct message *m = &im->box->m[i];
	bool modseq = im->enabled & EN_CONDSTORE, flags = m->untold & UNTOLD_FLAGS;
	struct buf b = {0};
	int rc;

	m->untold &= UNTOLD_GONE;
	if (!flags && !modseq)
		return 0;
	rc = buf_addf(&b, "* %zu FETCH (", i + 1);
	if (rc == 0 && news_needs_uid(im))
		rc = buf_addf(&b, "UID %" PRIu32 " ", m->uid);
	/* flags too when only the modseq rose: it says that they may have changed */
	if (rc == 0)
		rc = buf_addf(&b, "FLAGS ");
	if (rc == 0)
		rc = news_print_flags(im, m, &b);
	if (rc == 0 && modseq)
		rc = buf_addf(&b, " MODSEQ (%" PRIu64 ")", m->modseq);
	if (rc == 0)
		rc = buf_addf(&b, ")\r\n");
	if (rc == 0)
		rc = out_copy(im->out, buf_span(&b));
	buf_free(&b);
	return rc;
}

/* ---- what has gone, what has come -------------------------------------------------------------- */

static int
tell_vanished(struct imap *im)
{
	const struct mailbox *mb = im->box;
	struct numset gone = {0};
	struct buf b = {0};
	int rc = 0;

	for (size_t i = 0; i < mb->ntold && rc == 0; i++)
		if (mb->m[i].untold & UNTOLD_GONE)
			rc = numset_add(&gone, mb->m[i].uid, mb->m[i].uid);
	if (rc == 0 && gone.n > 0 && (rc = buf_addf(&b, "* VANISHED ")) == 0 &&
	    (rc = numset_print(&gone, &b)) == 0 && (rc = buf_addf(&b, "\r\n")) == 0)
		rc = out_copy(im->out, buf_span(&b));
	numset_free(&gone);
	buf_free(&b);
	return rc;
}

/* From the last to the first, so that no number that is still to be said has moved. */
static int
tell_expunged(struct imap *im)
{
	const struct mailbox *mb = im->box;

	for (size_t i = mb->ntold; i-- > 0;)
		if (mb->m[i].untold & UNTOLD_GONE &&
		    out_printf(im->out, "* %zu EXPUNGE\r\n", i + 1) == -1)
			return -1;
	return 0;
}

static int
tell_gone(struct imap *im)
{
	int rc;

	if (im->box->ngone == 0)
		return 0;
	rc = im->enabled & EN_QRESYNC ? tell_vanished(im) : tell_expunged(im);
	mailbox_forget_gone(im->box);
	return rc;
}

static int
tell_recent(struct imap *im)
{
	if (im->enabled & EN_REV2)
		return 0;
	return out_printf(im->out, "* %zu RECENT\r\n", im->box->nrecent);
}

static int
tell_new(struct imap *im)
{
	struct mailbox *mb = im->box;

	if (mb->n == mb->ntold)
		return 0;
	for (size_t i = mb->ntold; i < mb->n; i++)
		mb->m[i].untold = 0; /* what it is, a FETCH will say */
	mb->ntold = mb->n;
	if (out_printf(im->out, "* %zu EXISTS\r\n", mb->n) == -1)
		return -1;
	return mb->unclaimed && !im->idle.on ? 0 : tell_recent(im);
}

/*
 * Not in IDLE: many may wait for one mailbox, and each of them would ask for what only the
 * first can get, before the others have heard that there is anything.
 */
static int
claim(struct imap *im)
{
	struct mailbox *mb = im->box;

	if (!mb->unclaimed || im->idle.on || im->enabled & EN_REV2)
		return 0;
	mb->unclaimed = false;
	(void)mailbox_claim_recent(mb); /* \Recent is a hint: who cannot goes without */
	return tell_recent(im);
}

static int
tell_changed(struct imap *im)
{
	struct mailbox *mb = im->box;

	if (!mb->untold_messages) /* what arrives must not cost a look at all of them */
		return 0;
	mb->untold_messages = false;
	for (size_t i = 0; i < mb->ntold; i++)
		if (mb->m[i].untold != 0 && news_fetch(im, i) == -1)
			return -1;
	return 0;
}

static int
tell_taken(struct imap *im, int taken)
{
	struct mailbox *mb = im->box;

	if (taken == -1) {
		(void)imap_printf(im, "* BYE The selected mailbox is gone.\r\n");
		(void)out_flush(im->out);
		return -1;
	}
	if (!mb->untold)
		return claim(im);
	mb->untold = false;
	if (tell_gone(im) == -1 || (mb->untold_keywords && news_flags(im) == -1) ||
	    tell_new(im) == -1 || claim(im) == -1)
		return -1;
	return tell_changed(im);
}

int
news_tell(struct imap *im)
{
	return im->box == NULL ? 0 : tell_taken(im, mailbox_take(im->box));
}

int
news_wait(struct imap *im)
{
	return tell_taken(im, mailbox_wait(im->box));
}
