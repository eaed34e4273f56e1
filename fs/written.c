/* written: drafts and aliases as open files. */
#include <fcntl.h>

#include "fs/ops.h"

/* ---- aliases, which are read like messages -------------------------------------------- */

/* An alias that is only read is its message, kept open like one. */
static int
open_alias(struct fs *fs, struct draft *d, struct fuse_file_info *fi)
{
	struct message *m;
	struct box *box = NULL;
	uint32_t uid = 0;

	pthread_mutex_lock(&d->lock);
	if (d->state == ALIAS && (fi->flags & O_ACCMODE) == O_RDONLY) {
		box_ref(box = d->box);
		uid = d->uid;
	}
	pthread_mutex_unlock(&d->lock);
	if (box == NULL)
		return 0;
	if (message_open(box, uid, &m) == -1)
		goto fail;
	if ((fi->fh = handle_put(fs->handles, m, file_drop_message)) == 0) {
		message_close(m);
		goto fail;
	}
	box_unref(box);
	return 0;
fail:
	box_unref(box);
	return -1;
}

static void
written_open(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct draft *d = draft_get(fs, n.x);

	fi->fh = 0;
	fi->direct_io = 1;
	if (d == NULL) {
		fuse_reply_err(req, errno);
		return;
	}
	if (open_alias(fs, d, fi) == -1 || draft_open(fs, d, fi->flags) == -1) {
		int saved = errno;

		message_close(handle_take(fs->handles, fi->fh));
		fuse_reply_err(req, fs_node_error(saved));
	} else if (fuse_reply_open(req, fi) == -ENOENT) {
		message_close(handle_take(fs->handles, fi->fh));
		draft_release(fs, d);
	}
	draft_put(fs, d);
}

/* ---- reading --------------------------------------------------------------------------- */

static int
read_message(struct message *m, char *to, size_t size, uint64_t off, size_t *got)
{
	struct mt_record r;

	message_record(m, &r);
	*got = off >= r.wire_size	 ? 0
	       : size > r.wire_size - off ? r.wire_size - off
					  : size;
	return *got == 0 ? 0 : message_read(m, off, to, *got);
}

/* Delivered by a commit while it was open: its bytes are the message's now. */
static int
read_delivered(struct draft *d, char *to, size_t size, uint64_t off, size_t *got)
{
	struct message *m;
	int status;

	if (message_open(d->box, d->uid, &m) == -1)
		return -1;
	status = read_message(m, to, size, off, got);
	message_close(m);
	return status;
}

static int
read_draft(struct draft *d, char *to, size_t size, uint64_t off, size_t *got)
{
	int status;

	pthread_mutex_lock(&d->lock);
	if (d->stage != NULL)
		status = stage_read(d->stage, to, size, off, got);
	else
		status = read_delivered(d, to, size, off, got);
	pthread_mutex_unlock(&d->lock);
	return status;
}

static void
written_read(fuse_req_t req, struct node n, size_t size, off_t off,
	     struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct message *m = handle_get(fs->handles, fi->fh);
	struct draft *d = draft_get(fs, n.x);
	char *bytes = fs_scratch(size);
	size_t got;

	if (d == NULL || bytes == NULL ||
	    (m != NULL ? read_message(m, bytes, size, (uint64_t)off, &got)
		       : read_draft(d, bytes, size, (uint64_t)off, &got)) == -1)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, bytes, got);
	if (d != NULL)
		draft_put(fs, d);
}

/* ---- writing ---------------------------------------------------------------------------- */

static int
with_stage(struct draft *d)
{
	if (d->stage != NULL)
		return 0;
	errno = EEXIST; /* a message by now */
	return -1;
}

static void
written_write(fuse_req_t req, struct node n, struct span in, off_t off,
	      struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct draft *d = draft_get(fs, n.x);
	int status;

	(void)fi;
	if (d == NULL) {
		fuse_reply_err(req, errno);
		return;
	}
	pthread_mutex_lock(&d->lock);
	if ((status = with_stage(d)) == 0) {
		if ((status = stage_write(d->stage, in.p, in.n, (uint64_t)off)) == -1)
			d->err = errno;
		d->dirty = true;
	}
	pthread_mutex_unlock(&d->lock);
	if (status == -1)
		fuse_reply_err(req, errno);
	else
		fuse_reply_write(req, in.n);
	draft_put(fs, d);
}

int
written_truncate(struct fs *fs, struct draft *d, uint64_t size)
{
	int status;

	(void)fs;
	pthread_mutex_lock(&d->lock);
	if ((status = with_stage(d)) == 0 &&
	    (status = stage_truncate(d->stage, size)) == 0) {
		d->dirty = true;
		if (size == 0)
			d->err = 0;
	}
	pthread_mutex_unlock(&d->lock);
	return status;
}

static int
reserve(struct draft *d, uint64_t end, bool keep_size)
{
	if (with_stage(d) == -1 || stage_reserve(d->stage, end) == -1)
		return -1;
	if (keep_size || end <= stage_size(d->stage))
		return 0;
	d->dirty = true;
	return stage_truncate(d->stage, end);
}

void
written_reserve(fuse_req_t req, struct node n, int mode, off_t off, off_t length)
{
	struct fs *fs = fs_of(req);
	struct draft *d;
	int status;

	if (n.kind != NODE_DRAFT || mode & ~FALLOC_FL_KEEP_SIZE) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if ((d = draft_get(fs, n.x)) == NULL) {
		fuse_reply_err(req, errno);
		return;
	}
	pthread_mutex_lock(&d->lock);
	status = reserve(d, (uint64_t)off + (uint64_t)length, mode & FALLOC_FL_KEEP_SIZE);
	pthread_mutex_unlock(&d->lock);
	fuse_reply_err(req, status == 0 ? 0 : errno);
	draft_put(fs, d);
}

/* ---- closing ------------------------------------------------------------------------------ */

static void
flush(fuse_req_t req, struct node n, bool always)
{
	struct fs *fs = fs_of(req);
	struct draft *d;

	if (n.kind != NODE_DRAFT) {
		fuse_reply_err(req, 0);
		return;
	}
	if ((d = draft_get(fs, n.x)) == NULL) {
		fuse_reply_err(req, errno);
		return;
	}
	fuse_reply_err(req, draft_flush(fs, d, always) == 0 ? 0 : errno);
	draft_put(fs, d);
}

/* Comes at each close of each descriptor, also before the first octet. */
void
written_flush(fuse_req_t req, struct node n)
{
	flush(req, n, false);
}

void
written_fsync(fuse_req_t req, struct node n)
{
	flush(req, n, true);
}

static void
written_release(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct draft *d = draft_get(fs, n.x);

	message_close(handle_take(fs->handles, fi->fh));
	if (d != NULL) {
		draft_release(fs, d);
		draft_put(fs, d);
	}
	fuse_reply_err(req, 0);
}

const struct file_ops draft_ops = {written_open, written_read, written_write,
				   written_release};
