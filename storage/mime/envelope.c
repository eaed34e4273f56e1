#include "storage/mime/envelope.h"

enum kind { TEXT, ADDRESSES };

static const struct row {
	const char *name;
	enum kind kind;
	size_t at; /* in struct envelope */
} rows[] = {
    {"Date", TEXT, offsetof(struct envelope, date)},
    {"Subject", TEXT, offsetof(struct envelope, subject)},
    {"From", ADDRESSES, offsetof(struct envelope, from)},
    {"Sender", ADDRESSES, offsetof(struct envelope, sender)},
    {"Reply-To", ADDRESSES, offsetof(struct envelope, reply_to)},
    {"To", ADDRESSES, offsetof(struct envelope, to)},
    {"Cc", ADDRESSES, offsetof(struct envelope, cc)},
    {"Bcc", ADDRESSES, offsetof(struct envelope, bcc)},
    {"In-Reply-To", TEXT, offsetof(struct envelope, in_reply_to)},
    {"Message-ID", TEXT, offsetof(struct envelope, message_id)},
};

static const struct row *
find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_caseeq(name, span_of(rows[i].name)))
			return rows + i;
	return NULL;
}

/* The last one counts. It takes the place of an earlier one when it fits, so that many of
 * them fill no arena. */
static int
set_text(struct arena *arena, struct span *to, struct span value)
{
	char *p = (char *)(uintptr_t)to->p;

	if (p == NULL || to->n < value.n)
		p = arena_alloc(arena, value.n > 0 ? value.n : 1);
	if (p == NULL)
		return -1;
	*to = (struct span){p, header_unfold(value, p)};
	return 0;
}

int
envelope_field(struct envelope *e, struct arena *arena, const struct field *f)
{
	const struct row *row = find(f->name);
	char *at;

	if (row == NULL)
		return 0;
	at = (char *)e + row->at;
	if (row->kind == TEXT)
		return set_text(arena, (struct span *)at, f->value);
	return address_parse(f->value, arena, (struct address_list *)at);
}
