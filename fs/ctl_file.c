/* ctl_file: `.mailtree/ctl` as an open file: commands written, answers read; or both in
 * one ioctl. */
#include <stdlib.h>

#include "fs/ctl.h"
#include "fs/ctl_run.h"
#include "fs/loop.h"
#include "fs/ops.h"
#include "fs/room.h"

struct ctl_file {
	struct box *box;   /* reference */
	struct room *room; /* entered: what a command changes is seen at once */
	pthread_mutex_t lock; /* what follows */
	struct buf reply;
	size_t read; /* octets of it that were read */
};

static void
close_file(struct fs *fs, void *file)
{
	struct ctl_file *f = file;

	if (f == NULL)
		return;
	pthread_mutex_lock(&f->lock); /* who read it last may not be back yet */
	pthread_mutex_unlock(&f->lock);
	room_leave(fs, f->room);
	box_unref(f->box);
	pthread_mutex_destroy(&f->lock);
	buf_free(&f->reply);
	free(f);
}

static struct ctl_file *
open_file(struct fs *fs, struct node n)
{
	struct ctl_file *f = calloc(1, sizeof *f);

	if (f == NULL || (f->box = fs_box(fs, n)) == NULL)
		goto undo;
	if (room_enter(fs, f->box, &f->room) == -1)
		goto unref;
	pthread_mutex_init(&f->lock, NULL);
	return f;
unref:
	box_unref(f->box);
undo:
	free(f);
	return NULL;
}

static void
ctl_open(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct ctl_file *f = open_file(fs, n);

	fi->direct_io = 1;
	fi->nonseekable = 1;
	fi->noflush = 1;
	if (f == NULL)
		fuse_reply_err(req, errno);
	else if ((fi->fh = handle_put(fs->handles, f, close_file)) == 0) {
		fuse_reply_err(req, errno);
		close_file(fs, f);
	} else if (fuse_reply_open(req, fi) == -ENOENT)
		close_file(fs, handle_take(fs->handles, fi->fh));
}

/* Where in the file it is asked for does not matter: what was not read yet comes. */
static void
ctl_read(fuse_req_t req, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct ctl_file *f = handle_get(fs_of(req)->handles, fi->fh);
	char *out = fs_scratch(size);
	size_t left;

	(void)n, (void)off;
	if (f == NULL || out == NULL) {
		fuse_reply_err(req, f == NULL ? EBADF : ENOMEM);
		return;
	}
	loop_yield(); /* a command may be under way */
	pthread_mutex_lock(&f->lock);
	left = f->reply.n - f->read;
	if (size > left)
		size = left;
	if (size > 0)
		memcpy(out, f->reply.p + f->read, size);
	f->read += size;
	pthread_mutex_unlock(&f->lock);
	/* last: once answered, the client may close it, and *f is not ours any more */
	fuse_reply_buf(req, out, size);
}

static void
ctl_write(fuse_req_t req, struct node n, struct span in, off_t off,
	  struct fuse_file_info *fi)
{
	struct ctl_file *f = handle_get(fs_of(req)->handles, fi->fh);
	int err;

	(void)n, (void)off;
	if (f == NULL) {
		fuse_reply_err(req, EBADF);
		return;
	}
	pthread_mutex_lock(&f->lock);
	f->read = 0;
	err = ctl_run(req, f->box, in, &f->reply);
	pthread_mutex_unlock(&f->lock);
	if (err != 0)
		fuse_reply_err(req, err);
	else
		fuse_reply_write(req, in.n);
}

static void
ctl_release(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);

	(void)n;
	close_file(fs, handle_take(fs->handles, fi->fh));
	fuse_reply_err(req, 0);
}

const struct file_ops ctl_ops = {ctl_open, ctl_read, ctl_write, ctl_release};

/* ---- ioctl ------------------------------------------------------------------------------ */

static void
reply_ctl(fuse_req_t req, const struct buf *reply)
{
	struct mt_ctl *out = (struct mt_ctl *)fs_scratch(sizeof *out);

	if (out == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	memset(out, 0, sizeof *out);
	out->size = (uint32_t)reply->n;
	memcpy(out->text, reply->p, reply->n);
	fuse_reply_ioctl(req, 0, out, sizeof *out);
}

void
ctl_ioctl(fuse_req_t req, struct node n, unsigned cmd, struct fuse_file_info *fi,
	  unsigned flags, struct span in, size_t out_size)
{
	struct fs *fs = fs_of(req);
	struct ctl_file *f = n.kind == NODE_CTL ? handle_get(fs->handles, fi->fh) : NULL;
	struct buf reply = {0};
	struct mt_ctl head;

	(void)flags;
	if (f == NULL || cmd != (unsigned)MT_IOC_CTL) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	if (in.n != sizeof head || out_size < sizeof head) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	memcpy(&head.size, in.p, sizeof head.size);
	if (head.size > CTL_TEXT_MAX) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	in = (struct span){in.p + offsetof(struct mt_ctl, text), head.size};
	/* a failed command is an answer like any other: its text says what failed */
	if (ctl_run(req, f->box, in, &reply) != 0 && reply.n == 0)
		fuse_reply_err(req, ENOMEM);
	else
		reply_ctl(req, &reply);
	buf_free(&reply);
}
