/*
 * abi: what mailtreed and the sessions agree on: names in the tree, record layouts,
 * the ioctl. Constants and plain structs only, host byte order, so every folder may
 * include it. The index file in index_path holds these very bytes too. Anything
 * that changes here raises MT_ABI_VERSION; an index of another version is rebuilt.
 */
#ifndef FS_ABI_H
#define FS_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

#define MT_ABI_VERSION 2

/* Names. In a mailbox directory: */
#define MT_SUFFIX    ".eml"	/* N.eml, N = UID in decimal without leading zeros */
#define MT_STATE     ".mailbox" /* state as text */
#define MT_HIDDEN    ".mailtree" /* found by lookup, never listed; in it: */
#define MT_WIRE	     "wire"
#define MT_INDEX     "index"
#define MT_EVENTS    "events"
#define MT_CTL	     "ctl"
#define MT_NEW	     "new"
#define MT_CACHE     "cache"
#define MT_LOCK	     "lock"
/* Drafts in new/ whose names begin so are their writer's alone: gone at the last close,
 * unless they were committed. */
#define MT_APPEND    ".append-"

/* System flags (RFC 9051 section 2.3.2). */
enum mt_flag {
	MT_SEEN = 1,
	MT_ANSWERED = 2,
	MT_FLAGGED = 4,
	MT_DELETED = 8,
	MT_DRAFT = 16,
};
#define MT_FLAGS (MT_SEEN | MT_ANSWERED | MT_FLAGGED | MT_DELETED | MT_DRAFT)

enum mt_bit {
	MT_DOT = 1,	  /* has a line that starts with a dot: RETR must stuff */
	MT_NUL = 2,	  /* has a NUL */
	MT_8BIT = 4,	  /* has an octet above 0x7f */
	MT_RECENT = 8,	  /* nobody has claimed \Recent yet (Maildir: it lies in new/) */
	MT_UIDL = 16,	  /* the store names a POP3 UIDL of its own: ask ctl `uidl` */
	MT_EXPUNGED = 32, /* tombstone: gone; modseq is that of the expunge */
	MT_LOST = 64,	  /* tombstone whose bytes are gone too: `wire` reads NULs or EIO */
};

#define MT_OFF_UNKNOWN UINT64_MAX /* wire_off while the size is not known yet */

/* One message. On a check mismatch the reader reads it again. */
struct mt_record {
	uint32_t uid;
	uint16_t flags;	      /* enum mt_flag */
	uint16_t bits;	      /* enum mt_bit; DOT, NUL, 8BIT once the size is known */
	uint32_t keywords;    /* bit n: keyword n of the header's table */
	uint32_t header_size; /* wire octets up to and with the empty line; all of the
				 message when it has none */
	uint64_t wire_off;    /* where it begins in `wire`, or MT_OFF_UNKNOWN */
	uint64_t wire_size;   /* octets; 0 while unknown */
	int64_t date;	      /* INTERNALDATE, unix seconds */
	uint64_t modseq;
	uint32_t added;	      /* wire octets that are not stored octets (CRs, last CRLF) */
	uint32_t save_date;   /* SAVEDATE (RFC 8514), unix seconds */
	uint32_t name_hash;   /* hash_check of the base name: ties the record to its file */
	uint32_t check;	      /* hash_check over the octets before it */
};

#define MT_NKEYWORD    26  /* as many as dovecot-keywords has letters */
#define MT_KEYWORD_MAX 143 /* octets of a keyword's name */

/* The first MT_HEADER_SIZE octets of `index`; record i follows at 4096 + 64 * i. */
struct mt_header {
	char magic[8]; /* MT_MAGIC */
	uint32_t version;
	uint32_t header_size; /* 4096 */
	uint32_t record_size; /* 64 */
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint32_t generation; /* of the layout: records and wire offsets move only with it */
	uint64_t modseq;     /* HIGHESTMODSEQ */
	uint64_t nrecord;    /* records published, tombstones too */
	uint64_t nmessage;   /* live ones */
	uint64_t nunseen;    /* live ones without \Seen */
	uint64_t nunsized;   /* live ones whose size is not known yet */
	uint64_t wire_size;  /* end of `wire` */
	int64_t changed;     /* unix seconds of the last change to anything `.mailbox` says */
	uint8_t guid[16];    /* MAILBOXID */
	uint32_t nkeyword;   /* table rows in use; an unused row within is empty */
	uint32_t number;     /* mailbox number: the upper half of node ids */
	uint64_t nvanished;  /* rows that the index folder's log has had; the daemon's own */
	uint8_t epoch[16];   /* in which the index file was written; likewise */
	uint8_t reserved[116];
	uint32_t check; /* hash_check over the 4096 octets with this field 0 */
	char keyword[MT_NKEYWORD][MT_KEYWORD_MAX + 1]; /* NUL-padded names */
	uint8_t pad[96];
};
#define MT_HEADER_SIZE 4096
#define MT_MAGIC       "mailtree"

_Static_assert(sizeof(struct mt_record) == 64, "record layout");
_Static_assert(sizeof(struct mt_header) == MT_HEADER_SIZE, "header layout");

/* What a read of `events` returns, as many whole ones as fit. */
enum mt_event_type {
	MT_EV_NEW = 1,	/* a message appeared */
	MT_EV_FLAGS,	/* flags, keywords, \Recent or date changed */
	MT_EV_SIZED,	/* its size became known */
	MT_EV_EXPUNGED, /* it is gone; rec is the tombstone */
	MT_EV_HEADER,	/* the keyword table changed; rec is zero */
	MT_EV_OVERFLOW, /* this cursor fell behind: read the index again */
	MT_EV_RESET,	/* UIDVALIDITY changed or the mailbox is gone: close everything */
};

struct mt_event {
	uint16_t type;
	uint16_t listeners; /* who follow this mailbox, at most 65535: of a crowd, each does
			     * the others a favour by not asking again at once */
	uint32_t row;	 /* which record of the index it is */
	uint64_t serial; /* rises by one per event of a mailbox */
	struct mt_record rec;
};

/*
 * `cache`: pread at offset uid << 16 gives the blobs of that UID and the following
 * ones, each behind this head, as many whole ones as fit; pwrite of any number of
 * heads with blobs stores them, whatever the offset. At most MT_BLOB_MAX octets each.
 */
struct mt_blob {
	uint32_t uid;
	uint32_t size;	/* octets that follow, then up to 7 of padding to a multiple of 8 */
	uint32_t check; /* hash_check over them */
	uint32_t kind;	/* the session's; one blob per (uid, kind) */
};
#define MT_BLOB_MAX 32768

/*
 * ctl by ioctl: the same text that a shell writes, then the same text that it reads
 * back. Grammar: mailtree(7). A reply that ends in a line `more N` continues by
 * asking again from N.
 */
struct mt_ctl {
	uint32_t size; /* octets of text, in and out */
	char text[16376];
};
#define MT_IOC_CTL _IOWR('M', 1, struct mt_ctl)

#endif
