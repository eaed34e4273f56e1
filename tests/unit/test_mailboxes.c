/* mailboxes: by path, over a real Maildir: what is listed, made, deleted, renamed, subscribed. */
#include "tests/unit/support/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "tests/unit/support/maildirbox.h"

static struct maildirbox m;

static int
setup(void **state)
{
	(void)state;
	maildirbox_make(&m);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	maildirbox_remove(&m);
	return 0;
}

static int
add_line(void *arg, const struct store_mailbox *b)
{
	struct buf *out = arg;

	return buf_addf(out, "%c%c%u %.*s|", b->exists ? 'm' : '-', b->subscribed ? 's' : '-', b->use,
			(int)b->path.n, b->path.p);
}

static void
listed_after(const char *after, const char *want)
{
	struct buf got = {0};

	check_num((uint64_t)store_mailboxes(m.store, span_of(after), add_line, &got), 0, "list: %s",
		  strerror(errno));
	check_span(buf_span(&got), span_of(want), "after \"%s\"", after);
	buf_free(&got);
}

static void
listed(const char *want)
{
	listed_after("", want);
}

static void
is(int rc, int want_errno, const char *what)
{
	check_num((uint64_t)(rc == 0 ? 0 : errno), (uint64_t)want_errno, "%s", what);
}

#define CREATE(path, use, want) is(store_create(m.store, span_of(path), use), want, "create " path)
#define DELETE(path, want)	is(store_delete(m.store, span_of(path)), want, "delete " path)
#define RENAME(from, to, want)                                                             \
	is(store_rename(m.store, span_of(from), span_of(to)), want, "rename " from " " to)
#define SUBSCRIBE(path, on, want)                                                          \
	is(store_subscribe(m.store, span_of(path), on), want, "subscribe " path)

static void
put(const char *name, const char *text)
{
	int fd = openat(m.top, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	check_true(fd != -1 && io_write_all(fd, span_of(text)) == 0, "%s", name);
	close(fd);
}

static void
has(const char *name, const char *want)
{
	struct buf text = {0};
	int fd = openat(m.top, name, O_RDONLY);

	check_true(fd != -1 && io_slurp(fd, &text) == 0, "%s: %s", name, strerror(errno));
	check_span(buf_span(&text), span_of(want), "%s", name);
	buf_free(&text);
	close(fd);
}

static void
in_order_of_octets(void **state)
{
	(void)state;
	CREATE("A/B", 0, 0);
	CREATE("A-", 0, 0);
	CREATE("A b", 0, 0);
	CREATE("b", 0, 0);
	CREATE("A0", 0, 0);
	listed("--0 A|m-0 A b|m-0 A-|m-0 A/B|m-0 A0|m-0 INBOX|m-0 b|");
	listed_after("A", "m-0 A b|m-0 A-|m-0 A/B|m-0 A0|m-0 INBOX|m-0 b|");
	listed_after("A/", "m-0 A/B|m-0 A0|m-0 INBOX|m-0 b|");
	listed_after("A/B", "m-0 A0|m-0 INBOX|m-0 b|");
	listed_after("b", "");
	CREATE("A", USE_JUNK, 0); /* a bare parent becomes a mailbox */
	listed_after("", "m-16 A|m-0 A b|m-0 A-|m-0 A/B|m-0 A0|m-0 INBOX|m-0 b|");
}

static void
uses_stay_with_the_mailbox(void **state)
{
	(void)state;
	CREATE("Sent", USE_SENT | USE_IMPORTANT, 0);
	has(".Sent/mailtree-use", "\\Sent\n\\Important\n");
	RENAME("Sent", "Gesendet", 0);
	listed("m-160 Gesendet|m-0 INBOX|");
	put(".Gesendet/mailtree-use", "\\sent\r\n\\Later\nTrash\n\n  \\Trash ");
	listed("m-96 Gesendet|m-0 INBOX|");
	put(".Gesendet/mailtree-use", "");
	listed("m-0 Gesendet|m-0 INBOX|");
	check_num((uint64_t)unlinkat(m.top, ".Gesendet/mailtree-use", 0), 0, "unlink");
	check_num((uint64_t)symlinkat("../x", m.top, ".Gesendet/mailtree-use"), 0, "symlink");
	put("x", "\\Sent\n");
	listed("m-0 Gesendet|m-0 INBOX|");
	maildirbox_close(&m);
	maildirbox_open(&m);
	listed("m-0 Gesendet|m-0 INBOX|");
}

static void
what_is_refused(void **state)
{
	(void)state;
	CREATE("", 0, EINVAL);
	CREATE("INBOX", 0, EEXIST);
	CREATE("a//b", 0, EINVAL);
	CREATE("a/", 0, EINVAL);
	CREATE(".a", 0, EINVAL);
	CREATE("a.b", 0, EINVAL);
	CREATE("A", 0, 0);
	CREATE("A", 0, EEXIST);
	DELETE("INBOX", EBUSY);
	DELETE("B", ENOENT);
	DELETE("", ENOENT);
	RENAME("INBOX", "B", EBUSY);
	RENAME("A", "INBOX", EEXIST);
	RENAME("A", "A", 0);
	RENAME("A", "A/B", EINVAL);
	RENAME("A", "A/B/C", EINVAL);
	RENAME("A", "X/.Y", EINVAL);
	RENAME("A", "", EINVAL);
	RENAME("B", "C", ENOENT);
	RENAME("", "C", ENOENT);
	SUBSCRIBE("", true, EINVAL);
	SUBSCRIBE("a//b", true, EINVAL);
	listed("m-0 A|m-0 INBOX|");
}

static void
renamed_with_children(void **state)
{
	struct box *top, *a, *b;
	struct buf path = {0};

	(void)state;
	CREATE("A/B", 0, 0);
	check_num((uint64_t)store_top(m.store, &top), 0, "top");
	check_num((uint64_t)box_child(top, "A", &a), 0, "A");
	check_num((uint64_t)box_child(a, "B", &b), 0, "B");
	check_num(maildirbox_deliver(b, SPAN("x\n")), 1, "UID");
	RENAME("A", "X/Y/Z", 0); /* a bare parent, to where no superior is */
	listed("m-0 INBOX|--0 X|--0 X/Y|--0 X/Y/Z|m-0 X/Y/Z/B|");
	check_num((uint64_t)box_path(b, &path), 0, "path");
	check_span(buf_span(&path), SPAN("X/Y/Z/B"), "the mailbox that was open");
	check_num(maildirbox_deliver(b, SPAN("y\n")), 2, "UID");
	CREATE("C/D", 0, 0);
	RENAME("C/D", "X/Y/Z", EEXIST);
	buf_free(&path);
	box_unref(b);
	box_unref(a);
	box_unref(top);
}

static void
deleted_with_messages(void **state)
{
	struct mt_event ev[4];
	struct cursor *cursor;
	struct box *top, *a;
	struct stat st;
	size_t n, last = 0;

	(void)state;
	CREATE("A", 0, 0);
	CREATE("A/B", 0, 0);
	check_num((uint64_t)store_top(m.store, &top), 0, "top");
	check_num((uint64_t)box_child(top, "A", &a), 0, "A");
	check_num((uint64_t)box_refresh(a), 0, "refresh");
	check_num(maildirbox_deliver(a, SPAN("x\n")), 1, "UID");
	check_num((uint64_t)cursor_open(a, true, &cursor), 0, "cursor");
	check_num((uint64_t)box_expunge(a, &(struct numset){.r = &(struct numrange){1, 1}, .n = 1},
					false, NULL),
		  0, "expunge");
	check_num(maildirbox_deliver(a, SPAN("y\n")), 2, "UID");
	DELETE("A", 0);
	check_true(box_dead(a), "dead");
	while ((n = cursor_read(cursor, ev, 1)) > 0)
		last = ev[0].type;
	check_num(last, MT_EV_RESET, "the last event");
	listed("--0 A|m-0 A/B|m-0 INBOX|");
	check_true(fstatat(m.top, ".A", &st, 0) == -1, "its directory");
	cursor_close(cursor);
	box_unref(a);
	box_unref(top);
	CREATE("A", 0, 0);
	DELETE("A/B", 0);
	listed("m-0 A|m-0 INBOX|");
}

static void
subscriptions_in_both_versions(void **state)
{
	(void)state;
	SUBSCRIBE("Not/there", true, 0);
	SUBSCRIBE("INBOX", true, 0);
	SUBSCRIBE("INBOX/x", true, 0);
	has("subscriptions", "Not.there\nINBOX\nINBOX.x\n");
	listed("ms0 INBOX|-s0 INBOX/x|-s0 Not/there|");
	SUBSCRIBE("Not/there", false, 0);
	SUBSCRIBE("Never", false, 0);
	has("subscriptions", "INBOX\nINBOX.x\n");
	put("subscriptions", "V\t2\n\nA\tB\nC.D\ne/f\tg\n&-\n&bad\n");
	listed("-s0 %26bad|-s0 &|-s0 A/B|m-0 INBOX|");
	SUBSCRIBE("X/y", true, 0);
	has("subscriptions", "V\t2\n\nA\tB\nC.D\ne/f\tg\n&-\n&bad\nX\ty\n");
	put("subscriptions", "V\t3\n\nA\n"); /* newer than we are: left alone */
	SUBSCRIBE("X", true, EINVAL);
	has("subscriptions", "V\t3\n\nA\n");
	listed("m-0 INBOX|");
}

static void *
unlock_later(void *arg)
{
	(void)arg;
	usleep(300000);
	put("subscriptions", "Theirs\n");
	if (unlinkat(m.top, "subscriptions.lock", 0) == -1)
		abort();
	return NULL;
}

/* What the holder of the lock wrote meanwhile is kept. */
static void
the_lock_is_waited_for(void **state)
{
	pthread_t other;
	struct stat st;

	(void)state;
	put("subscriptions", "Old\n");
	put("subscriptions.lock", "1:some other host");
	check_num((uint64_t)pthread_create(&other, NULL, unlock_later, NULL), 0, "thread");
	SUBSCRIBE("Ours", true, 0);
	pthread_join(other, NULL);
	has("subscriptions", "Theirs\nOurs\n");
	check_true(fstatat(m.top, "subscriptions.lock", &st, 0) == -1, "the lock is gone");
}

static void *
subscribe_many(void *arg)
{
	char name[16];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "%s%d", (const char *)arg, i);
		if (store_subscribe(m.store, span_of(name), true) == -1)
			abort();
	}
	return NULL;
}

static void
many_at_once(void **state)
{
	static const char *const who[] = {"a", "b", "c", "d"};
	pthread_t t[ARRAY_LEN(who)];
	struct buf text = {0};
	size_t lines = 0;
	int fd;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(who); i++)
		check_num((uint64_t)pthread_create(&t[i], NULL, subscribe_many, (void *)who[i]), 0,
			  "thread");
	for (size_t i = 0; i < ARRAY_LEN(who); i++)
		pthread_join(t[i], NULL);
	fd = openat(m.top, "subscriptions", O_RDONLY);
	check_num((uint64_t)io_slurp(fd, &text), 0, "slurp");
	for (size_t i = 0; i < text.n; i++)
		lines += text.p[i] == '\n';
	check_num(lines, 80, "names");
	buf_free(&text);
	close(fd);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(in_order_of_octets),
	    T(uses_stay_with_the_mailbox),
	    T(what_is_refused),
	    T(renamed_with_children),
	    T(deleted_with_messages),
	    T(subscriptions_in_both_versions),
	    T(the_lock_is_waited_for),
	    T(many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
