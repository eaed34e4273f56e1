/*
 * mailload: the client of scripts/benchlogin. Logs in again and again, or fetches a whole
 * mailbox, by POP3 or IMAP, in clear text or by TLS, and believes nothing: every answer, count,
 * size and octet is compared with what it was told to expect, and the first that differs ends
 * it with exit status 1. What it prints is the seconds that it took.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/num.h"
#include "storage/base/span.h"

#define SAY_MAX 256
#define ROOM    262144 /* octets read at once */

static struct {
	bool imap;
	uint16_t port;
	SSL_CTX *tls; /* NULL: clear text */
} server;

/* ---- one connection: whatever goes wrong with it is the end ----------------------------- */

struct link {
	int fd;
	SSL *ssl;
	size_t at, n; /* of room: what was not taken yet */
	char room[ROOM];
};

static void
link_open(struct link *l)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	                         .sin_port = htons(server.port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1;

	l->at = l->n = 0;
	l->ssl = NULL;
	if ((l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    connect(l->fd, (struct sockaddr *)&to, sizeof to) == -1)
		err(1, "port %u", server.port);
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (server.tls == NULL)
		return;
	if ((l->ssl = SSL_new(server.tls)) == NULL || SSL_set_fd(l->ssl, l->fd) != 1 ||
	    SSL_connect(l->ssl) != 1)
		errx(1, "port %u: no TLS", server.port);
}

static void
link_close(struct link *l)
{
	SSL_free(l->ssl);
	close(l->fd);
}

static void
link_say(struct link *l, const char *text, size_t n)
{
	bool said = l->ssl != NULL ? SSL_write(l->ssl, text, (int)n) == (int)n
	                           : send(l->fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;

	if (!said)
		errx(1, "cannot say %.*s", (int)n, text);
}

/* More octets behind those that are there; false: the server has ended it. */
static bool
link_more(struct link *l)
{
	int one = 1;
	ssize_t n;

	if (l->at == l->n)
		l->at = l->n = 0;
	else if (l->at > 0 && l->n == ROOM) {
		memmove(l->room, l->room + l->at, l->n - l->at);
		l->n -= l->at;
		l->at = 0;
	}
	if (l->n == ROOM)
		errx(1, "a line without an end");
	n = l->ssl != NULL ? SSL_read(l->ssl, l->room + l->n, (int)(ROOM - l->n))
	                   : recv(l->fd, l->room + l->n, ROOM - l->n, 0);
	/* the kernel forgets it: an acknowledgement that waits would be timed, not the server */
	setsockopt(l->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
	if (n <= 0)
		return false;
	l->n += (size_t)n;
	return true;
}

/* The next line without its CRLF, good until the next call. */
static struct span
link_line(struct link *l)
{
	char *end;
	struct span line;

	while ((end = memchr(l->room + l->at, '\n', l->n - l->at)) == NULL)
		if (!link_more(l))
			errx(1, "the server hung up");
	line = (struct span){l->room + l->at, (size_t)(end - l->room) - l->at};
	l->at += line.n + 1;
	if (line.n == 0 || line.p[line.n - 1] != '\r')
		errx(1, "a line that does not end in CRLF: %.*s", (int)line.n, line.p);
	line.n--;
	return line;
}

/* These octets come next. */
static void
link_same(struct link *l, struct span want, const char *what, size_t which)
{
	size_t n;

	while (want.n > 0) {
		if (l->at == l->n && !link_more(l))
			errx(1, "%s %zu: the server hung up", what, which);
		n = l->n - l->at < want.n ? l->n - l->at : want.n;
		if (memcmp(l->room + l->at, want.p, n) != 0)
			errx(1, "%s %zu: other octets than were stored", what, which);
		l->at += n;
		want = span_from(want, n);
	}
}

static void
link_end(struct link *l)
{
	if (l->at < l->n || link_more(l))
		errx(1, "more after the end: %.*s", (int)(l->n - l->at),
		     l->room + l->at);
}

/* ---- what both workloads say ------------------------------------------------------------ */

static void __attribute__((format(printf, 2, 3)))
say(struct link *l, const char *format, ...)
{
	char text[SAY_MAX];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	link_say(l, text, (size_t)n);
}

static struct span
expect(struct link *l, const char *start)
{
	struct span line = link_line(l);

	if (!span_starts(line, span_of(start)))
		errx(1, "expected %s, not %.*s", start, (int)line.n, line.p);
	return line;
}

/* Lines up to the one that begins so; the number before `word` in one of them must be `want`. */
static void
expect_among(struct link *l, const char *start, const char *word, size_t want)
{
	char told[SAY_MAX];
	bool found = word == NULL;

	if (word != NULL)
		snprintf(told, sizeof told, "* %zu %s", want, word);
	for (;;) {
		struct span line = link_line(l);

		found |= word != NULL && span_eq(line, span_of(told));
		if (span_starts(line, span_of(start)))
			break;
		if (!span_starts(line, SPAN("* ")))
			errx(1, "expected %s, not %.*s", start, (int)line.n, line.p);
	}
	if (!found)
		errx(1, "there was no %s before %s", told, start);
}

static void
log_in(struct link *l, const char *user)
{
	if (server.imap) {
		expect(l, "* OK ");
		say(l, "a LOGIN %s secret-%s\r\n", user, user);
		expect_among(l, "a OK ", NULL, 0);
		return;
	}
	expect(l, "+OK");
	say(l, "USER %s\r\n", user);
	expect(l, "+OK");
	say(l, "PASS secret-%s\r\n", user);
	expect(l, "+OK");
}

static void
log_out(struct link *l)
{
	if (server.imap) {
		say(l, "z LOGOUT\r\n");
		expect(l, "* BYE ");
		expect(l, "z OK ");
	} else {
		say(l, "QUIT\r\n");
		expect(l, "+OK");
	}
	link_end(l);
}

/* ---- logging in again and again ---------------------------------------------------------- */

struct logins {
	size_t each, clients, messages, octets, users;
};

struct client {
	const struct logins *what;
	size_t number;
	pthread_t thread;
};

static void
look(struct link *l, const struct logins *what)
{
	char want[SAY_MAX];

	if (server.imap) {
		say(l, "b SELECT INBOX\r\n");
		expect_among(l, "b OK ", "EXISTS", what->messages);
		return;
	}
	snprintf(want, sizeof want, "+OK %zu %zu", what->messages, what->octets);
	say(l, "STAT\r\n");
	if (!span_eq(expect(l, "+OK"), span_of(want)))
		errx(1, "STAT did not say %s", want);
}

static void *
run_client(void *arg)
{
	const struct client *c = arg;
	struct link *l = malloc(sizeof *l);
	char user[32];

	if (l == NULL)
		err(1, NULL);
	for (size_t i = 0; i < c->what->each; i++) {
		/* nobody is logged in twice: POP3 would not have it */
		snprintf(user, sizeof user, "u%zu",
		         (c->number + i * c->what->clients) % c->what->users);
		link_open(l);
		log_in(l, user);
		look(l, c->what);
		log_out(l);
		link_close(l);
	}
	free(l);
	return NULL;
}

static void
log_in_often(const struct logins *what)
{
	struct client *c = calloc(what->clients, sizeof *c);

	if (c == NULL)
		err(1, NULL);
	for (size_t i = 0; i < what->clients; i++) {
		c[i] = (struct client){.what = what, .number = i};
		if (pthread_create(&c[i].thread, NULL, run_client, &c[i]) != 0)
			errx(1, "no thread");
	}
	for (size_t i = 0; i < what->clients; i++)
		pthread_join(c[i].thread, NULL);
	free(c);
}

/* ---- fetching a mailbox ------------------------------------------------------------------ */

struct message {
	struct span wire;
	struct span stuffed; /* as POP3 sends it, up to the dot that ends it */
	bool
	    unended; /* stored without a last line end, of which others announce less */
};

struct corpus {
	bool strict;
	size_t n, octets;
	struct message *message;
};

static struct span
map_file(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *p;

	if (fd == -1 || fstat(fd, &st) == -1 ||
	    (p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE,
	              fd, 0)) == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	return (struct span){p, (size_t)st.st_size};
}

/* RFC 1939 section 3, written here once more. */
static struct span
stuff(struct span wire)
{
	char *out = malloc(2 * wire.n + 3), *p = out;

	if (out == NULL)
		err(1, NULL);
	for (size_t i = 0; i < wire.n; i++) {
		if (wire.p[i] == '.' && (i == 0 || wire.p[i - 1] == '\n'))
			*p++ = '.';
		*p++ = wire.p[i];
	}
	memcpy(p, ".\r\n", 3);
	return (struct span){out, (size_t)(p + 3 - out)};
}

/* PATH.sizes: one line for each message, octets, then `-` if it is unended. PATH.wire. */
static struct corpus
read_corpus(const char *path)
{
	struct corpus c = {0};
	struct span sizes, wire, line;
	char name[512];

	snprintf(name, sizeof name, "%s.sizes", path);
	sizes = map_file(name);
	snprintf(name, sizeof name, "%s.wire", path);
	wire = map_file(name);
	while (span_cut(&sizes, '\n', &line) && line.n > 0) {
		struct message m = {0};
		uint64_t size;

		m.unended = line.p[line.n - 1] == '-';
		line.n -= m.unended;
		if (num_u64(line, &size) == -1 || size > wire.n ||
		    (c.message = realloc(c.message, (c.n + 1) * sizeof m)) == NULL)
			errx(1, "%s: message %zu", path, c.n + 1);
		m.wire = (struct span){wire.p, size};
		if (!server.imap)
			m.stuffed = stuff(m.wire);
		wire = span_from(wire, size);
		c.octets += size;
		c.message[c.n++] = m;
	}
	return c;
}

/* Is it the size to be announced? */
static void
judge_size(const struct corpus *c, size_t i, uint64_t size)
{
	const struct message *m = &c->message[i];

	if (size != m->wire.n && (c->strict || !m->unended || size + 2 != m->wire.n))
		errx(1, "message %zu: announced with %ju octets instead of %zu", i + 1,
		     (uintmax_t)size, m->wire.n);
}

static uint64_t
number_in(struct span *rest)
{
	struct span word;
	uint64_t n;

	if (!span_word(rest, &word) || num_u64(word, &n) == -1)
		errx(1, "expected a number before %.*s", (int)rest->n, rest->p);
	return n;
}

/* Every size, as LIST says it. */
static void
pop3_list(struct link *l, const struct corpus *c)
{
	say(l, "LIST\r\n");
	expect(l, "+OK");
	for (size_t i = 0; i < c->n; i++) {
		struct span line = link_line(l);

		if (number_in(&line) != i + 1)
			errx(1, "LIST: message %zu is not there", i + 1);
		judge_size(c, i, number_in(&line));
	}
	expect(l, ".");
}

static void
pop3_fetch(struct link *l, const struct corpus *c)
{
	struct span line;

	pop3_list(l, c);
	for (size_t i = 0; i < c->n; i++) {
		say(l, "RETR %zu\r\n", i + 1);
		line = span_from(expect(l, "+OK "), 4);
		judge_size(c, i, number_in(&line));
		link_same(l, c->message[i].stuffed, "RETR", i + 1);
	}
}

/* `* 1 FETCH (BODY[] {5}`: the size. */
static uint64_t
imap_literal(struct link *l, size_t i)
{
	char head[64];
	struct span line;
	uint64_t size;

	snprintf(head, sizeof head, "* %zu FETCH (BODY[] {", i + 1);
	line = span_from(expect(l, head), strlen(head));
	if (line.n < 2 || line.p[line.n - 1] != '}' ||
	    num_u64((struct span){line.p, line.n - 1}, &size) == -1)
		errx(1, "message %zu: not a literal", i + 1);
	return size;
}

static void
imap_fetch(struct link *l, const struct corpus *c)
{
	say(l, "b SELECT INBOX\r\n");
	expect_among(l, "b OK ", "EXISTS", c->n);
	say(l, "c FETCH 1:* BODY.PEEK[]\r\n");
	for (size_t i = 0; i < c->n; i++) {
		uint64_t size = imap_literal(l, i);

		judge_size(c, i, size);
		link_same(l, (struct span){c->message[i].wire.p, size}, "FETCH", i + 1);
		link_same(l, SPAN(")\r\n"), "end of FETCH", i + 1);
	}
	expect_among(l, "c OK ", NULL, 0);
}

static void
fetch_all(const char *user, const struct corpus *c)
{
	struct link *l = malloc(sizeof *l);

	if (l == NULL)
		err(1, NULL);
	link_open(l);
	log_in(l, user);
	if (server.imap)
		imap_fetch(l, c);
	else
		pop3_fetch(l, c);
	log_out(l);
	link_close(l);
	free(l);
}

/* ---- the command line -------------------------------------------------------------------- */

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t
count(const char *text)
{
	uint64_t n;

	if (num_u64(span_of(text), &n) == -1)
		errx(2, "not a number: %s", text);
	return n;
}

static void __attribute__((noreturn)) usage(void)
{
	errx(2,
	     "usage: mailload imap|pop3 plain|tls PORT logins EACH CLIENTS MESSAGES "
	     "OCTETS USERS\n       mailload imap|pop3 plain|tls PORT fetch USER "
	     "CORPUS strict|lenient\nThe users are u0, u1 and so on, the password of "
	     "u0 is secret-u0.");
}

int
main(int argc, char **argv)
{
	double began;

	if (argc < 8)
		usage();
	server.imap = strcmp(argv[1], "imap") == 0;
	server.port = (uint16_t)count(argv[3]);
	if (strcmp(argv[2], "tls") == 0 &&
	    (server.tls = SSL_CTX_new(TLS_client_method())) == NULL)
		errx(1, "no TLS");
	if (strcmp(argv[4], "logins") == 0 && argc == 10) {
		struct logins what = {count(argv[5]), count(argv[6]), count(argv[7]),
		                      count(argv[8]), count(argv[9])};

		began = now_s();
		log_in_often(&what);
	} else if (strcmp(argv[4], "fetch") == 0 && argc == 8) {
		struct corpus c = read_corpus(argv[6]);

		c.strict = strcmp(argv[7], "strict") == 0;
		began = now_s();
		fetch_all(argv[5], &c);
	} else
		usage();
	printf("%.6f\n", now_s() - began);
	return 0;
}
