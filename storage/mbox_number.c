/*
 * mbox_number: which message is which. First those whose UID the file tells, then those that
 * are known by their ident, then the new ones get UIDs in the order of the file.
 */
#include <errno.h>
#include <stdlib.h>

#include "storage/base/log.h"
#include "storage/grow.h"
#include "storage/mbox_look.h"

/* What is known: rows, or the records of mbox-uids; ascending by uid. */
struct known {
	uint64_t ident;
	int64_t date;
	uint32_t uid;
	int64_t row; /* -1 */
	bool taken;
};

struct table {
	struct known *v;
	size_t n, cap;
	uint32_t *slot; /* by ident: index + 1 of the first */
	uint32_t *next; /* of the same slot: index + 1 */
	size_t nslot;
};

/* ---- the table ---------------------------------------------------------------------------------- */

static int
add_rows(struct table *t, const struct mbox_look *l)
{
	const struct mbox *m = l->m;

	for (size_t row = 0; row < m->nrow; row++) {
		const struct mbox_row *r = &m->row[row];
		const struct mt_record *rec = &m->box->rec[row];

		if (r->held || r->off == MBOX_NOWHERE || r->off < l->from)
			continue;
		if (GROW(t->v, t->n, t->cap) == -1)
			return -1;
		t->v[t->n++] =
		    (struct known){r->ident, rec->date, rec->uid, (int64_t)row, false};
	}
	return 0;
}

static int
add_uids(struct table *t, const struct mbox_uids *u)
{
	for (size_t i = 0; i < u->n; i++) {
		if (GROW(t->v, t->n, t->cap) == -1)
			return -1;
		t->v[t->n++] =
		    (struct known){u->v[i].ident, u->v[i].date, u->v[i].uid, -1, false};
	}
	return 0;
}

/* Idents are hashes already; who makes them collide hurts only his own mailbox. */
static int
index_table(struct table *t)
{
	for (t->nslot = 16; t->nslot < 2 * t->n; t->nslot *= 2)
		;
	t->slot = calloc(t->nslot, sizeof *t->slot);
	t->next = calloc(t->n + 1, sizeof *t->next);
	if (t->slot == NULL || t->next == NULL)
		return -1;
	for (size_t i = t->n; i-- > 0;) {
		uint32_t *at = &t->slot[t->v[i].ident & (t->nslot - 1)];

		t->next[i] = *at;
		*at = (uint32_t)i + 1;
	}
	return 0;
}

static struct known *
find_uid(const struct table *t, uint32_t uid)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->v[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->n && t->v[lo].uid == uid ? &t->v[lo] : NULL;
}

/* One that nobody has taken, of that date rather than of another. What is taken leaves the
 * chain, so that many alike cost no more than others. */
static struct known *
find_ident(struct table *t, uint64_t ident, int64_t date)
{
	uint32_t *at = &t->slot[ident & (t->nslot - 1)], i;
	struct known *other = NULL;
	unsigned steps = 0;

	while ((i = *at) != 0 && steps < 1000) {
		struct known *k = &t->v[i - 1];

		if (k->taken) {
			*at = t->next[i - 1];
			continue;
		}
		if (k->ident == ident && k->date == date)
			return k;
		if (k->ident == ident && other == NULL)
			other = k;
		at = &t->next[i - 1];
		steps++;
	}
	return other;
}

/* ---- matching -------------------------------------------------------------------------------------- */

static void
take(struct mbox_found *f, struct known *k)
{
	k->taken = true;
	f->uid = k->uid;
	f->row = k->row;
}

/* X-UIDs count that rise and were written with the X-IMAPbase. `said` gets the others as 0. */
static void
sort_out(const struct mbox_look *l, uint32_t *said)
{
	uint32_t prev = 0;

	for (size_t i = 0; i < l->n; i++) {
		uint32_t uid = l->v[i].msg.uid;

		said[i] = l->based && uid > prev && uid <= l->base_last ? uid : 0;
		if (said[i] != 0)
			prev = uid;
	}
}

/* That very message was told under this UID by an earlier daemon. The end of its last line
 * may have come since. */
static bool
is_as_told(const struct mbox_look *l, const struct mboxscan_msg *msg, uint32_t uid)
{
	for (uint64_t d = 0; d <= 4; d++)
		if (box_known(l->m->box, uid, mbox_name_hash(msg, msg->visible + 2 - d)))
			return true;
	return false;
}

static void
match_uids(struct mbox_look *l, bool loaded, const uint32_t *said, struct table *t)
{
	for (size_t i = 0; i < l->n; i++) {
		struct mbox_found *f = &l->v[i];
		struct known *k = said[i] != 0 ? find_uid(t, said[i]) : NULL;

		if (k != NULL && !k->taken && k->ident == f->msg.ident)
			take(f, k);
		else if (k == NULL && said[i] != 0 && !loaded &&
		         is_as_told(l, &f->msg, said[i]))
			f->uid = said[i];
	}
}

/* Nobody else has it, and nobody has been told one above it, or another message under it. */
static bool
may_believe(const struct mbox_look *l, bool loaded, uint32_t uid, const struct table *t)
{
	if (uid == 0 || find_uid(t, uid) != NULL)
		return false;
	return loaded ? uid >= l->m->uidnext : !box_told_uid(l->m->box, uid);
}

/*
 * The others, in the order of the file. Behind a message that gets a new UID none is believed
 * that nobody has been told: UIDs rise through the file then, as Dovecot has it. What the
 * file tells goes before what the index folder knows of a message alike; but a row keeps
 * its UID, whatever is written into its message now.
 */
static void
match_rest(struct mbox_look *l, bool loaded, const uint32_t *said, struct table *t)
{
	bool gap = false;

	for (size_t i = 0; i < l->n; i++) {
		struct mbox_found *f = &l->v[i];
		bool believe = !gap && may_believe(l, loaded, said[i], t);
		struct known *k = NULL;

		if (f->uid == 0 && (loaded || !believe))
			k = find_ident(t, f->msg.ident, f->msg.date);
		if (k != NULL)
			take(f, k);
		else if (f->uid == 0 && believe)
			f->uid = said[i];
		gap = gap || f->uid == 0;
		f->has_uid = f->uid != 0 && f->uid == said[i];
	}
}

static int
number_rest(struct mbox_look *l)
{
	struct mbox *m = l->m;
	uint32_t next = m->uidnext;

	if (l->based && l->base_last >= next)
		next = l->base_last + 1;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].uid >= next)
			next = l->v[i].uid + 1;
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].uid != 0)
			continue;
		if (next > MBOXSCAN_UID_MAX) {
			log_error("%s: no UIDs left", mbox_who(m));
			errno = EOVERFLOW;
			return -1;
		}
		l->v[i].uid = next++;
		l->v[i].fresh = true;
	}
	m->uidnext = next;
	return 0;
}

int
mbox_look_number(struct mbox_look *l, struct mbox_uids *old)
{
	struct table t = {0};
	uint32_t *said = calloc(l->n + 1, sizeof *said);
	int rc = -1;

	if (said != NULL && (old == NULL ? add_rows(&t, l) : add_uids(&t, old)) == 0 &&
	    index_table(&t) == 0) {
		sort_out(l, said);
		match_uids(l, old == NULL, said, &t);
		match_rest(l, old == NULL, said, &t);
		rc = number_rest(l);
	}
	free(said);
	free(t.v);
	free(t.slot);
	free(t.next);
	return rc;
}
