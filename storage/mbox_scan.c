/* mbox_scan: an mbox file read through mboxscan: all of it, its end, one header. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "storage/env.h"
#include "storage/grow.h"
#include "storage/mbox_chunks.h"
#include "storage/mbox_look.h"
#include "storage/mbox_window.h"

#define HEADER_STEP 16384      /* octets read at a time where one header is wanted */
#define HELP_MAX    15         /* threads at one file */
#define TICK_NS     20000000LL /* coarsest clock tick of file times, with margin */
#define TICK_1S_NS  1100000000LL
#define TRIES       5

/* ---- a part of it, by one thread ------------------------------------------------------------- */

static int
run(struct mboxscan *s, struct mbox_window *w,
    int (*each)(void *, const struct mboxscan_msg *), void *arg)
{
	struct span in;

	for (;;) {
		if (mbox_window_at(w, s->want, mboxscan_peeks(s), &in) == -1)
			return -1;
		switch (mboxscan_push(s, &in)) {
		case MBOXSCAN_MORE:
			break;
		case MBOXSCAN_MESSAGE:
			if (each(arg, &s->msg) == -1)
				return -1;
			break;
		case MBOXSCAN_END:
			return 0;
		case MBOXSCAN_NO_MBOX:
			errno = ENOTSUP;
			return -1;
		}
	}
}

int
mbox_scan_file(int fd, uint64_t size, struct mboxscan *s,
               int (*each)(void *, const struct mboxscan_msg *), void *arg)
{
	size_t cap = s->header_only ? HEADER_STEP : MBOX_WINDOW;
	struct mbox_window w;
	int rc = -1, saved;

	if (cap > size - s->want)
		cap = (size_t)(size - s->want) + 1;
	if (mbox_window_open(&w, fd, size, cap) == 0)
		rc = run(s, &w, each, arg);
	saved = errno;
	mbox_window_close(&w);
	errno = saved;
	return rc;
}

/* ---- a look ------------------------------------------------------------------------------------- */

static void
on_field(void *arg, const struct mboxscan_field *f)
{
	struct mbox_look *l = arg;
	struct span rest = f->value, w;
	int n;

	if (f->name == MBOX_X_IMAPBASE || f->name == MBOX_X_IMAP) {
		if (!span_word(&rest, &w) || !span_word(&rest, &w)) /* the numbers */
			return;
		while (mboxscan_keyword(&rest, &w))
			if ((n = mbox_keyword(l->m, w)) != -1)
				l->named |= 1u << n;
	} else if (f->name == MBOX_X_KEYWORDS)
		while (mboxscan_keyword(&rest, &w))
			if ((n = mbox_keyword(l->m, w)) != -1)
				l->keywords |= 1u << n;
}

static int
on_message(void *arg, const struct mboxscan_msg *msg)
{
	struct mbox_look *l = arg;

	if (msg->uidvalidity != 0) {
		l->based = true;
		l->uidvalidity = msg->uidvalidity;
		l->base_last = msg->last_uid;
		l->base_named = l->named;
	}
	if (msg->off == 0)
		l->crlf = msg->crlf;
	if (!msg->pseudo) {
		if (GROW(l->v, l->n, l->cap) == -1)
			return -1;
		l->v[l->n++] = (struct mbox_found){
		    .msg = *msg, .keywords = l->keywords, .row = -1};
	}
	l->keywords = l->named = 0;
	return 0;
}

/* Threads that help: one at least, which reads while the other counts. */
static unsigned
helpers(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n <= 2 ? 1 : n > HELP_MAX ? HELP_MAX : (unsigned)n - 1;
}

static int
scan_once(struct mbox_look *l, uint64_t size)
{
	struct mbox_pass pass = {
	    .fd = l->fd,
	    .from = l->from,
	    .size = size,
	    .first = mbox_look_is_whole(l),
	    .count = l->count,
	    .field = on_field,
	    .each = on_message,
	    .arg = l,
	};
	/* shorter than before, after all, the scan tells: EIO */
	bool alone = size < l->from + 2 * MBOX_CHUNK;

	l->n = 0;
	l->keywords = l->named = 0;
	if (mbox_look_is_whole(l))
		l->based = l->crlf = false;
	(void)posix_fadvise(l->fd, (off_t)l->from, 0, POSIX_FADV_SEQUENTIAL);
	return mbox_chunks_scan(&pass, alone ? NULL : l->m->box->store->env->pool,
	                        helpers(), alone ? UINT32_MAX : MBOX_CHUNK);
}

/* Nanoseconds until a change must show in the file's times, which have a tick; 0: it does. */
static int64_t
until_settled(int fd)
{
	struct timespec now;
	bool whole_seconds;
	struct stat st;
	int64_t tick, age;

	if (fstat(fd, &st) == -1)
		return 0;
	whole_seconds = st.st_mtim.tv_nsec == 0 && st.st_ctim.tv_nsec == 0;
	tick = whole_seconds ? TICK_1S_NS : TICK_NS;
	clock_gettime(CLOCK_REALTIME, &now);
	age = ((int64_t)now.tv_sec - st.st_ctim.tv_sec) * 1000000000 + now.tv_nsec -
	      st.st_ctim.tv_nsec;
	return age >= 0 && age < tick ? tick - age : 0;
}

bool
mbox_look_is_settled(int fd)
{
	return until_settled(fd) == 0;
}

void
mbox_look_settle(int fd)
{
	int64_t ns = until_settled(fd);

	if (ns > 0)
		usleep((useconds_t)(ns / 1000 + 1));
}

/* Nobody is to wait for the lock meanwhile: we go on without it. */
static void
settle_unlocked(struct mbox_look *l)
{
	if (l->lock != NULL && !mbox_look_is_settled(l->fd))
		mbox_unlock(l->lock);
	mbox_look_settle(l->fd);
}

static int
scan(struct mbox_look *l)
{
	struct file_stamp after;
	struct stat st;
	int rc, saved;

	l->n = 0;
	if (l->fd == -1)
		return 0;
	for (int i = 0; i < TRIES; i++) {
		if (!l->locked)
			settle_unlocked(l);
		if (fstat(l->fd, &st) == -1)
			return -1;
		l->stamp = file_stamp(&st);
		rc = scan_once(l, (uint64_t)st.st_size);
		saved = errno;
		if (fstat(l->fd, &st) == -1)
			return -1;
		after = file_stamp(&st);
		errno = saved;
		if (file_stamp_eq(&after, &l->stamp))
			return rc;
	}
	errno = EAGAIN;
	return -1;
}

int
mbox_look_scan(struct mbox_look *l)
{
	int rc = scan(l);

	if (l->lock != NULL)
		mbox_unlock(l->lock);
	return rc;
}
