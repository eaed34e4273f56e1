/*
 * maildir_change: flags, expunges, dates. A name is both the state and the lock on it:
 * a rename that succeeds changed exactly the state that it named, so changes of others
 * are never lost. ENOENT says that the state was another: look again, merge, try again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/maildir.h"

#define TRIES 5	   /* at a message whose name changes under us */
#define CHUNK 1024 /* messages between two fsyncs of the directories */

int
md_rename(int from_dir, const char *from, int to_dir, const char *to)
{
	struct stat st;

	if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
		return -1;
	/* a file system without it: look first */
	if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return renameat(from_dir, from, to_dir, to);
}

static int
sync_dirs(const struct maildir *m, unsigned touched)
{
	for (int w = MD_NEW; w <= MD_CUR; w++)
		if (touched >> w & 1 && fsync(m->dir[w].fd) == -1)
			return -1;
	return 0;
}

/* ---- flags ----------------------------------------------------------------------- */

/* One row's new name, not told to the box yet. */
struct renamed {
	uint32_t row;
	bool done;
	uint16_t flags;
	uint32_t keywords;
	uint8_t base_len, len;
	char name[MDNAME_MAX + 1];
};

struct batch {
	struct maildir *m;
	struct renamed *v;
	size_t n;
	unsigned ours;	  /* md_ours_begin */
	unsigned touched; /* directories */
	struct dotlock lock;
};

/* What to change in one row: bits to set, bits to take away. Absolute flags would undo
 * what others changed between the caller's look and our rename. */
struct turn {
	uint32_t row;
	uint16_t on, off;
	uint32_t kon, koff;
};

static struct turn
turn_of(const struct mt_record *was, const struct flag_edit *e)
{
	return (struct turn){.row = e->row,
			     .on = (uint16_t)(e->flags & ~was->flags),
			     .off = (uint16_t)(was->flags & ~e->flags),
			     .kon = e->keywords & ~was->keywords,
			     .koff = was->keywords & ~e->keywords};
}

static bool
still_live(const struct maildir *m, uint32_t row)
{
	return names_where(&m->names, row) < MD_HELD;
}

/* Somebody changed a name. Afterwards the rows are as the store is. */
static int
look_again(struct batch *t)
{
	t->ours = 0;
	t->m->dir[MD_NEW].trust = t->m->dir[MD_CUR].trust = TRUST_NONE;
	return t->lock.held ? md_sync_locked(t->m) : md_sync(t->m->box, true);
}

/*
 * In cur/ there is another file with that very name: one of two with the same base.
 * As Dovecot does it, the other gets a base name of its own, and is a message then.
 */
static int
part_twins(struct maildir *m, const char *name)
{
	struct mdname parsed;
	struct buf own = {0};
	int rc = -1;

	mdname_parse(span_of(name), &parsed);
	if (mdname_unique(&own) == 0 &&
	    mdname_print_info(parsed.flags, parsed.keywords, &own) == 0 &&
	    buf_addc(&own, '\0') == 0)
		rc = md_rename(m->dir[MD_CUR].fd, name, m->dir[MD_CUR].fd, own.p);
	if (rc == 0)
		log_warn("%s: two files had one base name; %s is now %s", md_who(m), name, own.p);
	buf_free(&own);
	return rc;
}

/* 0: done, or nothing to do; -1 ENOENT, EEXIST: look, try again. */
static int
try_name(struct batch *t, const struct turn *e, bool move, struct renamed *out)
{
	struct maildir *m = t->m;
	enum md_where where = names_where(&m->names, e->row);
	const char *old = names_get(&m->names, e->row);
	struct buf name = {0};
	struct mdname parsed;
	int rc;

	mdname_parse(span_of(old), &parsed);
	out->flags = (uint16_t)((parsed.flags | e->on) & ~e->off);
	/* letters without a name stay: they may get one again */
	out->keywords = (parsed.keywords | (e->kon & m->keyword_mask)) & ~e->koff;
	out->done = false;
	if (!move && out->flags == parsed.flags && out->keywords == parsed.keywords)
		return 0;
	if (mdname_print(&parsed, out->flags, out->keywords, &name) == -1 ||
	    buf_addc(&name, '\0') == -1) {
		buf_free(&name);
		return -1;
	}
	out->row = e->row;
	out->base_len = (uint8_t)parsed.base.n;
	out->len = (uint8_t)(name.n - 1);
	memcpy(out->name, name.p, name.n);
	buf_free(&name);
	if (where == MD_CUR && strcmp(old, out->name) == 0)
		return 0;
	rc = md_rename(m->dir[where].fd, old, m->dir[MD_CUR].fd, out->name);
	if (rc == -1)
		return -1;
	out->done = true;
	t->touched |= 1u << MD_CUR | 1u << where;
	return 0;
}

static int
rename_row(struct batch *t, const struct turn *e, bool move)
{
	struct renamed *out = &t->v[t->n];

	for (int try = 0; try < TRIES; try++) {
		if (!still_live(t->m, e->row))
			return 0; /* expunged meanwhile: no error */
		if (try_name(t, e, move, out) == 0) {
			t->n += out->done;
			return 0;
		}
		if (errno == EEXIST && part_twins(t->m, out->name) == 0) {
			t->ours = 0; /* a new message for the next scan */
			continue;
		}
		if (errno != ENOENT)
			return -1;
		if (look_again(t) == -1)
			return -1;
	}
	errno = EAGAIN;
	return -1;
}

static int
tell_renamed(struct batch *t)
{
	struct maildir *m = t->m;
	struct box *b = m->box;
	int rc;

	if (t->n == 0)
		return 0;
	box_begin(b);
	if ((rc = names_reserve(&m->names, t->n)) == 0)
		for (size_t i = 0; i < t->n; i++) {
			const struct renamed *r = &t->v[i];

			(void)names_set(&m->names, r->row, MD_CUR,
					(struct span){r->name, r->len}, r->base_len);
			box_edit_flags(b, r->row, r->flags, r->keywords & m->keyword_mask);
			box_edit_recent(b, r->row, false);
		}
	box_commit(b);
	return rc;
}

/* What was done is told even when something failed after it. */
static int
finish_batch(struct batch *t, int rc)
{
	int saved = errno;

	if (t->touched != 0 && sync_dirs(t->m, t->touched) == -1 && rc == 0) {
		rc = -1;
		saved = errno;
	}
	md_ours_end(t->m, t->ours);
	if (tell_renamed(t) == -1 && rc == 0) {
		rc = -1;
		saved = errno;
		t->m->dir[MD_NEW].trust = t->m->dir[MD_CUR].trust = TRUST_NONE;
	}
	errno = saved;
	return rc;
}

/*
 * Dovecot renames under the uidlist's lock and relies on that when it reads cur/: what
 * is renamed under its eyes looks expunged to it. A Maildir does not need the lock, so
 * without it (somebody is slow, or it cannot be made) the change is made all the same.
 */
static int
rename_rows(struct box *b, const struct turn *turn, size_t n, bool move)
{
	struct batch t = {.m = md_of(b)};
	size_t room = n < CHUNK ? n : CHUNK;
	int rc = 0;

	if ((t.v = reallocarray(NULL, room, sizeof *t.v)) == NULL)
		return -1;
	if (t.m->writable)
		(void)md_uids_lock(t.m, MD_LOCK_SYNC_MS, &t.lock);
	for (size_t i = 0; i < n && rc == 0; i += CHUNK) {
		t.n = t.touched = 0;
		t.ours = md_ours_begin(t.m);
		if (t.lock.held && i > 0)
			(void)dotlock_touch(&t.lock);
		for (size_t j = i; j < n && j < i + CHUNK && rc == 0; j++)
			rc = rename_row(&t, &turn[j], move);
		rc = finish_batch(&t, rc);
	}
	if (rc == -1)
		log_error("%s: cannot change flags: %m", md_who(t.m));
	if (t.lock.held)
		md_uids_unlock(t.m, &t.lock);
	free(t.v);
	return rc;
}

int
md_set_flags(struct box *b, const struct flag_edit *edit, size_t n)
{
	struct turn *turn = reallocarray(NULL, n + 1, sizeof *turn);
	int rc;

	if (turn == NULL)
		return -1;
	for (size_t i = 0; i < n; i++)
		turn[i] = turn_of(&b->rec[edit[i].row], &edit[i]);
	rc = rename_rows(b, turn, n, false);
	free(turn);
	return rc;
}

int
md_claim_recent(struct box *b, const uint32_t *rows, size_t n)
{
	struct turn *turn = calloc(n + 1, sizeof *turn);
	int rc;

	if (turn == NULL)
		return -1;
	for (size_t i = 0; i < n; i++)
		turn[i].row = rows[i];
	rc = rename_rows(b, turn, n, true);
	free(turn);
	return rc;
}

/* ---- holding --------------------------------------------------------------------- */

/*
 * tmp/ID.mt-holder, flock'ed as long as we live, says that the held files with this ID
 * are in use. Between making and locking it, recovery of another daemon may take it for
 * a dead one's; so afterwards it must still be there.
 */
static int
try_holder(struct maildir *m)
{
	char name[40];
	struct stat mine, there;
	uint64_t id;
	int fd;

	if (getrandom(&id, sizeof id, 0) != sizeof id)
		return -1;
	snprintf(m->holder_id, sizeof m->holder_id, "%016llx", (unsigned long long)id);
	snprintf(name, sizeof name, "%s" MD_HOLDER, m->holder_id);
	fd = openat(m->tmp, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &mine) == 0 &&
	    fstatat(m->tmp, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    mine.st_ino == there.st_ino) {
		m->holder = fd;
		return 0;
	}
	close(fd);
	errno = EAGAIN;
	return -1;
}

static int
need_holder(struct maildir *m)
{
	if (md_tmp(m) == -1)
		return -1;
	for (int try = 0; m->holder == -1; try++)
		if (try_holder(m) == -1 && (errno != EAGAIN || try == TRIES))
			return -1;
	return 0;
}

int
md_held_name(struct maildir *m, uint32_t row, char out[static MDNAME_MAX + 1],
	     size_t *base_len)
{
	struct span base = names_base(&m->names, row);
	size_t most = MDNAME_MAX - strlen(MD_HELD_MARK) - 16 - 11;

	if (need_holder(m) == -1)
		return -1;
	/* the UID too: of two rows with one base name (it came back) both may be held */
	*base_len = base.n < most ? base.n : most;
	snprintf(out, MDNAME_MAX + 1, "%.*s-%u" MD_HELD_MARK "%s", (int)*base_len, base.p,
		 m->box->rec[row].uid, m->holder_id);
	return 0;
}

static void
drop_held(struct maildir *m, uint32_t row)
{
	if (unlinkat(m->tmp, names_get(&m->names, row), 0) == -1 && errno != ENOENT)
		log_warn("%s: cannot remove tmp/%s: %m", md_who(m), names_get(&m->names, row));
}

void
md_unhold(struct box *b, uint32_t row)
{
	struct maildir *m = md_of(b);

	if (row >= m->names.nrow || names_where(&m->names, row) != MD_HELD)
		return;
	drop_held(m, row);
	pthread_rwlock_wrlock(&b->lock);
	m->names.where[row] = MD_GONE;
	pthread_rwlock_unlock(&b->lock);
	if (--m->nheld == 0)
		md_holder_close(m);
}

void
md_holder_close(struct maildir *m)
{
	char name[40];

	if (m->holder == -1)
		return;
	for (uint32_t row = 0; row < m->names.nrow && m->nheld > 0; row++)
		if (names_where(&m->names, row) == MD_HELD)
			drop_held(m, row);
	snprintf(name, sizeof name, "%s" MD_HOLDER, m->holder_id);
	(void)unlinkat(m->tmp, name, 0);
	close(m->holder);
	m->holder = -1;
}

/* ---- expunge --------------------------------------------------------------------- */

static int
try_remove(struct batch *t, uint32_t row, bool hold, struct renamed *out)
{
	struct maildir *m = t->m;
	enum md_where where = names_where(&m->names, row);
	const char *name = names_get(&m->names, row);
	size_t base_len = 0;
	int rc;

	out->row = row;
	out->done = false; /* here: held */
	if (hold && md_held_name(m, row, out->name, &base_len) == 0) {
		rc = md_rename(m->dir[where].fd, name, m->tmp, out->name);
		out->done = rc == 0;
		out->base_len = (uint8_t)base_len;
		out->len = (uint8_t)strlen(out->name);
		t->touched |= rc == 0 ? 1u << MD_HELD : 0;
	} else
		rc = unlinkat(m->dir[where].fd, name, 0);
	if (rc == 0)
		t->touched |= 1u << where;
	return rc;
}

static void
tell_removed(struct batch *t)
{
	struct maildir *m = t->m;
	bool room;

	box_begin(m->box);
	room = names_reserve(&m->names, t->n) == 0;
	for (size_t i = 0; i < t->n; i++) {
		const struct renamed *r = &t->v[i];
		bool held = r->done && room;

		m->nheld += held;
		if (held)
			(void)names_set(&m->names, r->row, MD_HELD,
					(struct span){r->name, r->len}, r->base_len);
		else
			m->names.where[r->row] = MD_GONE;
		box_edit_gone(m->box, r->row, held);
	}
	box_commit(m->box);
}

static int
finish_removed(struct batch *t, int rc)
{
	int saved = errno;

	if (t->touched >> MD_HELD & 1 && fsync(t->m->tmp) == -1 && rc == 0) {
		rc = -1;
		saved = errno;
	}
	if (sync_dirs(t->m, t->touched) == -1 && rc == 0) {
		rc = -1;
		saved = errno;
	}
	md_ours_end(t->m, t->ours);
	if (t->n > 0)
		tell_removed(t);
	errno = saved;
	return rc;
}

/* Before a look, to which what is removed and not told would be gone, and held by nobody. */
static int
settle_removed(struct batch *t)
{
	int rc = finish_removed(t, 0);

	t->n = t->touched = t->ours = 0;
	return rc;
}

static int
remove_row(struct batch *t, uint32_t row, bool hold)
{
	for (int try = 0; try < TRIES; try++) {
		if (!still_live(t->m, row))
			return 0; /* somebody else was faster */
		if (try_remove(t, row, hold, &t->v[t->n]) == 0) {
			t->n++;
			return 0;
		}
		if (errno != ENOENT || settle_removed(t) == -1 || look_again(t) == -1)
			return -1;
	}
	errno = EAGAIN;
	return -1;
}

int
md_expunge(struct box *b, const uint32_t *rows, size_t n, bool hold)
{
	struct batch t = {.m = md_of(b)};
	size_t room = n < CHUNK ? n : CHUNK;
	int rc = 0;

	if ((t.v = reallocarray(NULL, room, sizeof *t.v)) == NULL)
		return -1;
	for (size_t i = 0; i < n && rc == 0; i += CHUNK) {
		t.n = t.touched = 0;
		t.ours = md_ours_begin(t.m);
		for (size_t j = i; j < n && j < i + CHUNK && rc == 0; j++)
			rc = remove_row(&t, rows[j], hold);
		rc = finish_removed(&t, rc);
	}
	if (rc == -1)
		log_error("%s: cannot expunge: %m", md_who(t.m));
	free(t.v);
	return rc;
}

/* ---- dates ----------------------------------------------------------------------- */

/* A file that is one with another message's gets a copy of its own: the date is the
 * file's, and the other's must not change. */
static int
unlink_from_others(struct maildir *m, int dir, const char *name)
{
	struct buf tmp = {0};
	int rc = -1, saved;

	if (md_tmp(m) == -1 || mdname_unique(&tmp) == -1 ||
	    buf_add(&tmp, (struct span){MD_DRAFT, sizeof MD_DRAFT}) == -1)
		goto out;
	if ((rc = md_copy_file(dir, name, m->tmp, tmp.p)) == -1)
		goto out;
	if ((rc = renameat(m->tmp, tmp.p, dir, name)) == -1) {
		saved = errno;
		unlinkat(m->tmp, tmp.p, 0);
		errno = saved;
	}
out:
	buf_free(&tmp);
	return rc;
}

static int
open_row(const struct maildir *m, uint32_t row)
{
	return io_open_regular(m->dir[names_where(&m->names, row)].fd,
			       names_get(&m->names, row), O_RDONLY, (uid_t)-1, true);
}

static int
set_file_date(struct maildir *m, uint32_t row, int64_t date)
{
	struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)date}};
	int fd = open_row(m, row), rc, saved;
	struct stat st;

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_nlink > 1) {
		close(fd);
		if (unlink_from_others(m, m->dir[names_where(&m->names, row)].fd,
				       names_get(&m->names, row)) == -1 ||
		    (fd = open_row(m, row)) == -1)
			return -1;
	}
	rc = futimens(fd, t) == -1 || fsync(fd) == -1 ? -1 : 0;
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

int
md_set_date(struct box *b, uint32_t row, int64_t date)
{
	struct batch t = {.m = md_of(b)};

	for (int try = 0; try < TRIES; try++) {
		if (!still_live(t.m, row)) {
			errno = ENOENT;
			return -1;
		}
		if (set_file_date(t.m, row, date) == 0) {
			box_begin(b);
			box_edit_date(b, row, date);
			box_commit(b);
			return 0;
		}
		if (errno != ENOENT || look_again(&t) == -1)
			return -1;
	}
	errno = EAGAIN;
	return -1;
}
