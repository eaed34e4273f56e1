/*
 * maildir against others at the same time: a thread that renames flags and moves new/
 * to cur/ while we look, one that delivers and removes, and two daemons on one store.
 * No message may vanish that nobody removed, no UID be used twice.
 */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/message.h"
#include "tests/unit/support/maildirbox.h"

enum { NFILE = 2000 };

static struct maildirbox m;
static _Atomic bool stop;

static int
setup(void **state)
{
	(void)state;
	maildirbox_make(&m);
	stop = false;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	maildirbox_remove(&m);
	return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void
must(int rc, const char *what)
{
	if (rc == -1)
		check_fail("%s: %s", what, strerror(errno));
}

static void
make_file(const char *path)
{
	int fd = openat(m.top, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	must(fd, path);
	close(fd);
}

static void
name_of(char out[64], unsigned i, unsigned turn)
{
	static const char *const info[] = {"cur/%u.M%uP1.h:2,", "cur/%u.M%uP1.h:2,S",
					   "cur/%u.M%uP1.h:2,FS", "cur/%u.M%uP1.h:2,F"};

	snprintf(out, 64, info[turn % 4], 1000 + i, i);
}

/* What Dovecot does all day: every file renamed, one after the other, for ever. */
static void *
rename_all(void *arg)
{
	char from[64], to[64];

	(void)arg;
	for (unsigned turn = 0; !stop; turn++)
		for (unsigned i = 0; i < NFILE && !stop; i++) {
			name_of(from, i, turn);
			name_of(to, i, turn + 1);
			if (renameat(m.top, from, m.top, to) == -1)
				abort();
		}
	return NULL;
}

static uint64_t
messages(struct box *b)
{
	struct mt_header h;

	box_header(b, &h);
	return h.nmessage;
}

static void
check_events(struct cursor *c, unsigned round)
{
	struct mt_event ev[64];
	size_t n;

	while ((n = cursor_read(c, ev, ARRAY_LEN(ev))) > 0)
		for (size_t i = 0; i < n; i++)
			check_true(ev[i].type != MT_EV_EXPUNGED && ev[i].type != MT_EV_RESET,
				   "round %u: event %u for UID %u", round, ev[i].type,
				   ev[i].rec.uid);
}

static void
renames_are_no_expunges(void **state)
{
	struct cursor *c;
	pthread_t thread;
	char name[64];

	(void)state;
	for (unsigned i = 0; i < NFILE; i++) {
		name_of(name, i, 0);
		make_file(name);
	}
	must(box_refresh(m.inbox), "refresh");
	check_num(messages(m.inbox), NFILE, "messages");
	must(cursor_open(m.inbox, true, &c), "cursor");
	pthread_create(&thread, NULL, rename_all, NULL);
	for (unsigned round = 0; round < check_rounds(500); round++) {
		must(box_refresh(m.inbox), "refresh");
		check_num(messages(m.inbox), NFILE, "round %u", round);
		check_events(c, round);
	}
	stop = true;
	pthread_join(thread, NULL);
	cursor_close(c);
}

/* The first look falls among renames as well. */
static void
renames_during_the_first_look(void **state)
{
	pthread_t thread;
	char name[64];

	(void)state;
	for (unsigned i = 0; i < NFILE; i++) {
		name_of(name, i, 0);
		make_file(name);
	}
	must(box_refresh(m.inbox), "refresh");
	pthread_create(&thread, NULL, rename_all, NULL);
	for (unsigned round = 0; round < check_rounds(20); round++) {
		struct mt_record r;

		maildirbox_close(&m);
		maildirbox_open(&m);
		check_num(messages(m.inbox), NFILE, "round %u", round);
		must(box_record(m.inbox, NFILE, &r), "the last UID");
	}
	stop = true;
	pthread_join(thread, NULL);
	usleep(50000);
	must(box_refresh(m.inbox), "refresh");
	check_num(messages(m.inbox), NFILE, "in the end");
}

/* new/ to cur/ under the scan: never gone, never twice, never another UID. */
static void *
move_all(void *arg)
{
	char from[64], to[64];

	(void)arg;
	for (unsigned i = 0; i < NFILE; i++) {
		snprintf(from, sizeof from, "new/%u.M%uP1.h", 1000 + i, i);
		name_of(to, i, 0);
		if (renameat(m.top, from, m.top, to) == -1)
			abort();
		if (i % 16 == 0)
			usleep(200);
	}
	stop = true;
	return NULL;
}

static void
new_to_cur_under_the_scan(void **state)
{
	struct cursor *c;
	struct mt_header h;
	pthread_t thread;
	char name[64];

	(void)state;
	for (unsigned i = 0; i < NFILE; i++) {
		snprintf(name, sizeof name, "new/%u.M%uP1.h", 1000 + i, i);
		make_file(name);
	}
	must(box_refresh(m.inbox), "refresh");
	must(cursor_open(m.inbox, true, &c), "cursor");
	pthread_create(&thread, NULL, move_all, NULL);
	for (unsigned round = 0; !stop; round++) {
		must(box_refresh(m.inbox), "refresh");
		check_num(messages(m.inbox), NFILE, "round %u", round);
		check_events(c, round);
	}
	pthread_join(thread, NULL);
	usleep(50000);
	must(box_refresh(m.inbox), "refresh");
	box_header(m.inbox, &h);
	check_num(h.nmessage, NFILE, "in the end");
	check_num(h.uidnext, NFILE + 1, "no other UIDs");
	cursor_close(c);
}

static void
read_all(struct cursor *c)
{
	struct mt_event ev[64];

	while (cursor_read(c, ev, ARRAY_LEN(ev)) > 0)
		;
}

/* Others rename one message while we rename fifty: what hides in our stamp is found when
 * the message is opened. */
static void *
rename_one(void *arg)
{
	unsigned turn = *(unsigned *)arg;
	char from[64], to[64];

	usleep(turn % 50 * 20);
	name_of(from, 50, turn);
	name_of(to, 50, turn + 1);
	if (renameat(m.top, from, m.top, to) == -1 && errno != ENOENT) /* expunged already */
		abort();
	return NULL;
}

static void
a_rename_beside_ours_is_found(void **state)
{
	struct numset ours = {.r = &(struct numrange){1, 50}, .n = 1};
	char name[64];

	(void)state;
	for (unsigned i = 0; i <= 50; i++) {
		name_of(name, i, 0);
		make_file(name);
	}
	usleep(30000); /* until the directory's time is an old one */
	must(box_refresh(m.inbox), "refresh");
	for (unsigned turn = 0; turn < check_rounds(200); turn++) {
		struct flag_change c = {turn % 2 == 0 ? FLAGS_ADD : FLAGS_REMOVE, MT_DRAFT, 0,
					UINT64_MAX};
		struct message *msg;
		pthread_t thread;

		pthread_create(&thread, NULL, rename_one, &turn);
		must(box_flags(m.inbox, &ours, &c, NULL), "box_flags");
		pthread_join(thread, NULL);
		if (message_open(m.inbox, 51, &msg) == -1)
			check_fail("turn %u: %s", turn, strerror(errno));
		message_close(msg);
	}
}

/* Others rename the last of those that we expunge: whoever follows the mailbox can still
 * read the others. */
static void
a_rename_beside_our_expunge_loses_no_hold(void **state)
{
	unsigned lost = 0;
	struct cursor *c;
	char name[64];

	(void)state;
	must(cursor_open(m.inbox, true, &c), "cursor");
	for (unsigned turn = 0; turn < check_rounds(60); turn++) {
		struct numrange range = {turn * 51 + 1, turn * 51 + 51};
		struct numset set = {.r = &range, .n = 1};
		pthread_t thread;

		for (unsigned i = 0; i <= 50; i++) {
			name_of(name, i, turn);
			make_file(name);
		}
		usleep(30000); /* until the directory's time is an old one */
		must(box_refresh(m.inbox), "refresh");
		(void)box_want_sizes(m.inbox, &set, 10000);
		pthread_create(&thread, NULL, rename_one, &turn);
		must(box_expunge(m.inbox, &set, false, NULL), "box_expunge");
		pthread_join(thread, NULL);
		for (unsigned uid = range.lo; uid <= range.hi; uid++) {
			struct message *msg;

			if (message_open_row(m.inbox, uid, &msg) == 0)
				message_close(msg);
			else
				lost++;
		}
		read_all(c);
	}
	cursor_close(c);
	check_num(lost, 0, "messages that were not held");
}

/* We set flags, others rename: no flag is lost and no call fails. */
static void
flags_against_renames(void **state)
{
	struct numset all = {.r = &(struct numrange){1, UINT32_MAX}, .n = 1};
	static const uint16_t flag[] = {MT_ANSWERED, MT_DRAFT};
	pthread_t thread;
	char name[64];

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		name_of(name, i, 0);
		make_file(name);
	}
	must(box_refresh(m.inbox), "refresh");
	(void)thread;
	for (int i = 0; i < 2; i++) {
		struct flag_change c = {FLAGS_ADD, flag[i], 0, UINT64_MAX};

		for (unsigned j = 0; j < 50; j += 3) { /* behind our back */
			struct mt_record r;
			char from[64], to[64];

			must(box_record(m.inbox, j + 1, &r), "record");
			snprintf(from, sizeof from, "cur/%u.M%uP1.h:2,%s", 1000 + j, j,
				 i == 0 ? "" : "RS");
			snprintf(to, sizeof to, "cur/%u.M%uP1.h:2,%s", 1000 + j, j,
				 i == 0 ? "S" : "RST");
			must(renameat(m.top, from, m.top, to), from);
		}
		must(box_flags(m.inbox, &all, &c, NULL), "box_flags");
	}
	for (unsigned j = 0; j < 50; j++) {
		struct mt_record r;

		must(box_record(m.inbox, j + 1, &r), "record");
		check_num(r.flags,
			  MT_ANSWERED | MT_DRAFT | (j % 3 == 0 ? MT_SEEN | MT_DELETED : 0),
			  "message %u", j);
	}
}

/* ---- two daemons ------------------------------------------------------------------------ */

enum { NDELIVER = 150 };

struct daemon {
	struct maildirbox box;
	pthread_t thread;
	uint32_t uids[NDELIVER];
};

static void *
deliver_all(void *arg)
{
	struct daemon *d = arg;

	for (unsigned i = 0; i < NDELIVER; i++)
		d->uids[i] = maildirbox_deliver(d->box.inbox, SPAN("x\n"));
	return NULL;
}

static void
open_beside(struct daemon *d, unsigned i)
{
	char index[96], mail[96];
	struct box *top;

	d->box = m;
	snprintf(index, sizeof index, "%s/index%u", m.scratch, i);
	snprintf(mail, sizeof mail, "%s/mail", m.scratch);
	must(env_open(&(struct env_conf){.index_path = index}, &d->box.env), "env_open");
	must(store_open(d->box.env,
			&(struct store_conf){.name = "beside", .location = mail, .rootfd = -1},
			&d->box.store),
	     "store_open");
	must(store_top(d->box.store, &top), "top");
	must(box_child(top, "INBOX", &d->box.inbox), "INBOX");
	box_unref(top);
	must(box_refresh(d->box.inbox), "refresh");
}

static void
two_daemons_share_a_store(void **state)
{
	static struct daemon d[2];
	static bool used[2 * NDELIVER + 1];

	(void)state;
	memset(used, 0, sizeof used);
	for (unsigned i = 0; i < 2; i++)
		open_beside(&d[i], i);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&d[i].thread, NULL, deliver_all, &d[i]);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(d[i].thread, NULL);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned j = 0; j < NDELIVER; j++) {
			uint32_t uid = d[i].uids[j];

			check_true(uid <= 2 * NDELIVER && !used[uid], "UID %u", uid);
			used[uid] = true;
		}
	usleep(50000);
	for (unsigned i = 0; i < 2; i++) {
		must(box_refresh(d[i].box.inbox), "refresh");
		check_num(messages(d[i].box.inbox), 2 * NDELIVER, "daemon %u", i);
		maildirbox_close(&d[i].box);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(renames_are_no_expunges),	    T(renames_during_the_first_look),
	    T(new_to_cur_under_the_scan), T(a_rename_beside_ours_is_found),
	    T(a_rename_beside_our_expunge_loses_no_hold), T(flags_against_renames),
	    T(two_daemons_share_a_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
