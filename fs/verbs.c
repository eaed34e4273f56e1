/* verbs: mkdir, rmdir, unlink, and creating a file, which begins a draft. */
#include "fs/entry.h"
#include "fs/ops.h"
#include "fs/resolve.h"
#include "fs/room.h"

/* ---- mailboxes ------------------------------------------------------------------------ */

static int
make_box(struct fs *fs, const struct place *p, const char *name,
	 struct fuse_entry_param *e)
{
	struct box *made;
	int status;

	if (p->kind != NODE_DIR) {
		errno = EPERM;
		return -1;
	}
	if (box_mkdir(p->box, name, &made) == -1)
		return -1;
	status = fs_refresh(fs, made, true);
	if (status == 0)
		status = entry_dir(fs, made, e);
	box_unref(made);
	return status;
}

void
verb_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param e;
	struct place p;

	(void)mode;
	if (fs_node(fs, parent).kind == NODE_ROOT) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (place_open(fs, parent, &p) == -1) {
		fuse_reply_err(req, errno);
		return;
	}
	if (make_box(fs, &p, name, &e) == -1)
		fuse_reply_err(req, errno);
	else
		fuse_reply_entry(req, &e);
	place_close(&p);
}

static int
remove_box(struct fs *fs, const struct place *p, const char *name, struct thing *t)
{
	switch (t->kind) {
	case THING_NONE:
		errno = ENOENT;
		return -1;
	case THING_BOX:
		break;
	case THING_HIDDEN:
		errno = EPERM;
		return -1;
	default:
		errno = ENOTDIR;
		return -1;
	}
	room_wait_released(fs->rooms, box_number(t->box));
	if (fs_refresh(fs, t->box, true) == -1 && errno != EACCES)
		return -1;
	if (drafts_in_box(fs, t->box)) {
		errno = ENOTEMPTY;
		return -1;
	}
	if (box_rmdir(p->box, name) == -1)
		return -1;
	drafts_forget_box(fs, t->box);
	return 0;
}

void
verb_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct place p;
	struct thing t = {0};

	if (fs_node(fs, parent).kind == NODE_ROOT) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (place_open(fs, parent, &p) == -1) {
		fuse_reply_err(req, errno);
		return;
	}
	if (resolve(fs, &p, name, &t) == -1 || remove_box(fs, &p, name, &t) == -1)
		fuse_reply_err(req, errno);
	else
		fuse_reply_err(req, 0);
	thing_close(fs, &t);
	place_close(&p);
}

/* ---- unlink ---------------------------------------------------------------------------- */

static int
expunge_one(struct box *box, uint32_t uid)
{
	struct numset set = {0}, gone = {0};
	int status;

	if ((status = numset_add(&set, uid, uid)) == 0)
		status = box_expunge(box, &set, false, &gone);
	numset_free(&set);
	numset_free(&gone);
	return status;
}

/* Asked again after a lost answer, an expunge finds nothing and is done all the same. */
static bool
was_message(struct box *box, const char *name)
{
	uint32_t uid = node_name_uid(name);
	struct mt_header h;

	if (uid == 0 || box_kind(box) != BOX_MAIL)
		return false;
	box_header(box, &h);
	return uid < h.uidnext;
}

static int
unlink_thing(struct fs *fs, const struct place *p, const char *name, struct thing *t)
{
	switch (t->kind) {
	case THING_MESSAGE:
		return expunge_one(p->box, t->rec.uid);
	case THING_DRAFT:
		return draft_unlink(fs, t->draft);
	case THING_HIDDEN:
		if (t->hidden == NODE_STATE)
			return 0; /* stays, and rm -r goes on */
		errno = EPERM;
		return -1;
	case THING_BOX:
		errno = EISDIR;
		return -1;
	case THING_NONE:
		break;
	}
	if (p->kind == NODE_DIR && was_message(p->box, name))
		return 0;
	errno = ENOENT;
	return -1;
}

void
verb_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct place p;
	struct thing t = {0};

	if (place_open(fs, parent, &p) == -1) {
		fuse_reply_err(req, errno);
		return;
	}
	if (resolve(fs, &p, name, &t) == -1 || unlink_thing(fs, &p, name, &t) == -1)
		fuse_reply_err(req, errno);
	else
		fuse_reply_err(req, 0);
	thing_close(fs, &t);
	place_close(&p);
}

/* ---- create ------------------------------------------------------------------------------ */

/* The kernel looked a moment ago and saw nothing, but somebody may have been faster. */
static int
existing(struct fs *fs, struct thing *t, int flags, struct draft **d)
{
	if (t->kind != THING_DRAFT || flags & O_EXCL) {
		errno = EEXIST;
		return -1;
	}
	if (draft_open(fs, t->draft, flags) == -1)
		return -1;
	*d = t->draft;
	t->draft = NULL;
	return 0;
}

static int
begin_draft(struct fs *fs, const struct place *p, const char *name, mode_t mode, int flags,
	    struct draft **d)
{
	struct thing t;
	int status;

	if (p->kind == NODE_HIDDEN) {
		errno = EPERM;
		return -1;
	}
	if (resolve(fs, p, name, &t) == -1)
		return -1;
	status = t.kind == THING_NONE
			 ? draft_create(fs, p->box, p->kind == NODE_NEW, name, mode, d)
			 : existing(fs, &t, flags, d);
	thing_close(fs, &t);
	return status;
}

static void
reply_created(fuse_req_t req, struct draft *d, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param e;

	fi->fh = 0;
	fi->direct_io = 1;
	/* the opening process was interrupted: there will be no release */
	if (draft_entry(fs, d, &e) == -1) {
		int saved = errno;

		draft_release(fs, d);
		fuse_reply_err(req, saved);
	} else if (fuse_reply_create(req, &e, fi) == -ENOENT)
		draft_release(fs, d);
}

void
verb_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	    struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct draft *d;
	struct place p;

	if (fs_node(fs, parent).kind == NODE_ROOT) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (place_open(fs, parent, &p) == -1) {
		fuse_reply_err(req, errno);
		return;
	}
	if (begin_draft(fs, &p, name, mode, fi->flags, &d) == -1)
		fuse_reply_err(req, errno);
	else {
		reply_created(req, d, fi);
		draft_put(fs, d);
	}
	place_close(&p);
}
