/*
 * Answers are bounded, and sets in them may have many ranges. A command whose answer
 * could become too long works on the first part of its set and ends in `more N`; asked
 * again with the set from N on it goes on.
 */
#include "fs/ctl_run.h"

#include <stdlib.h>

#include "fs/ctl_private.h"
#include "fs/draft.h"
#include "fs/room.h"
#include "fs/wait.h"

#define PICKED_MOST 640 /* messages of which any may be named: in ranges of their own */

/* ---- sets ------------------------------------------------------------------------------ */

/* Walk over the live messages of the command's set, until `each` is not 0. */
static int
each_live(struct run *r, int (*each)(struct run *, const struct mt_record *, void *),
	  void *arg)
{
	struct mt_record rec[64];
	const struct numset *set = &r->cmd.set;
	int status;
	size_t n;

	for (size_t i = 0; i < set->n; i++) {
		uint32_t uid = set->r[i].lo - 1;

		while (uid < set->r[i].hi && (n = box_list(r->box, uid, rec, 64)) > 0)
			for (size_t k = 0; k < n; k++) {
				if ((uid = rec[k].uid) > set->r[i].hi)
					break;
				if ((status = each(r, &rec[k], arg)) != 0)
					return status;
			}
	}
	return 0;
}

static int
pick_one(struct run *r, const struct mt_record *rec, void *arg)
{
	struct numset *part = arg;

	if (r->cmd.deleted_only && !(rec->flags & MT_DELETED))
		return 0;
	if ((part->n == RANGES_MOST && part->r[part->n - 1].hi + 1 != rec->uid) ||
	    (r->cmd.unchangedsince != UINT64_MAX && r->npicked == PICKED_MOST)) {
		r->more = rec->uid;
		return 1;
	}
	r->npicked++;
	return numset_add(part, rec->uid, rec->uid);
}

/* The first part of the command's set that an answer can name, live messages only. */
static int
pick(struct run *r, struct numset *part)
{
	return each_live(r, pick_one, part) == -1 ? -1 : 0;
}

static int
print_set(struct run *r, const char *word, const struct numset *set)
{
	if (set->n == 0)
		return 0;
	if (buf_addf(r->reply, "%s ", word) == -1 || numset_print(set, r->reply) == -1)
		return -1;
	return buf_addc(r->reply, '\n');
}

static void
told_set(struct run *r, struct box *box, const struct numset *set)
{
	if (set->n > 0)
		room_told(r->fs->rooms, box_number(box), set->r[set->n - 1].hi);
}

/* ---- flags ------------------------------------------------------------------------------ */

static int
keyword_bits(struct run *r, const struct ctl_list *l, bool create, uint32_t *bits)
{
	unsigned number;

	*bits = 0;
	for (unsigned i = 0; i < l->nkeyword; i++) {
		if (box_keyword(r->box, l->keyword[i], create, &number) == 0)
			*bits |= 1u << number;
		else if (create || errno != ENOENT) /* removing what nobody has is done */
			return -1;
	}
	return 0;
}

static int
run_flags(struct run *r)
{
	struct flag_change change = {.how = r->cmd.how,
				     .flags = r->cmd.list.flags,
				     .unchangedsince = r->cmd.unchangedsince};
	struct numset part = {0}, modified = {0};
	const struct numset *set = &r->cmd.set;
	int status = -1;

	if (keyword_bits(r, &r->cmd.list, change.how != FLAGS_REMOVE, &change.keywords) ==
	    -1)
		return -1;
	if (change.unchangedsince != UINT64_MAX) {
		if (pick(r, &part) == -1)
			goto out;
		set = &part;
	}
	if (box_flags(r->box, set, &change, &modified) == 0)
		status = print_set(r, "modified", &modified);
out:
	numset_free(&part);
	numset_free(&modified);
	return status;
}

static int
run_keyword(struct run *r)
{
	unsigned number;

	if (box_keyword(r->box, r->cmd.name, true, &number) == -1)
		return errno == EINVAL ? ctl_fail(r, EINVAL, "not a keyword") : -1;
	return buf_addf(r->reply, "keyword %u\n", number);
}

/* ---- expunge, copy, move ------------------------------------------------------------------ */

static int
run_expunge(struct run *r)
{
	struct numset part = {0}, gone = {0};
	int status = -1;

	if (pick(r, &part) == 0 &&
	    (part.n == 0 ||
	     box_expunge(r->box, &part, r->cmd.deleted_only, &gone) == 0))
		status = print_set(r, "expunged", &gone);
	numset_free(&part);
	numset_free(&gone);
	return status;
}

/* A mailbox that mail can be put into. */
static int
find_target(struct run *r, struct span path, struct box **out)
{
	struct box *box;

	if (ctl_find_box(r, path, &box) == -1)
		return -1;
	if (box_kind(box) != BOX_MAIL) {
		box_unref(box);
		return ctl_fail(r, EACCES, "not a mailbox");
	}
	*out = box;
	return 0;
}

static int
print_copied(struct run *r, struct box *to, const struct numset *from,
	     const struct numset *now)
{
	struct mt_header h;

	if (from->n == 0)
		return 0;
	box_header(to, &h);
	if (buf_addf(r->reply, "copyuid %u ", h.uidvalidity) == -1 ||
	    numset_print(from, r->reply) == -1 || buf_addc(r->reply, ' ') == -1 ||
	    numset_print(now, r->reply) == -1)
		return -1;
	told_set(r, to, now);
	return buf_addc(r->reply, '\n');
}

static int
run_copy(struct run *r)
{
	struct numset part = {0}, from = {0}, now = {0};
	struct box *to;
	int status = -1;

	if (find_target(r, r->cmd.name, &to) == -1)
		return -1;
	if (pick(r, &part) == 0 &&
	    (part.n == 0 || box_copy(r->box, &part, to, r->cmd.verb == CTL_MOVE, &from,
				     &now) == 0))
		status = print_copied(r, to, &from, &now);
	numset_free(&part);
	numset_free(&from);
	numset_free(&now);
	box_unref(to);
	return status;
}

/* ---- sizes, names ----------------------------------------------------------------------------- */

static int
run_sizes(struct run *r)
{
	int status = wait_sizes(r->req, r->box, &r->cmd.set, r->cmd.timeout_ms);

	if (status == 0)
		r->more = 1;
	return status == -1 ? -1 : 0;
}

static int
add_line(struct run *r, const struct mt_record *rec, const struct buf *name)
{
	if (r->reply->n + name->n + 16 > LINES_MOST) {
		r->more = rec->uid;
		return 1;
	}
	return buf_addf(r->reply, "%u %.*s\n", rec->uid, (int)name->n, name->p);
}

/* `ask` is box_base_name or box_uidl; a message that has none, or is gone, is left out. */
static int
name_one(struct run *r, const struct mt_record *rec, void *arg)
{
	int (*ask)(struct box *, uint32_t, struct buf *) =
		r->cmd.verb == CTL_NAMES ? box_base_name : box_uidl;
	struct buf *name = arg;

	buf_reset(name);
	if (r->cmd.verb == CTL_UIDL && !(rec->bits & MT_UIDL))
		return 0;
	if (ask(r->box, rec->uid, name) == -1)
		return errno == ENOENT ? 0 : -1;
	return add_line(r, rec, name);
}

static int
run_names(struct run *r)
{
	struct buf name = {0};
	int status = each_live(r, name_one, &name);

	buf_free(&name);
	return status == -1 ? -1 : 0;
}

/* ---- commit ------------------------------------------------------------------------------------- */

static struct draft *
find_draft(struct run *r, struct span name)
{
	struct draft *d;
	char text[256];

	if (span_cstr(name, text, sizeof text) == -1)
		return NULL;
	if ((d = draft_find(r->fs, r->box, true, text)) == NULL)
		d = draft_find(r->fs, r->box, false, text);
	return d;
}

static int
fill_commit(struct run *r, struct draft_commit *dc, size_t *n)
{
	for (*n = 0; *n < r->cmd.ncommit; ++*n) {
		const struct ctl_commit *c = &r->cmd.commit[*n];

		dc[*n] = (struct draft_commit){.flags = c->list.flags, .date = c->date};
		if (keyword_bits(r, &c->list, true, &dc[*n].keywords) == -1)
			return -1;
		if ((dc[*n].draft = find_draft(r, c->name)) == NULL)
			return ctl_fail(r, ENOENT, "no such draft");
	}
	return 0;
}

static int
print_uids(struct run *r, const uint32_t *uids, size_t n)
{
	struct numset set = {0};
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++)
		status = numset_add(&set, uids[i], uids[i]);
	if (status == 0) {
		status = print_set(r, "uids", &set);
		told_set(r, r->box, &set);
	}
	numset_free(&set);
	return status;
}

static int
run_commit(struct run *r)
{
	struct draft_commit *dc = calloc(r->cmd.ncommit, sizeof *dc);
	uint32_t *uids = calloc(r->cmd.ncommit, sizeof *uids);
	size_t n = 0;
	int status = -1;

	if (dc != NULL && uids != NULL && fill_commit(r, dc, &n) == 0 &&
	    draft_commit(r->fs, r->box, dc, n, uids) == 0)
		status = print_uids(r, uids, n);
	while (n > 0)
		draft_put(r->fs, dc[--n].draft);
	free(dc);
	free(uids);
	return status;
}

/* What it is to get when it is delivered. */
static int
run_mark(struct run *r)
{
	const struct ctl_commit *c = r->cmd.commit;
	struct draft *d;
	uint32_t keywords;

	if (keyword_bits(r, &c->list, true, &keywords) == -1)
		return -1;
	if ((d = find_draft(r, c->name)) == NULL)
		return ctl_fail(r, ENOENT, "no such draft");
	draft_mark(d, c->list.flags, keywords, c->date);
	draft_put(r->fs, d);
	return 0;
}

/* ---- recent, vanished, sync ---------------------------------------------------------------------------------- */

/* What does not fit is claimed all the same: \Recent is a hint. */
static int
run_recent(struct run *r)
{
	struct numset recent = {0};
	int status = -1;

	if (box_claim_recent(r->box, &recent) == 0) {
		if (recent.n > 2 * RANGES_MOST)
			recent.n = 2 * RANGES_MOST;
		status = print_set(r, "recent", &recent);
	}
	numset_free(&recent);
	return status;
}

static int
run_vanished(struct run *r)
{
	struct numset gone = {0};
	int status = box_vanished(r->box, r->cmd.modseq, r->cmd.from, &gone);

	if (status == 1)
		status = buf_addf(r->reply, "incomplete\n");
	if (status == 0 && gone.n > 2 * RANGES_MOST) {
		r->more = gone.r[2 * RANGES_MOST].lo;
		gone.n = 2 * RANGES_MOST;
	}
	if (status == 0)
		status = print_set(r, "vanished", &gone);
	numset_free(&gone);
	return status;
}

static int
run_sync(struct run *r)
{
	return fs_refresh(r->fs, r->box, true);
}

/* ---- dispatch ----------------------------------------------------------------------------------------- */

static int (*const runs[])(struct run *) = {
	[CTL_FLAGS] = run_flags,   [CTL_KEYWORD] = run_keyword, [CTL_EXPUNGE] = run_expunge,
	[CTL_COPY] = run_copy,	   [CTL_MOVE] = run_copy,	[CTL_SIZES] = run_sizes,
	[CTL_NAMES] = run_names,   [CTL_UIDL] = run_names,	[CTL_COMMIT] = run_commit,
	[CTL_RECENT] = run_recent, [CTL_SYNC] = run_sync,	[CTL_MARK] = run_mark,
	[CTL_VANISHED] = run_vanished,
	[CTL_MAILBOXES] = ctl_mailboxes,
	[CTL_CREATE] = ctl_create,
	[CTL_DELETE] = ctl_delete,
	[CTL_RENAME] = ctl_rename,
	[CTL_SUBSCRIBE] = ctl_subscribe,
	[CTL_UNSUBSCRIBE] = ctl_subscribe,
};

/* What `*` means: the highest UID that is there, 0 in an empty mailbox. */
static uint32_t
highest_uid(struct box *box)
{
	struct mt_record rec[64];
	struct mt_header h;
	uint64_t left;

	box_header(box, &h);
	for (left = h.nrecord; left > 0;) {
		uint64_t n = left < ARRAY_LEN(rec) ? left : ARRAY_LEN(rec);
		ssize_t got = box_index_read(box,
					     h.header_size + (left - n) * h.record_size, rec,
					     n * sizeof *rec);

		if (got < 0)
			return 0;
		for (uint64_t i = (uint64_t)got / sizeof *rec; i-- > 0;)
			if (!(rec[i].bits & MT_EXPUNGED))
				return rec[i].uid;
		left -= n;
	}
	return 0;
}

static int
print_status(struct run *r)
{
	return r->more == 0 ? buf_addf(r->reply, "ok\n")
			    : buf_addf(r->reply, "more %u\n", r->more);
}

int
ctl_run(fuse_req_t req, struct box *box, struct span text, struct buf *reply)
{
	struct run r = {.req = req, .fs = fs_of(req), .box = box, .reply = reply};
	int status, err = 0;

	reply->max = CTL_TEXT_MAX;
	buf_reset(reply);
	if (buf_room(reply, CTL_TEXT_MAX) == NULL)
		return ENOMEM;
	status = ctl_parse(text, highest_uid(box), &r.cmd, &r.why);
	if (status == 0) {
		r.why = NULL;
		status = runs[r.cmd.verb](&r);
	}
	if (status == 0)
		status = print_status(&r);
	if (status == -1) {
		err = errno;
		ctl_print_error(reply, err, r.why != NULL ? r.why : strerrordesc_np(err));
	}
	ctl_free(&r.cmd);
	return err;
}
