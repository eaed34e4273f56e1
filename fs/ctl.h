/*
 * ctl: the commands of `.mailtree/ctl` as text. Pure: parsing and printing; ctl_run
 * does what a command says. One command per text, words separated by blanks, an LF at
 * the end is optional:
 *
 *	flags (+|-|=)LIST SET [unchangedsince N]
 *	keyword NAME
 *	expunge SET [deleted]
 *	copy SET MAILBOX | move SET MAILBOX
 *	sizes SET [TIMEOUT_MS]
 *	names SET | uidl SET
 *	commit NAME [date SECONDS] [flags LIST]		several lines: one commit
 *	mark NAME [date SECONDS] [flags LIST]
 *	recent | sync
 *	vanished MODSEQ [UID]
 *	mailboxes [PATH]
 *	create PATH[<TAB>USES] | delete PATH | rename PATH<TAB>PATH
 *	subscribe PATH | unsubscribe PATH
 *
 * LIST: comma-separated system flags (\Seen, ...) and keywords. SET: RFC 9051
 * sequence-set of UIDs. MAILBOX, PATH: a path from the user's directory, the rest of the
 * line behind one blank; no path has a tab. USES: comma-separated special uses (\Sent, ...).
 */
#ifndef FS_CTL_H
#define FS_CTL_H

#include "fs/abi.h"
#include "storage/base/numset.h"
#include "storage/store.h"

enum ctl_verb {
	CTL_FLAGS,
	CTL_KEYWORD,
	CTL_EXPUNGE,
	CTL_COPY,
	CTL_MOVE,
	CTL_SIZES,
	CTL_NAMES,
	CTL_UIDL,
	CTL_COMMIT,
	CTL_RECENT,
	CTL_SYNC,
	CTL_MARK,
	CTL_VANISHED,
	CTL_MAILBOXES,
	CTL_CREATE,
	CTL_DELETE,
	CTL_RENAME,
	CTL_SUBSCRIBE,
	CTL_UNSUBSCRIBE,
};

#define CTL_TEXT_MAX   (sizeof ((struct mt_ctl *)0)->text)
#define CTL_RANGE_MAX  4096  /* ranges in one SET */
#define CTL_COMMIT_MAX 1024  /* lines in one commit */
#define CTL_WAIT_MS    60000 /* the longest a command waits for sizes */

struct ctl_list {
	uint16_t flags;
	unsigned nkeyword;
	struct span keyword[MT_NKEYWORD]; /* borrowed from the text */
};

struct ctl_commit {
	struct span name; /* borrowed */
	int64_t date;	  /* INT64_MIN: none given */
	struct ctl_list list;
};

struct ctl {
	enum ctl_verb verb;
	enum flag_how how;
	struct ctl_list list;
	struct numset set;
	uint64_t unchangedsince; /* UINT64_MAX: none given */
	bool deleted_only;
	int timeout_ms;
	struct span name; /* keyword or mailbox; borrowed */
	struct span newname; /* of rename; borrowed */
	unsigned use;	     /* enum mailbox_use */
	uint64_t modseq;     /* of vanished */
	uint32_t from;	     /* the first UID that is wanted */
	struct ctl_commit *commit; /* also of mark, then one */
	size_t ncommit;
};

/*
 * Parse `text`, which is borrowed for as long as *ctl is used. `star` is the UID that
 * `*` stands for. -1: EINVAL, EMSGSIZE (a ceiling above), ENOMEM, and *why says what was
 * wrong (static). ctl_free(ctl) afterwards in either case.
 */
int ctl_parse(struct span text, uint32_t star, struct ctl *, const char **why);
void ctl_free(struct ctl *);

/* The name of an errno as the status line gives it (`EINVAL`). Static. */
const char *ctl_errno_name(int);

/* Replace what `reply` holds by the one line `error NAME why`. Cannot fail: reply has
 * room for it reserved. */
void ctl_print_error(struct buf *reply, int err, const char *why);

#endif
