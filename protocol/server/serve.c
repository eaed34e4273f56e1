/*
 * mailtree serve: the parent of the server. It owns the listening sockets, the mount
 * and the children, forks sessions, and carries questions of the mount to
 * mailtree-auth. It parses nothing that a client sent, never touches a path on the
 * mount, and never waits for a child but when it begins and ends.
 */
#include "protocol/server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/server/caps.h"
#include "protocol/server/child.h"
#include "protocol/server/childconf.h"
#include "protocol/server/childkeys.h"
#include "protocol/server/clock.h"
#include "protocol/server/confcheck.h"
#include "protocol/server/listen.h"
#include "protocol/server/logins.h"
#include "protocol/server/mountd.h"
#include "protocol/server/msg.h"
#include "protocol/server/sessions.h"
#include "protocol/server/spawn.h"
#include "protocol/server/stores.h"
#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

#define DRAIN_MS 5000 /* sessions have so long to end by themselves */
#define ID_BITS  48   /* of a question of the mount; above: which mailtreed */
#define OLD_MAX  8    /* auth processes of earlier settings that drain */
#define FILES    8192 /* descriptors that the parent and auth may need */

struct serve {
	const char *file; /* of the configuration */
	struct config *conf;
	struct listen_set listen;
	struct child auth;
	struct logins logins;
	struct old {
		struct child child;
		uint32_t age; /* of the login processes that ask it */
	} old[OLD_MAX]; /* auth processes of earlier settings */
	size_t nold;
	int keys; /* for login: childkeys.h */
	struct mountd mount;
	uint32_t
	    mount_number; /* of the last mailtreed: upper part of its questions' ids */
	struct restart mount_restart;
	struct sessions sessions;
	struct stores stores;
	int signal;
	struct pollfd *p; /* of gather() */
	bool stop;
};

/* ---- children that are started again -------------------------------------------------- */

static void
start_auth(struct serve *s)
{
	if (child_start(&s->auth, s->conf, NULL, 0, NULL, 0) == 0)
		logins_introduce(&s->logins, &s->auth);
}

static void
start_mount(struct serve *s)
{
	restart_started(&s->mount_restart);
	s->mount_number = (s->mount_number + 1) & 0xffff;
	if (mountd_start(&s->mount, s->conf) == -1)
		restart_ended(&s->mount_restart);
}

static void
start_what_lacks(struct serve *s)
{
	int64_t now = clock_ms();

	if (s->stop)
		return;
	if (s->mount.pid == 0 && s->mount_restart.again <= now)
		start_mount(s);
	if (s->auth.pid == 0 && s->auth.restart.again <= now)
		start_auth(s);
	/* not with an auth that is about to end: it would answer nobody */
	if (s->auth.pid != 0 && s->auth.sock != -1 && !s->auth.told)
		logins_start(&s->logins,
		             &(struct logins_source){
		                 s->conf, &s->listen, &s->auth, s->keys});
}

/* ---- questions of the mount ----------------------------------------------------------- */

/* To mailtreed, text; what it does not take it will ask again. */
static void
tell_mount(struct serve *s, uint64_t id, int fd, const char *what, struct span rest)
{
	struct buf b = {.max = MSG_PACKET_MAX + 256};

	if (s->mount.users != -1 && id >> ID_BITS == s->mount_number &&
	    buf_addf(&b, "%s %" PRIu64, what, id & ((UINT64_C(1) << ID_BITS) - 1)) ==
	        0 &&
	    (rest.n == 0 || (buf_addc(&b, ' ') == 0 && buf_add(&b, rest) == 0))) {
		if (fd != -1)
			(void)io_send_fd(s->mount.users, fd, buf_span(&b));
		else
			(void)send(s->mount.users, b.p, b.n, MSG_NOSIGNAL);
	}
	buf_free(&b);
}

static void
tell_user(void *arg, uint64_t id, const struct record *r, int fd)
{
	struct serve *s = arg;
	struct buf b = {.max = MSG_PACKET_MAX};

	if (fd != -1 && buf_addf(&b, "%.*s %u %u %.*s %.*s", (int)r->user.n, r->user.p,
	                         r->uid, r->gid, (int)r->groups.n, r->groups.p,
	                         (int)r->location.n, r->location.p) == 0)
		tell_mount(s, id, fd, "user", buf_span(&b));
	else
		tell_mount(s, id, -1, "later", SPAN(""));
	buf_free(&b);
	if (fd != -1)
		close(fd);
}

/* `lookup ID NAME` or `list ID`, on to auth. */
static void
from_mount(struct serve *s)
{
	char room[1024], number[24];
	struct span rest, verb, id;
	uint64_t n;
	ssize_t got = recv(s->mount.users, room, sizeof room, 0);
	int rc = -1;

	if (got <= 0) {
		if (got == 0) { /* it will be reaped soon */
			close(s->mount.users);
			s->mount.users = -1;
		}
		return;
	}
	rest = (struct span){room, (size_t)got};
	if (!span_word(&rest, &verb) || !span_word(&rest, &id) ||
	    num_u64(id, &n) == -1 || n >> ID_BITS != 0) {
		log_error("mailtreed asked something that makes no sense");
		return;
	}
	n |= (uint64_t)s->mount_number << ID_BITS;
	id = (struct span){number,
	                   (size_t)snprintf(number, sizeof number, "%" PRIu64, n)};
	rest = span_from(rest, 1);
	if (s->auth.pid != 0 && span_eq(verb, SPAN("lookup")))
		rc = MSG_SEND(s->auth.sock, -1, MSG_LOOKUP, id, rest);
	else if (s->auth.pid != 0 && span_eq(verb, SPAN("list")))
		rc = MSG_SEND(s->auth.sock, -1, MSG_LIST, id);
	if (rc == -1)
		tell_mount(s, n, -1, "later", SPAN(""));
}

/* ---- auth and login ------------------------------------------------------------------- */

static void
on_auth(struct serve *s, const struct msg *m)
{
	struct record r;
	uint64_t id;

	if (num_u64(m->f[0], &id) == -1)
		return;
	switch (m->type) {
	case MSG_SESSION:
		if (record_parse(m, 1, &r) == 0)
			sessions_expect(&s->sessions, id, &r);
		break;
	case MSG_USER:
		if (record_parse(m, 1, &r) == 0)
			stores_open(&s->stores, id, &r, s->mount.device);
		break;
	case MSG_NAMES:
		tell_mount(s, id, -1, "names", m->f[1]);
		break;
	case MSG_NOUSER:
		tell_mount(s, id, -1, "nouser", SPAN(""));
		break;
	default:
		tell_mount(s, id, -1, "later", SPAN(""));
		break;
	}
}

/* A child that breaks the rules between us is killed, and started again when reaped. */
static void
from_auth(struct serve *s, struct child *auth)
{
	static char room[MSG_PACKET_MAX];
	struct msg m;
	int fd, rc = 1;

	while (auth->sock != -1 && (rc = msg_recv(auth->sock, MSG_AUTHD, MSG_PARENT,
	                                            room, sizeof room, &m, &fd)) == 1)
		on_auth(s, &m);
	if (rc == 0)
		child_close(auth);
	else if (rc == -1 && errno == EPROTO)
		child_kill(auth);
}

/* The auth process that login processes of that age ask. */
static struct child *
auth_of(struct serve *s, uint32_t age)
{
	for (size_t i = 0; i < s->nold; i++)
		if (s->old[i].age == age)
			return &s->old[i].child;
	return &s->auth;
}

/* START may overtake auth's word about the same connection, which was sent before it. */
static void
on_start(void *arg, uint32_t age, const struct msg *m, int client)
{
	struct serve *s = arg;
	uint64_t id;

	if (num_u64(m->f[0], &id) == 0 && !sessions_expected(&s->sessions, id))
		from_auth(s, auth_of(s, age));
	sessions_start(&s->sessions, m, client);
}

/* ---- signals -------------------------------------------------------------------------- */

/* Was it an auth process of earlier settings? */
static bool
old_auth_ended(struct serve *s, pid_t pid)
{
	for (size_t i = 0; i < s->nold; i++)
		if (s->old[i].child.pid == pid) {
			child_close(&s->old[i].child);
			s->old[i] = s->old[--s->nold];
			return true;
		}
	return false;
}

static void
on_child(struct serve *s, pid_t pid, int status)
{
	char room[64];

	if (sessions_ended(&s->sessions, pid)) {
		if (WIFSIGNALED(status) && !s->stop)
			log_error("session %d: %s", (int)pid, child_how(status, room));
	} else if (pid == s->auth.pid) {
		child_ended(&s->auth, status);
	} else if (logins_ended(&s->logins, pid, status, s->stop)) {
		return;
	} else if (pid == s->mount.pid) {
		log_error("mailtreed has ended (%s)", child_how(status, room));
		mountd_ended(&s->mount, s->conf);
		kept_retire(&s->sessions.kept); /* they see the old mount */
		restart_ended(&s->mount_restart);
	} else if (!old_auth_ended(s, pid)) {
		(void)stores_ended(&s->stores, pid);
	}
}

/* mailtreed is told them when it starts. */
static void
warn_mbox_settings(const struct config *old, const struct config *fresh)
{
	for (int k = CONF_MBOX_READ_LOCKS; k <= CONF_MAIL_PRIVILEGED_GROUP; k++)
		if (strcmp(old->text[k], fresh->text[k]) != 0)
			log_warn("%s changes at the next start only",
			         config_key_name((enum conf_key)k));
}

/*
 * The processes of earlier settings drain: who is about to log in does so by them, and sessions
 * with TLS live as long as the login process that speaks it for them.
 */
static void
retire(struct serve *s)
{
	if (s->nold == OLD_MAX) { /* reloaded again and again: the oldest has no more time */
		child_tell(&s->old[0].child);
		child_close(&s->old[0].child);
		memmove(s->old, s->old + 1, --s->nold * sizeof *s->old);
	}
	if (s->auth.pid != 0) {
		s->old[s->nold++] = (struct old){s->auth, s->logins.age};
		s->auth.pid = 0;
		s->auth.sock = -1;
	}
	s->auth.restart = (struct restart){0};
	logins_retire(&s->logins);
}

/* Nobody asks it any more. */
static void
end_old_auths(struct serve *s)
{
	for (size_t i = 0; i < s->nold; i++)
		if (!s->old[i].child.told && !logins_drain(&s->logins, s->old[i].age))
			child_tell(&s->old[i].child);
}

static int
make_keys(struct serve *s, struct buf *octets)
{
	int fd = childkeys_make(octets);

	if (fd == -1) {
		log_error("keys: %s", strerror(errno));
		return -1;
	}
	if (s->keys != -1)
		close(s->keys);
	s->keys = fd;
	return 0;
}

/*
 * New logins get the new settings: auth and login are started afresh, sessions go on, and so
 * do those who are about to log in. The mount stays as it is until a restart.
 */
static void
reload(struct serve *s)
{
	struct config *fresh = calloc(1, sizeof *fresh);
	struct buf keys = {0};

	if (fresh == NULL)
		return;
	if (confcheck_load(fresh, s->file, &keys) == -1 ||
	    listen_reload(fresh, &s->listen) == -1 || make_keys(s, &keys) == -1) {
		confcheck_log(fresh);
		log_error("%s: not reloaded: the settings in force stay", s->file);
		childkeys_wipe(&keys);
		config_free(fresh);
		free(fresh);
		return;
	}
	confcheck_log(fresh);
	if (strcmp(fresh->text[CONF_MOUNT_PATH], s->conf->text[CONF_MOUNT_PATH]) != 0 ||
	    strcmp(fresh->text[CONF_INDEX_PATH], s->conf->text[CONF_INDEX_PATH]) != 0) {
		const char *why;

		log_warn("mount_path and index_path change at the next start only");
		config_set(fresh, CONF_MOUNT_PATH,
		           span_of(s->conf->text[CONF_MOUNT_PATH]), &why);
		config_set(fresh, CONF_INDEX_PATH,
		           span_of(s->conf->text[CONF_INDEX_PATH]), &why);
	}
	warn_mbox_settings(s->conf, fresh);
	config_free(s->conf);
	free(s->conf);
	s->conf = fresh;
	s->sessions.conf = fresh;
	kept_retire(&s->sessions.kept);
	retire(s);
	logins_configure(&s->logins, fresh);
	if (childconf_log(fresh, "mailtree serve") == -1)
		log_error("log_path %s: %s", fresh->text[CONF_LOG_PATH],
		          strerror(errno));
	log_info("%s: reloaded", s->file);
}

static void
reap(struct serve *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		on_child(s, pid, status);
}

static void
on_signal(struct serve *s)
{
	struct signalfd_siginfo i;

	while (read(s->signal, &i, sizeof i) == sizeof i)
		switch (i.ssi_signo) {
		case SIGCHLD:
			reap(s);
			break;
		case SIGHUP:
			if (!s->stop)
				reload(s);
			break;
		default:
			s->stop = true;
			break;
		}
}

/* ---- the loop ------------------------------------------------------------------------- */

static int64_t
next_due(const struct serve *s)
{
	int64_t due = stores_due(&s->stores), start = INT64_MAX;

	if (s->auth.pid == 0)
		start = s->auth.restart.again;
	else if (s->auth.sock != -1 && !s->auth.told)
		start = logins_due(&s->logins);
	if (s->mount.pid == 0 && s->mount_restart.again < start)
		start = s->mount_restart.again;
	if (!s->stop && start < due)
		due = start;
	if ((s->sessions.npending > 0 || kept_has_dues(&s->sessions.kept)) &&
	    clock_ms() + 1000 < due)
		due = clock_ms() + 1000;
	return due;
}

/* What the parent waits for, in one array. */
enum { P_SIGNAL, P_AUTH, P_MOUNT, P_KEPT, P_OLD, P_STORES = P_OLD + OLD_MAX,
       P_LOGINS = P_STORES + STORES_OPENING_MAX };

/* NULL: no memory. */
static struct pollfd *
gather(struct serve *s, size_t *n)
{
	const struct pollfd *logins = logins_poll(&s->logins, &s->listen, n);
	struct pollfd *p = logins != NULL
	                       ? realloc(s->p, (P_LOGINS + *n) * sizeof *p) : NULL;

	if (p == NULL)
		return NULL;
	s->p = p;
	p[P_SIGNAL] = (struct pollfd){s->signal, POLLIN, 0};
	p[P_AUTH] = (struct pollfd){s->auth.sock, POLLIN, 0};
	p[P_MOUNT] = (struct pollfd){s->mount.users, POLLIN, 0};
	p[P_KEPT] = (struct pollfd){s->sessions.kept.epoll, POLLIN, 0};
	for (size_t i = 0; i < OLD_MAX; i++)
		p[P_OLD + i] = (struct pollfd){
		    i < s->nold ? s->old[i].child.sock : -1, POLLIN, 0};
	stores_poll(&s->stores, p + P_STORES);
	memcpy(p + P_LOGINS, logins, *n * sizeof *p);
	*n += P_LOGINS;
	return p;
}

/* Wait for something to happen, not beyond `until`, and do what it asks for. */
static void
turn(struct serve *s, int64_t until)
{
	int64_t due = next_due(s);
	size_t n, nold = s->nold;
	struct pollfd *p = gather(s, &n);

	if (p == NULL) {
		poll(NULL, 0, 100); /* memory may come back */
		return;
	}
	if (poll(p, n, clock_until(due < until ? due : until)) == -1)
		return;
	stores_polled(&s->stores, p + P_STORES);
	if (p[P_AUTH].revents)
		from_auth(s, &s->auth);
	for (size_t i = 0; i < nold; i++)
		if (p[P_OLD + i].revents)
			from_auth(s, &s->old[i].child);
	logins_polled(&s->logins, p + P_LOGINS);
	if (p[P_MOUNT].revents && s->mount.users != -1)
		from_mount(s);
	if (p[P_SIGNAL].revents)
		on_signal(s);
	end_old_auths(s);
	sessions_expire(&s->sessions); /* and hear what they say */
	start_what_lacks(s);
}

/* ---- beginning and ending ------------------------------------------------------------- */

static int
set_up_signals(struct serve *s)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signal = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal == -1 ? -1 : 0;
}

/* No client is told more than that it is over; sessions may finish what they do. */
static void
wind_up(struct serve *s)
{
	int64_t until = clock_ms() + DRAIN_MS;

	log_info("stopping");
	listen_close(&s->listen);
	logins_signal(&s->logins, SIGTERM);
	sessions_stop(&s->sessions);
	while ((s->sessions.n > 0 || s->logins.n > 0) && clock_ms() < until)
		turn(s, until);
	sessions_signal(&s->sessions, SIGKILL);
	logins_signal(&s->logins, SIGKILL);
	while (s->sessions.n > 0 && clock_ms() < until + DRAIN_MS)
		turn(s, until + DRAIN_MS);
	mountd_stop(&s->mount, s->conf);
	for (size_t i = 0; i < s->nold; i++) {
		child_tell(&s->old[i].child);
		child_close(&s->old[i].child);
	}
	child_tell(&s->auth);
	child_close(&s->auth);
	while (waitpid(-1, NULL, 0) > 0)
		;
	sessions_close(&s->sessions);
	logins_close(&s->logins);
	free(s->p);
	log_info("stopped");
}

/* A login process costs us a descriptor, and auth another. */
static void
allow_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < FILES &&
	    r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max < FILES ? r.rlim_max : FILES;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* Sockets, mount, children: 0, or -1 after logging why. */
static int
begin(struct serve *s)
{
	if (caps_keep(CAPS_SERVE) == -1) {
		log_error("capabilities: %s", strerror(errno));
		return -1;
	}
	if (childconf_log(s->conf, "mailtree serve") == -1) {
		log_error("log_path %s: %s", s->conf->text[CONF_LOG_PATH],
		          strerror(errno));
		return -1;
	}
	if (set_up_signals(s) == -1) {
		log_error("signals: %s", strerror(errno));
		return -1;
	}
	if (sessions_open(&s->sessions, s->conf) == -1) {
		log_error("mailtree-pop3 or mailtree-imap: %s", strerror(errno));
		return -1;
	}
	stores_init(&s->stores, tell_user, s);
	if (listen_open(s->conf, &s->listen) == -1)
		return -1;
	restart_started(&s->mount_restart);
	s->mount_number = 1;
	if (mountd_start(&s->mount, s->conf) == -1)
		return -1;
	allow_files();
	s->logins.start = on_start;
	s->logins.arg = s;
	logins_configure(&s->logins, s->conf);
	start_what_lacks(s);
	if (s->auth.pid == 0 ||
	    (s->logins.n == 0 && logins_due(&s->logins) != INT64_MAX)) {
		wind_up(s);
		return -1;
	}
	return 0;
}

static int
usage(FILE *to)
{
	fprintf(to, "usage: mailtree serve [-c FILE]\n"
	            "  -c FILE  the configuration (default: " CONF_DEFAULT_FILE ")\n");
	return 2;
}

int
serve_main(int argc, char **argv)
{
	static struct serve s;
	struct buf keys = {0};
	int opt;

	s = (struct serve){.file = CONF_DEFAULT_FILE,
	                   .auth = {.name = "mailtree-auth", .caps = CAPS_AUTH, .sock = -1},
	                   .mount = {.users = -1},
	                   .keys = -1,
	                   .signal = -1};
	while ((opt = getopt(argc, argv, "c:h")) != -1)
		if (opt == 'c')
			s.file = optarg;
		else
			return opt == 'h' ? (usage(stdout), 0) : usage(stderr);
	if (optind < argc)
		return usage(stderr);
	log_open("mailtree serve", LOG_LEVEL_INFO, false);
	if ((s.conf = calloc(1, sizeof *s.conf)) == NULL)
		return 1;
	if (confcheck_load(s.conf, s.file, &keys) == -1) {
		confcheck_log(s.conf);
		childkeys_wipe(&keys);
		return 1;
	}
	confcheck_log(s.conf);
	if (make_keys(&s, &keys) == -1 || begin(&s) == -1)
		return 1;
	log_info("serving %s", s.conf->text[CONF_MOUNT_PATH]);
	while (!s.stop)
		turn(&s, INT64_MAX);
	wind_up(&s);
	config_free(s.conf);
	free(s.conf);
	return 0;
}
