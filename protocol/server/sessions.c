#include "protocol/server/sessions.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/server/clock.h"
#include "protocol/server/ids.h"
#include "protocol/server/spawn.h"
#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/base/num.h"
#include "storage/base/program.h"

struct pending {
	uint64_t id;
	int64_t due;
	struct pending *next;
	char user[256], groups[1024], home[1024], location[1024]; /* NUL-terminated */
	uint32_t uid, gid;
};

/* What a session is started with. */
struct start {
	const struct pending *who;
	char view[4096 + 256];
	char lang[33];
	bool utf8;
	int client;
	int rest; /* memfd with the octets that were read already */
};

int
sessions_open(struct sessions *s, const struct config *conf)
{
	*s = (struct sessions){.conf = conf};
	if ((s->program = program_open("mailtree-pop3")) == -1)
		return -1;
	if ((s->pid = calloc(SESSIONS_MAX, sizeof *s->pid)) == NULL) {
		close(s->program);
		return -1;
	}
	return 0;
}

/* ---- those who are expected ----------------------------------------------------------- */

static struct pending **
find(const struct sessions *s, uint64_t id)
{
	struct pending **at = (struct pending **)&s->pending;

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

bool
sessions_expected(const struct sessions *s, uint64_t id)
{
	return *find(s, id) != NULL;
}

void
sessions_expect(struct sessions *s, uint64_t id, const struct record *r)
{
	struct pending *p;

	if (s->npending == SESSIONS_PENDING_MAX || sessions_expected(s, id) ||
	    (p = calloc(1, sizeof *p)) == NULL)
		return;
	p->id = id;
	p->due = clock_ms() + SESSIONS_PENDING_MS;
	p->uid = r->uid;
	p->gid = r->gid;
	if (span_cstr(r->user, p->user, sizeof p->user) == -1 ||
	    span_cstr(r->groups, p->groups, sizeof p->groups) == -1 ||
	    span_cstr(r->home, p->home, sizeof p->home) == -1 ||
	    span_cstr(r->location, p->location, sizeof p->location) == -1) {
		log_error("%.*s: the user's record is too long", (int)r->user.n,
		          r->user.p);
		free(p);
		return;
	}
	p->next = s->pending;
	s->pending = p;
	s->npending++;
}

static void
forget(struct sessions *s, struct pending **at)
{
	struct pending *p = *at;

	*at = p->next;
	free(p);
	s->npending--;
}

void
sessions_expire(struct sessions *s)
{
	int64_t now = clock_ms();

	for (struct pending **at = &s->pending; *at != NULL;)
		if ((*at)->due <= now)
			forget(s, at);
		else
			at = &(*at)->next;
}

/* ---- starting ------------------------------------------------------------------------- */

/* Before there is a session nobody else can tell the client. */
static void
apologise(int client)
{
	static const char text[] = "-ERR [SYS/TEMP] No session can be started now.\r\n";

	(void)send(client, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* An environment that says nothing of the server's. */
static char **
make_environment(const struct pending *p, struct buf *home, struct buf *user,
                 char *env[4])
{
	static char path[] = "PATH=/usr/bin:/bin";

	if (buf_addf(home, "HOME=%s%c", p->home[0] != '\0' ? p->home : "/", '\0') ==
	        -1 ||
	    buf_addf(user, "USER=%s%c", p->user, '\0') == -1)
		return NULL;
	env[0] = path;
	env[1] = home->p;
	env[2] = user->p;
	env[3] = NULL;
	return env;
}

static struct record
record_of(const struct pending *p)
{
	return (struct record){.user = span_of(p->user),
	                       .uid = p->uid,
	                       .gid = p->gid,
	                       .groups = span_of(p->groups)};
}

/* The client on 0 and 1, the log on 2, what was read ahead on 3. */
static int
arrange(const struct start *t)
{
	int flags = fcntl(t->client, F_GETFL);
	int client = fcntl(t->client, F_DUPFD_CLOEXEC, 10);
	int rest = fcntl(t->rest, F_DUPFD_CLOEXEC, 10);

	if (flags == -1 || fcntl(t->client, F_SETFL, flags & ~O_NONBLOCK) == -1 ||
	    client == -1 || rest == -1)
		return -1;
	return dup2(client, 0) == -1 || dup2(client, 1) == -1 || dup2(rest, 3) == -1
	           ? -1
	           : 0;
}

static void __attribute__((noreturn)) become(const struct sessions *s, struct start *t)
{
	struct record who = record_of(t->who);
	struct buf home = {0}, user = {0};
	int program = fcntl(s->program, F_DUPFD_CLOEXEC, 10);
	char *env[4], *argv[] = {"mailtree-pop3",
	                         "-g",
	                         "-u",
	                         t->view,
	                         "-U",
	                         s->conf->text[CONF_POP3_UIDL_FORMAT],
	                         "-n",
	                         (char *)t->who->user,
	                         "-l",
	                         t->lang,
	                         "-r",
	                         "3",
	                         t->utf8 ? "-8" : NULL,
	                         NULL};

	spawn_clean();
	if (program == -1 || arrange(t) == -1 || chdir("/") == -1 ||
	    ids_become(&who) == -1 ||
	    make_environment(t->who, &home, &user, env) == NULL) {
		log_error("%s: cannot become the user: %s", t->who->user,
		          strerror(errno));
		apologise(0);
		_exit(1);
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	fexecve(program, argv, env);
	log_error("mailtree-pop3: %s", strerror(errno));
	apologise(0);
	_exit(1);
}

static const char *
address_of(int client, char out[static 48])
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = {0};
	socklen_t size = sizeof a;

	if (getpeername(client, &a.sa, &size) == -1)
		return "?";
	if (a.sa.sa_family == AF_INET6)
		return inet_ntop(AF_INET6, &a.in6.sin6_addr, out, 48);
	return inet_ntop(AF_INET, &a.in.sin_addr, out, 48);
}

/* From login, which is not trusted: nothing but what a language tag may be. */
static bool
is_tag(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') ||
		      (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
		      (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] == '-' && i > 0)))
			return false;
	return s.n > 0;
}

static int
prepare(struct sessions *s, const struct msg *m, int client, struct start *t)
{
	const char *mount = s->conf->text[CONF_MOUNT_PATH];

	t->client = client;
	t->utf8 = span_eq(m->f[3], SPAN("8"));
	if (!is_tag(m->f[2]) || span_cstr(m->f[2], t->lang, sizeof t->lang) == -1 ||
	    !span_eq(m->f[1], SPAN("pop3")) ||
	    (size_t)snprintf(t->view, sizeof t->view, "%s/%s", mount, t->who->user) >=
	        sizeof t->view) {
		errno = EPROTO;
		return -1;
	}
	if ((t->rest = memfd_create("read-ahead", MFD_CLOEXEC)) == -1)
		return -1;
	if (io_write_all(t->rest, m->f[4]) == -1 || lseek(t->rest, 0, SEEK_SET) == -1) {
		close(t->rest);
		return -1;
	}
	return 0;
}

/* Fork the session. -1 errno. */
static int
run(struct sessions *s, struct start *t)
{
	char address[48];
	pid_t pid;

	if (s->n == SESSIONS_MAX) {
		errno = EAGAIN;
		return -1;
	}
	if ((pid = fork()) == 0)
		become(s, t);
	if (pid == -1)
		return -1;
	s->pid[s->n++] = pid;
	log_info("%s: session %d from %s", t->who->user, (int)pid,
	         address_of(t->client, address));
	return 0;
}

void
sessions_start(struct sessions *s, const struct msg *m, int client)
{
	struct pending **at;
	struct start t = {.rest = -1};
	uint64_t id;

	if (num_u64(m->f[0], &id) == -1 || *(at = find(s, id)) == NULL) {
		log_error("mailtree-login brought a client of whom mailtree-auth knows "
		          "nothing");
		apologise(client);
		close(client);
		return;
	}
	t.who = *at;
	if (prepare(s, m, client, &t) == -1 || run(s, &t) == -1) {
		log_error("%s: no session: %s", t.who->user, strerror(errno));
		apologise(client);
	}
	if (t.rest != -1)
		close(t.rest);
	close(client);
	forget(s, at);
}

/* ---- ending --------------------------------------------------------------------------- */

bool
sessions_ended(struct sessions *s, pid_t pid)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->pid[i] == pid) {
			s->pid[i] = s->pid[--s->n];
			return true;
		}
	return false;
}

void
sessions_signal(const struct sessions *s, int sig)
{
	for (size_t i = 0; i < s->n; i++)
		kill(s->pid[i], sig);
}

void
sessions_close(struct sessions *s)
{
	while (s->pending != NULL)
		forget(s, &s->pending);
	free(s->pid);
	close(s->program);
}
