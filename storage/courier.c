#include "storage/courier.h"

#include <stdio.h>

#include "storage/base/num.h"
#include "storage/mdname.h"

#define UIDL_MAX 70 /* RFC 1939 section 7 */

void
courier_begin(struct courier_parser *p)
{
	p->error = COURIER_OK;
	p->lines = p->bad = p->bad_line = 0;
	p->head = (struct courier_header){0};
	p->line = (struct line){.buf = p->room, .cap = sizeof p->room};
}

static enum courier_error
say_header(struct courier_parser *p)
{
	return p->header(p->arg, &p->head) == 0 ? COURIER_OK : COURIER_STOPPED;
}

/* `1 UIDVALIDITY NEXTUID` */
static bool
uiddb_header(struct span text, struct courier_header *h)
{
	struct span version, uidv, next;

	h->version = 1;
	return span_word(&text, &version) && span_eq(version, SPAN("1")) &&
	       span_word(&text, &uidv) && num_u32(uidv, &h->uidvalidity) == 0 &&
	       span_word(&text, &next) && num_u32(next, &h->uidnext) == 0 &&
	       h->uidvalidity != 0 && h->uidnext != 0;
}

/* `/3 NEXTUID UIDVALIDITY`, `/2` likewise, `/1 NEXTUID` */
static bool
sizelist_header(struct span text, struct courier_header *h)
{
	struct span word;

	if (!span_word(&text, &word) || num_u32(span_from(word, 1), &h->version) == -1 ||
	    h->version < 1 || h->version > 3)
		return false;
	if (!span_word(&text, &word) || num_u32(word, &h->uidnext) == -1)
		return false;
	return h->version == 1 ||
	       (span_word(&text, &word) && num_u32(word, &h->uidvalidity) == 0);
}

/* Take the last word and the blank before it off *text. */
static bool
last_word(struct span *text, struct span *word)
{
	size_t at = text->n;

	while (at > 0 && text->p[at - 1] != ' ')
		at--;
	if (at == 0)
		return false;
	*word = span_from(*text, at);
	text->n = at - 1;
	return true;
}

/* `UID:UIDVALIDITY:ISUTF8`, the last of them not in version 2; version 1 `UID`. */
static bool
take_ids(unsigned version, struct span text, struct courier_record *r)
{
	struct span part;

	if (!span_cut(&text, ':', &part) || num_u32(part, &r->uid) == -1)
		return false;
	if (version == 1)
		return text.n == 0;
	return span_cut(&text, ':', &part) && num_u32(part, &r->uidvalidity) == 0;
}

static void
add_octet(char c, char *out, size_t *n)
{
	if ((unsigned char)c < 0x21 || (unsigned char)c > 0x7e || strchr("'\"+", c) != NULL)
		*n += (size_t)snprintf(out + *n, 4, "+%02X", (unsigned char)c);
	else
		out[(*n)++] = c;
}

/* What its UIDL command answered for this record. */
static struct span
make_uidl(const struct courier_record *r, char out[static UIDL_MAX + 4])
{
	size_t n = 0;

	if (r->uid != 0 && r->uidvalidity != 0)
		n = (size_t)snprintf(out, UIDL_MAX, "UID%u-%u", r->uid, r->uidvalidity);
	else if (r->uid != 0)
		n = (size_t)snprintf(out, UIDL_MAX, "UID%u", r->uid);
	else
		for (size_t i = 0; i < r->base.n && n <= UIDL_MAX; i++)
			add_octet(r->base.p[i], out, &n);
	return (struct span){out, n <= UIDL_MAX ? n : 0};
}

static bool
set_base(struct span name, struct courier_record *r)
{
	struct mdname m;

	mdname_parse(name, &m);
	r->base = m.base;
	return mdname_valid(name) && m.base.n > 0;
}

/* `FILE SIZE IDS`, version 0 `FILE SIZE` */
static bool
sizelist_record(unsigned version, struct span text, struct courier_record *r)
{
	struct span ids, size;
	uint64_t octets;

	if (version > 0 && (!last_word(&text, &ids) || !take_ids(version, ids, r)))
		return false;
	return last_word(&text, &size) && num_u64(size, &octets) == 0 && set_base(text, r);
}

static bool
uiddb_record(const struct courier_header *h, struct span text, struct courier_record *r)
{
	struct span uid;

	r->uidvalidity = h->uidvalidity;
	return span_cut(&text, ' ', &uid) && num_u32(uid, &r->uid) == 0 && r->uid != 0 &&
	       set_base(text, r);
}

static enum courier_error
take_record(struct courier_parser *p, struct span text)
{
	struct courier_record r = {0};
	char uidl[UIDL_MAX + 4];
	bool good;

	if (p->sizelist) {
		good = sizelist_record(p->head.version, text, &r);
		r.uidl = make_uidl(&r, uidl);
	} else
		good = uiddb_record(&p->head, text, &r);
	if (good)
		return p->record(p->arg, &r) == 0 ? COURIER_OK : COURIER_STOPPED;
	if (p->bad++ == 0)
		p->bad_line = p->lines;
	return COURIER_OK;
}

static enum courier_error
take_first(struct courier_parser *p, struct span text)
{
	enum courier_error e;

	if (p->sizelist && (text.n == 0 || text.p[0] != '/')) { /* version 0 */
		e = say_header(p);
		return e == COURIER_OK ? take_record(p, text) : e;
	}
	if (!(p->sizelist ? sizelist_header : uiddb_header)(text, &p->head))
		return COURIER_HEADER;
	return say_header(p);
}

static void
take_line(struct courier_parser *p, enum line_ev ev)
{
	struct span text = {p->line.buf, p->line.len};

	p->lines++;
	if (ev == LINE_LONG) /* a name that no file has; nothing could be right about it */
		text = SPAN("");
	p->error = p->lines == 1 ? take_first(p, text) : take_record(p, text);
}

enum courier_error
courier_push(struct courier_parser *p, struct span in)
{
	while (p->error == COURIER_OK && in.n > 0) {
		enum line_ev ev = line_push(&p->line, &in);

		if (ev != LINE_MORE)
			take_line(p, ev);
	}
	return p->error;
}

enum courier_error
courier_end(struct courier_parser *p)
{
	if (p->error == COURIER_OK && !p->line.done && p->line.len > 0)
		take_line(p, p->line.over ? LINE_LONG : LINE_READY);
	if (p->error == COURIER_OK && p->lines == 0)
		p->error = p->sizelist ? say_header(p) : COURIER_HEADER;
	return p->error;
}
