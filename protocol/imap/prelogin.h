/*
 * prelogin: IMAP before login (RFC 9051 section 3.1: not authenticated) as a pure state
 * machine: octets in, replies out, no descriptor and no clock. It is used like POP3's, see
 * pop3/prelogin.h. Its memory is the struct and, while a command comes in, at most
 * IMAP_PRELOGIN_ARENA octets of the heap.
 */
#ifndef IMAP_PRELOGIN_H
#define IMAP_PRELOGIN_H

#include <stdint.h>

#include "protocol/imap/parser.h"
#include "protocol/prelogin.h"
#include "storage/base/line.h"

/* What an outsider can push against; see protocol/prelogin.h too. */
enum {
	IMAP_PRELOGIN_LINE =
	    1600, /* octets of a command: AUTHENTICATE with all in it */
	IMAP_PRELOGIN_LITERALS = 768,  /* octets of literals of a command */
	IMAP_PRELOGIN_SWALLOW = 65536, /* of a literal that is refused while it comes */
	IMAP_PRELOGIN_PASSWORD = 512,  /* octets of a password */
	IMAP_PRELOGIN_ARENA = 8192,    /* of memory for a command */
};

struct imap_prelogin {
	const struct prelogin_conf *conf;
	struct parser parser;
	struct arena arena;
	struct prelogin_talk talk;
	struct line line; /* of the dialogue: the client's answer, in the arena */
	bool answering;   /* the next line is one */
	uint8_t bad, refused;
	uint8_t tag_size;
	uint16_t user_size, password_size;
	char tag[64]; /* of the login at hand; the session answers under it */
	char user[PRELOGIN_USER_MAX];
	char password[IMAP_PRELOGIN_PASSWORD];
};

/* Begin a connection: the greeting goes to `out`. `p` need not be initialised. */
void imap_prelogin_open(struct imap_prelogin *p, const struct prelogin_conf *,
                        struct buf *out);

/* As prelogin_push() of POP3. */
enum prelogin_ev imap_prelogin_push(struct imap_prelogin *, struct span *in,
                                    struct buf *out);

/*
 * TLS is on now: forget what was said before (RFC 9051 section 6.2.1), but not how often it
 * was nonsense. There is no second greeting.
 */
void imap_prelogin_restart(struct imap_prelogin *, const struct prelogin_conf *);

/* LOGIN: the name is fit to be one, the password is not empty and holds no NUL. */
static inline struct span
imap_prelogin_user(const struct imap_prelogin *p)
{
	return (struct span){p->user, p->user_size};
}

static inline struct span
imap_prelogin_password(const struct imap_prelogin *p)
{
	return (struct span){p->password, p->password_size};
}

static inline struct span
imap_prelogin_tag(const struct imap_prelogin *p)
{
	return (struct span){p->tag, p->tag_size};
}

/* BEGIN or ANSWER was not the end: what the client is told. MORE or CLOSE. */
enum prelogin_ev imap_prelogin_challenge(struct imap_prelogin *, struct span,
                                         struct buf *out);

/*
 * The verdict on a LOGIN, BEGIN or ANSWER was no. The reply goes to `out`; MORE or CLOSE. A yes has no
 * call: the session says `TAG OK` once it is there.
 */
enum prelogin_ev imap_prelogin_refuse(struct imap_prelogin *, enum prelogin_why,
                                      struct buf *out);

/* No secret is left in memory, and no memory. */
void imap_prelogin_wipe(struct imap_prelogin *);

/* Is this what a tag may be? For those who are told one. */
bool imap_prelogin_is_tag(struct span);

#endif
