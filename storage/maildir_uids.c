/* maildir_uids: the file `dovecot-uidlist`: reading, locking, appending, replacing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/grow.h"
#include "storage/maildir.h"

#define TMP_NAME UIDLIST_FILE ".tmp" /* as Dovecot names it; whoever has the lock has it */

/* ---- where it lies --------------------------------------------------------------- */

/* A private list belongs to the daemon, so it is accessed as the daemon. */
static int
uids_enter(const struct maildir *m)
{
	if (m->writable)
		return m->top;
	cred_leave(m->box->store);
	return box_index_dir(m->box);
}

static void
uids_leave(const struct maildir *m)
{
	int saved = errno;

	if (!m->writable)
		cred_enter(m->box->store);
	errno = saved;
}

/* The store's own list, which a private one follows. */
static struct md_stamp
store_stamp(const struct maildir *m)
{
	struct md_stamp none = {0};
	struct stat st;

	return fstatat(m->top, UIDLIST_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 ? md_stamp(&st) : none;
}

static bool
store_list_changed(const struct maildir *m)
{
	struct md_stamp now = store_stamp(m);

	return !md_stamp_eq(&now, &m->store_list);
}

bool
md_uids_changed(struct maildir *m)
{
	struct stat st;
	struct md_stamp now;
	int dir, rc;

	if (!m->writable && store_list_changed(m))
		return true;
	dir = uids_enter(m);
	rc = fstatat(dir, UIDLIST_FILE, &st, AT_SYMLINK_NOFOLLOW);
	uids_leave(m);
	if (!m->uids.known)
		return true;
	if (rc == -1)
		return m->uids.exists;
	now = md_stamp(&st);
	return !m->uids.exists || !md_stamp_eq(&now, &m->uids.stamp);
}

/* ---- reading --------------------------------------------------------------------- */

struct reading {
	struct maildir *m;
	struct md_list *list;
	struct md_uids uids;
	int error;
};

static int
take_header(void *arg, const struct uidlist_header *h)
{
	struct reading *r = arg;

	r->uids.uidvalidity = h->uidvalidity;
	r->uids.uidnext = h->uidnext;
	r->uids.has_guid = h->has_guid;
	memcpy(r->uids.guid, h->guid, sizeof h->guid);
	r->uids.rewrite = h->version != 3 || !h->has_guid;
	if (h->extra.n > 0 && (r->uids.extra = strndup(h->extra.p, h->extra.n)) == NULL) {
		r->error = errno;
		return -1;
	}
	return 0;
}

/* Append text with a NUL behind it; its offset, or -1. */
static int64_t
keep_text(struct md_list *l, struct span s)
{
	size_t at = l->text.n;

	if (at > UINT32_MAX - UIDLIST_LINE_MAX - 2) {
		errno = EMSGSIZE;
		return -1;
	}
	if (buf_add(&l->text, s) == -1)
		return -1;
	if (buf_addc(&l->text, '\0') == -1) {
		l->text.n = at;
		return -1;
	}
	return (int64_t)at;
}

static int
take_record(void *arg, const struct uidlist_record *rec)
{
	struct reading *r = arg;
	struct md_list *l = r->list;
	struct mdname name;
	int64_t base, ext;

	mdname_parse(rec->name, &name);
	if (GROW(l->e, l->n, l->cap) == -1 || (base = keep_text(l, name.base)) == -1 ||
	    (ext = keep_text(l, rec->ext)) == -1) {
		r->error = errno;
		return -1;
	}
	l->e[l->n++] = (struct md_entry){.uid = rec->uid,
					 .base = (uint32_t)base,
					 .ext = (uint32_t)ext,
					 .base_len = (uint16_t)name.base.n,
					 .ext_len = (uint16_t)rec->ext.n};
	return 0;
}

static enum uidlist_error
parse_file(int fd, struct uidlist_parser *p, int *error, bool *torn)
{
	char room[65536];
	off_t off = 0;
	ssize_t n;

	uidlist_begin(p);
	while ((n = io_pread_full(fd, room, sizeof room, off)) > 0 && off < MD_FILE_MAX) {
		if (uidlist_push(p, (struct span){room, (size_t)n}) != UIDLIST_OK)
			return p->error;
		off += n;
	}
	if (n == -1)
		*error = errno;
	return uidlist_end(p, torn);
}

/* Take over what was read; the old `extra` goes. */
static void
adopt(struct maildir *m, const struct md_uids *u)
{
	free(m->uids.extra);
	m->uids = *u;
}

/* What cannot be read as an uidlist is replaced: as if there was none. */
static int
no_list(struct maildir *m, const struct reading *r)
{
	free(r->uids.extra);
	md_list_free(r->list);
	m->uids.exists = false;
	m->uids.known = true;
	m->uids.torn = false;
	return 0;
}

static int
read_open(struct maildir *m, int fd, struct md_list *list)
{
	struct reading r = {.m = m, .list = list};
	struct uidlist_parser p = {.header = take_header, .record = take_record, .arg = &r};
	enum uidlist_error why;
	struct stat st;

	/* before reading: what is appended meanwhile shows as a change next time */
	if (fstat(fd, &st) == -1)
		return -1;
	r.uids.stamp = md_stamp(&st);
	r.uids.known = r.uids.exists = true;
	why = parse_file(fd, &p, &r.error, &r.uids.torn);
	if (r.error != 0) {
		free(r.uids.extra);
		md_list_free(list);
		errno = r.error;
		return -1;
	}
	if (why != UIDLIST_OK && st.st_size > 0)
		log_error("%s: " UIDLIST_FILE " is corrupt at line %zu: %s", md_who(m), p.lines,
			  uidlist_strerror(why));
	if (why != UIDLIST_OK)
		return no_list(m, &r);
	r.uids.uidnext = p.uidnext;
	r.uids.whole = p.whole;
	r.uids.nrecord = list->n;
	adopt(m, &r.uids);
	return 1;
}

static int
read_opened(struct maildir *m, int fd, struct md_list *list)
{
	struct reading none = {.m = m, .list = list};
	int rc, saved;

	if (fd == -1 && errno == ENOENT)
		return no_list(m, &none);
	if (fd == -1) {
		log_error("%s: cannot read " UIDLIST_FILE ": %m", md_who(m));
		return -1;
	}
	rc = read_open(m, fd, list);
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

static int
read_of_store(struct maildir *m, struct md_list *list)
{
	m->store_list = store_stamp(m);
	return read_opened(
	    m, io_open_regular(m->top, UIDLIST_FILE, O_RDONLY, (uid_t)-1, false), list);
}

/* ---- a private list beside the store's ------------------------------------------- */

/*
 * Somebody who may write goes on numbering. His records are taken over as long as they
 * contradict nothing that we have said: a UID of ours keeps its message, a message of
 * ours its UID.
 */
struct merging {
	struct md_list *ours, *theirs;
	struct md_list out;
};

static int
merge_add(struct merging *g, const struct md_list *from, const struct md_entry *e)
{
	struct md_list *l = &g->out;
	int64_t base, ext;

	if (GROW(l->e, l->n, l->cap) == -1 ||
	    (base = keep_text(l, md_entry_base(from, e))) == -1 ||
	    (ext = keep_text(l, md_entry_ext(from, e))) == -1)
		return -1;
	l->e[l->n] = *e;
	l->e[l->n].base = (uint32_t)base;
	l->e[l->n++].ext = (uint32_t)ext;
	return 0;
}

/* What is not above all of ours is a record that we know, contradict or found dead. */
static int
merge(struct merging *g)
{
	const struct md_list *a = g->ours, *b = g->theirs;
	uint32_t last = a->n > 0 ? a->e[a->n - 1].uid : 0;

	for (size_t i = 0; i < a->n; i++)
		if (merge_add(g, a, &a->e[i]) == -1)
			return -1;
	for (size_t j = 0; j < b->n; j++)
		if (b->e[j].uid > last && merge_add(g, b, &b->e[j]) == -1)
			return -1;
	return 0;
}

static int
by_base(const void *pa, const void *pb, void *arg)
{
	const struct md_list *l = arg;
	const struct md_entry *a = pa, *b = pb;
	int c = strcmp(l->text.p + a->base, l->text.p + b->base);

	return c != 0 ? c : a->uid < b->uid ? -1 : a->uid > b->uid;
}

static int
by_uid(const void *pa, const void *pb)
{
	const struct md_entry *a = pa, *b = pb;

	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

/* Of two records of one message that with the lower UID is ours. */
static void
drop_doubles(struct md_list *l)
{
	size_t kept = 0;

	if (l->n < 2)
		return;
	qsort_r(l->e, l->n, sizeof *l->e, by_base, l);
	for (size_t i = 0; i < l->n; i++)
		if (kept == 0 || !span_eq(md_entry_base(l, &l->e[kept - 1]),
					  md_entry_base(l, &l->e[i])))
			l->e[kept++] = l->e[i];
	l->n = kept;
	qsort(l->e, l->n, sizeof *l->e, by_uid);
}

/* Read the store's list; false: there is none, or it never was the same list. */
static int
same_list(struct maildir *m, struct md_list *theirs, uint32_t *uidnext)
{
	struct md_uids own = m->uids;
	int rc;

	m->uids.extra = NULL;
	rc = read_of_store(m, theirs);
	if (rc == 1 && m->uids.uidvalidity != own.uidvalidity)
		rc = 0;
	*uidnext = m->uids.uidnext;
	free(m->uids.extra);
	m->uids = own;
	return rc;
}

static int
follow_store(struct maildir *m, struct md_list *list)
{
	struct md_list theirs = {0};
	struct merging g = {.ours = list, .theirs = &theirs};
	uint32_t uidnext;
	int rc = same_list(m, &theirs, &uidnext);

	if (rc == 1 && (rc = merge(&g)) == 0) {
		drop_doubles(&g.out);
		m->uids.rewrite |= g.out.n != list->n;
		if (uidnext > m->uids.uidnext)
			m->uids.uidnext = uidnext;
		md_list_free(list);
		*list = g.out;
		g.out = (struct md_list){0};
	}
	md_list_free(&theirs);
	md_list_free(&g.out);
	return rc == -1 ? -1 : 1;
}

int
md_uids_read(struct maildir *m, struct md_list *list)
{
	int fd = io_open_regular(uids_enter(m), UIDLIST_FILE, O_RDONLY, (uid_t)-1, false), rc;

	uids_leave(m);
	rc = read_opened(m, fd, list);
	return rc != 1 || m->writable ? rc : follow_store(m, list);
}

int
md_uids_seed(struct maildir *m, struct md_list *list)
{
	int rc = read_of_store(m, list);

	m->uids.exists = false;
	m->uids.rewrite = true;
	return rc;
}

void
md_list_free(struct md_list *l)
{
	buf_free(&l->text);
	free(l->e);
	*l = (struct md_list){0};
}

/* ---- locking --------------------------------------------------------------------- */

int
md_uids_lock(struct maildir *m, unsigned timeout_ms, struct dotlock *l)
{
	struct buf holder = {.max = 256};
	int rc, dir = uids_enter(m);

	rc = dotlock_take(dir, UIDLIST_FILE, timeout_ms, l, &holder);
	uids_leave(m);
	if (rc == -1 && errno == EAGAIN)
		log_error("%s: " UIDLIST_FILE ".lock has been held for %u s by %.*s", md_who(m),
			  timeout_ms / 1000, (int)holder.n, holder.n > 0 ? holder.p : "");
	else if (rc == -1)
		log_error("%s: cannot make " UIDLIST_FILE ".lock: %m", md_who(m));
	buf_free(&holder);
	return rc;
}

void
md_uids_unlock(struct maildir *m, struct dotlock *l)
{
	int saved = errno;

	(void)uids_enter(m);
	if (dotlock_drop(l) == -1)
		log_warn("%s: " UIDLIST_FILE ".lock was taken away from us: %m", md_who(m));
	uids_leave(m);
	errno = saved;
}

/* ---- writing --------------------------------------------------------------------- */

static int
append_open(struct maildir *m, int fd, struct span lines)
{
	struct stat st;

	if (m->uids.torn && ftruncate(fd, (off_t)m->uids.whole) == -1)
		return -1;
	if (io_pwrite_all(fd, lines, (off_t)m->uids.whole) == -1 || fdatasync(fd) == -1) {
		int saved = errno;

		/* half a record must not stay for others to append to */
		(void)!ftruncate(fd, (off_t)m->uids.whole);
		errno = saved;
		return -1;
	}
	if (fstat(fd, &st) == -1)
		return -1;
	m->uids.stamp = md_stamp(&st);
	m->uids.whole += lines.n;
	m->uids.torn = false;
	return 0;
}

int
md_uids_append(struct maildir *m, struct span lines, size_t nrecord, uint32_t last_uid)
{
	int fd, rc, saved, dir = uids_enter(m);

	fd = io_open_regular(dir, UIDLIST_FILE, O_WRONLY, (uid_t)-1, false);
	uids_leave(m);
	if (fd == -1)
		return -1;
	rc = append_open(m, fd, lines);
	saved = errno;
	close(fd);
	errno = saved;
	if (rc == -1) {
		m->uids.known = false;
		return -1;
	}
	m->uids.nrecord += nrecord;
	if (last_uid >= m->uids.uidnext)
		m->uids.uidnext = last_uid + 1;
	return 0;
}

static int
print_header(struct maildir *m, struct buf *text)
{
	struct md_uids *u = &m->uids;
	struct uidlist_header h = {.version = 3,
				   .uidvalidity = u->uidvalidity,
				   .uidnext = u->uidnext,
				   .has_guid = true};

	if (!u->has_guid && getrandom(u->guid, sizeof u->guid, 0) != sizeof u->guid)
		return -1;
	u->has_guid = true;
	memcpy(h.guid, u->guid, sizeof h.guid);
	if (u->extra != NULL)
		h.extra = span_of(u->extra);
	return uidlist_print_header(&h, text);
}

/* Readable by whom the mailbox's directory is: shared mailboxes stay shared. */
static mode_t
file_mode(const struct maildir *m)
{
	struct stat st;

	return fstat(m->top, &st) == 0 ? (st.st_mode & 0666) | 0600 : 0600;
}

int
md_uids_replace(struct maildir *m, struct span lines, size_t nrecord)
{
	mode_t mode = m->writable ? file_mode(m) : 0600;
	struct buf text = {0};
	struct stat st;
	int rc = -1, dir;

	if (print_header(m, &text) == -1 || buf_add(&text, lines) == -1)
		goto out;
	dir = uids_enter(m);
	rc = io_replace(dir, UIDLIST_FILE, TMP_NAME, buf_span(&text), mode);
	if (rc == 0)
		rc = fstatat(dir, UIDLIST_FILE, &st, AT_SYMLINK_NOFOLLOW);
	uids_leave(m);
	m->uids.known = rc == 0;
	if (rc == -1)
		goto out;
	m->uids.stamp = md_stamp(&st);
	m->uids.exists = true;
	m->uids.whole = text.n;
	m->uids.torn = m->uids.rewrite = false;
	m->uids.nrecord = nrecord;
out:
	buf_free(&text);
	return rc;
}
