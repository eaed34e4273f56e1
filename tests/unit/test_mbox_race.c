/*
 * mbox: messages are read while those before them are expunged, which moves them, and while
 * flags are written into them, which makes them longer. Whoever reads gets right octets.
 */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/support/mboxbox.h"

enum { NMESSAGE = 60, NGONE = 40, NREADER = 3, LARGE = 1 << 20 };

static struct mboxbox m;
static _Atomic bool stop;
static _Atomic unsigned nread;
static _Atomic uint32_t newest; /* the UID of the last small message */

static void
must(int rc, const char *what)
{
	if (rc == -1)
		check_fail("%s: %s", what, strerror(errno));
}

static void
add_message(struct buf *to, unsigned n)
{
	must(buf_addf(to, "From a@b Thu Nov 29 22:33:51 2001\nSubject: %u\n\n%0*u\n\n",
	              n, (int)(n * 7 % 90) + 1, n),
	     "buf_addf");
}

static int
setup(void **state)
{
	struct buf file = {0};

	(void)state;
	for (unsigned n = 1; n <= NMESSAGE; n++)
		add_message(&file, n);
	mboxbox_make(&m, buf_span(&file));
	buf_free(&file);
	stop = false;
	nread = 0;
	newest = NMESSAGE;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	mboxbox_remove(&m);
	return 0;
}

/* A message that stays, whole, against what was put there. NULL, or what is wrong. */
static const char *
read_one(uint32_t uid)
{
	static _Thread_local char why[300];
	char got[400], want[400];
	struct message *msg;
	struct mt_record r;
	int n = snprintf(want, sizeof want, "Subject: %u\r\n\r\n%0*u\r\n", uid,
	                 (int)(uid * 7 % 90) + 1, uid);

	*why = '\0';
	if (box_sized(m.inbox, uid, &r) == -1 ||
	    message_open(m.inbox, uid, &msg) == -1) {
		snprintf(why, sizeof why, "UID %u: %s", uid, strerror(errno));
		return why;
	}
	if (r.wire_size != (uint64_t)n)
		snprintf(why, sizeof why, "UID %u has %ju octets, not %d", uid,
		         (uintmax_t)r.wire_size, n);
	else if (message_read(msg, 0, got, (size_t)n) == -1)
		snprintf(why, sizeof why, "UID %u: reading: %s", uid, strerror(errno));
	else if (memcmp(got, want, (size_t)n) != 0)
		snprintf(why, sizeof why, "UID %u: %.*s", uid, n, got);
	message_close(msg);
	return *why == '\0' ? NULL : why;
}

static void *
read_all(void *arg)
{
	const char *why = NULL;

	(void)arg;
	while (!stop && why == NULL) {
		if ((why = read_one(newest)) == NULL)
			why = read_one(NMESSAGE);
		nread += 2;
	}
	return why == NULL ? NULL : strdup(why);
}

static void
expunge(uint32_t uid)
{
	struct numrange range = {uid, uid};
	struct numset set = {.r = &range, .n = 1};

	must(box_expunge(m.inbox, &set, false, NULL), "box_expunge");
}

/* One arrives, with a large one behind it, so that a look at what comes from there on takes
 * its time; flags are written into it; a message goes that lies before it. */
static void
change(uint32_t uid, uint32_t next)
{
	static char large[LARGE];
	struct numrange range = {next, next};
	struct numset set = {.r = &range, .n = 1};
	struct flag_change c = {FLAGS_ADD, MT_FLAGGED, 0, UINT64_MAX};
	struct buf file = {0};

	memset(large, 'x', sizeof large);
	add_message(&file, range.lo);
	must(buf_addf(&file, "From a@b Thu Nov 29 22:33:51 2001\nSubject: large\n\n"),
	     "buf_addf");
	must(buf_add(&file, (struct span){large, sizeof large}), "buf_add");
	must(buf_add(&file, SPAN("\n\n")), "buf_add");
	mboxbox_append(&m, "inbox", buf_span(&file));
	buf_free(&file);
	must(box_refresh(m.inbox), "box_refresh");
	newest = range.lo;
	must(box_flags(m.inbox, &set, &c, NULL), "box_flags");
	expunge(uid);
	expunge(range.lo + 1);
}

static void
what_moves_is_read_right(void **state)
{
	pthread_t reader[NREADER];
	char *why[NREADER];

	(void)state;
	must(box_refresh(m.inbox), "box_refresh");
	for (int i = 0; i < NREADER; i++)
		pthread_create(&reader[i], NULL, read_all, NULL);
	for (uint32_t uid = 1; uid <= NGONE; uid++)
		change(uid, NMESSAGE + 2 * uid - 1);
	stop = true;
	for (int i = 0; i < NREADER; i++)
		pthread_join(reader[i], (void **)&why[i]);
	for (int i = 0; i < NREADER; i++) {
		if (why[i] != NULL)
			check_fail("%s", why[i]);
		free(why[i]);
	}
	check_true(nread > 0, "nobody read a message");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_moves_is_read_right, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
