/* setattr: chmod, chown, truncate, utimens. What may be set on what: README.md. */
#include <time.h>

#include "fs/entry.h"
#include "fs/ops.h"

#define SET_OWNER (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)

struct wish {
	const struct stat *st;
	int set;
};

static bool
owner_differs(const struct wish *w, const struct stat *is)
{
	return (w->set & FUSE_SET_ATTR_UID && w->st->st_uid != is->st_uid) ||
	       (w->set & FUSE_SET_ATTR_GID && w->st->st_gid != is->st_gid);
}

static bool
mode_differs(const struct wish *w, const struct stat *is)
{
	return w->set & FUSE_SET_ATTR_MODE &&
	       (w->st->st_mode & 07777) != (is->st_mode & 07777);
}

static int
refuse(int err)
{
	errno = err;
	return -1;
}

static int64_t
wished_mtime(const struct wish *w)
{
	return w->set & FUSE_SET_ATTR_MTIME_NOW ? time(NULL) : w->st->st_mtime;
}

/* A message never changes; asking for what is so already is fine. */
static int
set_message(const struct wish *w, const struct stat *is)
{
	if (w->set & FUSE_SET_ATTR_SIZE)
		return refuse(EEXIST);
	if (mode_differs(w, is) || owner_differs(w, is) ||
	    w->set & (FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_ATIME_NOW))
		return refuse(EPERM);
	if (w->set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME) &&
	    (!(w->set & FUSE_SET_ATTR_MTIME) || w->st->st_mtime != is->st_mtime))
		return refuse(EPERM);
	return 0;
}

/* rsync -a, cp -a and tar set them on every directory: taken, without effect. */
static int
set_dir(const struct wish *w, const struct stat *is)
{
	return owner_differs(w, is) ? refuse(EPERM) : 0;
}

static int
set_hidden(const struct wish *w, enum node_kind kind)
{
	/* `> ctl` truncates */
	if ((kind == NODE_CTL || kind == NODE_CACHE) && w->set & FUSE_SET_ATTR_SIZE &&
	    w->st->st_size == 0 && !(w->set & (SET_OWNER | FUSE_SET_ATTR_MODE)))
		return 0;
	return refuse(EPERM);
}

static int
set_draft(struct fs *fs, struct node n, const struct wish *w)
{
	struct draft *d = draft_get(fs, n.x);
	int status = 0;

	if (d == NULL)
		return -1;
	if (w->set & FUSE_SET_ATTR_SIZE)
		status = written_truncate(fs, d, (uint64_t)w->st->st_size);
	if (status == 0 && w->set & FUSE_SET_ATTR_MODE) {
		pthread_mutex_lock(&d->lock);
		d->mode = S_IFREG | (w->st->st_mode & 0777);
		pthread_mutex_unlock(&d->lock);
	}
	if (status == 0 && w->set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))
		status = draft_set_date(fs, d, wished_mtime(w));
	draft_put(fs, d);
	return status;
}

static int
set_by_kind(struct fs *fs, struct node n, const struct wish *w, const struct stat *is)
{
	switch (n.kind) {
	case NODE_MESSAGE:
		return set_message(w, is);
	case NODE_DIR:
	case NODE_NEW:
		return set_dir(w, is);
	case NODE_DRAFT:
		return set_draft(fs, n, w);
	default:
		return set_hidden(w, n.kind);
	}
}

void
tree_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
	     struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct node n = fs_node(fs, ino);
	struct wish w = {st, to_set};
	struct fuse_entry_param e;

	(void)fi;
	if (tree_attributes(fs, n, &e) == -1 || set_by_kind(fs, n, &w, &e.attr) == -1 ||
	    tree_attributes(fs, n, &e) == -1)
		fuse_reply_err(req, fs_node_error(errno));
	else
		fuse_reply_attr(req, &e.attr, e.attr_timeout);
}
