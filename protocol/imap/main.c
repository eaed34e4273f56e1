/*
 * mailtree-imap: one IMAP session on descriptors 0 and 1, after login, over a user's
 * directory in a mount. Started by the server as that user, or by hand:
 *
 *	printf 'a SELECT INBOX\r\nb LOGOUT\r\n' | mailtree-imap -u /mnt/mail
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "protocol/again.h"
#include "protocol/confine.h"
#include "protocol/imap/capability.h"
#include "protocol/imap/imap.h"
#include "protocol/imap/sentry.h"
#include "protocol/use.h"
#include "protocol/options.h"
#include "protocol/seal.h"
#include "storage/base/log.h"
#include "storage/base/num.h"
#include "storage/mime/charset.h"

#define INPUT_MAX    65536 /* octets of commands per read */
#define SPECIALS_MAX 64
#define CREATES_MAX  64

/* Who idle in one mailbox: from how many on they give way, for how long each, and at most. */
#define CROWD	      64
#define CROWD_EACH_US 40
#define CROWD_MOST_US 20000

/* ---- options ---------------------------------------------------------------------------- */

struct options {
	const char *view, *name, *tag, *rest, *again, *separator, *prefix, *limit;
	bool greet, help, version;
	struct imap_special special[SPECIALS_MAX];
	size_t nspecial;
	struct create {
		const char *path;
		bool subscribe;
	} create[CREATES_MAX];
	size_t ncreate;
};

/* `\Sent Sent`: a use, and the path that has it. */
static void
add_special(void *options, const char *value)
{
	struct options *o = options;
	struct span rest = span_of(value), word;
	unsigned use;

	if (!span_cut(&rest, ' ', &word) || (use = use_by_name(word)) == 0 ||
	    rest.n == 0)
		errx(OPTIONS_USAGE, "-S %s: expected a special use and a mailbox",
		     value);
	if (o->nspecial == SPECIALS_MAX)
		errx(OPTIONS_USAGE, "-S: more than %d", SPECIALS_MAX);
	o->special[o->nspecial++] = (struct imap_special){.path = rest.p, .use = use};
}

static void
add_create_as(struct options *o, const char *path, bool subscribe)
{
	if (o->ncreate == CREATES_MAX)
		errx(OPTIONS_USAGE, "-C: more than %d", CREATES_MAX);
	o->create[o->ncreate++] = (struct create){path, subscribe};
}

static void
add_create(void *options, const char *path)
{
	add_create_as(options, path, false);
}

static void
add_subscribe(void *options, const char *path)
{
	add_create_as(options, path, true);
}

#define AT(member) offsetof(struct options, member)

static const struct option_row rows[] = {
    {'A', "OCTETS", AT(limit), "largest message that APPEND takes", NULL},
    {'a', "FD", AT(again), "further clients of this user come there", NULL},
    {'C', "MAILBOX", 0, "make this mailbox when it is missing; may be repeated",
     add_create},
    {'c', "MAILBOX", 0, "as -C, and subscribe it", add_subscribe},
    {'g', NULL, AT(greet), "begin with the answer to LOGIN", NULL},
    {'h', NULL, AT(help), "print this and exit", NULL},
    {'n', "NAME", AT(name), "user's name for the log", NULL},
    {'p', "PREFIX", AT(prefix), "of the names of mailboxes; none", NULL},
    {'r', "FD", AT(rest), "read what FD holds before descriptor 0", NULL},
    {'S', "USE-MAILBOX", 0, "special use and mailbox, `\\Sent Sent'; may be repeated",
     add_special},
    {'s', "CHAR", AT(separator), "of the levels of names: . or /", NULL},
    {'t', "TAG", AT(tag), "of the LOGIN that -g answers", NULL},
    {'u', "VIEW", AT(view), "the user's directory in a mount", NULL},
    {'V', NULL, AT(version), "print the version and exit", NULL},
};

/* ---- the session ---------------------------------------------------------------------------- */

/*
 * Wait for the client, or for news that it wants to hear and tell those. 1: it says
 * something, or look again; 0: too long without either, -1.
 */
static int
poll_for(struct imap *im, int fd, bool *input, enum imap_ev *ev)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
	                      {.fd = imap_poll_fd(im), .events = POLLIN}};
	int ms = im->idle.on ? IMAP_KEEPALIVE_MS : IMAP_IDLE_MS, n;

	while ((n = poll(p, 2, ms)) == -1 && errno == EINTR)
		;
	*input = n > 0 && p[0].revents != 0;
	if (n > 0 && p[1].revents != 0)
		*ev = imap_news(im);
	return n;
}

/*
 * One of many who have been told of the same lets the others be told before it asks again,
 * which would take the processors from them. A few wait for nothing.
 */
static void
give_way(const struct mailbox *mb)
{
	long us = (long)mb->listeners * CROWD_EACH_US;
	struct timespec t;

	if (mb->listeners < CROWD)
		return;
	us = us < CROWD_MOST_US ? us : CROWD_MOST_US;
	t = (struct timespec){.tv_nsec = us * 1000};
	(void)nanosleep(&t, NULL); /* the sentry's call ends it early */
}

/* The same in IDLE: news are told until the client says something, or for some time. */
static int
sit(struct imap *im, int fd, bool *input, enum imap_ev *ev)
{
	struct sentry s = {0};
	int n;

	if (sentry_post(&s, fd, imap_poll_fd(im), IMAP_KEEPALIVE_MS) == -1)
		return poll_for(im, fd, input, ev);
	while (*ev == IMAP_MORE && !sentry_called(&s)) {
		*ev = imap_wait_news(im);
		if (*ev == IMAP_MORE && !sentry_called(&s))
			give_way(im->box);
	}
	n = sentry_dismiss(&s);
	*input = n > 0;
	return n;
}

static ssize_t
read_some(int fd, char *p, size_t cap)
{
	ssize_t n;

	while ((n = read(fd, p, cap)) == -1 && errno == EINTR)
		;
	return n;
}

/* Push what comes from `fd` until its end, or until the session ends. */
static enum imap_ev
serve(struct imap *im, int fd)
{
	static char in[INPUT_MAX];
	enum imap_ev ev = IMAP_MORE;

	while (ev == IMAP_MORE) {
		bool input = false;
		int n = imap_poll_fd(im) == -1 ? poll_for(im, fd, &input, &ev)
		                               : sit(im, fd, &input, &ev);

		if (ev != IMAP_MORE)
			return ev;
		if (n == 0 && im->idle.on) {
			ev = imap_still_here(im);
			continue;
		}
		if (n == 0) {
			(void)imap_printf(im, "* BYE Idle for too long.\r\n");
			(void)out_flush(im->out);
			errno = ETIMEDOUT;
		}
		if (n <= 0)
			return IMAP_BROKEN;
		if (input) {
			ssize_t got = read_some(fd, in, sizeof in);

			if (got == 0)
				return ev;
			ev = got == -1 ? IMAP_BROKEN
			               : imap_push(im, (struct span){in, (size_t)got});
		}
	}
	return ev;
}

static const char *
end_of(enum imap_ev ev)
{
	switch (ev) {
	case IMAP_LOGOUT:
		return "logged out";
	case IMAP_MORE:
		return "hung up without LOGOUT";
	case IMAP_BROKEN:
		break;
	}
	return errno == ETIMEDOUT ? "idle for too long" : "connection ended";
}

/* PREAUTH by hand, or the answer to the LOGIN that mailtree-login took. */
static int
greet(struct out *out, const struct options *o, uint64_t append_max)
{
	struct buf b = {0};
	int rc = -1;

	if ((o->greet ? buf_addf(&b, "%s OK [", o->tag)
	              : buf_addf(&b, "* PREAUTH [")) == 0 &&
	    capability_print(CAPABILITY_USER, 0, append_max, &b) == 0 &&
	    buf_addf(&b, "] Logged in%s\r\n",
	             o->name == NULL ? " by whoever started it" : "") == 0 &&
	    out_copy(out, buf_span(&b)) == 0)
		rc = out_flush(out);
	buf_free(&b);
	return rc;
}

/* Mailboxes that the configuration wants to be there. What fails is logged: no reason to
 * keep somebody from his mail. */
static void
make_mailboxes(struct imap *im, const struct options *o)
{
	for (const struct create *c = o->create; c < o->create + o->ncreate; c++) {
		if (view_create(&im->home, span_of(c->path), 0) == -1 &&
		    errno != EEXIST)
			log_warn("%s: %s: cannot be made: %s", im->conf->name, c->path,
			         strerror(errno));
		if (c->subscribe &&
		    view_subscribe(&im->home, span_of(c->path), true) == -1)
			log_warn("%s: %s: cannot be subscribed: %s", im->conf->name,
			         c->path, strerror(errno));
	}
}

/* From here on nothing but the user's part of the tree. */
static void
shut_in(const struct imap_conf *conf)
{
	int dir = open(conf->view.user_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	charset_preload(); /* its tables are files */
	if (dir == -1 || confine_writing(dir) == -1)
		log_debug("%s: no Landlock: %s", conf->name, strerror(errno));
	if (seal(SEAL_IMAP, "mailtree-imap", conf->name) == -1)
		log_debug("%s: not sealed: %s", conf->name, strerror(errno));
	if (dir != -1)
		close(dir);
}

/* What a client's octets come from: the first of `ahead` or `rest`, then of `fd`. */
struct source {
	int fd, rest; /* rest -1: none */
	struct span ahead;
};

/* One client, from its greeting to its end. */
static enum imap_ev
attend(struct imap *im, const struct options *o, const struct source *from)
{
	enum imap_ev ev = IMAP_MORE;

	if (greet(im->out, o, im->conf->append_max) == -1)
		ev = IMAP_BROKEN;
	if (from->rest != -1) {
		ev = ev == IMAP_MORE ? serve(im, from->rest) : ev;
		close(from->rest);
	}
	if (ev == IMAP_MORE && from->ahead.n > 0)
		ev = imap_push(im, from->ahead);
	if (ev == IMAP_MORE)
		ev = serve(im, from->fd);
	if (o->name != NULL)
		log_info("%s: %s; %ju octets sent", im->conf->name, end_of(ev),
		         (uintmax_t)im->out->sent);
	return ev;
}

/* ---- beginning ------------------------------------------------------------------------------- */

/* Why there is no session, for the client and for the log. */
static int
refuse(struct out *out, const struct options *o, const char *name, int error)
{
	log_error("%s: %s: %s", name, o->view, strerror(error));
	if (o->greet)
		(void)out_printf(
		    out, "%s NO [UNAVAILABLE] No session can be started now.\r\n",
		    o->tag);
	else
		(void)out_printf(out, "* BYE No session can be started now.\r\n");
	(void)out_flush(out);
	return 1;
}

/* What the options say, or the end of the program. */
static struct imap_conf
settle(const struct options *o)
{
	struct imap_conf conf = {
	    .view.user_dir = o->view,
	    .name = o->name != NULL ? o->name : "mailtree",
	    .names = {.separator = o->separator[0], .prefix = o->prefix},
	    .special = o->special,
	    .nspecial = o->nspecial};

	if (o->view == NULL)
		errx(OPTIONS_USAGE, "-u VIEW is missing; -h lists the options");
	if ((strcmp(o->separator, ".") != 0 && strcmp(o->separator, "/") != 0))
		errx(OPTIONS_USAGE, "-s %s: a separator is . or /", o->separator);
	if (o->greet != (o->tag != NULL))
		errx(OPTIONS_USAGE, "-g and -t go together");
	if (num_u64(span_of(o->limit), &conf.append_max) == -1)
		errx(OPTIONS_USAGE, "-A %s: not a number", o->limit);
	return conf;
}

/*
 * Further clients, each as if the program had been started for it: nothing is left of those
 * before. After one that broke off in the midst of something there is none. A mailbox that
 * cannot be opened may be one that this process must not see: it is another than it was.
 */
static int
go_on(struct imap *im, const struct imap_conf *conf, struct options *o, struct out *out)
{
	static char room[AGAIN_PACKET_MAX];
	int sock = options_fd('a', o->again);
	struct again_client c;
	struct source from = {.rest = -1};
	enum imap_ev ev = IMAP_LOGOUT;

	while (ev != IMAP_BROKEN && (from.fd = again_wait(sock, room, &c)) != -1) {
		o->tag = c.tag.p;
		from.ahead = c.rest;
		out_open(out, from.fd, IMAP_IDLE_MS);
		if (imap_open(im, conf, out) == -1 || again_take(sock) == -1)
			return 1;
		make_mailboxes(im, o);
		ev = attend(im, o, &from);
		imap_close(im);
		close(from.fd);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	static struct options o = {
	    .separator = ".", .prefix = "", .limit = "1073741824"};
	static struct out out;
	static struct imap im;
	struct imap_conf conf;
	struct source from = {.fd = STDIN_FILENO};
	enum imap_ev ev;

	options_parse(argc, argv, rows, ARRAY_LEN(rows), &o);
	if (o.help || o.version) {
		if (o.help)
			options_print("mailtree-imap -u VIEW [options]", rows,
			              ARRAY_LEN(rows));
		else
			printf("mailtree-imap %s\n", MT_VERSION);
		return 0;
	}
	conf = settle(&o);
	from.rest = options_fd('r', o.rest);
	log_open("mailtree-imap", LOG_LEVEL_INFO, false);
	(void)signal(SIGPIPE, SIG_IGN);
	sentry_init();
	out_open(&out, STDOUT_FILENO, IMAP_IDLE_MS);
	if (imap_open(&im, &conf, &out) == -1)
		return refuse(&out, &o, conf.name, errno);
	make_mailboxes(&im, &o);
	shut_in(&conf);
	ev = attend(&im, &o, &from);
	imap_close(&im);
	if (o.again == NULL || ev == IMAP_BROKEN)
		return 0;
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	return go_on(&im, &conf, &o, &out);
}
