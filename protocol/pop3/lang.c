#include "protocol/pop3/lang.h"

static const struct {
	const char *tag, *name;
} langs[] = {
    [LANG_DEFAULT] = {"i-default", "Default (English)"},
    [LANG_EN] = {"en", "English"},
};

const char *
lang_tag(enum lang lang)
{
	return langs[lang].tag;
}

int
lang_by_tag(struct span tag, enum lang *lang)
{
	for (size_t i = 0; i < ARRAY_LEN(langs); i++)
		if (span_caseeq(tag, span_of(langs[i].tag))) {
			*lang = (enum lang)i;
			return 0;
		}
	return -1;
}

static int
list(struct buf *out)
{
	if (buf_addf(out, "+OK Language listing follows:\r\n") == -1)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(langs); i++)
		if (buf_addf(out, "%s %s\r\n", langs[i].tag, langs[i].name) == -1)
			return -1;
	return buf_add(out, SPAN(".\r\n"));
}

int
lang_command(struct span range, enum lang *lang, struct buf *out)
{
	if (range.n == 0)
		return list(out);
	/*
	 * Neither of our tags is longer than a range that could match it (RFC 4647
	 * section 3.3.1), except `i` for `i-default`, which is no language: so basic
	 * filtering is equality here.
	 */
	if (span_eq(range, SPAN("*")))
		*lang = LANG_DEFAULT;
	else if (lang_by_tag(range, lang) == -1)
		return buf_addf(out, "-ERR %s Language not available\r\n",
		                lang_tag(*lang));
	return buf_addf(out, "+OK %s Language changed\r\n", lang_tag(*lang));
}
