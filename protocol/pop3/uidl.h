/*
 * uidl: the unique ids of messages, made from a format in Dovecot's variable syntax
 * (pop3_uidl_format), and from what the store itself says.
 *
 *	%u %{uid}	  UID			%v %{uidvalidity}  UIDVALIDITY
 *	%f %{filename}	  base name		%g %{guid}	   the same, in a Maildir
 *	%%		  a percent sign	anything else	   itself
 *
 * Between % and the letter: a width (`08`: filled up with zeros), `X` hexadecimal, `L`
 * lower and `U` upper case; in braces `%{uid | hex(8)}`, `| lower`, `| upper`.
 */
#ifndef POP3_UIDL_H
#define POP3_UIDL_H

#include <stdint.h>

#include "storage/base/span.h"

#define UIDL_DEFAULT "%08Xu%08Xv"

enum {
	UIDL_MAX = 70,      /* octets (RFC 1939 section 7), 0x21-0x7e each */
	UIDL_PART_MAX = 16, /* pieces of a format */
	UIDL_FORMAT_MAX = 128
};

struct uidl {
	struct uidl_part {
		enum { UIDL_TEXT, UIDL_UID, UIDL_VALIDITY, UIDL_NAME } what;
		enum { UIDL_AS_IS, UIDL_LOWER, UIDL_UPPER } letters;
		bool hex;
		uint8_t zeros;  /* fill up to so many digits */
		uint8_t off, n; /* TEXT: in text[] */
	} part[UIDL_PART_MAX];
	size_t npart;
	char text[UIDL_FORMAT_MAX];
	bool needs_name; /* the base name is in it */
};

/*
 * Compile `format`. -1 with *why (a constant) when it is none, when two messages of a
 * mailbox could come out alike, or when it could come out longer than UIDL_MAX.
 */
int uidl_compile(struct span format, struct uidl *, const char **why);

/* The unique id of one message; `name` counts where needs_name. Returns octets. */
size_t uidl_print(const struct uidl *, uint32_t uidvalidity, uint32_t uid,
                  struct span name, char out[static UIDL_MAX]);

/*
 * Bring any name into the form of a unique id: as it is when it already has it, else
 * `~` and 32 hexadecimal digits of its hash, the same on every machine. For the ids
 * that a store brings along too. Returns octets.
 */
size_t uidl_conform(struct span name, char out[static UIDL_MAX]);

#endif
