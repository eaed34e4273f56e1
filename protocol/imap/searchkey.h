/*
 * searchkey: the arguments of SEARCH (RFC 9051 section 6.4.4, RFC 3501; RFC 4731, 5032,
 * 5182, 7162, 8514) to a program that says of a message whether it is wanted. A program
 * is a list of steps in the order of a pocket calculator that has its numbers first, so
 * nothing recurses however deep a client nests.
 */
#ifndef IMAP_SEARCHKEY_H
#define IMAP_SEARCHKEY_H

#include "protocol/imap/args.h"
#include "storage/base/arena.h"
#include "storage/base/numset.h"
#include "storage/mime/fold.h"

enum { SEARCH_KEYS_MAX = 4096 }; /* keys, parentheses, NOTs and ORs of one command */

/* What has to be looked at to answer a key, the cheap ones first. */
enum search_cost {
	COST_NONE,
	COST_MESSAGE, /* struct message */
	COST_RECORD,  /* its record, dates */
	COST_SIZE,    /* a record whose size is known */
	COST_HEADER,  /* octets of the header */
	COST_BODY,    /* octets of all of it */
};

enum search_key {
	KEY_ALL,
	KEY_NUMBERS,    /* set: message numbers */
	KEY_UIDS,       /* set: UIDs */
	KEY_SAVED,      /* RFC 5182 `$` */
	KEY_FLAG,       /* number: an enum mt_flag */
	KEY_KEYWORD,    /* text: its name */
	KEY_RECENT,     /* ours */
	KEY_MODSEQ,     /* number: at least */
	KEY_DATE,       /* from..to: INTERNALDATE as a day */
	KEY_SAVED_DATE, /* from..to: RFC 8514, as a day */
	KEY_MOMENT,     /* from..to: INTERNALDATE in unix seconds */
	KEY_SIZE,       /* from..to: octets */
	KEY_SENT,       /* from..to: the day of the Date field */
	KEY_HEADER,     /* text: the field's name; match */
	KEY_BODY,       /* match */
	KEY_TEXT,       /* match */
};

struct search_leaf {
	enum search_key key;
	enum search_cost cost;
	uint64_t number;
	int64_t from, to; /* both inside */
	struct span text;
	struct numset set;
	struct match match;
};

struct search_step {
	enum { STEP_LEAF, STEP_NOT, STEP_AND, STEP_OR } what;
	uint32_t n; /* LEAF: which; AND, OR: of how many values */
};

enum search_return { /* RFC 4731, RFC 5182 */
	             RETURN_MIN = 1,
	             RETURN_MAX = 2,
	             RETURN_ALL = 4,
	             RETURN_COUNT = 8,
	             RETURN_SAVE = 16,
};

struct search {
	struct buf steps, leaves, values; /* owned */
	struct search_leaf *leaf;         /* of `leaves` */
	size_t nleaf;
	enum search_cost cost; /* the dearest leaf's */
	bool extended;         /* RETURN was given: ESEARCH */
	unsigned returns;      /* enum search_return */
	bool modseq;           /* MODSEQ was asked about: the highest is told */
};

/* What the arguments are read against. */
struct search_scope {
	uint32_t last_number; /* `*` as a message number; 0: the mailbox is empty */
	uint32_t last_uid;
	int64_t now; /* unix seconds */
	size_t ranges_max;
	bool utf8; /* all text is UTF-8: CHARSET is BAD (RFC 6855 section 3) */
};

enum search_verdict {
	SEARCH_OK,
	SEARCH_BAD,        /* BAD *why */
	SEARCH_BADCHARSET, /* NO [BADCHARSET] */
	SEARCH_NOMEM,      /* NO [LIMIT]; errno */
};

/* Borrows the arguments; memory is the arena's. *search is to be freed in any case. */
enum search_verdict search_parse(const struct arg *, const struct search_scope *,
                                 struct arena *, struct search *, const char **why);
void search_free(struct search *);

/* Three-valued: */
enum search_value { VALUE_NO, VALUE_YES, VALUE_UNKNOWN };

/*
 * Run it. `leaf` says what is known of a leaf about the message. UNKNOWN: it depends on
 * leaves that are still unknown.
 */
enum search_value search_run(const struct search *,
                             enum search_value (*leaf)(void *, size_t), void *);

#endif
