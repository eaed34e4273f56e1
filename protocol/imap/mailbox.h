/*
 * mailbox: a selected mailbox as the client knows it. Message number n is m[n - 1]; what
 * others do is taken in from `events` only when it may be told, so that numbers, flags and
 * what can be read always agree with what the client was told (RFC 9051 section 7.5.1):
 * a message that somebody expunges stays readable until its expunge is taken in.
 */
#ifndef IMAP_MAILBOX_H
#define IMAP_MAILBOX_H

#include "protocol/reader.h"
#include "protocol/view.h"
#include "storage/mime/part.h"

/* What has been taken in of a message, and not been told to the client yet. */
enum untold { UNTOLD_FLAGS = 1, UNTOLD_MODSEQ = 2, UNTOLD_GONE = 4 };

struct message {
	uint32_t uid;
	uint32_t row; /* of `index` */
	uint32_t keywords;
	uint16_t flags;
	bool recent;  /* claimed by this session */
	uint8_t untold; /* enum untold */
	uint64_t modseq;
};

struct mailbox {
	struct view view;
	struct reader reader;
	char *path; /* in the tree; owned */
	bool readonly; /* EXAMINE, or the mail cannot be changed */
	struct message *m; /* owned; ascending by uid */
	size_t n, cap;
	size_t ntold; /* the client knows the first so many: what EXISTS said */
	size_t ngone; /* of them and the rest: those with UNTOLD_GONE */
	size_t nrecent; /* likewise: those that are \Recent to this session */
	bool untold; /* there is something to tell: */
	bool untold_messages, untold_keywords; /* of messages that were known; the table */
	bool unclaimed; /* some of what has come since may be \Recent */
	struct mt_header head; /* keyword table, guid, uidvalidity: as last taken in */
	struct numset ahead;   /* \Recent was claimed of these, which are still to come */
	uint64_t modseq;  /* everything up to it has been taken in */
	uint64_t learned; /* the highest of a single message, perhaps above that */
	struct parsed { /* structure of the message that was looked into last */
		uint32_t uid; /* 0: none */
		struct arena arena;
		const struct part *root;
	} parsed;
	unsigned listeners;    /* how many followed it when the last news came */
	bool gone;	       /* UIDVALIDITY changed, removed, or the daemon died */
};

/* Open and take it in, in the user's directory of `base`. `readonly`: EXAMINE; set for
 * mail that cannot be changed as well. -1 errno. */
int mailbox_open(const struct view_conf *base, struct span path, bool readonly,
		 struct mailbox **);
void mailbox_close(struct mailbox *); /* NULL is fine */

/* Index into m of a UID; n when it is not there. mailbox_at_least: of the first one with
 * at least that UID. */
size_t mailbox_find(const struct mailbox *, uint32_t uid);
size_t mailbox_at_least(const struct mailbox *, uint32_t uid);

/*
 * Go over the messages of a set of UIDs that the client knows, in runs m[i .. i+n) of at
 * most `most`: neighbours stay together though their UIDs have gaps, so that what is asked
 * of the daemon about them is asked at once. {0} begins; false: there are no more.
 */
struct mailbox_run {
	size_t i, n;
	size_t range; /* of the set, the next one */
};
bool mailbox_next_run(const struct mailbox *, const struct numset *, size_t most,
		      struct mailbox_run *);

/*
 * Take in what has happened. It is the caller's to tell the client at once, of expunges
 * too: what was expunged can no longer be read. -1: the mailbox is gone.
 */
int mailbox_take(struct mailbox *);

/* The same of one read of `events`, which may block: then until there is something. */
int mailbox_wait(struct mailbox *);

/* What the index says of a message now; differences become untold. */
void mailbox_learn(struct mailbox *, struct message *, const struct mt_record *);

void mailbox_forget_gone(struct mailbox *); /* their expunge was told: numbers move up */
int mailbox_claim_recent(struct mailbox *); /* of what has come since */

/*
 * Records of messages i..i+n-1, in few reads of `index`: size, date, place in `wire`.
 * What the client knows (flags, keywords, modseq) is in m. -1 errno.
 */
int mailbox_records(struct mailbox *, size_t i, struct mt_record *, size_t n);

/* As reader_begin(), for a record whose size is known. */
static inline struct reader_message
mailbox_for_reader(const struct mt_record *r)
{
	return (struct reader_message){.uid = r->uid,
	                               .wire_off = r->wire_off,
	                               .size = r->wire_size,
	                               .has_nul = r->bits & MT_NUL};
}

#endif
