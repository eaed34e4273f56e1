#include "protocol/mech.h"

/* In the order in which they are offered: the better ones first. */
static const struct row {
	const char *name;
	enum mech mech;
} table[] = {
    {"SCRAM-SHA-256", MECH_SCRAM_SHA_256},
    {"SCRAM-SHA-1", MECH_SCRAM_SHA_1},
    {"DIGEST-MD5", MECH_DIGEST_MD5},
    {"CRAM-MD5", MECH_CRAM_MD5},
    {"EXTERNAL", MECH_EXTERNAL},
    {"PLAIN", MECH_PLAIN},
    {"LOGIN", MECH_LOGIN},
    {"ANONYMOUS", MECH_ANONYMOUS},
    {"APOP", MECH_APOP},
};

unsigned
mech_named(struct span name)
{
	for (const struct row *r = table; r < table + ARRAY_LEN(table); r++)
		if (span_caseeq(name, span_of(r->name)))
			return r->mech;
	return 0;
}

const char *
mech_name(unsigned mech)
{
	for (const struct row *r = table; r < table + ARRAY_LEN(table); r++)
		if (r->mech == mech)
			return r->name;
	return "?";
}

int
mech_list(unsigned set, const char *before, struct buf *b)
{
	for (const struct row *r = table; r < table + ARRAY_LEN(table); r++)
		if (r->mech & set & ~(unsigned)MECH_APOP &&
		    buf_addf(b, "%s%s", before, r->name) == -1)
			return -1;
	return 0;
}
