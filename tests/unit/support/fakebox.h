/*
 * fakebox: a mailbox of a mount made of plain files in a scratch directory, and a ctl
 * that answers, so that views and sessions can be tried without a daemon. Any failure
 * of its own ends the program.
 */
#ifndef TESTS_FAKEBOX_H
#define TESTS_FAKEBOX_H

#include "protocol/view.h"

enum { FAKEBOX_MAX = 512 };

struct fakebox {
	char path[64]; /* the user's directory; the mailbox is INBOX */
	struct mt_header head;
	struct mt_record rec[FAKEBOX_MAX]; /* head.nrecord of them */
	char *name[FAKEBOX_MAX];           /* base names; NULL: asked in vain */
	char *uidl[FAKEBOX_MAX];           /* as the store has it, or NULL */
	int index, wire;
	struct buf asked;     /* every command that ctl got, one per line */
	int refuse;           /* errno that ctl answers everything with; 0: none */
	unsigned names_page;  /* lines per reply of names and uidl; 0: all */
	unsigned unsized_for; /* so many more asks for sizes are answered `more` */
};

void fakebox_make(struct fakebox *);
void fakebox_remove(struct fakebox *);

/* Add a message under the next UID; `bits` besides DOT, NUL, 8BIT. Its record. */
struct mt_record *fakebox_add(struct fakebox *, struct span octets, unsigned bits);

void fakebox_seal(struct mt_record *);  /* make its check right */
void fakebox_publish(struct fakebox *); /* write the index as it is in memory */

/* What is removed behind mailtree's back: its file goes, `wire` reads as NULs there. */
void fakebox_vanish(struct fakebox *, struct mt_record *);

/* Tell whoever has `events` open: what the record (NULL: none) has become. */
void fakebox_event(struct fakebox *, enum mt_event_type, const struct mt_record *);

struct view_conf fakebox_conf(struct fakebox *);

#endif
