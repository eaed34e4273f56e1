#include "protocol/server/msg.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "protocol/server/username.h"
#include "storage/base/io.h"
#include "storage/base/num.h"

static const struct row {
	const char *name;
	enum msg_peer from, to;
	uint8_t fields;
	bool fd;
	bool last_raw; /* the last field may hold anything, NULs too */
} table[MSG_NTYPE] = {
    [MSG_PEER_LOGIN] = {"login", MSG_PARENT, MSG_AUTHD, 1, true, false},
    [MSG_PEER_AUTH] = {"auth-socket", MSG_PARENT, MSG_LOGIN, 0, true, false},
    [MSG_ROOM] = {"room", MSG_PARENT, MSG_LOGIN, 0, false, false},
    [MSG_RETIRE] = {"retire", MSG_PARENT, MSG_LOGIN, 0, false, false},
    [MSG_CLIENTS] = {"clients", MSG_LOGIN, MSG_PARENT, 1, false, false},
    [MSG_AUTH] = {"auth", MSG_LOGIN, MSG_AUTHD, 7, false, false},
    [MSG_BEGIN] = {"begin", MSG_LOGIN, MSG_AUTHD, 8, false, true},
    [MSG_ANSWER] = {"answer", MSG_LOGIN, MSG_AUTHD, 2, false, true},
    [MSG_ABORT] = {"abort", MSG_LOGIN, MSG_AUTHD, 1, false, false},
    [MSG_CHALLENGE] = {"challenge", MSG_AUTHD, MSG_LOGIN, 2, false, true},
    [MSG_OK] = {"ok", MSG_AUTHD, MSG_LOGIN, 1, false, false},
    [MSG_NO] = {"no", MSG_AUTHD, MSG_LOGIN, 2, false, false},
    [MSG_SESSION] = {"session", MSG_AUTHD, MSG_PARENT, 1 + RECORD_FIELDS, false, false},
    [MSG_START] = {"start", MSG_LOGIN, MSG_PARENT, 7, true, true},
    [MSG_LOOKUP] = {"lookup", MSG_PARENT, MSG_AUTHD, 2, false, false},
    [MSG_LIST] = {"list", MSG_PARENT, MSG_AUTHD, 1, false, false},
    [MSG_USER] = {"user", MSG_AUTHD, MSG_PARENT, 1 + RECORD_FIELDS, false, false},
    [MSG_NOUSER] = {"nouser", MSG_AUTHD, MSG_PARENT, 1, false, false},
    [MSG_LATER] = {"later", MSG_AUTHD, MSG_PARENT, 1, false, false},
    [MSG_NAMES] = {"names", MSG_AUTHD, MSG_PARENT, 2, false, false},
    [MSG_CHECK] = {"check", MSG_AUTHD, MSG_WORKER, 7, false, false},
    [MSG_SAY] = {"begin", MSG_AUTHD, MSG_WORKER, 8, false, true},
    [MSG_GO_ON] = {"answer", MSG_AUTHD, MSG_WORKER, 2, false, true},
    [MSG_DROP] = {"drop", MSG_AUTHD, MSG_WORKER, 1, false, false},
    [MSG_TURN] = {"challenge", MSG_WORKER, MSG_AUTHD, 1, false, true},
    [MSG_FIND] = {"find", MSG_AUTHD, MSG_WORKER, 1, false, false},
    [MSG_ALL] = {"all", MSG_AUTHD, MSG_WORKER, 0, false, false},
    [MSG_RECORD] = {"record", MSG_WORKER, MSG_AUTHD, RECORD_FIELDS, false, false},
    [MSG_NOBODY] = {"nobody", MSG_WORKER, MSG_AUTHD, 1, false, false},
    [MSG_FAILED] = {"failed", MSG_WORKER, MSG_AUTHD, 0, false, false},
    [MSG_ALLNAMES] = {"allnames", MSG_WORKER, MSG_AUTHD, 1, false, false},
};

bool
msg_has_fd(enum msg_type t)
{
	return table[t].fd;
}

static enum msg_type
find(struct span name, enum msg_peer from, enum msg_peer to)
{
	enum msg_type t = 0;

	while (t < MSG_NTYPE && (table[t].from != from || table[t].to != to ||
	                         !span_eq(name, span_of(table[t].name))))
		t++;
	return t;
}

/* One field more: the octets up to the next NUL, or all of them when it is raw. */
static int
take_field(struct span *rest, bool raw, struct msg *m)
{
	struct span f = *rest;
	const char *nul = memchr(rest->n > 0 ? rest->p : "", '\0', rest->n);

	if (!raw && nul != NULL) {
		f.n = (size_t)(nul - rest->p);
		*rest = span_from(*rest, f.n + 1);
	} else {
		*rest = (struct span){NULL, 0};
	}
	m->f[m->n++] = f;
	return raw || nul == NULL ? 0 : 1; /* 1: another one follows */
}

int
msg_parse(struct span packet, enum msg_peer from, enum msg_peer to, struct msg *m)
{
	const char *nul = memchr(packet.n > 0 ? packet.p : "", '\0', packet.n);
	struct span name = {packet.p, nul ? (size_t)(nul - packet.p) : packet.n};
	const struct row *row;
	bool more = nul != NULL;

	*m = (struct msg){.type = find(name, from, to)};
	if (m->type == MSG_NTYPE)
		goto bad;
	row = &table[m->type];
	packet = span_from(packet, name.n + (more ? 1 : 0));
	while (more && m->n < row->fields)
		more = take_field(&packet, row->last_raw && m->n + 1 == row->fields,
		                  m) == 1;
	if (more || m->n != row->fields)
		goto bad;
	return 0;
bad:
	errno = EPROTO;
	return -1;
}

int
msg_send(int sock, int fd, enum msg_type type, const struct span *f, size_t n)
{
	const struct row *row = &table[type];
	struct buf b = {.max = MSG_PACKET_MAX};
	int rc = -1;

	if (buf_add(&b, span_of(row->name)) == -1)
		goto out;
	for (size_t i = 0; i < n; i++) {
		if (f[i].n > 0 && !(row->last_raw && i + 1 == n) &&
		    memchr(f[i].p, '\0', f[i].n) != NULL) {
			errno = EINVAL;
			goto out;
		}
		if (buf_addc(&b, '\0') == -1 || buf_add(&b, f[i]) == -1)
			goto out;
	}
	if (fd != -1)
		rc = io_send_fd(sock, fd, buf_span(&b));
	else {
		ssize_t sent;

		while ((sent = send(sock, b.p, b.n, MSG_NOSIGNAL)) == -1 &&
		       errno == EINTR)
			;
		rc = sent == -1 ? -1 : 0;
	}
out:
	if (b.p != NULL) /* passwords pass through here */
		explicit_bzero(b.p, b.cap);
	buf_free(&b);
	return rc;
}

int
msg_recv(int sock, enum msg_peer from, enum msg_peer to, char *room, size_t cap,
         struct msg *m, int *fd)
{
	ssize_t n = io_recv_fd(sock, fd, room, cap);

	if (n == 0 || (n == -1 && (errno == ECONNRESET || errno == EPIPE)))
		return 0;
	if (n == -1)
		return -1;
	if (msg_parse((struct span){room, (size_t)n}, from, to, m) == -1 ||
	    msg_has_fd(m->type) != (*fd != -1)) {
		if (*fd != -1)
			close(*fd);
		*fd = -1;
		errno = EPROTO;
		return -1;
	}
	return 1;
}

/* ---- records -------------------------------------------------------------------------- */

static bool
is_groups(struct span s)
{
	struct span rest = s, one;
	uint32_t gid;

	if (span_eq(s, SPAN("-")))
		return true;
	while (span_cut(&rest, ',', &one))
		if (num_u32(one, &gid) == -1)
			return false;
	return s.n > 0 && s.p[s.n - 1] != ',';
}

int
record_parse(const struct msg *m, size_t first, struct record *r)
{
	const struct span *f = m->f + first;

	*r = (struct record){
	    .user = f[0], .groups = f[3], .home = f[4], .location = f[5]};
	if (first + RECORD_FIELDS != m->n || !username_valid(f[0]) ||
	    num_u32(f[1], &r->uid) == -1 || num_u32(f[2], &r->gid) == -1 ||
	    !is_groups(f[3]) || (f[4].n > 0 && f[4].p[0] != '/') || f[5].n == 0) {
		errno = EPROTO;
		return -1;
	}
	return 0;
}

void
record_fields(const struct record *r, struct record_room *room, struct span *f)
{
	snprintf(room->uid, sizeof room->uid, "%u", r->uid);
	snprintf(room->gid, sizeof room->gid, "%u", r->gid);
	f[0] = r->user;
	f[1] = span_of(room->uid);
	f[2] = span_of(room->gid);
	f[3] = r->groups;
	f[4] = r->home;
	f[5] = r->location;
}
