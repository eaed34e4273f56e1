#include "protocol/imap/capability.h"

#include <inttypes.h>

#include "protocol/mech.h"

#define BEFORE (CAPABILITY_LOGIN | CAPABILITY_CLOSED)
#define ALWAYS (BEFORE | CAPABILITY_USER)

/* Before login only what helps with logging in: the greeting of each client has it. */
static const struct row {
	const char *name;
	unsigned when;
} table[] = {
    {"IMAP4rev1", ALWAYS}, /* RFC 3501; first, as old clients look there */
    {"IMAP4rev2", ALWAYS}, /* RFC 9051 */
    {"LITERAL+", ALWAYS},  /* RFC 7888 */
    {"SASL-IR", BEFORE},   /* RFC 4959 */
    {"ID", ALWAYS},        /* RFC 2971 */
    {"ENABLE", ALWAYS},    /* RFC 5161 */
    {"IDLE", ALWAYS},      /* RFC 2177 */
    {"STARTTLS", CAPABILITY_STARTTLS}, /* RFC 9051 section 6.2.1 */
    {"LOGINDISABLED", CAPABILITY_CLOSED},
    {"NAMESPACE", CAPABILITY_USER},          /* RFC 2342 */
    {"UNSELECT", CAPABILITY_USER},           /* RFC 3691 */
    {"UIDPLUS", CAPABILITY_USER},            /* RFC 4315 */
    {"MOVE", CAPABILITY_USER},               /* RFC 6851 */
    {"CHILDREN", CAPABILITY_USER},           /* RFC 3348 */
    {"LIST-EXTENDED", CAPABILITY_USER},      /* RFC 5258 */
    {"LIST-STATUS", CAPABILITY_USER},        /* RFC 5819 */
    {"SPECIAL-USE", CAPABILITY_USER},        /* RFC 6154 */
    {"CREATE-SPECIAL-USE", CAPABILITY_USER}, /* RFC 6154 */
    {"ESEARCH", CAPABILITY_USER},            /* RFC 4731 */
    {"SEARCHRES", CAPABILITY_USER},          /* RFC 5182 */
    {"WITHIN", CAPABILITY_USER},             /* RFC 5032 */
    {"BINARY", CAPABILITY_USER},             /* RFC 3516 */
    {"MULTIAPPEND", CAPABILITY_USER},        /* RFC 3502 */
    {"STATUS=SIZE", CAPABILITY_USER},        /* RFC 8438 */
    {"CONDSTORE", CAPABILITY_USER},          /* RFC 7162 */
    {"QRESYNC", CAPABILITY_USER},            /* RFC 7162 */
    {"UTF8=ACCEPT", CAPABILITY_USER},        /* RFC 6855 */
    {"SAVEDATE", CAPABILITY_USER},           /* RFC 8514 */
};

int
capability_print(unsigned when, unsigned mechs, uint64_t append_max, struct buf *b)
{
	if (buf_add(b, SPAN("CAPABILITY")) == -1)
		return -1;
	for (const struct row *r = table; r < table + ARRAY_LEN(table); r++)
		if (r->when & when && buf_addf(b, " %s", r->name) == -1)
			return -1;
	if (mech_list(mechs, " AUTH=", b) == -1)
		return -1;
	if (when & CAPABILITY_USER && append_max > 0)
		return buf_addf(b, " APPENDLIMIT=%" PRIu64, append_max);
	return 0;
}
