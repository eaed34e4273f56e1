#include "tests/unit/support/fakebox.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"
#include "storage/base/num.h"

static const char *
at(const struct fakebox *fb, const char *name)
{
	static char path[160];

	snprintf(path, sizeof path, "%s/INBOX/%s", fb->path, name);
	return path;
}

static int
make_file(const struct fakebox *fb, const char *name, int flags)
{
	int fd = open(at(fb, name), flags | O_CREAT | O_CLOEXEC, 0600);

	if (fd == -1)
		err(1, "%s", name);
	return fd;
}

void
fakebox_make(struct fakebox *fb)
{
	static const char *const dirs[] = {"", MT_HIDDEN};
	static const char *const empty[] = {MT_HIDDEN "/" MT_EVENTS,
	                                    MT_HIDDEN "/" MT_LOCK};

	memset(fb, 0, sizeof *fb);
	snprintf(fb->path, sizeof fb->path, "/tmp/mt-fakebox.XXXXXX");
	if (mkdtemp(fb->path) == NULL)
		err(1, "%s", fb->path);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (mkdir(at(fb, dirs[i]), 0700) == -1)
			err(1, "%s", dirs[i]);
	for (size_t i = 0; i < ARRAY_LEN(empty); i++)
		close(make_file(fb, empty[i], O_RDONLY));
	fb->index = make_file(fb, MT_HIDDEN "/" MT_INDEX, O_RDWR);
	fb->wire = make_file(fb, MT_HIDDEN "/" MT_WIRE, O_RDWR);
	fb->head = (struct mt_header){.version = MT_ABI_VERSION,
	                              .header_size = MT_HEADER_SIZE,
	                              .record_size = sizeof(struct mt_record),
	                              .uidvalidity = 1234567890,
	                              .uidnext = 1,
	                              .generation = 1};
	memcpy(fb->head.magic, MT_MAGIC, sizeof fb->head.magic);
	fakebox_publish(fb);
}

static void
remove_message(const struct fakebox *fb, uint32_t uid)
{
	char name[32];

	snprintf(name, sizeof name, "%u" MT_SUFFIX, uid);
	if (unlink(at(fb, name)) == -1 && errno != ENOENT)
		err(1, "%s", name);
}

void
fakebox_remove(struct fakebox *fb)
{
	static const char *const files[] = {MT_INDEX, MT_WIRE, MT_EVENTS, MT_LOCK};
	char name[64];

	for (uint32_t i = 0; i < FAKEBOX_MAX; i++) {
		remove_message(fb, i + 1);
		free(fb->name[i]);
		free(fb->uidl[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(name, sizeof name, MT_HIDDEN "/%s", files[i]);
		(void)unlink(at(fb, name));
	}
	(void)rmdir(at(fb, MT_HIDDEN));
	(void)rmdir(at(fb, ""));
	if (rmdir(fb->path) == -1)
		err(1, "%s", fb->path);
	close(fb->index);
	close(fb->wire);
	buf_free(&fb->asked);
}

void
fakebox_seal(struct mt_record *r)
{
	r->check = hash_check(r, offsetof(struct mt_record, check));
}

void
fakebox_publish(struct fakebox *fb)
{
	size_t n = (size_t)fb->head.nrecord * sizeof fb->rec[0];

	fb->head.check = 0;
	fb->head.check = hash_check(&fb->head, sizeof fb->head);
	if (io_pwrite_all(fb->index,
	                  (struct span){(const char *)&fb->head, sizeof fb->head},
	                  0) == -1 ||
	    io_pwrite_all(fb->index, (struct span){(const char *)fb->rec, n},
	                  MT_HEADER_SIZE) == -1)
		err(1, "index");
}

static unsigned
bits_of(struct span octets)
{
	unsigned bits = 0;

	for (size_t i = 0; i < octets.n; i++) {
		bits |= octets.p[i] == '\0' ? MT_NUL : 0;
		bits |= (unsigned char)octets.p[i] > 0x7f ? MT_8BIT : 0;
		if (octets.p[i] == '.' && (i == 0 || octets.p[i - 1] == '\n'))
			bits |= MT_DOT;
	}
	return bits;
}

struct mt_record *
fakebox_add(struct fakebox *fb, struct span octets, unsigned bits)
{
	size_t i = (size_t)fb->head.nrecord;
	struct mt_record *r = &fb->rec[i];
	char name[64];
	int fd;

	if (i == FAKEBOX_MAX)
		errx(1, "fakebox is full");
	*r = (struct mt_record){.uid = fb->head.uidnext++,
	                        .bits = (uint16_t)(bits | bits_of(octets)),
	                        .wire_off = fb->head.wire_size,
	                        .wire_size = octets.n};
	fakebox_seal(r);
	fb->head.nrecord++;
	fb->head.nmessage++;
	fb->head.wire_size += octets.n;
	snprintf(name, sizeof name, "%u" MT_SUFFIX, r->uid);
	fd = make_file(fb, name, O_WRONLY | O_TRUNC);
	if (io_write_all(fd, octets) == -1 ||
	    io_pwrite_all(fb->wire, octets, (off_t)r->wire_off) == -1)
		err(1, "%s", name);
	close(fd);
	free(fb->name[i]);
	if (asprintf(&fb->name[i], "base.%u.host", r->uid) == -1)
		err(1, NULL);
	return r;
}

void
fakebox_vanish(struct fakebox *fb, struct mt_record *r)
{
	char *nuls = calloc(1, r->wire_size + 1);

	if (nuls == NULL || io_pwrite_all(fb->wire, (struct span){nuls, r->wire_size},
	                                  (off_t)r->wire_off) == -1)
		err(1, "wire");
	free(nuls);
	remove_message(fb, r->uid);
	r->bits |= MT_EXPUNGED;
	fakebox_seal(r);
}

void
fakebox_event(struct fakebox *fb, enum mt_event_type type, const struct mt_record *r)
{
	struct mt_event e = {.type = (uint16_t)type};
	int fd = open(at(fb, MT_HIDDEN "/" MT_EVENTS), O_WRONLY | O_APPEND | O_CLOEXEC);

	if (r != NULL) {
		e.row = (uint32_t)(r - fb->rec);
		e.rec = *r;
	}
	if (fd == -1 || io_write_all(fd, (struct span){(char *)&e, sizeof e}) == -1)
		err(1, "events");
	close(fd);
}

/* ---- ctl --------------------------------------------------------------------------------- */

static void
answer(struct mt_ctl *ctl, struct buf *reply)
{
	if (reply->n > sizeof ctl->text)
		errx(1, "a reply of %zu octets", reply->n);
	memcpy(ctl->text, reply->p, reply->n);
	ctl->size = (uint32_t)reply->n;
	buf_free(reply);
}

static void
say_expunged(struct fakebox *fb, const struct numset *set, struct buf *reply)
{
	for (uint64_t i = 0; i < fb->head.nrecord; i++)
		if (numset_has(set, fb->rec[i].uid)) {
			fb->rec[i].bits |= MT_EXPUNGED;
			fakebox_seal(&fb->rec[i]);
		}
	fakebox_publish(fb);
	(void)buf_addf(reply, "expunged ");
	(void)numset_print(set, reply);
	(void)buf_addf(reply, "\nok\n");
}

static void
say_names(struct fakebox *fb, char *const *names, const struct numset *set,
          struct buf *reply)
{
	unsigned lines = 0;

	for (uint64_t i = 0; i < fb->head.nrecord; i++) {
		if (names[i] == NULL || !numset_has(set, fb->rec[i].uid))
			continue;
		if (fb->names_page != 0 && lines++ == fb->names_page) {
			(void)buf_addf(reply, "more %u\n", fb->rec[i].uid);
			return;
		}
		(void)buf_addf(reply, "%u %s\n", fb->rec[i].uid, names[i]);
	}
	(void)buf_addf(reply, "ok\n");
}

static void
say_sizes(struct fakebox *fb, struct buf *reply)
{
	if (fb->unsized_for > 0) {
		fb->unsized_for--;
		(void)buf_addf(reply, "more 1\n");
		return;
	}
	(void)buf_addf(reply, "ok\n");
}

static int
ctl_hook(void *arg, struct mt_ctl *ctl)
{
	struct fakebox *fb = arg;
	struct span text = {ctl->text, ctl->size}, verb, set_text = {NULL, 0};
	struct numset set = {0};
	struct buf reply = {0};

	text = span_trim(text);
	(void)buf_add(&fb->asked, text);
	(void)buf_addc(&fb->asked, '\n');
	if (!span_word(&text, &verb))
		errx(1, "an empty command");
	if (span_word(&text, &set_text) &&
	    numset_parse(set_text, fb->head.uidnext - 1, 100000, &set) == -1)
		errx(1, "a bad set: %.*s", (int)set_text.n, set_text.p);
	if (fb->refuse != 0)
		(void)buf_addf(&reply, "error %s no\n", strerrorname_np(fb->refuse));
	else if (span_eq(verb, SPAN("sync")))
		(void)buf_addf(&reply, "ok\n");
	else if (span_eq(verb, SPAN("sizes")))
		say_sizes(fb, &reply);
	else if (span_eq(verb, SPAN("expunge")))
		say_expunged(fb, &set, &reply);
	else if (span_eq(verb, SPAN("names")))
		say_names(fb, fb->name, &set, &reply);
	else if (span_eq(verb, SPAN("uidl")))
		say_names(fb, fb->uidl, &set, &reply);
	else
		errx(1, "an unknown command: %.*s", (int)verb.n, verb.p);
	numset_free(&set);
	answer(ctl, &reply);
	return 0;
}

struct view_conf
fakebox_conf(struct fakebox *fb)
{
	return (struct view_conf){
	    .user_dir = fb->path, .mailbox = "INBOX", .ctl = ctl_hook, .arg = fb};
}
