/*
 * mbox_plan: what is to become of the messages of an mbox: what fits its place is patched
 * there, and from the first message on that does not fit the file is written anew. Private
 * to storage/mbox*.c.
 */
#ifndef STORAGE_MBOX_PLAN_H
#define STORAGE_MBOX_PLAN_H

#include "storage/mbox_journal.h"

/* ---- mbox_patches.c: a header as it stands, and patches of it ------------------------------ */

struct mbox_hidden {
	enum mboxscan_name name;
	uint64_t off, size, value_off;
	uint32_t room;
};

struct mbox_header {
	struct mboxscan_msg msg;
	struct mbox_hidden *v;
	size_t n, cap;
	const struct mbox *m;
	struct buf more, base; /* keywords without numbers; those of X-IMAPbase */
	bool nomem;
};

/* In any case to be freed. */
int mbox_header_read(const struct mbox *, int fd, uint64_t off, struct mbox_header *);
void mbox_header_free(struct mbox_header *);

struct mbox_patch_text {
	uint64_t off;
	uint32_t n;
	size_t text; /* in the patches' texts */
};

struct mbox_patches {
	struct mbox_patch_text *v;
	size_t n, cap;
	struct buf text;
};

/* 1: all that `meta` says has a place, and is among the patches; 0: not; -1. */
int mbox_patches_place(const struct mbox_header *, const struct mbox_meta *,
                       struct mbox_patches *);
/* The same for the last UID that X-IMAPbase tells; 0 also when it tells it already. */
int mbox_patches_base(struct mbox_writing *, uint32_t last, struct mbox_patches *);
/* Those below an offset. */
int mbox_patches_journal(struct mbox_journal *, struct mbox_patches *, uint64_t below);
void mbox_patches_free(struct mbox_patches *);

/* ---- mbox_plan.c ----------------------------------------------------------------------------- */

/* What is to become of each message of the file, in the file's order. */
struct mbox_item {
	uint32_t row;
	uint64_t off, next;
	bool rewrite; /* its hidden fields are written anew */
	bool change;  /* flags or keywords become others */
	bool gone;
	uint16_t flags;
	uint32_t keywords;
};

struct mbox_plan {
	struct mbox_writing w;
	struct mbox_item *v;
	size_t n;
	size_t base;   /* the item that gets X-IMAPbase; n: none */
	uint64_t from; /* what lies behind is written anew */
	struct mbox_patches patches;
	bool base_patched;
};

/* Locks, looks, and lists all messages; mbox_plan_end in any case but -1. */
int mbox_plan_begin(struct mbox *, struct mbox_plan *);
/* By row, NULL where there is none; the caller frees it. */
struct mbox_item **mbox_plan_index(struct mbox_plan *);
bool mbox_plan_changes(const struct mbox_plan *); /* anything? */
/* Between the two the caller says what goes and what changes. */
int mbox_plan_settle(struct mbox_plan *);
int mbox_plan_run(struct mbox_plan *);
/* After it the box is told; then the rows learn where they lie now. */
int mbox_plan_take(struct mbox_plan *);
void mbox_plan_end(struct mbox_plan *);

#endif
