/*
 * append: APPEND with any number of messages (RFC 9051 section 6.3.12, RFC 3502, 4315,
 * 7889, 6855 UTF8). Octets go past into drafts in the mailbox; one commit delivers them
 * all, or none.
 */
#ifndef IMAP_APPEND_H
#define IMAP_APPEND_H

#include "protocol/imap/imap.h"

bool append_wants(const struct imap *);	  /* is the parser's literal a message? */
bool append_begin(struct imap *);	  /* false: refused, append_say_why() has the answer */
void append_octets(struct imap *, struct span);
bool append_refused(const struct imap *);
int append_say_why(struct imap *);
void append_abandon(struct imap *); /* what was not delivered is forgotten */

#endif
