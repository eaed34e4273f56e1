/*
 * node: node ids, the numbers by which the kernel knows files of the tree. An id says
 * what it is, so a daemon that knows nothing can answer for ids that an earlier one
 * gave out: upper 32 bits the mailbox's number, lower 32 bits
 *
 *	0			the mailbox's directory
 *	1 .. 0xfffeffff		the message with that UID
 *	0xffff0000 | kind<<12 | x	a hidden file; from kind 8 on a draft, by its slot
 *
 * FUSE_ROOT_ID (1) is the root of the mount.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum node_kind {
	NODE_BAD, /* no id of ours */
	NODE_ROOT,
	NODE_DIR,     /* a user's directory, a mailbox, a missing parent */
	NODE_MESSAGE, /* x: UID */
	NODE_STATE,   /* .mailbox */
	NODE_HIDDEN,  /* .mailtree */
	NODE_NEW,     /* .mailtree/new */
	NODE_EVENTS,
	NODE_CTL,
	NODE_CACHE,
	NODE_LOCK,
	NODE_WIRE,  /* x: the layout's generation, its low 12 bits */
	NODE_INDEX, /* likewise */
	NODE_DRAFT, /* x: slot */
	NODE_NKIND
};

#define NODE_UID_MAX  0xfffeffffu /* the greatest UID that can be shown */
#define NODE_NDRAFT   0x8000u	  /* slots are below */
#define NODE_GEN_MASK 0xfffu

struct node {
	enum node_kind kind;
	uint32_t box; /* mailbox number; 0 for ROOT */
	uint32_t x;
};

uint64_t node_id(struct node);
struct node node_of(uint64_t id);

/* `41.eml` as a UID; 0 when the name is not exactly the canonical one of a UID. */
uint32_t node_name_uid(const char *name);

/* The name of a message; returns its length. */
#define NODE_NAME_MAX 16
size_t node_uid_name(uint32_t uid, char out[static NODE_NAME_MAX]);

/* The file of .mailtree/ that has this name, NODE_BAD when none has. */
enum node_kind node_hidden_kind(const char *name);

#endif
