#include "protocol/server/mountd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/server/caps.h"
#include "protocol/server/clock.h"
#include "protocol/server/spawn.h"
#include "storage/base/log.h"

#define FUSE_MAGIC 0x65735546

/* ---- the mount point ------------------------------------------------------------------ */

/* Take a mount away from its place, also when it is in use or its daemon is dead. */
static void
detach(const char *path)
{
	pid_t pid;

	if (geteuid() == 0) {
		if (umount2(path, MNT_DETACH) == -1 && errno != EINVAL)
			log_error("%s: cannot unmount: %s", path, strerror(errno));
		return;
	}
	if ((pid = fork()) == 0) {
		execlp("fusermount3", "fusermount3", "-q", "-u", "-z", "--", path,
		       (char *)NULL);
		_exit(127);
	}
	while (pid != -1 && waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		;
}

/*
 * Is something mounted there that answers? Of a server that was killed a moment ago
 * mailtreed may be unmounting still.
 */
static bool
is_taken(const char *path)
{
	struct statfs fs;

	for (int i = 0; statfs(path, &fs) == 0 && fs.f_type == FUSE_MAGIC; i++) {
		if (i == MOUNTD_LEAVE_MS / 100)
			return true;
		poll(NULL, 0, 100);
	}
	return false;
}

/* A directory that nobody else has mounted on. -1 after logging. */
static int
prepare(const char *path)
{
	struct statfs fs;

	if (mkdir(path, 0755) == 0)
		log_info("%s: made", path);
	if (is_taken(path)) {
		log_error("%s: something is mounted there already: is another server "
		          "running? (mailtree umount %s)",
		          path, path);
		return -1;
	}
	if (statfs(path, &fs) == -1 && errno == ENOTCONN) {
		log_warn("%s: detaching what a daemon that died left mounted", path);
		detach(path);
	}
	if (statfs(path, &fs) == -1) {
		log_error("mount_path %s: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

/* Asked once, of what the kernel remembers: the daemon is not bothered. */
static int
find_device(const char *path, dev_t *device)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st) == -1)
		return -1;
	*device = makedev(st.stx_dev_major, st.stx_dev_minor);
	return 0;
}

/* ---- its life ------------------------------------------------------------------------- */

/* What is not given has the same default there. */
static int
add_mbox_settings(const struct config *c, struct spawn *s, struct buf *text)
{
	size_t at[CONF_MAIL_PRIVILEGED_GROUP - CONF_MBOX_READ_LOCKS + 1], n = 0;

	for (int k = CONF_MBOX_READ_LOCKS; k <= CONF_MAIL_PRIVILEGED_GROUP; k++) {
		if (!c->given[k])
			continue;
		at[n++] = text->n;
		if (buf_addf(text, "%s=%s%c", config_key_name((enum conf_key)k), c->text[k],
		             '\0') == -1)
			return -1;
	}
	for (size_t i = 0; i < n; i++) {
		spawn_arg(s, "--mbox");
		spawn_arg(s, text->p + at[i]);
	}
	return 0;
}

static pid_t
start(const struct config *c, int users, int ready)
{
	struct buf text = {0};
	struct spawn s;
	pid_t pid = -1;

	spawn_init(&s, "mailtreed");
	spawn_keep_caps(&s, CAPS_MAILTREED);
	spawn_arg(&s, "-f");
	if (geteuid() == 0) { /* the users are others than the daemon */
		spawn_arg(&s, "-o");
		spawn_arg(&s, "allow_other");
	}
	if (strcmp(c->text[CONF_LOG_PATH], "syslog") == 0)
		spawn_arg(&s, "--syslog");
	spawn_arg(&s, "--users");
	spawn_fd(&s, users);
	spawn_arg(&s, "--ready");
	spawn_fd(&s, ready);
	if (c->text[CONF_INDEX_PATH][0] != '\0') {
		spawn_arg(&s, "--index-path");
		spawn_arg(&s, c->text[CONF_INDEX_PATH]);
	}
	if (add_mbox_settings(c, &s, &text) == 0) {
		spawn_arg(&s, c->text[CONF_MOUNT_PATH]);
		pid = spawn_run(&s);
	}
	buf_free(&text);
	return pid;
}

/* 0 when it says that it has mounted. */
static int
await(int ready)
{
	struct pollfd p = {ready, POLLIN, 0};
	int64_t due = clock_ms() + MOUNTD_READY_MS;
	char text[8];
	int n;

	while ((n = poll(&p, 1, clock_until(due))) == -1 && errno == EINTR)
		;
	return n == 1 && read(ready, text, sizeof text) == 6 &&
	               memcmp(text, "ready\n", 6) == 0
	           ? 0
	           : -1;
}

/* Reap it within the time. False: it still runs. */
static bool
reap(pid_t pid, int64_t patience_ms)
{
	int64_t due = clock_ms() + patience_ms;
	pid_t got;

	while ((got = waitpid(pid, NULL, WNOHANG)) == 0 ||
	       (got == -1 && errno == EINTR)) {
		if (clock_ms() >= due)
			return false;
		poll(NULL, 0, 10);
	}
	return true;
}

static void
kill_it(struct mountd *m, const struct config *c)
{
	/* first the mount: processes that wait for it would wait for ever */
	detach(c->text[CONF_MOUNT_PATH]);
	kill(m->pid, SIGKILL);
	(void)reap(m->pid, MOUNTD_END_MS);
	m->pid = 0;
}

int
mountd_start(struct mountd *m, const struct config *c)
{
	int users[2], ready[2];
	const char *path = c->text[CONF_MOUNT_PATH];

	*m = (struct mountd){.users = -1};
	if (prepare(path) == -1)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, users) == -1) {
		log_error("socketpair: %s", strerror(errno));
		return -1;
	}
	if (pipe2(ready, O_CLOEXEC) == -1) {
		log_error("pipe: %s", strerror(errno));
		close(users[0]), close(users[1]);
		return -1;
	}
	m->pid = start(c, users[1], ready[1]);
	close(users[1]), close(ready[1]);
	if (m->pid == -1) {
		log_error("mailtreed: %s", strerror(errno));
		m->pid = 0;
	} else if (await(ready[0]) == -1 || find_device(path, &m->device) == -1) {
		log_error("%s: mailtreed did not mount it", path);
		kill_it(m, c);
	}
	close(ready[0]);
	if (m->pid == 0) {
		close(users[0]);
		return -1;
	}
	m->users = users[0];
	fcntl(m->users, F_SETFL, O_NONBLOCK);
	return 0;
}

void
mountd_ended(struct mountd *m, const struct config *c)
{
	m->pid = 0;
	if (m->users != -1)
		close(m->users);
	m->users = -1;
	detach(c->text[CONF_MOUNT_PATH]);
}

void
mountd_stop(struct mountd *m, const struct config *c)
{
	if (m->pid == 0)
		return;
	kill(m->pid, SIGTERM);
	if (reap(m->pid, MOUNTD_END_MS))
		m->pid = 0;
	else {
		log_error("%s: mailtreed does not end and is killed",
		          c->text[CONF_MOUNT_PATH]);
		kill_it(m, c);
	}
	if (m->users != -1)
		close(m->users);
	m->users = -1;
}
