/* mbox_expunge: messages leave the file; who still reads them has them in a spool. */
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
#include "storage/message.h"

#define TRIES 5 /* at a file that others write to without minding the locks */

/* ---- holding ------------------------------------------------------------------------------------------ */

/* For readers: the message goes to the end of the spool. Its place there, or -1. */
static int
spool(struct mbox *m, uint32_t row, uint64_t *off, uint64_t *end)
{
	char room[65536];
	struct source src;
	unsigned depth;
	int rc = 0, saved;

	if (m->spool == -1) {
		depth = cred_suspend(m->box->store);
		m->spool = openat(box_index_dir(m->box), ".",
		                  O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		saved = errno;
		cred_resume(m->box->store, depth);
		errno = saved;
		m->spool_end = 0;
	}
	if (m->spool == -1 || mbox_source(m->box, row, &src) == -1)
		return -1;
	*off = *end = m->spool_end;
	for (uint64_t at = 0; at < src.stored_size && rc == 0;) {
		size_t n = src.stored_size - at < sizeof room
		               ? (size_t)(src.stored_size - at)
		               : sizeof room;

		rc = source_read(&src, at, room, n);
		if (rc == 0)
			rc = io_pwrite_all(m->spool, (struct span){room, n},
			                   (off_t)*end);
		at += n;
		*end += n;
	}
	saved = errno;
	close(src.fd);
	errno = saved;
	if (rc == 0)
		m->spool_end = *end;
	return rc;
}

struct hold {
	uint64_t off, end;
	bool held;
};

/* What cannot be held is expunged all the same: readers get an error then, not wrong octets. */
static void
hold_rows(struct mbox_plan *p, struct hold *h)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].gone)
			h[i].held =
			    spool(p->w.m, p->v[i].row, &h[i].off, &h[i].end) == 0;
}

static void
tell_gone(const struct mbox_plan *p, const struct hold *h)
{
	struct mbox *m = p->w.m;

	box_begin(m->box);
	for (size_t i = 0; i < p->n; i++) {
		struct mbox_row *r = &m->row[p->v[i].row];

		if (!p->v[i].gone)
			continue;
		r->held = h[i].held;
		r->off = h[i].held ? h[i].off : MBOX_NOWHERE;
		r->end = h[i].end;
		m->nheld += h[i].held;
		box_edit_gone(m->box, p->v[i].row, h[i].held);
	}
	box_commit(m->box);
}

static int
try_expunge(struct mbox *m, const uint32_t *rows, size_t n, bool hold)
{
	struct hold *h = NULL;
	struct mbox_item **at = NULL;
	struct mbox_plan p;
	int rc = -1;

	if (mbox_plan_begin(m, &p) == -1)
		return -1;
	if ((at = mbox_plan_index(&p)) == NULL ||
	    (h = calloc(p.n + 1, sizeof *h)) == NULL)
		goto out;
	for (size_t i = 0; i < n; i++)
		if (at[rows[i]] != NULL)
			at[rows[i]]->gone = true;
	if (!mbox_plan_changes(&p))
		rc = 0;
	else if (mbox_plan_settle(&p) == 0) {
		if (hold)
			hold_rows(&p, h);
		if ((rc = mbox_plan_run(&p)) == 0) {
			tell_gone(&p, h);
			rc = mbox_plan_take(&p);
		}
	}
out:
	if (rc == -1)
		m->known = false;
	free(at);
	free(h);
	mbox_plan_end(&p);
	return rc;
}

int
mbox_expunge(struct box *b, const uint32_t *rows, size_t n, bool hold)
{
	struct mbox *m = mbox_of(b);
	int rc = -1, saved;

	for (int i = 0; i < TRIES; i++)
		if ((rc = try_expunge(m, rows, n, hold)) == 0 || errno != EAGAIN)
			break;
	saved = errno;
	if (rc == -1)
		log_error("%s: cannot expunge: %s", mbox_who(m), strerror(saved));
	errno = saved;
	return rc;
}

void
mbox_unhold(struct box *b, uint32_t row)
{
	struct mbox *m = mbox_of(b);

	if (row >= m->nrow || !m->row[row].held)
		return;
	pthread_rwlock_wrlock(&b->lock);
	m->row[row].held = false;
	m->row[row].off = MBOX_NOWHERE;
	if (--m->nheld == 0) {
		close(m->spool);
		m->spool = -1;
	}
	pthread_rwlock_unlock(&b->lock);
}
