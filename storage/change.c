/*
 * change: the verbs. Each works out which rows are meant and what is to become of them,
 * under box->io so that nothing moves in between, and lets the driver do it.
 */
#include <errno.h>
#include <stdlib.h>

#include "storage/base/log.h"
#include "storage/box_private.h"
#include "storage/refresh.h"

#define PLACE_MS   5000
#define PLACES_MAX 3

/* ---- which rows --------------------------------------------------------------------- */

struct rows {
	uint32_t *v; /* owned; ascending, live */
	size_t n;
};

/* lock held. The live rows of the set; `flag` (0: any) must be on. */
static int
select_rows(const struct box *b, const struct numset *set, uint16_t flag, struct rows *out)
{
	size_t cap = 0;

	*out = (struct rows){0};
	for (size_t i = 0; i < set->n; i++)
		for (size_t row = box_row_from(b, set->r[i].lo);
		     row < b->head.nrecord && b->rec[row].uid <= set->r[i].hi; row++) {
			if (!box_row_live(b, (uint32_t)row) ||
			    (b->rec[row].flags & flag) != flag)
				continue;
			if (out->n == cap) {
				uint32_t *v = reallocarray(out->v, cap = cap * 2 + 64, sizeof *v);

				if (v == NULL) {
					free(out->v);
					return -1;
				}
				out->v = v;
			}
			out->v[out->n++] = (uint32_t)row;
		}
	return 0;
}

static int
rows_of(struct box *b, const struct numset *set, uint16_t flag, struct rows *out)
{
	int rc;

	pthread_rwlock_rdlock(&b->lock);
	rc = select_rows(b, set, flag, out);
	pthread_rwlock_unlock(&b->lock);
	return rc;
}

/*
 * Who holds the mailbox goes on reading what leaves it, at its place in `wire`, and a message
 * has none before its size is known. No lock held: counting takes them.
 */
static void
place_for_holders(struct box *b, const struct numset *set, uint16_t flag)
{
	struct numset unsized = {0};
	struct rows rows;

	if (b->kind != BOX_MAIL || !events_anyone_holds(b))
		return;
	pthread_rwlock_rdlock(&b->lock);
	if (select_rows(b, set, flag, &rows) == 0) {
		for (size_t i = 0; i < rows.n; i++)
			if (b->rec[rows.v[i]].wire_off == MT_OFF_UNKNOWN)
				(void)numset_add(&unsized, b->rec[rows.v[i]].uid,
						 b->rec[rows.v[i]].uid);
		free(rows.v);
	}
	pthread_rwlock_unlock(&b->lock);
	if (unsized.n > 0) /* what cannot be counted goes all the same */
		(void)box_want_sizes(b, &unsized, PLACE_MS);
	numset_free(&unsized);
}

static bool
all_placed(struct box *b, const struct rows *rows)
{
	bool all = true;

	if (!events_anyone_holds(b))
		return true;
	pthread_rwlock_rdlock(&b->lock);
	for (size_t i = 0; i < rows->n && all; i++)
		all = b->rec[rows->v[i]].wire_off != MT_OFF_UNKNOWN;
	pthread_rwlock_unlock(&b->lock);
	return all;
}

/*
 * Take box->io and make sure that the mailbox can be changed and is up to date. On -1
 * nothing is held.
 */
static int
begin_change(struct box *b)
{
	int saved;

	if (b->kind != BOX_MAIL) {
		errno = EACCES;
		return -1;
	}
	if (b->store->readonly) {
		errno = EROFS;
		return -1;
	}
	pthread_mutex_lock(&b->io);
	if (refresh_locked(b, false) == 0 && !b->dead)
		return 0;
	saved = b->dead ? ESTALE : errno;
	pthread_mutex_unlock(&b->io);
	errno = saved;
	return -1;
}

static int
end_change(struct box *b, int rc)
{
	int saved = errno;

	pthread_mutex_unlock(&b->io);
	errno = saved;
	return rc;
}

/* Runs `call` as the owner of the store. */
#define AS_USER(b, call)                                                                   \
	({                                                                                 \
		int as_user_rc_;                                                           \
		cred_enter((b)->store);                                                    \
		as_user_rc_ = (call);                                                      \
		cred_leave((b)->store);                                                    \
		as_user_rc_;                                                               \
	})

/* ---- flags ---------------------------------------------------------------------------- */

static struct flag_edit
apply(const struct box *b, uint32_t row, const struct flag_change *c)
{
	const struct mt_record *r = &b->rec[row];
	struct flag_edit e = {row, r->flags, r->keywords};

	switch (c->how) {
	case FLAGS_ADD:
		e.flags |= c->flags;
		e.keywords |= c->keywords;
		break;
	case FLAGS_REMOVE:
		e.flags &= (uint16_t)~c->flags;
		e.keywords &= ~c->keywords;
		break;
	case FLAGS_REPLACE:
		e.flags = c->flags;
		e.keywords = c->keywords;
		break;
	}
	return e;
}

/* The edits that really change something; rows changed since are set aside. */
static int
plan_flags(struct box *b, const struct rows *rows, const struct flag_change *c,
	   struct flag_edit *edit, size_t *nedit, struct numset *modified)
{
	int rc = 0;

	*nedit = 0;
	pthread_rwlock_rdlock(&b->lock);
	for (size_t i = 0; i < rows->n && rc == 0; i++) {
		const struct mt_record *r = &b->rec[rows->v[i]];
		struct flag_edit e = apply(b, rows->v[i], c);

		if (r->modseq > c->unchangedsince) {
			if (modified != NULL)
				rc = numset_add(modified, r->uid, r->uid);
		} else if (e.flags != r->flags || e.keywords != r->keywords)
			edit[(*nedit)++] = e;
	}
	pthread_rwlock_unlock(&b->lock);
	return rc;
}

int
box_flags(struct box *b, const struct numset *set, const struct flag_change *c,
	  struct numset *modified)
{
	struct flag_edit *edit = NULL;
	struct rows rows;
	size_t nedit;
	int rc = -1;

	if (begin_change(b) == -1)
		return -1;
	if (rows_of(b, set, 0, &rows) == -1)
		return end_change(b, -1);
	if (rows.n == 0)
		rc = 0;
	else if ((edit = reallocarray(NULL, rows.n, sizeof *edit)) != NULL &&
		 plan_flags(b, &rows, c, edit, &nedit, modified) == 0)
		rc = nedit == 0 ? 0 : AS_USER(b, b->store->driver->set_flags(b, edit, nedit));
	free(edit);
	free(rows.v);
	return end_change(b, rc);
}

/* RFC 9051 section 9: atom, without what would break a line of a file or a reply. */
static bool
is_keyword(struct span name)
{
	if (name.n == 0 || name.n > MT_KEYWORD_MAX || name.p[0] == '\\')
		return false;
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (c <= 0x20 || c >= 0x7f || strchr("(){%*\"\\]", c) != NULL)
			return false;
	}
	return true;
}

/* lock held: RFC 9051 section 2.3.2: keywords have no case. */
static int
find_keyword(const struct box *b, struct span name, unsigned *number)
{
	for (unsigned i = 0; i < b->head.nkeyword; i++)
		if (name.n > 0 && span_caseeq(span_of(b->head.keyword[i]), name)) {
			*number = i;
			return 0;
		}
	errno = ENOENT;
	return -1;
}

int
box_keyword(struct box *b, struct span name, bool create, unsigned *number)
{
	int rc;

	if (!is_keyword(name)) {
		errno = EINVAL;
		return -1;
	}
	pthread_rwlock_rdlock(&b->lock);
	rc = find_keyword(b, name, number);
	pthread_rwlock_unlock(&b->lock);
	if (rc == 0 || !create)
		return rc;
	if (begin_change(b) == -1)
		return -1;
	pthread_rwlock_rdlock(&b->lock);
	rc = find_keyword(b, name, number); /* the refresh may have brought it */
	pthread_rwlock_unlock(&b->lock);
	if (rc == -1)
		rc = AS_USER(b, b->store->driver->add_keyword(b, name, number));
	return end_change(b, rc);
}

int
box_claim_recent(struct box *b, struct numset *recent)
{
	struct numset all = {.r = &(struct numrange){1, UINT32_MAX}, .n = 1};
	struct rows rows;
	size_t n = 0;
	int rc = 0;

	if (begin_change(b) == -1)
		return -1;
	if (rows_of(b, &all, 0, &rows) == -1)
		return end_change(b, -1);
	pthread_rwlock_rdlock(&b->lock);
	for (size_t i = 0; i < rows.n && rc == 0; i++)
		if (b->rec[rows.v[i]].bits & MT_RECENT) {
			uint32_t uid = b->rec[rows.v[i]].uid;

			rows.v[n++] = rows.v[i];
			rc = numset_add(recent, uid, uid);
		}
	pthread_rwlock_unlock(&b->lock);
	if (rc == 0 && n > 0)
		rc = AS_USER(b, b->store->driver->claim_recent(b, rows.v, n));
	free(rows.v);
	return end_change(b, rc);
}

/* ---- messages coming and going ------------------------------------------------------------ */

int
box_expunge(struct box *b, const struct numset *set, bool deleted_only,
	    struct numset *expunged)
{
	uint16_t flag = deleted_only ? MT_DELETED : 0;
	struct rows rows;
	int rc = 0;

	for (int i = 0;; i++) {
		place_for_holders(b, set, flag);
		if (begin_change(b) == -1)
			return -1;
		if (rows_of(b, set, flag, &rows) == -1)
			return end_change(b, -1);
		if (i == PLACES_MAX || all_placed(b, &rows))
			break;
		/* somebody has just set \Deleted of more */
		free(rows.v);
		(void)end_change(b, 0);
	}
	for (size_t i = 0; expunged != NULL && i < rows.n && rc == 0; i++)
		rc = numset_add(expunged, b->rec[rows.v[i]].uid, b->rec[rows.v[i]].uid);
	if (rc == 0 && rows.n > 0)
		rc = AS_USER(b, b->store->driver->expunge(b, rows.v, rows.n,
							  events_anyone_holds(b)));
	free(rows.v);
	return end_change(b, rc);
}

int
box_deliver(struct box *b, const struct delivery *d, size_t n, uint32_t *uids)
{
	int rc;

	if (begin_change(b) == -1)
		return -1;
	rc = AS_USER(b, b->store->driver->deliver(b, d, n, uids));
	return end_change(b, rc);
}

int
box_set_date(struct box *b, uint32_t uid, int64_t date)
{
	int64_t row;
	int rc = -1;

	if (begin_change(b) == -1)
		return -1;
	pthread_rwlock_rdlock(&b->lock);
	row = box_row(b, uid);
	pthread_rwlock_unlock(&b->lock);
	if (row == -1)
		errno = ENOENT;
	else
		rc = AS_USER(b, b->store->driver->set_date(b, (uint32_t)row, date));
	return end_change(b, rc);
}

/* Both mailboxes, lower number first: everyone who takes two takes them so. */
static int
begin_two(struct box *x, struct box *y)
{
	struct box *first = x->number <= y->number ? x : y, *second = first == x ? y : x;

	if (begin_change(first) == -1)
		return -1;
	if (first != second && begin_change(second) == -1)
		return end_change(first, -1);
	return 0;
}

/* The UIDs of the originals, ascending, in step with those of the copies. */
static int
tell_uids(const struct box *b, const struct rows *rows, const uint32_t *uids,
	  struct numset *from, struct numset *to)
{
	for (size_t i = 0; i < rows->n; i++) {
		uint32_t uid = b->rec[rows->v[i]].uid;

		if ((from != NULL && numset_add(from, uid, uid) == -1) ||
		    (to != NULL && numset_add(to, uids[i], uids[i]) == -1))
			return -1;
	}
	return 0;
}

int
box_copy(struct box *b, const struct numset *set, struct box *to_box, bool move,
	 struct numset *from, struct numset *to)
{
	struct rows rows;
	uint32_t *uids = NULL;
	int rc = -1;

	if (b->store != to_box->store) {
		errno = EXDEV;
		return -1;
	}
	if (move)
		place_for_holders(b, set, 0);
	if (begin_two(b, to_box) == -1)
		return -1;
	if (rows_of(b, set, 0, &rows) == 0) {
		if (rows.n == 0)
			rc = 0;
		else if ((uids = reallocarray(NULL, rows.n, sizeof *uids)) != NULL &&
			 (rc = AS_USER(b, b->store->driver->copy(b, rows.v, rows.n, to_box, move,
								 uids))) == 0) {
			pthread_rwlock_rdlock(&b->lock);
			rc = tell_uids(b, &rows, uids, from, to);
			pthread_rwlock_unlock(&b->lock);
		}
		free(rows.v);
		free(uids);
	}
	rc = end_change(b, rc);
	if (to_box != b)
		rc = end_change(to_box, rc);
	return rc;
}
