/*
 * mboxscan: the stored octets of an mbox in, messages out. A pure parser: it owns no file
 * and says which octets it wants next. Linear in the size of the file, memory bounded,
 * the same result however the octets are cut. Lines end in LF or CR LF.
 *
 * A message begins behind a line that mboxfrom takes, at the start of a line, whether or
 * not an empty line stands before it (as Dovecot and mutt have it). One empty line before
 * the next such line, or before the end of the file, belongs to no message. A
 * Content-Length is believed only when exactly there, an empty line passed over, such a
 * line or the end of the file follows.
 *
 * Hidden fields (mboxscan_name) are no part of the message wherever they stand in its
 * header, with their continuation lines.
 */
#ifndef STORAGE_MBOXSCAN_H
#define STORAGE_MBOXSCAN_H

#include <stdint.h>

#include "storage/crlf.h"
#include "storage/mboxfrom.h"

#define MBOXSCAN_VALUE_MAX 8192 /* octets of a hidden field that are kept */
#define MBOXSCAN_UID_MAX   (UINT32_MAX - 65536)

/* The sender on the From_ line of a message that we wrote with mboxrd quoting. */
#define MBOXSCAN_QUOTED "mailtree-mboxrd"

enum mboxscan_name {
	MBOX_CONTENT_LENGTH,
	MBOX_STATUS,
	MBOX_X_IMAP,
	MBOX_X_IMAPBASE,
	MBOX_X_KEYWORDS,
	MBOX_X_STATUS,
	MBOX_X_UID,
	MBOX_NHIDDEN,
	MBOX_VISIBLE = MBOX_NHIDDEN,
};

/* The hidden field of this name (without case), or MBOX_VISIBLE. */
enum mboxscan_name mboxscan_name(struct span name);
/* The same for the line that begins a field, or its first MBOXFROM_MAX + 2 octets; *colon is
 * set when it is hidden. */
enum mboxscan_name mboxscan_line(struct span line, size_t *colon);

struct mboxscan_field { /* a hidden one */
	enum mboxscan_name name;
	uint64_t off, size; /* all of it, with the ends of its lines */
	uint64_t value_off; /* behind the colon */
	uint32_t
	    value_room; /* octets from there to the end of the line; 0: it is folded or
				longer than what is kept */
	struct span
	    value; /* unfolded, borrowed for the call; cut at MBOXSCAN_VALUE_MAX */
};

struct mboxscan_msg {
	uint64_t off;    /* of its From_ line */
	uint64_t header; /* behind that line */
	uint64_t
	    body; /* behind the empty line that ends the header; `end` when none does */
	uint64_t end;  /* of the message */
	uint64_t next; /* of the next From_ line, or the size of the file */
	uint64_t
	    visible; /* stored octets of the message: end - header without hidden fields */
	uint64_t head; /* hash of its visible header without the empty line */
	uint64_t
	    ident; /* of that and of its size but for the end of the body's last line: the
			    same after flag changes and appends */
	int64_t date;      /* of the From_ line */
	uint32_t date_off; /* in the file, behind `off`: as mboxfrom has it; 0 */
	uint32_t uid;      /* X-UID; 0: none, or not a number that can be one */
	uint16_t flags;    /* enum mt_flag */
	bool old;          /* `O`: not \Recent */
	bool quoted;       /* written by us with mboxrd quoting */
	bool pseudo;       /* holds data of a mail program, no message */
	bool crlf;         /* the From_ line ends in CR LF */
	/* X-IMAPbase or X-IMAP, of the first message of a file only */
	uint32_t uidvalidity; /* 0: none */
	uint32_t last_uid;
	/* of its wire octets, as wire_count has them; not of a quoted message */
	bool counted;
	uint16_t bits;
	uint32_t header_size;
	uint64_t wire;
};

enum mboxscan_ev {
	MBOXSCAN_MORE,    /* push the octets at s->want */
	MBOXSCAN_MESSAGE, /* s->msg is one; push on */
	MBOXSCAN_END,     /* the file is through */
	MBOXSCAN_NO_MBOX, /* it does not begin with a From_ line */
};

struct mboxscan {
	uint64_t
	    want; /* offset of the next octet to push; == size: push an empty span */
	struct mboxscan_msg msg;
	/* called for each hidden field, before its message is reported; may be NULL */
	void (*field)(void *arg, const struct mboxscan_field *);
	void *arg;
	bool
	    header_only; /* report each message when its header is through: body, end, next,
			     visible, ident are not known then, and the scan ends there */
	bool count; /* wire octets too: then all octets of a message are wanted, after a look
		       at the end that its Content-Length has; not with header_only */
	/* its own: */
	uint64_t size, peek_end;
	struct mboxscan_msg cur;
	unsigned state;
	bool first, any, daemon;
	unsigned peek_eol;
	uint64_t line_off;
	size_t line_n;          /* octets of the line seen so far */
	bool line_long;         /* more than line[] holds */
	enum mboxscan_name now; /* of the field that the line continues */
	struct mboxscan_field hidden;
	size_t value_n;
	bool blank;         /* peeking: the empty line has been passed over */
	uint64_t peek_next; /* counting: of the From_ line behind the message, or `size` */
	struct wire_count seen;
	size_t block_n;
	bool has_length;
	uint64_t length;
	char tail[4], kept[4],
	    head_tail[4]; /* the last octets before `want`, before the line,
						before the body */
	char block[1024];
	char line[MBOXFROM_MAX + 2];
	char value[MBOXSCAN_VALUE_MAX];
};

/*
 * From `off` on, where a From_ line begins (or the file), in a file of `size` octets.
 * `first`: that is the first message of the file. Set `field`, `arg`, `header_only`, `count` after.
 */
void mboxscan_begin(struct mboxscan *, uint64_t off, uint64_t size, bool first);

/* Takes octets that lie at s->want off *in; what it leaves may not be what it wants next. */
enum mboxscan_ev mboxscan_push(struct mboxscan *, struct span *in);

/* Will it, as a rule, want only a few octets at s->want, and then others elsewhere? */
bool mboxscan_peeks(const struct mboxscan *);

/* Index of an LF that an F follows, or of an LF that is the last octet; n: there is none. */
size_t mboxscan_find(const char *p, size_t n);

/* The keywords of an X-Keywords value, or behind the numbers of X-IMAPbase. */
bool mboxscan_keyword(struct span *rest, struct span *keyword);

#endif
