/*
 * maildir_courier: a Maildir that Courier served until now. Its UIDs come from the
 * IMAP server's list, else from the POP3 server's; what POP3 clients know a message by
 * becomes the record's own UIDL (key P), so that nobody downloads anything twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/courier.h"
#include "storage/grow.h"
#include "storage/maildir.h"

struct courier_file {
	struct courier_header head;
	struct known {
		uint32_t uid;
		uint32_t base, uidl; /* offsets into text, NUL behind each */
	} *v;
	size_t n, cap;
	struct buf text;
	bool there;
};

static int
take_header(void *arg, const struct courier_header *h)
{
	struct courier_file *f = arg;

	f->head = *h;
	return 0;
}

static int
take_record(void *arg, const struct courier_record *r)
{
	struct courier_file *f = arg;
	struct known k = {.uid = r->uid, .base = (uint32_t)f->text.n};

	if (!mdname_valid(r->base) || f->text.n > UINT32_MAX / 2)
		return 0;
	if (GROW(f->v, f->n, f->cap) == -1 || buf_add(&f->text, r->base) == -1 ||
	    buf_addc(&f->text, '\0') == -1)
		return -1;
	k.uidl = (uint32_t)f->text.n;
	if (buf_add(&f->text, r->uidl) == -1 || buf_addc(&f->text, '\0') == -1)
		return -1;
	f->v[f->n++] = k;
	return 0;
}

static void
free_file(struct courier_file *f)
{
	free(f->v);
	buf_free(&f->text);
}

/* Absent, unreadable and meaningless are the same: Courier is of no help then. */
static int
read_file(struct maildir *m, const char *name, bool sizelist, struct courier_file *f)
{
	struct courier_parser p = {
	    .sizelist = sizelist, .header = take_header, .record = take_record, .arg = f};
	char room[16384];
	enum courier_error why = COURIER_OK;
	off_t off = 0;
	ssize_t n = 0;
	int fd = io_open_regular(m->top, name, O_RDONLY, (uid_t)-1, false);

	if (fd == -1) {
		if (errno != ENOENT)
			log_warn("%s: cannot take over %s: %m", md_who(m), name);
		return 0;
	}
	courier_begin(&p);
	while (why == COURIER_OK && (n = io_pread_full(fd, room, sizeof room, off)) > 0) {
		why = courier_push(&p, (struct span){room, (size_t)n});
		off += n;
	}
	if (why == COURIER_OK && n == 0)
		why = courier_end(&p);
	close(fd);
	if (why == COURIER_STOPPED) {
		errno = ENOMEM;
		return -1;
	}
	f->there = why == COURIER_OK && n == 0;
	if (!f->there)
		log_warn("%s: %s is of no use", md_who(m), name);
	if (p.bad > 0)
		log_warn("%s: %s: %zu lines passed over, the first is line %zu", md_who(m), name,
			 p.bad, p.bad_line);
	return 0;
}

static int
by_uid(const void *pa, const void *pb)
{
	const struct known *a = pa, *b = pb;

	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

static int
by_base(const void *pa, const void *pb, void *text)
{
	const struct known *a = pa, *b = pb;

	return strcmp((char *)text + a->base, (char *)text + b->base);
}

/* What POP3 clients know the message by; "" when Courier's POP3 server never saw it. */
static const char *
own_uidl(const struct courier_file *pop, const char *base)
{
	size_t lo = 0, hi = pop->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(pop->text.p + pop->v[mid].base, base);

		if (c == 0)
			return pop->text.p + pop->v[mid].uidl;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return "";
}

static int
add_entry(struct md_list *l, uint32_t uid, const char *base, const char *uidl)
{
	size_t at = l->text.n;

	if (GROW(l->e, l->n, l->cap) == -1 ||
	    buf_add(&l->text, (struct span){base, strlen(base) + 1}) == -1)
		return -1;
	l->e[l->n] = (struct md_entry){.uid = uid,
				       .base = (uint32_t)at,
				       .base_len = (uint16_t)strlen(base),
				       .ext = (uint32_t)l->text.n};
	if (*uidl != '\0' && strlen(uidl) <= 255) {
		if (buf_addf(&l->text, "P%s", uidl) == -1)
			return -1;
		l->e[l->n].ext_len = (uint16_t)(strlen(uidl) + 1);
	}
	if (buf_addc(&l->text, '\0') == -1)
		return -1;
	l->n++;
	return 0;
}

/* Records of `uids` in UID order; a UID that comes twice keeps its first message. */
static int
fill(struct md_list *l, struct courier_file *uids, struct courier_file *pop)
{
	uint32_t last = 0;

	if (uids->n > 0)
		qsort(uids->v, uids->n, sizeof *uids->v, by_uid);
	for (size_t i = 0; i < uids->n; i++) {
		const struct known *k = &uids->v[i];
		const char *base = uids->text.p + k->base;
		const char *uidl = uids == pop ? pop->text.p + k->uidl : own_uidl(pop, base);

		if (k->uid == last || k->uid == 0 || k->uid == UINT32_MAX)
			continue;
		last = k->uid;
		if (add_entry(l, k->uid, base, uidl) == -1)
			return -1;
	}
	return 0;
}

/* UIDLs of messages without UIDs (version 0): records of UID 0 would not do, so they
 * get the next ones in the file's order. */
static int
number_without(struct md_list *l, const struct courier_file *pop, uint32_t next)
{
	for (size_t i = 0; i < pop->n; i++)
		if (pop->v[i].uid == 0 &&
		    add_entry(l, next++, pop->text.p + pop->v[i].base,
			      pop->text.p + pop->v[i].uidl) == -1)
			return -1;
	return 0;
}

static int
take_over(struct maildir *m, struct md_list *l, struct courier_file *imap,
	  struct courier_file *pop)
{
	struct courier_file *uids = imap->there ? imap : pop;
	uint32_t last;

	if (imap->there && pop->n > 0)
		qsort_r(pop->v, pop->n, sizeof *pop->v, by_base, pop->text.p);
	if (fill(l, uids, pop) == -1)
		return -1;
	last = l->n > 0 ? l->e[l->n - 1].uid : 0;
	m->uids.uidvalidity = uids->head.uidvalidity;
	m->uids.uidnext = uids->head.uidnext > last ? uids->head.uidnext : last + 1;
	if (uids == pop && number_without(l, pop, m->uids.uidnext) == -1)
		return -1;
	if (l->n > 0 && l->e[l->n - 1].uid >= m->uids.uidnext)
		m->uids.uidnext = l->e[l->n - 1].uid + 1;
	log_info("%s: took %zu UIDs over from Courier", md_who(m), l->n);
	return 1;
}

int
md_courier_read(struct maildir *m, struct md_list *l)
{
	struct courier_file imap = {0}, pop = {0};
	int rc = 0;

	if (read_file(m, COURIER_UIDDB, false, &imap) == -1 ||
	    read_file(m, COURIER_SIZELIST, true, &pop) == -1)
		rc = -1;
	else if (imap.there || pop.there)
		rc = take_over(m, l, &imap, &pop);
	if (rc == -1)
		md_list_free(l);
	free_file(&imap);
	free_file(&pop);
	return rc;
}
