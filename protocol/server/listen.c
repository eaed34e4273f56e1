#include "protocol/server/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "storage/base/log.h"

/* A socket that listens there. -1 errno. */
static int
try_socket(const struct addrinfo *a)
{
	int one = 1, saved, fd;

	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static bool
listens_there(int fd, const struct addrinfo *a)
{
	struct sockaddr_storage own = {0};
	socklen_t size = sizeof own;

	return getsockname(fd, (struct sockaddr *)&own, &size) == 0 &&
	       size == a->ai_addrlen && memcmp(&own, a->ai_addr, size) == 0;
}

/* One of the sockets that there were. -1: none is there. */
static int
find_old(struct listen_set *s, const struct addrinfo *a)
{
	for (size_t i = 0; s->old != NULL && i < s->old->n; i++)
		if (!s->old->kept[i] && listens_there(s->old->fd[i], a)) {
			s->old->kept[i] = s->kept[s->n] = true;
			return s->old->fd[i];
		}
	return -1;
}

/*
 * The processes of a server that was killed a moment ago may hold the port still; at a reload
 * there is none, and others would wait meanwhile.
 */
static int
open_socket(struct listen_set *s, const struct addrinfo *a)
{
	int fd = find_old(s, a);

	if (fd != -1)
		return fd;
	if (s->old != NULL)
		return try_socket(a);
	for (int i = 0; (fd = try_socket(a)) == -1 && errno == EADDRINUSE &&
	                i < LISTEN_PATIENCE_MS / 100;
	     i++)
		poll(NULL, 0, 100);
	return fd;
}

static int
open_found(const struct addrinfo *found, const char *host, uint32_t port,
           struct listen_set *s)
{
	int rc = 0;

	for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
		int fd;

		if (s->n == LISTEN_MAX) {
			log_error("more than %d listening sockets", LISTEN_MAX);
			return -1;
		}
		if ((fd = open_socket(s, a)) != -1) {
			s->fd[s->n++] = fd;
		} else if (errno == EAFNOSUPPORT ||
		           (errno == EADDRNOTAVAIL && strcmp(host, "::") == 0)) {
			log_warn("not listening on %s: this machine has no IPv6", host);
		} else {
			log_error("cannot listen on %s port %u: %s", host, port,
			          strerror(errno));
			rc = -1;
		}
	}
	return rc;
}

static int
open_address(struct span address, uint32_t port, struct listen_set *s)
{
	struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	                         .ai_socktype = SOCK_STREAM},
	                *found;
	char host[256], service[8];
	int rc;

	if (address.n > 1 && address.p[0] == '[' && address.p[address.n - 1] == ']')
		address = (struct span){address.p + 1, address.n - 2};
	if (span_eq(address, SPAN("*")))
		address = SPAN("0.0.0.0");
	if (span_cstr(address, host, sizeof host) == -1) {
		log_error("an address to listen on is too long");
		return -1;
	}
	snprintf(service, sizeof service, "%u", port);
	if ((rc = getaddrinfo(host, service, &hints, &found)) != 0) {
		log_error("cannot listen on %s: %s", host, gai_strerror(rc));
		return -1;
	}
	rc = open_found(found, host, port, s);
	freeaddrinfo(found);
	return rc;
}

static int
open_listener(const struct config *c, const char *addresses, uint32_t port,
              struct listen_set *s)
{
	struct span rest =
	    span_of(addresses != NULL ? addresses : c->text[CONF_LISTEN]);
	struct span part, w;
	int rc = 0;

	while (span_cut(&rest, ',', &part))
		while (span_word(&part, &w))
			if (open_address(w, port, s) == -1)
				rc = -1;
	return rc;
}

static const struct kind {
	const char *name; /* of the usual listener, and of the protocol in version 1 */
	const char *protocol, *service;
	uint32_t port;
	bool tls;
} kinds[LISTEN_KINDS] = {
    [LISTEN_POP3] = {"pop3", "pop3", "pop3-login", 110, false},
    [LISTEN_POP3S] = {"pop3s", "pop3", "pop3-login", 995, true},
    [LISTEN_IMAP] = {"imap", "imap", "imap-login", 143, false},
    [LISTEN_IMAPS] = {"imaps", "imap", "imap-login", 993, true},
};

static bool
has_protocol(const struct config *c, const char *name)
{
	return config_has_word(c, CONF_PROTOCOLS, span_of(name));
}

/* Does the protocol have the listener that nothing says anything of? */
static bool
is_usual(const struct config *c, const struct kind *k)
{
	for (size_t i = 0; i < c->nlistener; i++)
		if (strcmp(c->listener[i].service, k->service) == 0 &&
		    strcmp(c->listener[i].name, k->name) == 0)
			return false;
	return has_protocol(c, k->protocol) || (k->tls && has_protocol(c, k->name));
}

static int
open_kind(const struct config *c, enum listen_kind which, struct listen_set *s)
{
	const struct kind *k = &kinds[which];
	bool tls = config_has_tls(c);
	size_t before = s->n;
	int rc = 0;

	if (!config_serves(c, k->protocol))
		return 0;
	for (size_t i = 0; i < c->nlistener; i++) {
		const struct conf_listener *l = &c->listener[i];

		if (strcmp(l->service, k->service) != 0 || l->ssl != k->tls ||
		    l->port == 0)
			continue;
		if (l->ssl && !tls)
			log_warn("not listening on port %u (%s): %s", l->port, l->name,
			         c->num[CONF_SSL] == CONF_SSL_NO ? "ssl = no"
			                                         : "there is no ssl_cert");
		else if (open_listener(c, l->address, l->port, s) == -1)
			rc = -1;
	}
	if (is_usual(c, k) && (tls || !k->tls) &&
	    open_listener(c, NULL, k->port, s) == -1)
		rc = -1;
	s->of[which] = s->n - before;
	return rc;
}

/* -1 after logging why. */
static int
fill(const struct config *c, struct listen_set *s)
{
	int rc = 0;

	for (int k = 0; k < LISTEN_KINDS; k++)
		if (open_kind(c, (enum listen_kind)k, s) == -1)
			rc = -1;
	if (rc == 0 && s->n == 0) {
		log_error(
		    "there is nothing to listen on: set protocols = imap pop3, and "
		    "a port in service imap-login { inet_listener imap { port = 143 "
		    "} }");
		rc = -1;
	}
	return rc;
}

int
listen_open(const struct config *c, struct listen_set *s)
{
	*s = (struct listen_set){0};
	if (fill(c, s) == 0)
		return 0;
	listen_close(s);
	return -1;
}

/* Those that no other set has. */
static void
close_those(struct listen_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (!s->kept[i])
			close(s->fd[i]);
}

int
listen_reload(const struct config *c, struct listen_set *old)
{
	struct listen_set fresh = {.old = old};
	int rc = fill(c, &fresh);

	close_those(rc == 0 ? old : &fresh);
	fresh.old = NULL;
	if (rc == 0)
		*old = fresh;
	memset(old->kept, 0, sizeof old->kept);
	return rc;
}

void
listen_close(struct listen_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		close(s->fd[i]);
	*s = (struct listen_set){0};
}
