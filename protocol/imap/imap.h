/*
 * imap: one IMAP session after login (RFC 9051, RFC 3501) over a user's mounted tree.
 * Octets of commands are pushed in, replies go to `out`; news of the selected mailbox are
 * taken in between commands. What the files of this folder share about a session.
 *
 * A command is a row of imap.c's table: a handler gets arguments, sends its untagged
 * responses and exactly one tagged one. Handlers return 0, or -1 when the connection is of
 * no use any more; whatever else goes wrong is a NO or BAD to the client.
 */
#ifndef IMAP_IMAP_H
#define IMAP_IMAP_H

#include "protocol/imap/args.h"
#include "protocol/imap/mailbox.h"
#include "protocol/imap/parser.h"
#include "protocol/out.h"
#include "protocol/view.h"
#include "storage/base/arena.h"
#include "storage/base/line.h"

/* What an outsider can push against. */
enum {
	IMAP_IDLE_MS = 31 * 60 * 1000, /* autologout; 30 minutes at least (section 5.4) */
	IMAP_KEEPALIVE_MS = 120 * 1000, /* in IDLE, for NATs; the client may say nothing */
	IMAP_LINE_MAX = 128 * 1024,    /* octets of a command */
	IMAP_MEMORY_MAX = 1 << 20,     /* of literals that are held */
	IMAP_SWALLOW_MAX = 64 << 20,   /* of a literal that nobody wants, or append_max */
	IMAP_DEPTH_MAX = 64,           /* lists within lists */
	IMAP_ARGS_MAX = 32768,         /* arguments of a command */
	IMAP_ARENA_MAX = 32 << 20,     /* memory of a command that runs */
	IMAP_BAD_MAX = 100,            /* bad commands, then it is no mail client */
	IMAP_RANGES_MAX = 65536,       /* ranges of a sequence set */
	IMAP_SECTIONS_MAX = 1000,      /* of one FETCH: each reads the message once more */
};

/* RFC 5161: what the client has said ENABLE of, or used. */
enum imap_enabled {
	EN_CONDSTORE = 1,
	EN_QRESYNC = 2,
	EN_UTF8 = 4, /* UTF8=ACCEPT (RFC 6855): names are UTF-8 */
	EN_REV2 = 8, /* IMAP4rev2: likewise, and no RECENT */
};

/* How the tree's names are called here: `namespace` of the configuration. */
struct imap_names {
	char separator;     /* '.' or '/' */
	const char *prefix; /* "" or `INBOX.`; of every mailbox but INBOX itself */
};

/* A mailbox that the configuration names: `mailbox Sent { special_use = \Sent }`. */
struct imap_special {
	const char *path; /* in the tree */
	unsigned use;     /* enum view_use */
};

struct imap_conf {
	struct view_conf view; /* the user's directory in the mount */
	const char *name;      /* the user's, for the log */
	struct imap_names names;
	const struct imap_special *special;
	size_t nspecial;
	uint64_t append_max; /* octets of a message that is appended (RFC 7889) */
};

enum imap_ev {
	IMAP_MORE,
	IMAP_LOGOUT, /* answered and flushed */
	IMAP_BROKEN, /* just close it */
};

struct imap {
	const struct imap_conf *conf;
	struct out *out;
	struct view home; /* commands about mailboxes as a whole */
	struct arena arena;
	struct parser parser;
	const struct command *cmd; /* the one that runs; for its tag and its `uid` */
	struct mailbox *box;       /* selected, or NULL */
	unsigned enabled;          /* enum imap_enabled */
	struct numset saved;       /* RFC 5182 `$`: UIDs */
	unsigned bad;
	bool quiet; /* the command that runs is one during which nothing is expunged */
	bool logout;
	struct append *append; /* an APPEND that is being received */
	struct idle {
		bool on; /* between `+ idling` and DONE */
		struct line line;
		char room[16];
		char tag[PARSER_TAG_MAX + 1];
	} idle;
};

int imap_open(struct imap *, const struct imap_conf *, struct out *);
enum imap_ev imap_push(struct imap *, struct span in);
/* News have come (imap_poll_fd is readable), between commands: told when IDLE allows. */
enum imap_ev imap_news(struct imap *);
int imap_poll_fd(const struct imap *); /* -1: none wanted now */
/* As imap_news(), when there is a descriptor to be polled, which may block: then wait. */
enum imap_ev imap_wait_news(struct imap *);
enum imap_ev imap_still_here(struct imap *); /* IMAP_KEEPALIVE_MS without news in IDLE */
void imap_close(struct imap *);

/* ---- replies: 0, or -1: the connection is broken -------------------------------------------- */

int imap_printf(struct imap *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * `TAG OK text`, after the news that may be told after this command. `code` is a response
 * code without brackets, or NULL.
 */
int imap_ok(struct imap *, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int imap_no(struct imap *, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int imap_bad(struct imap *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* NO for the errno of a failed call, with the response code that RFC 5530 has for it; what
 * clients cannot know is logged. `what` begins the text. */
int imap_failed(struct imap *, const char *what);

/* ---- names of mailboxes ------------------------------------------------------------------------ */

/*
 * A client's name (an argument) to the tree's path, in the arena: namespace, separator,
 * modified UTF-7 or UTF-8, INBOX in whatever case. False: no such name can be; *why says
 * why (static).
 */
bool imap_path(struct imap *, const struct arg *, struct span *path, const char **why);

/* The other way, as it is sent (quoted or literal), appended to *b. -1: ENOMEM. */
int imap_print_name(struct imap *, struct span path, struct buf *b);

/* A string as nstring: quoted when it can be, else a literal. */
int imap_print_string(struct buf *, struct span);

/* ---- sets ------------------------------------------------------------------------------------- */

/*
 * The sequence set `text` of a command, with `$`, as UIDs of the selected mailbox: numbers
 * are UIDs when cmd->uid. Messages that are not there: left out of UID sets, else
 * BAD. 0, 1: not a set or no such number (*why), -1 ENOMEM.
 */
int imap_set(struct imap *, struct span text, struct numset *, const char **why);

/* Turn on what a command implies or ENABLE asks for; HIGHESTMODSEQ is told when it matters
 * (RFC 7162 section 3.1). */
int imap_enable(struct imap *, unsigned bits);

/* ---- IDLE --------------------------------------------------------------------------------------- */

/* The octets while it lasts: waits for DONE. *more: all were taken. */
int idle_push(struct imap *, struct span *in, bool *more);

/* ---- the commands ------------------------------------------------------------------------------ */

typedef int imap_run(struct imap *, const struct arg *);

imap_run cmd_capability, cmd_enable, cmd_id, cmd_logout, cmd_noop;     /* simple.c */
imap_run cmd_idle;                                                      /* idle.c */
imap_run cmd_list, cmd_lsub;                                            /* list.c */
imap_run cmd_status;                                                    /* status.c */
imap_run cmd_create, cmd_delete, cmd_rename, cmd_subscribe, cmd_unsubscribe,
    cmd_namespace;                                                      /* mailboxes.c */
imap_run cmd_search;                                                    /* search.c */
imap_run cmd_select, cmd_examine, cmd_close, cmd_unselect;             /* select.c */
imap_run cmd_fetch;                                                     /* fetch.c */
imap_run cmd_store;                                                     /* store.c */
imap_run cmd_copy, cmd_move, cmd_expunge;                               /* copy.c */
imap_run cmd_append;                                                    /* append.c */

#endif
