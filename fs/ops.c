/* ops: the tables from requests to the functions that answer them. */
#include "fs/ops.h"

/* ---- open files, by the kind of their node --------------------------------------------- */

static const struct file_ops *const files[NODE_NKIND] = {
	[NODE_MESSAGE] = &message_ops, [NODE_STATE] = &state_ops, [NODE_WIRE] = &wire_ops,
	[NODE_INDEX] = &index_ops,     [NODE_EVENTS] = &events_ops, [NODE_CTL] = &ctl_ops,
	[NODE_CACHE] = &cache_ops,     [NODE_LOCK] = &lock_ops,   [NODE_DRAFT] = &draft_ops,
};

static const struct file_ops *
file_of(fuse_req_t req, fuse_ino_t ino, struct node *n)
{
	const struct file_ops *f;

	*n = fs_node(fs_of(req), ino);
	if ((f = files[n->kind]) == NULL)
		fuse_reply_err(req, n->kind == NODE_BAD ? ESTALE : EISDIR);
	return f;
}

static void
op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct file_ops *f;
	struct node n;

	if ((f = file_of(req, ino, &n)) == NULL)
		return;
	if (fs_of(req)->readonly) /* the kernel asks no more and opens by itself */
		fuse_reply_err(req, ENOSYS);
	else if (f->write == NULL && n.kind != NODE_MESSAGE &&
		 ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC))
		fuse_reply_err(req, EPERM); /* root passes every check of modes */
	else
		f->open(req, n, fi);
}

static void
op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	const struct file_ops *f;
	struct node n;

	if ((f = file_of(req, ino, &n)) != NULL)
		f->read(req, n, size, off, fi);
}

static void
op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t off,
	 struct fuse_file_info *fi)
{
	const struct file_ops *f;
	struct node n;

	if ((f = file_of(req, ino, &n)) == NULL)
		return;
	if (f->write == NULL)
		fuse_reply_err(req, EBADF);
	else
		f->write(req, n, (struct span){bytes, size}, off, fi);
}

static void
op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct file_ops *f;
	struct node n;

	if ((f = file_of(req, ino, &n)) != NULL)
		f->release(req, n, fi);
}

static void
op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	if (fs_of(req)->readonly) { /* nothing is written: the kernel asks no more */
		fuse_reply_err(req, ENOSYS);
		return;
	}
	written_flush(req, fs_node(fs_of(req), ino));
}

static void
op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync, (void)fi;
	written_fsync(req, fs_node(fs_of(req), ino));
}

/* Every change of a directory is durable once it is answered. */
static void
op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino, (void)datasync, (void)fi;
	fuse_reply_err(req, 0);
}

static void
op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
	     struct fuse_file_info *fi)
{
	(void)fi;
	written_reserve(req, fs_node(fs_of(req), ino), mode, off, length);
}

static void
op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
	struct fuse_pollhandle *ph)
{
	events_poll(req, fs_node(fs_of(req), ino), fi, ph);
}

static void
op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	 unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	(void)arg;
	ctl_ioctl(req, fs_node(fs_of(req), ino), cmd, fi, flags, (struct span){in, in_size},
		  out_size);
}

/* ---- what there is not ------------------------------------------------------------------ */

static void
op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	(void)ino, (void)newparent, (void)newname;
	fuse_reply_err(req, EPERM);
}

static void
op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link, (void)parent, (void)name;
	fuse_reply_err(req, EPERM);
}

static void
op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	(void)parent, (void)name, (void)mode, (void)dev;
	fuse_reply_err(req, EPERM);
}

/* ENOSYS once, and the kernel never asks again: ls -l asks twice a file otherwise. */
static void
op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	(void)ino, (void)name, (void)size;
	fuse_reply_err(req, fs_of(req)->xattr ? ENODATA : ENOSYS);
}

static void
op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	(void)ino;
	if (!fs_of(req)->xattr)
		fuse_reply_err(req, ENOSYS);
	else if (size == 0)
		fuse_reply_xattr(req, 0);
	else
		fuse_reply_buf(req, NULL, 0);
}

static void
op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
	    int flags)
{
	(void)ino, (void)name, (void)value, (void)size, (void)flags;
	fuse_reply_err(req, ENOTSUP);
}

static void
op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino, (void)name;
	fuse_reply_err(req, ENOTSUP);
}

/* Node ids say what they are: nothing is counted. */
static void
op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	(void)ino, (void)n;
	fuse_reply_none(req);
}

static void
op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	(void)count, (void)forgets;
	fuse_reply_none(req);
}

/* ---- the connection ------------------------------------------------------------------------ */

static void
op_init(void *userdata, struct fuse_conn_info *conn)
{
	const unsigned unwanted = FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_FLOCK_LOCKS |
				  FUSE_CAP_POSIX_LOCKS | FUSE_CAP_WRITEBACK_CACHE |
				  FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_EXPORT_SUPPORT |
				  FUSE_CAP_HANDLE_KILLPRIV;
	const unsigned wanted = FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_READDIRPLUS |
				FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_PARALLEL_DIROPS |
				FUSE_CAP_ASYNC_READ |
				/* a file that grew keeps its pages: notify drops what must go */
				FUSE_CAP_EXPLICIT_INVAL_DATA;

	(void)userdata;
	conn->want &= ~unwanted;
	conn->want |= wanted & conn->capable;
	conn->max_write = 1u << 20;
	conn->max_read = 0;
	conn->max_background = 64; /* a RELEASE waits behind read-ahead otherwise */
	conn->congestion_threshold = 48;
}

const struct fuse_lowlevel_ops fs_ops = {
	.init = op_init,
	.lookup = tree_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = tree_getattr,
	.setattr = tree_setattr,
	.statfs = tree_statfs,
	.mkdir = verb_mkdir,
	.rmdir = verb_rmdir,
	.unlink = verb_unlink,
	.create = verb_create,
	.rename = verb_rename,
	.link = op_link,
	.symlink = op_symlink,
	.mknod = op_mknod,
	.opendir = dir_open,
	.readdir = dir_read,
	.readdirplus = dir_read_plus,
	.releasedir = dir_release,
	.fsyncdir = op_fsyncdir,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.release = op_release,
	.fallocate = op_fallocate,
	.poll = op_poll,
	.ioctl = op_ioctl,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
};
