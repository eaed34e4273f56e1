/*
 * state: the text of `.mailbox`. Lines have fixed widths, so that its size follows
 * from two counts of the header: 4 lines of 32 octets (uidvalidity, uidnext, messages,
 * keywords), one of 160 per keyword in use, one of 96 per live message.
 */
#ifndef FS_STATE_H
#define FS_STATE_H

#include "fs/abi.h"
#include "storage/base/buf.h"

#define STATE_HEAD_LINE	   32
#define STATE_KEYWORD_LINE 160
#define STATE_MESSAGE_LINE 96

/* Octets of the whole text of a mailbox with this header. */
uint64_t state_size(const struct mt_header *);

int state_add_head(struct buf *, const struct mt_header *); /* head and keyword lines */
int state_add_message(struct buf *, const struct mt_record *);

#endif
