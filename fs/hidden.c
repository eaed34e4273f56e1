/*
 * hidden: `.mailbox`, and of .mailtree/ wire, index, cache and lock, as open files. In
 * a mount without open the same functions are called with fh 0.
 */
#include <stdlib.h>

#include "fs/entry.h"
#include "fs/loop.h"
#include "fs/ops.h"
#include "fs/room.h"
#include "fs/state.h"
#include "fs/wait.h"

static void
reply_read(fuse_req_t req, const char *bytes, ssize_t n)
{
	if (n == -1)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, bytes, (size_t)n);
}

/* Without open, each page that the kernel takes must be followed from now on. */
static int
follow_unopened(struct fs *fs, struct box *box)
{
	struct room *r;

	if (room_enter(fs, box, &r) == -1)
		return -1;
	room_leave(fs, r);
	return 0;
}

/* ---- .mailbox: rendered when it is opened, so that one reading is of one state -------- */

static int
add_messages(struct box *box, struct buf *text)
{
	struct mt_record rec[64];
	uint32_t uid = 0;
	size_t n;

	while ((n = box_list(box, uid, rec, ARRAY_LEN(rec))) > 0)
		for (size_t i = 0; i < n; i++) {
			if (state_add_message(text, &rec[i]) == -1)
				return -1;
			uid = rec[i].uid;
		}
	return 0;
}

/* Changes may come in between head and lines: then once more. */
static int
render(struct box *box, struct buf *text)
{
	struct mt_header h, after;

	for (int tries = 0; tries < 5; tries++) {
		buf_reset(text);
		box_header(box, &h);
		if (state_add_head(text, &h) == -1 || add_messages(box, text) == -1)
			return -1;
		box_header(box, &after);
		if (after.modseq == h.modseq && text->n == state_size(&h))
			return 0;
	}
	errno = EAGAIN;
	return -1;
}

#define SIZES_WAIT_MS (30 * 60 * 1000)

static int
render_sized(fuse_req_t req, struct box *box, struct buf *text)
{
	struct numset all = {0};
	int status;

	if (fs_refresh(fs_of(req), box, true) == -1 ||
	    numset_add(&all, 1, UINT32_MAX) == -1)
		return -1;
	if ((status = wait_sizes(req, box, &all, SIZES_WAIT_MS)) == 0) {
		errno = EAGAIN;
		status = -1;
	}
	numset_free(&all);
	return status == -1 ? -1 : render(box, text);
}

struct state_file {
	pthread_mutex_t lock; /* held while an answer is sent from text */
	struct buf text;
};

static void
free_state(struct fs *fs, void *file)
{
	struct state_file *f = file;

	(void)fs;
	if (f == NULL)
		return;
	pthread_mutex_lock(&f->lock); /* who read it last may not be back yet */
	pthread_mutex_unlock(&f->lock);
	pthread_mutex_destroy(&f->lock);
	buf_free(&f->text);
	free(f);
}

/* `cached`: the kernel keeps pages of it. */
static struct state_file *
open_state(fuse_req_t req, struct node n, bool cached)
{
	struct box *box = fs_box(fs_of(req), n);
	struct state_file *f = calloc(1, sizeof *f);
	struct mt_header h;

	loop_yield();
	if (f != NULL)
		pthread_mutex_init(&f->lock, NULL);
	if (box == NULL || f == NULL ||
	    (cached && follow_unopened(fs_of(req), box) == -1) ||
	    render_sized(req, box, &f->text) == -1) {
		int saved = errno;

		free_state(fs_of(req), f);
		box_unref(box);
		errno = saved;
		return NULL;
	}
	box_header(box, &h);
	room_told(fs_of(req)->rooms, n.box, h.uidnext - 1);
	box_unref(box);
	return f;
}

static void
state_open(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct state_file *f = open_state(req, n, false);

	fi->direct_io = 1;
	fi->noflush = 1;
	if (f == NULL)
		fuse_reply_err(req, errno);
	else if ((fi->fh = handle_put(fs->handles, f, free_state)) == 0) {
		fuse_reply_err(req, errno);
		free_state(fs, f);
	} else if (fuse_reply_open(req, fi) == -ENOENT)
		free_state(fs, handle_take(fs->handles, fi->fh));
}

static void
state_read(fuse_req_t req, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct state_file *f = handle_get(fs->handles, fi->fh), *own = NULL;
	size_t at;

	if (f == NULL && (f = own = open_state(req, n, true)) == NULL) {
		fuse_reply_err(req, errno);
		return;
	}
	pthread_mutex_lock(&f->lock);
	at = (uint64_t)off < f->text.n ? (size_t)off : f->text.n;
	fuse_reply_buf(req, f->text.p + at, size < f->text.n - at ? size : f->text.n - at);
	pthread_mutex_unlock(&f->lock);
	free_state(fs, own);
}

static void
state_release(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	(void)n;
	free_state(fs_of(req), handle_take(fs_of(req)->handles, fi->fh));
	fuse_reply_err(req, 0);
}

const struct file_ops state_ops = {
	.open = state_open, .read = state_read, .release = state_release};

#define QUICK_READ 65536 /* a larger one is worth another thread */

/* ---- wire and index: the kernel's pages are shared and kept ------------------------------- */

/* Of another layout than the one that this node was of? */
static int
check_layout(struct box *box, struct node n)
{
	struct mt_header h;

	if (box_dead(box)) {
		errno = ESTALE;
		return -1;
	}
	box_header(box, &h);
	if ((h.generation & NODE_GEN_MASK) == n.x)
		return 0;
	errno = ESTALE;
	return -1;
}

static void
drop_room(struct fs *fs, void *room)
{
	room_leave(fs, room);
}

static void
paged_open(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct box *box = fs_box(fs, n);
	struct room *r;

	if (box == NULL) {
		fuse_reply_err(req, errno);
		return;
	}
	fi->keep_cache = 1;
	fi->noflush = 1;
	/* a session begins here: what was delivered before it is in it */
	if ((n.kind == NODE_INDEX && fs_refresh(fs, box, true) == -1) ||
	    check_layout(box, n) == -1 || room_enter(fs, box, &r) == -1)
		fuse_reply_err(req, errno);
	else if ((fi->fh = handle_put(fs->handles, r, drop_room)) == 0) {
		fuse_reply_err(req, errno);
		room_leave(fs, r);
	} else if (fuse_reply_open(req, fi) == -ENOENT)
		room_leave(fs, handle_take(fs->handles, fi->fh));
	box_unref(box);
}

static void
paged_release(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct room *r = handle_take(fs->handles, fi->fh);

	(void)n;
	if (r != NULL)
		room_leave(fs, r);
	fuse_reply_err(req, 0);
}

/*
 * All that was asked for, up to the end of wire as it is now. A shorter answer would be
 * taken as the end of the file for good.
 */
static ssize_t
read_wire(struct box *box, uint64_t off, char *to, size_t size)
{
	struct mt_header h;

	if (size > QUICK_READ)
		loop_yield();
	box_header(box, &h);
	if (off >= h.wire_size)
		return 0;
	if (size > h.wire_size - off)
		size = (size_t)(h.wire_size - off);
	return box_wire_read(box, off, to, size) == -1 ? -1 : (ssize_t)size;
}

static ssize_t
read_index(struct box *box, uint64_t off, char *to, size_t size)
{
	return box_index_read(box, off, to, size);
}

static void
paged_read(fuse_req_t req, struct node n, size_t size, off_t off, uint64_t fh,
	   ssize_t (*from)(struct box *, uint64_t, char *, size_t))
{
	struct fs *fs = fs_of(req);
	struct box *box = fs_box(fs, n);
	char *bytes = fs_scratch(size);
	struct mt_header h;

	if (box == NULL || bytes == NULL || check_layout(box, n) == -1 ||
	    (fh == 0 && follow_unopened(fs, box) == -1)) {
		fuse_reply_err(req, errno);
		box_unref(box);
		return;
	}
	if (n.kind == NODE_INDEX) {
		box_header(box, &h);
		room_told(fs->rooms, n.box, h.uidnext - 1);
	}
	reply_read(req, bytes, from(box, (uint64_t)off, bytes, size));
	box_unref(box);
}

static void
wire_read(fuse_req_t req, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	paged_read(req, n, size, off, fi->fh, read_wire);
}

static void
index_read(fuse_req_t req, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	paged_read(req, n, size, off, fi->fh, read_index);
}

const struct file_ops wire_ops = {
	.open = paged_open, .read = wire_read, .release = paged_release};
const struct file_ops index_ops = {
	.open = paged_open, .read = index_read, .release = paged_release};

/* ---- cache: blobs of the sessions ---------------------------------------------------------- */

static void
cache_open(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	(void)n;
	fi->fh = 0;
	fi->direct_io = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void
cache_read(fuse_req_t req, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct box *box = fs_box(fs, n);
	char *bytes = fs_scratch(size);

	(void)fi;
	loop_yield();
	if (box == NULL || bytes == NULL)
		fuse_reply_err(req, errno);
	else
		reply_read(req, bytes,
			   (uint64_t)off >> 16 > UINT32_MAX
				   ? 0
				   : box_cache_read(box, (uint32_t)(off >> 16), bytes, size));
	box_unref(box);
}

static void
cache_write(fuse_req_t req, struct node n, struct span in, off_t off,
	    struct fuse_file_info *fi)
{
	struct box *box = fs_box(fs_of(req), n);

	(void)off, (void)fi;
	if (box == NULL || box_cache_write(box, in.p, in.n) == -1)
		fuse_reply_err(req, errno);
	else
		fuse_reply_write(req, in.n);
	box_unref(box);
}

static void
nothing_to_release(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	(void)n, (void)fi;
	fuse_reply_err(req, 0);
}

const struct file_ops cache_ops = {cache_open, cache_read, cache_write, nothing_to_release};

/* ---- lock: the kernel keeps the flock of whoever has it open ---------------------------------- */

static void
lock_open(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	(void)n;
	fi->fh = 0;
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void
lock_read(fuse_req_t req, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)n, (void)size, (void)off, (void)fi;
	fuse_reply_buf(req, NULL, 0);
}

static void
lock_write(fuse_req_t req, struct node n, struct span in, off_t off,
	   struct fuse_file_info *fi)
{
	(void)n, (void)in, (void)off, (void)fi;
	fuse_reply_err(req, EPERM);
}

const struct file_ops lock_ops = {lock_open, lock_read, lock_write, nothing_to_release};
