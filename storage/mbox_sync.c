/*
 * mbox_sync: bringing a mailbox's rows in line with its file: a look at all of it, or at its
 * end when it has only grown; numbers, durably; then the box is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/log.h"
#include "storage/grow.h"
#include "storage/mbox_look.h"

#define SETTLE_TRIES 5

static int
die(struct mbox *m)
{
	box_kill(m->box);
	errno = ESTALE;
	return -1;
}

/* ---- from where on? ------------------------------------------------------------------------------ */

/* The row that comes last in the file; -1: there is none. */
static int64_t
last_in_file(const struct mbox *m)
{
	int64_t last = -1;

	for (size_t row = 0; row < m->nrow; row++)
		if (!m->row[row].held && m->row[row].off != MBOX_NOWHERE &&
		    (last == -1 || m->row[row].off > m->row[last].off))
			last = (int64_t)row;
	return last;
}

static int
keep_message(void *arg, const struct mboxscan_msg *msg)
{
	*(struct mboxscan_msg *)arg = *msg;
	return 0;
}

int
mbox_scan_header(int fd, uint64_t off, uint64_t size, bool first,
                 struct mboxscan_msg *msg,
                 void (*field)(void *, const struct mboxscan_field *), void *arg)
{
	struct mboxscan *s = malloc(sizeof *s);
	int rc, saved;

	if (s == NULL)
		return -1;
	mboxscan_begin(s, off, size, first);
	s->header_only = true;
	s->field = field;
	s->arg = arg;
	rc = mbox_scan_file(fd, size, s, keep_message, msg);
	saved = errno;
	free(s);
	errno = saved;
	return rc;
}

/*
 * A file that has only grown, to judge by its last message: what comes before is taken for
 * unchanged, and looked at a little later.
 */
static uint64_t
start_of_look(struct mbox *m, int fd)
{
	struct mboxscan_msg msg;
	struct stat st;
	int64_t last;

	if (!mboxconf.dirty_syncs || !m->known || !m->loaded || !m->exists ||
	    fstat(fd, &st) == -1 || (uint64_t)st.st_dev != m->stamp.dev ||
	    (uint64_t)st.st_ino != m->stamp.ino || st.st_size <= m->stamp.size ||
	    (last = last_in_file(m)) == -1)
		return 0;
	if (mbox_scan_header(fd, m->row[last].off, (uint64_t)st.st_size,
	                     m->row[last].off == 0, &msg, NULL, NULL) == -1 ||
	    msg.off != m->row[last].off || msg.head != m->row[last].head)
		return 0;
	return m->row[last].off;
}

/* ---- what has to be durable ------------------------------------------------------------------------ */

static int
add_uid(struct mbox_uids *u, uint64_t ident, int64_t date, uint32_t uid)
{
	if (GROW(u->v, u->n, u->cap) == -1)
		return -1;
	u->v[u->n++] = (struct mbox_uid){.ident = ident, .date = date, .uid = uid};
	return 0;
}

static int
by_uid(const void *a, const void *b)
{
	const struct mbox_uid *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Those that the file does not tell: of the whole file, or the new ones. */
static int
untold(const struct mbox_look *l, bool fresh_only, struct mbox_uids *u)
{
	const struct mbox *m = l->m;

	for (size_t i = 0; i < l->n; i++) {
		const struct mbox_found *f = &l->v[i];

		if (!f->has_uid && (f->fresh || !fresh_only) &&
		    add_uid(u, f->msg.ident, f->msg.date, f->uid) == -1)
			return -1;
	}
	for (size_t row = 0; !fresh_only && row < m->nrow; row++) {
		const struct mbox_row *r = &m->row[row];

		if (!r->held && r->off < l->from && !r->has_uid &&
		    add_uid(u, r->ident, m->box->rec[row].date, m->box->rec[row].uid) ==
		        -1)
			return -1;
	}
	if (u->n > 0)
		qsort(u->v, u->n, sizeof *u->v, by_uid);
	return 0;
}

/* Before anybody is told. */
static int
make_durable(struct mbox_look *l, bool anew)
{
	struct mbox *m = l->m;
	struct mbox_uids u = {0};
	int rc = 0;

	anew = anew || !m->uids_written;
	if (untold(l, !anew, &u) == -1)
		rc = -1;
	else if (anew)
		rc = mbox_uids_write(m, &u);
	else if (u.n > 0)
		rc = mbox_uids_append(m, &u);
	mbox_uids_free(&u);
	return rc;
}

/* ---- records ------------------------------------------------------------------------------------------ */

static void
fill_record(const struct mbox *m, const struct mbox_found *f, struct mt_record *r)
{
	*r = (struct mt_record){
	    .uid = f->uid,
	    .flags = f->msg.flags,
	    .keywords = f->keywords,
	    .bits = (uint16_t)(f->msg.old || f->uid <= m->claimed ? 0 : MT_RECENT),
	    .date = f->msg.date,
	    .name_hash = mbox_name_hash(&f->msg, f->msg.visible),
	};
	if (f->msg.counted) {
		r->wire_size = f->msg.wire;
		r->header_size = f->msg.header_size;
		r->added = (uint32_t)(f->msg.wire - f->msg.visible);
		r->bits |= f->msg.bits;
	}
	if (!m->loaded && box_known(m->box, f->uid, r->name_hash))
		r->date = INT64_MIN; /* with its save_date, from the index */
	else
		r->save_date = (uint32_t)time(NULL);
}

static struct mbox_row
row_of(const struct mbox_found *f)
{
	return (struct mbox_row){.off = f->msg.off,
	                         .end = f->msg.end,
	                         .head = f->msg.head,
	                         .ident = f->msg.ident,
	                         .visible = f->msg.visible,
	                         .old = f->msg.old,
	                         .has_uid = f->has_uid};
}

static int
found_by_uid(const void *a, const void *b)
{
	const struct mbox_found *const *x = a, *const *y = b;

	return (*x)->uid < (*y)->uid ? -1 : (*x)->uid > (*y)->uid;
}

/* Pointers in the order of UIDs: those without a row, or all of them. */
static struct mbox_found **
in_order(struct mbox_look *l, bool all, size_t *n)
{
	struct mbox_found **v =
	    reallocarray(NULL, l->n + 1, sizeof(struct mbox_found *));

	*n = 0;
	for (size_t i = 0; v != NULL && i < l->n; i++)
		if (all || l->v[i].row == -1)
			v[(*n)++] = &l->v[i];
	if (v != NULL && *n > 1)
		qsort(v, *n, sizeof(struct mbox_found *), found_by_uid);
	return v;
}

/* box->lock held, or nobody knows the rows yet. */
static void
take_file(const struct mbox_look *l)
{
	struct mbox *m = l->m;

	m->exists = l->fd != -1;
	m->stamp = l->stamp;
	m->known = true;
	if (mbox_look_is_whole(l)) {
		m->based = l->based;
		m->base_last = l->base_last;
		m->base_named = l->base_named;
		m->crlf = l->crlf;
	}
	if (mbox_look_is_whole(l))
		m->dirty = false;
	else if (!m->dirty && !l->ours) {
		m->dirty = true;
		m->dirty_ms = mbox_now_ms();
	}
}

/* ---- the first time -------------------------------------------------------------------------------------- */

static void
fill_head(const struct mbox *m, struct mt_header *h)
{
	*h = (struct mt_header){.uidvalidity = m->uidvalidity,
	                        .uidnext = m->uidnext,
	                        .nkeyword = m->nkeyword};
	memcpy(h->guid, m->guid, sizeof h->guid);
	memcpy(h->keyword, m->keyword, sizeof h->keyword);
}

static int
load(struct mbox_look *l)
{
	struct mbox *m = l->m;
	struct mt_header *head = malloc(sizeof *head);
	struct mt_record *rec = reallocarray(NULL, l->n + 1, sizeof *rec);
	struct mbox_row *row = reallocarray(NULL, l->n + 1, sizeof *row);
	struct mbox_found **v;
	size_t n;
	int rc = -1;

	if ((v = in_order(l, true, &n)) == NULL || head == NULL || rec == NULL ||
	    row == NULL)
		goto out;
	for (size_t i = 0; i < n; i++) {
		fill_record(m, v[i], &rec[i]);
		row[i] = row_of(v[i]);
	}
	fill_head(m, head);
	free(m->row);
	m->row = row;
	m->nrow = n;
	m->row_cap = l->n + 1;
	row = NULL;
	take_file(l);
	rc = box_load(m->box, head, rec, n);
	m->loaded = rc == 0;
out:
	free(v);
	free(row);
	free(rec);
	free(head);
	return rc;
}

/* An mbox has no id of its own; this one stays with its index folder. */
static void
make_guid(struct mbox *m)
{
	struct hash_key key = {m->uidvalidity, 0};
	struct span path = span_of(m->box->path);
	static const uint8_t none[16];
	uint64_t half[2];

	if (memcmp(m->guid, none, sizeof none) != 0)
		return;
	half[0] = hash64(&key, path);
	key.k1 = 1;
	half[1] = hash64(&key, path);
	memcpy(m->guid, half, sizeof half);
}

/* From the file, unless it is as it was and the sizes are known. *read: it was read. */
static int
look_first(struct mbox_look *l, bool *read)
{
	l->count = box_known_uidnext(l->m->box, l->m->uidvalidity) == 0;
	*read = l->count || l->all || !mbox_places_take(l);
	if (*read)
		return mbox_look_scan(l);
	l->m->placed = true;
	l->m->placed_stamp = l->stamp;
	if (l->lock != NULL)
		mbox_unlock(l->lock);
	return 0;
}

static int
sync_first(struct mbox_look *l)
{
	struct mbox *m = l->m;
	struct mbox_uids old = {0};
	uint32_t known;
	bool anew = false, read;
	int rc = -1;

	mbox_uids_read(m, &old);
	if (look_first(l, &read) == -1)
		goto out;
	if (l->based && l->uidvalidity != m->uidvalidity) {
		m->uidvalidity = l->uidvalidity;
		m->uidnext = 1;
		m->claimed = 0;
		old.n = 0;
		anew = true;
	}
	if (m->uidvalidity == 0) {
		m->uidvalidity = mbox_uidvalidity_next(m);
		anew = true;
	}
	make_guid(m);
	box_expect(m->box, m->uidvalidity, m->guid);
	if ((known = box_known_uidnext(m->box, m->uidvalidity)) > m->uidnext)
		m->uidnext = known;
	if (mbox_look_number(l, &old) == 0 &&
	    make_durable(l, anew || !m->uids_written) == 0)
		rc = load(l);
	if (rc == 0 && read)
		mbox_places_write(m);
out:
	mbox_uids_free(&old);
	return rc;
}

/* ---- later ------------------------------------------------------------------------------------------------- */

static void
apply_rows(struct mbox_look *l, bool *there)
{
	struct mbox *m = l->m;
	struct box *b = m->box;

	for (size_t i = 0; i < l->n; i++) {
		const struct mbox_found *f = &l->v[i];
		uint32_t row = (uint32_t)f->row;

		if (f->row == -1)
			continue;
		there[row] = true;
		m->row[row] = row_of(f);
		box_edit_flags(b, row, f->msg.flags, f->keywords);
		if (f->msg.old)
			box_edit_recent(b, row, false);
		box_edit_date(b, row, f->msg.date);
		if (!f->msg.quoted)
			box_edit_stored(b, row, f->msg.visible);
	}
	for (uint32_t row = 0; row < m->nrow; row++) {
		struct mbox_row *r = &m->row[row];

		if (there[row] || r->held || r->off == MBOX_NOWHERE || r->off < l->from)
			continue;
		r->off = MBOX_NOWHERE;
		box_edit_gone(b, row, false);
	}
}

static int
apply_new(struct mbox_look *l, struct mbox_found **v, size_t n)
{
	struct mbox *m = l->m;
	struct mt_record rec;

	for (size_t i = 0; i < n; i++) {
		if (GROW(m->row, m->nrow, m->row_cap) == -1)
			return -1;
		fill_record(m, v[i], &rec);
		if (box_edit_add(m->box, &rec) == -1)
			return -1;
		m->row[m->nrow++] = row_of(v[i]);
	}
	return 0;
}

static int
apply(struct mbox_look *l)
{
	struct mbox *m = l->m;
	struct mbox_found **v;
	bool *there = calloc(m->nrow + 1, 1);
	size_t n;
	int rc = -1;

	if ((v = in_order(l, false, &n)) != NULL && there != NULL) {
		box_begin(m->box);
		for (unsigned i = 0; i < m->nkeyword; i++)
			box_edit_keyword(m->box, i, span_of(m->keyword[i]));
		apply_rows(l, there);
		rc = apply_new(l, v, n);
		box_edit_uidnext(m->box, m->uidnext);
		take_file(l);
		if (rc == -1)
			m->known = false;
		box_commit(m->box);
	}
	free(there);
	free(v);
	return rc;
}

static bool
is_doubt_old(const struct mbox *m)
{
	return mbox_now_ms() - m->dirty_ms > MBOX_DOUBT_MS;
}

static int
sync_again(struct mbox_look *l)
{
	struct mbox *m = l->m;
	bool anew = false;

	if (l->fd != -1 && l->from == 0 && !l->all && !(m->dirty && is_doubt_old(m)))
		l->from = start_of_look(m, l->fd);
	l->count = !mbox_look_is_whole(l); /* most of the whole is known */
	if (mbox_look_scan(l) == -1)
		return -1;
	if (mbox_look_is_whole(l) && l->based && l->uidvalidity != m->uidvalidity)
		return die(m);
	if (!mbox_look_is_whole(l))
		l->based = m->based, l->base_last = m->base_last;
	if (mbox_look_number(l, NULL) == -1 || make_durable(l, anew) == -1)
		return -1;
	return apply(l);
}

/* ---- the whole --------------------------------------------------------------------------------------------- */

static bool
is_inbox(const struct box *b)
{
	return strcmp(b->path, "INBOX") == 0;
}

static int
sync_file(struct mbox *m, struct mbox_look l)
{
	int rc = m->loaded ? sync_again(&l) : sync_first(&l), saved = errno;

	if (rc == -1 && errno == ENOTSUP) {
		if (!m->no_mbox_said)
			log_error(
			    "%s: %s does not begin as an mbox does; it is not touched",
			    mbox_who(m), m->name);
		m->no_mbox_said = true;
		saved = EIO;
	}
	if (rc == -1)
		m->known = false;
	free(l.v);
	errno = saved;
	return rc;
}

static bool
is_as_known(const struct mbox *m, int fd)
{
	struct file_stamp now;
	struct stat st;

	if (!m->known || !m->exists || fstat(fd, &st) == -1)
		return false;
	now = file_stamp(&st);
	return file_stamp_eq(&now, &m->stamp);
}

int
mbox_sync_locked(struct mbox *m, int fd, bool all)
{
	if (m->loaded && is_as_known(m, fd) && !(all && m->dirty))
		return 0;
	return sync_file(
	    m, (struct mbox_look){.m = m, .fd = fd, .locked = true, .all = all});
}

int
mbox_sync_from(struct mbox *m, int fd, uint64_t from)
{
	return sync_file(
	    m, (struct mbox_look){
	           .m = m, .fd = fd, .locked = true, .ours = true, .from = from});
}

/*
 * For looking. Nobody is to wait for the lock while we wait for the file to settle: MDAs
 * sleep whole seconds then, with another lock in hand. Without the lock we look too: what
 * changes during the scan is seen, and scanned again.
 */
static void
lock_settled(struct mbox *m, int fd, struct mbox_lock *lock)
{
	for (int i = 0; i < SETTLE_TRIES; i++) {
		mbox_unlock(lock);
		mbox_look_settle(fd);
		if (mbox_lock_read(m, fd, MBOX_LOOK_MS, lock) == -1) {
			if (errno != ETIMEDOUT)
				log_warn("%s: cannot be locked: %m", mbox_who(m));
			return;
		}
		if (mbox_look_is_settled(fd))
			return;
	}
}

static int
sync_with_file(struct box *b, bool doubt)
{
	struct mbox *m = mbox_of(b);
	struct mbox_lock lock = {.fd = -1};
	int fd, rc, saved;

	if ((fd = mbox_open_file(m, O_RDONLY)) == -1) {
		if (errno != ENOENT)
			return -1;
		if (!is_inbox(b))
			return die(m);
		return sync_file(m, (struct mbox_look){.m = m, .fd = -1});
	}
	if (m->loaded && is_as_known(m, fd) && !(m->dirty && (doubt || is_doubt_old(m)))) {
		close(fd);
		return 0;
	}
	lock_settled(m, fd, &lock);
	rc = sync_file(
	    m, (struct mbox_look){.m = m, .fd = fd, .all = doubt, .lock = &lock});
	saved = errno;
	mbox_unlock(&lock);
	close(fd);
	errno = saved;
	return rc;
}

int
mbox_sync(struct box *b, bool doubt)
{
	struct mbox *m = mbox_of(b);
	bool first = !m->loaded;
	int rc = sync_with_file(b, doubt);

	if (rc == 0 && first && m->writable)
		mbox_recover_stages(m);
	return rc;
}
