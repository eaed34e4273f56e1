/*
 * capa: the reply to CAPA (RFC 2449). What is announced before login is announced
 * after it too (section 5), so both states share this one list.
 */
#ifndef POP3_CAPA_H
#define POP3_CAPA_H

#include "storage/base/buf.h"

/*
 * The whole multi-line reply; `user`: USER and PASS are to be had; `stls`: TLS can be begun;
 * `mechs`: those of mech.h for AUTH. -1: `out` is full.
 */
int capa_reply(bool user, bool stls, unsigned mechs, struct buf *out);

#endif
