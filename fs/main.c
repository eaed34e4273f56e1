/*
 * mailtreed: presents stored mail as a mounted tree. Its life: options; in the
 * background unless told otherwise; index, store, mount, threads; then this thread waits
 * for signals and sweeps; the end, in reverse.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/check.h"
#include "fs/draft.h"
#include "fs/events.h"
#include "fs/guard.h"
#include "fs/loop.h"
#include "fs/mount.h"
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/room.h"
#include "fs/source.h"
#include "fs/users.h"

#define SWEEP_EVERY 5	  /* seconds */
#define BUSY_MS	    3000  /* how long a busy mount may stay before it is detached */
#define DETACHED_MS 10000 /* and how long those who use it then have */
#define ALONE_MS    30000 /* for the one before, which may be about to end: both, and its sync */

/* ---- the process --------------------------------------------------------------------- */

/* One descriptor per open message, draft and watch. */
static void
raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* Signals come to the main thread only, when it asks for them. */
static void
block_signals(sigset_t *ours)
{
	sigemptyset(ours);
	sigaddset(ours, SIGTERM);
	sigaddset(ours, SIGINT);
	sigaddset(ours, SIGHUP);
	sigaddset(ours, LOOP_ENDED);
	pthread_sigmask(SIG_BLOCK, ours, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/*
 * The parent ends once the child has mounted; what goes wrong before, the child says
 * on the stderr that it still has. Returns in the child with the pipe's end.
 */
static int
go_background(void)
{
	int end[2], status;
	char done;
	pid_t pid;

	if (pipe2(end, O_CLOEXEC) == -1 || (pid = fork()) == -1)
		err(1, "cannot go into the background");
	if (pid == 0) {
		close(end[0]);
		setsid();
		return end[1];
	}
	close(end[1]);
	if (read(end[0], &done, 1) == 1)
		_exit(0);
	waitpid(pid, &status, 0);
	_exit(1);
}

static void
detach(int parent)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (chdir("/") == -1)
		log_warn("/: %m");
	for (int fd = 0; null != -1 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (write(parent, "", 1) != 1)
		log_warn("nobody waited for the mount");
	close(parent);
}

static void
say_ready(int fd)
{
	if (fd == -1)
		return;
	if (write(fd, "ready\n", 6) != 6)
		log_warn("nobody waited for \"ready\": %m");
	close(fd);
}

/* ---- starting ------------------------------------------------------------------------------ */

static void
wake(void *arg, uint32_t number)
{
	room_wake(arg, number);
}

/* Which kinds of stores users have shows only later. */
static bool
needs_index(const struct options *o)
{
	return o->users_fd != -1 || store_needs_index(o->source);
}

static int
open_index(struct fs *fs, const struct options *o)
{
	char *path = o->users_fd != -1 ? source_index_root(o->index_path)
				       : source_index_path(o->index_path, o->source);
	struct env_conf conf = {.index_path = path,
				.alone_ms = needs_index(o) ? ALONE_MS : 0,
				.no_inotify = o->no_inotify,
				.wake = wake,
				.arg = fs->rooms};
	int status = -1;

	if (path == NULL || env_open(&conf, &fs->env) == -1)
		warn("index path %s", path != NULL ? path : "");
	else if ((fs->index_dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)) == -1)
		warn("%s", path);
	else
		status = 0;
	free(path);
	return status;
}

static int
open_source(struct fs *fs, const struct options *o)
{
	const char *name = strrchr(o->source, '/');

	name = name == NULL || name[1] == '\0' ? o->source : name + 1;
	if (source_open(fs->env, o->source, name, o->readonly, &fs->store) == -1 ||
	    store_top(fs->store, &fs->top) == -1) {
		warn("%s", o->source);
		return -1;
	}
	return 0;
}

/* Everything but the mount. */
static int
open_all(struct fs *fs, const struct options *o)
{
	fs->readonly = o->readonly;
	fs->xattr = o->xattr;
	fs->uid = geteuid();
	fs->gid = getegid();
	fs->started = time(NULL);
	if (handles_open(&fs->handles) == -1 || rooms_open(&fs->rooms) == -1 ||
	    drafts_open(&fs->drafts) == -1) {
		warn("starting");
		return -1;
	}
	if (open_index(fs, o) == -1)
		return -1;
	return o->users_fd == -1 ? open_source(fs, o) : 0;
}

static int
start(struct fs *fs, const struct options *o, const char *point)
{
	if ((fs->session = mount_session(fs, o, point)) == NULL)
		return -1;
	if ((o->users_fd != -1 && users_open(fs, o->users_fd) == -1) ||
	    notify_open(fs, &fs->notify) == -1 || loop_open(fs, &fs->loop) == -1 ||
	    loop_start(fs->loop) == -1) {
		warn("starting threads");
		return -1;
	}
	mount_tune(point);
	return 0;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static void
inval_pages(struct fs *fs, uint32_t number, uint32_t generation)
{
	struct node wire = {NODE_WIRE, number, generation},
		    index = {NODE_INDEX, number, generation}, state = {NODE_STATE, number, 0};

	fuse_lowlevel_notify_inval_inode(fs->session, node_id(wire), 0, 0);
	fuse_lowlevel_notify_inval_inode(fs->session, node_id(index), 0, 0);
	fuse_lowlevel_notify_inval_inode(fs->session, node_id(state), 0, 0);
}

static void
sweep(struct fs *fs)
{
	static unsigned ticks;

	users_sweep(fs);
	if (++ticks % SWEEP_EVERY != 0)
		return;
	drafts_sweep(fs);
	rooms_sweep(fs, inval_pages);
}

/* Until a signal says to end (true), or the mount is gone already (false). */
static bool
wait_for_end(struct fs *fs, const sigset_t *ours)
{
	const struct timespec second = {.tv_sec = 1};

	for (;;) {
		int sig = sigtimedwait(ours, NULL, &second);

		if (sig == SIGTERM || sig == SIGINT)
			return true;
		if (loop_wait(fs->loop, 0))
			return false;
		sweep(fs);
	}
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* Those who use it have a moment; then it is taken out of the tree under them. */
static void
unmount(struct fs *fs, const char *point)
{
	int64_t end = fs_now_ms() + BUSY_MS;

	drafts_sweep(fs);
	while (mount_end(point, false) == -1 && errno == EBUSY && !fs->orphan && fs_now_ms() < end)
		usleep(100000);
	if (!fs->orphan && loop_wait(fs->loop, 500))
		return;
	fs->detached = mount_end(point, true) == 0;
	if (loop_wait(fs->loop, DETACHED_MS))
		return;
	log_warn("%s: still in use: ending all the same", point);
	loop_stop(fs->loop);
	while (!loop_wait(fs->loop, 1000))
		loop_stop(fs->loop);
}

/* libfuse unmounts by name, which by now can be another mount's, unless the device says
 * that it is dead. A pipe that nobody reads says so too. */
static void
close_device(const struct fs *fs)
{
	int end[2];

	if (pipe2(end, O_CLOEXEC) == -1)
		return;
	close(end[0]);
	dup2(end[1], fuse_session_fd(fs->session));
	close(end[1]);
}

static void
close_all(struct fs *fs)
{
	notify_close(fs->notify);
	events_drop_parked(fs);
	handles_close(fs, fs->handles);
	file_forget_kept();
	drafts_close(fs);
	rooms_clear(fs->rooms);
	users_close(fs);
	box_unref(fs->top);
	if (fs->store != NULL)
		store_close(fs->store);
	if (fs->env != NULL)
		env_close(fs->env);
	rooms_close(fs->rooms);
	if (fs->session != NULL) {
		if (fs->detached)
			close_device(fs);
		fuse_session_unmount(fs->session);
		fuse_session_destroy(fs->session);
	}
	loop_close(fs->loop);
	if (fs->index_dir != -1)
		close(fs->index_dir);
}

static int
serve(const struct options *o, int parent)
{
	struct fs fs = {.index_dir = -1};
	char *point = NULL; /* still right after chdir */
	pid_t guard;
	sigset_t ours;

	raise_limits();
	block_signals(&ours);
	log_open("mailtreed", LOG_LEVEL_INFO, o->syslog && parent == -1);
	umask(077);
	if (mount_check(o->source, o->mountpoint) == -1 ||
	    (point = realpath(o->mountpoint, NULL)) == NULL || open_all(&fs, o) == -1 ||
	    start(&fs, o, point) == -1) {
		close_all(&fs);
		free(point);
		return 1;
	}
	guard = guard_start(point);
	say_ready(o->ready_fd);
	if (parent != -1) {
		log_open("mailtreed", LOG_LEVEL_INFO, true);
		detach(parent);
	}
	if (wait_for_end(&fs, &ours))
		unmount(&fs, point);
	close_all(&fs);
	guard_end(guard);
	free(point);
	return 0;
}

int
main(int argc, char **argv)
{
	struct options o;

	if (argc == 2 && strncmp(argv[1], GUARD_OPTION, strlen(GUARD_OPTION)) == 0)
		return guard_run(argv[1] + strlen(GUARD_OPTION));
	if (options_parse(argc, argv, &o) == -1)
		return 1;
	if (o.version) {
		printf("mailtreed %s\n", MT_VERSION);
		return 0;
	}
	if (o.help) {
		options_print_help();
		return 0;
	}
	if (o.check)
		return check_store(o.source);
	return serve(&o, o.foreground ? -1 : go_background());
}
