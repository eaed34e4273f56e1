/*
 * ctl_boxes: commands on mailboxes as a whole. The kernel did not ask for what they change
 * in its tree of names, so it is told: each name of a path that may be there no more, or
 * that is there now.
 */
#include "fs/ctl_private.h"

#include "fs/draft.h"
#include "fs/notify.h"
#include "fs/room.h"

int
ctl_find_box(struct run *r, struct span path, struct box **out)
{
	struct box *at, *next;
	struct span name;
	char text[256];

	if (store_top(box_store(r->box), &at) == -1)
		return -1;
	while (span_cut(&path, '/', &name)) {
		if (span_cstr(name, text, sizeof text) == -1 ||
		    box_child(at, text, &next) == -1) {
			box_unref(at);
			return errno == ENOENT ? ctl_fail(r, ENOENT, "no such mailbox") : -1;
		}
		box_unref(at);
		at = next;
	}
	*out = at;
	return 0;
}

/* ---- telling the kernel ---------------------------------------------------------------- */

#define NAMES_MOST 512 /* as deep as a path that a store can keep can be */

/* Names of a path, with the directories that they are in as long as these are there. */
struct trail {
	size_t n;
	fuse_ino_t dir[NAMES_MOST];
	struct span name[NAMES_MOST]; /* borrowed from the path */
};

static void
note_trail(struct run *r, struct span path, struct trail *t)
{
	struct box *at, *next;
	struct span name;
	char text[256];

	t->n = 0;
	if (store_top(box_store(r->box), &at) == -1)
		return;
	while (at != NULL && t->n < NAMES_MOST && span_cut(&path, '/', &name)) {
		t->dir[t->n] = fs_dir_ino(r->fs, at);
		t->name[t->n++] = name;
		next = NULL;
		if (span_cstr(name, text, sizeof text) == 0)
			(void)box_child(at, text, &next);
		box_unref(at);
		at = next;
	}
	box_unref(at);
}

static void
tell_trail(struct run *r, const struct trail *t)
{
	char text[256];

	for (size_t i = 0; i < t->n; i++)
		if (span_cstr(t->name[i], text, sizeof text) == 0)
			notify_name(r->fs->notify, t->dir[i], text);
}

/* What is there now may have been asked for in vain a moment ago. */
static void
tell_made(struct run *r, struct span path)
{
	struct trail t;

	note_trail(r, path, &t);
	tell_trail(r, &t);
}

/* ---- the list ---------------------------------------------------------------------------- */

/* `ms \Sent,\Trash PATH`, with `-` for what is not so; `f` for a mailbox that is a leaf */
static int
add_mailbox(void *arg, const struct store_mailbox *m)
{
	struct run *r = arg;
	struct buf line = {.max = 4096};
	int status;

	status = buf_addf(&line, "%c%c ", m->leaf ? 'f' : m->exists ? 'm' : '-',
			  m->subscribed ? 's' : '-');
	if (status == 0)
		status = m->use == 0 ? buf_addc(&line, '-') : use_print(m->use, ',', &line);
	if (status == 0)
		status = buf_addf(&line, " %.*s\n", (int)m->path.n, m->path.p);
	if (status == 0 && r->reply->n + line.n > LINES_MOST)
		status = r->more = 1;
	if (status == 0)
		status = buf_add(r->reply, buf_span(&line));
	buf_free(&line);
	return status;
}

int
ctl_mailboxes(struct run *r)
{
	int status = store_mailboxes(box_store(r->box), r->cmd.name, add_mailbox, r);

	return status == -1 ? -1 : 0;
}

/* ---- changes ------------------------------------------------------------------------------- */

int
ctl_create(struct run *r)
{
	if (store_create(box_store(r->box), r->cmd.name, r->cmd.use) == -1)
		return -1;
	tell_made(r, r->cmd.name);
	return 0;
}

int
ctl_delete(struct run *r)
{
	struct trail t;
	struct box *box;
	int status;

	if (ctl_find_box(r, r->cmd.name, &box) == -1)
		return -1;
	room_wait_released(r->fs->rooms, box_number(box));
	note_trail(r, r->cmd.name, &t);
	if ((status = store_delete(box_store(r->box), r->cmd.name)) == 0) {
		drafts_forget_box(r->fs, box);
		tell_trail(r, &t);
	} else if (errno == ENOENT)
		r->why = "not a mailbox";
	box_unref(box);
	return status;
}

int
ctl_rename(struct run *r)
{
	struct trail t;
	struct box *box;
	int status;

	if (ctl_find_box(r, r->cmd.name, &box) == -1)
		return -1;
	room_wait_released(r->fs->rooms, box_number(box));
	note_trail(r, r->cmd.name, &t);
	status = store_rename(box_store(r->box), r->cmd.name, r->cmd.newname);
	if (status == 0) {
		tell_trail(r, &t);
		tell_made(r, r->cmd.newname);
	}
	box_unref(box);
	return status;
}

int
ctl_subscribe(struct run *r)
{
	return store_subscribe(box_store(r->box), r->cmd.name, r->cmd.verb == CTL_SUBSCRIBE);
}
