/*
 * check: verifies the invariants of a mailbox by reading all of it: S1 (wire form), S2 (one
 * size everywhere), S3 (UIDs rise and stay below UIDNEXT).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/box_private.h"
#include "storage/message.h"
#include "storage/sizer.h"

#define STEP (256u << 10)

struct report {
	void (*say)(void *, const char *);
	void *arg;
	struct box *box;
	int n;
};

static void __attribute__((format(printf, 2, 3)))
violated(struct report *rep, const char *fmt, ...)
{
	struct buf line = {0}, path = {0};
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	(void)box_path(rep->box, &path);
	if (buf_addf(&line, "%.*s: %s", (int)path.n, path.p, text) == 0 &&
	    buf_addc(&line, '\0') == 0)
		rep->say(rep->arg, line.p);
	rep->n++;
	buf_free(&line);
	buf_free(&path);
}

/* What is remembered from one piece of a message to the next. */
struct wire_state {
	char last, before;
	bool bare_lf;
};

static void
look(struct wire_state *w, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		w->bare_lf |= p[i] == '\n' && w->last != '\r';
		w->before = w->last;
		w->last = p[i];
	}
}

static void
check_message(struct report *rep, const struct mt_record *r, char *buf)
{
	struct wire_state w = {0};
	struct message *m;
	struct mt_record at;

	if (message_open(rep->box, r->uid, &m) == -1) {
		if (errno != ENOENT) /* removed meanwhile */
			violated(rep, "S2: UID %u cannot be read: %s", r->uid, strerror(errno));
		return;
	}
	message_record(m, &at);
	for (uint64_t off = 0; off < at.wire_size;) {
		size_t n = at.wire_size - off < STEP ? (size_t)(at.wire_size - off) : STEP;

		if (message_read(m, off, buf, n) == -1) {
			violated(rep, "S2: UID %u: %ju octets are announced and cannot be read: %s",
				 r->uid, (uintmax_t)at.wire_size, strerror(errno));
			message_close(m);
			return;
		}
		look(&w, buf, n);
		off += n;
	}
	message_close(m);
	if (w.bare_lf)
		violated(rep, "S1: UID %u has an LF without a CR", r->uid);
	if (at.wire_size > 0 && (w.last != '\n' || w.before != '\r'))
		violated(rep, "S1: UID %u does not end in CRLF", r->uid);
}

int
box_check(struct box *b, void (*say)(void *, const char *), void *arg)
{
	struct report rep = {say, arg, b, 0};
	struct mt_record r = {0};
	struct mt_header h;
	uint32_t last = 0;
	char *buf;

	if (box_refresh(b) == -1 || (buf = malloc(STEP)) == NULL)
		return -1;
	sizer_kick(b);
	while (box_next(b, r.uid, &r) == 0) {
		if (r.uid <= last)
			violated(&rep, "S3: UID %u follows UID %u", r.uid, last);
		last = r.uid;
		check_message(&rep, &r, buf);
	}
	free(buf);
	box_header(b, &h);
	if (h.uidnext <= last)
		violated(&rep, "S3: UIDNEXT %u is not above UID %u", h.uidnext, last);
	if (h.uidvalidity == 0)
		violated(&rep, "S3: UIDVALIDITY is 0");
	return rep.n;
}
