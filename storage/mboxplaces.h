/*
 * mboxplaces: where the messages of an mbox lie, as octets of a file of the daemon's own
 * (`mbox-places` of the index folder), so that a file which is as it was need not be read
 * again. It is never the truth: whoever reads it goes by it only while the mbox has the very
 * stamp that is in it. A pure printer and parser; what is not whole is nothing.
 *
 *	struct mboxplaces, n times struct mboxplace, the hash64 of all before it
 *
 * In this machine's order of octets, like the index.
 */
#ifndef STORAGE_MBOXPLACES_H
#define STORAGE_MBOXPLACES_H

#include "fs/abi.h"
#include "storage/base/buf.h"
#include "storage/stamp.h"

#define MBOXPLACES_MAGIC 0x316563616c70746dU /* `mtplace1` */
#define MBOXPLACES_LEAST 10 /* octets of an mbox that a message takes at least */

struct mboxplaces { /* of the file */
	uint64_t magic, n;
	struct file_stamp stamp;
	uint32_t uidvalidity;
	uint32_t base_last, base_named;                /* as struct mbox has them */
	uint16_t based, crlf;                          /* 0 or 1 */
	char keyword[MT_NKEYWORD][MT_KEYWORD_MAX + 1]; /* NUL-padded; "" ends them */
};

struct mboxplace { /* of a message, as mboxscan has it */
	uint64_t off, end, head, ident, visible;
	int64_t date;
	uint32_t uid; /* that the file tells; 0 */
	uint32_t keywords;
	uint16_t flags, old; /* enum mt_flag; 0 or 1 */
	uint32_t zero;
};

/* Add the whole file to an empty buffer. `head` gets its magic and number. */
int mboxplaces_print(struct mboxplaces *head, const struct mboxplace *, size_t n,
                     struct buf *);

/*
 * Is the text such a file, whole and possible: the messages one behind the other within the
 * size that the stamp tells, flags, keywords and UIDs that can be? Linear; nothing of it is
 * to be looked at otherwise.
 */
bool mboxplaces_parse(struct span text, struct mboxplaces *head);
/* Of a text that was parsed: message i < head->n. */
void mboxplaces_at(struct span text, size_t i, struct mboxplace *);

#endif
