/* mbox_header: the hidden fields of a message, as text. */
#include "storage/mbox.h"

#define KEYWORDS_ROOM 40 /* octets of an X-Keywords value at least */

static const char blanks[] = "                                        ";

void
mbox_print_status(uint16_t flags, bool old, char out[static 3])
{
	size_t n = 0;

	if (flags & MT_SEEN)
		out[n++] = 'R';
	if (old)
		out[n++] = 'O';
	out[n] = '\0';
}

void
mbox_print_xstatus(uint16_t flags, char out[static 5])
{
	size_t n = 0;

	if (flags & MT_ANSWERED)
		out[n++] = 'A';
	if (flags & MT_FLAGGED)
		out[n++] = 'F';
	if (flags & MT_DRAFT)
		out[n++] = 'T';
	if (flags & MT_DELETED)
		out[n++] = 'D';
	out[n] = '\0';
}

int
mbox_print_keywords(const struct mbox *m, uint32_t keywords, struct span more,
                    struct buf *out)
{
	size_t before = out->n;

	for (unsigned i = 0; i < m->nkeyword; i++)
		if (keywords >> i & 1 &&
		    buf_addf(out, "%s%s", out->n > before ? " " : "", m->keyword[i]) ==
		        -1)
			return -1;
	if (out->n == before && more.n > 0)
		more = span_from(more, 1);
	return buf_add(out, more);
}

static int
print_padded_keywords(const struct mbox *m, const struct mbox_meta *a, struct buf *out)
{
	size_t before = out->n, n;

	if (mbox_print_keywords(m, a->keywords, a->more_keywords, out) == -1)
		return -1;
	n = out->n - before;
	return n >= KEYWORDS_ROOM
	           ? 0
	           : buf_add(out, (struct span){blanks, KEYWORDS_ROOM - n});
}

static bool
names(struct span list, const char *name)
{
	struct span w;

	while (span_word(&list, &w))
		if (span_caseeq(w, span_of(name)))
			return true;
	return false;
}

int
mbox_print_base_keywords(const struct mbox *m, struct span have, struct buf *out)
{
	if (buf_add(out, have) == -1)
		return -1;
	for (unsigned i = 0; i < m->nkeyword; i++)
		if (!names(have, m->keyword[i]) &&
		    buf_addf(out, " %s", m->keyword[i]) == -1)
			return -1;
	return 0;
}

/* With room for more names. */
static int
print_base(const struct mbox *m, const struct mbox_meta *a, const char *eol,
           struct buf *out)
{
	size_t before, n;

	if (buf_addf(out, "X-IMAPbase: %010u %010u", a->uidvalidity, a->last_uid) == -1)
		return -1;
	before = out->n;
	if (mbox_print_base_keywords(m, a->base_keywords, out) == -1)
		return -1;
	n = out->n - before;
	if (n < KEYWORDS_ROOM &&
	    buf_add(out, (struct span){blanks, KEYWORDS_ROOM - n}) == -1)
		return -1;
	return buf_add(out, span_of(eol));
}

int
mbox_print_meta(const struct mbox *m, const struct mbox_meta *a, bool crlf,
                struct buf *out)
{
	const char *eol = crlf ? "\r\n" : "\n";
	char status[3], xstatus[5];

	mbox_print_status(a->flags, a->old, status);
	mbox_print_xstatus(a->flags, xstatus);
	/* the base first: an X-UID before it would not count */
	if (a->uidvalidity != 0 && print_base(m, a, eol, out) == -1)
		return -1;
	if (a->uid != 0 && buf_addf(out, "X-UID: %-10u%s", a->uid, eol) == -1)
		return -1;
	if (buf_addf(out, "Status: %-2s%sX-Status: %-4s%sX-Keywords: ", status, eol,
	             xstatus, eol) == -1 ||
	    print_padded_keywords(m, a, out) == -1)
		return -1;
	return buf_add(out, span_of(eol));
}
