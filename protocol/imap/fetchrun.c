/*
 * FETCH: going through the messages. Records come in blocks, octets in windows, cached
 * texts in many at a time: no message costs a trip to the daemon of its own.
 */
#include <errno.h>
#include <inttypes.h>

#include "protocol/imap/bodystructure.h"
#include "protocol/imap/envelope.h"
#include "protocol/imap/fetch.h"
#include "protocol/imap/news.h"
#include "storage/base/log.h"
#include "storage/mime/date.h"

#define BLOCK        256       /* messages at a time */
#define PARSED_MAX   (8 << 20) /* memory of one message's structure */
#define NEEDS_TEXT   (FETCH_ENVELOPE | FETCH_BODY | FETCH_BODYSTRUCTURE)
#define NEEDS_RECORD (FETCH_DATE | FETCH_SIZE | FETCH_SAVEDATE | NEEDS_TEXT)

/* ---- octets -------------------------------------------------------------------------------- */

int
fetch_begin(struct fetch *f, const struct mt_record *r)
{
	struct reader *reader = &f->im->box->reader;
	struct reader_message m = mailbox_for_reader(r);

	if (r->wire_off == MT_OFF_UNKNOWN || r->bits & MT_LOST) {
		errno = ENOENT;
		return -1;
	}
	if (reader_begin_held(reader, &m))
		return 0;
	if (out_flush(f->im->out) == -1) /* it may point into what is read over now */
		return -1;
	return reader_begin(reader, &m);
}

/*
 * A message that cannot be read is left out, and the end of the command says so. What would
 * have been said of it is still `untold`. 0: the rest of the messages is not its fault.
 */
static int
lose(struct fetch *f, struct message *m, uint8_t untold, const struct mt_record *r)
{
	m->untold = untold;
	if (!f->lost)
		log_warn("%s: %s: UID %" PRIu32 " cannot be read: %s",
		         f->im->conf->name, f->im->box->path, r->uid, strerror(errno));
	f->lost = true;
	return 0;
}

const struct part *
fetch_structure(struct fetch *f, const struct mt_record *r)
{
	struct parsed *p = &f->im->box->parsed;
	struct mime *mime;
	struct span octets;
	int rc;

	if (p->uid == r->uid)
		return p->root;
	p->uid = 0;
	p->arena.max = PARSED_MAX;
	arena_reset(&p->arena);
	if (fetch_begin(f, r) == -1 || (mime = mime_init(&p->arena)) == NULL)
		return NULL;
	while ((rc = reader_next(&f->im->box->reader, &octets)) == 1)
		if (mime_push(mime, octets) == -1) {
			rc = -1;
			break;
		}
	if (rc == -1) {
		mime_free(mime);
		return NULL;
	}
	if ((p->root = mime_end(mime)) != NULL)
		p->uid = r->uid;
	return p->root;
}

/* ---- texts that are kept ----------------------------------------------------------------------- */

static int
make(struct fetch *f, const struct mt_record *r, enum blob_kind kind, struct buf *out)
{
	const struct part *root = fetch_structure(f, r);

	if (root == NULL)
		return -1;
	if (kind == BLOB_ENVELOPE)
		return envelope_print(root->envelope, out);
	return bodystructure_print(root, kind == BLOB_BODYSTRUCTURE, out);
}

static int
add_text(struct fetch *f, const struct mt_record *r, enum blob_kind kind)
{
	struct span text;
	size_t began = f->text.n;

	if (blobs_get(&f->blobs, r->uid, kind, &text))
		return buf_add(&f->text, text);
	if (make(f, r, kind, &f->text) == -1)
		return -1;
	blobs_put(&f->blobs, r->uid, kind, span_from(buf_span(&f->text), began));
	return 0;
}

/* ---- one message ---------------------------------------------------------------------------------- */

static int
add_item(struct fetch *f, const char *name)
{
	const struct buf *b = &f->text;

	return buf_addf(&f->text, "%s%s ", b->p[b->n - 1] == '(' ? "" : " ", name);
}

static int
add_date(struct fetch *f, const struct mt_record *r)
{
	char text[DATE_SIZE];

	date_print(r->date, 0, text);
	return add_item(f, "INTERNALDATE") == -1 ? -1
	                                         : buf_addf(&f->text, "\"%s\"", text);
}

static int
add_save_date(struct fetch *f, const struct mt_record *r)
{
	char text[DATE_SIZE];

	if (add_item(f, "SAVEDATE") == -1)
		return -1;
	if (r->save_date == 0)
		return buf_addf(&f->text, "NIL");
	date_print(r->save_date, 0, text);
	return buf_addf(&f->text, "\"%s\"", text);
}

static int
add_flags(struct fetch *f, struct message *m)
{
	m->untold &= UNTOLD_GONE;
	return add_item(f, "FLAGS") == -1 ? -1 : news_print_flags(f->im, m, &f->text);
}

static int
add_known(struct fetch *f, struct message *m, bool flags)
{
	unsigned items = f->items;

	if (items & FETCH_UID &&
	    (add_item(f, "UID") == -1 || buf_addf(&f->text, "%" PRIu32, m->uid) == -1))
		return -1;
	if ((items & FETCH_FLAGS || flags) && add_flags(f, m) == -1)
		return -1;
	if ((items & FETCH_MODSEQ || (flags && f->im->enabled & EN_CONDSTORE)) &&
	    (add_item(f, "MODSEQ") == -1 ||
	     buf_addf(&f->text, "(%" PRIu64 ")", m->modseq) == -1))
		return -1;
	return 0;
}

static int
add_recorded(struct fetch *f, const struct mt_record *r)
{
	unsigned items = f->items;

	if (items & FETCH_DATE && add_date(f, r) == -1)
		return -1;
	if (items & FETCH_SAVEDATE && add_save_date(f, r) == -1)
		return -1;
	if (items & FETCH_SIZE && (add_item(f, "RFC822.SIZE") == -1 ||
	                           buf_addf(&f->text, "%" PRIu64, r->wire_size) == -1))
		return -1;
	if (items & FETCH_ENVELOPE &&
	    (add_item(f, "ENVELOPE") == -1 || add_text(f, r, BLOB_ENVELOPE) == -1))
		return -1;
	if (items & FETCH_BODYSTRUCTURE && (add_item(f, "BODYSTRUCTURE") == -1 ||
	                                    add_text(f, r, BLOB_BODYSTRUCTURE) == -1))
		return -1;
	if (items & FETCH_BODY &&
	    (add_item(f, "BODY") == -1 || add_text(f, r, BLOB_BODY) == -1))
		return -1;
	return 0;
}

/* Is there anything of it that only its octets can tell? */
static bool
can_be_read(struct fetch *f, const struct mt_record *r)
{
	if (f->items & FETCH_SIZE && r->wire_off == MT_OFF_UNKNOWN)
		return false;
	return f->sections == NULL || fetch_begin(f, r) == 0;
}

static int
send_text(struct fetch *f)
{
	int rc = out_copy(f->im->out, buf_span(&f->text));

	buf_reset(&f->text);
	return rc;
}

static int
end_one(struct fetch *f)
{
	const struct buf *b = &f->text;

	/* nothing but parts in an encoding that is not known: the end of the command says so */
	if (!f->begun && b->p[b->n - 1] == '(')
		return 0;
	if (buf_addf(&f->text, ")\r\n") == 0)
		return send_text(f);
	f->im->out->broken |= f->begun;
	return -1;
}

/* `r` NULL: the record was not needed. */
static int
one(struct fetch *f, size_t i, const struct mt_record *r, bool flags)
{
	struct message *m = &f->im->box->m[i];
	uint8_t untold = m->untold;

	if (r != NULL && !can_be_read(f, r))
		return f->im->out->broken ? -1 : lose(f, m, untold, r);
	buf_reset(&f->text);
	f->begun = false;
	if (buf_addf(&f->text, "* %zu FETCH (", i + 1) == -1 ||
	    add_known(f, m, flags) == -1)
		return -1;
	if (r != NULL && add_recorded(f, r) == -1) {
		if (f->im->out->broken || errno == ENOMEM)
			return -1;
		return lose(f, m, untold, r);
	}
	for (const struct section *s = f->sections; s != NULL; s = s->next) {
		int rc = fetch_section(f, r, s);

		if (rc != 0)
			return rc == 1 ? lose(f, m, untold, r) : -1;
	}
	return end_one(f);
}

/* ---- a block of messages -------------------------------------------------------------------------------- */

static bool
wanted(const struct fetch *f, const struct message *m)
{
	return numset_has(&f->set, m->uid) &&
	       (!f->changedsince || m->modseq > f->modseq);
}

static bool
sets_seen(const struct fetch *f)
{
	for (const struct section *s = f->sections; s != NULL; s = s->next)
		if (!s->peek)
			return !f->im->box->readonly;
	return false;
}

/*
 * Set \Seen where it is missing: which of the block got it. A full disk is no reason to keep
 * somebody from reading.
 */
static void
mark_seen(struct fetch *f, size_t i, size_t n, struct numset *marked)
{
	struct mailbox *mb = f->im->box;
	int rc = 0;

	for (size_t k = i; k < i + n && rc == 0; k++)
		if (wanted(f, &mb->m[k]) && !(mb->m[k].flags & MT_SEEN))
			rc = numset_add(marked, mb->m[k].uid, mb->m[k].uid);
	if (rc == 0 && marked->n > 0)
		rc = view_flags(&mb->view, '+', SPAN("\\Seen"), marked, UINT64_MAX,
		                NULL);
	if (rc == 0)
		return;
	log_warn("%s: %s: \\Seen cannot be set: %s", f->im->conf->name, mb->path,
	         strerror(errno));
	f->unmarked = true;
	numset_free(marked);
}

static int
run_block(struct fetch *f, size_t i, size_t n)
{
	static struct mt_record rec[BLOCK];
	struct mailbox *mb = f->im->box;
	bool records = f->items & NEEDS_RECORD || f->sections != NULL;
	struct numset marked = {0};
	int rc = 0;

	if (sets_seen(f) && !f->unmarked)
		mark_seen(f, i, n, &marked);
	if (records)
		rc = mailbox_records(mb, i, rec, n);
	for (size_t k = 0; k < n && rc == 0; k++) {
		struct message *m = &mb->m[i + k];
		bool flags = marked.n > 0 && numset_has(&marked, m->uid);

		if (flags)
			mailbox_learn(mb, m, &rec[k]);
		if (wanted(f, m) || flags)
			rc = one(f, i + k, records ? &rec[k] : NULL, flags);
	}
	numset_free(&marked);
	return rc;
}

/* The sizes that this needs, counted ahead in one go. */
static int
know_sizes(struct fetch *f)
{
	struct mt_header head;

	if (f->sections == NULL && !(f->items & (FETCH_SIZE | NEEDS_TEXT)))
		return 0;
	if (view_header(&f->im->box->view, &head) == -1)
		return -1;
	/* who stays unknown is found out where it is needed */
	return head.nunsized == 0 ? 0 : view_sizes(&f->im->box->view, &f->set);
}

int
fetch_run(struct fetch *f)
{
	struct mailbox_run run = {0};
	int rc = 0;

	if (know_sizes(f) == -1)
		return -1;
	blobs_open(&f->blobs, &f->im->box->view);
	while (rc == 0 && mailbox_next_run(f->im->box, &f->set, BLOCK, &run))
		rc = run_block(f, run.i, run.n);
	blobs_close(&f->blobs);
	/* what `out` points at is the reader's */
	if (out_flush(f->im->out) == -1)
		rc = -1;
	buf_free(&f->text);
	arena_free(&f->ranges);
	return rc;
}
