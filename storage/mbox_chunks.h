/*
 * mbox_chunks: an mbox file scanned by several threads at once, a chunk of it each; told in
 * the file's order by the one that asked, as if it had been scanned from its beginning.
 *
 * Whoever gets a chunk cannot know what stands before it: it begins at the first line in it
 * that looks as if a message began there. What it finds counts from the message on at which
 * the ones before have arrived; what does not (such lines stand within a message with
 * Content-Length) is thrown away, and scanned anew from the right place. A message depends
 * on nothing before its From_ line, so the result is the same. What may be no message is not
 * followed further than a chunk's length behind the chunk, so a file that was made to mislead
 * is read a few times at most; and of the fields of a chunk 1 MB is kept, whatever its header.
 *
 * Private to storage/mbox*.c.
 */
#ifndef STORAGE_MBOX_CHUNKS_H
#define STORAGE_MBOX_CHUNKS_H

#include "storage/mboxscan.h"
#include "storage/pool.h"

#define MBOX_CHUNK (4u << 20)

struct mbox_pass {
	int fd; /* borrowed */
	uint64_t from, size;
	bool first, count; /* as mboxscan has them */
	/* both by the calling thread. `field`: of X-IMAPbase, X-IMAP and X-Keywords only, name
	 * and value, when it has a value; may be NULL. each -1 ends it. */
	void (*field)(void *arg, const struct mboxscan_field *);
	int (*each)(void *arg, const struct mboxscan_msg *);
	void *arg;
};

/*
 * The calling thread works too, so that it ends also when the pool has no thread to spare;
 * up to `nhelp` jobs of the pool help, none when it is NULL. None of them is at work on
 * return. ENOTSUP: no mbox; EIO: it is shorter than `size`.
 */
int mbox_chunks_scan(const struct mbox_pass *, struct pool *, unsigned nhelp,
                     uint64_t chunk);

#endif
