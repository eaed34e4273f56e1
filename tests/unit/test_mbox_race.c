/*
 * mbox: messages are read while others before them are expunged and flags move all that is
 * behind them. Whoever reads gets right octets, at once or after another look.
 */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/support/mboxbox.h"

enum { NMESSAGE = 120, NGONE = 80, NREADER = 3 };

static struct mboxbox m;
static _Atomic bool stop;
static _Atomic unsigned nread;

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
	while (!stop && why == NULL)
		for (uint32_t uid = NGONE + 1; uid <= NMESSAGE && why == NULL; uid++) {
			why = read_one(uid);
			nread++;
		}
	return why == NULL ? NULL : strdup(why);
}

static void
change(uint32_t uid)
{
	struct numrange range = {uid, uid};
	struct numset set = {.r = &range, .n = 1};
	struct flag_change c = {FLAGS_ADD, MT_FLAGGED, 0, UINT64_MAX};

	must(box_flags(m.inbox, &set, &c, NULL), "box_flags");
	must(box_expunge(m.inbox, &set, false, NULL), "box_expunge");
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
		change(uid);
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
