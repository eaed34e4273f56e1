#include "protocol/server/tlsproto.h"

static const struct {
	const char *name;
	unsigned bit;
} names[] = {
    {"SSLv2", TLSPROTO_SSL2}, {"SSLv3", TLSPROTO_SSL3}, {"TLSv1", TLSPROTO_10},
    {"TLSv1.0", TLSPROTO_10}, {"TLSv1.1", TLSPROTO_11}, {"TLSv1.2", TLSPROTO_12},
    {"TLSv1.3", TLSPROTO_13}, {"ANY", TLSPROTO_10},     {"LATEST", TLSPROTO_13},
};

#define NVERSIONS 7 /* the others are words of ssl_min_protocol only */

static unsigned
find(struct span name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_caseeq(name, span_of(names[i].name)))
			return names[i].bit;
	return 0;
}

const char *
tlsproto_check_min(struct span s)
{
	return find(s, ARRAY_LEN(names)) != 0 ? NULL
	                                      : "the value must be TLSv1.2 or TLSv1.3 "
	                                        "(TLSv1 and TLSv1.1 are known, "
	                                        "but not safe)";
}

/* The next name of a list; *no: it is excluded. False at the end. */
static bool
next(struct span *rest, struct span *part, struct span *name, bool *no)
{
	while (!span_word(part, name))
		if (!span_cut(rest, ',', part))
			return false;
	if ((*no = name->p[0] == '!'))
		*name = span_from(*name, 1);
	return true;
}

const char *
tlsproto_check_list(struct span s)
{
	struct span part = SPAN(""), name;
	bool no;

	while (next(&s, &part, &name, &no))
		if (find(name, NVERSIONS) == 0)
			return "the value must be a list of SSLv2, SSLv3, TLSv1, "
			       "TLSv1.1, "
			       "TLSv1.2 and TLSv1.3, each perhaps with ! before it";
	return NULL;
}

/* All versions from that bit up. */
static unsigned
from(unsigned bit)
{
	return bit == 0 ? 0 : ~(bit - 1);
}

unsigned
tlsproto_allowed(const struct config *c)
{
	struct span rest = span_of(c->text[CONF_SSL_PROTOCOLS]), part = SPAN(""), name;
	unsigned yes = 0, excluded = 0;
	unsigned min =
	    from(find(span_of(c->text[CONF_SSL_MIN_PROTOCOL]), ARRAY_LEN(names)));
	bool no;

	while (next(&rest, &part, &name, &no))
		*(no ? &excluded : &yes) |= find(name, NVERSIONS);
	if (yes & TLSPROTO_12)
		yes |= TLSPROTO_13 & ~excluded;
	if (yes != 0 && strcmp(c->text[CONF_SSL_MIN_PROTOCOL],
	                       config_key_default(CONF_SSL_MIN_PROTOCOL)) == 0)
		min = ~0u;
	if (yes == 0)
		yes = ~0u;
	return yes & min & ~excluded & TLSPROTO_SPOKEN;
}
