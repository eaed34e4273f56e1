/* statefile: a reader of `.mailbox` (mailtree(7)), for check. */
#ifndef COMMAND_STATEFILE_H
#define COMMAND_STATEFILE_H

#include <stdint.h>

#include "storage/base/span.h"

struct statefile {
	uint64_t uidvalidity, uidnext, messages, keywords;
	struct span rest; /* the message lines not read yet; borrowed from the text */
};

struct statefile_line {
	uint32_t uid;
	uint64_t size;
	int64_t date;
	uint16_t flags;    /* enum mt_flag */
	uint32_t keywords; /* bit n: letter n */
};

/* The head of the text. -1 (EINVAL) when it is not as documented. */
int statefile_open(struct span text, struct statefile *);

/* The next message: 1, 0 at the end, -1 (EINVAL). */
int statefile_next(struct statefile *, struct statefile_line *);

#endif
