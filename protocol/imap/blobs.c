#include "protocol/imap/blobs.h"

#include <stdlib.h>

#define IN_MAX  (256 * 1024)
#define OUT_MAX (128 * 1024)

void
blobs_open(struct blobs *b, struct view *v)
{
	*b = (struct blobs){.view = v, .out.max = OUT_MAX};
}

static size_t
whole(const struct mt_blob *h)
{
	return sizeof *h + (((size_t)h->size + 7) & ~(size_t)7);
}

/* Read from that UID on. Of the last one that was read some may be missing. */
static void
fill(struct blobs *b, uint32_t uid)
{
	struct mt_blob h = {0};
	ssize_t n;

	b->nin = b->at = 0;
	b->lo = b->hi = 0;
	if (b->in == NULL && (b->in = malloc(IN_MAX)) == NULL)
		return;
	if ((n = view_cache_read(b->view, uid, b->in, IN_MAX)) < 0)
		return;
	b->nin = (size_t)n;
	b->lo = uid;
	b->hi = UINT64_MAX;
	if (b->nin + sizeof h + MT_BLOB_MAX <= IN_MAX)
		return; /* another one would have found room: there is none */
	for (size_t at = 0; at < b->nin; at += whole(&h))
		memcpy(&h, b->in + at, sizeof h);
	b->hi = h.uid;
}

bool
blobs_get(struct blobs *b, uint32_t uid, enum blob_kind kind, struct span *text)
{
	struct mt_blob h;

	if (uid < b->lo || uid >= b->hi)
		fill(b, uid);
	if (uid < b->lo || uid >= b->hi)
		return false;
	if (b->at < b->nin) {
		memcpy(&h, b->in + b->at, sizeof h);
		if (h.uid > uid || (h.uid == uid && h.kind > kind))
			b->at = 0; /* asked in another order */
	} else
		b->at = 0;
	for (; b->at < b->nin; b->at += whole(&h)) {
		memcpy(&h, b->in + b->at, sizeof h);
		if (h.uid > uid || (h.uid == uid && h.kind > kind))
			return false;
		if (h.uid == uid && h.kind == kind) {
			*text = (struct span){b->in + b->at + sizeof h, h.size};
			return true;
		}
	}
	return false;
}

static void
flush(struct blobs *b)
{
	if (b->out.n > 0)
		(void)view_cache_write(b->view, b->out.p, b->out.n);
	buf_reset(&b->out);
}

void
blobs_put(struct blobs *b, uint32_t uid, enum blob_kind kind, struct span text)
{
	struct mt_blob h = {.uid = uid, .size = (uint32_t)text.n, .kind = kind};
	char *p;

	if (text.n > MT_BLOB_MAX)
		return;
	if (b->out.n + whole(&h) > OUT_MAX)
		flush(b);
	if ((p = buf_room(&b->out, whole(&h))) == NULL)
		return;
	memcpy(p, &h, sizeof h);
	memcpy(p + sizeof h, text.p, text.n);
	memset(p + sizeof h + text.n, 0, whole(&h) - sizeof h - text.n);
	b->out.n += whole(&h);
}

void
blobs_close(struct blobs *b)
{
	flush(b);
	buf_free(&b->out);
	free(b->in);
	b->in = NULL;
}
