/*
 * answer: what a client says in a SASL dialogue, which POP3 and IMAP write alike: a line
 * of base64, `*` to cancel, and `=` for an empty initial response (RFC 4959, RFC 5034).
 */
#ifndef PROTOCOL_ANSWER_H
#define PROTOCOL_ANSWER_H

#include "storage/base/buf.h"

enum { ANSWER_MAX = 1400 }; /* octets of a line: PLAIN with the longest names */

enum answer {
	ANSWER_OCTETS,
	ANSWER_CANCEL,
	ANSWER_BAD, /* no base64 */
};

/* Decode into room[0..ANSWER_MAX), which may be where the line is; *octets is there. */
enum answer answer_read(struct span line, bool initial, char *room,
                        struct span *octets);

/* Append a challenge: `+ base64 CRLF`. -1: *b is full. */
int answer_challenge(struct span octets, struct buf *b);

#endif
