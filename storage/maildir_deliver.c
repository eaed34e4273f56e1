/*
 * maildir_deliver: files on their way in: staged ones in tmp/, and the step that gives
 * files a place in the mailbox and a UID.
 *
 * The file comes first, its record in the uidlist after it, both under the uidlist's
 * lock; in between the file is a message that nobody has numbered yet.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/maildir.h"

/* ---- stages ---------------------------------------------------------------------- */

static char *
join(const char *base, const char *suffix)
{
	char *name;

	return asprintf(&name, "%s%s", base, suffix) == -1 ? NULL : name;
}

static int
read_only(const struct maildir *m)
{
	if (m->writable)
		return 0;
	errno = EROFS;
	return -1;
}

int
md_stage_open(struct box *b, struct stage *s)
{
	struct maildir *m = md_of(b);
	struct buf base = {0};
	int ok;

	if (read_only(m) == -1 || md_tmp(m) == -1)
		return -1;
	ok = mdname_unique(&base) == 0 && buf_addc(&base, '\0') == 0;
	s->base = ok ? strdup(base.p) : NULL;
	s->name = s->base == NULL ? NULL : join(s->base, MD_DRAFT);
	buf_free(&base);
	if (s->name == NULL)
		return -1;
	s->fd = openat(m->tmp, s->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       0600);
	if (s->fd == -1)
		return -1;
	/* a file system without flock has recovery leave it to its age */
	(void)flock(s->fd, LOCK_EX | LOCK_NB);
	return 0;
}

int
md_stage_keep(struct stage *s, bool deliverable)
{
	struct maildir *m = md_of(s->box);
	char suffix[64], *name;

	snprintf(suffix, sizeof suffix, MD_KEEP "%llu", (unsigned long long)s->size);
	if ((name = join(s->base, deliverable ? suffix : MD_DRAFT)) == NULL)
		return -1;
	if (strcmp(name, s->name) == 0)
		free(name);
	else if (renameat(m->tmp, s->name, m->tmp, name) == -1) {
		free(name);
		return -1;
	} else {
		free(s->name);
		s->name = name;
	}
	if (fsync(m->tmp) == -1)
		return -1;
	s->kept = s->size;
	s->deliverable = deliverable;
	return 0;
}

void
md_stage_discard(struct stage *s)
{
	struct maildir *m = md_of(s->box);

	if (m->tmp != -1 && s->name != NULL && unlinkat(m->tmp, s->name, 0) == -1 &&
	    errno != ENOENT)
		log_warn("%s: cannot remove tmp/%s: %m", md_who(m), s->name);
}

/* ---- placing --------------------------------------------------------------------- */

int
md_placing_name(struct md_placing *p, struct span base, uint16_t flags, uint32_t keywords)
{
	struct buf name = {0};
	int rc = -1;

	p->where = flags != 0 || keywords != 0 ? MD_CUR : MD_NEW;
	p->base_len = base.n;
	if (buf_add(&name, base) == 0 &&
	    (p->where == MD_NEW || mdname_print_info(flags, keywords, &name) == 0))
		rc = span_cstr(buf_span(&name), p->to, sizeof p->to);
	buf_free(&name);
	return rc;
}

static void
undo(const struct maildir *m, struct md_placing *p, size_t n)
{
	int saved = errno;

	for (size_t i = 0; i < n; i++)
		if (p[i].placed) {
			if (md_rename(m->dir[p[i].where].fd, p[i].to, p[i].from_dir,
				      p[i].from) == -1)
				log_error("%s: cannot take %s back: %m", md_who(m), p[i].to);
			p[i].placed = false;
		}
	errno = saved;
}

static int
move_in(const struct maildir *m, struct md_placing *p, size_t n)
{
	unsigned touched = 0;

	for (size_t i = 0; i < n; i++) {
		if (md_rename(p[i].from_dir, p[i].from, m->dir[p[i].where].fd, p[i].to) == -1)
			return -1;
		p[i].placed = true;
		touched |= 1u << p[i].where;
	}
	for (int w = MD_NEW; w <= MD_CUR; w++)
		if (touched >> w & 1 && fsync(m->dir[w].fd) == -1)
			return -1;
	return 0;
}

static int
append_records(struct maildir *m, const struct md_placing *p, size_t n, const uint32_t *uids)
{
	struct buf lines = {0};
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		struct uidlist_record r = {
		    .uid = uids[i], .ext = {"", 0}, .name = {p[i].to, p[i].base_len}};

		rc = uidlist_print_record(&r, &lines);
	}
	if (rc == 0)
		rc = md_uids_append(m, buf_span(&lines), n, uids[n - 1]);
	buf_free(&lines);
	return rc;
}

/* Lock held: the rows are what the uidlist says, and it can be appended to. */
static int
get_ready(struct maildir *m)
{
	if (!md_uids_changed(m) && m->uids.exists && !m->uids.rewrite && !m->uids.pending &&
	    faccessat(m->top, UIDLIST_FILE, W_OK, AT_EACCESS) == 0)
		return 0;
	if (m->uids.exists && faccessat(m->top, UIDLIST_FILE, W_OK, AT_EACCESS) == -1)
		m->uids.rewrite = true;
	return md_sync_locked(m);
}

static int
choose_uids(const struct maildir *m, size_t n, uint32_t *uids)
{
	uint32_t next = m->uids.uidnext, known = m->box->head.uidnext;

	if (next < known)
		next = known;
	if (n > MD_UID_MAX - next) {
		errno = EOVERFLOW;
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		uids[i] = next++;
	return 0;
}

static int
move_and_number(struct maildir *m, struct md_placing *p, size_t n, const uint32_t *uids)
{
	struct md_commit c = {.fd = -1};
	int rc;

	if (n > 1 && p[0].from_dir == m->tmp && md_commit_begin(m, p, n, &c) == -1)
		return -1;
	if ((rc = move_in(m, p, n)) == 0)
		rc = append_records(m, p, n, uids);
	if (rc == -1)
		undo(m, p, n);
	md_commit_end(m, &c);
	return rc;
}

static void
tell_placed(struct maildir *m, const struct md_placing *p, size_t n, const uint32_t *uids)
{
	struct mt_record *rec = reallocarray(NULL, n, sizeof *rec);
	size_t i = 0;

	for (size_t j = 0; rec != NULL && j < n; j++)
		md_fill_record(m, p[j].where, p[j].to, uids[j], false, &rec[j]);
	box_begin(m->box);
	for (; rec != NULL && i < n; i++) {
		if (names_add(&m->names, p[i].where, span_of(p[i].to), p[i].base_len,
			      (struct span){"", 0}) == -1)
			break;
		if (box_edit_add(m->box, &rec[i]) == -1) {
			m->names.nrow--;
			break;
		}
	}
	box_commit(m->box);
	free(rec);
	if (i < n) { /* the next sync finds them in the uidlist */
		m->uids.known = false;
		m->dir[MD_NEW].trust = m->dir[MD_CUR].trust = TRUST_NONE;
	}
}

int
md_place(struct maildir *m, struct md_placing *p, size_t n, uint32_t *uids)
{
	struct dotlock lock;
	unsigned ours;
	int rc;

	if (md_uids_lock(m, MD_LOCK_MS, &lock) == -1)
		return -1;
	ours = 0;
	if ((rc = get_ready(m)) == 0 && (rc = choose_uids(m, n, uids)) == 0) {
		ours = md_ours_begin(m);
		rc = move_and_number(m, p, n, uids);
	}
	md_uids_unlock(m, &lock);
	md_ours_end(m, ours);
	if (rc == 0)
		tell_placed(m, p, n, uids);
	return rc;
}

/* ---- delivery -------------------------------------------------------------------- */

/* Content and date durable before the name is. */
static int
finish_stage(const struct delivery *d)
{
	struct stage *s = d->stage;
	struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)d->date}};
	bool dirty = s->dirty;

	if (d->date != INT64_MIN) {
		if (futimens(s->fd, t) == -1)
			return -1;
		dirty = true;
	}
	if (dirty && fsync(s->fd) == -1)
		return -1;
	s->dirty = false;
	return 0;
}

static int
placing_of_stage(const struct maildir *m, const struct delivery *d, struct md_placing *p)
{
	if (d->stage->box != m->box) {
		errno = EXDEV;
		return -1;
	}
	if (finish_stage(d) == -1 || span_cstr(span_of(d->stage->name), p->from,
					       sizeof p->from) == -1)
		return -1;
	p->from_dir = m->tmp;
	return md_placing_name(p, span_of(d->stage->base), d->flags & MT_FLAGS,
			       d->keywords & m->keyword_mask);
}

int
md_deliver(struct box *b, const struct delivery *d, size_t n, uint32_t *uids)
{
	struct maildir *m = md_of(b);
	struct md_placing *p;
	int rc = 0;

	if (n == 0)
		return 0;
	if (read_only(m) == -1 || md_tmp(m) == -1 || (p = calloc(n, sizeof *p)) == NULL)
		return -1;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = placing_of_stage(m, &d[i], &p[i]);
	if (rc == 0)
		rc = md_place(m, p, n, uids);
	free(p);
	if (rc == -1) {
		log_error("%s: cannot deliver: %m", md_who(m));
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		stage_free(d[i].stage);
	return 0;
}
