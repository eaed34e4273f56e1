/* resync: what a client missed since it was here last (RFC 7162 QRESYNC). */
#ifndef IMAP_RESYNC_H
#define IMAP_RESYNC_H

#include "protocol/imap/imap.h"

struct resync {
	bool given;
	uint32_t uidvalidity;
	uint64_t modseq;
	struct numset known; /* UIDs that the client knows; none: all */
};

/* `(UIDVALIDITY MODSEQ [KNOWN [(SEQS UIDS)]])`. False with *why. */
bool resync_parse(const struct arg *, struct resync *, const char **why);
void resync_free(struct resync *);

/* VANISHED (EARLIER), then FETCH of what changed; nothing when UIDVALIDITY is another. */
int resync_tell(struct imap *, const struct resync *);

/* VANISHED (EARLIER) for those of the set that went after `modseq`. */
int resync_vanished(struct imap *, const struct numset *, uint64_t modseq);

#endif
