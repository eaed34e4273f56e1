#include "protocol/imap/mailbox.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/base/log.h"

#define ROWS_MAX   2048 /* records that are read at once */
#define SCANS_MAX  20   /* times that the whole is read again because it moved */
#define NEWS_MAX   512  /* events per read */
#define NEWS_FEW   32	/* when waiting: the kernel holds the pages of a read all the time */
#define ROUNDS_MAX 1000 /* reads of news at a time: nobody can keep us from answering */

/* ---- looking up -------------------------------------------------------------------------- */

size_t
mailbox_at_least(const struct mailbox *mb, uint32_t uid)
{
	size_t lo = 0, hi = mb->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (mb->m[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t
mailbox_find(const struct mailbox *mb, uint32_t uid)
{
	size_t i = mailbox_at_least(mb, uid);

	return i < mb->n && mb->m[i].uid == uid ? i : mb->n;
}

bool
mailbox_next_run(const struct mailbox *mb, const struct numset *set, size_t most,
                 struct mailbox_run *r)
{
	size_t next = r->i += r->n;

	r->n = 0;
	while (r->range < set->n && r->n < most) {
		const struct numrange *g = &set->r[r->range];
		size_t at = mailbox_at_least(mb, g->lo);

		if (at > next && r->n > 0)
			break;
		if (at > next)
			next = r->i = at;
		for (; next < mb->ntold && mb->m[next].uid <= g->hi && r->n < most;
		     next++)
			r->n++;
		r->range += r->n < most; /* else there may be more of it */
	}
	return r->n > 0;
}

/* ---- taking in ------------------------------------------------------------------------------ */

static void
take_keywords(struct mailbox *mb, const struct mt_header *now)
{
	if (memcmp(now->keyword, mb->head.keyword, sizeof now->keyword) == 0)
		return;
	memcpy(mb->head.keyword, now->keyword, sizeof now->keyword);
	mb->head.nkeyword = now->nkeyword;
	mb->untold = mb->untold_keywords = true;
}

/* Have names for all of a record's keywords: another session may have made one since the
 * table was read. When that fails, the event about the table will tell why. */
static void
know_keywords(struct mailbox *mb, uint32_t keywords)
{
	struct mt_header now;
	uint32_t named = 0;

	for (unsigned k = 0; k < mb->head.nkeyword && k < MT_NKEYWORD; k++)
		if (mb->head.keyword[k][0] != '\0')
			named |= 1u << k;
	if ((keywords & ~named) != 0 && view_header(&mb->view, &now) == 0)
		take_keywords(mb, &now);
}

static int
append(struct mailbox *mb, const struct mt_record *r, uint32_t row)
{
	if (mb->n == mb->cap) {
		size_t cap = mb->cap + mb->cap / 4 + 64;
		struct message *m = reallocarray(mb->m, cap, sizeof *m);

		if (m == NULL)
			return -1;
		mb->m = m;
		mb->cap = cap;
	}
	know_keywords(mb, r->keywords);
	mb->m[mb->n] =
	    (struct message){.uid = r->uid,
	                     .row = row,
	                     .keywords = r->keywords,
	                     .flags = r->flags,
	                     .recent = mb->readonly ? r->bits & MT_RECENT
	                                            : numset_has(&mb->ahead, r->uid),
	                     .modseq = r->modseq};
	mb->nrecent += mb->m[mb->n++].recent;
	return 0;
}

static void
raise_modseq(struct mailbox *mb, uint64_t modseq)
{
	if (modseq > mb->modseq)
		mb->modseq = modseq;
}

void
mailbox_learn(struct mailbox *mb, struct message *m, const struct mt_record *r)
{
	know_keywords(mb, r->keywords);
	if (m->flags != r->flags || m->keywords != r->keywords)
		m->untold |= UNTOLD_FLAGS;
	if (m->modseq != r->modseq)
		m->untold |= UNTOLD_MODSEQ;
	m->flags = r->flags;
	m->keywords = r->keywords;
	m->modseq = r->modseq;
	if (r->modseq > mb->learned)
		mb->learned = r->modseq;
	if (m->untold != 0)
		mb->untold = mb->untold_messages = true;
}

static void
lose(struct mailbox *mb, struct message *m, uint64_t modseq)
{
	m->untold |= UNTOLD_GONE;
	m->modseq = modseq;
	mb->ngone++;
	mb->untold = true;
	raise_modseq(mb, modseq);
}

static int
arrive(struct mailbox *mb, const struct mt_record *r, uint32_t row)
{
	if (append(mb, r, row) == -1)
		return -1;
	raise_modseq(mb, r->modseq);
	mb->unclaimed |= !mb->readonly && r->bits & MT_RECENT;
	mb->untold = true;
	return 0;
}

/*
 * Join the records as they are now with what is known: `row` ascends over the calls, and so
 * do the UIDs. What was known and is passed by is gone.
 */
struct join {
	struct mailbox *mb;
	size_t at, n; /* of what was known before */
	bool first;   /* the mailbox is being opened: nothing is news */
};

static int
join_record(struct join *j, const struct mt_record *r, uint32_t row)
{
	struct mailbox *mb = j->mb;

	if (j->first)
		return append(mb, r, row);
	for (; j->at < j->n && mb->m[j->at].uid < r->uid; j->at++)
		if (!(mb->m[j->at].untold & UNTOLD_GONE))
			lose(mb, &mb->m[j->at], mb->head.modseq);
	if (j->at < j->n && mb->m[j->at].uid == r->uid) {
		mb->m[j->at].row = row;
		mailbox_learn(mb, &mb->m[j->at++], r);
		return 0;
	}
	if (mb->n > 0 && r->uid <= mb->m[mb->n - 1].uid) /* known to be gone already */
		return 0;
	return arrive(mb, r, row);
}

static int
join_rows(struct join *j, struct mt_record *block)
{
	uint64_t nrecord = j->mb->head.nrecord;

	for (uint32_t row = 0; row < nrecord;) {
		size_t n =
		    nrecord - row < ROWS_MAX ? (size_t)(nrecord - row) : ROWS_MAX;

		if (view_rows(&j->mb->view, row, block, n) == -1)
			return -1;
		for (size_t i = 0; i < n; i++)
			if (!(block[i].bits & MT_EXPUNGED) &&
			    join_record(j, &block[i], row + (uint32_t)i) == -1)
				return -1;
		row += (uint32_t)n;
	}
	for (; j->at < j->n; j->at++)
		if (!(j->mb->m[j->at].untold & UNTOLD_GONE))
			lose(j->mb, &j->mb->m[j->at], j->mb->head.modseq);
	return 0;
}

/* Read all of the index. ESTALE: it moved meanwhile. */
static int
scan_once(struct mailbox *mb, bool first, struct mt_record *block)
{
	struct join j = {.mb = mb, .n = mb->n, .first = first};
	struct mt_header after;

	if (view_header(&mb->view, &mb->head) == -1 || join_rows(&j, block) == -1 ||
	    view_header(&mb->view, &after) == -1)
		return -1;
	raise_modseq(mb, mb->head.modseq);
	errno = ESTALE;
	return after.generation == mb->head.generation &&
	               after.uidvalidity == mb->head.uidvalidity
	           ? 0
	           : -1;
}

static int
scan(struct mailbox *mb, bool first)
{
	struct mt_record *block = reallocarray(NULL, ROWS_MAX, sizeof *block);
	int rc = -1, saved;

	for (int i = 0; block != NULL && i < SCANS_MAX; i++) {
		if (first)
			mb->n = mb->nrecent = 0;
		if ((rc = scan_once(mb, first, block)) == 0 || errno != ESTALE)
			break;
	}
	saved = errno;
	free(block);
	errno = saved;
	return rc;
}

/* ---- news -------------------------------------------------------------------------------------- */

/* The keyword table may have changed, perhaps by ourselves. */
static int
learn_header(struct mailbox *mb)
{
	struct mt_header now;

	if (view_header(&mb->view, &now) == -1)
		return -1;
	take_keywords(mb, &now);
	mb->head = now;
	return 0;
}

static int
take_event(struct mailbox *mb, const struct mt_event *e)
{
	const struct mt_record *r = &e->rec;
	size_t i = mailbox_find(mb, r->uid);

	switch ((enum mt_event_type)e->type) {
	case MT_EV_NEW:
		if (i < mb->n || (mb->n > 0 && r->uid < mb->m[mb->n - 1].uid))
			return 0; /* it was in the index already when that was read */
		return arrive(mb, r, e->row);
	case MT_EV_FLAGS:
		/* an older one than what the index has said already is no news */
		if (i < mb->n && r->modseq > mb->m[i].modseq)
			mailbox_learn(mb, &mb->m[i], r);
		raise_modseq(mb, r->modseq);
		return 0;
	case MT_EV_EXPUNGED:
		if (i < mb->n && !(mb->m[i].untold & UNTOLD_GONE))
			lose(mb, &mb->m[i], r->modseq);
		raise_modseq(mb, r->modseq);
		return 0;
	case MT_EV_HEADER:
		return learn_header(mb);
	case MT_EV_OVERFLOW:
		mb->untold = mb->untold_keywords = true;
		return scan(mb, false);
	case MT_EV_RESET:
		mb->gone = true;
		return 0;
	case MT_EV_SIZED:
		return 0;
	}
	return 0;
}

/* What one read of at most `most` gives; *more: perhaps not all. */
static int
take_some(struct mailbox *mb, size_t most, bool *more)
{
	static struct mt_event e[NEWS_MAX] __attribute__((aligned(4096)));
	ssize_t n = view_news(&mb->view, e, most);

	if (n == -1)
		mb->gone = true;
	for (ssize_t i = 0; i < n && !mb->gone; i++)
		if (take_event(mb, &e[i]) == -1)
			mb->gone = true;
	if (n > 0)
		mb->listeners = e[n - 1].listeners;
	*more = n > 0;
	return mb->gone ? -1 : 0;
}

int
mailbox_take(struct mailbox *mb)
{
	bool more = true;

	for (int round = 0; round < ROUNDS_MAX && more; round++)
		if (take_some(mb, NEWS_MAX, &more) == -1)
			return -1;
	return 0;
}

int
mailbox_wait(struct mailbox *mb)
{
	bool more;

	return take_some(mb, NEWS_FEW, &more);
}

void
mailbox_forget_gone(struct mailbox *mb)
{
	size_t k = 0, ntold = 0;

	for (size_t i = 0; i < mb->n; i++) {
		if (mb->m[i].untold & UNTOLD_GONE) {
			mb->nrecent -= mb->m[i].recent;
			continue;
		}
		ntold += i < mb->ntold;
		mb->m[k++] = mb->m[i];
	}
	mb->n = k;
	mb->ntold = ntold;
	mb->ngone = 0;
}

/* ---- life ------------------------------------------------------------------------------------------ */

/* What came after the news were read has been claimed too: it is nobody else's now. */
static int
mark_recent(struct mailbox *mb, const struct numset *recent)
{
	uint32_t last = mb->n > 0 ? mb->m[mb->n - 1].uid : 0;

	for (size_t i = 0; i < recent->n; i++) {
		const struct numrange *g = &recent->r[i];

		for (size_t k = mailbox_at_least(mb, g->lo);
		     k < mb->n && mb->m[k].uid <= g->hi; k++) {
			mb->nrecent += !mb->m[k].recent;
			mb->m[k].recent = true;
		}
		if (g->hi > last &&
		    numset_add(&mb->ahead, g->lo > last ? g->lo : last + 1, g->hi) ==
		        -1)
			return -1;
	}
	return 0;
}

int
mailbox_claim_recent(struct mailbox *mb)
{
	struct numset recent = {0};
	int rc = 0;

	if (!mb->readonly && (rc = view_recent(&mb->view, &recent)) == 0)
		rc = mark_recent(mb, &recent);
	numset_free(&recent);
	return rc;
}

/*
 * \Recent is a hint, and no reason to keep somebody from his mail. But that it cannot be
 * claimed shows mail that nobody can change, and (EACCES) what is no mailbox at all.
 */
static int
claim(struct mailbox *mb, struct numset *recent)
{
	if (mb->readonly || view_recent(&mb->view, recent) == 0)
		return 0;
	if (errno == EROFS || errno == EPERM)
		mb->readonly = true;
	return errno == EACCES ? -1 : 0;
}

/* Claimed before it is read, so that the claims are no news. */
static int
claim_and_scan(struct mailbox *mb)
{
	struct numset recent = {0};
	int rc = claim(mb, &recent);

	if (rc == 0 && (rc = scan(mb, true)) == 0)
		rc = mark_recent(mb, &recent);
	numset_free(&recent);
	return rc;
}

int
mailbox_open(const struct view_conf *base, struct span path, bool readonly,
             struct mailbox **out)
{
	struct mailbox *mb = calloc(1, sizeof *mb);
	struct view_conf conf = *base;
	int saved;

	if (mb == NULL)
		return -1;
	mb->readonly = readonly;
	if ((mb->path = strndup(path.p, path.n)) == NULL)
		goto fail_early;
	conf.mailbox = mb->path;
	conf.mode = VIEW_WHOLE;
	if (view_open(&conf, &mb->view) == -1)
		goto fail_early;
	if (view_ctl(&mb->view, SPAN("sync"), NULL, NULL) == -1 ||
	    claim_and_scan(mb) == -1 ||
	    reader_open(&mb->view, mb->head.wire_size, &mb->reader) == -1)
		goto fail;
	mb->ntold = mb->n;
	*out = mb;
	return 0;
fail:
	saved = errno;
	view_close(&mb->view);
	numset_free(&mb->ahead);
	free(mb->m);
	errno = saved;
fail_early:
	saved = errno;
	free(mb->path);
	free(mb);
	errno = saved;
	return -1;
}

void
mailbox_close(struct mailbox *mb)
{
	if (mb == NULL)
		return;
	reader_close(&mb->reader);
	view_close(&mb->view);
	arena_free(&mb->parsed.arena);
	numset_free(&mb->ahead);
	free(mb->path);
	free(mb->m);
	free(mb);
}

/* ---- records ------------------------------------------------------------------------------------------ */

int
mailbox_records(struct mailbox *mb, size_t i, struct mt_record *rec, size_t n)
{
	static struct mt_record block[ROWS_MAX];
	size_t end = i + n;

	while (i < end) {
		uint32_t first = mb->m[i].row, rows = 1;
		size_t k = i + 1;

		while (k < end && mb->m[k].row - first < ROWS_MAX)
			rows = mb->m[k++].row - first + 1;
		if (view_rows(&mb->view, first, block, rows) == -1)
			return -1;
		for (; i < k; i++) {
			*rec = block[mb->m[i].row - first];
			if (rec->uid !=
			    mb->m[i].uid) { /* rows never move while we look */
				errno = ESTALE;
				return -1;
			}
			if (rec->wire_off != MT_OFF_UNKNOWN &&
			    rec->wire_off + rec->wire_size > mb->reader.wire_end)
				mb->reader.wire_end = rec->wire_off + rec->wire_size;
			rec++;
		}
	}
	return 0;
}
