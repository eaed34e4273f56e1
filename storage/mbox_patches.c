/* mbox_patches: hidden fields of a message, read where they stand and written over there. */
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

/* ---- a message's header as it stands ------------------------------------------------------------ */

static void
take_more(struct mbox_header *h, struct span value)
{
	struct span w;

	while (mboxscan_keyword(&value, &w)) {
		bool known = false;

		for (unsigned i = 0; i < h->m->nkeyword && !known; i++)
			known = span_caseeq(span_of(h->m->keyword[i]), w);
		if (!known &&
		    (buf_addc(&h->more, ' ') == -1 || buf_add(&h->more, w) == -1))
			h->nomem = true;
	}
}

static void
take_base(struct mbox_header *h, struct span value)
{
	struct span w;

	for (unsigned i = 0; span_word(&value, &w); i++)
		if (i >= 2 &&
		    (buf_addc(&h->base, ' ') == -1 || buf_add(&h->base, w) == -1))
			h->nomem = true;
}

static void
on_field(void *arg, const struct mboxscan_field *f)
{
	struct mbox_header *h = arg;

	if (GROW(h->v, h->n, h->cap) == -1) {
		h->nomem = true;
		return;
	}
	h->v[h->n++] =
	    (struct mbox_hidden){f->name, f->off, f->size, f->value_off, f->value_room};
	if (f->name == MBOX_X_KEYWORDS)
		take_more(h, f->value);
	if ((f->name == MBOX_X_IMAPBASE || f->name == MBOX_X_IMAP) && h->base.n == 0)
		take_base(h, f->value);
}

void
mbox_header_free(struct mbox_header *h)
{
	free(h->v);
	buf_free(&h->more);
	buf_free(&h->base);
}

int
mbox_header_read(const struct mbox *m, int fd, uint64_t off, struct mbox_header *h)
{
	struct stat st;

	*h = (struct mbox_header){.m = m};
	if (fstat(fd, &st) == -1 ||
	    mbox_scan_header(fd, off, (uint64_t)st.st_size, off == 0, &h->msg, on_field,
	                     h) == -1)
		return -1;
	if (!h->nomem)
		return 0;
	errno = ENOMEM;
	return -1;
}

/* The one field of that name, that can be written over; NULL: none, several, or folded. */
static const struct mbox_hidden *
the_field(const struct mbox_header *h, enum mboxscan_name name)
{
	const struct mbox_hidden *found = NULL;

	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].name == name) {
			if (found != NULL || h->v[i].room == 0)
				return NULL;
			found = &h->v[i];
		}
	return found;
}

static bool
has_field(const struct mbox_header *h, enum mboxscan_name name)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].name == name)
			return true;
	return false;
}

/* ---- patches in place ---------------------------------------------------------------------------- */

void
mbox_patches_free(struct mbox_patches *p)
{
	free(p->v);
	buf_free(&p->text);
}

/* ` VALUE` and blanks up to the end of the line. */
static int
add_patch(struct mbox_patches *p, const struct mbox_hidden *f, struct span value)
{
	if (GROW(p->v, p->n, p->cap) == -1)
		return -1;
	p->v[p->n++] = (struct mbox_patch_text){f->value_off, f->room, p->text.n};
	if (buf_addc(&p->text, ' ') == -1 || buf_add(&p->text, value) == -1)
		return -1;
	for (size_t i = value.n + 1; i < f->room; i++)
		if (buf_addc(&p->text, ' ') == -1)
			return -1;
	return 0;
}

/* 1: the value has a place; 0: it has none; a value that is empty needs none. */
static int
place(const struct mbox_header *h, enum mboxscan_name name, struct span value,
      struct mbox_patches *p)
{
	const struct mbox_hidden *f = the_field(h, name);

	if (f == NULL)
		return value.n == 0 && !has_field(h, name) ? 1 : 0;
	if (value.n + 1 > f->room)
		return 0;
	return add_patch(p, f, value) == 0 ? 1 : -1;
}

int
mbox_patches_place(const struct mbox_header *h, const struct mbox_meta *a,
                   struct mbox_patches *p)
{
	char status[3], xstatus[5];
	struct buf keywords = {0};
	size_t n = p->n, text = p->text.n;
	int rc;

	mbox_print_status(a->flags, a->old, status);
	mbox_print_xstatus(a->flags, xstatus);
	if (mbox_print_keywords(h->m, a->keywords, a->more_keywords, &keywords) == -1)
		rc = -1;
	else if ((rc = place(h, MBOX_STATUS, span_of(status), p)) == 1 &&
	         (rc = place(h, MBOX_X_STATUS, span_of(xstatus), p)) == 1)
		rc = place(h, MBOX_X_KEYWORDS, buf_span(&keywords), p);
	if (rc != 1) {
		p->n = n;
		p->text.n = text;
	}
	buf_free(&keywords);
	return rc;
}

static int
by_off(const void *a, const void *b)
{
	const struct mbox_patch_text *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

int
mbox_patches_journal(struct mbox_journal *j, struct mbox_patches *p, uint64_t below)
{
	if (p->n > 0)
		qsort(p->v, p->n, sizeof *p->v, by_off);
	for (size_t i = 0; i < p->n && p->v[i].off < below; i++)
		if (mbox_journal_patch(j, p->v[i].off, p->v[i].n) == -1 ||
		    mbox_journal_data(
		        j, (struct span){p->text.p + p->v[i].text, p->v[i].n}) == -1)
			return -1;
	return 0;
}

/* ---- X-IMAPbase ------------------------------------------------------------------------------------ */

/* The first message of the file, be it none of ours, tells the last UID in ten digits, as
 * a rule: they can be written over. */
int
mbox_patches_base(struct mbox_writing *w, uint32_t last, struct mbox_patches *p)
{
	const struct mbox *m = w->m;
	const struct mbox_hidden *f;
	struct buf value = {0};
	struct mbox_header h;
	int rc = -1;

	if (!m->based ||
	    (last <= m->base_last && (mbox_all_keywords(m) & ~m->base_named) == 0))
		return 0;
	if (last < m->base_last)
		last = m->base_last;
	if (mbox_header_read(m, w->fd, 0, &h) == 0 &&
	    buf_addf(&value, "%010u %010u", m->uidvalidity, last) == 0 &&
	    mbox_print_base_keywords(m, buf_span(&h.base), &value) == 0) {
		f = the_field(&h, has_field(&h, MBOX_X_IMAPBASE) ? MBOX_X_IMAPBASE
		                                                 : MBOX_X_IMAP);
		rc = 0;
		if (f != NULL && value.n + 1 <= f->room)
			rc = add_patch(p, f, buf_span(&value)) == 0 ? 1 : -1;
	}
	buf_free(&value);
	mbox_header_free(&h);
	return rc;
}

int
mbox_patch_base(struct mbox_writing *w, struct mbox_journal *j, uint32_t last)
{
	struct mbox_patches p = {0};
	int rc = mbox_patches_base(w, last, &p);

	if (rc == 1 && mbox_patches_journal(j, &p, UINT64_MAX) == -1)
		rc = -1;
	mbox_patches_free(&p);
	return rc;
}
