/*
 * mailtree-pop3: one POP3 session on descriptors 0 and 1, after login, over a user's
 * directory in a mount. Started by the server as that user, or by hand:
 *
 *	printf 'STAT\r\nQUIT\r\n' | mailtree-pop3 -u /mnt/mail
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "protocol/again.h"
#include "protocol/confine.h"
#include "protocol/options.h"
#include "protocol/pop3/session.h"
#include "protocol/seal.h"
#include "storage/base/log.h"

#define INPUT_MAX 4096 /* octets of commands per read */

/* ---- options ------------------------------------------------------------------------------- */

struct options {
	const char *view, *mailbox, *format, *name, *lang, *rest, *again;
	bool greet, utf8, help, version;
};

#define AT(member) offsetof(struct options, member)

static const struct option_row rows[] = {
    {'8', NULL, AT(utf8),
     "the client is in UTF-8 mode (messages are sent as stored anyhow)", NULL},
    {'a', "FD", AT(again), "further clients of this user come there", NULL},
    {'g', NULL, AT(greet), "begin with +OK, or -ERR why not, as the answer to PASS",
     NULL},
    {'h', NULL, AT(help), "print this and exit", NULL},
    {'l', "LANG", AT(lang), "language of reply texts: i-default or en", NULL},
    {'m', "MAILBOX", AT(mailbox), "mailbox to serve; INBOX", NULL},
    {'n', "NAME", AT(name), "user's name for the log", NULL},
    {'r', "FD", AT(rest), "read what FD holds before descriptor 0", NULL},
    {'U', "FORMAT", AT(format),
     "format of unique ids (pop3_uidl_format); " UIDL_DEFAULT, NULL},
    {'u', "VIEW", AT(view), "the user's directory in a mount", NULL},
    {'V', NULL, AT(version), "print the version and exit", NULL},
};

/* ---- the session --------------------------------------------------------------------------- */

/* Octets that are there within the time-out; 0 at the end of input, -1 otherwise. */
static ssize_t
read_some(int fd, char *p, size_t cap)
{
	struct pollfd in = {.fd = fd, .events = POLLIN};
	ssize_t n;

	for (;;) {
		int ready = poll(&in, 1, SESSION_IDLE_MS);

		if (ready == 0)
			errno = ETIMEDOUT;
		if (ready == 0 || (ready == -1 && errno != EINTR))
			return -1;
		if (ready > 0 && ((n = read(fd, p, cap)) != -1 ||
		                  (errno != EINTR && errno != EAGAIN)))
			return n;
	}
}

/* Push what comes from `fd` until its end, or until the session ends. */
static enum session_ev
serve(struct session *s, int fd)
{
	char in[INPUT_MAX];
	enum session_ev ev = SESSION_MORE;
	ssize_t n;

	while (ev == SESSION_MORE && (n = read_some(fd, in, sizeof in)) != 0)
		ev = n == -1 ? SESSION_BROKEN
		             : session_push(s, (struct span){in, (size_t)n});
	return ev;
}

static const char *
end_of(enum session_ev ev)
{
	switch (ev) {
	case SESSION_QUIT:
		return "logged out";
	case SESSION_MORE:
		return "hung up without QUIT";
	case SESSION_BROKEN:
		break;
	}
	return errno == ETIMEDOUT ? "idle for too long" : "connection lost";
}

/* What a client's octets come from: the first of `ahead` or `rest`, then of `fd`. */
struct source {
	int fd, rest; /* rest -1: none */
	struct span ahead;
};

/* For good; from here on nothing but this maildrop. */
static void
shut_in(const struct session_conf *conf, const struct view *v)
{
	if (confine(v->dir) == -1)
		log_debug("%s: no Landlock: %s", conf->name, strerror(errno));
	if (seal(SEAL_POP3, "mailtree-pop3", conf->name) == -1)
		log_debug("%s: not sealed: %s", conf->name, strerror(errno));
}

/* One client, from the answer to PASS to its end. */
static enum session_ev
attend(struct session *s, const struct options *o, const struct source *from)
{
	enum session_ev ev = SESSION_MORE;

	if (o->greet && (out_copy(s->out, SPAN("+OK Logged in.\r\n")) == -1 ||
	                 out_flush(s->out) == -1))
		ev = SESSION_BROKEN;
	if (from->rest != -1) {
		ev = ev == SESSION_MORE ? serve(s, from->rest) : ev;
		close(from->rest);
	}
	if (ev == SESSION_MORE && from->ahead.n > 0)
		ev = session_push(s, from->ahead);
	if (ev == SESSION_MORE)
		ev = serve(s, from->fd);
	if (o->name != NULL)
		log_info("%s: %s; %zu of %zu messages deleted, %ju octets sent", s->name,
		         end_of(ev), s->removed, s->drop.n, (uintmax_t)s->out->sent);
	return ev;
}

/* Why there is no session, for the client and for the log. */
static int
refuse(struct out *out, const char *name, const char *what, int error)
{
	if (error != EBUSY)
		log_error("%s: %s: %s", name, what, strerror(error));
	if (out_copy(out, span_of(session_refusal(error))) == 0)
		(void)out_flush(out);
	return 1;
}

/* What the options say, or the end of the program. `rest` is -1 without -r. */
static void
settle(const struct options *o, struct uidl *uidl, struct session_conf *conf, int *rest)
{
	const char *why;

	if (o->view == NULL)
		errx(OPTIONS_USAGE, "-u VIEW is missing; -h lists the options");
	if (uidl_compile(span_of(o->format), uidl, &why) == -1)
		errx(OPTIONS_USAGE, "-U %s: %s", o->format, why);
	if (lang_by_tag(span_of(o->lang), &conf->lang) == -1)
		errx(OPTIONS_USAGE, "-l %s: not a language that we have", o->lang);
	*rest = options_fd('r', o->rest);
	conf->uidl = uidl;
	conf->name = o->name != NULL ? o->name : "mailtree";
}

/*
 * What a further client is told when it cannot have the maildrop: that another session has it.
 * All else may be the fault of this process, which sees nothing but what the maildrop was. Is
 * that so?
 */
static bool
is_refusal(int error, int sock, struct out *out)
{
	if (error != EBUSY || again_take(sock) == -1)
		return false;
	if (out_copy(out, span_of(session_refusal(error))) == 0)
		(void)out_flush(out);
	return true;
}

/* One further client. -1: it is not served, but left to another process. */
static int
serve_next(const struct session_conf *conf, const struct options *o, struct view *v,
           struct out *out, int sock, const struct source *from, enum session_ev *ev)
{
	struct session s;

	if (session_open(&s, conf, v, out) == -1)
		return is_refusal(errno, sock, out) ? 0 : -1;
	if (again_take(sock) == -1)
		return -1;
	*ev = attend(&s, o, from);
	session_close(&s);
	return 0;
}

/*
 * Further clients, each as if the program had been started for it: nothing is left of those
 * before. After one that broke off in the midst of something there is none.
 */
static int
go_on(struct session_conf *conf, const struct options *o, const struct view_conf *vc,
      struct out *out)
{
	static char room[AGAIN_PACKET_MAX];
	int sock = options_fd('a', o->again);
	struct source from = {.rest = -1};
	enum session_ev ev = SESSION_QUIT;
	struct again_client c;
	struct view v;

	while (ev != SESSION_BROKEN && (from.fd = again_wait(sock, room, &c)) != -1) {
		from.ahead = c.rest;
		out_open(out, from.fd, SESSION_IDLE_MS);
		if (lang_by_tag(c.lang, &conf->lang) == -1 || view_open(vc, &v) == -1 ||
		    serve_next(conf, o, &v, out, sock, &from, &ev) == -1)
			return 1;
		view_close(&v);
		close(from.fd);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct options o = {
	    .mailbox = "INBOX", .format = UIDL_DEFAULT, .lang = "i-default"};
	struct session_conf conf = {0};
	struct view_conf vc;
	struct uidl uidl;
	struct view view;
	static struct out out;
	struct source from = {.fd = STDIN_FILENO};
	enum session_ev ev;
	struct session s;

	options_parse(argc, argv, rows, ARRAY_LEN(rows), &o);
	if (o.help || o.version) {
		if (o.help)
			options_print("mailtree-pop3 -u VIEW [options]", rows,
			              ARRAY_LEN(rows));
		else
			printf("mailtree-pop3 %s\n", MT_VERSION);
		return 0;
	}
	settle(&o, &uidl, &conf, &from.rest);
	log_open("mailtree-pop3", LOG_LEVEL_INFO, false);
	(void)signal(SIGPIPE, SIG_IGN);
	out_open(&out, STDOUT_FILENO, SESSION_IDLE_MS);
	vc = (struct view_conf){.user_dir = o.view, .mailbox = o.mailbox};
	if (view_open(&vc, &view) == -1)
		return refuse(&out, conf.name, o.view, errno);
	if (session_open(&s, &conf, &view, &out) == -1) {
		int error = errno;

		view_close(&view);
		return refuse(&out, conf.name, o.view, error);
	}
	shut_in(&conf, &view);
	ev = attend(&s, &o, &from);
	session_close(&s);
	view_close(&view);
	if (o.again == NULL || ev == SESSION_BROKEN)
		return 0;
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	return go_on(&conf, &o, &vc, &out);
}
