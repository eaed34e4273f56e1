/*
 * mbox_deliver: messages on their way in: stages in the index folder, and appending. A stage
 * goes when what it became is durable; what happens in between the journal knows.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/base/num.h"
#include "storage/mbox_compose.h"
#include "storage/message.h"

#define TRIES 5
#define OLD_S (36 * 3600)

/* ---- stages --------------------------------------------------------------------------------------- */

static int
read_only(const struct mbox *m)
{
	if (m->writable)
		return 0;
	errno = EROFS;
	return -1;
}

static char *
join(const char *base, const char *suffix)
{
	char *name;

	return asprintf(&name, "%s%s", base, suffix) == -1 ? NULL : name;
}

int
mbox_stage_open(struct box *b, struct stage *s)
{
	unsigned depth;
	char base[40];
	uint64_t id;
	int saved;

	if (read_only(mbox_of(b)) == -1 || getrandom(&id, sizeof id, 0) != sizeof id)
		return -1;
	snprintf(base, sizeof base, MBOX_STAGE "%016llx", (unsigned long long)id);
	s->base = strdup(base);
	s->name = join(base, MBOX_DRAFT);
	if (s->base == NULL || s->name == NULL)
		return -1;
	depth = cred_suspend(b->store);
	s->fd = openat(box_index_dir(b), s->name,
	               O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	saved = errno;
	cred_resume(b->store, depth);
	errno = saved;
	if (s->fd == -1)
		return -1;
	(void)flock(s->fd, LOCK_EX | LOCK_NB);
	return 0;
}

int
mbox_stage_keep(struct stage *s, bool deliverable)
{
	int dir = box_index_dir(s->box), rc = 0, saved;
	unsigned depth = cred_suspend(s->box->store);
	char suffix[64], *name;

	snprintf(suffix, sizeof suffix, MBOX_KEEP "%llu", (unsigned long long)s->size);
	if ((name = join(s->base, deliverable ? suffix : MBOX_DRAFT)) == NULL)
		rc = -1;
	else if (strcmp(name, s->name) == 0)
		free(name);
	else if ((rc = renameat(dir, s->name, dir, name)) == -1)
		free(name);
	else {
		free(s->name);
		s->name = name;
	}
	if (rc == 0)
		rc = io_fsync_dir(dir, ".");
	saved = errno;
	cred_resume(s->box->store, depth);
	errno = saved;
	if (rc == 0) {
		s->kept = s->size;
		s->deliverable = deliverable;
	}
	return rc;
}

void
mbox_stage_discard(struct stage *s)
{
	unsigned depth = cred_suspend(s->box->store);

	if (s->name != NULL && unlinkat(box_index_dir(s->box), s->name, 0) == -1 &&
	    errno != ENOENT)
		log_warn("%s: cannot remove %s: %m", mbox_who(mbox_of(s->box)),
		         s->name);
	cred_resume(s->box->store, depth);
}

/* ---- appending ------------------------------------------------------------------------------------ */

struct append {
	struct mbox_writing w;
	struct mbox_letter *v;
	const char **stage; /* names of what goes when it is done; NULL: nothing */
	size_t n;
	uint64_t *at;       /* where each begins in what is appended */
	uint32_t base_last; /* that X-IMAPbase tells afterwards; 0: as before */
};

/* A message begins behind an empty line. */
static int
add_gap(const struct append *a, struct mbox_journal *j)
{
	uint64_t size = (uint64_t)j->before.st_size;
	struct span eol = a->w.m->crlf ? SPAN("\r\n") : SPAN("\n");
	char t[3] = "\n\n\n";
	size_t n = size < 3 ? (size_t)size : 3;

	if (size == 0)
		return 0;
	if (io_pread_full(a->w.fd, t + 3 - n, n, (off_t)(size - n)) != (ssize_t)n) {
		errno = EIO;
		return -1;
	}
	if (t[2] != '\n' && mbox_journal_data(j, eol) == -1)
		return -1;
	if (t[2] == '\n' && (t[1] == '\n' || (t[1] == '\r' && t[0] == '\n')))
		return 0;
	return mbox_journal_data(j, eol);
}

/*
 * Does the file tell the UIDs of what is appended? In an empty one the first message begins
 * to tell; in one that tells none, or whose last one cannot be raised in its place, the index
 * folder keeps them.
 */
static int
prepare_uids(struct append *a, struct mbox_journal *j)
{
	struct mbox *m = a->w.m;
	uint32_t next = m->uidnext;
	bool first = j->before.st_size == 0;
	int rc;

	if (a->n > MBOXSCAN_UID_MAX - next) {
		errno = EOVERFLOW;
		return -1;
	}
	a->base_last = 0;
	if (!first) {
		if (!m->based)
			return 0;
		if ((rc = mbox_patch_base(&a->w, j, next + (uint32_t)a->n - 1)) != 1)
			return rc;
		a->base_last = next + (uint32_t)a->n - 1;
	}
	for (size_t i = 0; i < a->n; i++)
		a->v[i].meta.uid = next + (uint32_t)i;
	if (first) {
		a->v[0].meta.uidvalidity = m->uidvalidity;
		a->v[0].meta.last_uid = next + (uint32_t)a->n - 1;
	}
	return 0;
}

static int
fill_journal(struct append *a, struct mbox_journal *j)
{
	for (size_t i = 0; i < a->n; i++)
		a->v[i].meta.uid = a->v[i].meta.uidvalidity = 0; /* of an earlier try */
	if (prepare_uids(a, j) == -1 || mbox_journal_append(j) == -1 ||
	    add_gap(a, j) == -1)
		return -1;
	for (size_t i = 0; i < a->n; i++) {
		a->at[i] = j->append_n;
		if (mbox_compose(j, &a->v[i], a->w.m->crlf) == -1)
			return -1;
		if (a->stage != NULL && mbox_journal_stage(j, a->stage[i]) == -1)
			return -1;
	}
	return 0;
}

/* The UIDs of the messages that begin at these places. */
static int
find_uids(const struct append *a, uint64_t at, uint32_t *uids)
{
	const struct mbox *m = a->w.m;

	for (size_t i = 0; i < a->n; i++) {
		size_t row = m->nrow;

		while (row > 0 &&
		       (m->row[row - 1].held || m->row[row - 1].off != at + a->at[i]))
			row--;
		if (row == 0) {
			errno = EIO;
			return -1;
		}
		uids[i] = m->box->rec[row - 1].uid;
	}
	return 0;
}

static int
try_append(struct append *a, uint32_t *uids)
{
	struct mbox *m = a->w.m;
	struct mbox_journal j;
	int rc = -1;

	if (mbox_begin_writing(m, true, &a->w) == -1)
		return -1;
	if (mbox_journal_begin(&j, m, a->w.fd) == 0) {
		if (fill_journal(a, &j) == 0)
			rc = mbox_journal_run(&j);
		if (rc == 0 && a->base_last != 0) {
			m->base_last = a->base_last;
			m->base_named = mbox_all_keywords(m);
		}
		if (rc == 0 && (rc = mbox_sync_from(m, a->w.fd, 0)) == 0)
			rc = find_uids(a, j.appended_at, uids);
		mbox_journal_end(&j);
	}
	if (rc == -1)
		m->known = false;
	mbox_end_writing(&a->w);
	return rc;
}

/* All or none. Durable, and told to the box. */
static int
append(struct mbox *m, struct mbox_letter *v, const char **stage, size_t n,
       uint32_t *uids)
{
	struct append a = {.v = v, .stage = stage, .n = n};
	int rc = -1;

	if ((a.at = calloc(n, sizeof *a.at)) == NULL)
		return -1;
	for (int i = 0; i < TRIES; i++) {
		a.w = (struct mbox_writing){.m = m};
		if ((rc = try_append(&a, uids)) == 0 || errno != EAGAIN)
			break;
	}
	free(a.at);
	return rc;
}

/* ---- delivery --------------------------------------------------------------------------------------- */

static int
read_stage(void *arg, uint64_t off, void *to, size_t n)
{
	const struct stage *s = arg;

	if (io_pread_full(s->fd, to, n, (off_t)off) == (ssize_t)n)
		return 0;
	errno = EIO;
	return -1;
}

static int
deliver_stages(struct mbox *m, const struct delivery *d, size_t n, uint32_t *uids)
{
	struct mbox_letter *v = calloc(n, sizeof *v);
	const char **stage = calloc(n, sizeof(const char *));
	int rc = -1;

	if (v != NULL && stage != NULL) {
		for (size_t i = 0; i < n; i++) {
			stage[i] = d[i].stage->name;
			v[i] = (struct mbox_letter){
			    .read = read_stage,
			    .arg = d[i].stage,
			    .size = d[i].stage->size,
			    .sender = {"", 0},
			    .date = d[i].date == INT64_MIN ? time(NULL) : d[i].date,
			    .meta = {.flags = d[i].flags & MT_FLAGS,
			             .keywords = d[i].keywords},
			};
		}
		rc = append(m, v, stage, n, uids);
	}
	free(v);
	free(stage);
	return rc;
}

int
mbox_deliver(struct box *b, const struct delivery *d, size_t n, uint32_t *uids)
{
	struct mbox *m = mbox_of(b);

	if (n == 0)
		return 0;
	if (read_only(m) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (d[i].stage->box != b) {
			errno = EXDEV;
			return -1;
		}
	if (deliver_stages(m, d, n, uids) == -1) {
		log_error("%s: cannot deliver: %m", mbox_who(m));
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		stage_free(d[i].stage);
	return 0;
}

/* ---- copies ------------------------------------------------------------------------------------------- */

struct original {
	struct source src;
};

static int
read_source(void *arg, uint64_t off, void *to, size_t n)
{
	return source_read(&((struct original *)arg)->src, off, to, n);
}

/* Keywords go by name. */
static uint32_t
map_keywords(const struct mbox *from, struct mbox *to, uint32_t keywords)
{
	uint32_t theirs = 0;

	for (unsigned i = 0; i < from->nkeyword; i++) {
		unsigned had = to->nkeyword;
		int n;

		if (!(keywords >> i & 1))
			continue;
		if ((n = mbox_keyword(to, span_of(from->keyword[i]))) == -1)
			log_warn("%s: no room for keyword %s", mbox_who(to),
			         from->keyword[i]);
		else
			theirs |= 1u << n;
		if (to->nkeyword > had)
			to->uids_written = false; /* with the next that is written */
	}
	return theirs;
}

static int
open_originals(struct box *b, const uint32_t *rows, size_t n, struct mbox *to,
               struct original *o, struct mbox_letter *v)
{
	struct mbox *m = mbox_of(b);

	for (size_t i = 0; i < n; i++) {
		const struct mt_record *r = &b->rec[rows[i]];

		if (mbox_source(b, rows[i], &o[i].src) == -1) {
			o[i].src.fd = -1;
			return -1;
		}
		v[i] = (struct mbox_letter){
		    .read = read_source,
		    .arg = &o[i],
		    .size = o[i].src.stored_size,
		    .sender = {"", 0},
		    .date = r->date,
		    .meta = {.flags = r->flags,
		             .keywords = map_keywords(m, to, r->keywords)},
		};
	}
	return 0;
}

static int
try_copy(struct box *b, const uint32_t *rows, size_t n, struct mbox *to, uint32_t *uids)
{
	struct original *o = calloc(n, sizeof *o);
	struct mbox_letter *v = calloc(n, sizeof *v);
	int rc = -1, saved;

	for (size_t i = 0; o != NULL && i < n; i++)
		o[i].src.fd = -1;
	if (o != NULL && v != NULL && open_originals(b, rows, n, to, o, v) == 0)
		rc = append(to, v, NULL, n, uids);
	saved = errno;
	for (size_t i = 0; o != NULL && i < n; i++)
		if (o[i].src.fd != -1)
			close(o[i].src.fd);
	free(o);
	free(v);
	errno = saved;
	return rc;
}

int
mbox_copy(struct box *b, const uint32_t *rows, size_t n, struct box *to, bool move,
          uint32_t *to_uids)
{
	struct mbox *from = mbox_of(b), *there = mbox_of(to);
	int rc = -1, saved;

	if (n == 0)
		return 0;
	if (read_only(there) == -1 || (move && read_only(from) == -1))
		return -1;
	for (int i = 0; i < TRIES; i++) {
		if ((rc = try_copy(b, rows, n, there, to_uids)) == 0 ||
		    (errno != ESTALE && errno != ENOENT))
			break;
		if (mbox_sync(b, true) == -1) /* somebody changed it: where are they now? */
			break;
	}
	/* a message may be in both for a moment, and after a crash; never in none */
	if (rc == 0 && move)
		rc = mbox_expunge(b, rows, n, events_anyone_holds(b));
	saved = errno;
	if (rc == -1)
		log_error("%s: cannot %s messages to %s: %s", mbox_who(from),
		          move ? "move" : "copy", to->path, strerror(saved));
	errno = saved;
	return rc;
}

/* ---- what a daemon that is no more left ----------------------------------------------------------------- */

static bool
parse_keep(const char *name, uint64_t *kept)
{
	const char *mark = strstr(name, MBOX_KEEP);

	return mark != NULL && num_u64(span_of(mark + sizeof MBOX_KEEP - 1), kept) == 0;
}

static bool
is_draft(const char *name)
{
	size_t n = strlen(name), k = sizeof MBOX_DRAFT - 1;

	return n > k && strcmp(name + n - k, MBOX_DRAFT) == 0;
}

/* What was written after the last flush was promised to nobody. */
static void
deliver_keep(struct mbox *m, const char *name, int fd, uint64_t kept)
{
	struct stage s = {.box = m->box, .fd = fd, .name = (char *)name, .size = kept};
	struct delivery d = {.stage = &s, .date = INT64_MIN};
	struct stat st;
	uint32_t uid;

	if (fstat(fd, &st) == -1 || (uint64_t)st.st_size < kept)
		return;
	d.date = st.st_mtim.tv_sec;
	if (deliver_stages(m, &d, 1, &uid) == 0)
		log_info("%s: delivered %s, which was left over, as UID %u",
		         mbox_who(m), name, uid);
	else
		log_error("%s: cannot deliver %s: %m", mbox_who(m), name);
}

static void
recover_stage(struct mbox *m, const char *name)
{
	unsigned depth = cred_suspend(m->box->store);
	int dir = box_index_dir(m->box), fd;
	struct stat st;
	uint64_t kept;
	bool keep;

	fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || flock(fd, LOCK_EX | LOCK_NB) == -1) { /* its writer lives */
		cred_resume(m->box->store, depth);
		if (fd != -1)
			close(fd);
		return;
	}
	keep = parse_keep(name, &kept);
	if (!keep && is_draft(name) && fstat(fd, &st) == 0 &&
	    time(NULL) - st.st_mtime > OLD_S)
		(void)unlinkat(dir, name, 0);
	cred_resume(m->box->store, depth);
	if (keep)
		deliver_keep(m, name, fd, kept);
	close(fd);
}

void
mbox_recover_stages(struct mbox *m)
{
	unsigned depth = cred_suspend(m->box->store);
	int fd = openat(box_index_dir(m->box), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;

	cred_resume(m->box->store, depth);
	while (d != NULL && (e = readdir(d)) != NULL)
		if (strncmp(e->d_name, MBOX_STAGE, sizeof MBOX_STAGE - 1) == 0 &&
		    (strstr(e->d_name, MBOX_KEEP) != NULL || is_draft(e->d_name)))
			recover_stage(m, e->d_name);
	if (d != NULL)
		closedir(d);
	else if (fd != -1)
		close(fd);
}
