/*
 * file: N.eml as an open file. Each open one is a struct message, which gives its bytes
 * even when it is expunged meanwhile. In a mount without open a READ opens the message
 * itself; the last few stay open, because large ones are read in several pieces.
 */
#include <stdlib.h>

#include "fs/ops.h"
#include "fs/room.h"

void
file_drop_message(struct fs *fs, void *message)
{
	(void)fs;
	message_close(message);
}

static void
message_file_open(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct message *m;
	struct box *box;

	if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
		fuse_reply_err(req, EEXIST);
		return;
	}
	if ((box = fs_box(fs, n)) == NULL) {
		fuse_reply_err(req, errno);
		return;
	}
	if (message_open(box, n.x, &m) == -1)
		fuse_reply_err(req, fs_node_error(errno));
	else if ((fi->fh = handle_put(fs->handles, m, file_drop_message)) == 0) {
		fuse_reply_err(req, errno);
		message_close(m);
	} else {
		fi->keep_cache = 1; /* the bytes never change */
		fi->noflush = 1;
		room_told(fs->rooms, n.box, n.x);
		if (fuse_reply_open(req, fi) == -ENOENT)
			message_close(handle_take(fs->handles, fi->fh));
	}
	box_unref(box);
}

/* ---- without open ----------------------------------------------------------------------- */

#define NKEPT 16

static struct kept {
	struct node node;
	struct message *message;
	uint64_t used;
} kept[NKEPT]; /* kept_lock */
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t kept_clock; /* kept_lock */

/* Take it out of those that are kept open, so that one thread at a time has it. */
static struct message *
take_kept(struct node n)
{
	struct message *m = NULL;

	pthread_mutex_lock(&kept_lock);
	for (size_t i = 0; i < NKEPT && m == NULL; i++)
		if (kept[i].message != NULL && kept[i].node.box == n.box &&
		    kept[i].node.x == n.x) {
			m = kept[i].message;
			kept[i].message = NULL;
		}
	pthread_mutex_unlock(&kept_lock);
	return m;
}

static void
keep(struct node n, struct message *m)
{
	struct kept *oldest = &kept[0];
	struct message *out;

	pthread_mutex_lock(&kept_lock);
	for (size_t i = 0; i < NKEPT; i++) {
		if (kept[i].message == NULL) {
			oldest = &kept[i];
			break;
		}
		if (kept[i].used < oldest->used)
			oldest = &kept[i];
	}
	out = oldest->message;
	*oldest = (struct kept){n, m, ++kept_clock};
	pthread_mutex_unlock(&kept_lock);
	message_close(out);
}

void
file_forget_kept(void)
{
	for (size_t i = 0; i < NKEPT; i++) {
		message_close(kept[i].message);
		kept[i].message = NULL;
	}
}

static struct message *
open_for_read(struct fs *fs, struct node n)
{
	struct message *m = take_kept(n);
	struct box *box;

	if (m != NULL)
		return m;
	if ((box = fs_box(fs, n)) == NULL)
		return NULL;
	if (message_open(box, n.x, &m) == -1)
		m = NULL;
	box_unref(box);
	return m;
}

/* ---- read --------------------------------------------------------------------------------- */

static void
message_file_read(fuse_req_t req, struct node n, size_t size, off_t off,
		  struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct message *m = handle_get(fs->handles, fi->fh);
	bool whole = false, lasting = m != NULL;
	struct mt_record r;
	char *bytes;
	size_t n_read;

	if (m == NULL && (m = open_for_read(fs, n)) == NULL) {
		fuse_reply_err(req, fs_node_error(errno));
		return;
	}
	message_record(m, &r);
	if ((uint64_t)off >= r.wire_size)
		n_read = 0;
	else {
		uint64_t left = r.wire_size - (uint64_t)off;

		n_read = size < left ? size : (size_t)left;
	}
	whole = off == 0 && n_read == r.wire_size;
	if ((bytes = fs_scratch(size)) == NULL ||
	    (n_read > 0 && message_read(m, (uint64_t)off, bytes, n_read) == -1))
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, bytes, n_read);
	if (!lasting && whole)
		message_close(m);
	else if (!lasting)
		keep(n, m);
}

static void
message_file_release(fuse_req_t req, struct node n, struct fuse_file_info *fi)
{
	(void)n;
	message_close(handle_take(fs_of(req)->handles, fi->fh));
	fuse_reply_err(req, 0);
}

const struct file_ops message_ops = {
	.open = message_file_open, .read = message_file_read, .release = message_file_release};
