/*
 * store, used by many threads at once: messages come, move, change and go, mailboxes are
 * made, loaded for the first time, renamed and removed, while others read. No message is
 * lost or there twice, none reads as another's octets. Under TSan: no race.
 */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/support/maildirbox.h"

enum { SECONDS = 3, NLETTER_MAX = 1 << 16, MOST_LIVE = 200 };

static struct maildirbox m;
static struct box *top, *box[3]; /* INBOX, A, B: these stay */
static _Atomic bool stop;
static _Atomic unsigned ndelivered, nexpunged;
static _Atomic bool wrong; /* a thread other than the test's own cannot fail it */
static char what[256];	   /* the first thing that was wrong */

static void
complain(const char *text, unsigned n)
{
	bool was = false;

	if (atomic_compare_exchange_strong(&wrong, &was, true))
		snprintf(what, sizeof what, "%s (%u): %s", text, n, strerror(errno));
}

static const struct numset all = {.r = &(struct numrange){1, UINT32_MAX}, .n = 1};

/* Letter n: its number, then as many lines as tell it from its neighbours. */
static size_t
letter(unsigned n, bool wire, char out[static 8192])
{
	const char *end = wire ? "\r\n" : "\n";
	int at = snprintf(out, 8192, "Subject: %u%s%s", n, end, end);

	for (unsigned i = 0; i < n % 97; i++)
		at += snprintf(out + at, 8192 - (size_t)at, "line %u of %u%s", i, n, end);
	return (size_t)at;
}

/* The letter that these octets are; -1: none. */
static int
letter_of(const char *octets, size_t size)
{
	char want[8192];
	unsigned n;

	if (size >= sizeof want || sscanf(octets, "Subject: %u", &n) != 1)
		return -1;
	return letter(n, true, want) == size && memcmp(want, octets, size) == 0 ? (int)n : -1;
}

/* ---- the threads: each does one kind of thing until told to stop ------------------------ */

static uint64_t
live(struct box *b)
{
	struct mt_header h;

	box_header(b, &h);
	return h.nmessage;
}

static bool
may_go_on(unsigned turn)
{
	if (turn % 4 == 3)
		usleep(500);
	return !stop && !wrong;
}

static void *
deliver(void *arg)
{
	char text[8192];

	(void)arg;
	for (unsigned turn = 0; may_go_on(turn) && turn < NLETTER_MAX; turn++) {
		struct delivery d = {.date = INT64_MIN};
		size_t size = letter(turn, false, text);
		uint32_t uid;

		if (live(box[0]) + live(box[1]) + live(box[2]) > MOST_LIVE) {
			turn--;
			usleep(1000);
			continue;
		}
		if (stage_open(box[turn % 3], &d.stage) == -1 ||
		    stage_write(d.stage, text, size, 0) == -1 ||
		    (turn % 2 && stage_flush(d.stage, true) == -1) ||
		    box_deliver(box[turn % 3], &d, 1, &uid) == -1) {
			complain("deliver", turn);
			break;
		}
		ndelivered++;
	}
	return NULL;
}

/* A few of the UIDs that are there, and one that perhaps is not. */
static struct numset
some_of(struct box *b, uint64_t *seed, struct numrange *room)
{
	struct mt_record r[MOST_LIVE];
	size_t n = box_list(b, 0, r, MOST_LIVE);
	uint32_t lo = n == 0 ? 1 : r[check_random(seed) % n].uid;

	*room = (struct numrange){lo, lo + check_random(seed) % 4};
	return (struct numset){.r = room, .n = 1};
}

static void *
move(void *arg)
{
	uint64_t seed = 1;

	(void)arg;
	for (unsigned turn = 0; may_go_on(turn); turn++) {
		unsigned from = check_random(&seed) % 3, to = (from + 1 + turn % 2) % 3;
		struct numrange range;
		struct numset set = some_of(box[from], &seed, &range), a = {0}, b = {0};

		if (box_copy(box[from], &set, box[to], true, &a, &b) == -1)
			complain("move", turn);
		else if (numset_count(&a) != numset_count(&b))
			complain("move: numbers of UIDs differ", turn);
		numset_free(&a);
		numset_free(&b);
	}
	return NULL;
}

static void *
change(void *arg)
{
	static const char *const keyword[] = {"$Forwarded", "$Junk", "one", "two", "three"};
	uint64_t seed = 2;

	(void)arg;
	for (unsigned turn = 0; may_go_on(turn); turn++) {
		struct box *b = box[check_random(&seed) % 3];
		struct numrange range;
		struct numset set = some_of(b, &seed, &range), recent = {0};
		struct flag_change c = {check_random(&seed) % 3,
					(uint16_t)(check_random(&seed) & MT_FLAGS), 0,
					UINT64_MAX};
		unsigned number;

		if (box_keyword(b, span_of(keyword[turn % 5]), true, &number) == -1)
			complain("keyword", turn);
		c.keywords = 1u << number;
		if (box_flags(b, &set, &c, NULL) == -1)
			complain("flags", turn);
		if (turn % 8 == 0 && box_claim_recent(b, &recent) == -1)
			complain("recent", turn);
		numset_free(&recent);
	}
	return NULL;
}

static void *
expunge(void *arg)
{
	uint64_t seed = 3;

	(void)arg;
	for (unsigned turn = 0; may_go_on(turn); turn++) {
		struct box *b = box[check_random(&seed) % 3];
		struct numrange range;
		struct numset set = some_of(b, &seed, &range), gone = {0};

		if (box_expunge(b, &set, turn % 2, &gone) == -1)
			complain("expunge", turn);
		nexpunged += (unsigned)numset_count(&gone);
		numset_free(&gone);
		usleep(2000);
	}
	return NULL;
}

static void
read_one(struct box *b, const struct mt_record *r)
{
	char octets[8192], wire[8192];
	struct message *msg;
	struct mt_record now;

	if (message_open(b, r->uid, &msg) == -1) {
		if (errno != ENOENT && errno != ESTALE)
			complain("open", r->uid);
		return;
	}
	message_record(msg, &now);
	if (now.wire_size >= sizeof octets || message_read(msg, 0, octets, now.wire_size) == -1)
		complain("read", r->uid);
	else if (letter_of(octets, now.wire_size) == -1)
		complain("other octets in a message", r->uid);
	else if (box_wire_read(b, now.wire_off, wire, now.wire_size) == 0 &&
		 memcmp(wire, octets, now.wire_size) != 0 &&
		 box_record(b, r->uid, &now) == 0) /* else it may be NULs by now */
		complain("other octets in wire", r->uid);
	message_close(msg);
}

static void
look_at(struct box *b, uint64_t *seed)
{
	struct mt_record r[MOST_LIVE];
	struct buf name = {0};
	char index[4096];
	size_t n;

	if (box_refresh(b) == -1 && errno != ESTALE)
		complain("refresh", 0);
	n = box_list(b, 0, r, MOST_LIVE);
	(void)box_want_sizes(b, &all, 1);
	(void)box_index_read(b, check_random(seed) % 8192, index, sizeof index);
	for (int i = 0; n > 0 && i < 4; i++) {
		struct mt_record *one = &r[check_random(seed) % n];

		(void)box_base_name(b, one->uid, &name);
		(void)box_uidl(b, one->uid, &name);
		read_one(b, one);
	}
	buf_free(&name);
}

/* With a cursor, so that what is expunged is held. */
static void *
look(void *arg)
{
	uint64_t seed = 4 + *(const unsigned *)arg;

	for (unsigned turn = 0; may_go_on(turn); turn++) {
		struct box *b = box[check_random(&seed) % 3];
		struct mt_event ev[64];
		struct cursor *c;

		if (cursor_open(b, turn % 2, &c) == -1) {
			complain("cursor", turn);
			break;
		}
		for (int i = 0; i < 8 && may_go_on(turn); i++)
			look_at(b, &seed);
		while (cursor_read(c, ev, ARRAY_LEN(ev)) > 0)
			;
		cursor_close(c);
	}
	return NULL;
}

/* Whatever mailboxes there are, those of `remodel` just made and not looked at before. */
static int
visit(void *arg, const char *name, struct box *b)
{
	struct buf path = {0};

	(void)name;
	if (box_kind(b) == BOX_MAIL && box_watch(b) == 0) {
		look_at(b, arg);
		box_unwatch(b);
	}
	(void)box_path(b, &path);
	buf_free(&path);
	return 0;
}

static void *
tour(void *arg)
{
	uint64_t seed = 9;

	(void)arg;
	for (unsigned turn = 0; may_go_on(turn); turn++)
		if (box_children(top, visit, &seed) == -1)
			complain("list", turn);
	return NULL;
}

/* A mailbox that is made, filled by moves, renamed, emptied, removed. */
static void
remodel_once(unsigned turn, uint64_t *seed)
{
	struct numset set;
	struct numrange range;
	struct box *b;

	if (box_mkdir(top, "C", &b) == -1) {
		complain("mkdir", turn);
		return;
	}
	set = some_of(box[0], seed, &range);
	if (box_copy(box[0], &set, b, true, NULL, NULL) == -1)
		complain("move into a new mailbox", turn);
	if (box_rename(top, "C", top, "D") == -1)
		complain("rename", turn);
	if (box_copy(b, &all, box[1], true, NULL, NULL) == -1)
		complain("move out of a renamed mailbox", turn);
	if (box_rmdir(top, "D") == -1)
		complain("rmdir", turn);
	box_unref(b);
}

static void *
remodel(void *arg)
{
	uint64_t seed = 10;

	(void)arg;
	for (unsigned turn = 0; may_go_on(turn); turn++)
		remodel_once(turn, &seed);
	return NULL;
}

/* ---- the test ----------------------------------------------------------------------------- */

static void
count_letters(struct box *b, unsigned seen[static NLETTER_MAX])
{
	static struct mt_record r[NLETTER_MAX];
	char octets[8192];
	size_t n;

	if (box_refresh(b) == -1)
		check_fail("refresh: %s", strerror(errno));
	n = box_list(b, 0, r, NLETTER_MAX);
	for (size_t i = 0; i < n; i++) {
		struct message *msg;
		int which;

		if (message_open(b, r[i].uid, &msg) == -1)
			check_fail("UID %u: %s", r[i].uid, strerror(errno));
		message_record(msg, &r[i]);
		check_true(r[i].wire_size < sizeof octets &&
			       message_read(msg, 0, octets, r[i].wire_size) == 0,
			   "UID %u cannot be read", r[i].uid);
		message_close(msg);
		which = letter_of(octets, r[i].wire_size);
		check_true(which >= 0 && which < NLETTER_MAX, "UID %u is no letter", r[i].uid);
		check_num(++seen[which], 1, "letter %d", which);
	}
}

static void
run_all(void)
{
	static const unsigned first = 0, second = 1;
	static void *(*const run[])(void *) = {deliver, move, change, expunge,
					       look,	look, tour,   remodel};
	pthread_t thread[ARRAY_LEN(run)];

	for (size_t i = 0; i < ARRAY_LEN(run); i++)
		pthread_create(&thread[i], NULL, run[i], (void *)(i == 4 ? &first : &second));
	for (int i = 0; i < 10 * SECONDS && !wrong; i++)
		usleep(100000);
	stop = true;
	for (size_t i = 0; i < ARRAY_LEN(run); i++)
		pthread_join(thread[i], NULL);
}

static void
nothing_is_lost_in_a_crowd(void **state)
{
	static unsigned seen[NLETTER_MAX];
	unsigned n = 0;

	(void)state;
	maildirbox_make(&m);
	box_ref(box[0] = m.inbox);
	if (store_top(m.store, &top) == -1 || box_mkdir(top, "A", &box[1]) == -1 ||
	    box_mkdir(top, "B", &box[2]) == -1)
		check_fail("mkdir: %s", strerror(errno));
	run_all();
	check_true(!wrong, "%s", what);
	for (int i = 0; i < 3; i++)
		count_letters(box[i], seen);
	for (unsigned i = 0; i < NLETTER_MAX; i++)
		n += seen[i];
	check_num(n, ndelivered - nexpunged, "%u delivered, %u expunged", ndelivered, nexpunged);
	check_true(nexpunged > 0, "nothing was expunged");
	for (int i = 0; i < 3; i++)
		box_unref(box[i]);
	box_unref(top);
	maildirbox_remove(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_lost_in_a_crowd)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
