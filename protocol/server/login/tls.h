/*
 * tls: TLS of one connection, on a non-blocking socket. Nothing here waits: what a call
 * cannot do now it says by EAGAIN, and tls_wants() says what to wait for.
 */
#ifndef LOGIN_TLS_H
#define LOGIN_TLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol/server/tlskeys.h"

struct tls_set; /* the certificates that there are */
struct tls;     /* one connection's */

/* NULL: there are none, or they cannot be used, which is logged. */
struct tls_set *tls_set_make(const struct config *, const struct tlskeys *);

/* The server's side of a connection that has not shaken hands; `fd` is borrowed. */
struct tls *tls_open(const struct tls_set *, int fd);
void tls_close(struct tls *);

/* It has logged in: now there is much to be written. */
void tls_grow(struct tls *);

/* 1: done; 0: wait; -1: it is not to be, *why says so (static). */
int tls_handshake(struct tls *, const char **why);

/*
 * As recv and send of a socket. 0: the client will send nothing more. A write that was
 * refused with EAGAIN is to be repeated with the same octets, which may lie elsewhere.
 */
ssize_t tls_read(struct tls *, void *, size_t);
ssize_t tls_write(struct tls *, const void *, size_t);

/* After EAGAIN, or a handshake that waits: wait until the socket can be written, not read? */
bool tls_wants_out(const struct tls *);

/* Are octets here already that tls_read() would give, though the socket be empty? */
bool tls_has_more(const struct tls *);

/* Tell the client that nothing more comes: 0, or -1 as tls_write(). */
int tls_end(struct tls *);

/*
 * The name in the client's certificate, when there is one that is good; the caller frees
 * it. NULL: no good certificate, or no such name in it.
 */
char *tls_cert_name(const struct tls *, const struct config *);

/* `TLSv1.3 TLS_AES_256_GCM_SHA384`, of a connection that has shaken hands. */
void tls_describe(const struct tls *, char *out, size_t cap);

#endif
