#include "fs/entry.h"

#include "fs/loop.h"
#include "fs/state.h"
#include "fs/users.h"
#include "storage/base/hash.h"

ino_t
entry_inode(const struct mt_header *h, uint32_t low)
{
	struct {
		uint8_t guid[16];
		uint32_t uidvalidity, low;
	} key = {.uidvalidity = h->uidvalidity, .low = low};
	uint64_t ino;

	memcpy(key.guid, h->guid, sizeof key.guid);
	ino = hash64(&hash_fixed, (struct span){(const char *)&key, sizeof key});
	return ino > 1 ? ino : 2;
}

ino_t
entry_path_inode(const char *user, const char *path)
{
	struct buf b = {0};
	uint64_t ino = 0;

	if (buf_addf(&b, "%s/%s", user, path) == 0)
		ino = hash64(&hash_fixed, buf_span(&b));
	buf_free(&b);
	return ino > 1 ? ino : 2;
}

static void
set_owner(struct box *box, struct stat *st)
{
	store_owner(box_store(box), &st->st_uid, &st->st_gid);
}

static void
set_times(struct stat *st, int64_t seconds, long nanoseconds)
{
	struct timespec t = {.tv_sec = (time_t)seconds, .tv_nsec = nanoseconds};

	st->st_mtim = st->st_ctim = st->st_atim = t;
}

static void
set_size(struct stat *st, uint64_t size)
{
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
	st->st_blksize = 4096;
}

/*
 * Two changes in one second must not look like one to rsync, which compares times: the
 * modseq is a time in units of 2^-24 seconds, and its lower part gives the nanoseconds.
 */
static void
set_changed(struct stat *st, const struct mt_header *h)
{
	set_times(st, h->changed, (long)(h->modseq & 0xffffff) * 59);
}

ino_t
entry_dir_inode(struct fs *fs, struct box *box)
{
	struct buf path = {0};
	char user[256];
	ino_t ino = 0;

	loop_yield(); /* the tree of mailboxes may be locked over a scan */
	users_name_of(fs, box_store(box), user);
	if (box_path(box, &path) == 0 && buf_addc(&path, '\0') == 0)
		ino = entry_path_inode(user, path.p);
	buf_free(&path);
	return ino;
}

int
entry_dir(struct fs *fs, struct box *box, struct fuse_entry_param *e)
{
	struct mt_header h;

	*e = (struct fuse_entry_param){
		.ino = fs_dir_ino(fs, box),
		.entry_timeout = FS_NAME_TIMEOUT,
		.attr_timeout = FS_DIR_TIMEOUT,
	};
	box_header(box, &h);
	if ((e->attr.st_ino = entry_dir_inode(fs, box)) == 0)
		return -1;
	e->attr.st_mode = ENTRY_DIR_MODE;
	e->attr.st_nlink = 1;
	set_owner(box, &e->attr);
	set_size(&e->attr, 0);
	if (box_kind(box) == BOX_MAIL)
		set_changed(&e->attr, &h);
	else
		set_times(&e->attr, fs->started, 0);
	return 0;
}

void
entry_root(struct fs *fs, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){
		.ino = FUSE_ROOT_ID,
		.entry_timeout = FS_NAME_TIMEOUT,
		.attr_timeout = FS_DIR_TIMEOUT,
		.attr = {.st_ino = 1,
			 .st_mode = S_IFDIR | 0711,
			 .st_nlink = 1,
			 .st_uid = fs->uid,
			 .st_gid = fs->gid},
	};
	set_size(&e->attr, 0);
	set_times(&e->attr, fs->started, 0);
}

void
entry_message(struct box *box, const struct mt_header *h, const struct mt_record *r,
	      struct fuse_entry_param *e)
{
	bool sized = r->wire_off != MT_OFF_UNKNOWN;

	*e = (struct fuse_entry_param){
		.ino = node_id((struct node){NODE_MESSAGE, box_number(box), r->uid}),
		.entry_timeout = FS_NAME_TIMEOUT,
		.attr_timeout = sized ? FS_IMMUTABLE_TIMEOUT : 0,
	};
	e->attr.st_ino = entry_inode(h, r->uid);
	e->attr.st_mode = ENTRY_MESSAGE_MODE;
	e->attr.st_nlink = 1;
	set_owner(box, &e->attr);
	set_size(&e->attr, sized ? r->wire_size : 0);
	set_times(&e->attr, r->date, 0);
}

static const struct hidden {
	mode_t mode;
	double name_timeout;
} hidden[NODE_NKIND] = {
	[NODE_STATE] = {S_IFREG | 0400, FS_NAME_TIMEOUT},
	[NODE_HIDDEN] = {S_IFDIR | 0700, FS_NAME_TIMEOUT},
	[NODE_NEW] = {S_IFDIR | 0700, FS_NAME_TIMEOUT},
	[NODE_EVENTS] = {S_IFREG | 0400, 0},
	[NODE_CTL] = {S_IFREG | 0600, 0},
	[NODE_CACHE] = {S_IFREG | 0600, 0},
	[NODE_LOCK] = {S_IFREG | 0600, FS_NAME_TIMEOUT},
	[NODE_WIRE] = {S_IFREG | 0400, 0},
	[NODE_INDEX] = {S_IFREG | 0400, 0},
};

static uint64_t
hidden_size(enum node_kind kind, const struct mt_header *h)
{
	switch (kind) {
	case NODE_STATE:
		return state_size(h);
	case NODE_WIRE:
		return h->wire_size;
	case NODE_INDEX:
		return h->header_size + h->nrecord * h->record_size;
	default:
		return 0;
	}
}

void
entry_hidden(struct box *box, enum node_kind kind, struct fuse_entry_param *e)
{
	struct mt_header h;
	struct node n = {.kind = kind};

	box_header(box, &h);
	n.box = box_number(box);
	if (kind == NODE_WIRE || kind == NODE_INDEX)
		n.x = h.generation & NODE_GEN_MASK;
	*e = (struct fuse_entry_param){
		.ino = node_id(n),
		.entry_timeout = hidden[kind].name_timeout,
		.attr_timeout = kind == NODE_HIDDEN || kind == NODE_NEW ||
						kind == NODE_LOCK
					? FS_IMMUTABLE_TIMEOUT
					: 0,
	};
	e->attr.st_ino = entry_inode(&h, (uint32_t)e->ino);
	e->attr.st_mode = hidden[kind].mode;
	e->attr.st_nlink = 1;
	set_owner(box, &e->attr);
	set_size(&e->attr, hidden_size(kind, &h));
	/* a time that never changes: a new one would drop the kernel's pages */
	set_times(&e->attr, h.uidvalidity, 0);
	if (kind == NODE_STATE)
		set_changed(&e->attr, &h);
}
