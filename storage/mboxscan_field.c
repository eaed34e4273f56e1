/* mboxscan_field: the fields that are no part of a message, and what they say of it. */
#include <string.h>

#include "fs/abi.h"
#include "storage/base/num.h"
#include "storage/mboxscan_private.h"

/* ---- names --------------------------------------------------------------------------------- */

static const char *const names[MBOX_NHIDDEN] = {
    [MBOX_CONTENT_LENGTH] = "Content-Length",
    [MBOX_STATUS] = "Status",
    [MBOX_X_IMAP] = "X-IMAP",
    [MBOX_X_IMAPBASE] = "X-IMAPbase",
    [MBOX_X_KEYWORDS] = "X-Keywords",
    [MBOX_X_STATUS] = "X-Status",
    [MBOX_X_UID] = "X-UID",
};

enum mboxscan_name
mboxscan_name(struct span name)
{
	unsigned i = 0;

	while (i < MBOX_NHIDDEN && !span_caseeq(name, span_of(names[i])))
		i++;
	return (enum mboxscan_name)i;
}

enum mboxscan_name
mboxscan_line(struct span line, size_t *colon)
{
	int first = line.n > 0 ? line.p[0] | 32 : 0;
	const char *at;

	/* most fields are none of ours, and the first letter says so */
	if (first != 'x' && first != 's' && first != 'c')
		return MBOX_VISIBLE;
	if ((at = memchr(line.p, ':', line.n)) == NULL)
		return MBOX_VISIBLE;
	*colon = (size_t)(at - line.p);
	return mboxscan_name(span_trim((struct span){line.p, *colon}));
}

/* ---- values ----------------------------------------------------------------------------------- */

static uint32_t
uid_of(struct span value)
{
	uint32_t uid;

	return num_u32(value, &uid) == 0 && uid <= MBOXSCAN_UID_MAX ? uid : 0;
}

static bool
take_base(struct mboxscan *s, struct span rest)
{
	struct span w;
	uint32_t validity, last;

	if (!s->first || !span_word(&rest, &w) || num_u32(w, &validity) == -1 ||
	    validity == 0 || !span_word(&rest, &w) || num_u32(w, &last) == -1 ||
	    last > MBOXSCAN_UID_MAX)
		return false;
	if (s->cur.uidvalidity == 0) {
		s->cur.uidvalidity = validity;
		s->cur.last_uid = last;
	}
	return true;
}

static void
take_status(struct mboxscan_msg *m, struct span letters, bool x)
{
	static const struct {
		char c;
		uint16_t flag;
	} row[] = {
	    {'A', MT_ANSWERED}, {'F', MT_FLAGGED}, {'T', MT_DRAFT}, {'D', MT_DELETED}};

	for (size_t i = 0; i < letters.n; i++) {
		if (!x && letters.p[i] == 'R')
			m->flags |= MT_SEEN;
		if (!x && letters.p[i] == 'O')
			m->old = true;
		for (size_t k = 0; x && k < ARRAY_LEN(row); k++)
			if (letters.p[i] == row[k].c)
				m->flags |= row[k].flag;
	}
}

static void
take_length(struct mboxscan *s, struct span value)
{
	if (!s->has_length && num_u64(value, &s->length) == 0)
		s->has_length = true;
}

static void
take_value(struct mboxscan *s, enum mboxscan_name name, struct span value)
{
	struct mboxscan_msg *m = &s->cur;

	switch (name) {
	case MBOX_CONTENT_LENGTH:
		take_length(s, value);
		break;
	case MBOX_STATUS:
	case MBOX_X_STATUS:
		take_status(m, value, name == MBOX_X_STATUS);
		break;
	case MBOX_X_IMAPBASE:
		(void)take_base(s, value);
		break;
	case MBOX_X_IMAP:
		/* who sends mail with such a field does not write that From_ line */
		if (take_base(s, value) && s->daemon)
			m->pseudo = true;
		break;
	case MBOX_X_UID:
		/* in the first message, what stands before the base was not written with it */
		if (m->uid == 0 && (!s->first || m->uidvalidity != 0))
			m->uid = uid_of(value);
		break;
	default:
		break;
	}
}

void
mboxscan_finish_field(struct mboxscan *s)
{
	struct mboxscan_field *f = &s->hidden;

	if (s->now == MBOX_VISIBLE)
		return;
	s->now = MBOX_VISIBLE;
	for (size_t i = 0; i < s->value_n; i++)
		if (s->value[i] == '\r' || s->value[i] == '\n' || s->value[i] == '\t')
			s->value[i] = ' ';
	f->value = span_trim((struct span){s->value, s->value_n});
	take_value(s, f->name, f->value);
	if (s->field != NULL)
		s->field(s->arg, f);
}

void
mboxscan_feed(struct mboxscan *s, struct span part)
{
	size_t room = sizeof s->value - s->value_n;

	if (s->now == MBOX_VISIBLE) {
		s->cur.visible += part.n;
		mboxscan_visible(s, part);
		return;
	}
	s->hidden.size += part.n;
	if (part.n > room)
		part.n = room;
	memcpy(s->value + s->value_n, part.p, part.n);
	s->value_n += part.n;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void
begin_hidden(struct mboxscan *s, enum mboxscan_name name, size_t colon)
{
	s->now = name;
	s->value_n = 0;
	s->hidden = (struct mboxscan_field){.name = name,
	                                    .off = s->line_off,
	                                    .size = colon + 1,
	                                    .value_off = s->line_off + colon + 1};
	if (!s->line_long)
		s->hidden.value_room = (uint32_t)(mboxscan_line_text(s).n - colon - 1);
}

void
mboxscan_begin_line(struct mboxscan *s)
{
	struct span line = {s->line, s->line_n};
	enum mboxscan_name what;
	size_t colon;

	if (line.n > 0 && is_blank(line.p[0])) {
		s->hidden.value_room = 0;
		mboxscan_feed(s, line);
		return;
	}
	mboxscan_finish_field(s);
	if ((what = mboxscan_line(line, &colon)) != MBOX_VISIBLE) {
		begin_hidden(s, what, colon);
		line = span_from(line, colon + 1);
	}
	mboxscan_feed(s, line);
}

bool
mboxscan_keyword(struct span *rest, struct span *keyword)
{
	return span_word(rest, keyword);
}
