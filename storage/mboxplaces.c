#include "storage/mboxplaces.h"

#include <string.h>

#include "storage/base/hash.h"
#include "storage/mboxscan.h"

/* No padding: every octet is told and checked. */
_Static_assert(sizeof(struct mboxplace) == 64, "struct mboxplace");
_Static_assert(sizeof(struct mboxplaces) == 72 + MT_NKEYWORD * (MT_KEYWORD_MAX + 1),
               "struct mboxplaces");

static uint64_t
check_of(struct span text)
{
	return hash64(&hash_fixed, text);
}

int
mboxplaces_print(struct mboxplaces *head, const struct mboxplace *v, size_t n,
                 struct buf *out)
{
	uint64_t check;

	head->magic = MBOXPLACES_MAGIC;
	head->n = n;
	if (buf_add(out, (struct span){(const char *)head, sizeof *head}) == -1 ||
	    buf_add(out, (struct span){(const char *)v, n * sizeof *v}) == -1)
		return -1;
	check = check_of(buf_span(out));
	return buf_add(out, (struct span){(const char *)&check, sizeof check});
}

/* ---- what can be ------------------------------------------------------------------------------ */

/* -1: what stands there is no list of names. */
static int
count_keywords(const struct mboxplaces *h)
{
	int n = 0;

	while (n < MT_NKEYWORD && h->keyword[n][0] != '\0')
		n++;
	for (int i = 0; i < MT_NKEYWORD; i++) {
		size_t len = strnlen(h->keyword[i], sizeof h->keyword[i]);

		if (len == sizeof h->keyword[i] || (i >= n && len > 0))
			return -1;
	}
	return n;
}

static bool
can_be(const struct mboxplace *p, const struct mboxplaces *h, unsigned nkeyword,
       uint64_t from)
{
	return p->off >= from && p->end > p->off && p->end <= (uint64_t)h->stamp.size &&
	       p->visible <= p->end - p->off && p->uid <= MBOXSCAN_UID_MAX &&
	       (h->based || p->uid == 0) && p->keywords >> nkeyword == 0 &&
	       (p->flags & ~MT_FLAGS) == 0 && p->old <= 1 && p->zero == 0;
}

bool
mboxplaces_parse(struct span text, struct mboxplaces *h)
{
	struct mboxplace p;
	uint64_t check, from = 0;
	int nkeyword;

	if (text.n < sizeof *h + sizeof check)
		return false;
	memcpy(h, text.p, sizeof *h);
	memcpy(&check, text.p + text.n - sizeof check, sizeof check);
	text.n -= sizeof check;
	if (h->magic != MBOXPLACES_MAGIC || h->n != (text.n - sizeof *h) / sizeof p ||
	    text.n != sizeof *h + h->n * sizeof p || check != check_of(text))
		return false;
	if (h->stamp.size < 0 || h->n > (uint64_t)h->stamp.size / MBOXPLACES_LEAST ||
	    h->uidvalidity == 0 || h->based > 1 || h->crlf > 1 ||
	    (nkeyword = count_keywords(h)) == -1 || h->base_named >> nkeyword != 0)
		return false;
	for (size_t i = 0; i < h->n; i++) {
		mboxplaces_at(text, i, &p);
		if (!can_be(&p, h, (unsigned)nkeyword, from))
			return false;
		from = p.end;
	}
	return true;
}

void
mboxplaces_at(struct span text, size_t i, struct mboxplace *p)
{
	memcpy(p, text.p + sizeof(struct mboxplaces) + i * sizeof *p, sizeof *p);
}
