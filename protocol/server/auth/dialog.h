/*
 * dialog: one SASL dialogue, from the command to the verdict. PLAIN, LOGIN, EXTERNAL and
 * ANONYMOUS are here; the others are Cyrus SASL's (cyrus.h). Blocks while the databases are
 * asked: in workers only.
 */
#ifndef AUTH_DIALOG_H
#define AUTH_DIALOG_H

#include "protocol/server/authdb.h"

#define DIALOG_TEXT_MAX 360 /* octets of a challenge: a line of PRELOGIN_REPLY_MAX */

enum dialog_ev {
	DIALOG_CHALLENGE, /* `out` goes to the client, whose answer is pushed */
	DIALOG_FOUND,     /* who: *user */
	DIALOG_NOBODY,    /* wrong, or nonsense */
	DIALOG_FAILED,    /* cannot tell now */
};

struct dialog;

/* Once, before anything else: what the mechanisms need. -1 after a log line. */
int dialog_prepare(const struct config *);

/* Begin one; `mech` of protocol/mech.h, one that is configured. NULL: out of memory. */
struct dialog *dialog_begin(const struct config *, unsigned mech,
                            const struct authdb_peer *);

/*
 * The client's answer; NULL: it sent none with its command. `out` (empty) gets a challenge.
 * After anything but CHALLENGE the dialogue is over.
 */
enum dialog_ev dialog_push(struct dialog *, const struct span *answer, struct buf *out,
                           struct authdb_user *user);

/* Who the client says it is, as far as it has; for the log. Borrowed. */
struct span dialog_name(const struct dialog *);

void dialog_end(struct dialog *); /* no secret is left in memory; NULL is fine */

#endif
