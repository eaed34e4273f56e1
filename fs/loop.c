#include "fs/loop.h"

#include <linux/fuse.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fs/draft.h"
#include "fs/room.h"

#define THREAD_MOST 64
#define WAKE_SIGNAL SIGUSR1 /* only interrupts read(2) */
#define TICK_NS	    2000000 /* answering longer than one or two of these is long */
#define DOZE_TICKS  50

/*
 * Who reads next, as one number, so that it can be taken over by compare-and-swap:
 * 0 nobody; even: a thread leads and reads; odd: it leads and answers what it read. Each
 * step has a number of its own: upper half the term, which begins with each new leader.
 */
typedef _Atomic uint64_t lead_t;

struct loop {
	struct fs *fs;
	lead_t lead;
	_Atomic bool dozing;  /* the watchdog waits to be woken */
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t vacant, ended, wake;
	pthread_t thread[THREAD_MOST], watchdog;
	bool running[THREAD_MOST];
	unsigned nthread, nwaiting; /* waiting: to lead */
	unsigned keep;		    /* this many stay when there is nothing to do */
	uint32_t term;
	bool over, watched;
};

/* The step in which this thread leads and answers; 0 when it does not (any more). */
static __thread struct {
	struct loop *loop;
	uint64_t step;
} here;

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
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->vacant, NULL);
	pthread_cond_init(&l->ended, NULL);
	pthread_cond_init(&l->wake, NULL);
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

/* ---- leading ----------------------------------------------------------------------------- */

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
	return 0;
}

/* Nobody leads: a thread that waits shall, or a new one. Where neither is to be had,
 * the next thread that is done does. */
static void
promote(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	if (l->nwaiting > 0)
		pthread_cond_signal(&l->vacant);
	else if (!l->over && l->nthread < THREAD_MOST && start_thread(l) == -1)
		log_warn("cannot start another thread: %m");
	pthread_mutex_unlock(&l->lock);
}

void
loop_yield(void)
{
	uint64_t step = here.step;

	if (step == 0)
		return;
	here.step = 0;
	if (atomic_compare_exchange_strong(&here.loop->lead, &step, 0))
		promote(here.loop);
}

/* The first step of a new term; 0: this thread is not needed, or it is over. */
static uint64_t
become_leader(struct loop *l)
{
	uint64_t step = 0;

	pthread_mutex_lock(&l->lock);
	while (!l->over && l->lead != 0 && l->nwaiting < l->keep) {
		l->nwaiting++;
		pthread_cond_wait(&l->vacant, &l->lock);
		l->nwaiting--;
	}
	if (!l->over && l->lead == 0) {
		if (++l->term == 0) /* after weeks; 0 would mean that nobody leads */
			l->term = 1;
		l->lead = step = (uint64_t)l->term << 32;
	}
	pthread_mutex_unlock(&l->lock);
	return step;
}

static void
end_all(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->over = true;
	l->dozing = false;
	pthread_cond_broadcast(&l->vacant);
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

/* ---- the watchdog: whoever answers for long does not lead any longer ------------------- */

static void
doze(struct loop *l, uint64_t seen)
{
	pthread_mutex_lock(&l->lock);
	l->dozing = true;
	/* looked at after dozing is set: the leader sees one or this thread the other */
	while (l->dozing && !l->over && l->lead == seen)
		pthread_cond_wait(&l->wake, &l->lock);
	l->dozing = false;
	pthread_mutex_unlock(&l->lock);
}

static void
wake_watchdog(struct loop *l)
{
	if (!l->dozing)
		return;
	pthread_mutex_lock(&l->lock);
	l->dozing = false;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

static bool
is_over(struct loop *l)
{
	bool over;

	pthread_mutex_lock(&l->lock);
	over = l->over;
	pthread_mutex_unlock(&l->lock);
	return over;
}

static void *
watch(void *arg)
{
	const struct timespec tick = {.tv_nsec = TICK_NS};
	struct loop *l = arg;
	uint64_t last = 0;
	unsigned idle = 0;

	while (!is_over(l)) {
		uint64_t now = l->lead;

		if (now != last)
			idle = 0;
		else if (now & 1) {
			if (atomic_compare_exchange_strong(&l->lead, &now, 0))
				promote(l);
		} else if (++idle > DOZE_TICKS) {
			doze(l, now);
			idle = 0;
		}
		last = now;
		nanosleep(&tick, NULL);
	}
	return NULL;
}

/* ---- answering ------------------------------------------------------------------------------- */

struct request {
	struct fuse_buf buf;
	uint32_t releases; /* mailbox number announced as being released, or 0 */
};

/* 1: a request was read; 0: try again; -1: the session is over. */
static int
read_request(struct loop *l, struct request *r)
{
	int n;

	if (fuse_session_exited(l->fs->session))
		n = -ENODEV;
	else
		n = fuse_session_receive_buf(l->fs->session, &r->buf);
	r->releases = 0;
	if (n > 0 && (size_t)n >= sizeof(struct fuse_in_header))
		r->releases = announce_release(l->fs, r->buf.mem);
	if (n > 0)
		return 1;
	if (n == -EINTR || n == -EAGAIN)
		return 0;
	if (n < 0 && n != -ENODEV)
		log_error("reading requests: %s", strerror(-n));
	fuse_session_exit(l->fs->session);
	return -1;
}

/*
 * What is answered from memory, mostly; its functions yield where they may have to wait.
 * One thread that answers and reads in turn stays on one processor, which is several
 * times faster than handing over.
 */
static bool
is_quick(const struct request *r)
{
	const struct fuse_in_header *h = r->buf.mem;

	switch (h->opcode) {
	case FUSE_LOOKUP:
	case FUSE_GETATTR:
	case FUSE_OPEN:
	case FUSE_READ:
	case FUSE_OPENDIR:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_RELEASEDIR:
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_POLL:
	case FUSE_INTERRUPT:
	case FUSE_INIT:
		return true;
	case FUSE_RELEASE:
		return r->releases == 0;
	default:
		return false;
	}
}

static void
answer(struct loop *l, struct request *r)
{
	if (!is_quick(r))
		loop_yield();
	wait_for_releases(l->fs, r->buf.mem, r->buf.size);
	fuse_session_process_buf(l->fs->session, &r->buf);
	if (r->releases != 0)
		room_release_done(l->fs->rooms, r->releases);
}

static uint64_t
step_after(uint64_t step)
{
	return (step & ~(uint64_t)UINT32_MAX) | (uint32_t)(step + 1);
}

/* Lead from this step on until it is given up or taken. False: the session is over. */
static bool
lead(struct loop *l, uint64_t step, struct request *r)
{
	for (;;) {
		int got = read_request(l, r);

		if (got == -1)
			return false;
		if (got == 0)
			continue;
		here.loop = l;
		here.step = step = step_after(step);
		l->lead = step;
		wake_watchdog(l);
		answer(l, r);
		if (here.step == 0)
			return true;
		here.step = 0;
		if (!atomic_compare_exchange_strong(&l->lead, &step, step_after(step)))
			return true;
		step = step_after(step);
	}
}

static void *
run(void *arg)
{
	struct {
		struct loop *loop;
		unsigned i;
	} me;
	struct request r = {0};
	struct loop *l;
	uint64_t step;

	memcpy(&me, arg, sizeof me);
	free(arg);
	l = me.loop;
	while ((step = become_leader(l)) != 0)
		if (!lead(l, step, &r))
			end_all(l);
	free(r.buf.mem);
	pthread_mutex_lock(&l->lock);
	l->running[me.i] = false;
	if (--l->nthread == 0)
		kill(getpid(), LOOP_ENDED);
	pthread_cond_broadcast(&l->ended);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* ---- life ----------------------------------------------------------------------------------- */

int
loop_start(struct loop *l)
{
	int status;

	if ((errno = pthread_create(&l->watchdog, NULL, watch, l)) != 0)
		return -1;
	pthread_mutex_lock(&l->lock);
	l->watched = true;
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
	end_all(l);
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
	end_all(l);
	if (l->watched)
		pthread_join(l->watchdog, NULL);
	pthread_cond_destroy(&l->wake);
	pthread_cond_destroy(&l->ended);
	pthread_cond_destroy(&l->vacant);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
