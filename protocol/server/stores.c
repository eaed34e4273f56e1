#include "protocol/server/stores.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/server/clock.h"
#include "protocol/server/topdir.h"
#include "storage/base/buf.h"
#include "storage/base/io.h"
#include "storage/base/log.h"

struct opening {
	struct opening *next; /* while it waits */
	uint64_t id;
	dev_t mount;
	struct record record; /* points into text */
	struct buf text;
	struct buf lone; /* the location of one that is a single mbox */
	pid_t pid; /* 0: it has been reaped */
	int sock;
	int64_t due;
};

void
stores_init(struct stores *s, stores_done *done, void *arg)
{
	*s = (struct stores){.done = done, .arg = arg};
	s->last = &s->first;
}

/* A copy of the record that lives as long as the opening. */
static int
keep(struct opening *o, const struct record *r)
{
	const struct span *from[] = {&r->user, &r->groups, &r->home, &r->location};
	struct span *to[] = {&o->record.user, &o->record.groups, &o->record.home,
	                     &o->record.location};
	size_t at = 0;

	o->record = *r;
	for (size_t i = 0; i < ARRAY_LEN(from); i++)
		if (buf_add(&o->text, *from[i]) == -1)
			return -1;
	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		*to[i] = (struct span){o->text.p + at, from[i]->n};
		at += from[i]->n;
	}
	return 0;
}

static void
end(struct stores *s, struct opening *o, int fd)
{
	s->done(s->arg, o->id, &o->record, fd);
	buf_free(&o->text);
	buf_free(&o->lone);
	free(o);
}

/* ---- the child ------------------------------------------------------------------------ */

static void __attribute__((noreturn)) open_in_child(const struct opening *o, int sock)
{
	bool lone;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if ((fd = topdir_open(&o->record, o->mount, &lone)) == -1) {
		log_error("%.*s: %.*s: %s", (int)o->record.user.n, o->record.user.p,
		          (int)o->record.location.n, o->record.location.p,
		          errno == EDEADLK ? "this lies on our own mount"
		          : errno == ELOOP ? "a symlink lies on the way"
		          : errno == EPERM ? "not the user's own directory"
		                           : strerror(errno));
		_exit(1);
	}
	_exit(io_send_fd(sock, fd, lone ? SPAN("f") : SPAN(".")) == 0 ? 0 : 1);
}

static int
start(struct stores *s, struct opening *o, size_t slot)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	if ((o->pid = fork()) == 0)
		open_in_child(o, pair[1]);
	close(pair[1]);
	if (o->pid == -1) {
		close(pair[0]);
		return -1;
	}
	o->sock = pair[0];
	o->due = clock_ms() + STORES_TIMEOUT_MS;
	s->open[slot] = o;
	return 0;
}

/* Start those that wait, while there is room. */
static void
start_waiting(struct stores *s)
{
	struct opening *o;

	for (size_t i = 0; i < STORES_OPENING_MAX && (o = s->first) != NULL; i++) {
		if (s->open[i] != NULL)
			continue;
		if ((s->first = o->next) == NULL)
			s->last = &s->first;
		s->nwaiting--;
		if (start(s, o, i) == -1) {
			log_error("cannot open a store: %s", strerror(errno));
			end(s, o, -1);
		}
	}
}

void
stores_open(struct stores *s, uint64_t id, const struct record *r, dev_t mount)
{
	struct opening *o = calloc(1, sizeof *o);

	if (o == NULL || s->nwaiting == STORES_WAITING_MAX || keep(o, r) == -1) {
		if (o != NULL)
			buf_free(&o->text);
		free(o);
		s->done(s->arg, id, r, -1);
		return;
	}
	o->id = id;
	o->mount = mount;
	*s->last = o;
	s->last = &o->next;
	s->nwaiting++;
	start_waiting(s);
}

/* ---- its answer ----------------------------------------------------------------------- */

void
stores_poll(const struct stores *s, struct pollfd *p)
{
	for (size_t i = 0; i < STORES_OPENING_MAX; i++)
		p[i] = (struct pollfd){s->open[i] ? s->open[i]->sock : -1, POLLIN, 0};
}

/* `mbox:/a/b` to `mbox::INBOX=/a/b`, as mailtreed is to be told. An INBOX besides it has no
 * folders to go with. */
static int
tell_lone(struct opening *o)
{
	struct span path = span_from(o->record.location, sizeof "mbox:" - 1);

	if (memmem(path.p, path.n, ":INBOX=", 7) != NULL) {
		log_error("%.*s: %.*s: the folders are a file", (int)o->record.user.n,
		          o->record.user.p, (int)o->record.location.n,
		          o->record.location.p);
		return -1;
	}
	if (buf_add(&o->lone, SPAN("mbox::INBOX=")) == -1 || buf_add(&o->lone, path) == -1)
		return -1;
	o->record.location = buf_span(&o->lone);
	return 0;
}

static void
finish(struct stores *s, size_t slot)
{
	struct opening *o = s->open[slot];
	int fd = -1;
	char c;

	if ((io_recv_fd(o->sock, &fd, &c, 1) != 1 ||
	     (fd != -1 && c == 'f' && tell_lone(o) == -1)) &&
	    fd != -1) {
		close(fd);
		fd = -1;
	}
	close(o->sock);
	s->open[slot] = NULL;
	end(s, o, fd);
}

void
stores_polled(struct stores *s, const struct pollfd *p)
{
	int64_t now = clock_ms();

	for (size_t i = 0; i < STORES_OPENING_MAX; i++) {
		struct opening *o = s->open[i];

		if (o == NULL)
			continue;
		if (p[i].fd == o->sock && p[i].revents != 0) {
			finish(s, i);
		} else if (o->due <= now) {
			log_error("%.*s: %.*s: no answer in %d s",
			          (int)o->record.user.n, o->record.user.p,
			          (int)o->record.location.n, o->record.location.p,
			          STORES_TIMEOUT_MS / 1000);
			if (o->pid > 0)
				kill(o->pid, SIGKILL);
			close(o->sock);
			s->open[i] = NULL;
			end(s, o, -1);
		}
	}
	start_waiting(s);
}

int64_t
stores_due(const struct stores *s)
{
	int64_t due = INT64_MAX;

	for (size_t i = 0; i < STORES_OPENING_MAX; i++)
		if (s->open[i] != NULL && s->open[i]->due < due)
			due = s->open[i]->due;
	return due;
}

bool
stores_ended(struct stores *s, pid_t pid)
{
	for (size_t i = 0; i < STORES_OPENING_MAX; i++)
		if (s->open[i] != NULL && s->open[i]->pid == pid) {
			s->open[i]->pid =
			    0; /* its answer may still lie in the socket */
			return true;
		}
	return false;
}
