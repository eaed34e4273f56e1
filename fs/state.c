#include "fs/state.h"

#include <stdio.h>

static unsigned
keywords_in_use(const struct mt_header *h)
{
	unsigned n = 0;

	for (unsigned i = 0; i < h->nkeyword && i < MT_NKEYWORD; i++)
		n += h->keyword[i][0] != '\0';
	return n;
}

uint64_t
state_size(const struct mt_header *h)
{
	return 4 * STATE_HEAD_LINE + (uint64_t)keywords_in_use(h) * STATE_KEYWORD_LINE +
	       h->nmessage * STATE_MESSAGE_LINE;
}

int
state_add_head(struct buf *b, const struct mt_header *h)
{
	if (buf_addf(b, "uidvalidity %19u\nuidnext     %19u\n", h->uidvalidity,
		     h->uidnext) == -1 ||
	    buf_addf(b, "messages    %19llu\nkeywords    %19u\n",
		     (unsigned long long)h->nmessage, keywords_in_use(h)) == -1)
		return -1;
	for (unsigned i = 0; i < h->nkeyword && i < MT_NKEYWORD; i++)
		if (h->keyword[i][0] != '\0' &&
		    buf_addf(b, "%c %-157.*s\n", 'a' + (int)i, MT_KEYWORD_MAX,
			     h->keyword[i]) == -1)
			return -1;
	return 0;
}

/* Letters as in Maildir names, which is where people have met them. */
static void
print_flags(unsigned flags, char out[static 6])
{
	static const struct {
		unsigned flag;
		char letter;
	} row[] = {{MT_DRAFT, 'D'},
		   {MT_FLAGGED, 'F'},
		   {MT_ANSWERED, 'R'},
		   {MT_SEEN, 'S'},
		   {MT_DELETED, 'T'}};

	for (size_t i = 0; i < 5; i++)
		out[i] = flags & row[i].flag ? row[i].letter : '-';
	out[5] = '\0';
}

int
state_add_message(struct buf *b, const struct mt_record *r)
{
	char line[STATE_MESSAGE_LINE + 1], flags[6], keywords[MT_NKEYWORD + 1];
	int n;

	print_flags(r->flags, flags);
	for (int i = 0; i < MT_NKEYWORD; i++)
		keywords[i] = r->keywords & 1u << i ? (char)('a' + i) : '-';
	keywords[MT_NKEYWORD] = '\0';
	n = snprintf(line, sizeof line, "%10u %20llu %20lld %s %s", r->uid,
		     (unsigned long long)r->wire_size, (long long)r->date, flags, keywords);
	memset(line + n, ' ', (size_t)(STATE_MESSAGE_LINE - 1 - n));
	line[STATE_MESSAGE_LINE - 1] = '\n';
	return buf_add(b, (struct span){line, STATE_MESSAGE_LINE});
}
