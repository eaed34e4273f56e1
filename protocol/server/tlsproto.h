/*
 * tlsproto: versions of TLS as configurations name them: ssl_min_protocol, and the list
 * ssl_protocols of versions before 2.3. Pure.
 */
#ifndef SERVER_TLSPROTO_H
#define SERVER_TLSPROTO_H

#include "protocol/server/config.h"

/* Bits. The first two are names that nothing speaks any more. */
enum tlsproto {
	TLSPROTO_SSL2 = 1,
	TLSPROTO_SSL3 = 2,
	TLSPROTO_10 = 4,
	TLSPROTO_11 = 8,
	TLSPROTO_12 = 16,
	TLSPROTO_13 = 32,
	TLSPROTO_SPOKEN = 60,
};

/* NULL, or what is wrong with the value of the setting. Static. */
const char *tlsproto_check_min(struct span);
const char *tlsproto_check_list(struct span);

/*
 * The versions that are to be spoken, as bits; 0: none is left. A list that only excludes
 * (`!SSLv3 !TLSv1`) brings nothing back that lies below ssl_min_protocol; one that names an
 * older version does, unless ssl_min_protocol is set too. Who allows 1.2 allows 1.3, which
 * older lists cannot name.
 */
unsigned tlsproto_allowed(const struct config *);

#endif
