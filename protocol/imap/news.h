/*
 * news: untagged responses about the selected mailbox (RFC 9051 section 7.4, 7.5).
 */
#ifndef IMAP_NEWS_H
#define IMAP_NEWS_H

#include "protocol/imap/imap.h"

/*
 * Take in and tell what has happened, expunges too: so never during FETCH, STORE and
 * SEARCH, nor between commands without IDLE (RFC 9051 section 7.5.1). -1: the session is
 * over (said to the client when the mailbox is gone).
 */
int news_tell(struct imap *);
int news_wait(struct imap *); /* the same, as mailbox_wait() takes them */

int news_flags(struct imap *);	 /* FLAGS and PERMANENTFLAGS, from the keyword table */
bool news_needs_uid(const struct imap *); /* FETCH that nobody asked for has the UID */
int news_fetch(struct imap *, size_t i); /* `* n FETCH (...)` of what is untold of m[i] */

/* `(\Seen $Later)` of a message. */
int news_print_flags(const struct imap *, const struct message *, struct buf *);

#endif
