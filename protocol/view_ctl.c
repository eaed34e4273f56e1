/*
 * view_ctl: a view's commands. A ctl command holds 16 KB, its answer as well: a longer set
 * is said in parts, and an answer that ends in `more N` is asked for again from N on. None
 * of that is seen by who calls.
 */
#include "protocol/view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/num.h"

#define TEXT_MAX        (sizeof((struct mt_ctl *)NULL)->text)
#define RANGE_MAX       24   /* octets of a range, its comma and what ends the text */
#define PART_RANGES     4096 /* ranges that the daemon takes in one command */
#define SIZES_WAIT_MS   2000 /* one ask for sizes */
#define SIZES_STUCK_MAX 15   /* asks without progress until the rest is given up */
#define STAGE_DIR       MT_NEW "/" MT_APPEND

static int
run(struct view *v, struct mt_ctl *ctl)
{
	if (v->conf.ctl != NULL)
		return v->conf.ctl(v->conf.arg, ctl);
	return ioctl(v->ctl, MT_IOC_CTL, ctl);
}

static int
errno_by_name(struct span name)
{
	for (int e = 1; e < 256; e++) {
		const char *s = strerrorname_np(e);

		if (s != NULL && span_eq(name, span_of(s)))
			return e;
	}
	return EPROTO;
}

/* Cut the last line off *text. */
static struct span
last_line(struct span *text)
{
	struct span line = *text;
	const char *lf;

	if (line.n > 0 && line.p[line.n - 1] == '\n')
		line.n--;
	lf = line.n == 0 ? NULL : memrchr(line.p, '\n', line.n);
	if (lf == NULL) {
		text->n = 0;
		return line;
	}
	text->n = (size_t)(lf + 1 - text->p);
	return (struct span){lf + 1, line.n - text->n};
}

static int
status(struct span line, uint32_t *next)
{
	struct span word, arg = {NULL, 0};

	if (!span_word(&line, &word))
		goto bad;
	(void)span_word(&line, &arg);
	if (span_eq(word, SPAN("ok")))
		return 0;
	if (span_eq(word, SPAN("more")) && num_u32(arg, next) == 0)
		return 1;
	if (span_eq(word, SPAN("error"))) {
		errno = errno_by_name(arg);
		return -1;
	}
bad:
	errno = EPROTO;
	return -1;
}

int
view_ctl(struct view *v, struct span command, struct buf *reply, uint32_t *next)
{
	struct mt_ctl ctl;
	struct span text, line;
	uint32_t ignored;
	int rc;

	if (command.n > sizeof ctl.text) {
		errno = EMSGSIZE;
		return -1;
	}
	memset(&ctl, 0, sizeof ctl);
	ctl.size = (uint32_t)command.n;
	memcpy(ctl.text, command.p, command.n);
	if (run(v, &ctl) == -1)
		return -1;
	if (ctl.size > sizeof ctl.text) {
		errno = EPROTO;
		return -1;
	}
	text = (struct span){ctl.text, ctl.size};
	line = last_line(&text);
	if ((rc = status(line, next != NULL ? next : &ignored)) == -1)
		return -1;
	if (reply != NULL && buf_add(reply, text) == -1)
		return -1;
	return rc;
}

/* ---- sets of any length ---------------------------------------------------------------- */

/* `head SET tail`, and what is done with the data lines of each answer. */
struct ask {
	struct view *v;
	const struct numset *set;
	struct span head, tail;
	int (*take)(void *, struct span reply); /* NULL: nothing is wanted of them */
	void *arg;
};

/* Print what of the set is at least `from` and fits. The first UID that did not, 0: none. */
static uint32_t
print_part(const struct numset *set, uint32_t from, size_t room, struct buf *text)
{
	const size_t start = text->n;
	size_t ranges = 0;

	for (size_t i = 0; i < set->n; i++) {
		uint32_t lo = set->r[i].lo > from ? set->r[i].lo : from;

		if (set->r[i].hi < from)
			continue;
		if (text->n + RANGE_MAX > room || ranges++ == PART_RANGES)
			return lo;
		/* cannot fail: there is room */
		(void)buf_addf(text, "%s%u:%u", text->n == start ? "" : ",", lo,
		               set->r[i].hi);
	}
	return 0;
}

/* One command: what of the set is at least *from. *from is then where to go on, 0: done. */
static int
ask_part(const struct ask *a, struct buf *text, struct buf *reply, uint32_t *from)
{
	uint32_t next = 0, rest;
	size_t start;
	int rc;

	buf_reset(text);
	buf_reset(reply);
	if (buf_add(text, a->head) == -1)
		return -1;
	start = text->n;
	rest = print_part(a->set, *from, TEXT_MAX - a->tail.n, text);
	if (text->n == start) {
		errno = EMSGSIZE;
		if (rest == 0) /* nothing of the set is there */
			*from = 0;
		return rest == 0 ? 0 : -1;
	}
	if (buf_add(text, a->tail) == -1 ||
	    (rc = view_ctl(a->v, buf_span(text), reply, &next)) == -1)
		return -1;
	if (rc == 1 && next <= *from) { /* would never end */
		errno = EPROTO;
		return -1;
	}
	*from = rc == 1 ? next : rest;
	return a->take == NULL ? 0 : a->take(a->arg, buf_span(reply));
}

static int
ask_all(const struct ask *a)
{
	struct buf text = {.max = TEXT_MAX}, reply = {.max = TEXT_MAX};
	uint32_t from = 1;
	int rc = 0;

	if (buf_room(&text, TEXT_MAX) == NULL)
		return -1;
	while (rc == 0 && from != 0 && a->set->n > 0)
		rc = ask_part(a, &text, &reply, &from);
	buf_free(&text);
	buf_free(&reply);
	return rc;
}

/* ---- answers ----------------------------------------------------------------------------- */

static int
bad_answer(void)
{
	errno = EPROTO;
	return -1;
}

static int
add_set(struct span text, struct numset *to)
{
	struct numset part = {0};
	int rc = numset_parse(text, 0, SIZE_MAX, &part);

	if (rc == -1)
		errno = errno == EINVAL ? EPROTO : errno;
	for (size_t i = 0; rc == 0 && i < part.n; i++)
		rc = numset_add(to, part.r[i].lo, part.r[i].hi);
	numset_free(&part);
	return rc;
}

/* Lines `word SET`, of which the sets are wanted (or none, NULL). */
struct wanted {
	struct span word;
	struct numset *set;
};

static int
take_set(void *arg, struct span reply)
{
	const struct wanted *w = arg;
	struct span line, word, set;

	while (span_cut(&reply, '\n', &line)) {
		if (!span_word(&line, &word) || !span_eq(word, w->word) ||
		    !span_word(&line, &set))
			return bad_answer();
		if (w->set != NULL && add_set(set, w->set) == -1)
			return -1;
	}
	return 0;
}

/* ---- outside changes, sizes ---------------------------------------------------------------- */

/* Ask until they are known, as long as anything becomes known at all. */
static int
wait_sizes(struct view *v, struct span ask)
{
	struct mt_header head = {0};
	uint64_t unsized = UINT64_MAX;
	int stuck = 0, rc;

	while ((rc = view_ctl(v, ask, NULL, NULL)) == 1) {
		if (v->index != -1 && view_header(v, &head) == -1)
			return -1;
		stuck = head.nunsized < unsized ? 0 : stuck + 1;
		unsized = head.nunsized;
		if (stuck >= SIZES_STUCK_MAX)
			break;
	}
	return rc;
}

int
view_sync(struct view *v)
{
	const struct numset all = {.r = &(struct numrange){1, UINT32_MAX}, .n = 1};
	struct mt_header head;

	if (view_ctl(v, SPAN("sync"), NULL, NULL) == -1 || view_header(v, &head) == -1)
		return -1;
	return head.nunsized == 0 ? 0 : view_sizes(v, &all);
}

int
view_sizes(struct view *v, const struct numset *set)
{
	struct buf ask = {.max = TEXT_MAX};
	char tail[16];
	uint32_t from = set->n == 0 ? 0 : 1;
	int rc = 0, some = 0, n = snprintf(tail, sizeof tail, " %d", SIZES_WAIT_MS);

	while (from != 0 && rc != -1) {
		buf_reset(&ask);
		if (buf_room(&ask, TEXT_MAX) == NULL ||
		    buf_add(&ask, SPAN("sizes ")) == -1) {
			rc = -1;
			break;
		}
		from = print_part(set, from, TEXT_MAX - sizeof tail, &ask);
		rc = buf_add(&ask, (struct span){tail, (size_t)n});
		if (rc == 0)
			rc = wait_sizes(v, buf_span(&ask));
		some |= rc == 1;
	}
	buf_free(&ask);
	return rc == -1 ? -1 : some;
}

/* ---- flags, expunge ------------------------------------------------------------------------- */

int
view_flags(struct view *v, char how, struct span list, const struct numset *set,
           uint64_t unchangedsince, struct numset *modified)
{
	struct wanted want = {SPAN("modified"), modified};
	struct buf head = {.max = TEXT_MAX};
	char tail[48] = "";
	int rc;

	if (unchangedsince != UINT64_MAX)
		snprintf(tail, sizeof tail, " unchangedsince %" PRIu64, unchangedsince);
	rc = buf_addf(&head, "flags %c%.*s ", how, (int)list.n,
	              list.n > 0 ? list.p : "");
	if (rc == 0)
		rc = ask_all(&(struct ask){.v = v,
		                           .set = set,
		                           .head = buf_span(&head),
		                           .tail = span_of(tail),
		                           .take = take_set,
		                           .arg = &want});
	buf_free(&head);
	return rc;
}

int
view_expunge(struct view *v, const struct numset *set)
{
	return ask_all(&(struct ask){.v = v, .set = set, .head = SPAN("expunge ")});
}

int
view_expunge_deleted(struct view *v, const struct numset *set, struct numset *gone)
{
	struct wanted want = {SPAN("expunged"), gone};

	return ask_all(&(struct ask){.v = v,
	                             .set = set,
	                             .head = SPAN("expunge "),
	                             .tail = SPAN(" deleted"),
	                             .take = take_set,
	                             .arg = &want});
}

/* ---- copy --------------------------------------------------------------------------------- */

struct copied {
	uint32_t uidvalidity;
	struct numset *from, *to;
};

/* `copyuid UIDVALIDITY FROM TO` */
static int
take_copied(void *arg, struct span reply)
{
	struct copied *c = arg;
	struct span line, word, validity, from, to;

	while (span_cut(&reply, '\n', &line)) {
		if (!span_word(&line, &word) || !span_eq(word, SPAN("copyuid")) ||
		    !span_word(&line, &validity) || !span_word(&line, &from) ||
		    !span_word(&line, &to) || num_u32(validity, &c->uidvalidity) == -1)
			return bad_answer();
		if (add_set(from, c->from) == -1 || add_set(to, c->to) == -1)
			return -1;
	}
	return 0;
}

/* What has been copied before it failed goes again: all or none. */
static void
take_back(struct view *v, struct span path, const struct numset *copies)
{
	struct view there;
	struct view_conf conf = v->conf;
	char mailbox[4096];

	conf.mailbox = mailbox;
	conf.mode = VIEW_COMMANDS;
	if (copies->n == 0 || span_cstr(path, mailbox, sizeof mailbox) == -1 ||
	    view_open(&conf, &there) == -1)
		return;
	(void)view_expunge(&there, copies);
	view_close(&there);
}

/* Only what is there now, so that copies into the same mailbox are not copied again. */
static int
without_later_ones(struct view *v, const struct numset *set, struct numset *out)
{
	struct mt_header head = {.uidnext = UINT32_MAX};

	if (v->index != -1 && view_header(v, &head) == -1)
		return -1;
	for (size_t i = 0; i < set->n && set->r[i].lo < head.uidnext; i++) {
		uint32_t hi =
		    set->r[i].hi < head.uidnext ? set->r[i].hi : head.uidnext - 1;

		if (numset_add(out, set->r[i].lo, hi) == -1)
			return -1;
	}
	return 0;
}

int
view_copy(struct view *v, const struct numset *set, struct span path, bool move,
          uint32_t *uidvalidity, struct numset *from, struct numset *to)
{
	struct copied c = {.from = from, .to = to};
	struct numset there = {0};
	struct buf tail = {.max = TEXT_MAX};
	int rc = -1, saved;

	if (buf_addc(&tail, ' ') == 0 && buf_add(&tail, path) == 0 &&
	    without_later_ones(v, set, &there) == 0)
		rc = ask_all(&(struct ask){.v = v,
		                           .set = &there,
		                           .head = move ? SPAN("move ") : SPAN("copy "),
		                           .tail = buf_span(&tail),
		                           .take = take_copied,
		                           .arg = &c});
	saved = errno;
	if (rc == -1 && !move) {
		take_back(v, path, to);
		numset_free(from);
		numset_free(to);
	}
	*uidvalidity = c.uidvalidity;
	numset_free(&there);
	buf_free(&tail);
	errno = saved;
	return rc;
}

/* ---- recent, vanished ------------------------------------------------------------------------ */

int
view_recent(struct view *v, struct numset *recent)
{
	struct buf reply = {.max = TEXT_MAX};
	struct wanted want = {SPAN("recent"), recent};
	int rc;

	do {
		buf_reset(&reply);
		rc = view_ctl(v, SPAN("recent"), &reply, NULL);
		if (rc != -1 && take_set(&want, buf_span(&reply)) == -1)
			rc = -1;
	} while (rc == 1);
	buf_free(&reply);
	return rc;
}

/* A line `incomplete`, and one `vanished SET`. */
static int
take_vanished(struct span reply, struct numset *set, bool *incomplete)
{
	struct span line, word, uids;

	while (span_cut(&reply, '\n', &line)) {
		if (!span_word(&line, &word))
			return bad_answer();
		if (span_eq(word, SPAN("incomplete")))
			*incomplete = true;
		else if (!span_eq(word, SPAN("vanished")) || !span_word(&line, &uids))
			return bad_answer();
		else if (add_set(uids, set) == -1)
			return -1;
	}
	return 0;
}

int
view_vanished(struct view *v, uint64_t since, struct numset *set)
{
	struct buf ask = {.max = 64}, reply = {.max = TEXT_MAX};
	uint32_t from = 1, next = 0;
	bool incomplete = false;
	int rc;

	do {
		buf_reset(&ask);
		buf_reset(&reply);
		if (buf_addf(&ask, "vanished %" PRIu64 " %u", since, from) == -1 ||
		    (rc = view_ctl(v, buf_span(&ask), &reply, &next)) == -1 ||
		    take_vanished(buf_span(&reply), set, &incomplete) == -1)
			rc = -1;
		else if (rc == 1 && next <= from)
			rc = bad_answer();
		from = next;
	} while (rc == 1);
	buf_free(&ask);
	buf_free(&reply);
	return rc == -1 ? -1 : incomplete;
}

/* ---- names ------------------------------------------------------------------------------ */

/* Lines `UID NAME`. */
static int
each_name(struct span text, int (*each)(void *, uint32_t, struct span), void *arg)
{
	struct span line, word;
	uint32_t uid;
	int rc;

	while (span_cut(&text, '\n', &line)) {
		if (!span_cut(&line, ' ', &word) || num_u32(word, &uid) == -1) {
			errno = EPROTO;
			return -1;
		}
		if ((rc = each(arg, uid, line)) != 0)
			return rc;
	}
	return 0;
}

int
view_names(struct view *v, enum view_name which, uint32_t lo, uint32_t hi,
           int (*each)(void *, uint32_t uid, struct span name), void *arg)
{
	static const char *const verb[] = {
	    [VIEW_BASE_NAMES] = "names", [VIEW_UIDLS] = "uidl"};
	struct buf ask = {.max = 64}, reply = {.max = TEXT_MAX};
	int rc, more;

	do {
		uint32_t next = 0;

		buf_reset(&ask);
		buf_reset(&reply);
		more = rc = buf_addf(&ask, "%s %u:%u", verb[which], lo, hi);
		if (rc == 0)
			more = rc = view_ctl(v, buf_span(&ask), &reply, &next);
		if (rc != -1)
			rc = each_name(buf_span(&reply), each, arg);
		if (more == 1 && next <= lo && rc == 0) { /* would never end */
			errno = EPROTO;
			rc = -1;
		}
		lo = next;
	} while (more == 1 && rc == 0);
	buf_free(&ask);
	buf_free(&reply);
	return rc;
}

/* ---- delivery -------------------------------------------------------------------------- */

/* STAGE_DIR and the session's own name. */
static int
stage_path(const char *name, char out[static 512])
{
	if (name[0] == '\0' || strchr(name, '/') != NULL) {
		errno = EINVAL;
		return -1;
	}
	if (snprintf(out, 512, STAGE_DIR "%s", name) >= 512) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

int
view_stage(struct view *v, const char *name)
{
	char path[512];

	if (stage_path(name, path) == -1)
		return -1;
	return openat(v->hidden, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

int
view_unstage(struct view *v, const char *name)
{
	char path[512];

	return stage_path(name, path) == -1 ? -1 : unlinkat(v->hidden, path, 0);
}

/* `VERB NAME [date N] [flags LIST]` and an LF */
static int
add_delivery(struct buf *text, const char *verb, const struct view_delivery *d)
{
	if (buf_addf(text, "%s " MT_APPEND "%s", verb, d->name) == -1 ||
	    (d->date != INT64_MIN && buf_addf(text, " date %" PRId64, d->date) == -1) ||
	    (d->flags.n > 0 &&
	     buf_addf(text, " flags %.*s", (int)d->flags.n, d->flags.p) == -1))
		return -1;
	return buf_addc(text, '\n');
}

/* All of it in one command, where that has room for it. */
static int
say_at_once(const struct view_delivery *d, size_t n, struct buf *text)
{
	for (size_t i = 0; i < n; i++)
		if (add_delivery(text, "commit", &d[i]) == -1)
			return -1;
	return 0;
}

/* Else what each is to get is said first, which changes nothing yet. */
static int
say_in_parts(struct view *v, const struct view_delivery *d, size_t n, struct buf *text)
{
	for (size_t i = 0; i < n; i++) {
		buf_reset(text);
		if (add_delivery(text, "mark", &d[i]) == -1 ||
		    view_ctl(v, buf_span(text), NULL, NULL) == -1)
			return -1;
	}
	buf_reset(text);
	for (size_t i = 0; i < n; i++)
		if (add_delivery(
		        text, "commit",
		        &(struct view_delivery){d[i].name, INT64_MIN, {NULL, 0}}) == -1)
			return -1;
	return 0;
}

int
view_commit(struct view *v, const struct view_delivery *d, size_t n,
            struct numset *uids)
{
	struct buf text = {.max = TEXT_MAX}, reply = {.max = TEXT_MAX};
	struct wanted want = {SPAN("uids"), uids};
	int rc;

	if (n == 0)
		return 0;
	if (n > VIEW_COMMIT_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if ((rc = say_at_once(d, n, &text)) == -1 && errno == EMSGSIZE)
		rc = say_in_parts(v, d, n, &text);
	if (rc == 0)
		rc = view_ctl(v, buf_span(&text), &reply, NULL);
	if (rc == 0)
		rc = take_set(&want, buf_span(&reply));
	buf_free(&text);
	buf_free(&reply);
	return rc;
}

/* ---- blobs of sessions ------------------------------------------------------------------ */

static int
open_cache(struct view *v)
{
	if (v->cache == -1)
		v->cache = openat(v->hidden, MT_CACHE, O_RDWR | O_CLOEXEC);
	if (v->cache == -1 && (errno == EROFS || errno == EACCES || errno == EPERM))
		v->cache = openat(v->hidden, MT_CACHE, O_RDONLY | O_CLOEXEC);
	return v->cache == -1 ? -1 : 0;
}

/* Octets of the blob at the beginning of at[0..n), with head and padding; 0: not whole. */
static size_t
blob_octets(const char *at, size_t n, struct mt_blob *b)
{
	size_t whole;

	if (n < sizeof *b)
		return 0;
	memcpy(b, at, sizeof *b);
	whole = sizeof *b + (((size_t)b->size + 7) & ~(size_t)7);
	return b->uid == 0 || b->size > MT_BLOB_MAX || whole > n ? 0 : whole;
}

ssize_t
view_cache_read(struct view *v, uint32_t uid, void *to, size_t cap)
{
	char *out = to;
	struct mt_blob b;
	size_t whole, kept = 0;
	ssize_t n;

	if (open_cache(v) == -1)
		return -1;
	while ((n = pread(v->cache, to, cap, (off_t)((uint64_t)uid << 16))) == -1 &&
	       errno == EINTR)
		;
	if (n == -1)
		return -1;
	while ((whole = blob_octets(out + kept, (size_t)n - kept, &b)) > 0 &&
	       b.uid >= uid && b.check == hash_check(out + kept + sizeof b, b.size)) {
		uid = b.uid;
		kept += whole;
	}
	return (ssize_t)kept;
}

int
view_cache_write(struct view *v, void *blobs, size_t n)
{
	char *at = blobs;
	struct mt_blob b;
	ssize_t put;

	for (size_t off = 0, whole; off < n; off += whole) {
		if ((whole = blob_octets(at + off, n - off, &b)) == 0) {
			errno = EINVAL;
			return -1;
		}
		b.check = hash_check(at + off + sizeof b, b.size);
		memcpy(at + off, &b, sizeof b);
	}
	if (open_cache(v) == -1)
		return -1;
	while ((put = pwrite(v->cache, blobs, n, 0)) == -1 && errno == EINTR)
		;
	if (put != -1 && (size_t)put != n)
		errno = EIO;
	return put == (ssize_t)n ? 0 : -1;
}
