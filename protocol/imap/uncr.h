/*
 * uncr: wire octets to what is stored. A CR LF becomes LF, as other programs of a Maildir
 * have lines; where a CR stands before it both stay. With the tree's wire rule (an LF
 * without a CR gets one) the same octets come back, however they were cut here.
 */
#ifndef IMAP_UNCR_H
#define IMAP_UNCR_H

#include "storage/base/span.h"

struct uncr { /* {0} is ready; nothing to free */
	bool cr;       /* one waits for what follows it */
	bool after_cr; /* and one stood before it */
};

/* Convert `in` to out[0 .. in.n + 1); returns octets. */
size_t uncr_push(struct uncr *, struct span in, char *out);

/* At the end: a CR that still waits. Returns 0 or 1 octets. */
size_t uncr_end(struct uncr *, char out[static 1]);

#endif
