/*
 * msg: what the processes of the server say to each other. A message is one packet of
 * a SOCK_SEQPACKET socket, so its length comes with it: the name of the message and its
 * fields, separated by NULs, which no field can hold. The table in msg.c says who may
 * say what, with how many fields and whether a descriptor comes along; anything else
 * is an error of the sender, whom the receiver then drops.
 *
 * README.md tells when each is legal.
 */
#ifndef SERVER_MSG_H
#define SERVER_MSG_H

#include "storage/base/span.h"

#include <stdint.h>

#define MSG_PACKET_MAX 16384
#define MSG_FIELDS_MAX 9

enum msg_type {
	MSG_PEER_LOGIN, /* parent to auth, with a socket: a login process, its number */
	MSG_PEER_AUTH,  /* parent to login, with a socket: an auth process */
	MSG_ROOM,       /* parent to login: others wait, drop one who has not logged in */
	MSG_RETIRE,     /* parent to login: take no new clients, end when all are gone */
	MSG_CLIENTS,    /* login to parent: STATE (free, full, taken) */
	MSG_AUTH,       /* login to auth: ID PROTOCOL SECURED LOCAL REMOTE USER PASSWORD */
	MSG_BEGIN,      /* login to auth: ID PROTOCOL SECURED LOCAL REMOTE CERTIFICATE
	                   MECHANISM RESPONSE */
	MSG_ANSWER,     /* login to auth: ID RESPONSE */
	MSG_ABORT,      /* login to auth: ID */
	MSG_CHALLENGE,  /* auth to login: ID OCTETS */
	MSG_OK,         /* auth to login: ID */
	MSG_NO,         /* auth to login: ID why (wrong, later) */
	MSG_SESSION,    /* auth to parent: ID and a user's record */
	MSG_START,    /* login to parent, with the client:
	                 ID PROTOCOL TAG LANG UTF8 ADDRESS LEFTOVER */
	MSG_LOOKUP,   /* parent to auth: ID NAME */
	MSG_LIST,     /* parent to auth: ID */
	MSG_USER,     /* auth to parent: ID and a user's record */
	MSG_NOUSER,   /* auth to parent: ID */
	MSG_LATER,    /* auth to parent: ID */
	MSG_NAMES,    /* auth to parent: ID NAMES (blank between) */
	MSG_CHECK,    /* auth to its worker: as AUTH */
	MSG_SAY,      /* auth to its worker: as BEGIN */
	MSG_GO_ON,    /* auth to its worker: as ANSWER */
	MSG_DROP,     /* auth to its worker: ID, of which nothing more is heard */
	MSG_TURN,     /* worker to auth: OCTETS of a challenge */
	MSG_FIND,     /* auth to its worker: NAME */
	MSG_ALL,      /* auth to its worker */
	MSG_RECORD,   /* worker to auth: a user's record */
	MSG_NOBODY,   /* worker to auth: NAME; no such user, or a wrong password */
	MSG_FAILED,   /* worker to auth: cannot tell now */
	MSG_ALLNAMES, /* worker to auth: NAMES (blank between) */
	MSG_NTYPE,
};

enum msg_peer { MSG_PARENT, MSG_AUTHD, MSG_LOGIN, MSG_WORKER };

struct msg {
	enum msg_type type;
	size_t n;                      /* fields */
	struct span f[MSG_FIELDS_MAX]; /* borrowed from the packet */
};

/*
 * Read a packet that came from `from` to `to`. 0, or -1 (EPROTO): not in the table, not
 * from this peer to that, or not so many fields. Pure.
 */
int msg_parse(struct span packet, enum msg_peer from, enum msg_peer to, struct msg *);

/* Does a descriptor belong to it? */
bool msg_has_fd(enum msg_type);

/*
 * Send; fd -1: none. Fields hold no NUL (EINVAL), except the last one of START and of
 * those with SASL's octets, which may hold anything. 0, or -1 errno: EAGAIN when the socket is full, EMSGSIZE.
 */
int msg_send(int sock, int fd, enum msg_type, const struct span *fields, size_t n);

/*
 * Receive into room[0..cap). 1; 0: the peer is gone, or EAGAIN: -1; -1 EPROTO: drop the
 * peer. *fd is the caller's, -1 unless the message has one.
 */
int msg_recv(int sock, enum msg_peer from, enum msg_peer to, char *room, size_t cap,
             struct msg *, int *fd);

#define MSG_SEND(sock, fd, type, ...)                                                  \
	msg_send(sock, fd, type, (struct span[]){__VA_ARGS__},                         \
	         sizeof((struct span[]){__VA_ARGS__}) / sizeof(struct span))

#define MSG_SEND_NONE(sock, fd, type) msg_send(sock, fd, type, NULL, 0)

/*
 * The fields that AUTH, BEGIN and their likes for workers begin with: ID and what is known
 * of the client. SECURED: `1` or `0`. CERTIFICATE is empty when there is none. RESPONSE:
 * empty when the client sent none with its command, else `=` and its octets.
 */
enum {
	MSG_F_ID,
	MSG_F_PROTOCOL,
	MSG_F_SECURED,
	MSG_F_LOCAL,
	MSG_F_REMOTE,
	MSG_F_USER,
	MSG_F_PASSWORD,
	MSG_F_CERTIFICATE = MSG_F_USER,
	MSG_F_MECHANISM,
	MSG_F_RESPONSE,
};

/* A user's record: as much as the parent and the mount need to act as the user. */
#define RECORD_FIELDS 6

struct record {
	struct span user;
	uint32_t uid, gid;
	struct span groups;   /* `5,6` or `-` */
	struct span home;     /* absolute, or empty */
	struct span location; /* `maildir:/home/a/Maildir` */
};

/* Fields from m->f[first] on. -1 (EPROTO) when they are no record. */
int record_parse(const struct msg *, size_t first, struct record *);

/* The other way, into f[RECORD_FIELDS]; the numbers are printed into `room`. */
struct record_room {
	char uid[12], gid[12];
};
void record_fields(const struct record *, struct record_room *, struct span *f);

#endif
