#include "fs/node.h"

#include <string.h>

#include "fs/abi.h"

#define ROOT_ID	  1u /* FUSE_ROOT_ID */
#define TOP	  0xffff0000u
#define KIND_BITS 12

/* Kinds in the top range of UIDs; plain ones share kind 0 and differ in x. */
enum { K_PLAIN, K_WIRE, K_INDEX, K_DRAFT = 8 };

static const enum node_kind plain[] = {NODE_STATE, NODE_HIDDEN, NODE_NEW, NODE_EVENTS,
				       NODE_CTL,   NODE_CACHE,	NODE_LOCK};

static uint32_t
top(uint32_t kind, uint32_t x)
{
	return TOP | kind << KIND_BITS | x;
}

static uint32_t
plain_x(enum node_kind kind)
{
	uint32_t i;

	for (i = 0; plain[i] != kind; i++)
		;
	return i;
}

uint64_t
node_id(struct node n)
{
	uint64_t high = (uint64_t)n.box << 32;

	switch (n.kind) {
	case NODE_ROOT:
		return ROOT_ID;
	case NODE_DIR:
		return high;
	case NODE_MESSAGE:
		return high | n.x;
	case NODE_WIRE:
		return high | top(K_WIRE, n.x & NODE_GEN_MASK);
	case NODE_INDEX:
		return high | top(K_INDEX, n.x & NODE_GEN_MASK);
	case NODE_DRAFT:
		return high | top(K_DRAFT, n.x & (NODE_NDRAFT - 1));
	case NODE_BAD:
	case NODE_NKIND:
		return 0;
	default:
		return high | top(K_PLAIN, plain_x(n.kind));
	}
}

struct node
node_of(uint64_t id)
{
	struct node n = {.box = (uint32_t)(id >> 32)};
	uint32_t low = (uint32_t)id, kind;

	if (n.box == 0) {
		n.kind = low == ROOT_ID ? NODE_ROOT : NODE_BAD;
		return n;
	}
	if (low < TOP) {
		n.kind = low == 0 ? NODE_DIR : NODE_MESSAGE;
		n.x = low;
		return n;
	}
	kind = (low & 0xffff) >> KIND_BITS;
	n.x = low & NODE_GEN_MASK;
	if (kind >= K_DRAFT) {
		n.kind = NODE_DRAFT;
		n.x = low & (NODE_NDRAFT - 1);
	} else if (kind == K_WIRE)
		n.kind = NODE_WIRE;
	else if (kind == K_INDEX)
		n.kind = NODE_INDEX;
	else if (kind == K_PLAIN && n.x < sizeof plain / sizeof *plain) {
		n.kind = plain[n.x];
		n.x = 0;
	} else
		n.kind = NODE_BAD;
	return n;
}

uint32_t
node_name_uid(const char *name)
{
	uint64_t uid = 0;
	const char *p;

	if (*name < '1' || *name > '9')
		return 0;
	for (p = name; *p >= '0' && *p <= '9'; p++)
		if ((uid = uid * 10 + (uint64_t)(*p - '0')) > NODE_UID_MAX)
			return 0;
	return strcmp(p, MT_SUFFIX) == 0 ? (uint32_t)uid : 0;
}

/* By hand: a listing of a large mailbox spends its time here. */
size_t
node_uid_name(uint32_t uid, char out[static NODE_NAME_MAX])
{
	char digits[10];
	size_t n = 0, i;

	do
		digits[n++] = (char)('0' + uid % 10);
	while ((uid /= 10) > 0);
	for (i = 0; i < n; i++)
		out[i] = digits[n - 1 - i];
	memcpy(out + n, MT_SUFFIX, sizeof MT_SUFFIX);
	return n + sizeof MT_SUFFIX - 1;
}

enum node_kind
node_hidden_kind(const char *name)
{
	static const struct {
		const char *name;
		enum node_kind kind;
	} file[] = {
		{MT_WIRE, NODE_WIRE},	{MT_INDEX, NODE_INDEX}, {MT_EVENTS, NODE_EVENTS},
		{MT_CTL, NODE_CTL},	{MT_NEW, NODE_NEW},	{MT_CACHE, NODE_CACHE},
		{MT_LOCK, NODE_LOCK},
	};

	for (size_t i = 0; i < sizeof file / sizeof *file; i++)
		if (strcmp(name, file[i].name) == 0)
			return file[i].kind;
	return NODE_BAD;
}
