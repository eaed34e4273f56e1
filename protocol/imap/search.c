/*
 * SEARCH (RFC 9051 section 6.4.4). What is known without opening a message is asked first;
 * the octets of those that are still undecided are streamed, the header before the rest,
 * and no further than needed. Of a message nothing but a window is in memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "protocol/imap/imap.h"
#include "protocol/imap/searchkey.h"
#include "storage/mime/date.h"
#include "storage/mime/fold.h"
#include "storage/mime/text.h"

enum {
	BLOCK = 512,      /* messages whose records are read together */
	ROOM = 4096,      /* of folded text */
	DATE_MAX = 200,   /* octets of a Date field that are looked at */
	REPLY_MAX = 8192, /* octets of an answer that wait */
};

/* What a content key knows of the message that is being read. */
struct content {
	struct search_leaf *leaf;
	enum search_value value;
	bool here; /* the text that goes by now is for it */
};

struct run {
	struct imap *im;
	struct mailbox *mb;
	struct search s;
	struct numset hits; /* indexes into mb->m, from 1: message numbers */

	size_t i;                    /* the message that is looked at: mb->m[i] */
	const struct mt_record *rec; /* its record, once `upto` allows to look at it */
	enum search_cost upto; /* keys that are dearer are not to be answered yet */

	/* content */
	struct text *text;
	struct content *content; /* by leaf; leaf NULL: not one of these */
	bool news;            /* some content key was answered since it was cleared */
	bool wants_sent;      /* there is a key about the Date field, */
	bool sent, sent_done; /* which is going by; was seen */
	struct fold fold;
	size_t ndate;
	char date[DATE_MAX];
	bool nomem;
};

/* ---- keys that need no content ------------------------------------------------------------------ */

static enum search_value
yes(bool is)
{
	return is ? VALUE_YES : VALUE_NO;
}

static enum search_value
within(const struct search_leaf *l, int64_t v)
{
	return yes(v >= l->from && v <= l->to);
}

/* Names are without case (RFC 9051 section 2.3.2), and few. */
static bool
has_keyword(const struct run *r, const struct message *m, struct span name)
{
	const struct mt_header *h = &r->mb->head;

	for (size_t i = 0; i < h->nkeyword && i < MT_NKEYWORD; i++)
		if (m->keywords & 1U << i &&
		    span_caseeq(name,
		                (struct span){h->keyword[i],
		                              strnlen(h->keyword[i], MT_KEYWORD_MAX)}))
			return true;
	return false;
}

static enum search_value
ask_message(const struct run *r, const struct search_leaf *l)
{
	const struct message *m = &r->mb->m[r->i];

	switch (l->key) {
	case KEY_NUMBERS:
		return yes(numset_has(&l->set, (uint32_t)r->i + 1));
	case KEY_UIDS:
		return yes(numset_has(&l->set, m->uid));
	case KEY_SAVED:
		return yes(numset_has(&r->im->saved, m->uid));
	case KEY_FLAG:
		return yes(m->flags & l->number);
	case KEY_KEYWORD:
		return yes(has_keyword(r, m, l->text));
	case KEY_RECENT:
		return yes(m->recent);
	case KEY_MODSEQ:
		return yes(m->modseq >= l->number);
	default:
		return VALUE_YES;
	}
}

static enum search_value
ask_record(const struct mt_record *rec, const struct search_leaf *l)
{
	switch (l->key) {
	case KEY_DATE:
		return within(l, date_day_of(rec->date, 0));
	case KEY_MOMENT:
		return within(l, rec->date);
	case KEY_SAVED_DATE: /* what nobody knows lies within no time */
		return rec->save_date == 0 ? VALUE_NO
		                           : within(l, date_day_of(rec->save_date, 0));
	default:
		return rec->wire_off == MT_OFF_UNKNOWN
		           ? VALUE_NO
		           : within(l, (int64_t)rec->wire_size);
	}
}

static enum search_value
ask(void *arg, size_t leaf)
{
	const struct run *r = arg;
	const struct search_leaf *l = &r->s.leaf[leaf];

	if (l->cost >= COST_HEADER)
		return r->content[leaf].value;
	if (l->cost > r->upto)
		return VALUE_UNKNOWN;
	return l->cost <= COST_MESSAGE ? ask_message(r, l) : ask_record(r->rec, l);
}

/* ---- content: what goes by ------------------------------------------------------------------------ */

static void
answer(struct run *r, struct content *c, enum search_value v)
{
	c->value = v;
	c->here = false;
	r->news = true;
}

/* A text begins for that key. */
static void
listen(struct run *r, struct content *c)
{
	match_begin(&c->leaf->match);
	c->here = true;
	if (c->leaf->match.found)
		answer(r, c, VALUE_YES);
}

static void
hear(struct run *r, struct span folded)
{
	for (size_t i = 0; i < r->s.nleaf; i++) {
		struct content *c = &r->content[i];

		if (c->here && match_push(&c->leaf->match, folded))
			answer(r, c, VALUE_YES);
	}
}

static void
hear_text(struct run *r, struct span utf8)
{
	char room[ROOM];
	size_t n;

	do {
		n = fold_push(&r->fold, &utf8, room, sizeof room);
		hear(r, (struct span){room, n});
	} while (n == sizeof room);
}

static void
hear_end(struct run *r)
{
	char room[16];

	hear(r, (struct span){room, fold_end(&r->fold, room, sizeof room)});
}

/* Keys of that kind that are not answered yet begin to listen; false: there is none. */
static bool
listen_all(struct run *r, enum search_key key, struct span field)
{
	bool any = false;

	for (size_t i = 0; i < r->s.nleaf; i++) {
		struct content *c = &r->content[i];

		if (c->leaf == NULL || c->leaf->key != key ||
		    c->value != VALUE_UNKNOWN ||
		    (key == KEY_HEADER && !span_caseeq(field, c->leaf->text)))
			continue;
		listen(r, c);
		any |= c->here;
	}
	return any;
}

static void
silence(struct run *r)
{
	for (size_t i = 0; i < r->s.nleaf; i++)
		r->content[i].here = false;
}

/* TEXT hears `Name: value`, HEADER the value alone. */
static bool
on_field(void *arg, enum text_place place, struct span name)
{
	struct run *r = arg;
	bool wanted;

	silence(r);
	r->fold = (struct fold){0};
	if ((wanted = listen_all(r, KEY_TEXT, name)) && name.n > 0) {
		hear_text(r, name);
		hear_text(r, SPAN(": "));
	}
	if (place != TEXT_TOP)
		return wanted;
	wanted |= listen_all(r, KEY_HEADER, name);
	if (r->wants_sent && !r->sent_done && span_caseeq(name, SPAN("Date"))) {
		r->sent = r->sent_done = wanted = true;
		r->ndate = 0;
	}
	return wanted;
}

static void
on_value(void *arg, struct span utf8)
{
	struct run *r = arg;
	size_t n = sizeof r->date - r->ndate;

	hear_text(r, utf8);
	if (r->sent) {
		n = n < utf8.n ? n : utf8.n;
		memcpy(r->date + r->ndate, utf8.p, n);
		r->ndate += n;
	}
}

/* Without a date that can be read it is 1-Jan-1970, as with Dovecot. */
static void
answer_sent(struct run *r)
{
	struct date d;

	if (!r->sent || !date_header((struct span){r->date, r->ndate}, &d))
		d.day = 0;
	r->sent = false;
	for (size_t i = 0; i < r->s.nleaf; i++) {
		struct content *c = &r->content[i];

		if (c->leaf != NULL && c->leaf->key == KEY_SENT)
			answer(r, c, within(c->leaf, d.day));
	}
}

static void
on_field_end(void *arg)
{
	struct run *r = arg;

	hear_end(r);
	silence(r);
	if (r->sent)
		answer_sent(r);
}

static bool
on_body(void *arg)
{
	struct run *r = arg;
	bool text, body;

	silence(r);
	r->fold = (struct fold){0};
	text = listen_all(r, KEY_TEXT, SPAN(""));
	body = listen_all(r, KEY_BODY, SPAN(""));
	return text || body;
}

static void
on_text(void *arg, struct span utf8)
{
	hear_text(arg, utf8);
}

static void
on_body_end(void *arg)
{
	hear_end(arg);
	silence(arg);
}

/* ---- content: one message ------------------------------------------------------------------------- */

static void
begin_content(struct run *r)
{
	for (size_t i = 0; i < r->s.nleaf; i++) {
		struct content *c = &r->content[i];

		if (c->leaf == NULL)
			continue;
		c->value = VALUE_UNKNOWN;
		c->here = false;
		/* an empty needle is in whatever message, but a field must be there */
		if (c->leaf->match.needle.n == 0 &&
		    (c->leaf->key == KEY_TEXT || c->leaf->key == KEY_BODY))
			c->value = VALUE_YES;
	}
	r->sent = r->sent_done = false;
}

/* Nothing more comes that could answer keys up to that cost; `reached`: as it ends there,
 * and not because the message cannot be read. */
static void
end_content(struct run *r, enum search_cost cost, bool reached)
{
	if (reached && r->wants_sent && !r->sent_done) {
		r->sent_done = true;
		answer_sent(r);
	}
	for (size_t i = 0; i < r->s.nleaf; i++) {
		struct content *c = &r->content[i];

		if (c->leaf != NULL && c->leaf->cost <= cost &&
		    c->value == VALUE_UNKNOWN)
			answer(r, c, VALUE_NO);
	}
}

static enum search_value
decide(struct run *r)
{
	r->news = false;
	return search_run(&r->s, ask, r);
}

static int
push(struct run *r, struct span octets)
{
	if (text_push(r->text, octets) == 0)
		return 0;
	r->nomem = true;
	return -1;
}

/*
 * The octets of the message until it is decided. Pieces are no longer than that asking now
 * and then pays. -1: what was read is all that can be had.
 */
static int
stream(struct run *r, enum search_value *v)
{
	uint64_t header = r->rec->header_size, off = 0;
	struct span in;
	int rc;

	while ((rc = reader_next(&r->mb->reader, &in)) == 1)
		while (in.n > 0) {
			size_t n = in.n < 4 * ROOM ? in.n : 4 * ROOM;

			if (off < header && header - off < n)
				n = (size_t)(header - off);
			if (push(r, (struct span){in.p, n}) == -1)
				return -1;
			in = span_from(in, n);
			off += n;
			if (off == header && header < r->rec->wire_size)
				end_content(r, COST_HEADER, true);
			if (r->news && (*v = decide(r)) != VALUE_UNKNOWN)
				return 0;
		}
	return rc;
}

static int
begin_reading(struct run *r)
{
	struct reader_message m = mailbox_for_reader(r->rec);

	if (r->rec->wire_off == MT_OFF_UNKNOWN || r->rec->bits & MT_LOST)
		return -1;
	return reader_begin(&r->mb->reader, &m);
}

/* What cannot be read holds nothing that is looked for. */
static enum search_value
look_inside(struct run *r)
{
	enum search_value v = VALUE_UNKNOWN;
	bool whole = false;

	text_begin(r->text);
	if (begin_reading(r) == 0 && stream(r, &v) == 0) {
		if (v != VALUE_UNKNOWN)
			return v;
		whole = true;
		r->nomem |= text_end(r->text) == -1;
	}
	end_content(r, COST_BODY, whole);
	return decide(r);
}

/* ---- many messages --------------------------------------------------------------------------------- */

struct block {
	size_t first, n;
	uint8_t v[BLOCK]; /* enum search_value */
	struct mt_record rec[BLOCK];
};

/* Have those of them counted whose sizes nobody knows yet. What is gone stays unknown. */
static int
size_block(struct run *r, struct block *b)
{
	struct numset unsized = {0};
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < b->n; k++)
		if (b->v[k] == VALUE_UNKNOWN && b->rec[k].wire_off == MT_OFF_UNKNOWN)
			rc = numset_add(&unsized, b->rec[k].uid, b->rec[k].uid);
	if (rc == 0 && unsized.n > 0 &&
	    (view_sizes(&r->mb->view, &unsized) == -1 ||
	     mailbox_records(r->mb, b->first, b->rec, b->n) == -1))
		rc = -1;
	numset_free(&unsized);
	return rc;
}

/* What keys of that cost are answered from. */
static int
prepare(struct run *r, struct block *b)
{
	if (r->upto == COST_RECORD)
		return mailbox_records(r->mb, b->first, b->rec, b->n);
	return r->upto == COST_SIZE ? size_block(r, b) : 0;
}

/* Step by step dearer, as long as anything is undecided. */
static int
run_block(struct run *r, struct block *b)
{
	memset(b->v, VALUE_UNKNOWN, b->n);
	for (r->upto = COST_MESSAGE; r->upto <= COST_HEADER; r->upto++) {
		if (memchr(b->v, VALUE_UNKNOWN, b->n) == NULL)
			break;
		if (prepare(r, b) == -1)
			return -1;
		for (size_t k = 0; k < b->n; k++) {
			if (b->v[k] != VALUE_UNKNOWN)
				continue;
			r->i = b->first + k;
			r->rec = &b->rec[k];
			begin_content(r);
			b->v[k] = (uint8_t)(r->upto < COST_HEADER ? decide(r)
			                                          : look_inside(r));
		}
	}
	errno = ENOMEM;
	return r->nomem ? -1 : 0;
}

/* One that is asked for the lowest number alone need not look further. */
static bool
is_enough(const struct run *r)
{
	return r->hits.n > 0 && (r->s.returns & ~(unsigned)RETURN_SAVE) == RETURN_MIN;
}

static int
run_all(struct run *r, struct block *b)
{
	size_t end = r->mb->ntold;

	for (b->first = 0; b->first < end && !is_enough(r); b->first += b->n) {
		b->n = end - b->first < BLOCK ? end - b->first : BLOCK;
		if (run_block(r, b) == -1)
			return -1;
		for (size_t k = 0; k < b->n; k++) {
			uint32_t number = (uint32_t)(b->first + k + 1);

			if (b->v[k] == VALUE_YES &&
			    numset_add(&r->hits, number, number) == -1)
				return -1;
		}
	}
	return 0;
}

/* ---- life ----------------------------------------------------------------------------------------------- */

static int
open_run(struct run *r)
{
	const struct text_sink sink = {r,       on_field, on_value,   on_field_end,
	                               on_body, on_text,  on_body_end};

	r->content = arena_alloc(&r->im->arena, (r->s.nleaf + 1) * sizeof *r->content);
	if (r->content == NULL)
		return -1;
	for (size_t i = 0; i < r->s.nleaf; i++)
		if (r->s.leaf[i].cost >= COST_HEADER) {
			r->content[i].leaf = &r->s.leaf[i];
			r->wants_sent |= r->s.leaf[i].key == KEY_SENT;
		}
	if (r->s.cost < COST_HEADER)
		return 0;
	if ((r->text = text_new(&sink)) == NULL)
		return -1;
	return out_flush(r->im->out); /* it may point into what is read over now */
}

static void
close_run(struct run *r)
{
	text_free(r->text);
	numset_free(&r->hits);
	search_free(&r->s);
}

/* ---- replies --------------------------------------------------------------------------------------------- */

static uint32_t
lowest(const struct run *r)
{
	return r->hits.r[0].lo;
}

static uint32_t
highest(const struct run *r)
{
	return r->hits.r[r->hits.n - 1].hi;
}

/* How the client calls the message of that number. */
static uint32_t
name_of(const struct run *r, uint32_t number)
{
	return r->im->cmd->uid ? r->mb->m[number - 1].uid : number;
}

static uint64_t
modseq_of(const struct run *r, uint32_t number)
{
	return r->mb->m[number - 1].modseq;
}

/* Do the options name the ends of what was found, and nothing else of it? */
static bool
only_ends(const struct run *r)
{
	return r->s.returns & (RETURN_MIN | RETURN_MAX) &&
	       !(r->s.returns & (RETURN_ALL | RETURN_COUNT));
}

/* The highest of the messages that are returned (RFC 4731 section 3.2). */
static uint64_t
highest_modseq(const struct run *r)
{
	uint64_t best = 0;

	if (only_ends(r)) {
		if (r->s.returns & RETURN_MIN)
			best = modseq_of(r, lowest(r));
		if (r->s.returns & RETURN_MAX && modseq_of(r, highest(r)) > best)
			best = modseq_of(r, highest(r));
		return best;
	}
	for (size_t i = 0; i < r->hits.n; i++)
		for (uint32_t n = r->hits.r[i].lo; n <= r->hits.r[i].hi; n++)
			if (modseq_of(r, n) > best)
				best = modseq_of(r, n);
	return best;
}

/* The found messages' UIDs: all, or the ends alone. */
static int
uids_of(const struct run *r, bool ends, struct numset *uids)
{
	for (size_t i = 0; i < r->hits.n; i++)
		for (uint32_t n = r->hits.r[i].lo; n <= r->hits.r[i].hi; n++) {
			uint32_t uid = r->mb->m[n - 1].uid;

			if (ends && !(r->s.returns & RETURN_MIN && n == lowest(r)) &&
			    !(r->s.returns & RETURN_MAX && n == highest(r)))
				continue;
			if (numset_add(uids, uid, uid) == -1)
				return -1;
		}
	return 0;
}

/* `$` (RFC 9051 section 6.4.4.1). */
static int
save(struct run *r)
{
	struct numset uids = {0};

	if (!(r->s.returns & RETURN_SAVE))
		return 0;
	if (uids_of(r, only_ends(r), &uids) == -1) {
		numset_free(&uids);
		return -1;
	}
	numset_free(&r->im->saved);
	r->im->saved = uids;
	return 0;
}

static int
send(struct run *r, struct buf *b)
{
	int rc = out_copy(r->im->out, buf_span(b));

	buf_reset(b);
	return rc;
}

/* The numbers of `* SEARCH`, a piece at a time. */
static int
send_numbers(struct run *r, struct buf *b)
{
	for (size_t i = 0; i < r->hits.n; i++)
		for (uint32_t n = r->hits.r[i].lo; n <= r->hits.r[i].hi; n++)
			if (buf_addf(b, " %" PRIu32, name_of(r, n)) == -1 ||
			    (b->n >= REPLY_MAX && send(r, b) == -1))
				return -1;
	return 0;
}

static int
reply_plain(struct run *r, struct buf *b)
{
	if (buf_add(b, SPAN("* SEARCH")) == -1 || send_numbers(r, b) == -1)
		return -1;
	if (r->s.modseq && r->hits.n > 0 &&
	    buf_addf(b, " (MODSEQ %" PRIu64 ")", highest_modseq(r)) == -1)
		return -1;
	return buf_add(b, SPAN("\r\n")) == -1 ? -1 : send(r, b);
}

static int
add_all(struct run *r, struct buf *b)
{
	struct numset uids = {0};
	int rc;

	if (buf_add(b, SPAN(" ALL ")) == -1)
		return -1;
	if (!r->im->cmd->uid)
		return numset_print(&r->hits, b);
	if ((rc = uids_of(r, false, &uids)) == 0)
		rc = numset_print(&uids, b);
	numset_free(&uids);
	return rc;
}

/* What was found, as far as it was asked for. */
static int
add_found(struct run *r, struct buf *b)
{
	unsigned returns = r->s.returns;

	if (returns & RETURN_MIN &&
	    buf_addf(b, " MIN %" PRIu32, name_of(r, lowest(r))) == -1)
		return -1;
	if (returns & RETURN_MAX &&
	    buf_addf(b, " MAX %" PRIu32, name_of(r, highest(r))) == -1)
		return -1;
	if (returns & RETURN_ALL && add_all(r, b) == -1)
		return -1;
	return 0;
}

static int
reply_extended(struct run *r, struct buf *b)
{
	struct span tag = r->im->cmd->tag;
	bool any = r->hits.n > 0;

	if (r->s.returns == RETURN_SAVE)
		return 0;
	if (buf_addf(b, "* ESEARCH (TAG \"%.*s\")%s", (int)tag.n, tag.p,
	             r->im->cmd->uid ? " UID" : "") == -1 ||
	    (any && add_found(r, b) == -1))
		return -1;
	if (r->s.returns & RETURN_COUNT &&
	    buf_addf(b, " COUNT %" PRIu64, numset_count(&r->hits)) == -1)
		return -1;
	if (r->s.modseq && any &&
	    buf_addf(b, " MODSEQ %" PRIu64, highest_modseq(r)) == -1)
		return -1;
	return buf_add(b, SPAN("\r\n")) == -1 ? -1 : send(r, b);
}

static int
reply(struct run *r)
{
	struct buf b = {0};
	int rc;

	if (!r->s.extended && r->im->enabled & EN_REV2) {
		r->s.extended = true;
		r->s.returns = RETURN_ALL;
	}
	rc = r->s.extended ? reply_extended(r, &b) : reply_plain(r, &b);
	buf_free(&b);
	return rc;
}

/* ---- the command ------------------------------------------------------------------------------------------ */

/* NO: what was saved before is no answer to this search. */
static int
search_failed(struct run *r)
{
	if (r->s.returns & RETURN_SAVE)
		numset_free(&r->im->saved);
	return imap_failed(r->im, "SEARCH");
}

static int
parse(struct run *r, const struct arg *args, const char **why)
{
	const struct mailbox *mb = r->mb;
	const struct search_scope scope = {
	    .last_number = (uint32_t)mb->ntold,
	    .last_uid = mb->ntold > 0 ? mb->m[mb->ntold - 1].uid : 0,
	    .now = time(NULL),
	    .ranges_max = IMAP_RANGES_MAX,
	    .utf8 = r->im->enabled & EN_UTF8,
	};

	return (int)search_parse(args, &scope, &r->im->arena, &r->s, why);
}

static int
search(struct run *r)
{
	struct block *b = malloc(sizeof *b);
	int rc = -1;

	if (b != NULL && open_run(r) == 0 && run_all(r, b) == 0)
		rc = save(r);
	free(b);
	if (rc == -1)
		return search_failed(r);
	if (reply(r) == -1)
		return -1;
	return imap_ok(r->im, NULL, "SEARCH completed.");
}

int
cmd_search(struct imap *im, const struct arg *args)
{
	struct run r = {.im = im, .mb = im->box};
	const char *why = NULL;
	int rc;

	switch (parse(&r, args, &why)) {
	case SEARCH_OK:
		rc = r.s.modseq ? imap_enable(im, EN_CONDSTORE) : 0;
		if (rc == 0)
			rc = search(&r);
		break;
	case SEARCH_BAD:
		rc = imap_bad(im, "%s", why);
		break;
	case SEARCH_BADCHARSET:
		if (r.s.returns & RETURN_SAVE)
			numset_free(&im->saved);
		rc = imap_no(im, "BADCHARSET (UTF-8 US-ASCII)", "%s", why);
		break;
	default:
		rc = search_failed(&r);
		break;
	}
	close_run(&r);
	return rc;
}
