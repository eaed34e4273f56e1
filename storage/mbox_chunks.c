/* mbox_chunks: a chunk is scanned; the team that does it; what it found is told in order. */
#include "storage/mbox_chunks.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grow.h"
#include "storage/mbox_window.h"

#define AHEAD 16u /* chunks that may be scanned before their turn to be told */
#define SAID_MAX (1u << 20) /* octets of fields kept of a chunk: before what has more, it ends */

struct said { /* a field; its value follows */
	size_t msg;
	enum mboxscan_name name;
	size_t n;
};

struct chunk {
	uint64_t from, to; /* its messages begin there */
	uint64_t most;     /* and do not end behind it: they may be none */
	struct mboxscan_msg *v;
	size_t n, cap;
	struct buf said;
	uint64_t
	    next;  /* where the one behind the last of them begins, or the file ends */
	int why;   /* errno; 0 */
	bool full; /* the message that is scanned has more fields than are kept */
	bool done; /* team->lock */
};

struct team {
	pthread_mutex_t lock;
	pthread_cond_t done;
	unsigned refs;             /* lock */
	unsigned helpers, nhelp;   /* lock: submitted and not over; at most */
	unsigned busy;             /* lock: helpers that are at a chunk */
	bool over;                 /* lock */
	size_t nchunk, told, next; /* lock: all; told so far; not taken yet */
	uint64_t chunk;
	struct mbox_pass pass;
	struct chunk ring[AHEAD];
};

struct tools { /* of one thread */
	struct mboxscan scan;
	struct mbox_window window;
};

static struct tools *
make_tools(const struct mbox_pass *p)
{
	uint64_t all = p->size - p->from;
	size_t cap = all < MBOX_WINDOW ? (size_t)all + 1 : MBOX_WINDOW;
	struct tools *t = malloc(sizeof *t);

	if (t != NULL && mbox_window_open(&t->window, p->fd, p->size, cap) == -1) {
		free(t);
		return NULL;
	}
	return t;
}

static void
free_tools(struct tools *t)
{
	if (t != NULL)
		mbox_window_close(&t->window);
	free(t);
}

/* ---- a chunk ------------------------------------------------------------------------------- */

/* A line that begins at `off`, when it may be a From_ line. */
static int
is_from_at(struct tools *t, uint64_t off, bool *yes)
{
	struct mboxfrom f;
	struct span in, line;

	*yes = false;
	if (mbox_window_at(&t->window, off, false, &in) == -1)
		return -1;
	if (in.n < MBOXFROM_MAX + 2 &&
	    off + in.n < t->window.size) { /* cut off: anew */
		t->window.n = 0;
		if (mbox_window_at(&t->window, off, false, &in) == -1)
			return -1;
	}
	if (in.n > MBOXFROM_MAX + 2)
		in.n = MBOXFROM_MAX + 2;
	if (span_starts(in, SPAN("From ")) && memchr(in.p, '\n', in.n) != NULL &&
	    span_cut(&in, '\n', &line))
		*yes = mboxfrom_parse(line, &f);
	return 0;
}

/* The first such line of the chunk; its end when there is none. */
static int
find_start(struct tools *t, struct chunk *c, uint64_t *start)
{
	uint64_t at = c->from - 1; /* of an LF, perhaps */
	struct span in;
	bool yes;

	*start = c->to;
	while (at + 1 < c->to) {
		size_t lf;

		if (mbox_window_at(&t->window, at, false, &in) == -1)
			return -1;
		lf = mboxscan_find(in.p, in.n);
		at += lf;
		if (lf == in.n)
			continue;
		if (++at >= c->to)
			break;
		if (is_from_at(t, at, &yes) == -1)
			return -1;
		if (yes) {
			*start = at;
			break;
		}
	}
	return 0;
}

static void
keep_field(void *arg, const struct mboxscan_field *f)
{
	struct chunk *c = arg;
	struct said head = {c->n, f->name, f->value.n};

	if (f->value.n == 0 || c->why != 0 || c->full ||
	    (f->name != MBOX_X_IMAPBASE && f->name != MBOX_X_IMAP &&
	     f->name != MBOX_X_KEYWORDS))
		return;
	if (c->said.n + sizeof head + head.n > SAID_MAX)
		c->full = true;
	else if (buf_add(&c->said, (struct span){(const char *)&head, sizeof head}) == -1 ||
	         buf_add(&c->said, f->value) == -1)
		c->why = ENOMEM;
}

static int
keep_message(struct chunk *c, const struct mboxscan_msg *msg)
{
	if (c->why == 0 && GROW(c->v, c->n, c->cap) == -1)
		c->why = errno;
	if (c->why != 0) {
		errno = c->why;
		return -1;
	}
	c->v[c->n++] = *msg;
	c->next = msg->next;
	return 0;
}

/* One step of the scanner: 1 a message, 0 the end, or one that ends behind `most`; -1. */
static int
next_message(struct tools *t, uint64_t most, const bool *full)
{
	struct span in;

	while (t->scan.want <= most && !*full) {
		if (mbox_window_at(&t->window, t->scan.want, mboxscan_peeks(&t->scan),
		                   &in) == -1)
			return -1;
		switch (mboxscan_push(&t->scan, &in)) {
		case MBOXSCAN_MORE:
			break;
		case MBOXSCAN_MESSAGE:
			return 1;
		case MBOXSCAN_END:
			return 0;
		case MBOXSCAN_NO_MBOX:
			errno = ENOTSUP;
			return -1;
		}
	}
	return 0;
}

static int
scan_from(struct tools *t, const struct mbox_pass *p, struct chunk *c, uint64_t start)
{
	int rc;

	mboxscan_begin(&t->scan, start, p->size, p->first && start == p->from);
	t->scan.count = p->count;
	t->scan.field = keep_field;
	t->scan.arg = c;
	c->next = start;
	while ((rc = next_message(t, c->most, &c->full)) == 1 && !c->full) {
		if (keep_message(c, &t->scan.msg) == -1)
			return -1;
		if (c->next >= c->to)
			return 0;
	}
	if (rc == 0 && !c->full && t->scan.want <= c->most)
		c->next = p->size;
	return rc == -1 ? -1 : 0;
}

static void
scan_chunk(struct tools *t, const struct mbox_pass *p, struct chunk *c)
{
	uint64_t start = c->from;

	/* threads that read here and there must not spoil the kernel's guess */
	(void)posix_fadvise(p->fd, (off_t)start, (off_t)(2 * (c->to - start)),
	                    POSIX_FADV_WILLNEED);
	c->n = 0;
	c->why = 0;
	c->full = false;
	buf_reset(&c->said);
	c->next = c->to;
	if ((start != p->from && find_start(t, c, &start) == -1) ||
	    (start < c->to && scan_from(t, p, c, start) == -1))
		c->why = errno;
}

/* ---- the team ------------------------------------------------------------------------------ */

static void
unref_team(struct team *t) /* lock held; released */
{
	bool last = --t->refs == 0;

	pthread_mutex_unlock(&t->lock);
	if (!last)
		return;
	for (size_t i = 0; i < AHEAD; i++) {
		free(t->ring[i].v);
		buf_free(&t->ring[i].said);
	}
	pthread_cond_destroy(&t->done);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* lock held. The next chunk that nobody has; NULL: none, or too far ahead. */
static struct chunk *
take_chunk(struct team *t)
{
	const struct mbox_pass *p = &t->pass;
	struct chunk *c;

	if (t->over || t->next == t->nchunk || t->next >= t->told + AHEAD)
		return NULL;
	c = &t->ring[t->next % AHEAD];
	c->from = p->from + t->next * t->chunk;
	c->to = p->size - c->from < t->chunk ? p->size : c->from + t->chunk;
	c->most = t->next == 0 || p->size - c->to < t->chunk ? UINT64_MAX : c->to + t->chunk;
	c->done = false;
	t->next++;
	return c;
}

/* lock held, but not while it scans. */
static void
work(struct team *t, struct tools *tools, struct chunk *c)
{
	pthread_mutex_unlock(&t->lock);
	scan_chunk(tools, &t->pass, c);
	pthread_mutex_lock(&t->lock);
	c->done = true;
	pthread_cond_broadcast(&t->done);
}

static void
help(void *arg)
{
	struct team *t = arg;
	struct tools *tools = make_tools(&t->pass);
	struct chunk *c;

	pthread_mutex_lock(&t->lock);
	while (tools != NULL && (c = take_chunk(t)) != NULL) {
		t->busy++;
		work(t, tools, c);
		t->busy--;
	}
	t->helpers--;
	pthread_cond_broadcast(&t->done);
	unref_team(t);
	free_tools(tools);
}

/* lock held. They end when there is nothing to do, and come again when there is. */
static void
call_helpers(struct team *t, struct pool *pool)
{
	while (pool != NULL && t->helpers < t->nhelp && t->next < t->nchunk &&
	       t->helpers < t->told + AHEAD - t->next) {
		t->helpers++;
		t->refs++;
		if (pool_submit(pool, help, t) == 0)
			continue;
		t->helpers--;
		t->refs--;
		break;
	}
}

static struct team *
make_team(const struct mbox_pass *p, unsigned nhelp, uint64_t chunk)
{
	struct team *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->done, NULL);
	t->refs = 1;
	t->nhelp = nhelp;
	t->pass = *p;
	t->chunk = chunk;
	t->nchunk = (size_t)((p->size - p->from + chunk - 1) / chunk);
	if (t->nchunk == 0)
		t->nchunk = 1;
	return t;
}

/* ---- telling ------------------------------------------------------------------------------- */

static void
tell_fields(const struct mbox_pass *p, const struct chunk *c, size_t msg, size_t *at)
{
	struct said head;

	while (*at < c->said.n) {
		struct mboxscan_field f = {0};

		memcpy(&head, c->said.p + *at, sizeof head);
		if (head.msg > msg)
			return;
		*at += sizeof head;
		f.name = head.name;
		f.value = (struct span){c->said.p + *at, head.n};
		*at += head.n;
		if (head.msg == msg && p->field != NULL)
			p->field(p->arg, &f);
	}
}

static int
tell_from(const struct mbox_pass *p, const struct chunk *c, size_t i)
{
	size_t at = 0;

	for (; i < c->n; i++) {
		tell_fields(p, c, i, &at);
		if (p->each(p->arg, &c->v[i]) == -1)
			return -1;
	}
	return 0;
}

/* The message of the chunk that begins at `off`; c->n: none does. */
static size_t
find_message(const struct chunk *c, uint64_t off)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->v[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->n && c->v[lo].off == off ? lo : c->n;
}

/* What was found does not count here: on, message by message, until it does. */
static int
tell_anew(struct tools *t, const struct mbox_pass *p, const struct chunk *c,
          uint64_t *at)
{
	const bool full = false;
	int rc;

	mboxscan_begin(&t->scan, *at, p->size, p->first && *at == p->from);
	t->scan.count = p->count;
	t->scan.field = p->field;
	t->scan.arg = p->arg;
	while ((rc = next_message(t, UINT64_MAX, &full)) == 1) {
		if (p->each(p->arg, &t->scan.msg) == -1)
			return -1;
		*at = t->scan.msg.next;
		if (*at >= c->to || find_message(c, *at) < c->n)
			return 0;
	}
	if (rc == 0)
		*at = p->size;
	return rc;
}

/* *at: where the next message begins. A chunk that could not be scanned to its end is scanned
 * anew from there: what is wrong shows again. */
static int
tell_chunk(struct tools *t, const struct mbox_pass *p, const struct chunk *c,
           uint64_t *at)
{
	if (c->from == p->from) { /* nothing stands before it */
		if (c->n == 0 && c->why != 0) {
			errno = c->why;
			return -1;
		}
		if (tell_from(p, c, 0) == -1)
			return -1;
		*at = c->next;
	}
	while (*at < c->to) {
		size_t i = find_message(c, *at);

		if (i == c->n) {
			if (tell_anew(t, p, c, at) == -1)
				return -1;
			continue;
		}
		if (tell_from(p, c, i) == -1)
			return -1;
		*at = c->next;
	}
	return 0;
}

/* lock held. The next chunk in order, scanned by whomever; meanwhile others are worked at. */
static struct chunk *
wait_for_chunk(struct team *t, struct pool *pool, struct tools *tools)
{
	struct chunk *c = &t->ring[t->told % AHEAD], *other;

	call_helpers(t, pool);
	while (!c->done)
		if ((other = take_chunk(t)) != NULL)
			work(t, tools, other);
		else
			pthread_cond_wait(&t->done, &t->lock);
	return c;
}

static int
tell_all(struct team *t, struct pool *pool, struct tools *tools)
{
	uint64_t at = t->pass.from;
	int rc = 0, saved;

	pthread_mutex_lock(&t->lock);
	while (t->told < t->nchunk && rc == 0) {
		struct chunk *c = wait_for_chunk(t, pool, tools);

		pthread_mutex_unlock(&t->lock);
		rc = tell_chunk(tools, &t->pass, c, &at);
		saved = errno;
		pthread_mutex_lock(&t->lock);
		c->done = false;
		t->told++;
		errno = saved;
	}
	saved = errno;
	t->over = true;
	while (t->busy > 0)
		pthread_cond_wait(&t->done, &t->lock);
	unref_team(t);
	errno = saved;
	return rc;
}

int
mbox_chunks_scan(const struct mbox_pass *p, struct pool *pool, unsigned nhelp,
                 uint64_t chunk)
{
	struct tools *tools;
	struct team *t;
	int rc = -1, saved;

	if (p->size < p->from) {
		errno = EIO;
		return -1;
	}
	tools = make_tools(p);
	t = make_team(p, nhelp, chunk);
	if (t != NULL && tools == NULL) {
		pthread_mutex_lock(&t->lock);
		unref_team(t);
	} else if (t != NULL)
		rc = tell_all(t, pool, tools);
	saved = errno;
	free_tools(tools);
	errno = saved;
	return rc;
}
