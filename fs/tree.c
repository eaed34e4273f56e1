/* tree: lookup, getattr, statfs. */
#include "fs/entry.h"
#include "fs/loop.h"
#include "fs/ops.h"
#include "fs/resolve.h"
#include "fs/room.h"
#include "fs/users.h"

/* ---- entries ------------------------------------------------------------------------ */

/*
 * stat waits for the size of this one message. When it cannot be had (the file is not
 * readable) the name is there all the same, so that it can be removed; stat then says
 * what is wrong.
 */
static int
message_entry(struct fs *fs, struct box *box, const struct mt_record *known,
	      bool must_size, struct fuse_entry_param *e)
{
	struct mt_record r = *known;
	struct mt_header h;

	if (r.wire_off == MT_OFF_UNKNOWN)
		loop_yield();
	if (r.wire_off == MT_OFF_UNKNOWN && box_sized(box, r.uid, &r) == -1) {
		if (must_size || errno == ENOENT)
			return -1;
		r = *known;
	}
	box_header(box, &h);
	entry_message(box, &h, &r, e);
	room_told(fs->rooms, box_number(box), r.uid);
	return 0;
}

static int
box_entry(struct fs *fs, struct box *box, struct fuse_entry_param *e)
{
	/* a mailbox that cannot be read is a directory all the same */
	if (fs_refresh(fs, box, false) == -1 && errno == ESTALE)
		return -1;
	return entry_dir(fs, box, e);
}

static int
hidden_entry(struct fs *fs, struct box *box, enum node_kind kind,
	     struct fuse_entry_param *e)
{
	struct room *r;

	entry_hidden(box, kind, e);
	/* without open, this is when following the mailbox begins */
	if (fs->readonly &&
	    (kind == NODE_WIRE || kind == NODE_INDEX || kind == NODE_STATE)) {
		if (room_enter(fs, box, &r) == -1)
			return -1;
		room_leave(fs, r);
	}
	return 0;
}

static int
thing_entry(struct fs *fs, const struct place *p, struct thing *t,
	    struct fuse_entry_param *e)
{
	switch (t->kind) {
	case THING_HIDDEN:
		return hidden_entry(fs, p->box, t->hidden, e);
	case THING_MESSAGE:
		return message_entry(fs, p->box, &t->rec, false, e);
	case THING_DRAFT:
		return draft_entry(fs, t->draft, e);
	case THING_BOX:
		return box_entry(fs, t->box, e);
	case THING_NONE:
		break;
	}
	errno = ENOENT;
	return -1;
}

void
tree_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param e;
	struct place p;
	struct thing t = {0};

	if (fs_node(fs, parent).kind == NODE_ROOT) {
		users_lookup(req, name);
		return;
	}
	if (place_open(fs, parent, &p) == -1) {
		fuse_reply_err(req, errno);
		return;
	}
	if (resolve(fs, &p, name, &t) == -1 || thing_entry(fs, &p, &t, &e) == -1)
		fuse_reply_err(req, errno);
	else
		fuse_reply_entry(req, &e);
	thing_close(fs, &t);
	place_close(&p);
}

/* ---- attributes ------------------------------------------------------------------------ */

static int
attr_in_box(struct fs *fs, struct box *box, struct node n, struct fuse_entry_param *e)
{
	struct mt_record r;

	if (n.kind == NODE_DIR)
		return box_entry(fs, box, e);
	if (n.kind == NODE_MESSAGE)
		return box_record(box, n.x, &r) == -1
			       ? -1
			       : message_entry(fs, box, &r, true, e);
	if (n.kind == NODE_STATE && fs_refresh(fs, box, false) == -1)
		return -1;
	entry_hidden(box, n.kind, e);
	if ((n.kind == NODE_WIRE || n.kind == NODE_INDEX) &&
	    e->ino != node_id(n)) { /* another layout than this file was of */
		errno = ESTALE;
		return -1;
	}
	return 0;
}

static int
attr_of_draft(struct fs *fs, struct node n, struct fuse_entry_param *e)
{
	struct draft *d = draft_get(fs, n.x);
	int status;

	if (d == NULL)
		return -1;
	status = draft_entry(fs, d, e);
	draft_put(fs, d);
	return status;
}

int
tree_attributes(struct fs *fs, struct node n, struct fuse_entry_param *e)
{
	struct box *box;
	int status;

	switch (n.kind) {
	case NODE_ROOT:
		entry_root(fs, e);
		return 0;
	case NODE_DRAFT:
		return attr_of_draft(fs, n, e);
	case NODE_BAD:
		errno = ESTALE;
		return -1;
	default:
		if ((box = fs_box(fs, n)) == NULL)
			return -1;
		status = attr_in_box(fs, box, n, e);
		box_unref(box);
		return status;
	}
}

void
tree_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param e;

	(void)fi;
	if (tree_attributes(fs, fs_node(fs, ino), &e) == -1)
		fuse_reply_err(req, fs_node_error(errno));
	else
		fuse_reply_attr(req, &e.attr, e.attr_timeout);
}

void
tree_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct node n = fs_node(fs, ino);
	struct box *box = NULL;
	struct statvfs v;
	int status;

	if (n.kind == NODE_ROOT)
		status = fstatvfs(fs->index_dir, &v);
	else if ((box = fs_box(fs, n)) == NULL)
		status = -1;
	else
		status = store_statvfs(box_store(box), &v);
	if (status == -1)
		fuse_reply_err(req, errno);
	else {
		v.f_namemax = 255;
		fuse_reply_statfs(req, &v);
	}
	box_unref(box);
}
