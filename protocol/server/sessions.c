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

#include "protocol/again.h"
#include "protocol/imap/prelogin.h"
#include "protocol/server/clock.h"
#include "protocol/server/ids.h"
#include "protocol/server/namespaces.h"
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

/* A session that runs. */
struct running {
	pid_t pid;
	enum sessions_protocol protocol;
	char *user;       /* owned */
	char address[48]; /* of the client */
	struct handed *handed; /* a further client, until it has been taken; owned */
};

/* What a session is started with. */
struct start {
	const struct pending *who;
	enum sessions_protocol protocol;
	char view[4096 + 256];
	char tag[PARSER_TAG_MAX + 1];
	char lang[33];
	bool utf8;
	int client;  /* the client, or one end of a pair: at the other login speaks TLS */
	int rest; /* memfd with the octets that were read already */
	char address[48]; /* of the client; of a pair, which has none, as login says it */
	int again;        /* the session's end of a pair by which further clients come */
};

/* What it takes to start another process for a client that the first one does not take. */
struct handed {
	struct pending who;
	struct start start;
	size_t nrest;
	char rest[];
};

#define RUNNING_MAX (SESSIONS_MAX + KEPT_FREE_MAX) /* processes, of those without a client too */

#define ARGS_MAX (32 + 4 * NAMESPACES_MAILBOXES_MAX + 4) /* of a session's program */

static const struct {
	const char *name, *program;
	enum conf_service service;
} protocols[] = {
    [SESSIONS_POP3] = {"pop3", "mailtree-pop3", CONF_SERVICE_POP3},
    [SESSIONS_IMAP] = {"imap", "mailtree-imap", CONF_SERVICE_IMAP},
};

static void
close_programs(struct sessions *s)
{
	for (size_t i = 0; i < SESSIONS_PROTOCOLS; i++)
		if (s->program[i] != -1)
			close(s->program[i]);
}

int
sessions_open(struct sessions *s, const struct config *conf)
{
	bool lacks = false;

	*s = (struct sessions){.conf = conf, .kept_apart = shareduid_kept_apart()};
	if (kept_open(&s->kept) == -1)
		return -1;
	for (size_t i = 0; i < SESSIONS_PROTOCOLS; i++) {
		s->program[i] = program_open(protocols[i].program);
		lacks |=
		    s->program[i] == -1 &&
		    config_serves(conf, protocols[i].name);
	}
	if (!lacks && (s->running = calloc(RUNNING_MAX, sizeof *s->running)) != NULL)
		return 0;
	close_programs(s);
	return -1;
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

static void
forget(struct sessions *s, struct pending **at)
{
	struct pending *p = *at;

	*at = p->next;
	free(p);
	s->npending--;
}

/* The last word counts: who could not be handed over may log in again as somebody else. */
void
sessions_expect(struct sessions *s, uint64_t id, const struct record *r)
{
	struct pending **at = find(s, id), *p;

	if (*at != NULL)
		forget(s, at);
	if (s->npending == SESSIONS_PENDING_MAX || (p = calloc(1, sizeof *p)) == NULL)
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

/* ---- clients on their way to a process that runs --------------------------------------- */

static void
free_handed(struct sessions *s, struct running *r)
{
	if (r->handed == NULL)
		return;
	close(r->handed->start.client);
	free(r->handed);
	r->handed = NULL;
	s->nhanded--;
}

static void
let_taken_go(struct sessions *s)
{
	for (size_t i = 0; i < s->n && s->nhanded > 0; i++)
		if (s->running[i].handed != NULL &&
		    !kept_owes(&s->kept, s->running[i].pid))
			free_handed(s, &s->running[i]);
}

static void
listen_to_all(struct sessions *s)
{
	kept_heard(&s->kept);
	let_taken_go(s);
}

/* NULL: no memory, or no descriptor. */
static struct handed *
keep_client(const struct start *t, struct span rest)
{
	struct handed *h = malloc(sizeof *h + rest.n);
	int client = h == NULL ? -1 : fcntl(t->client, F_DUPFD_CLOEXEC, 0);

	if (client == -1) {
		free(h);
		return NULL;
	}
	h->who = *t->who;
	h->start = *t;
	h->start.who = &h->who;
	h->start.client = client;
	h->nrest = rest.n;
	memcpy(h->rest, rest.p, rest.n);
	return h;
}

void
sessions_expire(struct sessions *s)
{
	int64_t now = clock_ms();

	kept_expire(&s->kept, now);
	let_taken_go(s);
	for (struct pending **at = &s->pending; *at != NULL;)
		if ((*at)->due <= now)
			forget(s, at);
		else
			at = &(*at)->next;
}

/* ---- starting ------------------------------------------------------------------------- */

/* Before there is a session nobody else can tell the client. */
static void
refuse(int client, const struct start *t, const char *code, const char *why)
{
	char text[256];
	int n;

	if (t->protocol == SESSIONS_POP3)
		n = snprintf(text, sizeof text, "-ERR [%s] %s\r\n", code, why);
	else
		n = snprintf(text, sizeof text, "%s %s [%s] %s\r\n",
		             t->tag[0] != '\0' ? t->tag : "*",
		             t->tag[0] != '\0' ? "NO" : "BYE", code, why);
	(void)send(client, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
apologise(int client, const struct start *t)
{
	refuse(client, t, t->protocol == SESSIONS_POP3 ? "SYS/TEMP" : "UNAVAILABLE",
	       "No session can be started now.");
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

/* The client on 0 and 1, the log on 2, what was read ahead on 3, further clients by 4. */
static int
arrange(const struct start *t)
{
	int client = fcntl(t->client, F_DUPFD_CLOEXEC, 10);
	int rest = fcntl(t->rest, F_DUPFD_CLOEXEC, 10);
	int again = fcntl(t->again, F_DUPFD_CLOEXEC, 10);

	if (client == -1 || rest == -1 || again == -1)
		return -1;
	return dup2(client, 0) == -1 || dup2(client, 1) == -1 || dup2(rest, 3) == -1 ||
	               dup2(again, 4) == -1
	           ? -1
	           : 0;
}

static size_t
pop3_arguments(const struct sessions *s, struct start *t, char **argv)
{
	size_t n = 0;

	argv[n++] = "-U";
	argv[n++] = s->conf->text[CONF_POP3_UIDL_FORMAT];
	argv[n++] = "-l";
	argv[n++] = t->lang;
	if (t->utf8)
		argv[n++] = "-8";
	return n;
}

/* `room` holds what is not in a string of its own. */
static size_t
imap_arguments(const struct sessions *s, struct start *t, struct buf *room, char **argv)
{
	size_t n = 0, more, at = 0;

	argv[n++] = "-t";
	argv[n++] = t->tag;
	if (namespaces_options(s->conf, room, &more) == -1 || n + more > ARGS_MAX - 16)
		return 0;
	for (; more > 0; more--, at += strlen(room->p + at) + 1)
		argv[n++] = room->p + at;
	return n;
}

/* What both have in common, then what one has. False: no memory. */
static bool
make_arguments(const struct sessions *s, struct start *t, struct buf *room, char **argv)
{
	size_t n = 0, more;

	argv[n++] = (char *)protocols[t->protocol].program;
	argv[n++] = "-g";
	argv[n++] = "-u";
	argv[n++] = t->view;
	argv[n++] = "-n";
	argv[n++] = (char *)t->who->user;
	argv[n++] = "-r";
	argv[n++] = "3";
	argv[n++] = "-a";
	argv[n++] = "4";
	more = t->protocol == SESSIONS_POP3 ? pop3_arguments(s, t, argv + n)
	                                    : imap_arguments(s, t, room, argv + n);
	argv[n + more] = NULL;
	return more > 0;
}

static void __attribute__((noreturn)) become(const struct sessions *s, struct start *t)
{
	struct record who = record_of(t->who);
	struct buf home = {0}, user = {0}, room = {0};
	int program = fcntl(s->program[t->protocol], F_DUPFD_CLOEXEC, 10);
	char *env[4], *argv[ARGS_MAX];

	spawn_clean();
	if (program == -1 || arrange(t) == -1 || chdir("/") == -1 ||
	    ids_become(&who) == -1 || !make_arguments(s, t, &room, argv) ||
	    make_environment(t->who, &home, &user, env) == NULL) {
		log_error("%s: cannot become the user: %s", t->who->user,
		          strerror(errno));
		apologise(0, t);
		_exit(1);
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	fexecve(program, argv, env);
	log_error("%s: %s", argv[0], strerror(errno));
	apologise(0, t);
	_exit(1);
}

/* The client's own, when it is no pair: login is not trusted with what can be seen. */
static void
see_address(struct start *t)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = {0};
	socklen_t size = sizeof a;

	if (getpeername(t->client, &a.sa, &size) == -1)
		return;
	if (a.sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &a.in.sin_addr, t->address, sizeof t->address);
	else if (a.sa.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &a.in6.sin6_addr, t->address, sizeof t->address);
}

/* From login, which is not trusted: nothing but what a language tag may be. */
static bool
is_lang(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') ||
		      (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
		      (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] == '-' && i > 0)))
			return false;
	return s.n > 0;
}

static bool
is_address(const char *s)
{
	struct in6_addr room;

	return inet_pton(AF_INET, s, &room) == 1 || inet_pton(AF_INET6, s, &room) == 1;
}

/* The protocol, and the tag that only IMAP has. */
static bool
take_protocol(const struct msg *m, struct start *t)
{
	t->protocol = SESSIONS_POP3;
	if (span_eq(m->f[1], SPAN("pop3")))
		return m->f[2].n == 0;
	if (!span_eq(m->f[1], SPAN("imap")))
		return false;
	t->protocol = SESSIONS_IMAP;
	return imap_prelogin_is_tag(m->f[2]) &&
	       span_cstr(m->f[2], t->tag, sizeof t->tag) == 0;
}

static int
prepare(struct sessions *s, const struct msg *m, int client, struct start *t)
{
	const char *mount = s->conf->text[CONF_MOUNT_PATH];
	int flags = fcntl(client, F_GETFL);

	t->client = client;
	t->utf8 = span_eq(m->f[4], SPAN("8"));
	if (!is_lang(m->f[3]) || span_cstr(m->f[3], t->lang, sizeof t->lang) == -1 ||
	    span_cstr(m->f[5], t->address, sizeof t->address) == -1 ||
	    !is_address(t->address) ||
	    (size_t)snprintf(t->view, sizeof t->view, "%s/%s", mount, t->who->user) >=
	        sizeof t->view) {
		errno = EPROTO;
		return -1;
	}
	see_address(t);
	return flags == -1 || fcntl(client, F_SETFL, flags & ~O_NONBLOCK) == -1 ? -1 : 0;
}

static int
keep_rest(struct start *t, struct span rest)
{
	if ((t->rest = memfd_create("read-ahead", MFD_CLOEXEC)) == -1)
		return -1;
	if (io_write_all(t->rest, rest) == -1 || lseek(t->rest, 0, SEEK_SET) == -1) {
		close(t->rest);
		t->rest = -1;
		return -1;
	}
	return 0;
}

/* All that a process was started with, but its first client and the settings. */
static int
make_key(const struct start *t, struct buf *key)
{
	const struct pending *p = t->who;

	return buf_addf(key, "%s%c%s%c%u %u%c%s%c%s%c%s", protocols[t->protocol].name,
	                '\0', p->user, '\0', p->uid, p->gid, '\0', p->groups, '\0',
	                p->home, '\0', p->location);
}

/* Its row, with its pid only. NULL: no memory, or too many processes. */
static struct running *
add_running(struct sessions *s, const struct start *t)
{
	struct running *r = &s->running[s->n];

	if (s->n == RUNNING_MAX) {
		kept_retire(&s->kept); /* those that are free end */
		errno = EAGAIN;
		return NULL;
	}
	if ((r->user = strdup(t->who->user)) == NULL)
		return NULL;
	r->protocol = t->protocol;
	r->handed = NULL;
	memcpy(r->address, t->address, sizeof r->address);
	s->n++;
	return r;
}

/* The server's end must not block: what is at the other end may have stopped reading. */
static int
make_pair(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	if (fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0)
		return 0;
	close(pair[0]);
	close(pair[1]);
	return -1;
}

static uint32_t
clients_of(const struct sessions *s, enum sessions_protocol p)
{
	return confservice_value(s->conf, protocols[p].service, CONF_SERVICE_COUNT);
}

/* -1 errno. */
static int
fork_session(struct sessions *s, struct start *t, struct span key)
{
	struct running *r;
	int pair[2];

	if (make_pair(pair) == -1)
		return -1;
	t->again = pair[1];
	if ((r = add_running(s, t)) == NULL || (r->pid = fork()) == -1) {
		if (r != NULL) {
			free(r->user);
			s->n--;
		}
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	if (r->pid == 0)
		become(s, t);
	close(pair[1]);
	kept_add(&s->kept, key, r->pid, pair[0], clients_of(s, t->protocol));
	log_info("%s: session %d from %s", t->who->user, (int)r->pid, t->address);
	return 0;
}

/* A new process. -1 errno. */
static int
begin(struct sessions *s, struct start *t, struct span key, struct span rest)
{
	int rc = keep_rest(t, rest);

	if (rc == 0)
		rc = fork_session(s, t, key);
	if (t->rest != -1)
		close(t->rest);
	t->rest = -1;
	return rc;
}

static struct running *
row_of(const struct sessions *s, pid_t pid)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->running[i].pid == pid)
			return &s->running[i];
	return NULL;
}

/* To a process that has served this user before. False: there is none. */
static bool
hand_over(struct sessions *s, const struct start *t, struct span key, struct span rest)
{
	const struct again_client c = {.tag = span_of(t->tag),
	                               .lang = span_of(t->lang),
	                               .utf8 = t->utf8,
	                               .rest = rest};
	struct handed *h = keep_client(t, rest);
	struct running *r =
	    h == NULL ? NULL : row_of(s, kept_offer(&s->kept, key, t->client, &c));

	if (r == NULL) {
		if (h != NULL)
			close(h->start.client);
		free(h);
		return false;
	}
	r->handed = h;
	s->nhanded++;
	memcpy(r->address, t->address, sizeof r->address);
	log_info("%s: session %d from %s", t->who->user, (int)r->pid, t->address);
	return true;
}

/* A process that has served this user before, else a new one. -1 errno. */
static int
run(struct sessions *s, struct start *t, struct span rest)
{
	struct buf key = {0};
	int rc = make_key(t, &key);

	if (rc == 0 && !hand_over(s, t, buf_span(&key), rest))
		rc = begin(s, t, buf_span(&key), rest);
	buf_free(&key);
	return rc;
}

/*
 * The process ended before it took its client, which has heard nothing yet. There was room for
 * it. A new process knows what a client is told that cannot be served.
 */
static void
run_again(struct sessions *s, struct handed *h)
{
	struct start *t = &h->start;
	struct buf key = {0};

	log_info("%s: another process serves the client", t->who->user);
	if (s->stopping) {
		apologise(t->client, t);
	} else if (make_key(t, &key) == -1 ||
	           begin(s, t, buf_span(&key), (struct span){h->rest, h->nrest}) == -1) {
		log_error("%s: no session: %s", t->who->user, strerror(errno));
		apologise(t->client, t);
	}
	buf_free(&key);
	close(t->client);
	free(h);
}

/* Clients of that protocol; and of them of that user from that address. */
static void
count(const struct sessions *s, const struct start *t, uint32_t *all, uint32_t *same)
{
	const char *name = protocols[t->protocol].name;

	*all = *same = 0;
	for (size_t i = 0; i < s->n; i++) {
		const struct running *r = &s->running[i];

		if (r->protocol != t->protocol)
			continue;
		++*all;
		*same += strcmp(r->address, t->address) == 0 &&
		         strcmp(r->user, t->who->user) == 0 &&
		         !kept_is_idle(&s->kept, r->pid);
	}
	*all -= (uint32_t)kept_idle(&s->kept, (struct span){name, strlen(name) + 1});
}

/* Is there room for one more? -1 after logging why not, and telling the client. */
static int
judge_room(struct sessions *s, const struct start *t)
{
	enum conf_service service = protocols[t->protocol].service;
	uint32_t most = confservice_value(s->conf, service, CONF_MAX_USERIP), all, same;
	size_t both;
	char why[128];

	listen_to_all(s);
	count(s, t, &all, &same);
	both = s->n - kept_idle(&s->kept, SPAN(""));
	if (most > 0 && same >= most) {
		/* as Dovecot puts it: clients and admins look for these words */
		snprintf(why, sizeof why,
		         "Maximum number of connections from user+IP exceeded "
		         "(mail_max_userip_connections=%u)",
		         most);
		log_info("%s: no session for %s: %s", t->who->user, t->address, why);
		refuse(t->client, t, t->protocol == SESSIONS_POP3 ? "IN-USE" : "LIMIT",
		       why);
		return -1;
	}
	if (all < confservice_processes(s->conf, service) && both < SESSIONS_MAX)
		return 0;
	if (both < SESSIONS_MAX)
		log_warn("service(%s): process_limit (%u) reached, client connections "
		         "are being dropped: raise it in service %s",
		         confservice_name(service),
		         confservice_value(s->conf, service, CONF_PROCESS_LIMIT),
		         confservice_name(service));
	else
		log_warn("there are %d sessions, and no more can be had: client "
		         "connections are being dropped",
		         SESSIONS_MAX);
	apologise(t->client, t);
	return -1;
}

/* May this user have a session on a machine like this? -1 after logging why not. */
static int
judge_uid(struct sessions *s, const struct pending *who)
{
	if (s->kept_apart || !shareduid_seen(&s->uids, who->uid, who->user) ||
	    s->conf->num[CONF_MAIL_ALLOW_SHARED_UID])
		return 0;
	log_error("%s: no session: uid %u is another user's too, and this kernel has no "
	          "Landlock to keep them apart: give each an own uid, or set "
	          "mail_allow_shared_uid = yes",
	          who->user, who->uid);
	return -1;
}

void
sessions_start(struct sessions *s, const struct msg *m, int client)
{
	struct pending **at;
	struct start t = {.rest = -1};
	uint64_t id;

	if (!take_protocol(m, &t) || num_u64(m->f[0], &id) == -1 ||
	    *(at = find(s, id)) == NULL) {
		log_error("mailtree-login brought a client of whom mailtree-auth knows "
		          "nothing, or said nonsense about it");
		apologise(client, &t);
		close(client);
		return;
	}
	t.who = *at;
	if (s->stopping || judge_uid(s, t.who) == -1) {
		apologise(client, &t);
	} else if (prepare(s, m, client, &t) == -1 ||
	           (judge_room(s, &t) == 0 && run(s, &t, m->f[6]) == -1)) {
		log_error("%s: no session: %s", t.who->user, strerror(errno));
		apologise(client, &t);
	}
	close(client);
	forget(s, at);
}

/* ---- ending --------------------------------------------------------------------------- */

bool
sessions_ended(struct sessions *s, pid_t pid)
{
	struct running *r = row_of(s, pid);
	struct handed *h;

	if (r == NULL)
		return false;
	listen_to_all(s); /* its last word may be that it has taken a client */
	h = r->handed;
	s->nhanded -= h != NULL;
	kept_forget(&s->kept, pid);
	free(r->user);
	*r = s->running[--s->n];
	if (h != NULL)
		run_again(s, h);
	return true;
}

void
sessions_stop(struct sessions *s)
{
	s->stopping = true;
	kept_retire(&s->kept);
	sessions_signal(s, SIGTERM);
}

void
sessions_signal(const struct sessions *s, int sig)
{
	for (size_t i = 0; i < s->n; i++)
		kill(s->running[i].pid, sig);
}

void
sessions_close(struct sessions *s)
{
	while (s->pending != NULL)
		forget(s, &s->pending);
	for (size_t i = 0; i < s->n; i++) {
		free_handed(s, &s->running[i]);
		free(s->running[i].user);
	}
	free(s->running);
	kept_close(&s->kept);
	shareduid_free(&s->uids);
	close_programs(s);
}
