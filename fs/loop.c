#include "fs/loop.h"

#include <linux/fuse.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fs/draft.h"
#include "fs/room.h"

#define THREAD_MOST 64
#define WAKE_SIGNAL SIGUSR1 /* only interrupts read(2) */

struct loop {
	struct fs *fs;
	pthread_mutex_t reading; /* held by the thread that reads the next request */
	pthread_mutex_t lock;	 /* what follows */
	pthread_cond_t ended;
	pthread_t thread[THREAD_MOST];
	bool running[THREAD_MOST];
	unsigned nthread, nidle; /* idle: reading or about to */
	unsigned keep;		 /* this many idle ones stay */
};

static void
nothing(int sig)
{
	(void)sig;
}

int
loop_open(struct fs *fs, struct loop **out)
{
	struct sigaction act = {.sa_handler = nothing}; /* no SA_RESTART */
	long ncpu = sysconf(_SC_NPROCESSORS_ONLN);
	struct loop *l = calloc(1, sizeof *l);

	if (l == NULL)
		return -1;
	l->fs = fs;
	l->keep = ncpu < 2 ? 2 : ncpu > 8 ? 8 : (unsigned)ncpu;
	pthread_mutex_init(&l->reading, NULL);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->ended, NULL);
	sigaction(WAKE_SIGNAL, &act, NULL);
	*out = l;
	return 0;
}

/* ---- the order of requests ----------------------------------------------------------- */

/* A RELEASE that may deliver: the mailbox that later requests wait for; else 0. */
static uint32_t
announce_release(struct fs *fs, const struct fuse_in_header *h)
{
	struct node n = node_of(h->nodeid);
	uint32_t number;

	if (h->opcode != FUSE_RELEASE || n.kind != NODE_DRAFT)
		return 0;
	if ((number = draft_box_number(fs, n.x)) != 0)
		room_release_read(fs->rooms, number);
	return number;
}

/* Requests that must not or need not wait: they do not look at what is delivered. */
static bool
waits(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
	case FUSE_WRITE:
	case FUSE_FLUSH:
	case FUSE_INIT:
	case FUSE_DESTROY:
		return false;
	default:
		return true;
	}
}

static void
wait_for_node(struct fs *fs, uint64_t id)
{
	struct node n = fs_node(fs, id);
	uint32_t number = n.box;

	if (n.kind == NODE_DRAFT)
		number = draft_box_number(fs, n.x);
	if (number != 0)
		room_wait_released(fs->rooms, number);
}

static void
wait_for_releases(struct fs *fs, const struct fuse_in_header *h, size_t size)
{
	const uint64_t *newdir = (const uint64_t *)(h + 1); /* first field of both renames */

	if (!waits(h->opcode))
		return;
	wait_for_node(fs, h->nodeid);
	if ((h->opcode == FUSE_RENAME || h->opcode == FUSE_RENAME2) &&
	    size >= sizeof *h + sizeof *newdir)
		wait_for_node(fs, *newdir);
}

/* ---- threads ---------------------------------------------------------------------------- */

static void *run(void *);

/* lock held. */
static int
start_thread(struct loop *l)
{
	struct {
		struct loop *loop;
		unsigned i;
	} *arg;
	pthread_attr_t attr;
	unsigned i;
	int err;

	for (i = 0; l->running[i]; i++)
		;
	if ((arg = malloc(sizeof *arg)) == NULL)
		return -1;
	arg->loop = l;
	arg->i = i;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 512 << 10);
	err = pthread_create(&l->thread[i], &attr, run, arg);
	pthread_attr_destroy(&attr);
	if (err != 0) {
		free(arg);
		errno = err;
		return -1;
	}
	l->running[i] = true;
	l->nthread++;
	l->nidle++;
	return 0;
}

/* About to answer a request: somebody else must be there to read the next one. */
static void
become_busy(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	if (--l->nidle == 0 && l->nthread < THREAD_MOST && start_thread(l) == -1)
		log_warn("cannot start another thread: %m");
	pthread_mutex_unlock(&l->lock);
}

/* False: there are enough idle ones, this one ends. */
static bool
become_idle(struct loop *l)
{
	bool stay;

	pthread_mutex_lock(&l->lock);
	if ((stay = l->nidle < l->keep))
		l->nidle++;
	pthread_mutex_unlock(&l->lock);
	return stay;
}

struct request {
	struct fuse_buf buf;
	uint32_t releases; /* mailbox number announced as being released, or 0 */
};

/* 1: a request was read; 0: try again; -1: the session is over. */
static int
read_request(struct loop *l, struct request *r)
{
	int n;

	pthread_mutex_lock(&l->reading);
	if (fuse_session_exited(l->fs->session))
		n = -ENODEV;
	else
		n = fuse_session_receive_buf(l->fs->session, &r->buf);
	r->releases = 0;
	if (n > 0 && (size_t)n >= sizeof(struct fuse_in_header))
		r->releases = announce_release(l->fs, r->buf.mem);
	pthread_mutex_unlock(&l->reading);
	if (n > 0)
		return 1;
	if (n == -EINTR || n == -EAGAIN)
		return 0;
	if (n < 0 && n != -ENODEV)
		log_error("reading requests: %s", strerror(-n));
	fuse_session_exit(l->fs->session);
	return -1;
}

static void
answer(struct loop *l, struct request *r)
{
	wait_for_releases(l->fs, r->buf.mem, r->buf.size);
	fuse_session_process_buf(l->fs->session, &r->buf);
	if (r->releases != 0)
		room_release_done(l->fs->rooms, r->releases);
}

static void
serve(struct loop *l)
{
	struct request r = {0};
	int got;

	while ((got = read_request(l, &r)) != -1) {
		if (got == 0)
			continue;
		become_busy(l);
		answer(l, &r);
		if (!become_idle(l)) {
			free(r.buf.mem);
			return;
		}
	}
	free(r.buf.mem);
	pthread_mutex_lock(&l->lock);
	l->nidle--;
	pthread_mutex_unlock(&l->lock);
}

static void *
run(void *arg)
{
	struct {
		struct loop *loop;
		unsigned i;
	} me;

	memcpy(&me, arg, sizeof me);
	free(arg);
	serve(me.loop);
	pthread_mutex_lock(&me.loop->lock);
	me.loop->running[me.i] = false;
	if (--me.loop->nthread == 0)
		kill(getpid(), LOOP_ENDED);
	pthread_cond_broadcast(&me.loop->ended);
	pthread_mutex_unlock(&me.loop->lock);
	return NULL;
}

/* ---- life ----------------------------------------------------------------------------------- */

int
loop_start(struct loop *l)
{
	int status;

	pthread_mutex_lock(&l->lock);
	status = start_thread(l);
	pthread_mutex_unlock(&l->lock);
	return status;
}

bool
loop_wait(struct loop *l, int timeout_ms)
{
	struct timespec until;
	bool over;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&l->lock);
	while (l->nthread > 0 && err == 0)
		err = pthread_cond_timedwait(&l->ended, &l->lock, &until);
	over = l->nthread == 0;
	pthread_mutex_unlock(&l->lock);
	return over;
}

void
loop_stop(struct loop *l)
{
	fuse_session_exit(l->fs->session);
	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < THREAD_MOST; i++)
		if (l->running[i])
			pthread_kill(l->thread[i], WAKE_SIGNAL);
	pthread_mutex_unlock(&l->lock);
}

void
loop_close(struct loop *l)
{
	if (l == NULL)
		return;
	pthread_cond_destroy(&l->ended);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->reading);
	free(l);
}
