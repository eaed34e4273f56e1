#include "protocol/imap/resync.h"

#include <inttypes.h>

#include "protocol/imap/news.h"
#include "storage/base/num.h"

/* ---- parameters --------------------------------------------------------------------------- */

/*
 * A client's numbers and UIDs of the same messages, from which a server may find out what
 * vanished with less history. Ours says it anyhow; that they are sets is all that is asked.
 */
static bool
is_match(const struct arg *a)
{
	struct numset seqs = {0}, uids = {0};
	bool good;

	if (a->type != ARG_LIST || a->child == NULL || a->child->next == NULL ||
	    a->child->next->next != NULL)
		return false;
	good = numset_parse(a->child->text, 0, IMAP_RANGES_MAX, &seqs) == 0 &&
	       numset_parse(a->child->next->text, 0, IMAP_RANGES_MAX, &uids) == 0;
	numset_free(&seqs);
	numset_free(&uids);
	return good;
}

bool
resync_parse(const struct arg *list, struct resync *r, const char **why)
{
	const struct arg *a;

	*why = "QRESYNC takes (UIDVALIDITY MODSEQ [UIDS [(NUMBERS UIDS)]]).";
	if (list == NULL || list->type != ARG_LIST || (a = list->child) == NULL ||
	    a->type != ARG_ATOM || num_u32(a->text, &r->uidvalidity) == -1 ||
	    r->uidvalidity == 0 || (a = a->next) == NULL || a->type != ARG_ATOM ||
	    num_u64(a->text, &r->modseq) == -1 || r->modseq == 0)
		return false;
	r->given = true;
	a = a->next;
	if (a != NULL && a->type == ARG_ATOM) {
		if (numset_parse(a->text, UINT32_MAX, IMAP_RANGES_MAX, &r->known) ==
		    -1) {
			resync_free(r);
			return false;
		}
		a = a->next;
	}
	if (a != NULL && (!is_match(a) || a->next != NULL)) {
		resync_free(r);
		return false;
	}
	return true;
}

void
resync_free(struct resync *r)
{
	numset_free(&r->known);
}

/* ---- what vanished ------------------------------------------------------------------------------ */

static int
add_between(struct numset *out, uint64_t lo, uint64_t hi)
{
	return lo > hi ? 0 : numset_add(out, (uint32_t)lo, (uint32_t)hi);
}

/* All of lo..hi that is not there. */
static int
add_absent(const struct mailbox *mb, uint32_t lo, uint32_t hi, struct numset *out)
{
	uint64_t next = lo;

	for (size_t i = mailbox_at_least(mb, lo); i < mb->n && mb->m[i].uid <= hi;
	     i++) {
		if (add_between(out, next, (uint64_t)mb->m[i].uid - 1) == -1)
			return -1;
		next = (uint64_t)mb->m[i].uid + 1;
	}
	return add_between(out, next, hi);
}

/* Those of both, of what is not there. */
static int
add_common_absent(const struct mailbox *mb, const struct numset *a,
                  const struct numset *b, struct numset *out)
{
	for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
		uint32_t lo = a->r[i].lo > b->r[k].lo ? a->r[i].lo : b->r[k].lo;
		uint32_t hi = a->r[i].hi < b->r[k].hi ? a->r[i].hi : b->r[k].hi;

		if (lo <= hi && add_absent(mb, lo, hi, out) == -1)
			return -1;
		if (a->r[i].hi < b->r[k].hi)
			i++;
		else
			k++;
	}
	return 0;
}

int
resync_vanished(struct imap *im, const struct numset *set, uint64_t modseq)
{
	struct mailbox *mb = im->box;
	struct numset gone = {0}, told = {0};
	struct buf b = {0};
	int rc = view_vanished(&mb->view, modseq, &gone);

	/* history does not reach back: whatever is not there may have been */
	if (rc == 1) {
		numset_free(&gone);
		rc = mb->head.uidnext > 1 ? numset_add(&gone, 1, mb->head.uidnext - 1)
		                          : 0;
	}
	if (rc == 0)
		rc = add_common_absent(mb, set, &gone, &told);
	if (rc == 0 && told.n > 0 &&
	    (rc = buf_addf(&b, "* VANISHED (EARLIER) ")) == 0 &&
	    (rc = numset_print(&told, &b)) == 0 && (rc = buf_addf(&b, "\r\n")) == 0)
		rc = out_copy(im->out, buf_span(&b));
	numset_free(&gone);
	numset_free(&told);
	buf_free(&b);
	return rc;
}

/* ---- what changed -------------------------------------------------------------------------------- */

static int
tell_changed(struct imap *im, const struct numset *known, uint64_t modseq)
{
	struct mailbox *mb = im->box;

	for (size_t i = 0; i < mb->n; i++) {
		struct message *m = &mb->m[i];

		if (m->modseq <= modseq || !numset_has(known, m->uid))
			continue;
		m->untold |= UNTOLD_FLAGS;
		if (news_fetch(im, i) == -1)
			return -1;
	}
	return 0;
}

int
resync_tell(struct imap *im, const struct resync *r)
{
	struct numset all = {.r = &(struct numrange){1, UINT32_MAX}, .n = 1};
	const struct numset *known = r->known.n > 0 ? &r->known : &all;

	if (r->uidvalidity != im->box->head.uidvalidity)
		return 0;
	if (resync_vanished(im, known, r->modseq) == -1)
		return -1;
	return tell_changed(im, known, r->modseq);
}
