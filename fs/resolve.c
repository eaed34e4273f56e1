#include "fs/resolve.h"

#include "fs/loop.h"

int
place_open(struct fs *fs, fuse_ino_t ino, struct place *p)
{
	struct node n = fs_node(fs, ino);

	p->kind = n.kind;
	if (n.kind != NODE_DIR && n.kind != NODE_HIDDEN && n.kind != NODE_NEW) {
		errno = ENOTDIR;
		return -1;
	}
	return (p->box = fs_box(fs, n)) == NULL ? -1 : 0;
}

void
place_close(struct place *p)
{
	box_unref(p->box);
	p->box = NULL;
}

static int
resolve_hidden(struct fs *fs, const char *name, struct thing *t)
{
	enum node_kind kind = node_hidden_kind(name);

	/* a mount without open knows no state per open file */
	if (fs->readonly &&
	    (kind == NODE_EVENTS || kind == NODE_CTL || kind == NODE_NEW))
		kind = NODE_BAD;
	if (kind != NODE_BAD) {
		t->kind = THING_HIDDEN;
		t->hidden = kind;
	}
	return 0;
}

/* A message that was seen a moment ago is believed; one that was not is looked for. */
static int
resolve_message(struct fs *fs, struct box *box, uint32_t uid, struct thing *t)
{
	if (fs_refresh(fs, box, false) == -1)
		return -1;
	if (box_record(box, uid, &t->rec) == -1) {
		if (errno != ENOENT || fs_refresh(fs, box, true) == -1)
			return -1;
		if (box_record(box, uid, &t->rec) == -1)
			return errno == ENOENT ? 0 : -1;
	}
	t->kind = THING_MESSAGE;
	return 0;
}

static int
resolve_draft(struct fs *fs, const struct place *p, const char *name, struct thing *t)
{
	t->draft = draft_find(fs, p->box, p->kind == NODE_NEW, name);
	if (t->draft != NULL) {
		t->kind = THING_DRAFT;
		loop_yield();
	}
	return 0;
}

static int
resolve_box(struct box *box, const char *name, struct thing *t)
{
	loop_yield();
	if (box_child(box, name, &t->box) == -1)
		return errno == ENOENT ? 0 : -1;
	t->kind = THING_BOX;
	return 0;
}

static int
resolve_in_mailbox(struct fs *fs, const struct place *p, const char *name,
		   struct thing *t)
{
	uint32_t uid = node_name_uid(name);

	if (strcmp(name, MT_STATE) == 0 || strcmp(name, MT_HIDDEN) == 0) {
		t->kind = THING_HIDDEN;
		t->hidden = strcmp(name, MT_STATE) == 0 ? NODE_STATE : NODE_HIDDEN;
		return fs_refresh(fs, p->box, false);
	}
	if (uid != 0 && resolve_message(fs, p->box, uid, t) == -1)
		return -1;
	return t->kind == THING_NONE ? resolve_draft(fs, p, name, t) : 0;
}

int
resolve(struct fs *fs, const struct place *p, const char *name, struct thing *t)
{
	*t = (struct thing){0};
	if (strlen(name) > 255) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (p->kind == NODE_HIDDEN)
		return resolve_hidden(fs, name, t);
	if (p->kind == NODE_NEW)
		return resolve_draft(fs, p, name, t);
	if (box_kind(p->box) == BOX_MAIL &&
	    resolve_in_mailbox(fs, p, name, t) == -1)
		return -1;
	return t->kind == THING_NONE ? resolve_box(p->box, name, t) : 0;
}

void
thing_close(struct fs *fs, struct thing *t)
{
	if (t->draft != NULL)
		draft_put(fs, t->draft);
	box_unref(t->box);
	*t = (struct thing){0};
}
