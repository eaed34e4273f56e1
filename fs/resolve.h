/*
 * resolve: what a name in a directory of the tree means. One order for every verb:
 * fixed names, messages, drafts and aliases, mailboxes.
 */
#ifndef FS_RESOLVE_H
#define FS_RESOLVE_H

#include "fs/draft.h"

enum thing_kind {
	THING_NONE,
	THING_HIDDEN, /* .mailbox, .mailtree, a file of .mailtree/ */
	THING_MESSAGE,
	THING_DRAFT,
	THING_BOX,
};

/* A directory of the tree that names can be looked up in. */
struct place {
	struct box *box; /* reference */
	enum node_kind kind; /* DIR, HIDDEN or NEW */
};

struct thing {
	enum thing_kind kind;
	enum node_kind hidden;
	struct mt_record rec; /* of a message, perhaps without its size */
	struct draft *draft;  /* reference */
	struct box *box;      /* reference */
};

/* The place behind a node id. ENOTDIR, ESTALE; the root of many users is ENOTDIR too:
 * names there belong to users.h. */
int place_open(struct fs *, fuse_ino_t, struct place *);
void place_close(struct place *);
static inline bool
place_takes_mail(const struct place *p)
{
	return p->kind == NODE_DIR || p->kind == NODE_NEW;
}

/*
 * THING_NONE with 0 when there is nothing of this name; -1 on errors. The store is
 * looked at when that is needed to be sure.
 */
int resolve(struct fs *, const struct place *, const char *name, struct thing *);
void thing_close(struct fs *, struct thing *);

#endif
