/*
 * tlskeys: certificates, keys and what else of TLS lies in files. The parent reads them as
 * root and judges them; mailtree-login, which opens no file, is given the octets. A key that
 * has a password is decrypted by the parent.
 */
#ifndef SERVER_TLSKEYS_H
#define SERVER_TLSKEYS_H

#include "protocol/server/config.h"

#define TLSKEYS_FILE_MAX (1 << 20) /* octets of one file */
#define TLSKEYS_ROWS_MAX (1 + CONF_LIST_MAX)

/* One certificate: PEM of the chain and of its key, and of another kind of key perhaps. */
struct tlskey {
	char *names; /* those of local_name; "": who asks for none of these */
	struct buf cert, key, alt_cert, alt_key;
};

struct tlskeys {
	struct tlskey *row; /* owned; the first is the usual one */
	size_t n;           /* 0: no TLS */
	struct buf ca, dh;
};

/*
 * Read what the settings name and try it out. Mistakes and warnings become notes. 0, or -1
 * when there was a mistake.
 */
int tlskeys_load(struct tlskeys *, struct config *);

/* As octets and back. -1: no memory, or no such octets. */
int tlskeys_print(const struct tlskeys *, struct buf *);
int tlskeys_parse(struct span, struct tlskeys *);

void tlskeys_free(struct tlskeys *); /* no key is left in memory */

#endif
