/*
 * envelope: what a message's header says about it, as ENVELOPE wants it (RFC 9051 section
 * 7.5.2): the fields unfolded, still encoded (RFC 2047).
 */
#ifndef MIME_ENVELOPE_H
#define MIME_ENVELOPE_H

#include "storage/mime/address.h"
#include "storage/mime/header.h"

/* Strings and addresses lie in the arena. p NULL, first NULL: there is no such field. */
struct envelope {
	struct span date, subject, in_reply_to, message_id; /* the last field counts */
	struct address_list from, sender, reply_to, to, cc,
	    bcc; /* all fields together */
};

/* Take a field in. 0 (also when it is none of these), or -1 when the arena is full. */
int envelope_field(struct envelope *, struct arena *, const struct field *);

#endif
