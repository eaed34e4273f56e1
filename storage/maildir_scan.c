/* maildir_scan: what lies in new/ and cur/ at one moment, as near as that can be told. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/log.h"
#include "storage/grow.h"
#include "storage/maildir.h"

#define TRIES 6 /* at a directory that keeps changing; then at the next sync */

/* ---- stamps ---------------------------------------------------------------------- */

static int64_t
ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct md_stamp
md_stamp(const struct stat *st)
{
	return (struct md_stamp){.dev = st->st_dev,
				 .ino = st->st_ino,
				 .size = st->st_size,
				 .mtime_ns = ns(st->st_mtim),
				 .ctime_ns = ns(st->st_ctim)};
}

bool
md_stamp_eq(const struct md_stamp *a, const struct md_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

bool
md_stamp_fresh(const struct md_stamp *s)
{
	int64_t tick = s->mtime_ns % 1000000000 == 0 ? MD_TICK_1S_NS : MD_TICK_NS, age;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	age = ns(now) - s->mtime_ns;
	/* A time far ahead of the clock is as good as one far behind it: a change would
	 * set another. */
	return age > -tick && age < tick;
}

/* ---- one directory --------------------------------------------------------------- */

static bool
is_message(struct maildir *m, int dir, const struct dirent *d)
{
	struct span name = span_of(d->d_name);
	struct stat st;

	if (name.p[0] == '.')
		return false;
	if (d->d_type != DT_UNKNOWN && d->d_type != DT_REG)
		return false;
	if (d->d_type == DT_UNKNOWN &&
	    (fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1 || !S_ISREG(st.st_mode)))
		return false;
	if (mdname_valid(name) && memchr(name.p, '\r', name.n) == NULL)
		return true;
	if (!m->name_said) /* CR and LF cannot stand in an uidlist; Dovecot skips them too */
		log_warn("%s: passing over a file with a line end in its name: %s", md_who(m),
			 d->d_name);
	m->name_said = true;
	return false;
}

static int
add(struct md_scan *s, enum md_where where, const struct dirent *d)
{
	struct span name = span_of(d->d_name);
	struct mdname parsed;
	struct md_file *f;

	if (s->names.n > UINT32_MAX - 512) {
		errno = EMSGSIZE;
		return -1;
	}
	if (GROW(s->file, s->n, s->cap) == -1)
		return -1;
	mdname_parse(name, &parsed);
	f = &s->file[s->n];
	*f = (struct md_file){.ino = d->d_ino,
			      .name = (uint32_t)s->names.n,
			      .len = (uint8_t)name.n,
			      .base = (uint8_t)parsed.base.n,
			      .where = (uint8_t)where};
	if (buf_add(&s->names, (struct span){name.p, name.n + 1}) == -1)
		return -1;
	s->n++;
	return 0;
}

static int
read_dir(struct maildir *m, struct md_scan *s, enum md_where where)
{
	struct dirent *d;
	int fd, rc = 0, saved;
	DIR *dp;

	/* a descriptor of its own: positions of a shared one would be shared too */
	fd = openat(m->dir[where].fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	if ((dp = fdopendir(fd)) == NULL) {
		close(fd);
		return -1;
	}
	while (rc == 0 && (errno = 0, d = readdir(dp)) != NULL)
		if (is_message(m, fd, d))
			rc = add(s, where, d);
	if (rc == 0 && errno != 0)
		rc = -1;
	saved = errno;
	closedir(dp);
	errno = saved;
	if (rc == 0)
		s->read[where] = true;
	return rc;
}

/* ---- by base name ---------------------------------------------------------------- */

static size_t
slot_of(const struct md_scan *s, struct span base)
{
	return (size_t)hash64(s->key, base) & (s->nslot - 1);
}

/*
 * Of two files with one base name the same must win at every look, also when flags
 * change or it moves from new/ to cur/, and after a restart: that with the lower inode
 * number. Two names of one inode are one in passage from new/ to cur/.
 */
static bool
wins(const struct md_scan *s, const struct md_file *a, const struct md_file *b)
{
	if (a->old != b->old) /* seen in the last try: there */
		return b->old;
	if (a->ino != b->ino)
		return a->ino < b->ino;
	if (a->where != b->where)
		return a->where == MD_CUR;
	return strcmp(s->names.p + a->name, s->names.p + b->name) < 0;
}

static void
say_twin(struct maildir *m, const struct md_scan *s, const struct md_file *a,
	 const struct md_file *b)
{
	if (a->ino == b->ino || a->old || b->old || m->twins_said)
		return;
	m->twins_said = true;
	log_warn("%s: two files have one base name: %s and %s; showing the first", md_who(m),
		 s->names.p + a->name, s->names.p + b->name);
}

static void
enter(struct maildir *m, struct md_scan *s, uint32_t i)
{
	struct md_file *f = &s->file[i];
	size_t at = slot_of(s, md_file_base(s, f));

	for (; s->slot[at] != 0; at = (at + 1) & (s->nslot - 1)) {
		struct md_file *there = &s->file[s->slot[at] - 1];

		if (!span_eq(md_file_base(s, there), md_file_base(s, f)))
			continue;
		if (wins(s, there, f)) {
			f->twin = true;
			there->has_twin |= !f->old;
			say_twin(m, s, there, f);
			return;
		}
		there->twin = true;
		f->has_twin = there->has_twin || !there->old;
		say_twin(m, s, f, there);
		break;
	}
	s->slot[at] = i + 1;
}

static int
index_files(struct maildir *m, struct md_scan *s)
{
	size_t want = 64;

	while (want < s->n + s->n / 2)
		want *= 2;
	free(s->slot);
	if ((s->slot = calloc(want, sizeof *s->slot)) == NULL)
		return -1;
	s->nslot = want;
	if (s->key == NULL) {
		if ((s->key = malloc(sizeof *s->key)) == NULL)
			return -1;
		hash_random(s->key);
	}
	for (size_t i = 0; i < s->n; i++)
		s->file[i].twin = s->file[i].has_twin = false;
	for (size_t i = 0; i < s->n; i++)
		if (!s->stable || !s->file[i].old)
			enter(m, s, (uint32_t)i);
	return 0;
}

struct md_file *
md_scan_find(const struct md_scan *s, struct span base)
{
	if (s->nslot == 0)
		return NULL;
	for (size_t at = slot_of(s, base); s->slot[at] != 0; at = (at + 1) & (s->nslot - 1)) {
		struct md_file *f = &s->file[s->slot[at] - 1];

		if (span_eq(md_file_base(s, f), base))
			return f;
	}
	return NULL;
}

/* ---- a whole look ---------------------------------------------------------------- */

static int
stat_both(const struct maildir *m, struct md_stamp now[2])
{
	struct stat st;

	for (int w = MD_NEW; w <= MD_CUR; w++) {
		if (fstat(m->dir[w].fd, &st) == -1)
			return -1;
		now[w] = md_stamp(&st);
	}
	return 0;
}

/* Was this directory read, and nothing changed in it before, during and after? */
static bool
is_quiet(const struct maildir *m, const struct md_scan *s, enum md_where w,
	 const struct md_stamp *before, const struct md_stamp *after)
{
	return s->read[w] && m->dir[w].trust == TRUST_SURE && md_stamp_eq(before, after) &&
	       md_stamp_eq(before, &m->dir[w].stamp);
}

/* What was found in these directories before may not be there any more. */
static void
make_old(struct md_scan *s, const bool want[2])
{
	for (size_t i = 0; i < s->n; i++)
		if (want[s->file[i].where])
			s->file[i].old = true;
}

static int
try_scan(struct maildir *m, struct md_scan *s, const bool want[2])
{
	struct md_stamp before[2], after[2];

	/* All before any is read, and again when all were: a file that went from one
	 * to the other meanwhile shows in one of the stamps. */
	if (stat_both(m, before) == -1)
		return -1;
	make_old(s, want);
	/* cur/ last: what moves does so from new/ to cur/ and is then met there */
	for (int w = MD_NEW; w <= MD_CUR; w++)
		if (want[w] && read_dir(m, s, (enum md_where)w) == -1)
			return -1;
	if (stat_both(m, after) == -1)
		return -1;
	for (int w = MD_NEW; w <= MD_CUR; w++) {
		if (!want[w])
			continue;
		m->dir[w].stamp = before[w];
		m->dir[w].trust = md_stamp_eq(&before[w], &after[w]) && !md_stamp_fresh(&before[w])
				      ? TRUST_SURE
				      : TRUST_FRESH;
	}
	s->stable = is_quiet(m, s, MD_NEW, &before[MD_NEW], &after[MD_NEW]) &&
		    is_quiet(m, s, MD_CUR, &before[MD_CUR], &after[MD_CUR]);
	return index_files(m, s);
}

static bool
needs_reading(const struct md_dir *d)
{
	struct md_stamp now;
	struct stat st;

	if (fstat(d->fd, &st) == -1)
		return true;
	now = md_stamp(&st);
	return !md_stamp_eq(&now, &d->stamp) || d->trust <= TRUST_FRESH ||
	       (d->trust == TRUST_OURS && md_now_ms() - d->since_ms >= MD_DOUBT_MS);
}

bool
md_scan_needed(const struct maildir *m)
{
	return needs_reading(&m->dir[MD_NEW]) || needs_reading(&m->dir[MD_CUR]);
}

int
md_scan(struct maildir *m, struct md_scan *s, bool both,
	bool (*complete)(const struct md_scan *, void *), void *arg)
{
	bool want[2];

	for (int w = MD_NEW; w <= MD_CUR; w++)
		want[w] = both || needs_reading(&m->dir[w]);
	if (!want[MD_NEW] && !want[MD_CUR])
		return 0;
	for (int try = 0;; try++) {
		if (try_scan(m, s, want) == -1)
			return -1;
		if (s->stable || try == TRIES - 1 || complete(s, arg))
			return 0;
		/* Something is missing, which only a quiet look at both can tell. */
		want[MD_NEW] = want[MD_CUR] = true;
		if (try > 0)
			nanosleep(&(struct timespec){.tv_nsec = MD_TICK_NS + MD_TICK_NS / 4},
				  NULL);
	}
}

struct md_file *
md_scan_exact(const struct md_scan *s, enum md_where where, struct span name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!s->file[i].old && s->file[i].where == where &&
		    span_eq(md_file_name(s, &s->file[i]), name))
			return &s->file[i];
	return NULL;
}

void
md_scan_free(struct md_scan *s)
{
	buf_free(&s->names);
	free(s->file);
	free(s->slot);
	free(s->key);
	*s = (struct md_scan){0};
}

/* ---- order of new files ---------------------------------------------------------- */

static int
by_time(const void *pa, const void *pb, void *arg)
{
	const struct md_scan *s = arg;
	const char *a = s->names.p + (*(struct md_file *const *)pa)->name;
	const char *b = s->names.p + (*(struct md_file *const *)pb)->name;
	size_t na, nb;

	while (*a == '0' && isdigit((unsigned char)a[1]))
		a++;
	while (*b == '0' && isdigit((unsigned char)b[1]))
		b++;
	na = strspn(a, "0123456789");
	nb = strspn(b, "0123456789");
	if (na != nb)
		return na < nb ? -1 : 1;
	return strcmp(a, b);
}

void
md_scan_sort_new(const struct md_scan *s, struct md_file **f, size_t n)
{
	if (n > 1)
		qsort_r(f, n, sizeof(struct md_file *), by_time, (void *)s);
}
