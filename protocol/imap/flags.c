#include "protocol/imap/flags.h"

#include "fs/abi.h"

static bool
is_system(struct span name)
{
	static const char *const known[] = {"\\Seen", "\\Answered", "\\Flagged",
	                                    "\\Deleted", "\\Draft"};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_caseeq(name, span_of(known[i])))
			return true;
	return false;
}

/* What a file and a reply can carry: an atom, and no comma, which parts a list for ctl. */
static bool
is_keyword(struct span name)
{
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (c <= 0x20 || c >= 0x7f || strchr("(){%*\"\\],", c) != NULL)
			return false;
	}
	return name.n > 0 && name.n <= MT_KEYWORD_MAX;
}

bool
flags_parse(const struct arg *a, struct buf *out, const char **why)
{
	size_t began = out->n;

	for (; a != NULL; a = a->next) {
		*why = "A flag is an atom.";
		if (a->type != ARG_ATOM || a->has_section)
			return false;
		*why = "No such system flag.";
		if (a->text.n > 0 && a->text.p[0] == '\\' && !is_system(a->text))
			return false;
		*why = "That cannot be a keyword.";
		if (a->text.p[0] != '\\' && !is_keyword(a->text))
			return false;
		*why = "Out of memory.";
		if ((out->n > began && buf_addc(out, ',') == -1) ||
		    buf_add(out, a->text) == -1)
			return false;
	}
	return true;
}
