/*
 * dialect: what differs between the protocols before login, for a connection that is the
 * same otherwise. The machines are pop3/prelogin.h and imap/prelogin.h.
 */
#ifndef LOGIN_DIALECT_H
#define LOGIN_DIALECT_H

#include "protocol/imap/prelogin.h"
#include "protocol/pop3/prelogin.h"

/* A connection's state in its protocol. */
union speaker {
	struct prelogin pop3;
	struct imap_prelogin imap;
};

/* What a session that follows must know: fields of START. Borrowed from the speaker. */
struct dialect_start {
	struct span tag, lang, utf8;
};

struct dialect {
	const char *name; /* of the protocol, in messages */
	const char *stop; /* the server ends */
	const char *late; /* too long without a login; "": nothing is said */
	void (*open)(union speaker *, const struct prelogin_conf *, struct buf *out);
	void (*restart)(union speaker *, const struct prelogin_conf *); /* TLS is on */
	enum prelogin_ev (*push)(union speaker *, struct span *in, struct buf *out);
	enum prelogin_ev (*refuse)(union speaker *, enum prelogin_why, struct buf *out);
	enum prelogin_ev (*challenge)(union speaker *, struct span, struct buf *out);
	const struct prelogin_talk *(*talk)(const union speaker *);
	struct span (*user)(const union speaker *);
	struct span (*password)(const union speaker *);
	struct dialect_start (*start)(const union speaker *);
	void (*wipe)(union speaker *);
};

extern const struct dialect dialect_pop3, dialect_imap;

#endif
