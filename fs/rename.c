/*
 * rename: of messages (a move to another mailbox), drafts and aliases, mailboxes. The
 * kernel believes that afterwards the new name is what the old one was; where that is
 * not so it is told, once it has had its answer.
 */
#include <stdio.h>

#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/resolve.h"
#include "fs/room.h"

struct rename {
	struct place from, to;
	const char *name, *newname;
	struct thing thing, target;
};

static int
refuse(int err)
{
	errno = err;
	return -1;
}

static int
rename_message(struct fs *fs, struct rename *r)
{
	struct numset uid = {0};
	int status;

	(void)fs;
	if (!place_takes_mail(&r->to) || r->to.box == r->from.box || r->newname[0] == '.')
		return refuse(EPERM);
	if (box_kind(r->to.box) != BOX_MAIL)
		return refuse(EACCES);
	if ((status = numset_add(&uid, r->thing.rec.uid, r->thing.rec.uid)) == 0)
		status = box_copy(r->from.box, &uid, r->to.box, true, NULL, NULL);
	numset_free(&uid);
	return status;
}

static int
rename_draft(struct fs *fs, struct rename *r)
{
	if (!place_takes_mail(&r->to))
		return refuse(EPERM);
	if (box_kind(r->to.box) != BOX_MAIL)
		return refuse(EACCES);
	return draft_rename(fs, r->thing.draft, r->to.box, r->to.kind == NODE_NEW,
			    r->newname);
}

static int
rename_box(struct fs *fs, struct rename *r)
{
	if (r->to.kind != NODE_DIR)
		return refuse(EPERM);
	room_wait_released(fs->rooms, box_number(r->thing.box));
	return box_rename(r->from.box, r->name, r->to.box, r->newname);
}

static int
rename_thing(struct fs *fs, struct rename *r, unsigned flags)
{
	bool onto_box = r->target.kind == THING_BOX;

	if (flags & RENAME_NOREPLACE && r->target.kind != THING_NONE)
		return refuse(EEXIST);
	if (r->target.kind == THING_HIDDEN)
		return refuse(EPERM);
	switch (r->thing.kind) {
	case THING_MESSAGE:
		return onto_box ? refuse(EISDIR) : rename_message(fs, r);
	case THING_DRAFT:
		return onto_box ? refuse(EISDIR) : rename_draft(fs, r);
	case THING_BOX:
		if (r->target.kind != THING_NONE && !onto_box)
			return refuse(ENOTDIR);
		return rename_box(fs, r);
	case THING_HIDDEN:
		return refuse(EPERM);
	case THING_NONE:
		break;
	}
	return refuse(ENOENT);
}

/* Both things are looked up, the target first: resolving it may take a while. */
static int
resolve_both(struct fs *fs, struct rename *r)
{
	return resolve(fs, &r->to, r->newname, &r->target) == -1 ||
			       resolve(fs, &r->from, r->name, &r->thing) == -1
		       ? -1
		       : 0;
}

static void
rename_places(fuse_req_t req, struct rename *r, fuse_ino_t parent, fuse_ino_t newparent,
	      unsigned flags)
{
	struct fs *fs = fs_of(req);

	if (resolve_both(fs, r) == -1 || rename_thing(fs, r, flags) == -1)
		fuse_reply_err(req, errno);
	else {
		fuse_reply_err(req, 0);
		notify_name(fs->notify, parent, r->name);
		notify_name(fs->notify, newparent, r->newname);
	}
	thing_close(fs, &r->thing);
	thing_close(fs, &r->target);
}

void
verb_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	    const char *newname, unsigned flags)
{
	struct fs *fs = fs_of(req);
	struct rename r = {.name = name, .newname = newname};

	if (flags & ~(unsigned)RENAME_NOREPLACE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (fs_node(fs, parent).kind == NODE_ROOT || fs_node(fs, newparent).kind == NODE_ROOT) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (place_open(fs, parent, &r.from) == -1) {
		fuse_reply_err(req, errno);
		return;
	}
	if (place_open(fs, newparent, &r.to) == -1)
		fuse_reply_err(req, errno);
	else {
		rename_places(req, &r, parent, newparent, flags);
		place_close(&r.to);
	}
	place_close(&r.from);
}
