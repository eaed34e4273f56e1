/*
 * mbox_change: flags, keywords, dates. The first change of all, and one after messages
 * arrived, writes the UIDs too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/grow.h"
#include "storage/mbox_plan.h"

#define TRIES 5 /* at a file that others write to without minding the locks */

/* ---- flags -------------------------------------------------------------------------------------------- */

/* What to change in one row: absolute flags would undo what others changed between the
 * caller's look and ours. */
struct turn {
	uint32_t row;
	uint16_t on, off;
	uint32_t kon, koff;
};

static struct turn *
turns_of(const struct box *b, const struct flag_edit *e, size_t n)
{
	struct turn *t = reallocarray(NULL, n + 1, sizeof *t);

	for (size_t i = 0; t != NULL && i < n; i++) {
		const struct mt_record *was = &b->rec[e[i].row];

		t[i] = (struct turn){.row = e[i].row,
		                     .on = (uint16_t)(e[i].flags & ~was->flags),
		                     .off = (uint16_t)(was->flags & ~e[i].flags),
		                     .kon = e[i].keywords & ~was->keywords,
		                     .koff = was->keywords & ~e[i].keywords};
	}
	return t;
}

static int
turn_items(struct mbox_plan *p, const struct turn *t, size_t n)
{
	struct mbox_item **at = mbox_plan_index(p);

	if (at == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct mbox_item *it = at[t[i].row];
		uint16_t flags;
		uint32_t keywords;

		if (it == NULL) /* expunged meanwhile: no error */
			continue;
		flags = (uint16_t)((it->flags | t[i].on) & ~t[i].off);
		keywords = (it->keywords | t[i].kon) & ~t[i].koff;
		it->change = flags != it->flags || keywords != it->keywords;
		it->flags = flags;
		it->keywords = keywords;
	}
	free(at);
	return 0;
}

static void
tell_flags(const struct mbox_plan *p)
{
	struct box *b = p->w.m->box;

	box_begin(b);
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].change)
			box_edit_flags(b, p->v[i].row, p->v[i].flags, p->v[i].keywords);
	box_commit(b);
}

static int
try_flags(struct mbox *m, const struct turn *t, size_t n)
{
	struct mbox_plan p;
	int rc = -1;

	if (mbox_plan_begin(m, &p) == -1)
		return -1;
	if (turn_items(&p, t, n) == 0) {
		if (!mbox_plan_changes(&p))
			rc = 0;
		else if (mbox_plan_settle(&p) == 0 && (rc = mbox_plan_run(&p)) == 0) {
			tell_flags(&p);
			rc = mbox_plan_take(&p);
		}
	}
	if (rc == -1)
		m->known = false;
	mbox_plan_end(&p);
	return rc;
}

int
mbox_set_flags(struct box *b, const struct flag_edit *e, size_t n)
{
	struct mbox *m = mbox_of(b);
	struct turn *t = turns_of(b, e, n);
	int rc = -1, saved;

	for (int i = 0; t != NULL && i < TRIES; i++)
		if ((rc = try_flags(m, t, n)) == 0 || errno != EAGAIN)
			break;
	saved = errno;
	free(t);
	if (rc == -1)
		log_error("%s: cannot change flags: %s", mbox_who(m), strerror(saved));
	errno = saved;
	return rc;
}

int
mbox_add_keyword(struct box *b, struct span name, unsigned *number)
{
	struct mbox *m = mbox_of(b);
	int n = mbox_keyword(m, name);

	if (n == -1) {
		errno = keywords_valid(name) ? ENOSPC : EINVAL;
		return -1;
	}
	if (mbox_uids_append_keyword(m, name) == -1) {
		m->nkeyword = (unsigned)n;
		return -1;
	}
	*number = (unsigned)n;
	box_begin(b);
	box_edit_keyword(b, *number, name);
	box_commit(b);
	return 0;
}

/* The file is not written for that: its next change tells it. */
int
mbox_claim_recent(struct box *b, const uint32_t *rows, size_t n)
{
	struct mbox *m = mbox_of(b);

	box_begin(b);
	for (size_t i = 0; i < n; i++) {
		box_edit_recent(b, rows[i], false);
		if (b->rec[rows[i]].uid > m->claimed)
			m->claimed = b->rec[rows[i]].uid;
	}
	box_commit(b);
	m->uids_written = false; /* with the next that is written */
	return 0;
}

/* ---- dates -------------------------------------------------------------------------------------------- */

static int
try_date(struct mbox *m, uint32_t row, int64_t date)
{
	char text[MBOXFROM_DATE + 1];
	struct mbox_journal j;
	struct mbox_plan p;
	struct mbox_header h;
	int rc = -1;

	if (mbox_plan_begin(m, &p) == -1)
		return -1;
	if (m->row[row].held || m->row[row].off == MBOX_NOWHERE)
		errno = ENOENT;
	else if (mbox_header_read(m, p.w.fd, m->row[row].off, &h) == 0) {
		mboxfrom_print_date(date, text);
		if (h.msg.date_off == 0)
			errno = ENOTSUP; /* another form of date: it is left as it is */
		else if (mbox_journal_begin(&j, m, p.w.fd) == 0) {
			if (mbox_journal_patch(&j, h.msg.off + h.msg.date_off,
			                       MBOXFROM_DATE) == 0 &&
			    mbox_journal_data(&j, (struct span){text, MBOXFROM_DATE}) ==
			        0)
				rc = mbox_journal_run(&j);
			mbox_journal_end(&j);
		}
		mbox_header_free(&h);
	}
	if (rc == 0) {
		mbox_take_stamp(&p.w);
		box_begin(m->box);
		box_edit_date(m->box, row, date);
		box_commit(m->box);
	} else if (errno == EAGAIN)
		m->known = false;
	mbox_plan_end(&p);
	return rc;
}

int
mbox_set_date(struct box *b, uint32_t row, int64_t date)
{
	int rc = -1;

	for (int i = 0; i < TRIES; i++)
		if ((rc = try_date(mbox_of(b), row, date)) == 0 || errno != EAGAIN)
			break;
	return rc;
}
