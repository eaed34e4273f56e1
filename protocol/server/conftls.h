/* conftls: what a configuration says of TLS, judged as far as no file has to be read. Pure. */
#ifndef SERVER_CONFTLS_H
#define SERVER_CONFTLS_H

#include "protocol/server/config.h"

/* Notes what does not go together. */
void conftls_check(struct config *);

#endif
