/*
 * mbox_places: a file that is as it was when it was last read is not read again: its messages
 * are where `mbox-places` says. Believed only when the file has the stamp that stands there,
 * which was taken when no change could hide behind it, and when some of the messages are
 * found there indeed; thrown away otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/mbox_look.h"
#include "storage/mboxplaces.h"

#define NAME    "mbox-places"
#define TMP     NAME ".tmp"
#define MOST    (1u << 30)  /* octets of it */
#define LEAST   (256 << 10) /* of an mbox for which it is worth its while */
#define SAMPLES 8

/* ---- reading ------------------------------------------------------------------------------ */

static int
slurp(struct mbox *m, struct buf *text)
{
	unsigned depth = cred_suspend(m->box->store);
	int fd = openat(box_index_dir(m->box), NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int rc = fd == -1 ? -1 : io_slurp(fd, text);

	if (fd != -1)
		close(fd);
	cred_resume(m->box->store, depth);
	return rc;
}

static bool
has_stamp(int fd, const struct file_stamp *stamp)
{
	struct file_stamp now;
	struct stat st;

	if (fstat(fd, &st) == -1)
		return false;
	now = file_stamp(&st);
	return file_stamp_eq(&now, stamp);
}

static bool
is_there(int fd, const struct mboxplaces *h, const struct mboxplace *p)
{
	struct mboxscan_msg msg;

	return mbox_scan_header(fd, p->off, (uint64_t)h->stamp.size, p->off == 0, &msg,
	                        NULL, NULL) == 0 &&
	       msg.off == p->off && msg.head == p->head && msg.flags == p->flags &&
	       (p->uid == 0 || msg.uid == p->uid) && msg.header <= p->end;
}

/* The first, the last, and some between. */
static bool
are_there(int fd, const struct mboxplaces *h, struct span text)
{
	struct mboxplace p;

	for (size_t i = 0; i < SAMPLES && h->n > 0; i++) {
		mboxplaces_at(text, (size_t)(h->n - 1) * i / (SAMPLES - 1), &p);
		if (!is_there(fd, h, &p))
			return false;
	}
	return true;
}

/* Keywords have the numbers now that m gives them. */
static bool
map_keywords(struct mbox *m, const struct mboxplaces *h, uint32_t to[MT_NKEYWORD])
{
	for (unsigned i = 0; i < MT_NKEYWORD && h->keyword[i][0] != '\0'; i++) {
		int n = mbox_keyword(m, span_of(h->keyword[i]));

		if (n == -1)
			return false;
		to[i] = 1u << n;
	}
	return true;
}

static uint32_t
mapped(uint32_t set, const uint32_t to[MT_NKEYWORD])
{
	uint32_t out = 0;

	for (unsigned i = 0; i < MT_NKEYWORD; i++)
		if (set >> i & 1)
			out |= to[i];
	return out;
}

static int
fill(struct mbox_look *l, const struct mboxplaces *h, struct span text)
{
	uint32_t to[MT_NKEYWORD] = {0};
	struct mboxplace p;

	l->v = calloc((size_t)h->n + 1, sizeof *l->v);
	if (l->v == NULL || !map_keywords(l->m, h, to))
		return -1;
	l->cap = (size_t)h->n + 1;
	for (l->n = 0; l->n < h->n; l->n++) {
		mboxplaces_at(text, l->n, &p);
		l->v[l->n] = (struct mbox_found){
		    .msg = {.off = p.off,
		            .end = p.end,
		            .head = p.head,
		            .ident = p.ident,
		            .visible = p.visible,
		            .date = p.date,
		            .uid = p.uid,
		            .flags = p.flags,
		            .old = p.old},
		    .keywords = mapped(p.keywords, to),
		    .row = -1,
		};
	}
	l->stamp = h->stamp;
	l->based = h->based;
	l->crlf = h->crlf;
	l->uidvalidity = h->based ? h->uidvalidity : 0;
	l->base_last = h->base_last;
	l->base_named = mapped(h->base_named, to);
	return 0;
}

bool
mbox_places_take(struct mbox_look *l)
{
	struct buf text = {.max = MOST};
	struct mboxplaces h;
	bool yes = false;

	if (l->fd == -1 || slurp(l->m, &text) == -1)
		goto out;
	yes = mboxplaces_parse(buf_span(&text), &h) &&
	      h.uidvalidity == l->m->uidvalidity && has_stamp(l->fd, &h.stamp) &&
	      are_there(l->fd, &h, buf_span(&text)) && has_stamp(l->fd, &h.stamp);
	if (yes && fill(l, &h, buf_span(&text)) == -1) {
		free(l->v);
		l->v = NULL;
		l->n = l->cap = 0;
		yes = false;
	}
	if (!yes) {
		unsigned depth = cred_suspend(l->m->box->store);

		(void)unlinkat(box_index_dir(l->m->box), NAME, 0);
		cred_resume(l->m->box->store, depth);
	}
out:
	buf_free(&text);
	return yes;
}

/* ---- writing ------------------------------------------------------------------------------ */

static int
by_off(const void *a, const void *b)
{
	const struct mboxplace *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

static struct mboxplace *
gather(const struct mbox *m, size_t *n)
{
	struct mboxplace *v = calloc(m->nrow + 1, sizeof *v);

	*n = 0;
	for (size_t row = 0; v != NULL && row < m->nrow; row++) {
		const struct mbox_row *r = &m->row[row];
		const struct mt_record *rec = &m->box->rec[row];

		if (r->held || r->off == MBOX_NOWHERE)
			continue;
		v[(*n)++] =
		    (struct mboxplace){.off = r->off,
		                       .end = r->end,
		                       .head = r->head,
		                       .ident = r->ident,
		                       .visible = r->visible,
		                       .date = rec->date,
		                       .uid = r->has_uid ? rec->uid : 0,
		                       .keywords = rec->keywords,
		                       .flags = rec->flags,
		                       .old = r->old || !(rec->bits & MT_RECENT)};
	}
	if (v != NULL && *n > 1)
		qsort(v, *n, sizeof *v, by_off);
	return v;
}

static int
print(const struct mbox *m, struct buf *text)
{
	struct mboxplaces h = {.stamp = m->stamp,
	                       .uidvalidity = m->uidvalidity,
	                       .base_last = m->base_last,
	                       .base_named = m->base_named & mbox_all_keywords(m),
	                       .based = m->based,
	                       .crlf = m->crlf};
	struct mboxplace *v;
	size_t n;
	int rc = -1;

	memcpy(h.keyword, m->keyword, sizeof h.keyword);
	if ((v = gather(m, &n)) != NULL)
		rc = mboxplaces_print(&h, v, n, text);
	free(v);
	return rc;
}

/* Not durably: what a crash leaves of it has a wrong check. */
static int
put(int dir, struct span text)
{
	int fd = openat(dir, TMP, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	                0600);
	int rc = -1;

	if (fd == -1)
		return -1;
	if (io_write_all(fd, text) == 0)
		rc = renameat(dir, TMP, dir, NAME);
	if (rc == -1)
		(void)unlinkat(dir, TMP, 0);
	close(fd);
	return rc;
}

/* A change right after the stamp was taken would show now. */
static bool
is_certain(const struct mbox *m)
{
	int fd = mbox_open_file(m, O_RDONLY);
	bool yes;

	if (fd == -1)
		return false;
	yes = has_stamp(fd, &m->stamp) && mbox_look_is_settled(fd) &&
	      has_stamp(fd, &m->stamp);
	close(fd);
	return yes;
}

void
mbox_places_write(struct mbox *m)
{
	struct buf text = {.max = MOST};
	unsigned depth;

	if (!m->loaded || !m->known || !m->exists || m->dirty ||
	    m->stamp.size < LEAST ||
	    (m->placed && file_stamp_eq(&m->stamp, &m->placed_stamp)) || !is_certain(m))
		return;
	depth = cred_suspend(m->box->store);
	if (print(m, &text) == -1 || put(box_index_dir(m->box), buf_span(&text)) == -1)
		log_warn("%s: cannot write " NAME ": %m", mbox_who(m));
	else {
		m->placed = true;
		m->placed_stamp = m->stamp;
	}
	cred_resume(m->box->store, depth);
	buf_free(&text);
}
