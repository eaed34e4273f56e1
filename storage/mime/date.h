/*
 * date: dates of header fields (RFC 5322 section 3.3 and 4.3, read tolerantly) and of IMAP
 * (RFC 9051 section 9, read strictly). Days are counted from 1970-01-01, proleptic
 * Gregorian.
 */
#ifndef MIME_DATE_H
#define MIME_DATE_H

#include <stdint.h>

#include "storage/base/span.h"

struct date {
	int64_t when; /* unix seconds */
	int32_t day;  /* the calendar day as written, whatever its zone */
	int zone;     /* minutes east of Greenwich */
};

/* The value of a Date field. False: there is no date in it. */
bool date_header(struct span value, struct date *);

/* `1-Feb-1994` as search keys have it, without quotes. */
bool date_day(struct span text, int32_t *day);

/* `17-Jul-1996 02:44:25 -0700` (APPEND), without quotes; the day may begin with a blank. */
bool date_time(struct span text, struct date *);

/* The same, as INTERNALDATE has it, in that zone (minutes; |zone| < 24 hours). Years are
 * held within 0..9999, as the grammar has it. */
enum { DATE_SIZE = 27 }; /* with its NUL */
void date_print(int64_t when, int zone, char out[static DATE_SIZE]);

/* The calendar day at that moment, in that zone. */
int32_t date_day_of(int64_t when, int zone);

#endif
