#include "protocol/command/checkbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "protocol/command/octets.h"
#include "protocol/command/statefile.h"
#include "protocol/view.h"
#include "storage/base/io.h"
#include "storage/base/num.h"

#define WINDOW          (128 * 1024)
#define RETRIES         50 /* of a look at a mailbox that changes meanwhile */
#define UNSIZED_RETRIES 5  /* of them because of a message without a size */
#define RETRY_US        20000

/* One live message as the index has it. */
struct entry {
	uint32_t uid;
	uint16_t flags, bits;
	uint32_t keywords, header_size;
	uint64_t wire_off, size;
	int64_t date;
};

/* A mailbox while it is being looked at. */
struct look {
	struct check *check;
	const char *path;
	struct view view;
	struct mt_header head;
	struct entry *entry; /* owned; ascending as the index gave them */
	size_t n, cap;
	int wire;
	char *window[2]; /* owned, WINDOW octets each: of the file, of `wire` */
};

void
check_say(struct check *c, const char *fmt, ...)
{
	va_list ap;

	if (c->progress)
		fprintf(stderr, "\r\033[K");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	c->violations++;
}

static void
progress(struct look *l, size_t done)
{
	if (l->check->progress && (done % 64 == 0 || done == l->n))
		fprintf(stderr, "\r\033[K%s: %zu of %zu", l->path, done, l->n);
}

/* ---- the index ------------------------------------------------------------------- */

static int
take(void *arg, const struct mt_record *r)
{
	struct look *l = arg;
	struct entry *e;

	if (l->n == l->cap) {
		size_t cap = l->cap != 0 ? 2 * l->cap : 1024;

		if ((e = realloc(l->entry, cap * sizeof *e)) == NULL)
			return -1;
		l->entry = e;
		l->cap = cap;
	}
	l->entry[l->n++] = (struct entry){
	    .uid = r->uid,
	    .flags = r->flags,
	    .bits = r->bits & (MT_DOT | MT_NUL | MT_8BIT),
	    .keywords = r->keywords,
	    .header_size = r->header_size,
	    .wire_off = r->wire_off,
	    .size = r->wire_size,
	    .date = r->date,
	};
	return 0;
}

/* The index of one instant: 0, -1. */
static int
scan(struct look *l)
{
	int r;

	for (int i = 0; i < RETRIES; i++) {
		l->n = 0;
		r = view_scan(&l->view, &l->head, take, l);
		if (r == 0 || errno != ESTALE)
			return r;
	}
	return -1;
}

static int
by_wire_off(const void *a, const void *b)
{
	uint64_t x = ((const struct entry *)a)->wire_off,
	         y = ((const struct entry *)b)->wire_off;

	return x < y ? -1 : x > y;
}

/* No two messages share octets of `wire`, and none lies past its end. */
static int
check_ranges(struct look *l)
{
	struct mt_header now;
	struct entry *sorted;
	uint64_t end = 0;

	if (l->n == 0)
		return 0;
	if (view_header(&l->view, &now) == -1) /* it may have grown since */
		return -1;
	if ((sorted = malloc(l->n * sizeof *sorted)) == NULL)
		return -1;
	memcpy(sorted, l->entry, l->n * sizeof *sorted);
	qsort(sorted, l->n, sizeof *sorted, by_wire_off);
	for (size_t i = 0; i < l->n; i++) {
		const struct entry *e = &sorted[i];

		if (e->wire_off == MT_OFF_UNKNOWN)
			continue;
		if (e->size > 0 && e->wire_off < end)
			check_say(l->check,
			          "%s/%u.eml: its octets in wire are another's too",
			          l->path, e->uid);
		if (e->wire_off > now.wire_size ||
		    e->size > now.wire_size - e->wire_off)
			check_say(l->check, "%s/%u.eml: lies past the end of wire",
			          l->path, e->uid);
		end = e->wire_off + e->size;
	}
	free(sorted);
	return 0;
}

static int
check_index(struct look *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct entry *e = &l->entry[i];

		if (e->uid == 0 || e->uid >= l->head.uidnext)
			check_say(l->check, "%s/%u.eml: S3: uidnext is %u", l->path,
			          e->uid, l->head.uidnext);
		if (i > 0 && e->uid <= e[-1].uid)
			check_say(l->check,
			          "%s/%u.eml: S3: comes after %u in the index", l->path,
			          e->uid, e[-1].uid);
	}
	if (l->head.uidvalidity == 0)
		check_say(l->check, "%s: S3: uidvalidity is 0", l->path);
	return check_ranges(l);
}

/* ---- one message ------------------------------------------------------------------- */

/*
 * Has the message gone since the index was read? Then nothing is wrong with it. The kernel
 * may believe in its name for a moment longer than the store does.
 */
static bool
gone(const struct look *l, const char *name)
{
	struct stat st;

	for (int i = 0; i < RETRIES; i++) {
		if (fstatat(l->view.dir, name, &st, 0) == -1 && errno == ENOENT)
			return true;
		usleep(RETRY_US);
	}
	return false;
}

static void
check_octets(struct look *l, const struct entry *e, const struct octets *o)
{
	struct check *c = l->check;

	if (o->n != e->size)
		check_say(c, "%s/%u.eml: S2: %" PRIu64 " octets, size %" PRIu64,
		          l->path, e->uid, o->n, e->size);
	if (o->bare != 0)
		check_say(c, "%s/%u.eml: S1: LF without CR at octet %" PRIu64, l->path,
		          e->uid, o->bare - 1);
	if (!octets_ended(o))
		check_say(c, "%s/%u.eml: S1: does not end in CRLF", l->path, e->uid);
	if (octets_header(o) != e->header_size)
		check_say(c, "%s/%u.eml: header of %" PRIu64 " octets, index says %u",
		          l->path, e->uid, octets_header(o), e->header_size);
	if (o->bits != e->bits)
		check_say(c, "%s/%u.eml: bits %u, index says %u", l->path, e->uid,
		          o->bits, e->bits);
}

/* Read the whole file, beside its range of `wire`. 0, or -1 with errno. */
static int
read_both(struct look *l, int fd, const struct entry *e, struct octets *o)
{
	bool same = true;
	ssize_t n, m;

	while ((n = io_pread_full(fd, l->window[0], WINDOW, (off_t)o->n)) > 0) {
		if (e->wire_off != MT_OFF_UNKNOWN && same) {
			m = io_pread_full(l->wire, l->window[1], (size_t)n,
			                  (off_t)(e->wire_off + o->n));
			if (m == -1)
				return -1;
			same = m == n &&
			       memcmp(l->window[0], l->window[1], (size_t)n) == 0;
		}
		octets_push(o, (struct span){l->window[0], (size_t)n});
	}
	if (n == 0 && !same)
		check_say(l->check, "%s/%u.eml: wire has other octets", l->path,
		          e->uid);
	return (int)n;
}

static void
check_message(struct look *l, const struct entry *e)
{
	struct octets o = {0};
	struct stat st;
	char name[32];
	int fd;

	snprintf(name, sizeof name, "%u" MT_SUFFIX, e->uid);
	fd = openat(l->view.dir, name, O_RDONLY | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1 || read_both(l, fd, e, &o) == -1) {
		int saved = errno;

		if (!gone(l, name))
			check_say(l->check, "%s/%s: cannot be read: %s", l->path, name,
			          strerror(saved));
	} else {
		if ((uint64_t)st.st_size != e->size)
			check_say(l->check,
			          "%s/%s: S2: stat says %jd octets, index %" PRIu64,
			          l->path, name, (intmax_t)st.st_size, e->size);
		if (st.st_mtime != e->date)
			check_say(l->check, "%s/%s: date %jd, index %" PRId64, l->path,
			          name, (intmax_t)st.st_mtime, e->date);
		check_octets(l, e, &o);
	}
	if (fd != -1)
		close(fd);
}

/* ---- names and state: of one instant, with the index --------------------------------- */

static int
by_uid(const void *a, const void *b)
{
	uint32_t x = ((const struct entry *)a)->uid, y = ((const struct entry *)b)->uid;

	return x < y ? -1 : x > y;
}

static const struct entry *
entry_of(const struct look *l, uint32_t uid)
{
	struct entry key = {.uid = uid};

	return l->n == 0 ? NULL : bsearch(&key, l->entry, l->n, sizeof key, by_uid);
}

/* The UID of a name N.eml, 0 when it is no such name. */
static uint32_t
uid_of(const char *name)
{
	size_t n = strlen(name), suffix = strlen(MT_SUFFIX);
	uint32_t uid;

	if (n <= suffix || strcmp(name + n - suffix, MT_SUFFIX) != 0 ||
	    name[0] == '0' || num_u32((struct span){name, n - suffix}, &uid) == -1)
		return 0;
	return uid;
}

/* A list of complaints of a look that may have to be thrown away. */
struct doubts {
	struct buf text; /* one line each */
	uint64_t n;
};

static void __attribute__((format(printf, 2, 3)))
doubt(struct doubts *d, const char *fmt, ...)
{
	char line[2 * PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	d->n++;
	buf_addf(&d->text, "%s\n", line);
}

static void
check_counts(struct look *l, struct doubts *d)
{
	uint64_t unseen = 0;

	for (size_t i = 0; i < l->n; i++)
		unseen += !(l->entry[i].flags & MT_SEEN);
	if (l->head.nmessage != l->n || l->head.nunseen != unseen)
		doubt(d,
		      "%s: the index counts %" PRIu64 " messages, %" PRIu64
		      " unseen, and lists %zu, %" PRIu64,
		      l->path, l->head.nmessage, l->head.nunseen, l->n, unseen);
}

static int
check_listing(struct look *l, struct doubts *d)
{
	int fd = openat(l->view.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *de;
	size_t n = 0;
	uint32_t uid;

	if (dir == NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	for (errno = 0; (de = readdir(dir)) != NULL; errno = 0) {
		if ((uid = uid_of(de->d_name)) == 0)
			continue;
		n++;
		if (entry_of(l, uid) == NULL)
			doubt(d, "%s/%s: listed, but not in the index", l->path,
			      de->d_name);
	}
	closedir(dir);
	if (n != l->n)
		doubt(d, "%s: %zu messages listed, %zu in the index", l->path, n, l->n);
	return errno == 0 ? 0 : -1;
}

static void
check_line(struct look *l, struct doubts *d, size_t i,
           const struct statefile_line *line)
{
	const struct entry *e = &l->entry[i];

	if (i < l->n &&
	    (line->uid != e->uid || line->size != e->size || line->date != e->date ||
	     line->flags != e->flags || line->keywords != e->keywords))
		doubt(d, "%s/%s: line of %u: differs from the index (there: %u)",
		      l->path, MT_STATE, line->uid, e->uid);
}

static void
check_lines(struct look *l, struct doubts *d, struct statefile *s)
{
	struct statefile_line line;
	size_t i = 0;
	int r;

	while ((r = statefile_next(s, &line)) == 1)
		check_line(l, d, i++, &line);
	if (r == -1)
		doubt(d, "%s/%s: message line %zu is not as documented", l->path,
		      MT_STATE, i);
	else if (i != l->n)
		doubt(d, "%s/%s: %zu message lines, %zu in the index", l->path,
		      MT_STATE, i, l->n);
}

static int
check_state(struct look *l, struct doubts *d)
{
	struct buf text = {0};
	struct statefile s;
	struct stat st;
	int fd = openat(l->view.dir, MT_STATE, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1 || io_slurp(fd, &text) == -1) {
		close(fd);
		buf_free(&text);
		return -1;
	}
	close(fd);
	if ((size_t)st.st_size != text.n)
		doubt(d, "%s/%s: S2: %zu octets, stat says %jd", l->path, MT_STATE,
		      text.n, (intmax_t)st.st_size);
	if (statefile_open(buf_span(&text), &s) == -1)
		doubt(d, "%s/%s: its first lines are not as documented", l->path,
		      MT_STATE);
	else {
		if (s.uidvalidity != l->head.uidvalidity ||
		    s.uidnext != l->head.uidnext || s.messages != l->n ||
		    s.keywords != l->head.nkeyword)
			doubt(d, "%s/%s: S3: its first lines differ from the index",
			      l->path, MT_STATE);
		check_lines(l, d, &s);
	}
	buf_free(&text);
	return 0;
}

/*
 * Have every size counted. A read-only mount takes no commands: there stat waits for the
 * size of one message at a time.
 */
static int
count_sizes(struct look *l)
{
	struct stat st;
	struct dirent *de;
	DIR *dir;
	int fd;

	if (l->view.conf.mode != VIEW_LOOK)
		return view_sync(&l->view);
	if ((fd = openat(l->view.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -1;
	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return -1;
	}
	for (errno = 0; (de = readdir(dir)) != NULL; errno = 0)
		if (uid_of(de->d_name) != 0)
			(void)fstatat(l->view.dir, de->d_name, &st,
			              0); /* reported later */
	closedir(dir);
	return errno == 0 ? 0 : -1;
}

/* Messages that came after the sizes were counted, or whose size cannot be had. */
static size_t
check_sized(struct look *l, struct doubts *d)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (l->entry[i].wire_off == MT_OFF_UNKNOWN) {
			doubt(d, "%s/%u.eml: its size cannot be found out", l->path,
			      l->entry[i].uid);
			n++;
		}
	return n;
}

/* Read everything that must agree: 1 when it was of one instant, 0 when not, -1. */
static int
look_once(struct look *l, struct doubts *d, bool patient)
{
	struct mt_header after;

	if (count_sizes(l) == -1 || scan(l) == -1)
		return -1;
	if (check_sized(l, d) > 0 && patient)
		return 0;
	check_counts(l, d);
	if (check_listing(l, d) == -1 || check_state(l, d) == -1 ||
	    view_header(&l->view, &after) == -1)
		return -1;
	return after.modseq == l->head.modseq && after.uidnext == l->head.uidnext;
}

/*
 * Names and `.mailbox` must agree with the index of the same instant: when something
 * changed while they were read, what was found counts for nothing and all is read
 * again. 0, -1 (EBUSY: it never came to rest).
 */
static int
check_instant(struct look *l)
{
	struct doubts d = {0};
	int r = 0;

	for (int i = 0; i < RETRIES && r == 0; i++) {
		buf_reset(&d.text);
		d.n = 0;
		r = look_once(l, &d, i < UNSIZED_RETRIES);
		if (d.n == 0 && r == 0)
			r = 1;
		if (r == 0)
			usleep(RETRY_US);
	}
	if (r == 1 && d.n > 0) {
		fwrite(d.text.p, 1, d.text.n, stdout);
		l->check->violations += d.n;
	}
	buf_free(&d.text);
	if (r == 0)
		errno = EBUSY;
	return r == 1 ? 0 : -1;
}

/* ---- the whole ------------------------------------------------------------------ */

static int
look(struct look *l)
{
	if (check_instant(l) == -1 || check_index(l) == -1)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		progress(l, i);
		if (l->entry[i].wire_off != MT_OFF_UNKNOWN) /* else that was said */
			check_message(l, &l->entry[i]);
	}
	progress(l, l->n);
	l->check->messages += l->n;
	l->check->mailboxes++;
	return 0;
}

int
checkbox(struct check *c, const char *path)
{
	struct view_conf conf = {.user_dir = path, .mailbox = "."};
	struct look l = {.check = c, .path = path, .wire = -1};
	struct statvfs vfs;
	int r = -1, saved;

	if (statvfs(path, &vfs) == -1)
		return -1;
	conf.mode = vfs.f_flag & ST_RDONLY ? VIEW_LOOK : VIEW_WHOLE;
	if (view_open(&conf, &l.view) == -1)
		return -1;
	l.window[0] = malloc(2 * WINDOW);
	l.wire = openat(l.view.hidden, MT_WIRE, O_RDONLY | O_CLOEXEC);
	if (l.window[0] != NULL && l.wire != -1) {
		l.window[1] = l.window[0] + WINDOW;
		r = look(&l);
	}
	saved = errno;
	if (l.wire != -1)
		close(l.wire);
	free(l.window[0]);
	free(l.entry);
	view_close(&l.view);
	errno = saved;
	return r;
}
