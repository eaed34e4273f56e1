/*
 * dir: listings. A cookie says where to go on, so that messages that come and go
 * meanwhile neither repeat nor hide others:
 *
 *	1, 2, 3			behind ".", "..", ".mailbox"
 *	FIRST_NAME + i		behind name i of the child mailboxes as they were when
 *				the listing began (or of the users, of .mailtree's files)
 *	FIRST_UID + uid		behind the message uid
 */
#include <stdlib.h>

#include "fs/entry.h"
#include "fs/ops.h"
#include "fs/resolve.h"
#include "fs/room.h"
#include "fs/users.h"

#define FIRST_NAME 16
#define FIRST_UID  ((off_t)1 << 33)
#define BATCH	   64 /* records fetched under one lock */

struct name {
	size_t at; /* in text */
	ino_t inode;
	mode_t type;
};

struct dir {
	pthread_mutex_t lock; /* everything: one listing may be read by two processes */
	struct buf text;      /* the names, each ended by a NUL */
	struct name *name;
	size_t nname, cap;
	bool fixed; /* the names were given at the opening */
};

static void
free_dir(struct dir *d)
{
	if (d == NULL)
		return;
	pthread_mutex_destroy(&d->lock);
	buf_free(&d->text);
	free(d->name);
	free(d);
}

static void
drop_dir(struct fs *fs, void *dir)
{
	(void)fs;
	free_dir(dir);
}

/* ---- names --------------------------------------------------------------------------- */

static int
add_name(struct dir *d, size_t at, ino_t inode, mode_t type)
{
	if (d->nname == d->cap) {
		size_t cap = d->cap == 0 ? 16 : d->cap * 2;
		struct name *n = reallocarray(d->name, cap, sizeof *n);

		if (n == NULL)
			return -1;
		d->name = n;
		d->cap = cap;
	}
	d->name[d->nname++] = (struct name){at, inode, type};
	return 0;
}

/* Called with the tree of mailboxes locked: nothing of it may be asked here. */
struct collect {
	struct dir *dir;
	char user[256];
	struct buf path; /* of the directory that is listed, with a slash unless it is the top */
};

static int
collect_child(void *arg, const char *name, struct box *box)
{
	struct collect *c = arg;
	size_t at = c->dir->text.n, n = c->path.n;
	struct span whole = {name, strlen(name) + 1};
	ino_t inode;

	(void)box;
	if (buf_add(&c->dir->text, whole) == -1 || buf_add(&c->path, whole) == -1)
		return -1;
	inode = entry_path_inode(c->user, c->path.p);
	c->path.n = n;
	return add_name(c->dir, at, inode, S_IFDIR);
}

static int
collect_children(struct fs *fs, struct dir *d, struct box *box)
{
	struct collect c = {.dir = d};
	int status = -1;

	users_name_of(fs, box_store(box), c.user);
	if (box_path(box, &c.path) == 0 &&
	    (c.path.n == 0 || buf_addc(&c.path, '/') == 0))
		status = box_children(box, collect_child, &c);
	buf_free(&c.path);
	return status;
}

static int
collect_hidden(struct fs *fs, struct dir *d, struct box *box)
{
	static const char *const names[] = {MT_CACHE, MT_CTL,  MT_EVENTS, MT_INDEX,
					    MT_LOCK,  MT_NEW, MT_WIRE};
	struct fuse_entry_param e;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		enum node_kind kind = node_hidden_kind(names[i]);
		size_t at = d->text.n;

		if (fs->readonly &&
		    (kind == NODE_EVENTS || kind == NODE_CTL || kind == NODE_NEW))
			continue;
		entry_hidden(box, kind, &e);
		if (buf_add(&d->text, (struct span){names[i], strlen(names[i]) + 1}) == -1 ||
		    add_name(d, at, e.attr.st_ino, e.attr.st_mode) == -1)
			return -1;
	}
	return 0;
}

/* The names as they are when a listing begins. */
static int
load_names(struct fs *fs, struct dir *d, const struct place *p)
{
	if (d->fixed)
		return 0;
	buf_reset(&d->text);
	d->nname = 0;
	if (p->kind == NODE_HIDDEN)
		return collect_hidden(fs, d, p->box);
	return p->kind == NODE_DIR ? collect_children(fs, d, p->box) : 0;
}

/* ---- open ------------------------------------------------------------------------------ */

static void
reply_opened(fuse_req_t req, struct fuse_file_info *fi, struct dir *d)
{
	struct fs *fs = fs_of(req);

	if ((fi->fh = handle_put(fs->handles, d, drop_dir)) == 0) {
		fuse_reply_err(req, errno);
		free_dir(d);
	} else if (fuse_reply_open(req, fi) == -ENOENT)
		free_dir(handle_take(fs->handles, fi->fh));
}

static struct dir *
new_dir(void)
{
	struct dir *d = calloc(1, sizeof *d);

	if (d != NULL)
		pthread_mutex_init(&d->lock, NULL);
	return d;
}

void
dir_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct place p;
	struct dir *d;

	if (fs_node(fs, ino).kind == NODE_ROOT) {
		users_opendir(req, fi);
		return;
	}
	if (place_open(fs, ino, &p) == -1) {
		fuse_reply_err(req, errno);
		return;
	}
	if (fs_refresh(fs, p.box, true) == -1 || (d = new_dir()) == NULL)
		fuse_reply_err(req, errno);
	else
		reply_opened(req, fi, d);
	place_close(&p);
}

void
dir_open_names(fuse_req_t req, struct fuse_file_info *fi, struct buf *names)
{
	struct dir *d = new_dir();
	size_t at;

	if (d == NULL)
		goto fail;
	d->fixed = true;
	d->text = *names;
	*names = (struct buf){0};
	for (at = 0; at < d->text.n; at += strlen(d->text.p + at) + 1)
		if (add_name(d, at, entry_path_inode(d->text.p + at, ""), S_IFDIR) == -1)
			goto fail;
	reply_opened(req, fi, d);
	return;
fail:
	fuse_reply_err(req, ENOMEM);
	buf_free(names);
	free_dir(d);
}

/* ---- read ------------------------------------------------------------------------------ */

struct listing {
	fuse_req_t req;
	char *out;
	size_t used, size;
	bool plus;
};

/* False when it does not fit any more. e->ino 0: a name without attributes. */
static bool
emit(struct listing *l, const char *name, const struct fuse_entry_param *e, off_t cookie)
{
	char *at = l->out + l->used;
	size_t room = l->size - l->used, need;

	need = l->plus ? fuse_add_direntry_plus(l->req, at, room, name, e, cookie)
		       : fuse_add_direntry(l->req, at, room, name, &e->attr, cookie);
	if (need > room)
		return false;
	l->used += need;
	return true;
}

static bool
emit_bare(struct listing *l, const char *name, ino_t inode, mode_t type, off_t cookie)
{
	struct fuse_entry_param e = {.attr = {.st_ino = inode, .st_mode = type}};

	return emit(l, name, &e, cookie);
}

static ino_t
inode_above(struct fs *fs, struct box *box, ino_t own)
{
	struct box *above;
	ino_t inode = own;

	if (box_parent(box, &above) == 0) {
		inode = entry_dir_inode(fs, above);
		box_unref(above);
	}
	return inode;
}

static bool
emit_fixed(struct fs *fs, struct listing *l, const struct place *p, off_t off)
{
	struct fuse_entry_param e;
	ino_t own, above;

	if (off >= 3) /* asks for paths */
		return true;
	own = p->box != NULL ? entry_dir_inode(fs, p->box) : 1;
	above = p->kind != NODE_DIR ? own : inode_above(fs, p->box, own);
	if (off < 1 && !emit_bare(l, ".", own, S_IFDIR, 1))
		return false;
	if (off < 2 && !emit_bare(l, "..", above, S_IFDIR, 2))
		return false;
	if (p->kind != NODE_DIR || box_kind(p->box) != BOX_MAIL)
		return true;
	entry_hidden(p->box, NODE_STATE, &e);
	return emit(l, MT_STATE, &e, 3);
}

static bool
emit_names(struct listing *l, struct dir *d, off_t off)
{
	size_t i = off > FIRST_NAME ? (size_t)(off - FIRST_NAME) : 0;

	for (; i < d->nname; i++)
		if (!emit_bare(l, d->text.p + d->name[i].at, d->name[i].inode,
			       d->name[i].type, FIRST_NAME + (off_t)i + 1))
			return false;
	return true;
}

static bool
emit_message(struct listing *l, struct box *box, const struct mt_header *h,
	     const struct mt_record *r)
{
	off_t cookie = FIRST_UID + r->uid;
	struct fuse_entry_param e;
	char name[NODE_NAME_MAX];

	node_uid_name(r->uid, name);
	if (!l->plus || r->wire_off == MT_OFF_UNKNOWN)
		return emit_bare(l, name, entry_inode(h, r->uid), S_IFREG, cookie);
	entry_message(box, h, r, &e);
	return emit(l, name, &e, cookie);
}

static void
emit_messages(struct fs *fs, struct listing *l, struct box *box, off_t off)
{
	uint32_t uid = off > FIRST_UID ? (uint32_t)(off - FIRST_UID) : 0, told = 0;
	struct mt_record rec[BATCH];
	struct mt_header h;
	size_t n, i = 0;

	box_header(box, &h);
	while ((n = box_list(box, uid, rec, BATCH)) > 0) {
		for (i = 0; i < n && rec[i].uid <= NODE_UID_MAX; i++) {
			if (!emit_message(l, box, &h, &rec[i]))
				goto full;
			told = uid = rec[i].uid;
		}
		if (i < n)
			break;
	}
full:
	if (told != 0)
		room_told(fs->rooms, box_number(box), told);
}

static int
list(struct fs *fs, struct listing *l, struct dir *d, const struct place *p, off_t off)
{
	if (off == 0 && load_names(fs, d, p) == -1)
		return -1;
	if (!emit_fixed(fs, l, p, off))
		return 0;
	if (off < FIRST_UID && !emit_names(l, d, off))
		return 0;
	if (p->kind == NODE_DIR && box_kind(p->box) == BOX_MAIL)
		emit_messages(fs, l, p->box, off);
	return 0;
}

static void
read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, uint64_t fh, bool plus)
{
	struct fs *fs = fs_of(req);
	struct listing l = {.req = req, .size = size, .plus = plus};
	struct dir *d = handle_get(fs->handles, fh);
	struct place p = {.kind = NODE_ROOT};
	int status;

	if (d == NULL || (l.out = fs_scratch(size)) == NULL) {
		fuse_reply_err(req, d == NULL ? EBADF : ENOMEM);
		return;
	}
	if (fs_node(fs, ino).kind != NODE_ROOT && place_open(fs, ino, &p) == -1) {
		fuse_reply_err(req, errno);
		return;
	}
	pthread_mutex_lock(&d->lock);
	status = list(fs, &l, d, &p, off);
	pthread_mutex_unlock(&d->lock);
	if (status == -1)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, l.out, l.used);
	place_close(&p);
}

void
dir_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	read_dir(req, ino, size, off, fi->fh, false);
}

void
dir_read_plus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	read_dir(req, ino, size, off, fi->fh, true);
}

void
dir_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);

	(void)ino;
	free_dir(handle_take(fs->handles, fi->fh));
	fuse_reply_err(req, 0);
}
