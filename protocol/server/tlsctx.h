/*
 * tlsctx: settings and octets into a context of OpenSSL. The parent makes one to see
 * whether it can be made, mailtree-login makes one to use it. openssl.cnf is not read: what
 * mailtree.conf says is all.
 */
#ifndef SERVER_TLSCTX_H
#define SERVER_TLSCTX_H

#include <openssl/ssl.h>

#include "protocol/server/tlskeys.h"

#define TLSCTX_CHAIN_MAX 16384 /* octets of certificates that a client may send */

/* Which setting OpenSSL does not accept, and why. */
struct tlsctx_fault {
	enum conf_key key;
	char text[256];
};

/* Before anything else of OpenSSL. */
void tlsctx_init(void);

/* For row `row` of the keys; the caller frees it. NULL with *fault. */
SSL_CTX *tlsctx_make(const struct config *, const struct tlskeys *, size_t row,
                     struct tlsctx_fault *);

#endif
