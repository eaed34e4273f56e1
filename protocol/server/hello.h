/*
 * hello: the beginning of a handshake, looked at while it still lies in the kernel. OpenSSL is
 * given a connection only when its first record is there: whoever dribbles it, or announces
 * more than a client has to say, costs no memory of OpenSSL's, which would set 128 KB aside.
 */
#ifndef SERVER_HELLO_H
#define SERVER_HELLO_H

#include <stdint.h>

#include "storage/base/span.h"

#define HELLO_FIRST 9 /* octets that tell: the heads of the record and of the message */
#define HELLO_MAX   8192 /* octets of a ClientHello */
#define HELLO_LOOKS 8    /* calls of hello_look() that may say to wait */
#define HELLO_WAIT  4096 /* octets that are waited for; what is longer comes by and by */

/* From those octets: how many are to be there before it begins. 0: this is no ClientHello. */
size_t hello_needs(struct span first);

/*
 * Of a socket: 1: begin; 0: wait until it can be read, which is not before something has
 * changed; -1: no handshake will come. *looks, 0 at the start, counts the calls: when the kernel
 * has no room for what is waited for it wakes us again and again, and then is not waited for.
 */
int hello_look(int fd, uint8_t *looks);

#endif
