/*
 * session: POP3 after login (RFC 1939 TRANSACTION and UPDATE, RFC 2449, 6856) over a
 * frozen maildrop. Octets of commands are pushed in; replies go to `out`. Nothing is
 * removed before QUIT; whatever ends a session otherwise removes nothing.
 */
#ifndef POP3_SESSION_H
#define POP3_SESSION_H

#include "protocol/pop3/command.h"
#include "protocol/pop3/drop.h"
#include "protocol/pop3/lang.h"
#include "protocol/out.h"

#include "storage/base/line.h"

enum {
	SESSION_IDLE_MS = 10 * 60 * 1000, /* autologout (RFC 1939 section 3) */
	SESSION_BAD_MAX = 100,            /* bad commands, then it is no mail client */
};

enum session_ev {
	SESSION_MORE,   /* all was taken; everything is flushed */
	SESSION_QUIT,   /* QUIT was answered */
	SESSION_BROKEN, /* the connection is of no use any more: just close it */
};

struct session {
	struct view *view; /* borrowed; QUIT closes it */
	struct out *out;   /* borrowed */
	const struct uidl *uidl;
	const char *name; /* of the user, for the log */
	struct drop drop;
	struct reader reader;
	enum lang lang;
	unsigned bad;
	size_t removed; /* messages, by QUIT */
	struct line line;
	char room[COMMAND_MAX];
};

struct session_conf {
	const struct uidl *uidl; /* borrowed */
	const char *name;        /* borrowed */
	enum lang lang;
};

/*
 * Take the maildrop: lock, sync, freeze. -1 with errno: EBUSY when another session has it.
 */
int session_open(struct session *, const struct session_conf *, struct view *,
                 struct out *);

/* The -ERR line that tells a client what session_open's errno means. */
const char *session_refusal(int error);

enum session_ev session_push(struct session *, struct span in);
void session_close(struct session *);

#endif
