/* store: messages, sizes, wire, events and holds, over a real Maildir. */
#include "tests/unit/support/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/base/hash.h"
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

static const struct numset every = {.r = &(struct numrange){1, UINT32_MAX}, .n = 1};

static struct numset
one(struct numrange *room, uint32_t uid)
{
	*room = (struct numrange){uid, uid};
	return (struct numset){.r = room, .n = 1};
}

/* The wire rule, octet by octet. */
static void
naive_wire(struct span in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] == '\n' && (i == 0 || in.p[i - 1] != '\r'))
			buf_addc(out, '\r');
		buf_addc(out, in.p[i]);
	}
	if (in.n > 0 && (in.n < 2 || in.p[in.n - 2] != '\r' || in.p[in.n - 1] != '\n') &&
	    !(in.p[in.n - 1] == '\n'))
		buf_add(out, SPAN("\r\n"));
}

/* A message of about n octets: lines of all sorts of ends and lengths. */
static void
random_message(struct buf *out, size_t n, uint64_t *seed)
{
	static const char *const end[] = {"\n", "\n", "\n", "\r\n", "\r", "\r\r\n", "\n\n.", ""};

	buf_add(out, SPAN("Subject: x\n\n"));
	while (out->n < n) {
		for (uint32_t k = check_random(seed) % 90; k > 0; k--)
			buf_addc(out, (char)('a' + k % 26));
		buf_add(out, span_of(end[check_random(seed) % ARRAY_LEN(end)]));
	}
}

struct sample {
	uint32_t uid;
	struct buf wire;
};

static void
deliver_samples(struct sample *v, size_t n, size_t up_to, uint64_t *seed)
{
	for (size_t i = 0; i < n; i++) {
		struct buf stored = {0};

		if (i % 7 != 3) /* an empty message here and there */
			random_message(&stored, check_random(seed) % up_to, seed);
		v[i].uid = maildirbox_deliver(m.inbox, buf_span(&stored));
		v[i].wire = (struct buf){0};
		naive_wire(buf_span(&stored), &v[i].wire);
		buf_free(&stored);
	}
}

static void
free_samples(struct sample *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_free(&v[i].wire);
}

static void
uids_rise_and_sizes_are_those_of_the_wire(void **state)
{
	struct sample v[30];
	struct mt_record r;
	uint64_t seed = 1;

	(void)state;
	deliver_samples(v, 30, 20000, &seed);
	for (size_t i = 0; i < 30; i++) {
		struct message *msg;
		char *got = malloc(v[i].wire.n + 1);

		check_num(v[i].uid, i + 1, "UID of %zu", i);
		check_num((uint64_t)box_sized(m.inbox, v[i].uid, &r), 0, "sized");
		check_num(r.wire_size, v[i].wire.n, "size of %zu", i);
		check_num((uint64_t)message_open(m.inbox, v[i].uid, &msg), 0, "open");
		check_num((uint64_t)message_read(msg, 0, got, v[i].wire.n), 0, "read");
		check_span((struct span){got, v[i].wire.n}, buf_span(&v[i].wire), "message %zu", i);
		message_close(msg);
		free(got);
	}
	free_samples(v, 30);
}

/* Any part of a large message, in any order, while marks come and go. */
static void
parts_of_a_large_message(void **state)
{
	struct buf stored = {0}, wire = {0};
	struct mt_record r;
	struct message *msg;
	uint64_t seed = 2;
	char *got;
	uint32_t uid;

	(void)state;
	random_message(&stored, 3 << 20, &seed);
	naive_wire(buf_span(&stored), &wire);
	uid = maildirbox_deliver(m.inbox, buf_span(&stored));
	check_num((uint64_t)box_sized(m.inbox, uid, &r), 0, "sized");
	check_num(r.wire_size, wire.n, "size");
	check_num((uint64_t)message_open(m.inbox, uid, &msg), 0, "open");
	got = malloc(wire.n);
	for (int i = 0; i < 400; i++) {
		uint64_t off = ((uint64_t)check_random(&seed) << 8) % wire.n;
		size_t n = check_random(&seed) % (i % 4 == 0 ? 300000 : 50);

		n = n < wire.n - off ? n : wire.n - off;
		check_num((uint64_t)message_read(msg, off, got, n), 0, "round %d", i);
		check_true(memcmp(got, wire.p + off, n) == 0, "round %d: %zu octets at %ju", i, n,
			   (uintmax_t)off);
		check_num((uint64_t)box_wire_read(m.inbox, r.wire_off + off, got, n), 0, "wire, round %d",
			  i);
		check_true(memcmp(got, wire.p + off, n) == 0, "wire, round %d: %zu octets at %ju", i, n,
			   (uintmax_t)off);
	}
	check_num((uint64_t)message_read(msg, wire.n, got, 1), (uint64_t)-1, "past the end");
	message_close(msg);
	free(got);
	buf_free(&stored);
	buf_free(&wire);
}

static void
wire_is_the_messages_in_order(void **state)
{
	struct sample v[60];
	struct buf arena = {0};
	struct mt_header h;
	struct mt_record r;
	uint64_t seed = 3;
	char *got;

	(void)state;
	deliver_samples(v, 60, 9000, &seed);
	check_num((uint64_t)box_want_sizes(m.inbox, &every, 10000), 1, "sizes");
	box_header(m.inbox, &h);
	check_num(h.nunsized, 0, "unsized");
	arena.n = (size_t)h.wire_size;
	arena.p = calloc(1, arena.n + 1);
	for (size_t i = 0; i < 60; i++) {
		check_num((uint64_t)box_record(m.inbox, v[i].uid, &r), 0, "record");
		check_true(r.wire_off + r.wire_size <= arena.n, "range of %zu", i);
		if (v[i].wire.n > 0)
			memcpy(arena.p + r.wire_off, v[i].wire.p, v[i].wire.n);
	}
	got = malloc(arena.n);
	for (int i = 0; i < 500; i++) {
		uint64_t off = check_random(&seed) % arena.n;
		size_t n = 1 + check_random(&seed) % 70000;

		n = n < arena.n - off ? n : arena.n - off;
		check_num((uint64_t)box_wire_read(m.inbox, off, got, n), 0, "round %d", i);
		check_true(memcmp(got, arena.p + off, n) == 0, "round %d", i);
	}
	check_num((uint64_t)box_wire_read(m.inbox, arena.n - 1, got, 2), (uint64_t)-1, "beyond");
	free(got);
	free(arena.p);
	free_samples(v, 60);
}

/* Three messages of 10,000 octets; the one in the middle goes. */
static void
removed_pages(void **state)
{
	struct buf body = {0};
	struct numrange room;
	struct numset middle;
	struct mt_record r[3];
	char *got = malloc(40000);

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_add(&body, SPAN("12345678\r\n"));
	for (uint32_t i = 0; i < 3; i++)
		check_num(maildirbox_deliver(m.inbox, buf_span(&body)), i + 1, "deliver");
	check_num((uint64_t)box_want_sizes(m.inbox, &every, 10000), 1, "sizes");
	for (uint32_t i = 0; i < 3; i++)
		check_num((uint64_t)box_record(m.inbox, i + 1, &r[i]), 0, "record");
	middle = one(&room, 2);
	check_num((uint64_t)box_expunge(m.inbox, &middle, false, NULL), 0, "expunge");

	/* the pages that it shared: NULs in its place */
	check_num((uint64_t)box_wire_read(m.inbox, 8192, got, 4096), 0, "left edge");
	check_true(memcmp(got, body.p + 8192 % 10, 10000 - 8192) == 0, "neighbour on the left");
	for (size_t i = 10000 - 8192; i < 4096; i++)
		check_num((unsigned char)got[i], 0, "octet %zu of the shared page", i);
	check_num((uint64_t)box_wire_read(m.inbox, 16384, got, 4096), 0, "right edge");
	for (size_t i = 0; i < 20000 - 16384; i++)
		check_num((unsigned char)got[i], 0, "octet %zu of the shared page", i);
	check_true(memcmp(got + 20000 - 16384, body.p, 20480 - 20000) == 0,
		   "neighbour on the right");
	/* a page of its own, alone and in a larger read */
	check_num((uint64_t)box_wire_read(m.inbox, 12288, got, 4096), (uint64_t)-1, "dead page");
	check_num((uint64_t)errno, EIO, "errno");
	check_num((uint64_t)box_wire_read(m.inbox, 0, got, 30000), (uint64_t)-1, "all");
	check_num((uint64_t)box_wire_read(m.inbox, r[2].wire_off, got, 10000), 0, "the third");
	check_true(memcmp(got, body.p, 10000) == 0, "the third");
	free(got);
	buf_free(&body);
}

/* Files of messages; what a driver needs beside them is its own. */
static size_t
count_files(const char *sub)
{
	int fd = openat(m.top, sub, O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(fd);
	size_t n = 0;

	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.' && strstr(e->d_name, ".mt-holder") == NULL;
	closedir(d);
	return n;
}

static void
a_cursor_holds_what_is_expunged(void **state)
{
	struct span text = SPAN("Subject: held\n\nhello\n");
	struct buf wire = {0};
	struct cursor *holder, *other;
	struct mt_event ev[8];
	struct mt_record r;
	char got[100];

	(void)state;
	naive_wire(text, &wire);
	check_num(maildirbox_deliver(m.inbox, text), 1, "deliver");
	check_num((uint64_t)box_sized(m.inbox, 1, &r), 0, "sized");
	check_num((uint64_t)cursor_open(m.inbox, true, &holder), 0, "cursor");
	check_num((uint64_t)cursor_open(m.inbox, false, &other), 0, "cursor");
	check_num((uint64_t)box_expunge(m.inbox, &every, false, NULL), 0, "expunge");
	check_num((uint64_t)box_record(m.inbox, 1, &r), (uint64_t)-1, "still listed");
	check_num(count_files("cur") + count_files("new"), 0, "still in new/ or cur/");

	check_true(cursor_ready(other), "ready");
	check_num(cursor_read(other, ev, 8), 1, "events");
	check_num(ev[0].type, MT_EV_EXPUNGED, "type");
	check_num(ev[0].rec.bits & (MT_EXPUNGED | MT_LOST), MT_EXPUNGED, "bits");
	check_num((uint64_t)box_wire_read(m.inbox, 0, got, wire.n), 0, "read while held");
	check_true(memcmp(got, wire.p, wire.n) == 0, "octets while held");

	check_num(cursor_read(holder, ev, 8), 1, "events");
	check_num(cursor_read(holder, ev, 8), 0, "no more events");
	check_num((uint64_t)box_wire_read(m.inbox, 0, got, wire.n), (uint64_t)-1, "read afterwards");
	for (int i = 0; i < 200 && count_files("tmp") > 0; i++)
		usleep(10000);
	cursor_close(holder);
	cursor_close(other);
	for (int i = 0; i < 200 && count_files("tmp") > 0; i++)
		usleep(10000);
	check_num(count_files("tmp"), 0, "files in tmp/");
	buf_free(&wire);
}

static void
closing_lets_go(void **state)
{
	struct cursor *holder;

	(void)state;
	maildirbox_deliver(m.inbox, SPAN("a\n"));
	check_num((uint64_t)cursor_open(m.inbox, true, &holder), 0, "cursor");
	check_num((uint64_t)box_expunge(m.inbox, &every, false, NULL), 0, "expunge");
	check_true(count_files("tmp") > 0, "nothing is held");
	cursor_close(holder);
	for (int i = 0; i < 200 && count_files("tmp") > 0; i++)
		usleep(10000);
	check_num(count_files("tmp"), 0, "files in tmp/");
}

/* More events than are kept: told so, once, and then goes on. */
static void
a_slow_cursor_is_told_that_it_is(void **state)
{
	const struct flag_change on = {FLAGS_ADD, MT_SEEN, 0, UINT64_MAX};
	const struct flag_change off = {FLAGS_REMOVE, MT_SEEN, 0, UINT64_MAX};
	struct cursor *slow;
	struct mt_event ev[8];
	uint64_t serial = 0;
	size_t total = 0, n;

	(void)state;
	for (int i = 0; i < 200; i++)
		maildirbox_deliver(m.inbox, SPAN("a\n"));
	check_num((uint64_t)cursor_open(m.inbox, false, &slow), 0, "cursor");
	for (int i = 0; i < 50; i++) {
		check_num((uint64_t)box_flags(m.inbox, &every, &on, NULL), 0, "flags");
		check_num((uint64_t)box_flags(m.inbox, &every, &off, NULL), 0, "flags");
	}
	check_num(cursor_read(slow, ev, 8), 1, "events");
	check_num(ev[0].type, MT_EV_OVERFLOW, "type");
	check_num(cursor_read(slow, ev, 8), 0, "events after it");
	check_num((uint64_t)box_flags(m.inbox, &every, &on, NULL), 0, "flags");
	while ((n = cursor_read(slow, ev, 8)) > 0)
		for (size_t i = 0; i < n; i++, total++) {
			check_num(ev[i].type, MT_EV_FLAGS, "type");
			check_true(serial == 0 || ev[i].serial == serial + 1, "serial %ju after %ju",
				   (uintmax_t)ev[i].serial, (uintmax_t)serial);
			serial = ev[i].serial;
		}
	check_num(total, 200, "events");
	cursor_close(slow);
}

static void
outside_changes_are_taken_in(void **state)
{
	struct cursor *c;
	struct mt_event ev[4];
	struct mt_record r;

	(void)state;
	check_num((uint64_t)cursor_open(m.inbox, false, &c), 0, "cursor");
	maildirbox_drop(&m, "1000.a.host", SPAN("one\n"));
	check_num((uint64_t)box_refresh(m.inbox), 0, "refresh");
	check_num((uint64_t)box_record(m.inbox, 1, &r), 0, "record");
	check_num(r.bits & MT_RECENT, MT_RECENT, "recent");
	check_num(cursor_read(c, ev, 4), 1, "events");
	check_num(ev[0].type, MT_EV_NEW, "type");
	check_true(m.woken > 0, "nobody was woken");
	check_num((uint64_t)unlinkat(m.top, "new/1000.a.host", 0), 0, "unlink");
	for (int i = 0; i < 100 && box_record(m.inbox, 1, &r) == 0; i++) {
		usleep(20000);
		check_num((uint64_t)box_refresh(m.inbox), 0, "refresh");
	}
	check_num((uint64_t)box_record(m.inbox, 1, &r), (uint64_t)-1, "still there");
	check_num(cursor_read(c, ev, 4), 1, "events");
	check_num(ev[0].type, MT_EV_EXPUNGED, "type");
	check_num(ev[0].rec.bits & MT_LOST, MT_LOST, "lost");
	cursor_close(c);
}

static void
watched_without_being_asked(void **state)
{
	struct mt_record r;

	(void)state;
	check_num((uint64_t)box_watch(m.inbox), 0, "watch");
	maildirbox_drop(&m, "1000.b.host", SPAN("one\n"));
	for (int i = 0; i < 100 && box_record(m.inbox, 1, &r) == -1; i++)
		usleep(10000);
	check_num((uint64_t)box_record(m.inbox, 1, &r), 0, "seen within a second");
	box_unwatch(m.inbox);
}

/* The same after closing and opening: sizes, modseqs, UIDs; nothing is counted twice. */
static void
reopened(void **state)
{
	const struct flag_change flag = {FLAGS_REPLACE, MT_FLAGGED | MT_SEEN, 1, UINT64_MAX};
	struct sample v[20];
	struct mt_record was[20], is;
	struct mt_header h, h2;
	struct numrange room;
	struct numset third;
	unsigned kw;
	uint64_t seed = 5;

	(void)state;
	deliver_samples(v, 20, 3000, &seed);
	check_num((uint64_t)box_want_sizes(m.inbox, &every, 10000), 1, "sizes");
	check_num((uint64_t)box_keyword(m.inbox, SPAN("$Work"), true, &kw), 0, "keyword: %s",
		  strerror(errno));
	check_num(kw, 0, "number of the keyword");
	third = one(&room, 3);
	check_num((uint64_t)box_flags(m.inbox, &third, &flag, NULL), 0, "flags");
	for (size_t i = 0; i < 20; i++)
		check_num((uint64_t)box_record(m.inbox, v[i].uid, &was[i]), 0, "record");
	box_header(m.inbox, &h);
	maildirbox_close(&m);
	maildirbox_open(&m);
	box_header(m.inbox, &h2);
	check_num(h2.uidvalidity, h.uidvalidity, "uidvalidity");
	check_num(h2.uidnext, h.uidnext, "uidnext");
	check_num(h2.modseq, h.modseq, "modseq");
	check_num((uint64_t)h2.changed, (uint64_t)h.changed, "time of the last change");
	check_num(h2.nunsized, 0, "unsized");
	check_num(h2.nunseen, 19, "unseen");
	check_num(h2.generation, h.generation + 1, "generation");
	for (size_t i = 0; i < 20; i++) {
		check_num((uint64_t)box_record(m.inbox, v[i].uid, &is), 0, "record");
		check_num(is.modseq, was[i].modseq, "modseq of %zu", i);
		check_num(is.flags, was[i].flags, "flags of %zu", i);
		check_num(is.keywords, was[i].keywords, "keywords of %zu", i);
		check_num((uint64_t)is.date, (uint64_t)was[i].date, "date of %zu", i);
		check_num(is.wire_size, v[i].wire.n, "size of %zu", i);
	}
	free_samples(v, 20);
}

/* An index file of another mailbox under our number tells nothing of ours. */
static void
index_of_another_mailbox(void **state)
{
	struct buf list = {0};
	struct mt_record was, is;
	int fd;
	char *guid;

	(void)state;
	maildirbox_deliver(m.inbox, SPAN("Subject: a\n\nb\n"));
	check_num((uint64_t)box_sized(m.inbox, 1, &was), 0, "sized");
	maildirbox_close(&m);
	fd = openat(m.top, "dovecot-uidlist", O_RDWR);
	check_num((uint64_t)io_slurp(fd, &list), 0, "slurp");
	guid = memmem(list.p, list.n, " G", 2);
	check_true(guid != NULL, "no GUID in %.*s", (int)list.n, list.p);
	guid[2] = guid[2] == '0' ? '1' : '0';
	check_num((uint64_t)io_pwrite_all(fd, buf_span(&list), 0), 0, "pwrite");
	close(fd);
	buf_free(&list);
	maildirbox_open(&m);
	check_num((uint64_t)box_sized(m.inbox, 1, &is), 0, "sized");
	check_num((uint64_t)is.date, (uint64_t)was.date, "date");
	check_num(is.wire_size, was.wire_size, "size");
}

static void
copied_and_moved(void **state)
{
	struct sample v[10];
	struct box *top, *archive;
	struct numset from = {0}, to = {0};
	struct mt_header h;
	struct buf text = {0};
	uint64_t seed = 6;

	(void)state;
	deliver_samples(v, 10, 2000, &seed);
	check_num((uint64_t)store_top(m.store, &top), 0, "top");
	check_num((uint64_t)box_mkdir(top, "Archive", &archive), 0, "mkdir: %s", strerror(errno));
	check_num((uint64_t)box_copy(m.inbox, &every, archive, false, &from, &to), 0, "copy: %s",
		  strerror(errno));
	numset_print(&from, &text);
	buf_addc(&text, ' ');
	numset_print(&to, &text);
	check_span(buf_span(&text), SPAN("1:10 1:10"), "copyuid");
	numset_free(&from);
	numset_free(&to);
	check_num((uint64_t)box_copy(m.inbox, &every, archive, true, NULL, &to), 0, "move: %s",
		  strerror(errno));
	check_num(numset_count(&to), 10, "moved");
	check_true(numset_has(&to, 11) && numset_has(&to, 20), "UIDs of what was moved");
	box_header(m.inbox, &h);
	check_num(h.nmessage, 0, "left behind");
	for (uint32_t i = 0; i < 20; i++) {
		struct mt_record r;

		check_num((uint64_t)box_sized(archive, i + 1, &r), 0, "sized %u: %s", i + 1,
			  strerror(errno));
		check_num(r.wire_size, v[i % 10].wire.n, "size of %u", i + 1);
	}
	check_num((uint64_t)box_rmdir(top, "Archive"), (uint64_t)-1, "removed with messages in it");
	check_num((uint64_t)errno, ENOTEMPTY, "errno");
	check_num((uint64_t)box_expunge(archive, &every, false, NULL), 0, "expunge");
	check_num((uint64_t)box_rmdir(top, "Archive"), 0, "rmdir: %s", strerror(errno));
	check_true(box_dead(archive), "the box lives on");
	numset_free(&to);
	buf_free(&text);
	box_unref(archive);
	box_unref(top);
	free_samples(v, 10);
}

static void
blobs_of_sessions(void **state)
{
	struct {
		struct mt_blob head;
		char text[8];
	} in = {{7, 5, 0, 1}, "hello"}, out[4];

	(void)state;
	in.head.check = 0;
	check_num((uint64_t)box_cache_write(m.inbox, &in, sizeof in), (uint64_t)-1, "bad check");
	in.head.check = hash_check(in.text, 5);
	check_num((uint64_t)box_cache_write(m.inbox, &in, sizeof in - 1), (uint64_t)-1, "cut");
	check_num((uint64_t)box_cache_write(m.inbox, &in, sizeof in), 0, "write");
	in.head.uid = 9;
	check_num((uint64_t)box_cache_write(m.inbox, &in, sizeof in), 0, "write");
	check_num((uint64_t)box_cache_read(m.inbox, 1, out, sizeof out), 2 * sizeof in, "read");
	check_num(out[0].head.uid, 7, "first");
	check_num(out[1].head.uid, 9, "second");
	check_num((uint64_t)box_cache_read(m.inbox, 8, out, sizeof out), sizeof in, "from 8");
	maildirbox_close(&m);
	maildirbox_open(&m);
	check_num((uint64_t)box_cache_read(m.inbox, 7, out, sizeof out), 2 * sizeof in,
		  "after reopening");
	check_mem(out[0].text, 5, "hello", "text");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(uids_rise_and_sizes_are_those_of_the_wire),
	    T(parts_of_a_large_message),
	    T(wire_is_the_messages_in_order),
	    T(removed_pages),
	    T(a_cursor_holds_what_is_expunged),
	    T(closing_lets_go),
	    T(a_slow_cursor_is_told_that_it_is),
	    T(outside_changes_are_taken_in),
	    T(watched_without_being_asked),
	    T(reopened),
	    T(index_of_another_mailbox),
	    T(copied_and_moved),
	    T(blobs_of_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
