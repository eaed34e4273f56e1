/*
 * charset: text in whatever charset to UTF-8, octets in, octets out. Never an error: an
 * octet that means nothing becomes U+FFFD, and a charset that nobody knows is read as
 * UTF-8 with the same rule. The same output however the input was cut.
 *
 * Descriptors of iconv(3) are kept for the whole process and used again, so this belongs
 * to one thread. iconv loads its tables from files: a process that gives up its sight of
 * the file system calls charset_preload() before.
 */
#ifndef MIME_CHARSET_H
#define MIME_CHARSET_H

#include <stdint.h>

#include "storage/base/buf.h"

enum {
	CHARSET_NAME_MAX = 40, /* octets of a charset's name; longer ones are unknown */
	CHARSET_OPEN_MAX = 64, /* descriptors kept */
	CHARSET_HELD_MAX = 16, /* octets of one character, and of what it shifts */
	CHARSET_READY_MAX = 64,
};

struct charset {
	struct charset_slot *slot; /* NULL: UTF-8, no iconv needed */
	bool broken;               /* something became U+FFFD */
	/* private from here on */
	uint8_t nheld;
	uint8_t from, nready; /* of ready: what found no room yet */
	char held[CHARSET_HELD_MAX];
	char ready[CHARSET_READY_MAX];
};

/* Open what mail is usually written in. Twice is fine. */
void charset_preload(void);

/* Is there a conversion from that charset (in whatever case)? */
bool charset_known(struct span name);

/* Begin a text in that charset. Ended by charset_end(), or charset_drop(). */
void charset_begin(struct charset *, struct span name);

/*
 * How many octets at the front of `in` are the same in UTF-8, as things stand: ASCII where
 * the charset has it. They can be used where they are, and need not be pushed.
 */
size_t charset_plain(const struct charset *, struct span in);

/* As decode_push() and decode_end(). After the end has returned less than cap it is over. */
size_t charset_push(struct charset *, struct span *in, char *out, size_t cap);
size_t charset_end(struct charset *, char *out, size_t cap);
void charset_drop(struct charset *); /* nothing more is wanted; twice is fine */

/* All of a text at once, appended to *out. *broken (may be NULL): something became U+FFFD.
 * -1: ENOMEM, EMSGSIZE. */
int charset_text(struct span name, struct span text, struct buf *out, bool *broken);

#endif
