/*
 * maildir_copy: messages from one mailbox of a store to another. A copy is a link to
 * the same file (as Dovecot does it), or a copy of the file where links are not to be
 * had; a move is one rename per message, so at no instant is it nowhere or twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/maildir.h"

#define TRIES 5

struct copying {
	struct maildir *from, *to;
	const uint32_t *rows;
	size_t n;
	struct md_placing *p;
	unsigned keyword[MT_NKEYWORD]; /* ours to theirs; MT_NKEYWORD: they have no room */
};

/* ---- one file -------------------------------------------------------------------- */

static int
copy_octets(int from, int to)
{
	char room[65536];
	off_t off = 0;
	ssize_t n;

	while ((n = io_pread_full(from, room, sizeof room, off)) > 0) {
		if (io_write_all(to, (struct span){room, (size_t)n}) == -1)
			return -1;
		off += n;
	}
	return (int)n;
}

static int
copy_open(int from, int to_dir, const char *name)
{
	struct stat st;
	int to, rc = -1, saved;

	if (fstat(from, &st) == -1)
		return -1;
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    (st.st_mode & 0666) | 0600);
	if (to == -1)
		return -1;
	if (copy_octets(from, to) == 0 &&
	    futimens(to, (struct timespec[2]){{.tv_nsec = UTIME_OMIT}, st.st_mtim}) == 0)
		rc = fsync(to);
	saved = errno;
	close(to);
	if (rc == -1)
		unlinkat(to_dir, name, 0);
	errno = saved;
	return rc;
}

int
md_copy_file(int from_dir, const char *from, int to_dir, const char *to)
{
	int fd = io_open_regular(from_dir, from, O_RDONLY, (uid_t)-1, true), rc, saved;

	if (fd == -1)
		return -1;
	rc = copy_open(fd, to_dir, to);
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

static int
link_or_copy(int from_dir, const char *from, int to_dir, const char *to)
{
	if (linkat(from_dir, from, to_dir, to, 0) == 0)
		return 0;
	if (errno != EPERM && errno != EMLINK && errno != EXDEV && errno != ENOTSUP &&
	    errno != ENOSYS)
		return -1;
	return md_copy_file(from_dir, from, to_dir, to);
}

/* ---- names ----------------------------------------------------------------------- */

/* Keywords go by name: the letters of two mailboxes have nothing to do with each other. */
static int
map_keywords(struct copying *c)
{
	struct box *b = c->from->box;
	uint32_t used = 0;

	for (size_t i = 0; i < c->n; i++)
		used |= b->rec[c->rows[i]].keywords;
	for (unsigned i = 0; i < MT_NKEYWORD; i++) {
		struct span name = span_of(c->from->keywords.name[i]);
		int there = keywords_find(&c->to->keywords, name);

		c->keyword[i] = MT_NKEYWORD;
		if (!(used >> i & 1) || name.n == 0)
			continue;
		if (there != -1)
			c->keyword[i] = (unsigned)there;
		else if (md_add_keyword(c->to->box, name, &c->keyword[i]) == -1) {
			if (errno != ENOSPC)
				return -1;
			c->keyword[i] = MT_NKEYWORD;
			log_warn("%s: no room for keyword %.*s", md_who(c->to), (int)name.n,
				 name.p);
		}
	}
	return 0;
}

static uint32_t
mapped(const struct copying *c, uint32_t keywords)
{
	uint32_t theirs = 0;

	for (unsigned i = 0; i < MT_NKEYWORD; i++)
		if (keywords >> i & 1 && c->keyword[i] < MT_NKEYWORD)
			theirs |= 1u << c->keyword[i];
	return theirs;
}

static int
plan_one(struct copying *c, size_t i)
{
	const struct mt_record *r = &c->from->box->rec[c->rows[i]];
	struct md_placing *p = &c->p[i];
	struct buf base = {0};
	int rc = -1;

	if (names_where(&c->from->names, c->rows[i]) >= MD_HELD) {
		errno = ENOENT;
		return -1;
	}
	p->row = c->rows[i];
	p->placed = false;
	if (mdname_unique(&base) == 0)
		rc = md_placing_name(p, buf_span(&base), r->flags, mapped(c, r->keywords));
	buf_free(&base);
	return rc;
}

/* The rows' names changed since they were read: read them again. */
static int
look_again(struct copying *c)
{
	c->from->dir[MD_NEW].trust = c->from->dir[MD_CUR].trust = TRUST_NONE;
	return md_sync(c->from->box, true);
}

/* ---- copy ------------------------------------------------------------------------ */

static int
link_row(struct copying *c, struct md_placing *p)
{
	const struct maildir *m = c->from;

	p->from_dir = c->to->tmp;
	snprintf(p->from, sizeof p->from, "%.*s" MD_DRAFT, (int)p->base_len, p->to);
	for (int try = 0; try < TRIES; try++) {
		if (names_where(&m->names, p->row) >= MD_HELD)
			break;
		if (link_or_copy(m->dir[names_where(&m->names, p->row)].fd,
				 names_get(&m->names, p->row), p->from_dir, p->from) == 0)
			return 0;
		if (errno != ENOENT || look_again(c) == -1)
			return -1;
	}
	errno = ENOENT;
	return -1;
}

static int
copy_rows(struct copying *c, uint32_t *uids)
{
	size_t nlinked = 0;
	int rc = md_tmp(c->to), saved;

	for (size_t i = 0; i < c->n && rc == 0; i++)
		if ((rc = plan_one(c, i)) == 0 && (rc = link_row(c, &c->p[i])) == 0)
			nlinked++;
	if (rc == 0)
		rc = md_place(c->to, c->p, c->n, uids);
	if (rc == 0)
		return 0;
	saved = errno;
	for (size_t i = 0; i < nlinked; i++)
		if (!c->p[i].placed)
			unlinkat(c->p[i].from_dir, c->p[i].from, 0);
	errno = saved;
	return -1;
}

/* ---- move ------------------------------------------------------------------------ */

/* For readers that still follow the old mailbox: a second name, in its tmp/. */
struct held_names {
	char (*v)[MDNAME_MAX + 1]; /* NULL: nobody reads */
	size_t *base_len;
	size_t n;
};

static void
unlink_held(const struct copying *c, struct held_names *h)
{
	for (size_t i = 0; i < h->n; i++)
		unlinkat(c->from->tmp, h->v[i], 0);
	h->n = 0;
}

static int
hold_rows(struct copying *c, struct held_names *h)
{
	struct maildir *m = c->from;

	if (!events_anyone_holds(m->box))
		return 0;
	if (h->v == NULL) {
		h->v = calloc(c->n, sizeof *h->v);
		h->base_len = calloc(c->n, sizeof *h->base_len);
		if (h->v == NULL || h->base_len == NULL)
			return -1;
	}
	for (h->n = 0; h->n < c->n; h->n++) {
		uint32_t row = c->rows[h->n];

		if (md_held_name(m, row, h->v[h->n], &h->base_len[h->n]) == -1 ||
		    link_or_copy(m->dir[names_where(&m->names, row)].fd,
				 names_get(&m->names, row), m->tmp, h->v[h->n]) == -1)
			return -1;
	}
	return 0;
}

static int
plan_move(struct copying *c)
{
	const struct maildir *m = c->from;

	for (size_t i = 0; i < c->n; i++) {
		struct md_placing *p = &c->p[i];

		if (plan_one(c, i) == -1)
			return -1;
		p->from_dir = m->dir[names_where(&m->names, p->row)].fd;
		snprintf(p->from, sizeof p->from, "%s", names_get(&m->names, p->row));
	}
	return 0;
}

static void
tell_moved(struct copying *c, const struct held_names *h)
{
	struct maildir *m = c->from;
	bool room;

	box_begin(m->box);
	room = names_reserve(&m->names, c->n) == 0;
	for (size_t i = 0; i < c->n; i++) {
		bool held = i < h->n && room;

		m->nheld += held;
		if (held)
			(void)names_set(&m->names, c->rows[i], MD_HELD, span_of(h->v[i]),
					h->base_len[i]);
		else
			m->names.where[c->rows[i]] = MD_GONE;
		box_edit_gone(m->box, c->rows[i], held);
	}
	box_commit(m->box);
}

static int
try_move(struct copying *c, struct held_names *h, uint32_t *uids)
{
	struct maildir *m = c->from;
	unsigned ours;
	int rc = -1, saved;

	if (plan_move(c) == 0 && hold_rows(c, h) == 0) {
		ours = md_ours_begin(m);
		if ((rc = md_place(c->to, c->p, c->n, uids)) == 0)
			md_ours_end(m, ours);
	}
	saved = errno;
	if (rc == -1)
		unlink_held(c, h);
	errno = saved;
	return rc;
}

static int
move_rows(struct copying *c, uint32_t *uids)
{
	struct held_names h = {0};
	struct maildir *m = c->from;
	int rc = -1;

	for (int try = 0; try < TRIES && rc == -1; try++) {
		rc = try_move(c, &h, uids);
		if (rc == -1 && (errno != ENOENT || look_again(c) == -1))
			break;
	}
	if (rc == 0) {
		/* the new names are durable; the old ones may come back over a power
		 * failure where the file system is not journalled */
		if (fsync(m->dir[MD_NEW].fd) == -1 || fsync(m->dir[MD_CUR].fd) == -1)
			log_warn("%s: fsync: %m", md_who(m));
		tell_moved(c, &h);
	}
	free(h.v);
	free(h.base_len);
	return rc;
}

int
md_copy(struct box *b, const uint32_t *rows, size_t n, struct box *to, bool move,
	uint32_t *to_uids)
{
	struct copying c = {.from = md_of(b), .to = md_of(to), .rows = rows, .n = n};
	int rc = -1, saved;

	if (n == 0)
		return 0;
	if (!c.to->writable || (move && !c.from->writable)) {
		errno = EROFS;
		return -1;
	}
	if (map_keywords(&c) == -1 || (c.p = calloc(n, sizeof *c.p)) == NULL)
		return -1;
	/* within one mailbox there is nowhere to move to: it gets a new UID all the same */
	rc = move ? move_rows(&c, to_uids) : copy_rows(&c, to_uids);
	saved = errno;
	free(c.p);
	if (rc == -1) {
		errno = saved;
		log_error("%s: cannot %s messages to %s: %m", md_who(c.from),
			  move ? "move" : "copy", to->path);
		errno = saved;
	}
	return rc;
}
