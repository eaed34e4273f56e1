#include "storage/uidlist.h"

#include <errno.h>

#include "storage/base/num.h"

void
uidlist_begin(struct uidlist_parser *p)
{
	p->error = UIDLIST_OK;
	p->lines = 0;
	p->whole = 0;
	p->last_uid = p->uidnext = 0;
	p->version = 0;
	p->line = (struct line){.buf = p->room, .cap = sizeof p->room};
}

/* Take the next word off *rest; only blanks part words, as Dovecot has it. */
static bool
word(struct span *rest, struct span *w)
{
	while (rest->n > 0 && rest->p[0] == ' ')
		*rest = span_from(*rest, 1);
	return span_cut(rest, ' ', w);
}

/* Words that are kept are moved together at the front of the line, which is ours. */
static void
keep(char *room, struct span *kept, struct span w)
{
	if (kept->n > 0)
		room[kept->n++] = ' ';
	memmove(room + kept->n, w.p, w.n);
	kept->p = room;
	kept->n += w.n;
}

static int
hex_digit(char c)
{
	uint32_t v;

	return num_hex32((struct span){&c, 1}, &v) == 0 ? (int)v : -1;
}

static bool
parse_guid(struct span text, uint8_t guid[16])
{
	if (text.n != 32)
		return false;
	for (size_t i = 0; i < 16; i++) {
		int hi = hex_digit(text.p[2 * i]), lo = hex_digit(text.p[2 * i + 1]);

		if (hi == -1 || lo == -1)
			return false;
		guid[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static enum uidlist_error
header_v1(struct span rest, struct uidlist_header *h)
{
	struct span v, n;

	if (!word(&rest, &v) || !word(&rest, &n) || num_u32(v, &h->uidvalidity) == -1 ||
	    num_u32(n, &h->uidnext) == -1)
		return UIDLIST_HEADER;
	return UIDLIST_OK;
}

static enum uidlist_error
header_v3(char *room, struct span rest, struct uidlist_header *h)
{
	struct span w;

	while (word(&rest, &w)) {
		struct span value = span_from(w, 1);

		switch (w.p[0]) {
		case 'V':
			if (num_u32(value, &h->uidvalidity) == -1)
				return UIDLIST_HEADER;
			break;
		case 'N':
			if (num_u32(value, &h->uidnext) == -1)
				return UIDLIST_HEADER;
			break;
		case 'G': /* a broken one is as good as none: it gets a new one */
			h->has_guid = parse_guid(value, h->guid);
			break;
		default:
			keep(room, &h->extra, w);
		}
	}
	return UIDLIST_OK;
}

static enum uidlist_error
take_header(struct uidlist_parser *p, struct span text)
{
	struct uidlist_header h = {0};
	enum uidlist_error e;

	if (text.n < 2 || text.p[0] < '0' || text.p[0] > '9' || text.p[1] != ' ')
		return UIDLIST_HEADER;
	h.version = (unsigned)(text.p[0] - '0');
	if (h.version == 1)
		e = header_v1(span_from(text, 2), &h);
	else if (h.version == 3)
		e = header_v3(p->room, span_from(text, 2), &h);
	else
		e = UIDLIST_VERSION;
	if (e == UIDLIST_OK && (h.uidvalidity == 0 || h.uidnext == 0))
		e = UIDLIST_HEADER;
	if (e != UIDLIST_OK)
		return e;
	p->version = h.version;
	p->uidnext = h.uidnext;
	return p->header(p->arg, &h) == 0 ? UIDLIST_OK : UIDLIST_STOPPED;
}

static enum uidlist_error
check_uid(const struct uidlist_parser *p, uint32_t uid)
{
	if (uid == 0 || uid == UINT32_MAX)
		return UIDLIST_UID_RANGE;
	if (uid <= p->last_uid)
		return UIDLIST_ORDER;
	if (p->version == 1 && uid >= p->uidnext)
		return UIDLIST_UID_RANGE;
	return UIDLIST_OK;
}

/* The keys of version 3, up to the ':' that begins the file name. */
static bool
take_ext(char *room, struct span *rest, struct span *ext)
{
	struct span w;

	for (;;) {
		while (rest->n > 0 && rest->p[0] == ' ')
			*rest = span_from(*rest, 1);
		if (rest->n == 0)
			return false;
		if (rest->p[0] == ':') {
			*rest = span_from(*rest, 1);
			return true;
		}
		word(rest, &w);
		keep(room, ext, w);
	}
}

static bool
is_name(struct span s)
{
	return s.n > 0 && memchr(s.p, '/', s.n) == NULL && memchr(s.p, '\0', s.n) == NULL;
}

static enum uidlist_error
take_record(struct uidlist_parser *p, struct span text)
{
	struct uidlist_record r = {0};
	struct span rest = text, number;
	enum uidlist_error e;

	if (text.n == 0 || !span_cut(&rest, ' ', &number) || rest.n == 0)
		return UIDLIST_RECORD;
	if (num_u32(number, &r.uid) == -1)
		return errno == ERANGE ? UIDLIST_UID_RANGE : UIDLIST_RECORD;
	if ((e = check_uid(p, r.uid)) != UIDLIST_OK)
		return e;
	if (p->version == 3) {
		if (!take_ext(p->room, &rest, &r.ext))
			return UIDLIST_RECORD;
	} else
		while (rest.n > 0 && rest.p[0] == ' ')
			rest = span_from(rest, 1);
	if (!is_name(rest))
		return UIDLIST_NAME;
	r.name = rest;
	p->last_uid = r.uid;
	if (r.uid >= p->uidnext)
		p->uidnext = r.uid + 1;
	return p->record(p->arg, &r) == 0 ? UIDLIST_OK : UIDLIST_STOPPED;
}

enum uidlist_error
uidlist_push(struct uidlist_parser *p, struct span in)
{
	while (p->error == UIDLIST_OK && in.n > 0) {
		enum line_ev ev = line_push(&p->line, &in);
		struct span text = {p->line.buf, p->line.len};

		if (ev == LINE_MORE)
			break;
		p->lines++;
		if (ev == LINE_LONG)
			p->error = UIDLIST_LONG;
		else if (p->lines == 1)
			p->error = take_header(p, text);
		else
			p->error = take_record(p, text);
		if (p->error == UIDLIST_OK)
			p->whole += text.n + 1;
	}
	return p->error;
}

enum uidlist_error
uidlist_end(struct uidlist_parser *p, bool *torn)
{
	*torn = p->error == UIDLIST_OK && !p->line.done && p->line.len > 0;
	if (p->error == UIDLIST_OK && p->lines == 0)
		p->error = UIDLIST_HEADER;
	return p->error;
}

const char *
uidlist_strerror(enum uidlist_error e)
{
	static const char *const text[] = {
	    [UIDLIST_OK] = "no error",
	    [UIDLIST_STOPPED] = "reading was stopped",
	    [UIDLIST_HEADER] = "broken header",
	    [UIDLIST_VERSION] = "unknown version",
	    [UIDLIST_RECORD] = "line is no record",
	    [UIDLIST_ORDER] = "UIDs do not ascend",
	    [UIDLIST_UID_RANGE] = "UID out of range",
	    [UIDLIST_NAME] = "broken file name",
	    [UIDLIST_LONG] = "line too long",
	};

	return (size_t)e < ARRAY_LEN(text) ? text[e] : "unknown error";
}

bool
uidlist_ext(struct span ext, char key, struct span *value)
{
	struct span w;

	while (word(&ext, &w))
		if (w.p[0] == key) {
			*value = span_from(w, 1);
			return true;
		}
	return false;
}

/* Words that a reader will find again. */
static bool
is_words(struct span s)
{
	return s.n == 0 ||
	       (memchr(s.p, '\n', s.n) == NULL && memchr(s.p, '\0', s.n) == NULL);
}

/* In a record the first word that begins with ':' is the name. */
static bool
is_ext(struct span s)
{
	struct span w;

	if (!is_words(s))
		return false;
	while (word(&s, &w))
		if (w.p[0] == ':')
			return false;
	return true;
}

static int
invalid(void)
{
	errno = EINVAL;
	return -1;
}

int
uidlist_print_header(const struct uidlist_header *h, struct buf *out)
{
	size_t before = out->n;

	if (h->uidvalidity == 0 || h->uidnext == 0 || !is_words(h->extra))
		return invalid();
	if (buf_addf(out, "3 V%u N%u", h->uidvalidity, h->uidnext) == -1)
		goto undo;
	if (h->has_guid && buf_add(out, SPAN(" G")) == -1)
		goto undo;
	for (size_t i = 0; h->has_guid && i < sizeof h->guid; i++)
		if (buf_addf(out, "%02x", h->guid[i]) == -1)
			goto undo;
	if (h->extra.n > 0 && (buf_addc(out, ' ') == -1 || buf_add(out, h->extra) == -1))
		goto undo;
	if (buf_addc(out, '\n') == 0)
		return 0;
undo:
	out->n = before;
	return -1;
}

int
uidlist_print_record(const struct uidlist_record *r, struct buf *out)
{
	size_t before = out->n;

	if (r->uid == 0 || r->uid == UINT32_MAX || !is_ext(r->ext) || !is_name(r->name) ||
	    memchr(r->name.p, '\n', r->name.n) != NULL)
		return invalid();
	if (buf_addf(out, "%u ", r->uid) == -1)
		goto undo;
	if (r->ext.n > 0 && (buf_add(out, r->ext) == -1 || buf_addc(out, ' ') == -1))
		goto undo;
	if (buf_addc(out, ':') == 0 && buf_add(out, r->name) == 0 &&
	    buf_addc(out, '\n') == 0)
		return 0;
undo:
	out->n = before;
	return -1;
}
