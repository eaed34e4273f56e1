/*
 * maildir against a naive twin: random operations through the store and behind its
 * back; after each the messages, their UIDs, flags and texts are what a plain list says.
 */
#include "tests/unit/support/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/support/maildirbox.h"

enum { NBOX = 2, NSTEP = 1500, NTWIN = 4096 };

static struct maildirbox m;
static uint64_t seed;

static void
must(int rc, const char *what)
{
	if (rc == -1)
		check_fail("%s: %s", what, strerror(errno));
}

/* ---- the twin -------------------------------------------------------------------------- */

struct twin_message {
	uint32_t uid, text;
	uint16_t flags;
};

static struct twin {
	struct twin_message v[NTWIN];
	size_t n;
	uint32_t uidnext;
} twin[NBOX];

static struct box *box[NBOX];
static const char *const folder[NBOX] = {"", ".A/"};
static uint32_t texts; /* every message has a text of its own: its number */

static uint32_t
twin_add(struct twin *t, uint32_t text, uint16_t flags)
{
	assert_true(t->n < NTWIN);
	t->v[t->n++] = (struct twin_message){t->uidnext, text, flags};
	return t->uidnext++;
}

static void
twin_remove(struct twin *t, size_t i)
{
	memmove(&t->v[i], &t->v[i + 1], (--t->n - i) * sizeof t->v[0]);
}

static uint32_t
random_below(uint32_t n)
{
	return check_random(&seed) % n;
}

static uint16_t
random_flags(void)
{
	return (uint16_t)(check_random(&seed) & MT_FLAGS);
}

/* ---- comparing --------------------------------------------------------------------------- */

static uint32_t
text_of(struct box *b, uint32_t uid)
{
	struct message *msg;
	struct mt_record r;
	char text[32] = {0};

	must(message_open(b, uid, &msg), "message_open");
	message_record(msg, &r);
	check_true(r.wire_size < sizeof text, "size of UID %u", uid);
	must(message_read(msg, 0, text, (size_t)r.wire_size), "message_read");
	message_close(msg);
	return (uint32_t)strtoul(text, NULL, 10);
}

static void
compare(unsigned step, size_t k, bool texts_too)
{
	struct twin *t = &twin[k];
	struct mt_record r = {0};
	struct mt_header h;

	for (size_t i = 0; i < t->n; i++) {
		must(box_next(box[k], r.uid, &r), "box_next");
		check_num(r.uid, t->v[i].uid, "step %u, mailbox %zu: UID", step, k);
		check_num(r.flags, t->v[i].flags, "step %u, mailbox %zu: UID %u", step, k, r.uid);
		if (texts_too)
			check_num(text_of(box[k], r.uid), t->v[i].text, "step %u: UID %u", step,
				  r.uid);
	}
	check_num((uint64_t)box_next(box[k], r.uid, &r), (uint64_t)-1, "step %u: one more", step);
	box_header(box[k], &h);
	check_num(h.nmessage, t->n, "step %u: count", step);
	check_num(h.uidnext, t->uidnext, "step %u: UIDNEXT", step);
}

/* Outside changes in the tick of our own ones show a little later. */
static void
see_outside_changes(void)
{
	usleep(25000);
	for (size_t k = 0; k < NBOX; k++)
		must(box_refresh(box[k]), "refresh");
	usleep(25000);
	for (size_t k = 0; k < NBOX; k++)
		must(box_refresh(box[k]), "refresh");
}

/* ---- through the store ---------------------------------------------------------------------- */

static void
op_deliver(size_t k)
{
	size_t n = 1 + random_below(3);
	struct delivery d[3];
	uint32_t uids[3];

	for (size_t i = 0; i < n; i++) {
		char text[16];
		int len = snprintf(text, sizeof text, "%u\n", texts + (uint32_t)i);

		d[i] = (struct delivery){.flags = random_flags(), .date = INT64_MIN};
		must(stage_open(box[k], &d[i].stage), "stage_open");
		must(stage_write(d[i].stage, text, (size_t)len, 0), "stage_write");
		must(stage_flush(d[i].stage, false), "stage_flush");
	}
	must(box_deliver(box[k], d, n, uids), "box_deliver");
	for (size_t i = 0; i < n; i++)
		check_num(uids[i], twin_add(&twin[k], texts++, d[i].flags), "UID");
}

static void
op_discard(size_t k)
{
	struct stage *s;

	must(stage_open(box[k], &s), "stage_open");
	must(stage_write(s, "x", 1, 0), "stage_write");
	if (random_below(2))
		must(stage_flush(s, true), "stage_flush");
	stage_discard(s);
}

/* A random range of the UIDs that there ever were. */
static struct numset
random_set(const struct twin *t, struct numrange *room)
{
	uint32_t lo = 1 + random_below(t->uidnext), width = random_below(5);

	*room = (struct numrange){lo, lo + width};
	return (struct numset){.r = room, .n = 1};
}

static void
op_flags(size_t k)
{
	struct numrange room;
	struct numset set = random_set(&twin[k], &room);
	struct flag_change c = {(enum flag_how)random_below(3), random_flags(), 0, UINT64_MAX};

	must(box_flags(box[k], &set, &c, NULL), "box_flags");
	for (size_t i = 0; i < twin[k].n; i++) {
		struct twin_message *t = &twin[k].v[i];

		if (t->uid < room.lo || t->uid > room.hi)
			continue;
		t->flags = c.how == FLAGS_ADD	   ? t->flags | c.flags
			   : c.how == FLAGS_REMOVE ? (uint16_t)(t->flags & ~c.flags)
						   : c.flags;
	}
}

static void
op_expunge(size_t k)
{
	struct numrange room;
	struct numset set = random_set(&twin[k], &room);
	bool deleted = random_below(2);

	must(box_expunge(box[k], &set, deleted, NULL), "box_expunge");
	for (size_t i = twin[k].n; i-- > 0;) {
		const struct twin_message *t = &twin[k].v[i];

		if (t->uid >= room.lo && t->uid <= room.hi && (!deleted || t->flags & MT_DELETED))
			twin_remove(&twin[k], i);
	}
}

static void
op_copy_or_move(size_t k, bool move)
{
	size_t to = random_below(NBOX);
	struct numrange room;
	struct numset set = random_set(&twin[k], &room);
	size_t n = twin[k].n;

	must(box_copy(box[k], &set, box[to], move, NULL, NULL), "box_copy");
	for (size_t i = 0; i < n; i++) {
		struct twin_message t = twin[k].v[i];

		if (t.uid >= room.lo && t.uid <= room.hi)
			twin_add(&twin[to], t.text, t.flags);
	}
	for (size_t i = n; move && i-- > 0;)
		if (twin[k].v[i].uid >= room.lo && twin[k].v[i].uid <= room.hi)
			twin_remove(&twin[k], i);
}

static void
open_boxes(void)
{
	struct box *top;

	must(store_top(m.store, &top), "top");
	box[0] = m.inbox;
	if (box_child(top, "A", &box[1]) == -1)
		must(box_mkdir(top, "A", &box[1]), "box_mkdir");
	must(box_refresh(box[1]), "refresh");
	box_unref(top);
}

static void
op_reopen(void)
{
	box_unref(box[1]);
	maildirbox_close(&m);
	if (random_below(2)) { /* the index is disposable */
		char command[96];

		snprintf(command, sizeof command, "rm -rf %s/index", m.scratch);
		assert_int_equal(system(command), 0);
	}
	maildirbox_open(&m);
	open_boxes();
}

/* ---- behind its back ------------------------------------------------------------------------- */

static void
outside_delivery(size_t k)
{
	char path[96], text[16];
	/* later than what we deliver ourselves, and each later than the one before */
	int len = snprintf(text, sizeof text, "%u\n", texts), fd;
	bool seen = random_below(2);

	snprintf(path, sizeof path, "%s%s/%u.outside%s", folder[k], seen ? "cur" : "new",
		 3000000000u + texts, seen ? ":2,S" : "");
	fd = openat(m.top, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	must(fd, path);
	must(write(fd, text, (size_t)len) == len ? 0 : -1, "write");
	close(fd);
	twin_add(&twin[k], texts++, seen ? MT_SEEN : 0);
}

/* The file of a random message, by its text. */
static bool
find_file(size_t k, uint32_t uid, char path[512])
{
	struct buf base = {0};
	bool found = false;

	must(box_base_name(box[k], uid, &base), "box_base_name");
	for (int i = 0; i < 2 && !found; i++) {
		char dir[32];
		DIR *dp;
		struct dirent *d;

		snprintf(dir, sizeof dir, "%s%s", folder[k], i == 0 ? "cur" : "new");
		dp = fdopendir(openat(m.top, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		while (!found && (d = readdir(dp)) != NULL)
			if (strncmp(d->d_name, base.p, base.n) == 0 &&
			    (d->d_name[base.n] == ':' || d->d_name[base.n] == '\0')) {
				snprintf(path, 512, "%s/%s", dir, d->d_name);
				found = true;
			}
		closedir(dp);
	}
	buf_free(&base);
	return found;
}

static void
outside_removal(size_t k)
{
	size_t i = twin[k].n == 0 ? 0 : random_below((uint32_t)twin[k].n);
	char path[512];

	if (twin[k].n == 0)
		return;
	assert_true(find_file(k, twin[k].v[i].uid, path));
	must(unlinkat(m.top, path, 0), path);
	twin_remove(&twin[k], i);
}

static void
outside_flags(size_t k)
{
	size_t i = twin[k].n == 0 ? 0 : random_below((uint32_t)twin[k].n);
	char path[512], to[600];
	struct buf base = {0};

	if (twin[k].n == 0)
		return;
	assert_true(find_file(k, twin[k].v[i].uid, path));
	must(box_base_name(box[k], twin[k].v[i].uid, &base), "box_base_name");
	snprintf(to, sizeof to, "%scur/%.*s:2,TF", folder[k], (int)base.n, base.p);
	must(renameat(m.top, path, m.top, to), to);
	twin[k].v[i].flags = MT_DELETED | MT_FLAGGED;
	buf_free(&base);
}

static void
outside(size_t k)
{
	switch (random_below(3)) {
	case 0:
		outside_delivery(k);
		break;
	case 1:
		outside_removal(k);
		break;
	default:
		outside_flags(k);
		break;
	}
	see_outside_changes();
}

static void
step(size_t k)
{
	switch (random_below(14)) {
	case 0: case 1: case 2: case 3:
		op_deliver(k);
		break;
	case 4: case 5: case 6:
		op_flags(k);
		break;
	case 7: case 8:
		op_expunge(k);
		break;
	case 9:
		op_copy_or_move(k, false);
		break;
	case 10:
		op_copy_or_move(k, true);
		break;
	case 11:
		op_discard(k);
		break;
	case 12:
		outside(k);
		break;
	default:
		if (random_below(6) == 0)
			op_reopen();
	}
}

static void
same_as_the_twin(void **state)
{
	(void)state;
	seed = 1;
	maildirbox_make(&m);
	open_boxes();
	for (size_t k = 0; k < NBOX; k++)
		twin[k].uidnext = 1;
	for (unsigned i = 0; i < NSTEP; i++) {
		step(random_below(NBOX));
		for (size_t k = 0; k < NBOX; k++)
			compare(i, k, i % 50 == 49);
	}
	op_reopen();
	for (size_t k = 0; k < NBOX; k++)
		compare(NSTEP, k, true);
	box_unref(box[1]);
	maildirbox_remove(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_as_the_twin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
