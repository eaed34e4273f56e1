/*
 * mboxfrom: the line that begins a message of an mbox: `From SENDER DATE [more]`. What
 * Dovecot, mutt and procmail take for one: a sender without blanks (or quoted, or none),
 * and a date as asctime(3) writes it, perhaps without seconds, with a zone before or
 * behind the year; or as RFC 822 writes it. Anything may follow the year.
 */
#ifndef STORAGE_MBOXFROM_H
#define STORAGE_MBOXFROM_H

#include <stdint.h>

#include "storage/base/buf.h"

#define MBOXFROM_MAX 1024 /* octets of a line that is looked at; a longer one is none */

struct mboxfrom {
	struct span sender; /* within the line; empty when there is none */
	int64_t date;       /* unix seconds; UTC when the line names no numeric zone */
	uint32_t
	    date_off; /* of the 24 octets `Thu Nov 29 22:33:52 2001` in the line; 0: the
			       date has another form */
};

/* `line` without its LF; a CR at its end is passed over. */
bool mboxfrom_parse(struct span line, struct mboxfrom *);

/* The line without its end, in UTC. Blanks and control characters in `sender` become `_`;
 * an empty one is MAILER-DAEMON. */
int mboxfrom_print(struct span sender, int64_t date, struct buf *);

enum { MBOXFROM_DATE = 24 };
void mboxfrom_print_date(int64_t date, char out[static MBOXFROM_DATE + 1]);

#endif
