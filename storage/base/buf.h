/*
 * buf: bytes that grow up to a stated ceiling. {0} is an empty buffer without
 * a ceiling; set `max` to bound it. After a failed add the buffer is unchanged.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "storage/base/span.h"

struct buf {
	char *p; /* owned; NULL while nothing was added */
	size_t n, cap;
	size_t max; /* most octets it may hold; 0: no ceiling */
};

/* All adds: 0, or -1 with ENOMEM, or EMSGSIZE past the ceiling. */
int buf_add(struct buf *, struct span);
int buf_addc(struct buf *, char);
int buf_addf(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for n more octets at p + n; the caller then raises n. NULL on failure. */
char *buf_room(struct buf *, size_t n);

void buf_drop(struct buf *, size_t n); /* remove the first n octets */
void buf_reset(struct buf *);	       /* empty, memory kept */
void buf_free(struct buf *);	       /* back to empty, memory returned */

static inline struct span
buf_span(const struct buf *b)
{
	return (struct span){b->p, b->n};
}

#endif
