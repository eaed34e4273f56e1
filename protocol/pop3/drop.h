/*
 * drop: the maildrop as a POP3 session froze it when it began: message numbers, sizes
 * and unique ids stay what they are, whatever others do meanwhile (RFC 1939 section 5).
 * 16 octets per message; where unique ids come from the store, those besides.
 */
#ifndef POP3_DROP_H
#define POP3_DROP_H

#include "protocol/pop3/uidl.h"
#include "protocol/reader.h"
#include "protocol/view.h"

enum drop_bit {
	DROP_DOT = 1,      /* a line begins with a dot */
	DROP_NUL = 2,      /* holds a NUL */
	DROP_DELETED = 4,  /* marked by DELE */
	DROP_OWN_UIDL = 8, /* the store has its unique id */
};

struct drop_message {
	uint32_t uid;
	uint32_t size_low;
	uint64_t wire_off : 48;
	uint64_t size_high : 8;
	uint64_t bits : 8; /* enum drop_bit */
};
_Static_assert(sizeof(struct drop_message) == 16, "per message of a session");

struct drop {
	struct drop_message *m; /* owned; message number n is m[n - 1] */
	size_t n, cap;
	size_t alive;    /* messages without a mark */
	uint64_t octets; /* of those */
	uint32_t uidvalidity;
	uint64_t wire_end; /* where the last of them ends in `wire` */
	size_t unsized;    /* messages left out because nobody knows their size */
	/* unique ids that the store knows: for m[i] at own.p + own_at[i], one octet of
	 * length before it; own_at is NULL while there are none */
	struct buf own;
	uint32_t *own_at;
};

/*
 * Read it. Caller has the lock and has synced the view. A message that disappears while
 * it is being read is left out; none is without a size or a unique id afterwards.
 */
int drop_freeze(struct drop *, struct view *, const struct uidl *);
void drop_free(struct drop *);

static inline uint64_t
drop_size(const struct drop_message *m)
{
	return (uint64_t)m->size_high << 32 | m->size_low;
}

static inline struct reader_message
drop_for_reader(const struct drop_message *m)
{
	return (struct reader_message){.uid = m->uid,
	                               .wire_off = m->wire_off,
	                               .size = drop_size(m),
	                               .has_nul = m->bits & DROP_NUL};
}

/* Number `n` as clients count; NULL when there is none or it is marked as deleted. */
struct drop_message *drop_find(struct drop *, uint64_t n);

void drop_delete(struct drop *, struct drop_message *);
void drop_reset(struct drop *); /* no marks */

/* UIDs of what is marked. */
int drop_deleted(const struct drop *, struct numset *);

/* The unique id of m; octets of it in `out`. */
size_t drop_uidl(const struct drop *, const struct uidl *, const struct drop_message *m,
                 char out[static UIDL_MAX]);

#endif
