#include "fs/fs.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "fs/loop.h"
#include "fs/room.h"

#define FRESH_MS 200 /* a look at the store holds this long where it may be a bit old */

struct node
fs_node(const struct fs *fs, fuse_ino_t ino)
{
	struct node n = node_of(ino);

	if (n.kind == NODE_ROOT && fs->top != NULL)
		n = (struct node){.kind = NODE_DIR, .box = box_number(fs->top)};
	return n;
}

fuse_ino_t
fs_dir_ino(const struct fs *fs, const struct box *box)
{
	if (box == fs->top)
		return FUSE_ROOT_ID;
	return node_id((struct node){.kind = NODE_DIR, .box = box_number(box)});
}

struct box *
fs_box(struct fs *fs, struct node n)
{
	return box_by_number(fs->env, n.box);
}

int64_t
fs_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int
fs_refresh(struct fs *fs, struct box *box, bool now)
{
	int64_t ms = fs_now_ms();
	struct room *r;
	int status = 0;

	if (box_kind(box) != BOX_MAIL)
		return 0;
	if ((r = room_get(fs->rooms, box_number(box))) == NULL)
		return -1;
	if (now || ms - r->fresh_ms >= FRESH_MS) {
		loop_yield();
		status = box_refresh(box);
	}
	if (status == 0 && ms - r->fresh_ms >= FRESH_MS)
		r->fresh_ms = ms;
	room_put(fs->rooms, r);
	return status;
}

/* ---- scratch: a megabyte from malloc is mapped and faulted in anew each time ---------- */

struct scratch {
	size_t cap;
	char bytes[];
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void
make_key(void)
{
	pthread_key_create(&scratch_key, free);
}

char *
fs_scratch(size_t n)
{
	struct scratch *s;

	pthread_once(&scratch_once, make_key);
	s = pthread_getspecific(scratch_key);
	if (s != NULL && s->cap >= n)
		return s->bytes;
	free(s);
	pthread_setspecific(scratch_key, NULL);
	if ((s = malloc(sizeof *s + n)) == NULL)
		return NULL;
	s->cap = n;
	pthread_setspecific(scratch_key, s);
	return s->bytes;
}
