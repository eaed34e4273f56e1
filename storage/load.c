/*
 * load: the first sync of a mailbox. What the driver found in the store is joined with
 * what the index file remembers of it (sizes, modseqs), laid out anew, and written.
 */
#include <stdlib.h>
#include <time.h>

#include "storage/base/hash.h"
#include "storage/base/log.h"
#include "storage/box_private.h"
#include "storage/grow.h"

/* ---- what the index file knows -------------------------------------------------------------- */

void
box_expect(struct box *b, uint32_t uidvalidity, const uint8_t guid[16])
{
	const struct mt_header *h = &b->in->old.head;

	if (h->uidvalidity != uidvalidity || memcmp(h->guid, guid, sizeof h->guid) != 0)
		indexfile_free(&b->in->old);
}

bool
box_known(const struct box *b, uint32_t uid, uint32_t name_hash)
{
	const struct mt_record *r = indexfile_find(&b->in->old, uid);

	return r != NULL && r->name_hash == name_hash;
}

bool
box_told_uid(const struct box *b, uint32_t uid)
{
	const struct index_image *old = &b->in->old;

	return (old->whole && uid < old->head.uidnext) || indexfile_find(old, uid) != NULL;
}

uint32_t
box_known_uidnext(const struct box *b, uint32_t uidvalidity)
{
	const struct mt_header *h = &b->in->old.head;

	return h->uidvalidity == uidvalidity ? h->uidnext : 0;
}

/* ---- joining ---------------------------------------------------------------------------------- */

/* What the joining goes by. */
struct join {
	uint64_t modseq; /* of what is not as the old index has it */
	bool believe;	 /* its modseqs are those that were told last */
	uint32_t renamed; /* keywords whose numbers stood for others there */
};

/* Take from the old index what it knows of the message; false when it knows it as it is. */
static bool
merge(struct mt_record *r, const struct mt_record *old, const struct join *j)
{
	const uint16_t listed = MT_RECENT | MT_UIDL;

	r->wire_off = r->wire_size > 0 ? 0 : MT_OFF_UNKNOWN; /* known; laid out below */
	if (old == NULL || old->name_hash != r->name_hash) {
		r->modseq = j->modseq;
		return true;
	}
	if (r->date == INT64_MIN) {
		r->date = old->date;
		r->save_date = old->save_date;
	}
	r->modseq = old->modseq;
	if (old->wire_off != MT_OFF_UNKNOWN && r->wire_size == 0) {
		r->wire_size = old->wire_size;
		r->header_size = old->header_size;
		r->added = old->added;
		r->bits |= old->bits & (MT_DOT | MT_NUL | MT_8BIT);
		r->wire_off = 0;
	}
	if (j->believe && !(r->keywords & j->renamed) && r->flags == old->flags &&
	    r->keywords == old->keywords && r->date == old->date &&
	    ((r->bits ^ old->bits) & listed) == 0)
		return false;
	r->modseq = j->modseq;
	return true;
}

/* Give the sized rows their places in `wire`, and count what the header counts. */
static int
lay_out(struct box *b)
{
	struct box_private *in = b->in;
	struct mt_header *h = &b->head;

	h->nmessage = h->nrecord;
	h->nunseen = h->nunsized = h->wire_size = 0;
	for (uint32_t row = 0; row < h->nrecord; row++) {
		struct mt_record *r = &b->rec[row];

		h->nunseen += !(r->flags & MT_SEEN);
		if (r->wire_off == MT_OFF_UNKNOWN)
			h->nunsized++;
		else {
			if (GROW(in->by_wire, in->nwire, in->wire_cap) == -1)
				return -1;
			in->by_wire[in->nwire++] = row;
			r->wire_off = h->wire_size;
			h->wire_size += r->wire_size;
		}
		indexfile_seal_record(r);
	}
	return 0;
}

/* Messages that the old index knew and the store no longer has: for who asks later. */
static bool
log_vanished(struct box *b, const struct mt_record *list, size_t n, uint64_t modseq)
{
	const struct index_image *old = &b->in->old;
	bool any = false;
	size_t j = 0;

	for (size_t i = 0; i < old->n; i++) {
		while (j < n && list[j].uid < old->rec[i].uid)
			j++;
		if (j < n && list[j].uid == old->rec[i].uid)
			continue;
		any = true;
		vanished_add(&b->in->vanished,
			     &(struct vanished_row){.modseq = modseq, .uid = old->rec[i].uid}, 1);
	}
	return any;
}

/* What vanished before is known only together with an index that misses nothing. */
static void
open_vanished(struct box *b, bool doubt)
{
	struct box_private *in = b->in;

	vanished_close(&in->vanished);
	if (!doubt)
		(void)vanished_open(&in->vanished, in->dir, &b->head, in->old.head.nvanished);
}

/* Where it is not known, history begins now. */
static void
begin_vanished(struct box *b)
{
	struct box_private *in = b->in;

	if (in->vanished.fd == -1 &&
	    vanished_begin(&in->vanished, in->dir, &b->head, b->head.modseq) == -1)
		log_warn("%s: %s: cannot note what vanishes: %m", b->store->name, b->path);
	b->head.nvanished = vanished_count(&in->vanished);
}

static uint32_t
renamed_keywords(const struct mt_header *old, const struct mt_header *now)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < MT_NKEYWORD; i++)
		if (old->keyword[i][0] != '\0' &&
		    memcmp(old->keyword[i], now->keyword[i], sizeof now->keyword[i]) != 0)
			mask |= 1u << i;
	return mask;
}

/* Never one that a kernel may still have pages of, though the old index is lost. */
static uint32_t
next_generation(const struct mt_header *old)
{
	struct hash_key key;

	if (old->generation != 0)
		return old->generation + 1;
	hash_random(&key);
	return (uint32_t)key.k0;
}

static void
header_from(struct box *b, const struct mt_header *given, size_t n)
{
	const struct mt_header *old = &b->in->old.head;
	struct mt_header *h = &b->head;

	*h = (struct mt_header){.magic = MT_MAGIC};
	h->version = MT_ABI_VERSION;
	h->header_size = MT_HEADER_SIZE;
	h->record_size = sizeof(struct mt_record);
	h->number = b->number;
	h->uidvalidity = given->uidvalidity;
	h->uidnext = given->uidnext > old->uidnext ? given->uidnext : old->uidnext;
	memcpy(h->guid, given->guid, sizeof h->guid);
	h->nkeyword = given->nkeyword;
	memcpy(h->keyword, given->keyword, sizeof h->keyword);
	h->nrecord = n;
	h->generation = next_generation(old); /* rows and offsets moved */
	memcpy(h->epoch, b->store->env->epoch, sizeof h->epoch);
	h->modseq = old->modseq;
	h->changed = old->changed;
}

static void
write_index(struct box *b)
{
	struct box_private *in = b->in;

	indexfile_seal_header(&b->head);
	if (in->small) {
		vanished_give_up(&in->vanished);
		indexfile_forget(in->dir);
		return;
	}
	in->index_fd = indexfile_create(in->dir, &b->head, b->rec, b->head.nrecord);
	if (in->index_fd == -1) {
		log_warn("%s: %s: cannot write its index: %m", b->store->name, b->path);
		indexfile_forget(in->dir); /* falls behind from now on */
	}
}

int
box_load(struct box *b, const struct mt_header *given, const struct mt_record *list, size_t n)
{
	struct box_private *in = b->in;
	struct index_image *old = &in->old;
	struct mt_record *rec;
	struct join join;
	unsigned depth;
	bool changed, doubt;
	size_t j = 0;
	int rc;

	box_expect(b, given->uidvalidity, given->guid);
	if ((rec = reallocarray(NULL, n + 1, sizeof *rec)) == NULL)
		return -1;
	depth = cred_suspend(b->store); /* the index is the daemon's, whoever runs this */
	pthread_rwlock_wrlock(&b->lock);
	free(b->rec);
	b->rec = rec;
	in->rec_cap = n + 1;
	header_from(b, given, n);
	join = (struct join){
		.modseq = box_next_modseq(old->head.modseq),
		.believe = memcmp(old->head.epoch, b->head.epoch, sizeof b->head.epoch) == 0,
		.renamed = renamed_keywords(&old->head, given),
	};
	in->small = b->store->driver->small != NULL && b->store->driver->small(b);
	doubt = !join.believe || !old->whole;
	open_vanished(b, doubt);
	changed = doubt | log_vanished(b, list, n, join.modseq) ||
		  memcmp(old->head.keyword, given->keyword, sizeof given->keyword) != 0;
	for (size_t i = 0; i < n; i++) {
		while (j < old->n && old->rec[j].uid < list[i].uid)
			j++;
		rec[i] = list[i];
		changed |= merge(&rec[i],
				 j < old->n && old->rec[j].uid == list[i].uid ? &old->rec[j] : NULL,
				 &join);
	}
	if (changed) {
		b->head.modseq = join.modseq;
		b->head.changed = time(NULL);
	}
	if (!in->small)
		begin_vanished(b);
	in->nwire = 0;
	if ((rc = lay_out(b)) == 0)
		write_index(b);
	pthread_rwlock_unlock(&b->lock);
	cred_resume(b->store, depth);
	indexfile_free(old);
	return rc;
}
